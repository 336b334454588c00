//! A household's keys in one file under a passphrase. The meter's key is not among them: it is its device's
//! ([`crate::device`]).
//!
//! An envelope of [`gridveil_keystore::passphrase`] with the magic `GVK2` around the owner's key (32 bytes) and the folder's
//! secret (32). In a file of the first kind, `GVK1`, the second is the meter's key, which is the folder's secret too.

use std::{io, path::Path};

pub use gridveil_keystore::passphrase::Cost;
use gridveil_keystore::{
    SealError, SealingKey, durable,
    passphrase::{self, PassphraseError},
    random,
    token::TokenError,
};
use gridveil_protocol::schnorr::SecretKey;
use zeroize::Zeroizing;

use crate::device::{self, Device};

/// Of a household's file.
const MAGIC: [u8; 4] = *b"GVK2";
/// Of a file that has the meter's key too.
pub(crate) const WITH_METER: [u8; 4] = *b"GVK1";
pub(crate) const SECRET_BYTES: usize = 32;
pub(crate) const FILE_BYTES: usize = 2 * SECRET_BYTES + passphrase::OVERHEAD_BYTES;

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
    /// The device's, where the household's is needed.
    #[error("this is the key file of a meter's device; the household's is needed")]
    OfDevice,
    /// The household's, where the device's is needed.
    #[error("this is a household's key file; that of the meter's device is needed")]
    OfHousehold,
    /// Cost parameters out of bounds.
    #[error("key file asks for an unreasonable key derivation cost")]
    Cost,
    /// Wrong passphrase, or the file was changed.
    #[error("wrong passphrase, or the key file was changed")]
    Passphrase,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Sealed with a token, and none is named.
    #[error("this key file was sealed with a PKCS#11 token: name it with --token-module and --token")]
    NeedsToken,
    /// What the token says.
    #[error(transparent)]
    Token(TokenError),
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

impl From<TokenError> for KeyStoreError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Format => Self::Format,
            error => Self::Token(error),
        }
    }
}

/// The owner's key, which signs operations and requests, and the secret that the member's folder is sealed with.
///
/// The second is apart from the first, so that it stays when the owner's key is rotated, and apart from the meter's, so that
/// who has the device opens no wallet.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs requests and operations.
    pub owner: SecretKey,
    folder: SealingKey,
    device: Option<Device>,
}

impl Keys {
    /// Independent secrets from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn generate() -> Result<Self, KeyStoreError> {
        let folder = SealingKey::generate().map_err(|_| KeyStoreError::Randomness)?;
        Ok(Self { owner: secret_key()?, folder, device: None })
    }

    /// With secrets that are known.
    #[must_use]
    pub const fn of(owner: SecretKey, folder: SealingKey) -> Self {
        Self { owner, folder, device: None }
    }

    /// A new owner key beside the same folder: what `rotate` gives the account to.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn with_new_owner(&self) -> Result<Self, KeyStoreError> {
        Ok(Self { owner: secret_key()?, ..self.clone() })
    }

    /// Do both open the same folder?
    #[must_use]
    pub fn same_folder(&self, other: &Self) -> bool {
        self.folder.as_bytes() == other.folder.as_bytes()
    }

    /// The device's key, of a file that has it too.
    #[must_use]
    pub const fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Key of the wallet.
    #[must_use]
    pub fn wallet_key(&self) -> SealingKey {
        SealingKey::new(blake3::derive_key("gridveil wallet v1", self.folder.as_bytes()))
    }

    /// Key of the outbox: packets and receipts hold readings and salts, so they are encrypted at rest.
    #[must_use]
    pub fn outbox_key(&self) -> SealingKey {
        outbox_key(self.folder.as_bytes())
    }

    /// Writes a new key file.
    ///
    /// # Errors
    /// [`KeyStoreError`]; an existing file is left as it is.
    pub fn create(&self, path: &Path, passphrase: &str, cost: Cost) -> Result<(), KeyStoreError> {
        let mut plain = Zeroizing::new([0u8; 2 * SECRET_BYTES]);
        plain[..SECRET_BYTES].copy_from_slice(Zeroizing::new(self.owner.to_bytes()).as_ref());
        plain[SECRET_BYTES..].copy_from_slice(self.folder.as_bytes());
        create_new(path, &passphrase::seal(MAGIC, passphrase, cost, plain.as_ref())?)
    }

    /// Opens a key file, also one of the first kind.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn open(path: &Path, passphrase: &str) -> Result<Self, KeyStoreError> {
        let bytes = read(path)?;
        if device::is_device(&bytes) {
            return Err(KeyStoreError::OfDevice);
        }
        if bytes.len() != FILE_BYTES {
            return Err(KeyStoreError::Format);
        }
        let with_meter = bytes.starts_with(&WITH_METER);
        let plain = passphrase::open(if with_meter { WITH_METER } else { MAGIC }, passphrase, &bytes)?;
        let (owner, folder) = plain.split_at_checked(SECRET_BYTES).ok_or(KeyStoreError::Format)?;
        let folder: Zeroizing<[u8; 32]> = Zeroizing::new(folder.try_into().map_err(|_| KeyStoreError::Format)?);
        let device = if with_meter { Some(Device::of(secret_of(folder.as_ref())?)) } else { None };
        Ok(Self { owner: secret_of(owner)?, folder: SealingKey::new(*folder), device })
    }
}

/// The key that an outbox is sealed with, from the secret of who fills it.
pub(crate) fn outbox_key(secret: &[u8; 32]) -> SealingKey {
    SealingKey::new(blake3::derive_key("gridveil meter outbox v1", secret))
}

pub(crate) fn secret_key() -> Result<SecretKey, KeyStoreError> {
    let seed = Zeroizing::new(random::<64>().map_err(|_| KeyStoreError::Randomness)?);
    Ok(SecretKey::from_seed(&seed))
}

pub(crate) fn secret_of(bytes: &[u8]) -> Result<SecretKey, KeyStoreError> {
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().map_err(|_| KeyStoreError::Format)?);
    SecretKey::from_bytes(&bytes).map_err(|_| KeyStoreError::Format)
}

pub(crate) fn create_new(path: &Path, file: &[u8]) -> Result<(), KeyStoreError> {
    durable::create_new(path, file).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => KeyStoreError::Exists,
        kind => KeyStoreError::Io(kind),
    })
}

/// Longer than any key file is none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, KeyStoreError> {
    durable::read_bounded(path, 1 << 10).map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => KeyStoreError::Format,
        kind => KeyStoreError::Io(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Unlock;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn keys_come_back_only_with_the_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let keys = Keys::generate().unwrap();
        keys.create(&path, "correct horse", CHEAP).unwrap();
        let back = Keys::open(&path, "correct horse").unwrap();
        assert!(back.owner.public() == keys.owner.public() && back.same_folder(&keys));
        assert_eq!(back.outbox_key().as_bytes(), keys.outbox_key().as_bytes());
        assert!(back.device().is_none(), "the meter's key is not in it");
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
        assert!(!good.windows(32).any(|w| w == keys.owner.to_bytes() || w == keys.folder.as_bytes()));
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
        let meter = keys.device().unwrap().secret().to_bytes();
        assert_eq!([keys.owner.to_bytes(), meter], [secret(5), secret(6)]);
        // Its folder is sealed as it always was, and the file is a device's too.
        assert_eq!(
            keys.outbox_key().as_bytes(),
            Device::of(SecretKey::from_bytes(&meter).unwrap()).outbox_key().as_bytes()
        );
        let device = Device::open(&path, Unlock::Passphrase("correct horse")).unwrap();
        assert_eq!(device.secret().to_bytes(), secret(6));
        // The file of today differs in its magic alone.
        let mut new = hex::decode(known).unwrap();
        new[3] = b'2';
        std::fs::write(&path, new).unwrap();
        assert_eq!(
            Keys::open(&path, "correct horse").unwrap_err(),
            KeyStoreError::Passphrase,
            "the magic is authenticated"
        );
    }

    /// As [`the_layout_does_not_change`], for the household's file of today.
    #[test]
    fn the_households_layout_does_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let known = "47564b3200000040000000010000000111111111111111111111111111111111222222222222222222222222\
                     222222222222222222222222fcd67f9c2588aa6d7a024bd19bf895415adf0c3716a6456aaadc453445137185\
                     03b1d8f27caf8a73c4715acd276ab0f871912244652e607a296482fd3fb63cb4fd9c5024255745cbeaf32634\
                     00ef1acc";
        std::fs::write(&path, hex::decode(known).unwrap()).unwrap();
        let keys = Keys::open(&path, "correct horse").unwrap();
        let secret = |last| std::array::from_fn(|i| if i == SECRET_BYTES - 1 { last } else { 0 });
        assert_eq!([keys.owner.to_bytes(), *keys.folder.as_bytes()], [secret(5), secret(6)]);
        assert!(keys.device().is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::generate().unwrap();
        assert!(!format!("{keys:?}").contains(&hex::encode(&keys.owner.to_bytes()[..4])));
    }
}
