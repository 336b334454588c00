//! Which prover makes the proofs: the vector unit's where the processor has it, else halo2's.

use std::{
    io::{self, Read},
    sync::Arc,
};

use halo2_ifma::portable;
#[cfg(target_arch = "x86_64")]
use halo2_ifma::{Ifma, Parts, VectorKey};
use halo2_proofs::{
    SerdeFormat,
    plonk::{ConstraintSystem, ProvingKey, VerifyingKey},
    transcript::TranscriptWriterBuffer as _,
};
use halo2curves::bn256::{Fr, G1Affine};
use rand::rngs::OsRng;

use crate::{
    proof::{ProofError, Transcript, caught},
    srs::{Params, verifier_params},
    statement::Statement,
};

/// Chooses halo2's prover, to compare.
pub const PORTABLE: &str = "GRIDVEIL_PORTABLE";

#[cfg(target_arch = "x86_64")]
fn ifma() -> Option<Ifma> {
    if std::env::var_os(PORTABLE).is_some() { None } else { Ifma::detect() }
}

/// Name of the engine that this process would make proofs with.
#[must_use]
pub fn available() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if ifma().is_some() {
        return "avx512-ifma";
    }
    "portable"
}

/// What an engine is made from.
#[derive(Debug)]
pub enum Material {
    /// For the vector unit: what it needs of a key, and no more.
    #[cfg(target_arch = "x86_64")]
    Vector(Ifma, Box<Parts>),
    /// halo2's key.
    Portable(Box<ProvingKey<G1Affine>>),
}

impl Material {
    /// From a key just made.
    #[must_use]
    pub fn of(pk: ProvingKey<G1Affine>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(ifma) = ifma()
            && VectorKey::supports(pk.get_vk().cs(), pk.get_vk().get_domain().k()).is_ok()
        {
            return Self::Vector(ifma, Box::new(Parts::of(&pk)));
        }
        Self::Portable(Box::new(pk))
    }

    /// From a key written in [`SerdeFormat::RawBytesUnchecked`], whose bytes are known to be whole.
    ///
    /// # Errors
    /// Of the reader.
    pub fn read<S: Statement>(reader: &mut impl Read, size: S::Params) -> io::Result<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(ifma) = ifma()
            && VectorKey::supports(&constraint_system::<S>(size), S::k(&size)).is_ok()
        {
            return Ok(Self::Vector(ifma, Box::new(Parts::read::<_, S>(reader, size)?)));
        }
        Ok(Self::Portable(Box::new(ProvingKey::read::<_, S>(reader, SerdeFormat::RawBytesUnchecked, size)?)))
    }

    /// The verifying key.
    #[must_use]
    pub fn vk(&self) -> &VerifyingKey<G1Affine> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(_, parts) => parts.vk(),
            Self::Portable(pk) => pk.get_vk(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn constraint_system<S: Statement>(size: S::Params) -> ConstraintSystem<Fr> {
    let mut cs = ConstraintSystem::default();
    S::configure_with_params(&mut cs, size);
    cs
}

/// A way to make proofs under one key.
#[derive(Debug)]
pub enum Engine {
    /// AVX-512 IFMA ([`halo2_ifma`]).
    #[cfg(target_arch = "x86_64")]
    Vector(Box<VectorKey>),
    /// halo2's own prover.
    Portable(Box<ProvingKey<G1Affine>>),
}

impl Engine {
    /// The engine, and the parameters that are still needed beside it: the vector engine keeps bases of its own.
    ///
    /// # Errors
    /// [`ProofError::Unsupported`] for a circuit the vector engine does not know; no shape of this project is one.
    pub fn new(params: Arc<Params>, material: Material) -> Result<(Arc<Params>, Self), ProofError> {
        match material {
            #[cfg(target_arch = "x86_64")]
            Material::Vector(ifma, parts) => {
                let key = VectorKey::new(ifma, &params, *parts)
                    .map_err(|_| ProofError::Unsupported { variable: PORTABLE })?;
                Ok((Arc::new(verifier_params(&params)), Self::Vector(Box::new(key))))
            }
            Material::Portable(pk) => Ok((params, Self::Portable(pk))),
        }
    }

    /// Makes a proof without checking it. Callers check it, because a false witness makes a false proof and no error.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn prove<S: Statement>(&self, params: &Params, statement: S, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        caught(|| {
            let advice = statement.advice();
            // The table the columns came from is as large as they are.
            drop(statement);
            self.prove_columns(params, advice, instance)
        })
    }

    /// Of no type but its own, so that it is compiled here, optimised, and not with whatever crate proves something.
    fn prove_columns(&self, params: &Params, advice: Vec<Vec<Fr>>, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        let mut transcript = Transcript::init(Vec::new());
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vector(key) => key.prove(advice, instance, OsRng, &mut transcript)?,
            Self::Portable(pk) => portable::prove(pk, params, advice, instance, OsRng, &mut transcript)?,
        }
        Ok(transcript.finalize())
    }
}
