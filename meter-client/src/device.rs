//! The key of a meter's device: it signs packets and nothing else.
//!
//! It lies in a file of its own, so that a gateway beside the meter has no key of the owner's: who takes the gateway can say
//! what the meter measures until the key is replaced (`member replace`), and moves no money. Two kinds of file:
//!
//! - `GVD1`: an envelope of [`gridveil_keystore::passphrase`] around the key (32 bytes);
//! - `GVT1`: an envelope of [`gridveil_keystore::token`], which opens with a PKCS#11 token alone.
//!
//! No token signs on Grumpkin, the curve of packets. So the key is in this process's memory while it signs, also with a token.

use std::path::Path;

use gridveil_keystore::{
    SealingKey,
    passphrase::{self, Cost},
    token::{self, Token},
};
use gridveil_protocol::schnorr::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::key_store::{
    FILE_BYTES, KeyStoreError, Keys, SECRET_BYTES, WITH_METER, create_new, outbox_key, read, secret_key, secret_of,
};

const UNDER_PASSPHRASE: [u8; 4] = *b"GVD1";
const UNDER_TOKEN: [u8; 4] = *b"GVT1";

/// What a file is sealed with.
#[derive(Debug, Clone, Copy)]
pub enum Lock<'a> {
    /// A passphrase.
    Passphrase(&'a str, Cost),
    /// A key that is made in the token.
    Token(&'a Token),
}

/// What opens a file.
#[derive(Debug, Clone, Copy)]
pub enum Unlock<'a> {
    /// A passphrase.
    Passphrase(&'a str),
    /// The token that sealed it.
    Token(&'a Token),
}

/// The key of a meter's device.
#[derive(Clone, Debug)]
pub struct Device {
    meter: SecretKey,
}

impl Device {
    /// A key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyStoreError::Randomness`].
    pub fn generate() -> Result<Self, KeyStoreError> {
        Ok(Self { meter: secret_key()? })
    }

    /// With a key that is known.
    #[must_use]
    pub const fn of(meter: SecretKey) -> Self {
        Self { meter }
    }

    /// What the account has of it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.meter.public()
    }

    /// Signs packets.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.meter
    }

    /// Key of the outbox that a device fills without its household's keys.
    #[must_use]
    pub fn outbox_key(&self) -> SealingKey {
        outbox_key(&Zeroizing::new(self.meter.to_bytes()))
    }

    /// Writes a new key file.
    ///
    /// # Errors
    /// [`KeyStoreError`]; an existing file is left as it is, and then nothing was made in a token.
    pub fn create(&self, path: &Path, lock: Lock<'_>) -> Result<(), KeyStoreError> {
        if path.exists() {
            return Err(KeyStoreError::Exists);
        }
        let plain = Zeroizing::new(self.meter.to_bytes());
        let file = match lock {
            Lock::Passphrase(passphrase, cost) => passphrase::seal(UNDER_PASSPHRASE, passphrase, cost, plain.as_ref())?,
            Lock::Token(token) => token.seal(UNDER_TOKEN, plain.as_ref())?,
        };
        create_new(path, &file)
    }

    /// Opens a key file: a device's, or a household's of the first kind, which has the meter's key too.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn open(path: &Path, unlock: Unlock<'_>) -> Result<Self, KeyStoreError> {
        let bytes = read(path)?;
        let under_token = bytes.starts_with(&UNDER_TOKEN);
        let plain = match unlock {
            Unlock::Token(token) if under_token && bytes.len() == SECRET_BYTES + token::OVERHEAD_BYTES => {
                token.open_envelope(UNDER_TOKEN, &bytes)?
            }
            Unlock::Passphrase(_) if under_token => return Err(KeyStoreError::NeedsToken),
            Unlock::Passphrase(passphrase) if bytes.starts_with(&WITH_METER) && bytes.len() == FILE_BYTES => {
                let keys = Keys::open(path, passphrase)?;
                return keys.device().cloned().ok_or(KeyStoreError::OfHousehold);
            }
            Unlock::Passphrase(passphrase)
                if bytes.starts_with(&UNDER_PASSPHRASE) && bytes.len() == SECRET_BYTES + passphrase::OVERHEAD_BYTES =>
            {
                passphrase::open(UNDER_PASSPHRASE, passphrase, &bytes)?
            }
            Unlock::Token(_) | Unlock::Passphrase(_) if bytes.starts_with(b"GVK") => {
                return Err(KeyStoreError::OfHousehold);
            }
            Unlock::Token(_) | Unlock::Passphrase(_) => return Err(KeyStoreError::Format),
        };
        Ok(Self { meter: secret_of(&plain)? })
    }

    /// Does this file open with a token alone?
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn needs_token(path: &Path) -> Result<bool, KeyStoreError> {
        Ok(read(path)?.starts_with(&UNDER_TOKEN))
    }
}

/// Is this a device's key file?
pub(crate) fn is_device(bytes: &[u8]) -> bool {
    bytes.starts_with(&UNDER_PASSPHRASE) || bytes.starts_with(&UNDER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    /// Files of devices must open for ever. The bytes come from other implementations of Argon2id and the cipher.
    #[test]
    fn the_layout_does_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meter.device");
        let known = "4756443100000040000000010000000111111111111111111111111111111111222222222222222222222222\
                     222222222222222222222222fcd67f9c2588aa6d7a024bd19bf895415adf0c3716a6456aaadc453445137186\
                     559c8e6535c11f578941ed41df89ade7";
        std::fs::write(&path, hex::decode(known).unwrap()).unwrap();
        let device = Device::open(&path, Unlock::Passphrase("correct horse")).unwrap();
        assert_eq!(device.secret().to_bytes(), std::array::from_fn(|i| if i == 31 { 6 } else { 0 }));
    }

    #[test]
    fn a_devices_key_comes_back_only_with_the_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let (path, household) = (dir.path().join("meter.device"), dir.path().join("home.keys"));
        let device = Device::generate().unwrap();
        device.create(&path, Lock::Passphrase("correct horse", CHEAP)).unwrap();
        let open = |path: &Path, passphrase| Device::open(path, Unlock::Passphrase(passphrase));
        assert!(open(&path, "correct horse").unwrap().public() == device.public());
        assert_eq!(open(&path, "correct horsf").unwrap_err(), KeyStoreError::Passphrase);
        assert_eq!(device.create(&path, Lock::Passphrase("x", CHEAP)), Err(KeyStoreError::Exists));
        // Neither is taken for the other.
        Keys::generate().unwrap().create(&household, "correct horse", CHEAP).unwrap();
        assert_eq!(open(&household, "correct horse").unwrap_err(), KeyStoreError::OfHousehold);
        assert_eq!(Keys::open(&path, "correct horse").unwrap_err(), KeyStoreError::OfDevice);
        let good = std::fs::read(&path).unwrap();
        assert!(!good.windows(32).any(|w| w == device.secret().to_bytes()));
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(open(&path, "correct horse").is_err(), "byte {i}");
        }
        assert!(!format!("{device:?}").contains(&hex::encode(&device.secret().to_bytes()[..4])));
    }
}
