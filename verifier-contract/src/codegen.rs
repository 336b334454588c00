//! Verifiers of this project's circuits, made by [`verifier_codegen`], and a toy settlement for tests.

pub mod fixture;

use std::path::Path;

use halo2_proofs::{plonk::VerifyingKey, poly::kzg::commitment::ParamsKZG};
use halo2curves::bn256::{Bn256, G1Affine};

pub use verifier_codegen::{CodegenError, GeneratedVerifier, VerifierStats, artifact};
use verifier_codegen::{Multiopen, generate_verifier, solc::Solc};

/// The solc that every contract of this folder is compiled with: npm's, at the version of `package-lock.json`.
#[must_use]
pub fn solc() -> Solc {
    Solc::npm(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// Generates and compiles the verifier for `vk`, with SHPLONK. `num_instance` is the number of public inputs of each
/// instance column.
///
/// # Errors
/// [`CodegenError`]; [`CodegenError::Solc`] if `npm ci` was not run in this folder.
pub fn generate_settlement_verifier(
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: Vec<usize>,
    name: &str,
) -> Result<GeneratedVerifier, CodegenError> {
    generate_verifier(&solc(), params, vk, &num_instance, name, Multiopen::Shplonk)
}
