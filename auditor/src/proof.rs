//! Who checks proofs.

use gridveil_protocol::{field::Fr, version::CircuitVersion};
use gridveil_verifier_contract::Word;

/// Why a proof could not be checked at all. Not the same as a proof that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// No key of that circuit version in that shape.
    #[error("circuit version {version} is missing: no verifying key for shape {shape}")]
    Missing {
        /// Circuit version.
        version: CircuitVersion,
        /// Shape's id.
        shape: u32,
    },
    /// A key could not be made.
    #[error("{0}")]
    Key(String),
}

/// Verifies proofs of settlements and certificates: a key set a circuit version.
pub trait ProofVerifier {
    /// Does `proof` hold for these public inputs, under the key of that version and shape?
    ///
    /// # Errors
    /// [`VerifierError::Missing`] if there is no such key.
    fn verify(
        &self,
        version: CircuitVersion,
        shape_id: u32,
        instance: &[Fr; 10],
        proof: &[u8],
    ) -> Result<bool, VerifierError>;

    /// Does a certificate's `proof` hold for these public inputs, under the key of that version of the certificate
    /// circuit?
    ///
    /// # Errors
    /// [`VerifierError::Missing`], with shape 0, if there is no such key.
    fn verify_certificate(
        &self,
        version: CircuitVersion,
        instance: &[Fr; 9],
        proof: &[u8],
    ) -> Result<bool, VerifierError>;

    /// Name of the setup whose keys these are, if it is known.
    fn setup(&self) -> Option<String> {
        None
    }

    /// Name of the verifier artifact of that version and shape whose code has this hash, for versions that are known by
    /// nothing else.
    fn recognises(&self, version: CircuitVersion, shape_id: u32, code_hash: &Word) -> Option<String> {
        let _ = (version, shape_id, code_hash);
        None
    }
}
