//! Sealed envelopes: XChaCha20-Poly1305 with a random nonce and a context that is authenticated with the content.
//!
//! The nonce has 24 bytes, so random ones do not repeat in practice. The context says what an envelope is for. An
//! envelope that is put in another's place does not open.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{NoRandomness, random};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes by which a ciphertext is longer than its content.
pub const TAG_BYTES: usize = 16;

/// Why something is not sealed or opened. Carries no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No nonce.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// More than the 256 GiB that the cipher takes.
    #[error("too long to be sealed")]
    TooLong,
    /// Sealed with another key or for another context, or damaged.
    #[error("not sealed with this key for this place, or damaged")]
    NotOpened,
}

/// A symmetric key of 256 bits, wiped when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealingKey([u8; 32]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(hidden)")
    }
}

impl SealingKey {
    /// A key from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key of the operating system's randomness.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(random()?))
    }

    /// Its bytes, for who wraps it or keeps it in a secret file.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `content`: `head | nonce 24 | ciphertext`, with `context` authenticated. The head itself is not.
    ///
    /// # Errors
    /// [`SealError::Randomness`], [`SealError::TooLong`].
    pub fn seal(&self, head: &[u8], context: &[u8], content: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, ciphertext) = self.seal_apart(context, content)?;
        Ok([head, &nonce, &ciphertext].concat())
    }

    /// Opens what [`Self::seal`] sealed with this key, head and context.
    ///
    /// # Errors
    /// [`SealError::NotOpened`].
    pub fn open(&self, head: &[u8], context: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = envelope.strip_prefix(head).ok_or(SealError::NotOpened)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(SealError::NotOpened)?;
        self.open_apart(context, nonce, ciphertext)
    }

    /// As [`Self::seal`], for formats that keep nonce and ciphertext in fields of their own.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_apart(&self, context: &[u8], content: &[u8]) -> Result<([u8; NONCE_BYTES], Vec<u8>), SealError> {
        let nonce = random()?;
        Ok((nonce, self.seal_at(&nonce, context, content)?))
    }

    /// Opens what [`Self::seal_apart`] sealed with this key and context.
    ///
    /// # Errors
    /// [`SealError::NotOpened`].
    pub fn open_apart(
        &self,
        context: &[u8],
        nonce: &[u8; NONCE_BYTES],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let payload = Payload { msg: ciphertext, aad: context };
        let opened = self.cipher().decrypt(XNonce::from_slice(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError::NotOpened)
    }

    /// For a context that holds the nonce. A nonce is used once.
    pub(crate) fn seal_at(
        &self,
        nonce: &[u8; NONCE_BYTES],
        context: &[u8],
        content: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: content, aad: context };
        self.cipher().encrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::TooLong)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_head_and_context_open_it() {
        let key = SealingKey::generate().unwrap();
        let envelope = key.seal(b"GV1", b"for a", b"content").unwrap();
        assert_eq!(envelope.len(), 3 + NONCE_BYTES + 7 + TAG_BYTES);
        assert_eq!(key.open(b"GV1", b"for a", &envelope).unwrap().as_slice(), b"content");
        assert_ne!(key.seal(b"GV1", b"for a", b"content").unwrap(), envelope, "every nonce is another");
        let stranger = SealingKey::new([7; 32]);
        assert_eq!(stranger.open(b"GV1", b"for a", &envelope), Err(SealError::NotOpened));
        assert_eq!(key.open(b"GV2", b"for a", &envelope), Err(SealError::NotOpened));
        assert_eq!(key.open(b"GV1", b"for b", &envelope), Err(SealError::NotOpened));
        for position in 0..envelope.len() {
            let mut bad = envelope.clone();
            bad[position] ^= 1;
            assert_eq!(key.open(b"GV1", b"for a", &bad), Err(SealError::NotOpened), "byte {position}");
            assert_eq!(key.open(b"GV1", b"for a", &envelope[..position]), Err(SealError::NotOpened));
        }
    }

    /// Files on disks must open for ever. The bytes come from another implementation of the cipher.
    #[test]
    fn the_layout_does_not_change() {
        let key = SealingKey::new([0x42; 32]);
        let sealed = key.seal_at(&[0x24; NONCE_BYTES], b"context", b"content").unwrap();
        assert_eq!(hex::encode(sealed), "c631b9110b4a384fd56afea45d7415e2f3c73ba3211fad");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", SealingKey::new([0x41; 32])), "SealingKey(hidden)");
    }
}
