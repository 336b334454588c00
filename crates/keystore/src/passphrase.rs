//! An envelope under a passphrase.
//!
//! ```text
//! magic 4 | memory KiB u32 | passes u32 | lanes u32 | salt 16 | nonce 24 | XChaCha20-Poly1305(content)
//! ```
//! Integers big-endian. The key is Argon2id (version 0x13) of the passphrase; everything before the ciphertext is
//! authenticated with it.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::{
    random,
    sealed::{NONCE_BYTES, SealError, SealingKey, TAG_BYTES},
};

const MAGIC_BYTES: usize = 4;
const COST_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC_BYTES + COST_BYTES + SALT_BYTES + NONCE_BYTES;
/// Bytes by which an envelope is longer than its content.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Most memory an envelope may ask for: a foreign file must not stop the machine.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 16;

/// Why an envelope is not made or opened. Carries no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Another magic, or too short for a header.
    #[error("not an envelope of this kind")]
    Format,
    /// Cost parameters out of bounds.
    #[error("an unreasonable key derivation cost")]
    Cost,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// The cipher.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Cost of Argon2id.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// KiB, at most 2^20.
    pub memory_kib: u32,
    /// Passes over the memory, at most 64.
    pub passes: u32,
    /// Lanes, at most 16.
    pub lanes: u32,
}

impl Default for Cost {
    /// 64 MiB, three passes: RFC 9106, section 4, second recommended option, with one lane.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }
}

impl Cost {
    /// 19 MiB, two passes, one lane: what OWASP recommends where memory is scarce. For a device that opens the envelope beside
    /// a meter.
    pub const SMALL: Self = Self { memory_kib: 19 << 10, passes: 2, lanes: 1 };

    fn to_bytes(self) -> [u8; COST_BYTES] {
        let mut bytes = [0; COST_BYTES];
        for (at, value) in bytes.chunks_exact_mut(4).zip([self.memory_kib, self.passes, self.lanes]) {
            at.copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut values = bytes.chunks(4).map(|c| c.iter().fold(0u32, |acc, b| acc << 8 | u32::from(*b)));
        let mut next = || values.next().unwrap_or(0);
        Self { memory_kib: next(), passes: next(), lanes: next() }
    }

    fn derive(self, passphrase: &str, salt: &[u8]) -> Result<SealingKey, PassphraseError> {
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES || self.lanes > MAX_LANES {
            return Err(PassphraseError::Cost);
        }
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| PassphraseError::Cost)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
            .map_err(|_| PassphraseError::Cost)?;
        Ok(SealingKey::new(*key))
    }
}

/// Seals `content` under a passphrase.
///
/// # Errors
/// [`PassphraseError`].
pub fn seal(
    magic: [u8; MAGIC_BYTES],
    passphrase: &str,
    cost: Cost,
    content: &[u8],
) -> Result<Vec<u8>, PassphraseError> {
    let salt = random::<SALT_BYTES>().map_err(SealError::from)?;
    let nonce = random::<NONCE_BYTES>().map_err(SealError::from)?;
    let mut envelope = [&magic[..], &cost.to_bytes(), &salt, &nonce].concat();
    let sealed = cost.derive(passphrase, &salt)?.seal_at(&nonce, &envelope, content)?;
    envelope.extend(sealed);
    Ok(envelope)
}

/// Opens what [`seal`] sealed.
///
/// # Errors
/// [`PassphraseError`]; a wrong passphrase is [`SealError::NotOpened`].
pub fn open(
    magic: [u8; MAGIC_BYTES],
    passphrase: &str,
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PassphraseError> {
    let (header, sealed) = envelope.split_at_checked(HEADER_BYTES).ok_or(PassphraseError::Format)?;
    let rest = header.strip_prefix(&magic).ok_or(PassphraseError::Format)?;
    let (cost, rest) = rest.split_at(COST_BYTES);
    let (salt, nonce) = rest.split_at(SALT_BYTES);
    let nonce = nonce.first_chunk().ok_or(PassphraseError::Format)?;
    Ok(Cost::from_bytes(cost).derive(passphrase, salt)?.open_apart(header, nonce, sealed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn content_comes_back_only_with_the_passphrase() {
        let envelope = seal(*b"TEST", "correct horse", CHEAP, b"content").unwrap();
        assert_eq!(envelope.len(), 7 + OVERHEAD_BYTES);
        assert_eq!(open(*b"TEST", "correct horse", &envelope).unwrap().as_slice(), b"content");
        let refused = |magic, passphrase| open(magic, passphrase, &envelope).unwrap_err();
        assert_eq!(refused(*b"TEST", "correct horsf"), PassphraseError::Seal(SealError::NotOpened));
        assert_eq!(refused(*b"TEST", ""), PassphraseError::Empty);
        assert_eq!(refused(*b"TESS", "correct horse"), PassphraseError::Format);
        assert_eq!(seal(*b"TEST", "", CHEAP, b"content"), Err(PassphraseError::Empty));
    }

    /// Files on disks must open for ever. The bytes come from other implementations of Argon2id and the cipher.
    #[test]
    fn the_layout_does_not_change() {
        let known = "54455354000000400000000100000001111111111111111111111111111111112222222222222222222222222222222222\
                     22222222222222\
                     9fb911e840e6debe82cd9100fd0072e2ec3893aebd2ed7";
        let envelope = hex::decode(known).unwrap();
        assert_eq!(open(*b"TEST", "correct horse", &envelope).unwrap().as_slice(), b"content");
    }

    #[test]
    fn a_foreign_envelope_does_not_stop_the_machine() {
        let mut envelope = seal(*b"TEST", "p", CHEAP, b"content").unwrap();
        for (at, most) in [(4, MAX_MEMORY_KIB), (8, MAX_PASSES), (12, MAX_LANES)] {
            let good = envelope.clone();
            envelope[at..at + 4].copy_from_slice(&(most + 1).to_be_bytes());
            assert_eq!(open(*b"TEST", "p", &envelope).unwrap_err(), PassphraseError::Cost);
            envelope = good;
        }
    }
}
