//! Proof verification without the contract: halo2, KZG over BN254, SHPLONK, Keccak transcript.
//!
//! Verifying keys are made here, from the circuit itself and the parameters: not read from anybody's file.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use gridveil_circuits::{certificate::CertificateCircuit, settlement::SettlementCircuit};
use gridveil_protocol::{
    field::{Fr, to_bytes},
    params::Shape,
};
use halo2_proofs::{
    plonk::{VerifyingKey, keygen_vk, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::VerifierSHPLONK,
        strategy::SingleStrategy,
    },
    transcript::TranscriptReadBuffer,
};
use halo2curves::{
    bn256::{Bn256, Fr as CircuitFr, G1Affine},
    ff::PrimeField,
};
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};

use crate::{
    replay::{ProofVerifier, VerifierError},
    totals::HoldingVerifier,
};

/// KZG parameters.
pub type Params = ParamsKZG<Bn256>;

struct Key {
    params: Arc<Params>,
    vk: VerifyingKey<G1Affine>,
}

/// Verifying keys by shape.
#[derive(Default)]
pub struct NativeVerifier {
    keys: BTreeMap<u32, Key>,
}

impl std::fmt::Debug for NativeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeVerifier").field("shapes", &self.keys.keys()).finish()
    }
}

impl NativeVerifier {
    /// Makes the settlement key of a shape from parameters of its size.
    ///
    /// # Errors
    /// [`VerifierError`] if the parameters do not fit the circuit.
    pub fn add(&mut self, shape: Shape, params: Arc<Params>) -> Result<(), VerifierError> {
        let made = catch_unwind(AssertUnwindSafe(|| keygen_vk(params.as_ref(), &SettlementCircuit::template(shape))));
        let vk = made
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| VerifierError(format!("no verifying key for shape {}", shape.name)))?;
        self.keys.insert(shape.id, Key { params, vk });
        Ok(())
    }
}

impl ProofVerifier for NativeVerifier {
    fn verify(&self, shape_id: u32, instance: &[Fr; 10], proof: &[u8]) -> Result<bool, VerifierError> {
        let key =
            self.keys.get(&shape_id).ok_or_else(|| VerifierError(format!("no verifying key for shape {shape_id}")))?;
        let rows: Option<Vec<CircuitFr>> = instance.iter().map(circuit_element).collect();
        let rows = rows.ok_or_else(|| VerifierError("a public input is not a field element".into()))?;
        Ok(holds(&key.vk, &key.params, &rows, proof))
    }
}

/// The verifying key of certificate statements.
pub struct NativeCertificates(Key);

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
        let made = catch_unwind(AssertUnwindSafe(|| keygen_vk(params.as_ref(), &CertificateCircuit::template())));
        let vk =
            made.ok().and_then(Result::ok).ok_or_else(|| VerifierError("no verifying key for certificates".into()))?;
        Ok(Self(Key { params, vk }))
    }
}

impl HoldingVerifier for NativeCertificates {
    fn verify(&self, instance: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError> {
        let rows: Option<Vec<CircuitFr>> = instance.iter().map(circuit_element).collect();
        let rows = rows.ok_or_else(|| VerifierError("a public input is not a field element".into()))?;
        Ok(holds(&self.0.vk, &self.0.params, &rows, proof))
    }
}

/// The same element in the circuits' implementation of the field.
fn circuit_element(x: &Fr) -> Option<CircuitFr> {
    let mut bytes = to_bytes(x);
    bytes.reverse();
    CircuitFr::from_repr(bytes).into()
}

/// Does the proof hold, and end with its last byte? Never panics.
fn holds(vk: &VerifyingKey<G1Affine>, params: &Params, instance: &[CircuitFr], proof: &[u8]) -> bool {
    let verified = catch_unwind(AssertUnwindSafe(|| {
        let mut rest = proof;
        let verified = {
            let mut transcript =
                <EvmTranscript<G1Affine, NativeLoader, &mut &[u8], Vec<u8>> as TranscriptReadBuffer<_, _, _>>::init(
                    &mut rest,
                );
            verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, SingleStrategy<'_, Bn256>>(
                params,
                vk,
                SingleStrategy::new(params),
                &[&[instance]],
                &mut transcript,
            )
            .is_ok()
        };
        // A transcript reads what it needs and would leave trailing bytes unnoticed.
        verified && rest.is_empty()
    }));
    verified.unwrap_or(false)
}
