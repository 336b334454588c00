//! Verifiers of this project's circuits, made by [`verifier_codegen`], and a toy settlement for tests.

pub mod fixture;

use std::path::{Path, PathBuf};

use halo2_proofs::{plonk::VerifyingKey, poly::kzg::commitment::ParamsKZG};
use halo2curves::{
    Coordinates, CurveAffine,
    bn256::{Bn256, G1Affine, G2Affine},
    ff::PrimeField,
};

pub use verifier_codegen::{CodegenError, GeneratedVerifier, VerifierStats, artifact, solc::Solc};
use verifier_codegen::{Multiopen, generate_verifier};

/// The solc whose code is compared everywhere: bytecode depends on its version.
pub const SOLC_VERSION: &str = "0.8.30";

/// Why there is no compiler.
#[derive(Debug, thiserror::Error)]
pub enum SolcError {
    /// npm's package is nowhere.
    #[error("no solc: run `npm install solc@{SOLC_VERSION}` in this folder (node 20 is needed), and try again")]
    Missing,
    /// Another version, whose code is another.
    #[error(
        "{folder}: solc {found}, and verifiers are compiled with {SOLC_VERSION}: run `npm install solc@{SOLC_VERSION}` there"
    )]
    Version {
        /// Where it is.
        folder: PathBuf,
        /// Its version.
        found: String,
    },
}

/// npm's solc as the user has it: in `node_modules` of this folder or of one above it, as node looks for it, or of
/// `verifier-contract` there.
///
/// # Errors
/// [`SolcError`].
pub fn installed_solc(folder: &Path) -> Result<Solc, SolcError> {
    let folders = folder.ancestors().flat_map(|folder| [folder.to_path_buf(), folder.join("verifier-contract")]);
    for folder in folders {
        let Ok(package) = std::fs::read(folder.join("node_modules/solc/package.json")) else { continue };
        let package: serde_json::Value = serde_json::from_slice(&package).unwrap_or_default();
        let found = package.get("version").and_then(serde_json::Value::as_str).unwrap_or("of no version");
        if found != SOLC_VERSION {
            return Err(SolcError::Version { folder, found: found.chars().take(40).collect() });
        }
        return Ok(Solc::npm(&folder));
    }
    Err(SolcError::Missing)
}

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
    generate_with(&solc(), params, vk, &num_instance, name)
}

/// The same with the user's compiler.
///
/// # Errors
/// [`CodegenError`].
pub fn generate_with(
    solc: &Solc,
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: &[usize],
    name: &str,
) -> Result<GeneratedVerifier, CodegenError> {
    generate_verifier(solc, params, vk, num_instance, name, Multiopen::Shplonk)
}

/// True if a verifier's code holds every commitment of a key and the setup's point: that code is for this key, whatever
/// wrote it.
#[must_use]
pub fn holds_key(runtime: &[u8], params: &ParamsKZG<Bn256>, vk: &VerifyingKey<G1Affine>) -> bool {
    let permutation = vk.permutation().commitments().iter();
    let coordinates = vk.fixed_commitments().iter().chain(permutation).filter_map(|point| {
        let coordinates: Option<Coordinates<G1Affine>> = point.coordinates().into();
        coordinates.map(|point| [*point.x(), *point.y()])
    });
    let setup: Option<Coordinates<G2Affine>> = params.s_g2().coordinates().into();
    let setup = setup.map(|point| [point.x().c0, point.x().c1]);
    coordinates.chain(setup).flatten().all(|element| {
        let mut word = element.to_repr();
        word.reverse();
        // A constant in the code has no leading zeros.
        let digits = word.iter().position(|byte| *byte != 0).and_then(|first| word.get(first..)).unwrap_or_default();
        digits.is_empty() || runtime.windows(digits.len()).any(|window| window == digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_of_another_version_or_none_is_refused_with_what_to_do() {
        let dir = std::env::temp_dir().join(format!("gridveil-solc-{}", std::process::id()));
        let below = dir.join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let package = dir.join("verifier-contract/node_modules/solc");
        std::fs::create_dir_all(&package).unwrap();
        let write = |text: &str| std::fs::write(package.join("package.json"), text).unwrap();
        write(r#"{"version":"0.8.30"}"#);
        assert!(installed_solc(&below).is_ok());
        for text in [r#"{"version":"0.8.31"}"#, "{}", "no json"] {
            write(text);
            let error = installed_solc(&below).unwrap_err().to_string();
            assert!(error.contains("npm install solc@0.8.30"), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
