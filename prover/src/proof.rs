//! Proofs as they are made. [`gridveil_circuits::verify`] checks them.
//!
//! KZG with SHPLONK, Fiat-Shamir by Keccak as the generated contract computes it. Scalars and coordinates are 32 bytes
//! big-endian.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, Once},
};

use gridveil_circuits::verify::VerifyError;
use halo2_ifma::ProveError;
use halo2_proofs::plonk::Error;
use halo2curves::bn256::G1Affine;
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};

/// Why there is no proof, or it is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The prover refused the circuit or the public inputs.
    #[error("halo2: {0}")]
    Halo2(Error),
    /// The prover panicked. The message is not repeated: it could hold a witness value.
    #[error("the prover panicked at {location}")]
    Panicked {
        /// Source file and line.
        location: String,
    },
    /// Not as long as a proof under this key.
    #[error("{got} bytes; a proof under this key has {expected}")]
    Length {
        /// By the key.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// Another number of public inputs than the circuit has.
    #[error("{got} instance columns or rows do not fit the key")]
    Instance {
        /// Given.
        got: usize,
    },
    /// Columns that are not the circuit's, or longer than it has rows.
    #[error("{columns} witness columns of up to {longest} rows do not fit the circuit, which has {usable} rows to use")]
    Advice {
        /// Columns given.
        columns: usize,
        /// Rows of the longest.
        longest: usize,
        /// Rows a column may have.
        usable: usize,
    },
    /// The vector engine does not know circuits of this kind.
    #[error("the vector engine does not make proofs of this circuit: set {variable}=1")]
    Unsupported {
        /// Environment variable that chooses halo2's prover.
        variable: &'static str,
    },
    /// The system gave no randomness to blind the proof with.
    #[error("no randomness from the system")]
    Randomness,
    /// The proof does not hold for these public inputs under this key.
    #[error("the proof is not valid for these public inputs under this key")]
    Invalid,
}

impl From<VerifyError> for ProofError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Length { expected, got } => Self::Length { expected, got },
            VerifyError::Instance { got, .. } => Self::Instance { got },
            VerifyError::Invalid => Self::Invalid,
        }
    }
}

impl From<Error> for ProofError {
    fn from(error: Error) -> Self {
        Self::Halo2(error)
    }
}

impl From<ProveError> for ProofError {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::Halo2(error) => Self::Halo2(error),
            ProveError::Instance { got } => Self::Instance { got },
            ProveError::Advice { columns, longest, usable } => Self::Advice { columns, longest, usable },
            // A false witness: no proof of it holds.
            ProveError::NotInTable => Self::Invalid,
            ProveError::Randomness => Self::Randomness,
            ProveError::Transcript(error) => Self::Halo2(Error::Transcript(error)),
        }
    }
}

/// What a proof is written into: Keccak, as the contract reads it.
pub(crate) type Transcript = EvmTranscript<G1Affine, NativeLoader, Vec<u8>, Vec<u8>>;

/// Name of the threads proofs are made on.
pub(crate) const THREAD_NAME: &str = "gridveil-prove";

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs `work`; a panic becomes an error that names the place and nothing else. On threads named [`THREAD_NAME`] the
/// panic's message, which may hold a witness value, is not printed either.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, ProofError>) -> Result<T, ProofError> {
    install_hook();
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let location = LAST_PANIC.lock().ok().and_then(|mut last| last.take());
        Err(ProofError::Panicked { location: location.unwrap_or_else(|| "an unknown place".into()) })
    })
}

fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let location = info.location().map(ToString::to_string);
            if let Ok(mut last) = LAST_PANIC.lock() {
                last.clone_from(&location);
            }
            if std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME)) {
                tracing::error!(
                    location = location.as_deref().unwrap_or("?"),
                    "panic while proving; its message is withheld"
                );
            } else {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::Params;
    use crate::{
        srs::{dev, verifier_params},
        statement::{
            Statement,
            toy::{K, Toy},
        },
    };
    use gridveil_circuits::{
        verify::{Verifier, proof_bytes},
        version::SettlementSize,
    };
    use gridveil_protocol::params::SHAPES;
    use halo2_ifma::portable;
    use halo2_proofs::{
        plonk::{ProvingKey, VerifyingKey, keygen_pk, keygen_vk},
        transcript::TranscriptWriterBuffer as _,
    };
    use halo2curves::bn256::Fr;
    use halo2curves::ff::Field;
    use rand::rngs::OsRng;
    use std::sync::{Arc, OnceLock};

    /// As callers of the verifier have its answer.
    fn verify(vk: &VerifyingKey<G1Affine>, params: &Params, instance: &[Fr], proof: &[u8]) -> Result<(), ProofError> {
        Ok(Verifier::new(vk.clone(), Arc::new(params.clone()), Toy::ROWS).verify_elements(instance, proof)?)
    }

    fn keys(shape: usize) -> (Params, ProvingKey<G1Affine>) {
        let (params, circuit) = (dev::params(K), Toy::template(SettlementSize::current(SHAPES[shape])));
        let vk = keygen_vk(&params, &circuit).unwrap();
        let pk = keygen_pk(&params, vk, &circuit).unwrap();
        (params, pk)
    }

    fn setup() -> &'static (Params, ProvingKey<G1Affine>) {
        static SETUP: OnceLock<(Params, ProvingKey<G1Affine>)> = OnceLock::new();
        SETUP.get_or_init(|| keys(0))
    }

    /// A proof, made and checked.
    fn prove(pk: &ProvingKey<G1Affine>, params: &Params, circuit: Toy, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        let proof = caught(|| {
            let mut transcript = Transcript::init(Vec::new());
            portable::prove(pk, params, circuit.advice(), instance, OsRng, &mut transcript)?;
            Ok(transcript.finalize())
        })?;
        verify(pk.get_vk(), params, instance, &proof)?;
        Ok(proof)
    }

    fn rows() -> Vec<Fr> {
        (0..10u64).map(|i| Fr::from(1_000 + i).square().square().square().square()).collect()
    }

    #[test]
    fn a_proof_verifies_with_three_points_and_has_the_computed_length() {
        let (params, pk) = setup();
        let proof = prove(pk, params, Toy::with(rows()), &rows()).unwrap();
        assert_eq!(proof.len(), proof_bytes(pk.get_vk().cs()));
        verify(pk.get_vk(), &verifier_params(params), &rows(), &proof).unwrap();
    }

    #[test]
    fn tampered_proofs_are_refused() {
        let (params, pk) = setup();
        let (vk, instance) = (pk.get_vk(), rows());
        let proof = prove(pk, params, Toy::with(rows()), &instance).unwrap();
        for position in (0..proof.len()).step_by(29).chain([proof.len() - 1]) {
            for flip in [1, 0x80] {
                let mut bad = proof.clone();
                bad[position] ^= flip;
                assert!(
                    matches!(verify(vk, params, &instance, &bad), Err(ProofError::Invalid)),
                    "byte {position} ^ {flip}"
                );
            }
        }
        for length in [0, 1, 32, proof.len() - 32, proof.len() - 1] {
            assert!(matches!(verify(vk, params, &instance, &proof[..length]), Err(ProofError::Length { .. })));
        }
        for tail in [[0; 1].as_slice(), &[0; 32], &proof] {
            assert!(matches!(verify(vk, params, &instance, &[&proof, tail].concat()), Err(ProofError::Length { .. })));
        }
        for filler in [0, 0xff] {
            assert!(matches!(verify(vk, params, &instance, &vec![filler; proof.len()]), Err(ProofError::Invalid)));
        }
        // Two words swapped.
        let mut bad = proof.clone();
        bad[..64].rotate_left(32);
        assert!(matches!(verify(vk, params, &instance, &bad), Err(ProofError::Invalid)));
        // Another shape's key.
        let (_, other) = keys(1);
        assert!(matches!(verify(other.get_vk(), params, &instance, &proof), Err(ProofError::Invalid)));
    }

    #[test]
    fn every_public_input_is_bound() {
        let (params, pk) = setup();
        let instance = rows();
        let proof = prove(pk, params, Toy::with(rows()), &instance).unwrap();
        for row in 0..instance.len() {
            for change in [Fr::ONE, -Fr::ONE, Fr::from(1 << 40)] {
                let mut bad = instance.clone();
                bad[row] += change;
                assert!(matches!(verify(pk.get_vk(), params, &bad, &proof), Err(ProofError::Invalid)), "row {row}");
            }
        }
        assert!(verify(pk.get_vk(), params, &instance[..9], &proof).is_err());
        assert!(verify(pk.get_vk(), params, &[instance.as_slice(), &[Fr::ONE]].concat(), &proof).is_err());
        assert!(verify(pk.get_vk(), params, &vec![Fr::ONE; 1 << K], &proof).is_err());
    }

    #[test]
    fn a_false_witness_yields_no_proof() {
        let (params, pk) = setup();
        let mut circuit = Toy::with(rows());
        circuit.broken = true;
        assert!(prove(pk, params, circuit, &rows()).is_err());
        let mut other = rows();
        other[3] += Fr::ONE;
        assert!(matches!(prove(pk, params, Toy::with(rows()), &other), Err(ProofError::Invalid)));
    }

    #[test]
    fn a_panic_is_an_error_without_its_message() {
        let (params, pk) = setup();
        let mut circuit = Toy::with(rows());
        circuit.panics = true;
        let error = prove(pk, params, circuit, &rows()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, ProofError::Panicked { .. }) && !text.contains("123456789"), "{text}");
    }
}
