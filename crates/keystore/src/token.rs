//! An envelope that opens only with a PKCS#11 token: a security chip, an HSM.
//!
//! ```text
//! magic 4 | id 16 | iv 16 | wrapped key 48 | nonce 24 | XChaCha20-Poly1305(content)
//! ```
//! The envelope's key is fresh. The token encrypts it with an AES key of its own, which never leaves it. `id` says which
//! one. The mechanism is `CKM_AES_CBC_PAD` (PKCS #11 v2.40, section 2.10.5), which small chips have too. It authenticates
//! nothing, and need not: everything before the ciphertext is authenticated with the content, under the wrapped key.
//!
//! The token protects what lies on the disk. What is opened is in this process's memory.

use std::path::Path;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use zeroize::Zeroizing;

use crate::{
    NoRandomness, random,
    sealed::{NONCE_BYTES, SealError, SealingKey, TAG_BYTES},
};

const MAGIC_BYTES: usize = 4;
const ID_BYTES: usize = 16;
const IV_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// A key of 32 bytes and a block of padding.
const WRAPPED_BYTES: usize = KEY_BYTES + 16;
const HEADER_BYTES: usize = MAGIC_BYTES + ID_BYTES + IV_BYTES + WRAPPED_BYTES + NONCE_BYTES;
/// Bytes by which an envelope is longer than its content.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;
/// What the token's own key is called there.
const LABEL: &[u8] = b"gridveil";

/// Why a token does not seal or open. Carries no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The module.
    #[error("the PKCS#11 module is not loaded: {0}")]
    Module(String),
    /// No token of that name.
    #[error("no token is called {asked:?}; there is {there}")]
    NoToken {
        /// Label that was asked for.
        asked: String,
        /// Labels that there are.
        there: String,
    },
    /// Wrong PIN.
    #[error("the token refuses the PIN")]
    Pin,
    /// Too many wrong PINs.
    #[error("the token has locked the PIN: its officer must set another one")]
    PinLocked,
    /// Sealed with another token.
    #[error("this token has not the key that this was sealed with")]
    NoKey,
    /// Anything else that a token says.
    #[error("the token refuses: {0}")]
    Refused(String),
    /// Another magic, or too short.
    #[error("not an envelope of this kind")]
    Format,
    /// The cipher.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<NoRandomness> for TokenError {
    fn from(error: NoRandomness) -> Self {
        Self::Seal(error.into())
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => Self::Pin,
            Error::Pkcs11(RvError::PinLocked, _) => Self::PinLocked,
            Error::Pkcs11(code, function) => Self::Refused(format!("{function}: {code:?}")),
            error @ (Error::LibraryLoading(_) | Error::MissingSymbol(_)) => Self::Module(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// An open token, with its user logged in.
pub struct Token {
    session: Session,
    // Dropped after the session: it ends the module.
    _module: Pkcs11,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// Loads a PKCS#11 module (a shared library, such as `/usr/lib/softhsm/libsofthsm2.so`) and logs in to the token with
    /// this label.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(module: &Path, label: &str, pin: &str) -> Result<Self, TokenError> {
        let module = Pkcs11::new(module)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut labels = Vec::new();
        for slot in module.get_slots_with_token()? {
            let info = module.get_token_info(slot)?;
            if info.label() == label {
                let session = module.open_rw_session(slot)?;
                match session.login(UserType::User, Some(&AuthPin::from(pin.to_owned()))) {
                    Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                    Err(error) => return Err(error.into()),
                }
                return Ok(Self { session, _module: module });
            }
            if info.token_initialized() {
                labels.push(format!("{:?}", info.label()));
            }
        }
        let there = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        Err(TokenError::NoToken { asked: label.to_owned(), there })
    }

    /// Makes a key in the token and seals `content` with it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn seal(&self, magic: [u8; MAGIC_BYTES], content: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (id, iv) = (random::<ID_BYTES>()?, random::<IV_BYTES>()?);
        let nonce = random::<NONCE_BYTES>()?;
        let key = SealingKey::generate()?;
        let own = self.session.generate_key(
            &Mechanism::AesKeyGen,
            &[
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::ValueLen((KEY_BYTES as u64).into()),
                Attribute::Label(LABEL.to_vec()),
                Attribute::Id(id.to_vec()),
            ],
        )?;
        let wrapped = self.session.encrypt(&Mechanism::AesCbcPad(iv), own, key.as_bytes())?;
        if wrapped.len() != WRAPPED_BYTES {
            return Err(TokenError::Refused("an encrypted key of another length".to_owned()));
        }
        let mut envelope = [&magic[..], &id, &iv, &wrapped, &nonce].concat();
        let sealed = key.seal_at(&nonce, &envelope, content)?;
        envelope.extend(sealed);
        Ok(envelope)
    }

    /// Opens what [`Self::seal`] sealed.
    ///
    /// # Errors
    /// [`TokenError`]; [`SealError::NotOpened`] for one that was changed.
    pub fn open_envelope(&self, magic: [u8; MAGIC_BYTES], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let (header, sealed) = envelope.split_at_checked(HEADER_BYTES).ok_or(TokenError::Format)?;
        let rest = header.strip_prefix(&magic).ok_or(TokenError::Format)?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>().ok_or(TokenError::Format)?;
        let (iv, rest) = rest.split_first_chunk::<IV_BYTES>().ok_or(TokenError::Format)?;
        let (wrapped, rest) = rest.split_first_chunk::<WRAPPED_BYTES>().ok_or(TokenError::Format)?;
        let nonce = rest.first_chunk().ok_or(TokenError::Format)?;
        let own = self.own_key(id)?;
        let opened = self.session.decrypt(&Mechanism::AesCbcPad(*iv), own, wrapped).map(Zeroizing::new);
        let key = match opened {
            Ok(bytes) => <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(Zeroizing::new),
            // The padding is wrong, so it was changed. SoftHSM says no more than that it failed.
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::FunctionFailed
                | RvError::GeneralError,
                _,
            )) => return Err(SealError::NotOpened.into()),
            Err(error) => return Err(error.into()),
        };
        let key = SealingKey::new(*key.map_err(|_| SealError::NotOpened)?);
        Ok(key.open_apart(header, nonce, sealed)?)
    }

    fn own_key(&self, id: &[u8]) -> Result<ObjectHandle, TokenError> {
        let found = self.session.find_objects(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Label(LABEL.to_vec()),
            Attribute::Id(id.to_vec()),
        ])?;
        found.first().copied().ok_or(TokenError::NoKey)
    }
}
