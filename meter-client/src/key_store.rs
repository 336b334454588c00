//! The member's two secret keys in one file under a passphrase.
//!
//! ```text
//! "GVK1" | memory KiB u32 | passes u32 | lanes u32 | salt 16 | nonce 24 | XChaCha20-Poly1305(owner 32, meter 32) 64 + 16
//! ```
//! Integers big-endian. The key is Argon2id (version 0x13) of the passphrase; everything before the ciphertext is
//! authenticated with it.

use std::{io, path::Path};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use gridveil_protocol::schnorr::SecretKey;
use zeroize::Zeroizing;

use crate::durable;

const MAGIC: &[u8; 4] = b"GVK1";
const HEADER: usize = 4 + 12 + 16 + 24;
const FILE: usize = HEADER + 64 + 16;
/// Most memory a file may ask for: a foreign file must not stop the machine.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 16;

/// Why keys cannot be stored or opened. Carries no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyStoreError {
    /// There is a file of that name.
    #[error("there is already a key file of that name; keys are never overwritten")]
    Exists,
    /// File system.
    #[error("key file: {0}")]
    Io(io::ErrorKind),
    /// Not a key file, or damaged outside the ciphertext's protection.
    #[error("not a key file")]
    Format,
    /// Cost parameters out of bounds.
    #[error("key file asks for an unreasonable key derivation cost")]
    Cost,
    /// Wrong passphrase, or the file was changed.
    #[error("wrong passphrase, or the key file was changed")]
    Passphrase,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// Cost of Argon2id.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// 64 MiB, three passes: RFC 9106, section 4, second recommended option, with one lane.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }
}

impl Cost {
    fn derive(&self, passphrase: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        if passphrase.is_empty() {
            return Err(KeyStoreError::EmptyPassphrase);
        }
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES || self.lanes > MAX_LANES {
            return Err(KeyStoreError::Cost);
        }
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| KeyStoreError::Cost)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
            .map_err(|_| KeyStoreError::Cost)?;
        Ok(key)
    }
}

/// The owner's key (receipts, later operations) and the meter's key (packets).
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs requests.
    pub owner: SecretKey,
    /// Signs packets.
    pub meter: SecretKey,
}

impl Keys {
    /// Two independent keys from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn generate() -> Result<Self, KeyStoreError> {
        let fresh = || {
            let mut seed = Zeroizing::new([0u8; 64]);
            getrandom::fill(seed.as_mut()).map_err(|_| KeyStoreError::Randomness)?;
            Ok(SecretKey::from_seed(&seed))
        };
        Ok(Self { owner: fresh()?, meter: fresh()? })
    }

    /// A new owner key beside the same meter: what an account is handed over to when its key is rotated.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn with_new_owner(&self) -> Result<Self, KeyStoreError> {
        Ok(Self { owner: Self::generate()?.owner, meter: self.meter.clone() })
    }

    /// A new meter key beside the same owner: for another meter.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn with_new_meter(&self) -> Result<Self, KeyStoreError> {
        Ok(Self { owner: self.owner.clone(), meter: Self::generate()?.meter })
    }

    /// Key of the wallet. From the meter's key, as the outbox's: it stays when the owner's key is rotated.
    #[must_use]
    pub fn wallet_key(&self) -> Zeroizing<[u8; 32]> {
        let secret = Zeroizing::new(self.meter.to_bytes());
        Zeroizing::new(blake3::derive_key("gridveil wallet v1", secret.as_ref()))
    }

    /// Key of the outbox: packets and receipts hold readings and salts, so they are encrypted at rest.
    #[must_use]
    pub fn outbox_key(&self) -> Zeroizing<[u8; 32]> {
        let secret = Zeroizing::new(self.meter.to_bytes());
        Zeroizing::new(blake3::derive_key("gridveil meter outbox v1", secret.as_ref()))
    }

    /// Writes a new key file.
    ///
    /// # Errors
    /// [`KeyStoreError`]; an existing file is left as it is.
    pub fn create(&self, path: &Path, passphrase: &str, cost: Cost) -> Result<(), KeyStoreError> {
        let mut file = Vec::with_capacity(FILE);
        file.extend(MAGIC);
        for x in [cost.memory_kib, cost.passes, cost.lanes] {
            file.extend(x.to_be_bytes());
        }
        let mut random = [0u8; 40];
        getrandom::fill(&mut random).map_err(|_| KeyStoreError::Randomness)?;
        file.extend(random);
        let (salt, nonce) = random.split_at(16);
        let key = cost.derive(passphrase, salt)?;
        let mut plain = Zeroizing::new([0u8; 64]);
        plain[..32].copy_from_slice(Zeroizing::new(self.owner.to_bytes()).as_ref());
        plain[32..].copy_from_slice(Zeroizing::new(self.meter.to_bytes()).as_ref());
        let sealed = XChaCha20Poly1305::new(key.as_ref().into())
            .encrypt(XNonce::from_slice(nonce), Payload { msg: plain.as_ref(), aad: &file })
            .map_err(|_| KeyStoreError::Format)?;
        file.extend(sealed);
        durable::create_new(path, &file).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => KeyStoreError::Exists,
            kind => KeyStoreError::Io(kind),
        })
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn open(path: &Path, passphrase: &str) -> Result<Self, KeyStoreError> {
        let bytes = durable::read_bounded(path, FILE as u64).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => KeyStoreError::Format,
            kind => KeyStoreError::Io(kind),
        })?;
        let (header, sealed) =
            bytes.split_at_checked(HEADER).filter(|_| bytes.len() == FILE).ok_or(KeyStoreError::Format)?;
        let rest = header.strip_prefix(MAGIC).ok_or(KeyStoreError::Format)?;
        let (costs, random) = rest.split_at(12);
        let (salt, nonce) = random.split_at(16);
        let mut costs = costs.chunks(4).map(|c| c.iter().fold(0u32, |acc, b| acc << 8 | u32::from(*b)));
        let mut next = || costs.next().unwrap_or(0);
        let cost = Cost { memory_kib: next(), passes: next(), lanes: next() };
        let key = cost.derive(passphrase, salt)?;
        let plain = XChaCha20Poly1305::new(key.as_ref().into())
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: header })
            .map_err(|_| KeyStoreError::Passphrase)?;
        let plain = Zeroizing::new(plain);
        let secret = |half: Option<&[u8]>| {
            let bytes: Zeroizing<[u8; 32]> =
                Zeroizing::new(half.and_then(|h| h.try_into().ok()).ok_or(KeyStoreError::Format)?);
            SecretKey::from_bytes(&bytes).map_err(|_| KeyStoreError::Format)
        };
        Ok(Self { owner: secret(plain.get(..32))?, meter: secret(plain.get(32..))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn keys_come_back_only_with_the_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let keys = Keys::generate().unwrap();
        assert!(keys.owner.public() != keys.meter.public());
        keys.create(&path, "correct horse", CHEAP).unwrap();
        let back = Keys::open(&path, "correct horse").unwrap();
        assert!(back.owner.public() == keys.owner.public() && back.meter.public() == keys.meter.public());
        assert_eq!(*back.outbox_key(), *keys.outbox_key());
        assert_eq!(Keys::open(&path, "correct horsf").unwrap_err(), KeyStoreError::Passphrase);
        assert_eq!(Keys::open(&path, "").unwrap_err(), KeyStoreError::EmptyPassphrase);
        // Never overwritten, nothing left behind.
        assert_eq!(Keys::generate().unwrap().create(&path, "x", CHEAP), Err(KeyStoreError::Exists));
        assert!(Keys::open(&path, "correct horse").is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let keys = Keys::generate().unwrap();
        keys.create(&path, "p", CHEAP).unwrap();
        let good = std::fs::read(&path).unwrap();
        assert!(!good.windows(32).any(|w| w == keys.owner.to_bytes() || w == keys.meter.to_bytes()));
        // The two high bytes of a cost ask for gigabytes: refused before any work.
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(Keys::open(&path, "p").is_err(), "byte {i}");
        }
        for bad in [&good[..FILE - 1], &[good.as_slice(), &[0]].concat(), &[]] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Keys::open(&path, "p").unwrap_err(), KeyStoreError::Format);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::generate().unwrap();
        assert!(!format!("{keys:?}").contains(&hex::encode(&keys.meter.to_bytes()[..4])));
    }
}
