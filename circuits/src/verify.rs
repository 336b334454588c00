//! The proof verifier of prover and auditor: KZG over BN254, SHPLONK, Keccak transcript, as the generated contract has
//! it.
//!
//! A proof is accepted only in its one encoding, and only for its whole statement:
//!
//! - it has exactly the number of bytes that every proof under the key has ([`VerifyError::Length`]);
//! - there are exactly as many public inputs as the statement has rows: halo2 alone would take surplus ones
//!   ([`VerifyError::Instance`]);
//! - a scalar or coordinate in it is below its modulus ([`VerifyError::Invalid`]). Public inputs are field elements
//!   already: whoever has bytes reads them with `gridveil_protocol::field::from_bytes`, which has the same rule.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use gridveil_protocol::{certificate, field, instance};
use halo2_proofs::{
    plonk::{Circuit, ConstraintSystem, VerifyingKey, keygen_vk, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::VerifierSHPLONK,
        strategy::SingleStrategy,
    },
    transcript::TranscriptReadBuffer,
};
use halo2curves::bn256::{Bn256, G1Affine};
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};

use crate::{Fr, certificate::CertificateCircuit, field::imported, settlement::SettlementCircuit};

const POINT_BYTES: usize = 64;
const SCALAR_BYTES: usize = 32;

/// KZG parameters over BN254. A verifier needs three points of them.
pub type Params = ParamsKZG<Bn256>;

/// Public inputs of a settlement.
pub const SETTLEMENT_ROWS: usize = instance::ROWS.len();
/// Public inputs of a certificate statement.
pub const CERTIFICATE_ROWS: usize = certificate::ROWS.len();

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not as long as a proof under this key.
    #[error("{got} bytes; a proof under this key has {expected}")]
    Length {
        /// By the key.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// Another number of public inputs than the statement has.
    #[error("{got} public inputs; the statement has {expected}")]
    Instance {
        /// Of the statement.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// The proof does not hold for these public inputs under this key.
    #[error("the proof is not valid for these public inputs under this key")]
    Invalid,
}

/// The parameters do not fit the circuit, or the circuit has no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no verifying key from these parameters")]
pub struct NoKey;

/// Bytes of every proof under a constraint system.
#[must_use]
pub fn proof_bytes(cs: &ConstraintSystem<Fr>) -> usize {
    let (lookups, columns) = (cs.lookups().len(), cs.permutation().get_columns().len());
    let products = columns.div_ceil(cs.degree() - 2);
    let quotient = cs.degree() - 1;
    // Advice; permuted input, permuted table and product of each lookup; permutation products; the random polynomial;
    // the quotient's pieces; SHPLONK's two.
    let points = cs.num_advice_columns() + 3 * lookups + products + 1 + quotient + 2;
    // Queries; the random polynomial; the permutation's columns; its products at x, at the next row and, but for the
    // last, at the last usable row; five of each lookup.
    let product_evaluations = (3 * products).saturating_sub(1);
    let scalars =
        cs.advice_queries().len() + cs.fixed_queries().len() + 1 + columns + product_evaluations + 5 * lookups;
    points * POINT_BYTES + scalars * SCALAR_BYTES
}

/// A verifying key, the parameters it was made from, and what it does not say itself: how many public inputs its
/// statement has.
#[derive(Clone, Debug)]
pub struct Verifier {
    vk: VerifyingKey<G1Affine>,
    params: Arc<Params>,
    rows: usize,
}

impl Verifier {
    /// Of a key made elsewhere. `params` are its own, or a verifier's three points of them.
    #[must_use]
    pub const fn new(vk: VerifyingKey<G1Affine>, params: Arc<Params>, rows: usize) -> Self {
        Self { vk, params, rows }
    }

    /// Makes a settlement circuit's key, from parameters of its shape's size. The witness is not looked at.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn settlement(template: &SettlementCircuit, params: Arc<Params>) -> Result<Self, NoKey> {
        Self::of(template, params, SETTLEMENT_ROWS)
    }

    /// Makes a circuit's key. Called here alone, so that key generation is compiled in this crate, optimised.
    fn of<C: Circuit<Fr>>(template: &C, params: Arc<Params>, rows: usize) -> Result<Self, NoKey> {
        let made = catch_unwind(AssertUnwindSafe(|| keygen_vk(params.as_ref(), template)));
        let vk = made.ok().and_then(Result::ok).ok_or(NoKey)?;
        Ok(Self { vk, params, rows })
    }

    /// Makes the certificate circuit's key, from parameters of 2^[`crate::certificate::K`] rows.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn certificate(params: Arc<Params>) -> Result<Self, NoKey> {
        Self::of(&CertificateCircuit::template(), params, CERTIFICATE_ROWS)
    }

    /// The verifying key.
    #[must_use]
    pub const fn vk(&self) -> &VerifyingKey<G1Affine> {
        &self.vk
    }

    /// Checks a proof of the public inputs `rows`, as the rules compute them.
    ///
    /// # Errors
    /// [`VerifyError`]; never panics on any bytes.
    pub fn verify(&self, rows: &[field::Fr], proof: &[u8]) -> Result<(), VerifyError> {
        let instance: Vec<Fr> = rows.iter().map(imported).collect();
        self.verify_elements(&instance, proof)
    }

    /// [`Self::verify`], with public inputs in the circuits' implementation of the field.
    ///
    /// # Errors
    /// [`VerifyError`]; never panics on any bytes.
    pub fn verify_elements(&self, instance: &[Fr], proof: &[u8]) -> Result<(), VerifyError> {
        let expected = proof_bytes(self.vk.cs());
        if proof.len() != expected {
            return Err(VerifyError::Length { expected, got: proof.len() });
        }
        if self.vk.cs().num_instance_columns() != 1 || instance.len() != self.rows {
            return Err(VerifyError::Instance { expected: self.rows, got: instance.len() });
        }
        let verified = catch_unwind(AssertUnwindSafe(|| self.holds(instance, proof)));
        if verified.unwrap_or(false) { Ok(()) } else { Err(VerifyError::Invalid) }
    }

    fn holds(&self, instance: &[Fr], proof: &[u8]) -> bool {
        let mut transcript =
            <EvmTranscript<G1Affine, NativeLoader, &[u8], Vec<u8>> as TranscriptReadBuffer<_, _, _>>::init(proof);
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, SingleStrategy<'_, Bn256>>(
            self.params.as_ref(),
            &self.vk,
            SingleStrategy::new(&self.params),
            &[&[instance]],
            &mut transcript,
        )
        .is_ok()
    }
}
