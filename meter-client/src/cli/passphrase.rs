//! Where a key file's passphrase comes from.

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
    sync::Mutex,
};

use gridveil_keystore::secret_file;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{KeyArgs, MeterError};
use crate::key_store::Cost;

/// What opening a new key file costs whoever guesses its passphrase, and the device that opens it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct CostArgs {
    /// MiB of memory that opening the key file takes, each time: 64 (RFC 9106), or 19 for a small device (OWASP).
    #[arg(long, value_name = "MIB", default_value = "64")]
    key_memory: Memory,
}

/// Both are recommended; no other one is offered.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Memory {
    /// Small device.
    #[value(name = "19")]
    Small,
    /// Anything else.
    #[value(name = "64")]
    Usual,
}

impl CostArgs {
    /// Of Argon2id.
    #[must_use]
    pub fn cost(self) -> Cost {
        match self.key_memory {
            Memory::Small => Cost::SMALL,
            Memory::Usual => Cost::default(),
        }
    }
}

/// The last line of standard input: one passphrase that is piped in opens both key files of a household.
static PIPED: Mutex<Option<Zeroizing<String>>> = Mutex::new(None);

/// A secret that opens something, and where it may be told.
pub(super) struct Secret {
    /// What it is called: "Passphrase".
    name: &'static str,
    variable: &'static str,
}

/// Of a household's key file.
pub(super) const HOUSEHOLD: Secret = Secret { name: "Passphrase", variable: "GRIDVEIL_PASSPHRASE" };
/// Of a device's, if it has its own.
pub(super) const DEVICE: Secret = Secret { name: "Passphrase", variable: "GRIDVEIL_DEVICE_PASSPHRASE" };
/// Of a token.
pub(super) const PIN: Secret = Secret { name: "PIN", variable: "GRIDVEIL_TOKEN_PIN" };

/// The passphrase of a key file that is there: from the passphrase's file, the environment, the terminal, which does not
/// show it, or else from standard input.
///
/// # Errors
/// [`MeterError::Passphrase`], [`MeterError::PassphraseFile`].
pub fn passphrase(args: &KeyArgs, of: &Path) -> Result<Zeroizing<String>, MeterError> {
    HOUSEHOLD.existing(args.passphrase_file.as_deref(), of)
}

/// The passphrase of a key file that is to be made. On a terminal it is asked for twice.
///
/// # Errors
/// As [`passphrase`]; [`MeterError::NotRepeated`].
pub fn new_passphrase(args: &KeyArgs, of: &Path) -> Result<Zeroizing<String>, MeterError> {
    HOUSEHOLD.new_one(args.passphrase_file.as_deref(), of)
}

impl Secret {
    /// That of something that is there.
    pub(super) fn existing(&self, file: Option<&Path>, of: &Path) -> Result<Zeroizing<String>, MeterError> {
        match self.told(file)? {
            Some(secret) => Ok(secret),
            None => checked(asked(&format!("{} of {}: ", self.name, of.display()))?),
        }
    }

    /// That of something that is to be made.
    pub(super) fn new_one(&self, file: Option<&Path>, of: &Path) -> Result<Zeroizing<String>, MeterError> {
        if let Some(secret) = self.told(file)? {
            return Ok(secret);
        }
        let first = checked(asked(&format!("New {}, of {}: ", self.name.to_lowercase(), of.display()))?)?;
        if *asked("Again: ")? == *first { Ok(first) } else { Err(MeterError::NotRepeated) }
    }

    /// Is it told by a file or the environment?
    pub(super) fn is_told(&self, file: Option<&Path>) -> bool {
        file.is_some() || std::env::var_os(self.variable).is_some()
    }

    /// Is there a person to ask?
    pub(super) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// From somewhere else than a terminal.
    fn told(&self, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, MeterError> {
        let mut line = Zeroizing::new(String::new());
        if let Some(path) = file {
            let failed = |source| MeterError::PassphraseFile { path: path.to_owned(), source };
            let bytes = secret_file::read(path).map_err(failed)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| MeterError::Passphrase)?;
            line.push_str(text.lines().next().unwrap_or(""));
        } else if let Ok(value) = std::env::var(self.variable) {
            line.push_str(&Zeroizing::new(value));
        } else if self.can_ask() {
            return Ok(None);
        } else {
            std::io::stdin().lock().read_line(&mut line).map_err(|_| MeterError::Passphrase)?;
            let mut piped = PIPED.lock().map_err(|_| MeterError::Passphrase)?;
            match piped.as_ref() {
                Some(before) if line.is_empty() => line.push_str(before),
                _ => *piped = Some(line.clone()),
            }
        }
        checked(line).map(Some)
    }
}

fn asked(prompt: &str) -> Result<Zeroizing<String>, MeterError> {
    hidden(prompt).map_err(|_| MeterError::Passphrase)
}

/// Asks on the terminal for a secret. Nothing that is typed is shown from before the question on: a person, or a program
/// that types, may be faster than the switch.
///
/// # Errors
/// There is no terminal, or it ends.
pub fn hidden(prompt: &str) -> io::Result<Zeroizing<String>> {
    let quiet = Quiet::begin()?;
    let answer = rpassword::prompt_password(prompt).map(Zeroizing::new);
    drop(quiet);
    answer
}

/// A terminal that does not echo, until it is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

fn checked(line: Zeroizing<String>) -> Result<Zeroizing<String>, MeterError> {
    let trimmed = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if trimmed.is_empty() { Err(MeterError::Passphrase) } else { Ok(trimmed) }
}
