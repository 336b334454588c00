//! `gridveil operator key`: encrypted keys for L1 (Web3 secret storage, version 3).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gridveil_keystore::{durable, random, secret_file};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::ethers_client::Key;

use crate::{common::keys::Signing, member::Details};

const EXAMPLE: &str = "Examples:
  gridveil operator key new operator.json --key-password-file operator.password
  gridveil operator key show operator.json --key-password-file operator.password

Without --key-password-file the password is asked for on the terminal. The file is of the form that geth and clef have, and every
command that takes an L1 key takes it.";

/// Options of `gridveil operator key`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a key in an encrypted file, and shows its account.
    #[command(after_help = EXAMPLE)]
    New(File),
    /// Shows the account of a key file.
    #[command(after_help = EXAMPLE)]
    Show(File),
}

#[derive(Debug, clap::Args)]
struct File {
    /// Key file, mode 0600.
    file: PathBuf,
    /// File with the password; mode 0600. Otherwise the terminal is asked.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_KEY_PASSWORD_FILE")]
    key_password_file: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (file, key) = match &args.command {
        Command::New(file) => (file, new(file)?),
        Command::Show(file) => (file, file.signing().key_file(&file.file)?),
    };
    let (name, account) = (file.file.display().to_string(), hex0(key.account()));
    Details::new("").row("account", account.clone(), account).row("file", name.clone(), name).print(file.json)
}

impl File {
    fn signing(&self) -> Signing {
        Signing::with_password(self.key_password_file.clone())
    }
}

fn new(file: &File) -> anyhow::Result<Key> {
    let name = || file.file.display().to_string();
    anyhow::ensure!(!file.file.exists(), "{}: there is such a file, and a key is never overwritten", name());
    let password = file.signing().new_password()?;
    // The library writes a file of any mode: only its owner gets into this folder.
    let beside = file.file.parent().unwrap_or_else(|| Path::new(""));
    let folder = beside.join(format!(".key.{}.tmp", hex::encode(random::<8>()?)));
    durable::private_directory(&folder).with_context(name)?;
    let made = Key::new_keystore(&folder, &password);
    std::fs::remove_dir_all(&folder).with_context(name)?;
    let (key, json) = made.with_context(name)?;
    secret_file::create(&file.file, &json).with_context(name)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_its_owners_alone_and_is_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let password = dir.path().join("password");
        secret_file::create(&password, b"a password of the test").unwrap();
        let file = File { file: dir.path().join("key.json"), key_password_file: Some(password), json: true };
        let key = new(&file).unwrap();
        assert_eq!(file.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        assert_eq!(file.signing().key_file(&file.file).unwrap().account(), key.account());
        assert!(new(&file).unwrap_err().to_string().contains("never overwritten"));
    }
}
