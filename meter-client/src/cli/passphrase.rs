//! Where a key file's passphrase comes from.

use std::{
    io::{BufRead as _, IsTerminal as _},
    path::Path,
};

use gridveil_keystore::secret_file;
use zeroize::Zeroizing;

use super::{KeyArgs, MeterError};

/// The passphrase of a key file that is there: from the passphrase's file, the environment, the terminal, which does not
/// show it, or else from standard input.
///
/// # Errors
/// [`MeterError::Passphrase`], [`MeterError::PassphraseFile`].
pub fn passphrase(args: &KeyArgs, of: &Path) -> Result<Zeroizing<String>, MeterError> {
    match told(args)? {
        Some(passphrase) => Ok(passphrase),
        None => checked(asked(&format!("Passphrase of {}: ", of.display()))?),
    }
}

/// The passphrase of a key file that is to be made. On a terminal it is asked for twice.
///
/// # Errors
/// As [`passphrase`]; [`MeterError::NotRepeated`].
pub fn new_passphrase(args: &KeyArgs, of: &Path) -> Result<Zeroizing<String>, MeterError> {
    if let Some(passphrase) = told(args)? {
        return Ok(passphrase);
    }
    let first = checked(asked(&format!("New passphrase, of {}: ", of.display()))?)?;
    if *asked("Again: ")? == *first { Ok(first) } else { Err(MeterError::NotRepeated) }
}

/// From somewhere else than a terminal.
fn told(args: &KeyArgs) -> Result<Option<Zeroizing<String>>, MeterError> {
    let mut line = Zeroizing::new(String::new());
    if let Some(path) = &args.passphrase_file {
        let failed = |source| MeterError::PassphraseFile { path: path.clone(), source };
        let bytes = secret_file::read(path).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| MeterError::Passphrase)?;
        line.push_str(text.lines().next().unwrap_or(""));
    } else if let Ok(value) = std::env::var("GRIDVEIL_PASSPHRASE") {
        line.push_str(&Zeroizing::new(value));
    } else if std::io::stdin().is_terminal() {
        return Ok(None);
    } else {
        std::io::stdin().lock().read_line(&mut line).map_err(|_| MeterError::Passphrase)?;
    }
    checked(line).map(Some)
}

fn asked(prompt: &str) -> Result<Zeroizing<String>, MeterError> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|_| MeterError::Passphrase)
}

fn checked(line: Zeroizing<String>) -> Result<Zeroizing<String>, MeterError> {
    let trimmed = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if trimmed.is_empty() { Err(MeterError::Passphrase) } else { Ok(trimmed) }
}
