//! A household's file instead of single options: `--household FILE`, GRIDVEIL_HOUSEHOLD, or `household.toml` in the folder
//! that the command runs in. For the commands `member` and `meter`.
//!
//! The file's values become the options' defaults, so an option or its own variable goes first. Paths in it are seen from the
//! file's folder. No secret is in it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Command;
use serde::{Deserialize, Serialize};

use super::defaults::{Defaults, FileError, kept, named, nodes, own_text};

/// Names the file where no option does.
pub const VARIABLE: &str = "GRIDVEIL_HOUSEHOLD";
/// Looked for in the folder that a command runs in.
pub const NAME: &str = "household.toml";
/// Commands that a household has.
const COMMANDS: [&str; 2] = ["member", "meter"];
/// Largest file, bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Why a household's file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum HouseholdError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a household's file.
    #[error("{}: line {line}: {message}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What was found.
        message: String,
    },
    /// A path that no text file can name.
    #[error("{}: no text", .0.display())]
    NoText(PathBuf),
}

/// What no command has to be told again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Household {
    /// Sequencer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// L1 nodes, commas between them.
    pub rpc: String,
    /// Rollup contract, 0x….
    pub contract: String,
    /// Block of the deployment.
    #[serde(default)]
    pub from_block: u64,
    /// Community.
    pub community: u32,
    /// Slot in it.
    pub slot: u16,
    /// Key file of the household; absent on a gateway that has the device's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// Key file of the meter's device; the one beside the household's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<PathBuf>,
    /// Folder of the wallet.
    pub wallet: PathBuf,
    /// File with the key of L1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1_key: Option<PathBuf>,
    /// Highest price to buy at, ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buy_limit: Option<u16>,
    /// Lowest price to sell at, ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sell_limit: Option<u16>,
    /// The account's scale, Wh of a reading's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u8>,
    /// Zone of dates, on a bill and elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Name of the currency on a bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Household {
    /// Reads a file.
    ///
    /// # Errors
    /// There is none, it is too long, others may change it, or it is no household's.
    pub fn read(path: &Path) -> Result<Self, HouseholdError> {
        let text = own_text(path, MAX_BYTES)?;
        toml::from_str(&text).map_err(|error: toml::de::Error| HouseholdError::Format {
            path: path.to_owned(),
            line: line(&text, &error),
            message: error.message().lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn text(&self) -> Result<String, HouseholdError> {
        let mut out = "# A household of Gridveil. `gridveil member` and `gridveil meter` read it; an option goes first. Paths are seen from\n# here. There is no secret in it.\n".to_owned();
        let path = |path: &Path| path.to_str().map(quoted).ok_or_else(|| HouseholdError::NoText(path.to_owned()));
        let mut row = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                out += &format!("{name} = {value}\n");
            }
        };
        row("url", self.url.as_deref().map(quoted));
        row("rpc", Some(quoted(&self.rpc)));
        row("contract", Some(quoted(&self.contract)));
        row("from_block", Some(self.from_block.to_string()));
        row("community", Some(self.community.to_string()));
        row("slot", Some(self.slot.to_string()));
        row("keys", self.keys.as_deref().map(path).transpose()?);
        row("device", self.device.as_deref().map(path).transpose()?);
        row("wallet", Some(path(&self.wallet)?));
        row("l1_key", self.l1_key.as_deref().map(path).transpose()?);
        row("buy_limit", self.buy_limit.map(|ticks| ticks.to_string()));
        row("sell_limit", self.sell_limit.map(|ticks| ticks.to_string()));
        row("scale", self.scale.map(|wh| wh.to_string()));
        row("zone", self.zone.as_deref().map(quoted));
        row("currency", self.currency.as_deref().map(quoted));
        Ok(out)
    }

    fn defaults(&self, folder: &Path) -> Defaults {
        let path = |path: &Path| kept(folder.join(path).display().to_string());
        let text = |text: &str| kept(text.to_owned());
        let mut all = vec![
            ("rpc", nodes(&self.rpc).into_iter().map(kept).collect()),
            ("contract", vec![text(&self.contract)]),
            ("from_block", vec![kept(self.from_block.to_string())]),
            ("community", vec![kept(self.community.to_string())]),
            ("slot", vec![kept(self.slot.to_string())]),
            ("wallet", vec![path(&self.wallet)]),
            ("outbox", vec![path(&self.wallet)]),
        ];
        // Of dates; that of a file is another.
        all.extend(self.zone.as_deref().map(|zone| ("local_zone", vec![text(zone)])));
        all.extend(self.url.as_deref().map(|url| ("url", vec![text(url)])));
        for (name, file) in [("l1_key", &self.l1_key), ("keys", &self.keys), ("device", &self.device)] {
            all.extend(file.as_deref().map(|file| (name, vec![path(file)])));
        }
        Defaults::new(all)
    }

    /// Of the meter's packets.
    fn of_packets(&self) -> Defaults {
        let of = |name, value: Option<String>| value.map(|value| (name, vec![kept(value)]));
        let all = [
            of("buy_limit", self.buy_limit.map(|ticks| ticks.to_string())),
            of("sell_limit", self.sell_limit.map(|ticks| ticks.to_string())),
            of("scale", self.scale.map(|wh| wh.to_string())),
        ];
        Defaults::new(all.into_iter().flatten().collect())
    }

    /// Of a bill: elsewhere `zone` is that of a file.
    fn of_bills(&self) -> Defaults {
        let of = |name, value: &Option<String>| value.as_ref().map(|value| (name, vec![kept(value.clone())]));
        Defaults::new([of("zone", &self.zone), of("currency", &self.currency)].into_iter().flatten().collect())
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => out += &format!("\\u{:04X}", u32::from(letter)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Where, from 1.
fn line(text: &str, error: &toml::de::Error) -> usize {
    error.span().and_then(|span| text.get(..span.start)).map_or(0, |before| before.lines().count().max(1))
}

/// The command line with the defaults of the household's file, if these words are of a household's command and there is
/// one.
///
/// # Errors
/// A file that is named and not there, or one that is no household's.
pub fn command(command: Command, words: &[OsString]) -> Result<Command, HouseholdError> {
    let of_household = words.iter().skip(1).find(|word| COMMANDS.iter().any(|name| *word == name));
    // `init` makes the file.
    let makes = words.iter().any(|word| word == "init");
    // A build for a small device has only some of them.
    let there = |name: &&str| !makes && command.find_subcommand(name).is_some();
    let Some(name) = of_household.and_then(|word| word.to_str()).filter(there) else { return Ok(command) };
    let path = match named("--household", VARIABLE, words) {
        Some(path) => path,
        None if Path::new(NAME).is_file() => PathBuf::from(NAME),
        None => return Ok(command),
    };
    let household = Household::read(&path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let defaults = household.defaults(&folder);
    Ok(command.mut_subcommand(name, |command| {
        let command = defaults.below(command, &[]);
        if command.find_subcommand("bill").is_some() {
            command.mut_subcommand("bill", |bill| household.of_bills().below(bill, &[]))
        } else {
            household.of_packets().below(command, &[])
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn household() -> Household {
        Household {
            url: Some("https://operator.example".to_owned()),
            rpc: "https://one.example,https://two.example".to_owned(),
            contract: "0x5fbdb2315678afecb367f032d93f642f64180aa3".to_owned(),
            from_block: 12,
            community: 3,
            slot: 7,
            keys: Some(PathBuf::from("my \"home\".keys")),
            device: None,
            wallet: PathBuf::from("home7"),
            l1_key: None,
            buy_limit: Some(2_500),
            sell_limit: None,
            scale: Some(10),
            zone: Some("Europe/Vienna".to_owned()),
            currency: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, household().text().unwrap()).unwrap();
        assert_eq!(Household::read(&path).unwrap(), household());
    }

    #[test]
    fn a_file_that_is_no_households_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let text = household().text().unwrap();
        for (changed, said) in [
            (text.replace("slot = 7", "slot = 70000"), "line 8: invalid value"),
            (text.replace("slot = 7\n", ""), "missing field `slot`"),
            (format!("{text}passphrase = \"no\"\n"), "unknown field `passphrase`"),
            ("x".repeat(70_000), "more than 65536 bytes"),
        ] {
            std::fs::write(&path, changed).unwrap();
            let error = Household::read(&path).unwrap_err().to_string();
            assert!(error.contains(said) && error.lines().count() == 1, "{error}");
        }
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Household::read(&path).unwrap_err().to_string().contains("others may change it"));
    }
}
