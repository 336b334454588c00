//! The key that a sequencer and its prover processes share.

use std::{fmt, io, path::Path};

use gridveil_keystore::{SealError, SealingKey, SecretFileError, secret_file};
use zeroize::Zeroizing;

use super::{SpoolError, io_at};
use crate::store::StoreError;

const KEY_ID_BYTES: usize = 8;

/// The key both sides share. Its file holds 64 hex digits.
#[derive(Clone)]
pub struct SpoolKey(SealingKey);

impl fmt::Debug for SpoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpoolKey(hidden)")
    }
}

impl SpoolKey {
    /// A key from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(SealingKey::new(bytes))
    }

    /// Reads a key file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// [`SpoolError::Key`] if it is not 64 hex digits or others can read it; [`SpoolError::Store`].
    pub fn open_or_create(path: &Path) -> Result<Self, SpoolError> {
        match Self::create(path) {
            Err(SpoolError::Store(StoreError::Io { source, .. })) if source.kind() == io::ErrorKind::AlreadyExists => {
                Self::open(path)
            }
            created => created,
        }
    }

    fn create(path: &Path) -> Result<Self, SpoolError> {
        let key = SealingKey::generate()?;
        let digits = Zeroizing::new(hex::encode(key.as_bytes()));
        secret_file::create(path, digits.as_bytes()).map_err(io_at(path))?;
        Ok(Self(key))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let not_a_key = || SpoolError::Key { path: path.to_path_buf() };
        let digits = secret_file::read(path).map_err(|error| match error {
            SecretFileError::Io(source) => io_at(path)(source),
            SecretFileError::ReadableByOthers | SecretFileError::TooLong => not_a_key(),
        })?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits.trim_ascii(), key.as_mut_slice()).map_err(|_| not_a_key())?;
        Ok(Self::new(*key))
    }

    /// Seals `contents` for the place and id that `context` names: `magic | nonce (24) | ciphertext`.
    ///
    /// # Errors
    /// [`SealError::Randomness`], [`SealError::TooLong`].
    pub(crate) fn seal(&self, magic: &[u8; 8], context: &str, contents: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.seal(magic, context.as_bytes(), contents)
    }

    /// What [`Self::seal`] sealed with this key for this context.
    ///
    /// # Errors
    /// [`SealError::NotOpened`] for anything else.
    pub(crate) fn open_sealed(
        &self,
        magic: &[u8; 8],
        context: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.0.open(magic, context.as_bytes(), sealed)
    }

    /// Tells keys apart without telling anything about them.
    pub(crate) fn id(&self) -> [u8; KEY_ID_BYTES] {
        let digest = blake3::derive_key("gridveil queue key id 1", self.0.as_bytes());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        id
    }

    #[cfg(test)]
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}
