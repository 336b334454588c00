//! Which prover makes the proofs: the vector unit's where the processor has it, else halo2's.

use halo2_proofs::plonk::ProvingKey;
use halo2curves::bn256::{Fr, G1Affine};

use crate::{
    proof::{self, ProofError, caught},
    srs::Params,
    statement::Statement,
};

/// A way to make proofs under one key.
#[derive(Debug)]
pub enum Engine {
    /// AVX-512 IFMA ([`crate::vector`]).
    #[cfg(target_arch = "x86_64")]
    Vector(Box<crate::vector::VectorKey>),
    /// halo2's own prover.
    Portable,
}

impl Engine {
    /// The fastest this machine has for a key. `GRIDVEIL_PORTABLE=1` chooses halo2's prover, to compare.
    #[must_use]
    pub fn new(params: &Params, pk: &ProvingKey<G1Affine>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::env::var_os("GRIDVEIL_PORTABLE").is_none()
            && let Some(key) = crate::vector::VectorKey::new(params, pk)
        {
            return Self::Vector(Box::new(key));
        }
        Self::Portable
    }

    /// Name for reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(_) => "avx512-ifma",
            Self::Portable => "portable",
        }
    }

    /// Makes a proof without checking it, see [`proof::prove_unchecked`].
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn prove<S: Statement>(&self, pk: &ProvingKey<G1Affine>, params: &Params, statement: S, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(key) => caught(|| key.prove(pk, statement.advice(), instance)),
            Self::Portable => proof::prove_unchecked(pk, params, statement, instance),
        }
    }
}
