//! Who signs transactions: a key in this process, or an external signer, whose answer is checked before it is sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ethers::core::rand::thread_rng;
use ethers::providers::{Http, Provider, ProviderError, RpcError as _};
use ethers::signers::{LocalWallet, Signer, WalletError};
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{Address as EthAddress, Bytes, Eip1559TransactionRequest, H256};
use ethers::utils::{keccak256, rlp::Rlp};
use serde::Deserialize;
use serde_json::Value;

use crate::address::Hidden;
use crate::client::L1Error;
use crate::types::{Address, Word};

/// Longest wait for an external signer: a person may have to agree.
const SIGNER_TIMEOUT: Duration = Duration::from_secs(120);
/// JSON-RPC: the signer has no such method.
const NO_SUCH_METHOD: i64 = -32_601;
/// Most memory that a keystore's scrypt may ask for: 1 GiB is 2^23 blocks of 128 bytes. geth's keystores take 256 MiB.
const MOST_SCRYPT_BLOCKS: u64 = 1 << 23;
const MOST_SCRYPT_LANES: u64 = 16;
/// Most rounds of a keystore's PBKDF2. The definition's example has 262,144.
const MOST_ROUNDS: u64 = 10_000_000;

/// Who signs the transactions of an account.
#[derive(Clone)]
pub struct Key(Kind);

#[derive(Clone)]
enum Kind {
    Own(LocalWallet),
    External(Arc<External>),
}

struct External {
    signer: Provider<Http>,
    account: EthAddress,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No key, and no URL, which may hold a password.
        f.debug_struct("Key").field("account", &hex::encode(self.account())).finish_non_exhaustive()
    }
}

/// Why an encrypted keystore gives no key. Carries no part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// Another form.
    #[error("not an encrypted keystore: Web3 secret storage, version 3")]
    Form,
    /// Opening it would take more than 1 GiB, or minutes, or nothing at all, or it is none that the standard allows.
    #[error(
        "its key derivation is refused: scrypt (RFC 7914) up to 1 GiB and 16 lanes, or PBKDF2 up to 10,000,000 rounds"
    )]
    Cost,
    /// The key that comes out has another sum than the file says.
    #[error("wrong password, or the file is damaged")]
    Password,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a transaction is after it was signed.
pub(super) struct Signed {
    pub(super) raw: Bytes,
    pub(super) hash: H256,
}

impl Key {
    /// A private key, 32 bytes hex.
    ///
    /// # Errors
    /// [`L1Error::Config`] if it does not parse.
    pub fn of_hex(private_key: &str) -> Result<Self, L1Error> {
        let digits = private_key.trim().trim_start_matches("0x");
        // The parse error is dropped: it may quote the key.
        let wallet = digits.parse().map_err(|_| L1Error::Config("the private key does not parse"))?;
        Ok(Self(Kind::Own(wallet)))
    }

    /// The key of an encrypted keystore file (Web3 secret storage, version 3).
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn of_keystore(path: &Path, password: &str) -> Result<Self, KeystoreError> {
        // The library takes any cost, and panics at sizes that nobody writes.
        KeystoreForm::check(&std::fs::read(path)?)?;
        LocalWallet::decrypt_keystore(path, password).map(|wallet| Self(Kind::Own(wallet))).map_err(keystore_error)
    }

    /// A new key, and its keystore file. `directory` is the caller's alone, and holds nothing afterwards.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn new_keystore(directory: &Path, password: &str) -> Result<(Self, Vec<u8>), KeystoreError> {
        const NAME: &str = "keystore";
        let (wallet, _) =
            LocalWallet::new_keystore(directory, &mut thread_rng(), password, Some(NAME)).map_err(keystore_error)?;
        let path = directory.join(NAME);
        let json = std::fs::read(&path)?;
        std::fs::remove_file(&path)?;
        // As geth writes it: other tools look there for the account.
        let mut json: serde_json::Map<String, Value> =
            serde_json::from_slice(&json).map_err(|_| KeystoreError::Form)?;
        json.insert("address".to_owned(), hex::encode(wallet.address()).into());
        let json = serde_json::to_vec(&json).map_err(|_| KeystoreError::Form)?;
        Ok((Self(Kind::Own(wallet)), json))
    }

    /// The account's key is with an external signer, which is asked over JSON-RPC (`eth_signTransaction`, or clef's
    /// `account_signTransaction`).
    ///
    /// # Errors
    /// [`L1Error::Config`] if the URL does not parse.
    pub fn external(url: &str, account: Address) -> Result<Self, L1Error> {
        let signer = Provider::<Http>::try_from(url).map_err(|_| L1Error::Config("the signer's URL does not parse"))?;
        Ok(Self(Kind::External(Arc::new(External { signer, account: account.into() }))))
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> Address {
        match &self.0 {
            Kind::Own(wallet) => wallet.address().0,
            Kind::External(external) => external.account.0,
        }
    }

    /// Signs a digest: r, s, v.
    ///
    /// # Errors
    /// [`L1Error::Config`]: an external signer signs transactions alone.
    pub(crate) fn sign_digest(&self, digest: Word) -> Result<Vec<u8>, L1Error> {
        let Kind::Own(wallet) = &self.0 else {
            return Err(L1Error::Config("an external signer signs transactions alone: give a key file"));
        };
        let signature = wallet.sign_hash(digest.into()).map_err(|_| L1Error::Config("signing failed"))?;
        Ok(signature.to_vec())
    }

    /// Signs a transaction that says everything: chain, number, recipient, fees.
    pub(super) async fn sign(&self, tx: &Eip1559TransactionRequest) -> Result<Signed, L1Error> {
        match &self.0 {
            Kind::Own(wallet) => {
                let typed: TypedTransaction = tx.clone().into();
                let signature = wallet.sign_transaction(&typed).await.map_err(|_| L1Error::Config("signing failed"))?;
                Ok(Signed { raw: typed.rlp_signed(&signature), hash: typed.hash(&signature) })
            }
            Kind::External(external) => as_asked(tx, external.account, external.ask(tx).await?),
        }
    }
}

impl External {
    async fn ask(&self, tx: &Eip1559TransactionRequest) -> Result<Bytes, L1Error> {
        let typed: TypedTransaction = tx.clone().into();
        let mut asked = serde_json::to_value(&typed).map_err(super::malformed)?;
        // The library leaves it out.
        if let (Some(fields), Some(chain_id)) = (asked.as_object_mut(), tx.chain_id) {
            fields.insert("chainId".to_owned(), format!("{chain_id:#x}").into());
        }
        let mut answer = self.call("eth_signTransaction", &asked).await;
        if answer.as_ref().is_err_and(|error| error.as_error_response().is_some_and(|e| e.code == NO_SUCH_METHOD)) {
            answer = self.call("account_signTransaction", &asked).await;
        }
        let answer = answer.map_err(|error| {
            let said = match error.as_error_response() {
                Some(response) => {
                    format!("refused: {}", Hidden::of(self.signer.url().as_str()).told(&response.message))
                }
                None => "no answer".to_owned(),
            };
            L1Error::Signer(said)
        })?;
        // geth and clef answer with an object, others with the transaction itself.
        let raw = answer.as_str().or_else(|| answer.get("raw").and_then(Value::as_str));
        let raw = raw.and_then(|text| text.parse().ok());
        raw.ok_or_else(|| L1Error::Signer("it answers something else than a transaction".to_owned()))
    }

    async fn call(&self, method: &str, tx: &Value) -> Result<Value, ProviderError> {
        let late = |_| ProviderError::CustomError("late".to_owned());
        tokio::time::timeout(SIGNER_TIMEOUT, self.signer.request(method, [tx])).await.map_err(late)?
    }
}

/// What an external signer gave back, if it is what it was asked to sign, by whom it was asked to, and nothing else.
fn as_asked(asked: &Eip1559TransactionRequest, account: EthAddress, raw: Bytes) -> Result<Signed, L1Error> {
    let other = |what| L1Error::SignedOther(what);
    let decoded = TypedTransaction::decode_signed(&Rlp::new(&raw));
    let Ok((TypedTransaction::Eip1559(got), signature)) = decoded else { return Err(other("kind of transaction")) };
    let fields = [
        ("recipient", got.to == asked.to),
        ("value", got.value.unwrap_or_default() == asked.value.unwrap_or_default()),
        ("data", got.data.clone().unwrap_or_default() == asked.data.clone().unwrap_or_default()),
        ("chain", got.chain_id == asked.chain_id),
        ("number", got.nonce == asked.nonce),
        ("gas", got.gas == asked.gas),
        ("fee", got.max_fee_per_gas == asked.max_fee_per_gas),
        ("tip", got.max_priority_fee_per_gas == asked.max_priority_fee_per_gas),
        ("access list", got.access_list == asked.access_list),
        ("account", got.from == Some(account)),
    ];
    if let Some((what, _)) = fields.into_iter().find(|(_, same)| !same) {
        return Err(other(what));
    }
    // Nothing that the fields do not say.
    let typed: TypedTransaction = asked.clone().into();
    if typed.rlp_signed(&signature) != raw {
        return Err(other("encoding"));
    }
    let hash = H256(keccak256(&raw));
    Ok(Signed { raw, hash })
}

/// The form is checked before, so that what is left is the password.
fn keystore_error(error: WalletError) -> KeystoreError {
    match error {
        WalletError::IoError(error) => KeystoreError::Io(error),
        WalletError::Bip32Error(_)
        | WalletError::Bip39Error(_)
        | WalletError::EthKeystoreError(_)
        | WalletError::EcdsaError(_)
        | WalletError::HexError(_)
        | WalletError::MnemonicBuilderError(_)
        | WalletError::Eip712Error(_) => KeystoreError::Password,
    }
}

/// The parts of a keystore that decide what opening it does.
#[derive(Deserialize)]
struct KeystoreForm {
    version: u8,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    salt: String,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
    c: Option<u64>,
    prf: Option<String>,
}

impl KeystoreForm {
    fn check(json: &[u8]) -> Result<(), KeystoreError> {
        let Self { version, crypto } = serde_json::from_slice(json).map_err(|_| KeystoreError::Form)?;
        let hex = |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|c| c.is_ascii_hexdigit());
        let KdfParams { dklen, salt, n, r, p, c, prf } = &crypto.kdfparams;
        let sizes = version == 3
            && crypto.cipher == "aes-128-ctr"
            && hex(&crypto.cipherparams.iv, 16)
            && hex(&crypto.ciphertext, 32)
            && hex(&crypto.mac, 32)
            && hex(salt, salt.len() / 2)
            && *dklen == 32;
        if !sizes {
            return Err(KeystoreError::Form);
        }
        let bounded = match (crypto.kdf.as_str(), n, r, p, c, prf.as_deref()) {
            ("scrypt", Some(n), Some(r), Some(p), None, _) => {
                n.is_power_of_two()
                    && *n > 1
                    && *r > 0
                    // RFC 7914: N below 2^(128 r / 8).
                    && u64::from(n.ilog2()) < r.saturating_mul(16)
                    && n.saturating_mul(*r) <= MOST_SCRYPT_BLOCKS
                    && (1..=MOST_SCRYPT_LANES).contains(p)
            }
            ("pbkdf2", None, None, None, Some(c), Some("hmac-sha256")) => (1..=MOST_ROUNDS).contains(c),
            _ => return Err(KeystoreError::Form),
        };
        if bounded { Ok(()) } else { Err(KeystoreError::Cost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of go-ethereum's tests (password `foobar`), and of the definition's examples (`testpassword`).
    const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"8df6caa7ff1b00c4e871f002cb7921ed"},
        "ciphertext":"1d0839166e7a15b9c1333fc865d69858b22df26815ccf601b28219b6192974e1","kdf":"scrypt",
        "kdfparams":{"dklen":32,"n":8,"p":16,"r":8,"salt":"e5e6ef3f4ea695f496b643ebd3f75c0aa58ef4070e90c80c5d3fb0241bf1595c"},
        "mac":"6d16dfde774845e4585357f24bce530528bc69f4f84e1e22880d34fa45c273e5"},
        "address":"7ef5a6135f1fd6a02593eedc869c6d41d934aef8","id":"950077c7-71e3-4c44-a4a1-143919141ed4","version":3}"#;
    const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
        "kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
        "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
    const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

    #[test]
    fn keystores_of_other_programs_open_with_their_password_alone() {
        let dir = std::env::temp_dir().join(format!("gridveil-keystores-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("keystore.json");
        let account = hex::encode(Key::of_hex(SECRET).unwrap().account());
        let geths = "7ef5a6135f1fd6a02593eedc869c6d41d934aef8";
        for (json, password, account) in [(SCRYPT, "foobar", geths), (PBKDF2, "testpassword", account.as_str())] {
            std::fs::write(&path, json).unwrap();
            let key = Key::of_keystore(&path, password).unwrap();
            assert_eq!(hex::encode(key.account()), account);
            assert!(!format!("{key:?}").contains(&SECRET[..6]));
        }
        let (key, json) = Key::new_keystore(&dir, "a long password").unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside the other file");
        let shown: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(shown["address"], hex::encode(key.account()));
        std::fs::write(&path, &json).unwrap();
        assert_eq!(Key::of_keystore(&path, "a long password").unwrap().account(), key.account());
        let error = Key::of_keystore(&path, "a long passwore").unwrap_err();
        assert!(matches!(error, KeystoreError::Password), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_keystore_that_costs_too_much_or_has_odd_sizes_is_refused_before_it_is_opened() {
        let check = |from: &str, to: &str| {
            let json = SCRYPT.replacen(from, to, 1);
            assert_ne!(json, SCRYPT, "{from}");
            KeystoreForm::check(json.as_bytes()).unwrap_err()
        };
        assert!(KeystoreForm::check(SCRYPT.as_bytes()).is_ok() && KeystoreForm::check(PBKDF2.as_bytes()).is_ok());
        for (from, to) in [
            ("\"n\":8", "\"n\":2097152"),
            ("\"n\":8", "\"n\":7"),
            ("\"n\":8", "\"n\":1"),
            ("\"n\":8,\"p\":16,\"r\":8", "\"n\":262144,\"p\":8,\"r\":1"),
            ("\"r\":8", "\"r\":1048577"),
            ("\"r\":8", "\"r\":0"),
            ("\"p\":16", "\"p\":17"),
            ("\"p\":16", "\"p\":0"),
        ] {
            assert!(matches!(check(from, to), KeystoreError::Cost), "{to}");
        }
        for (from, to) in [
            ("\"version\":3", "\"version\":1"),
            ("aes-128-ctr", "aes-128-cbc"),
            ("\"dklen\":32", "\"dklen\":16"),
            ("8df6caa7", "8df6ca"),
            ("1d083916", "1d0839"),
            ("6d16dfde", "6d16df"),
            ("\"scrypt\"", "\"argon2id\""),
            ("\"n\":8,", ""),
        ] {
            assert!(matches!(check(from, to), KeystoreError::Form), "{to}");
        }
        let dear = PBKDF2.replace("262144", "10000001");
        assert!(matches!(KeystoreForm::check(dear.as_bytes()), Err(KeystoreError::Cost)));
    }

    /// A signer that has the right key and changes one thing, or another key and changes nothing.
    #[test]
    fn nothing_is_taken_from_a_signer_but_what_was_asked() {
        let wallet: LocalWallet = SECRET.parse().unwrap();
        let asked = Eip1559TransactionRequest::new()
            .from(wallet.address())
            .to(EthAddress::repeat_byte(1))
            .data(vec![1, 2, 3])
            .value(5)
            .chain_id(7)
            .nonce(0)
            .gas(30_000)
            .max_fee_per_gas(100)
            .max_priority_fee_per_gas(10);
        let raw = |tx: &Eip1559TransactionRequest, wallet: &LocalWallet| {
            let typed: TypedTransaction = tx.clone().into();
            let signature = wallet.clone().with_chain_id(tx.chain_id.unwrap().as_u64()).sign_transaction_sync(&typed);
            typed.rlp_signed(&signature.unwrap())
        };
        let refused = |raw: Bytes| match as_asked(&asked, wallet.address(), raw) {
            Err(L1Error::SignedOther(what)) => what,
            _ => panic!("taken"),
        };
        let good = raw(&asked, &wallet);
        assert_eq!(as_asked(&asked, wallet.address(), good.clone()).unwrap().raw, good);
        let other = |change: fn(Eip1559TransactionRequest) -> Eip1559TransactionRequest| {
            refused(raw(&change(asked.clone()), &wallet))
        };
        assert_eq!(other(|tx| tx.to(EthAddress::repeat_byte(2))), "recipient");
        assert_eq!(other(|tx| Eip1559TransactionRequest { to: None, ..tx }), "recipient");
        assert_eq!(other(|tx| tx.value(6)), "value");
        assert_eq!(other(|tx| tx.data(vec![1, 2])), "data");
        assert_eq!(other(|tx| tx.chain_id(8)), "chain");
        assert_eq!(other(|tx| tx.nonce(1)), "number");
        assert_eq!(other(|tx| tx.gas(30_001)), "gas");
        assert_eq!(other(|tx| tx.max_fee_per_gas(101)), "fee");
        assert_eq!(other(|tx| tx.max_priority_fee_per_gas(11)), "tip");
        let stranger: LocalWallet = "01".repeat(32).parse().unwrap();
        assert_eq!(refused(raw(&asked, &stranger)), "account");
        let longer = [&good[..], &[0]].concat();
        assert_eq!(refused(longer.into()), "encoding");
        assert_eq!(refused(Bytes::from(vec![0xc0])), "kind of transaction");
        assert_eq!(refused(Bytes::new()), "kind of transaction");
    }
}
