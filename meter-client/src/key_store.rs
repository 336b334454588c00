//! The member's two secret keys in one file under a passphrase.
//!
//! An envelope of [`gridveil_keystore::passphrase`] with the magic `GVK1` around the owner's key (32 bytes) and the
//! meter's (32).

use std::{io, path::Path};

pub use gridveil_keystore::passphrase::Cost;
use gridveil_keystore::{
    SealError, SealingKey, durable,
    passphrase::{self, PassphraseError},
    random,
};
use gridveil_protocol::schnorr::SecretKey;
use zeroize::Zeroizing;

const MAGIC: [u8; 4] = *b"GVK1";
const SECRET_BYTES: usize = 32;
const FILE_BYTES: usize = 2 * SECRET_BYTES + passphrase::OVERHEAD_BYTES;

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

impl From<PassphraseError> for KeyStoreError {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Format | PassphraseError::Seal(SealError::TooLong) => Self::Format,
            PassphraseError::Cost => Self::Cost,
            PassphraseError::Empty => Self::EmptyPassphrase,
            PassphraseError::Seal(SealError::NotOpened) => Self::Passphrase,
            PassphraseError::Seal(SealError::Randomness(_)) => Self::Randomness,
        }
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
            let seed = Zeroizing::new(random::<64>().map_err(|_| KeyStoreError::Randomness)?);
            Ok::<_, KeyStoreError>(SecretKey::from_seed(&seed))
        };
        Ok(Self { owner: fresh()?, meter: fresh()? })
    }

    /// A new owner key beside the same meter key: what `rotate` gives the account to.
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

    /// Key of the wallet. It comes from the meter's key, as the outbox's does, so that it stays when the owner's key is
    /// rotated.
    #[must_use]
    pub fn wallet_key(&self) -> SealingKey {
        let secret = Zeroizing::new(self.meter.to_bytes());
        SealingKey::new(blake3::derive_key("gridveil wallet v1", secret.as_ref()))
    }

    /// Key of the outbox: packets and receipts hold readings and salts, so they are encrypted at rest.
    #[must_use]
    pub fn outbox_key(&self) -> SealingKey {
        let secret = Zeroizing::new(self.meter.to_bytes());
        SealingKey::new(blake3::derive_key("gridveil meter outbox v1", secret.as_ref()))
    }

    /// Writes a new key file.
    ///
    /// # Errors
    /// [`KeyStoreError`]; an existing file is left as it is.
    pub fn create(&self, path: &Path, passphrase: &str, cost: Cost) -> Result<(), KeyStoreError> {
        let mut plain = Zeroizing::new([0u8; 2 * SECRET_BYTES]);
        plain[..SECRET_BYTES].copy_from_slice(Zeroizing::new(self.owner.to_bytes()).as_ref());
        plain[SECRET_BYTES..].copy_from_slice(Zeroizing::new(self.meter.to_bytes()).as_ref());
        let file = passphrase::seal(MAGIC, passphrase, cost, plain.as_ref())?;
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
        let bytes = durable::read_bounded(path, FILE_BYTES as u64).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => KeyStoreError::Format,
            kind => KeyStoreError::Io(kind),
        })?;
        if bytes.len() != FILE_BYTES {
            return Err(KeyStoreError::Format);
        }
        let plain = passphrase::open(MAGIC, passphrase, &bytes)?;
        let secret = |half: Option<&[u8]>| {
            let bytes: Zeroizing<[u8; 32]> =
                Zeroizing::new(half.and_then(|h| h.try_into().ok()).ok_or(KeyStoreError::Format)?);
            SecretKey::from_bytes(&bytes).map_err(|_| KeyStoreError::Format)
        };
        Ok(Self { owner: secret(plain.get(..SECRET_BYTES))?, meter: secret(plain.get(SECRET_BYTES..))? })
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
        assert_eq!(back.outbox_key().as_bytes(), keys.outbox_key().as_bytes());
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
        for bad in [&good[..FILE_BYTES - 1], &[good.as_slice(), &[0]].concat(), &[]] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Keys::open(&path, "p").unwrap_err(), KeyStoreError::Format);
        }
    }

    /// Key files on disks must open for ever. The bytes come from other implementations of Argon2id and the cipher.
    #[test]
    fn the_layout_does_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let known = "47564b31000000400000000100000001111111111111111111111111111111112222222222222222222222222222222222\
                     22222222222222\
                     fcd67f9c2588aa6d7a024bd19bf895415adf0c3716a6456aaadc45344513718503b1d8f27caf8a73c4715acd276ab0f8\
                     71912244652e607a296482fd3fb63cb4b18f5fe1b096db5b2c2ce63dfaf571bb";
        std::fs::write(&path, hex::decode(known).unwrap()).unwrap();
        let keys = Keys::open(&path, "correct horse").unwrap();
        let secret = |last| std::array::from_fn(|i| if i == SECRET_BYTES - 1 { last } else { 0 });
        assert_eq!([keys.owner.to_bytes(), keys.meter.to_bytes()], [secret(5), secret(6)]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::generate().unwrap();
        assert!(!format!("{keys:?}").contains(&hex::encode(&keys.meter.to_bytes()[..4])));
    }
}
