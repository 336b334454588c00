//! Proof verification without the contract, by [`gridveil_circuits::verify`].
//!
//! Verifying keys are made here, from the circuit and the parameters. None is read from a file.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_circuits::{verify::Verifier, version::circuit_for};
use gridveil_protocol::{certificate::CERTIFICATE_VERSION, field::Fr, params::Shape, version::CircuitVersion};
use gridveil_verifier_contract::Word;

pub use gridveil_circuits::verify::Params;

use crate::{
    proof::{ProofVerifier, VerifierError},
    totals::HoldingVerifier,
};

/// Verifying keys by circuit version and shape, and code hashes of verifiers that are known by nothing else.
#[derive(Default)]
pub struct NativeVerifier {
    keys: Mutex<BTreeMap<(CircuitVersion, u32), Verifier>>,
    certificates: Mutex<Option<NativeCertificates>>,
    /// By log2 of their size: what a key is made from when the first batch needs it.
    params: BTreeMap<u32, Arc<Params>>,
    recognised: BTreeMap<(CircuitVersion, u32, Word), String>,
    setup: Option<String>,
}

impl std::fmt::Debug for NativeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("NativeVerifier").field("keys", &keys.keys()).finish_non_exhaustive()
    }
}

impl NativeVerifier {
    /// Makes keys of the versions this program knows as batches need them, from parameters by log2 of their size.
    /// Nothing that L1 says decides beforehand which keys there are.
    #[must_use]
    pub fn making(params: BTreeMap<u32, Arc<Params>>) -> Self {
        Self { params, ..Self::default() }
    }

    /// Makes the key of a settlement circuit from parameters of its size.
    ///
    /// # Errors
    /// [`VerifierError::Missing`] if this program has no circuit of that version, [`VerifierError::Key`] if the
    /// parameters do not fit it.
    pub fn add(&mut self, version: CircuitVersion, shape: Shape, params: Arc<Params>) -> Result<(), VerifierError> {
        let key = key(version, shape, params)?;
        self.keys.get_mut().unwrap_or_else(PoisonError::into_inner).insert((version, shape.id), key);
        Ok(())
    }

    /// The name of the setup that the parameters are of.
    #[must_use]
    pub fn of_setup(self, name: String) -> Self {
        Self { setup: Some(name), ..self }
    }

    /// Takes the key of certificate statements.
    #[must_use]
    pub fn with_certificates(self, key: NativeCertificates) -> Self {
        Self { certificates: Mutex::new(Some(key)), ..self }
    }

    /// From now on the verifier with this code is known, as `name`. The code must be one that its reader has checked:
    /// batches of a version without a key are believed on its word.
    pub fn recognise(&mut self, version: CircuitVersion, shape_id: u32, code_hash: Word, name: &str) {
        self.recognised.insert((version, shape_id, code_hash), name.to_owned());
    }
}

fn key(version: CircuitVersion, shape: Shape, params: Arc<Params>) -> Result<Verifier, VerifierError> {
    let circuit = circuit_for(version, shape).map_err(|_| VerifierError::Missing { version, shape: shape.id })?;
    Verifier::settlement(&circuit, params).map_err(|_| {
        VerifierError::Key(format!("no verifying key of circuit version {version} for shape {}", shape.name))
    })
}

impl ProofVerifier for NativeVerifier {
    fn verify(
        &self,
        version: CircuitVersion,
        shape_id: u32,
        instance: &[Fr; 10],
        proof: &[u8],
    ) -> Result<bool, VerifierError> {
        let missing = || VerifierError::Missing { version, shape: shape_id };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match keys.entry((version, shape_id)) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(new) => {
                let shape = Shape::by_id(shape_id).ok_or_else(missing)?;
                let params = self.params.get(&shape.k).ok_or_else(missing)?;
                new.insert(key(version, shape, Arc::clone(params))?)
            }
        };
        Ok(key.verify(instance, proof).is_ok())
    }

    fn verify_certificate(
        &self,
        version: CircuitVersion,
        instance: &[Fr; 9],
        proof: &[u8],
    ) -> Result<bool, VerifierError> {
        let missing = VerifierError::Missing { version, shape: 0 };
        if version != CircuitVersion::new(CERTIFICATE_VERSION) {
            return Err(missing);
        }
        let mut key = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match key.as_ref() {
            Some(made) => made,
            None => {
                let params = self.params.get(&NativeCertificates::K).ok_or(missing)?;
                key.insert(NativeCertificates::new(Arc::clone(params))?)
            }
        };
        HoldingVerifier::verify(key, instance, proof)
    }

    fn setup(&self) -> Option<String> {
        self.setup.clone()
    }

    fn recognises(&self, version: CircuitVersion, shape_id: u32, code_hash: &Word) -> Option<String> {
        self.recognised.get(&(version, shape_id, *code_hash)).cloned()
    }
}

/// The verifying key of certificate statements.
pub struct NativeCertificates(Verifier);

impl std::fmt::Debug for NativeCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NativeCertificates")
    }
}

impl NativeCertificates {
    /// log2 of the parameters' size.
    pub const K: u32 = gridveil_circuits::certificate::K;

    /// Makes the certificate circuit's key from parameters of its size.
    ///
    /// # Errors
    /// [`VerifierError`] if the parameters do not fit the circuit.
    pub fn new(params: Arc<Params>) -> Result<Self, VerifierError> {
        let key = Verifier::certificate(params)
            .map_err(|_| VerifierError::Key("no verifying key for certificates".into()))?;
        Ok(Self(key))
    }
}

impl HoldingVerifier for NativeCertificates {
    fn verify(&self, instance: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError> {
        Ok(self.0.verify(instance, proof).is_ok())
    }
}
