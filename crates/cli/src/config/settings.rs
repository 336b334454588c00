//! The sequencer's file: what is in it, and what of it the environment says otherwise.
//!
//! ```toml
//! [sequencer]            # as the options of `gridveil sequencer`
//! data = "/var/lib/gridveil"
//! [limits]               # gridveil_sequencer::Limits
//! body_bytes = 65536
//! [pace]                 # gridveil_sequencer::Pace
//! watch_every = "12s"
//! [retention]            # gridveil_sequencer::Retention
//! ended_accounts = "18 months"
//! [staff]                # gridveil_sequencer::staff::StaffConfig
//! issuer = "https://id.example/realms/grid"
//! ```
//!
//! A variable `GRIDVEIL__SECTION__NAME` goes before the file, and an option before both. A relative path in the file is seen
//! from the file's folder.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, Command};
use figment::{
    Figment, Source,
    providers::{Env, Format as _, Toml},
    value::Value,
};
use gridveil_meter_client::cli::defaults::{Defaults, FileError, kept, named, own_text};
use gridveil_sequencer::{Limits, Pace, Retention, staff::StaffConfig};
use gridveil_verifier_contract::address::secrets_in;
use serde::{Deserialize, Serialize};

use crate::{common::text, rpc_file};

/// Names the file where no option does.
pub const VARIABLE: &str = "GRIDVEIL_CONFIG";
/// What variables begin with that go before the file.
pub const PREFIX: &str = "GRIDVEIL__";
/// The command that the file is for, and the section of its options.
pub const COMMAND: &str = "sequencer";
/// Option of every command, and a setting of the file.
const RPC_FILE: &str = "rpc_file";
/// Least bytes of a head of a request (hyper).
const LEAST_HEAD: i64 = 8192;
/// Most of any limit.
const MOST: i64 = 1 << 30;
/// Largest file, bytes.
const MAX_BYTES: u64 = 256 << 10;
/// Options that say where a file is, and no setting of the sequencer.
const NO_SETTINGS: [&str; 5] = ["config", "deployment", "household", "help", "version"];

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, a section or name that there is not, or a value of another type.
    #[error("{0}")]
    Value(String),
    /// `[sequencer]` has a name that is no option's.
    #[error("{place}: `{name}` is no option of gridveil {COMMAND} (see gridveil config example)")]
    Unknown {
        /// File or variable.
        place: String,
        /// The name.
        name: String,
    },
    /// The file may be read by more people than a key.
    #[error("{place}: `{name}` has what may be a key: write the address into a file of its own (rpc_file, mode 0600)")]
    Secret {
        /// File.
        place: String,
        /// The name.
        name: String,
    },
    /// A number or time that no sequencer works with.
    #[error("{place}: {key} = {value}: {takes}")]
    Range {
        /// File or variable.
        place: String,
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What it may be.
        takes: &'static str,
    },
    /// Addresses of L1 in a file of their own.
    #[error("{0}")]
    RpcFile(String),
    /// A table where a text, a number, true or false, or a list of them is wanted.
    #[error("{place}: `{name}` takes a text, a number, true or false, or a list of them")]
    Shape {
        /// File or variable.
        place: String,
        /// The name.
        name: String,
    },
}

/// Everything that a sequencer is started with but for what the options say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Values of options, by name.
    pub sequencer: BTreeMap<String, Value>,
    /// Bounds.
    pub limits: Limits,
    /// How often, and how long.
    pub pace: Pace,
    /// How long what is held is kept.
    pub retention: Retention,
    /// Staff by tokens.
    pub staff: StaffConfig,
}

/// Settings, and where each comes from.
#[derive(Debug)]
pub struct Found {
    /// The settings.
    pub settings: Settings,
    figment: Figment,
}

impl Found {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = path {
            // Its errors say what figment would not: whose it is, and how long.
            own_text(path, MAX_BYTES)?;
            figment = figment.merge(Toml::file_exact(path));
        }
        let figment = figment.merge(Env::prefixed(PREFIX).split("__"));
        let mut settings: Settings = figment.extract().map_err(|error| ConfigError::Value(told(&error)))?;
        let mut found = Self { settings: Settings::default(), figment };
        // A file, seen from the file's folder; an address is none.
        if let Some(folder) = found.folder("staff.jwks").filter(|_| !settings.staff.jwks.contains("://"))
            && !settings.staff.jwks.is_empty()
        {
            settings.staff.jwks = folder.join(&settings.staff.jwks).display().to_string();
        }
        found.settings = settings;
        found.in_range()?;
        Ok(found)
    }

    /// No bound of zero: it would shut out everybody, or look without a pause.
    fn in_range(&self) -> Result<(), ConfigError> {
        let Settings { limits, pace, retention, staff, .. } = &self.settings;
        let sections = [
            ("limits", toml::Table::try_from(limits)),
            ("pace", toml::Table::try_from(pace)),
            ("retention", toml::Table::try_from(retention)),
            ("staff", toml::Table::try_from(staff)),
        ];
        for (section, table) in sections {
            let table = table.map_err(|error| ConfigError::Value(error.to_string()))?;
            for (name, value) in table {
                let takes = match &value {
                    toml::Value::Integer(number) if name == "head_bytes" && *number < LEAST_HEAD => {
                        "it takes 8192 bytes or more"
                    }
                    toml::Value::Integer(number) if !(1..=MOST).contains(number) => "it takes 1 to 1073741824",
                    toml::Value::String(time) if section != "staff" && time.starts_with('0') => {
                        "it takes more than no time"
                    }
                    _ => continue,
                };
                let key = format!("{section}.{name}");
                let place = self.place(&key).unwrap_or_default();
                return Err(ConfigError::Range { place, key, value: value.to_string(), takes });
            }
        }
        Ok(())
    }

    /// Neither file nor variables.
    #[must_use]
    pub fn none() -> Self {
        Self { settings: Settings::default(), figment: Figment::new() }
    }

    /// Where a setting comes from: the file, a variable, or nowhere.
    #[must_use]
    pub fn place(&self, key: &str) -> Option<String> {
        let metadata = self.figment.find_metadata(key)?;
        Some(match &metadata.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ => variable(key),
        })
    }

    /// The folder that relative paths of a setting are seen from.
    fn folder(&self, key: &str) -> Option<PathBuf> {
        match &self.figment.find_metadata(key)?.source {
            Some(Source::File(path)) => path.parent().map(Path::to_owned),
            _ => None,
        }
    }

    /// The command line whose `sequencer` has these values where no option is given.
    ///
    /// # Errors
    /// A name that is no option's, or a value that none takes.
    pub fn below(&self, command: Command) -> Result<Command, ConfigError> {
        let Some(sequencer) = command.find_subcommand(COMMAND) else { return Ok(command) };
        let mut all = Vec::new();
        for (name, value) in &self.settings.sequencer {
            let key = format!("{COMMAND}.{name}");
            let place = || self.place(&key).unwrap_or_default();
            if name == RPC_FILE {
                let path = texts(value).and_then(|texts| texts.into_iter().next());
                let path = path.ok_or_else(|| ConfigError::Shape { place: place(), name: name.clone() })?;
                let path = self.folder(&key).map_or_else(|| path.clone().into(), |folder| folder.join(&path));
                let nodes = rpc_file::read(&path).map_err(|error| ConfigError::RpcFile(text::one_line(&error)))?;
                all.push(("rpc", nodes));
                continue;
            }
            let option = options(sequencer).find(|option| setting(option) == *name);
            let option = option.ok_or_else(|| ConfigError::Unknown { place: place(), name: name.clone() })?;
            let texts = texts(value).ok_or_else(|| ConfigError::Shape { place: place(), name: name.clone() })?;
            let folder = if is_path(option) { self.folder(&key) } else { None };
            if self.folder(&key).is_some()
                && texts.iter().any(|text| text.contains("://") && !secrets_in(text).is_empty())
            {
                return Err(ConfigError::Secret { place: place(), name: name.clone() });
            }
            let texts = texts.into_iter().map(|text| match &folder {
                Some(folder) => kept(folder.join(text).display().to_string()),
                None => kept(text),
            });
            all.push((kept(option.get_id().to_string()), texts.collect()));
        }
        Ok(command.mut_subcommand(COMMAND, |sequencer| Defaults::new(all).below(sequencer, &[])))
    }
}

/// The command line with what the file and the environment say of the sequencer.
///
/// # Errors
/// [`ConfigError`].
pub fn command(command: Command, words: &[OsString]) -> Result<Command, ConfigError> {
    // Other commands stand when the sequencer's file does not.
    if !words.iter().skip(1).any(|word| word == COMMAND) {
        return Ok(command);
    }
    Found::read(named("--config", VARIABLE, words).as_deref())?.below(command)
}

/// Options that a file may hold.
pub fn options(sequencer: &Command) -> impl Iterator<Item = &Arg> {
    sequencer.get_arguments().filter(|arg| !NO_SETTINGS.contains(&arg.get_id().as_str()) && arg.get_long().is_some())
}

/// An option's name in the file: as on the command line, with `_` for `-`.
#[must_use]
pub fn setting(option: &Arg) -> String {
    option.get_long().unwrap_or_default().replace('-', "_")
}

/// The variable that goes before the file.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

fn is_path(option: &Arg) -> bool {
    option.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>()
}

/// A value as words of the command line.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(_, text) => Some(vec![text.clone()]),
        Value::Char(_, one) => Some(vec![one.to_string()]),
        Value::Bool(_, is) => Some(vec![is.to_string()]),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .map(|number| vec![number]),
        Value::Array(_, all) => {
            let all: Option<Vec<Vec<String>>> = all.iter().map(texts).collect();
            Some(all?.concat())
        }
        Value::Empty(..) | Value::Dict(..) => None,
    }
}

/// An error of figment in one line: place, setting, what was found.
fn told(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let place = match error.metadata.as_ref().map(|metadata| &metadata.source) {
        Some(Some(Source::File(path))) => format!("{}: ", path.display()),
        Some(_) if !key.is_empty() => format!("{}: ", variable(&key)),
        _ => String::new(),
    };
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let text = error.kind.to_string();
    format!("{place}{key}{}", text.lines().collect::<Vec<_>>().join(" ").trim())
}
