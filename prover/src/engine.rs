//! Which prover makes the proofs: the vector unit's where the processor has it, else halo2's.

use std::sync::Arc;

use halo2_proofs::plonk::ProvingKey;
use halo2curves::bn256::{Fr, G1Affine};

use crate::{
    proof::{self, ProofError, caught},
    srs::{Params, verifier_params},
    statement::Statement,
};

/// Chooses halo2's prover, to compare.
pub const PORTABLE: &str = "GRIDVEIL_PORTABLE";

/// A way to make proofs under one key.
#[derive(Debug)]
pub enum Engine {
    /// AVX-512 IFMA ([`crate::vector`]).
    #[cfg(target_arch = "x86_64")]
    Vector(Box<crate::vector::VectorKey>),
    /// halo2's own prover.
    Portable(Box<ProvingKey<G1Affine>>),
}

impl Engine {
    /// The fastest this machine has for a key, and the parameters it still needs: the vector engine keeps its own bases.
    #[must_use]
    pub fn new(params: Arc<Params>, pk: ProvingKey<G1Affine>) -> (Arc<Params>, Self) {
        #[cfg(target_arch = "x86_64")]
        if std::env::var_os(PORTABLE).is_none()
            && let Some(key) = crate::vector::VectorKey::new(&params, &pk)
        {
            return (Arc::new(verifier_params(&params)), Self::Vector(Box::new(key)));
        }
        (params, Self::Portable(Box::new(pk)))
    }

    /// Name for reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(_) => "avx512-ifma",
            Self::Portable(_) => "portable",
        }
    }

    /// Makes a proof without checking it, see [`proof::prove_unchecked`].
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn prove<S: Statement>(&self, params: &Params, statement: S, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(key) => caught(|| {
                let advice = statement.advice();
                // The table the columns came from is as large as they are.
                drop(statement);
                key.prove(advice, instance)
            }),
            Self::Portable(pk) => proof::prove_unchecked(pk, params, statement, instance),
        }
    }
}
