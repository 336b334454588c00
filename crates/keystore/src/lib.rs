//! Durable files, sealed envelopes and secret files, for every program of the workspace.
//!
//! The crate knows no format of its users: they choose magic, context and content. Nothing here logs, and no error
//! carries a secret.

#![forbid(unsafe_code)]

pub mod durable;
pub mod passphrase;
pub mod sealed;
pub mod secret_file;
pub mod token;

pub use sealed::{SealError, SealingKey};
pub use secret_file::SecretFileError;

/// The operating system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoRandomness;

/// `N` fresh bytes of the operating system.
///
/// # Errors
/// [`NoRandomness`].
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
