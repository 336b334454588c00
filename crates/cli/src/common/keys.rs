//! Who signs on L1: a key file, an encrypted keystore, or an external signer; and the one way to read a secret file.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_keystore::secret_file::{self, SecretFileError};
use gridveil_meter_client::cli::hidden;
use gridveil_verifier_contract::{deployment::account, ethers_client::Key};
use zeroize::Zeroizing;

/// Fewest characters of a new keystore's password: who has the file can try as many as there is time for.
const LEAST_PASSWORD: usize = 12;

/// How an account signs where no plain key file is given, or how that file is opened.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Signing {
    /// External signer, https://… or http://…, which has the key of the account of --as: JSON-RPC eth_signTransaction, as
    /// clef has it. What it gives back is sent only if it is what was asked.
    #[arg(long, value_name = "URL", requires = "acting_as")]
    signer: Option<String>,
    /// The account that acts.
    #[arg(long = "as", value_name = "ADDRESS")]
    pub acting_as: Option<String>,
    /// File with the password of an encrypted key file (Web3 secret storage); mode 0600. Otherwise the terminal is asked.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_KEY_PASSWORD_FILE")]
    key_password_file: Option<PathBuf>,
}

/// The operator's key, for what the sequencer and its tools send.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OperatorKey {
    /// The operator's L1 key, hex or an encrypted keystore (JSON); mode 0600. This or --signer.
    // Not required by the parser: for it a value from a configuration file is none.
    #[arg(long, value_name = "FILE", conflicts_with = "signer")]
    pub operator_key: Option<PathBuf>,
    #[command(flatten)]
    pub signing: Signing,
}

impl OperatorKey {
    /// Who signs.
    ///
    /// # Errors
    /// One line for a person.
    pub fn open(&self) -> anyhow::Result<Key> {
        self.signing.key(self.operator_key.as_deref(), "--operator-key")
    }
}

impl Signing {
    /// With the password of a file alone.
    #[must_use]
    pub fn with_password(key_password_file: Option<PathBuf>) -> Self {
        Self { key_password_file, ..Self::default() }
    }

    /// Is there an external signer?
    #[must_use]
    pub const fn is_external(&self) -> bool {
        self.signer.is_some()
    }

    /// Who signs: with the key of a file, which `option` names, or by the external signer.
    ///
    /// # Errors
    /// Neither, or both; no key in the file; a wrong password.
    pub fn key(&self, file: Option<&Path>, option: &str) -> anyhow::Result<Key> {
        match (&self.signer, &self.acting_as, file) {
            (Some(url), Some(acting_as), None) => {
                Ok(Key::external(url, account(acting_as).context("--as")?.0).context("--signer")?)
            }
            (Some(_), _, Some(_)) => bail!("{option} or --signer: one of them"),
            (Some(_), None, None) => bail!("--signer: name its account with --as"),
            (None, Some(_), _) => bail!("--as: only with --signer"),
            (None, None, Some(file)) => self.key_file(file),
            (None, None, None) => bail!("who signs? {option} FILE, or --signer URL --as ADDRESS"),
        }
    }

    /// The key of a file: hex digits, or an encrypted keystore.
    ///
    /// # Errors
    /// No such file, others may read it, it holds no key, or a wrong password. Names the file, and no part of the key.
    pub fn key_file(&self, path: &Path) -> anyhow::Result<Key> {
        let name = path.display();
        let text = secret_text(path)?;
        if text.starts_with('{') {
            let password = self.password(&format!("Password of {name}: "))?;
            return Key::of_keystore(path, &password).with_context(|| name.to_string());
        }
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        ensure!(
            digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit()),
            "{name}: not an L1 key: 64 hex digits, or an encrypted keystore"
        );
        Key::of_hex(digits).with_context(|| name.to_string())
    }

    fn password(&self, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        match &self.key_password_file {
            Some(path) => secret_text(path),
            None => asked(prompt),
        }
    }

    /// A new password: of the file, or asked for twice.
    ///
    /// # Errors
    /// It is short, or was not repeated.
    pub fn new_password(&self) -> anyhow::Result<Zeroizing<String>> {
        let password = self.password("Password of the new key: ")?;
        ensure!(
            password.chars().count() >= LEAST_PASSWORD,
            "a password of {LEAST_PASSWORD} characters or more: who has the file can try many"
        );
        if self.key_password_file.is_none() {
            ensure!(*asked("Again: ")? == *password, "these are two passwords: nothing was made");
        }
        Ok(password)
    }
}

/// Asks on the terminal, which does not show what is typed.
fn asked(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    std::io::stderr().flush()?;
    hidden(prompt).context("no password: there is no terminal to ask on (give --key-password-file)")
}

/// The text of a secret file that only its owner reads, without blanks around it.
///
/// # Errors
/// No such file, others may read it, or it is no text. Names the file, and no part of the secret.
pub fn secret_text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let name = path.display();
    let bytes = match secret_file::read(path) {
        Ok(bytes) => bytes,
        Err(SecretFileError::ReadableByOthers) => {
            bail!("{name}: others may read this secret: chmod 600 {name}, and take another if somebody could have")
        }
        Err(error) => return Err(error).with_context(|| name.to_string()),
    };
    let text = std::str::from_utf8(&bytes).ok().with_context(|| format!("{name}: not text"))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_that_others_may_read_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let digits = "ab".repeat(32);
        let signing = Signing::default();
        secret_file::create(&path, format!("0x{digits}\n").as_bytes()).unwrap();
        assert_eq!(signing.key_file(&path).unwrap().account(), Key::of_hex(&digits).unwrap().account());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(signing.key_file(&path).unwrap_err().to_string().contains("chmod 600"));
        assert!(secret_text(&path).unwrap_err().to_string().contains("chmod 600"), "every other secret too");
        let short = dir.path().join("short");
        secret_file::create(&short, &digits.as_bytes()[1..]).unwrap();
        let error = signing.key_file(&short).unwrap_err().to_string();
        assert!(error.contains("64 hex digits") && !error.contains("abab"), "{error}");
    }

    #[test]
    fn a_keystore_opens_with_the_password_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, password, wrong) = (dir.path().join("key"), dir.path().join("password"), dir.path().join("wrong"));
        secret_file::create(&password, b"a password of the test\n").unwrap();
        secret_file::create(&wrong, b"another one").unwrap();
        let with = |file: &Path| Signing::with_password(Some(file.to_path_buf()));
        let (key, json) = Key::new_keystore(dir.path(), &with(&password).new_password().unwrap()).unwrap();
        secret_file::create(&path, &json).unwrap();
        assert_eq!(with(&password).key(Some(&path), "--key").unwrap().account(), key.account());
        let error = format!("{:#}", with(&wrong).key_file(&path).unwrap_err());
        assert!(error.ends_with("wrong password, or the file is damaged") && !error.contains('\n'), "{error}");
        assert!(with(&wrong).new_password().unwrap_err().to_string().contains("12 characters"));
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(with(&password).key_file(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn one_signs_and_no_more() {
        let (signer, account) = (Some("http://127.0.0.1:8550".to_owned()), Some(format!("0x{}", "11".repeat(20))));
        let external = Signing { signer: signer.clone(), acting_as: account.clone(), ..Signing::default() };
        assert_eq!(external.key(None, "--key").unwrap().account(), [0x11; 20]);
        let said = |signing: Signing, file: Option<&Path>| signing.key(file, "--key").unwrap_err().to_string();
        assert!(said(external, Some(Path::new("key"))).contains("one of them"));
        assert!(said(Signing { signer, ..Signing::default() }, None).contains("name its account"));
        assert!(said(Signing { acting_as: account, ..Signing::default() }, None).contains("only with --signer"));
        assert!(said(Signing::default(), None).contains("who signs?"));
    }
}
