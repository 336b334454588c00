//! Generated verifiers as files: `verifiers/<name>.yul` and `artifacts/<name>.json`, to be committed, and compared in CI.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{GeneratedVerifier, VerifierStats};

/// `artifacts/<name>.json` of a verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierArtifact {
    /// Contract name.
    pub name: String,
    /// Exact proof length, bytes.
    pub proof_length: u32,
    /// Public inputs.
    pub instances: u32,
    /// Sizes.
    pub stats: VerifierStats,
    /// Deployment bytecode, `0x` hex.
    pub bytecode: String,
    /// Runtime bytecode, `0x` hex.
    pub deployed_bytecode: String,
}

/// Why an artifact could not be written or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// What is committed is not what is generated.
    #[error("{0} is not what the generator writes")]
    Stale(PathBuf),
}

impl VerifierArtifact {
    /// The artifact of a generated verifier.
    #[must_use]
    pub fn new(verifier: &GeneratedVerifier) -> Self {
        let VerifierStats { proof_bytes, calldata_bytes, .. } = verifier.stats;
        Self {
            name: verifier.name.clone(),
            proof_length: u32::try_from(proof_bytes).unwrap_or(u32::MAX),
            instances: u32::try_from((calldata_bytes - proof_bytes) / 32).unwrap_or(u32::MAX),
            stats: verifier.stats,
            bytecode: format!("0x{}", hex::encode(&verifier.creation)),
            deployed_bytecode: format!("0x{}", hex::encode(&verifier.runtime)),
        }
    }
}

fn files(root: &Path, verifier: &GeneratedVerifier) -> Result<[(PathBuf, String); 2], ArtifactError> {
    let json_path = root.join("artifacts").join(format!("{}.json", verifier.name));
    let json = serde_json::to_string_pretty(&VerifierArtifact::new(verifier))
        .map_err(|e| ArtifactError::File(json_path.clone(), e.into()))?;
    let source_path = root.join("verifiers").join(format!("{}.yul", verifier.name));
    Ok([(json_path, json + "\n"), (source_path, verifier.source.clone())])
}

impl VerifierArtifact {
    /// Is this the artifact of a verifier that has just been generated? `false` means another circuit, key or generator.
    #[must_use]
    pub fn is_of(&self, verifier: &GeneratedVerifier) -> bool {
        *self == Self::new(verifier)
    }
}

/// Writes a verifier's files under `root`, whose folders `verifiers` and `artifacts` exist.
///
/// # Errors
/// [`ArtifactError::File`].
pub fn write_verifier(root: &Path, verifier: &GeneratedVerifier) -> Result<(), ArtifactError> {
    for (path, text) in files(root, verifier)? {
        std::fs::write(&path, text).map_err(|e| ArtifactError::File(path, e))?;
    }
    Ok(())
}

/// Compares a verifier with its committed files.
///
/// # Errors
/// [`ArtifactError::Stale`] if they differ, [`ArtifactError::File`].
pub fn check_verifier(root: &Path, verifier: &GeneratedVerifier) -> Result<(), ArtifactError> {
    for (path, text) in files(root, verifier)? {
        let committed = std::fs::read_to_string(&path).map_err(|e| ArtifactError::File(path.clone(), e))?;
        if committed != text {
            return Err(ArtifactError::Stale(path));
        }
    }
    Ok(())
}
