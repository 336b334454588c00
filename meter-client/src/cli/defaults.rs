//! What a file says once becomes the defaults of every command's options.

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, builder::Resettable};

/// Defaults by the options' identifiers.
#[derive(Debug)]
pub struct Defaults(Vec<(&'static str, Vec<&'static str>)>);

/// The command line keeps its defaults for as long as the process runs.
#[must_use]
pub fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Nodes in one text, as in GRIDVEIL_RPC and in the files: commas between them.
#[must_use]
pub fn nodes(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// The file that an option names, wherever it stands.
#[must_use]
pub fn named_by(option: &str, words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == option {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix(option)?.strip_prefix('=')) {
            return Some(path.into());
        }
    }
    None
}

/// The file that an option names, or else a variable.
#[must_use]
pub fn named(option: &str, variable: &str, words: &[OsString]) -> Option<PathBuf> {
    named_by(option, words).or_else(|| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from))
}

/// Why a file of settings is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// File system.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More than a file of this kind says.
    #[error("{}: more than {most} bytes", path.display())]
    TooLong {
        /// File.
        path: PathBuf,
        /// Bytes of the largest.
        most: u64,
    },
    /// Who changes it says whom its owner believes.
    #[error("{}: others may change it (chmod go-w)", .0.display())]
    OthersMayChange(PathBuf),
}

/// The text of a file of at most `most` bytes that only its owner may change.
///
/// # Errors
/// [`FileError`].
pub fn own_text(path: &Path, most: u64) -> Result<String, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.len() > most {
        return Err(FileError::TooLong { path: path.to_owned(), most });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(FileError::OthersMayChange(path.to_owned()));
    }
    std::fs::read_to_string(path).map_err(io)
}

impl Defaults {
    /// Values by option; one without values is none.
    #[must_use]
    pub const fn new(all: Vec<(&'static str, Vec<&'static str>)>) -> Self {
        Self(all)
    }

    /// A command, and those below it but for some (`NAME` or `ABOVE NAME`), with these defaults.
    #[must_use]
    pub fn below(&self, command: Command, without: &[&str]) -> Command {
        let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
        let of = command.get_name().to_owned();
        let left_out = |name: &String| without.iter().any(|one| one == name || *one == format!("{of} {name}"));
        let command = command.mut_args(|arg| self.apply(arg));
        names
            .into_iter()
            .filter(|name| !left_out(name))
            .fold(command, |command, name| command.mut_subcommand(name, |below| self.below(below, without)))
    }

    fn apply(&self, arg: Arg) -> Arg {
        let id = arg.get_id().as_str();
        match self.0.iter().find(|(name, values)| *name == id && !values.is_empty()) {
            Some((_, values)) => {
                // Not every command takes several nodes.
                let several = matches!(arg.get_action(), clap::ArgAction::Append);
                let most = if several { values.len() } else { 1 };
                let arg = arg.required(false).required_unless_present(Resettable::Reset);
                arg.default_values(values.iter().copied().take(most))
            }
            None => arg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    #[derive(Debug, Parser)]
    struct Top {
        #[command(subcommand)]
        below: Below,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Below {
        Do {
            #[arg(long)]
            contract: String,
            #[arg(long, default_value_t = 0)]
            from_block: u64,
            #[arg(long = "shape", default_value = "home-32x24")]
            shapes: Vec<String>,
        },
        Ask {
            #[arg(long)]
            shapes: String,
            #[arg(long, required_unless_present = "offline")]
            contract: Option<String>,
            #[arg(long)]
            offline: bool,
        },
        Devnet {
            #[arg(long, default_value_t = 0)]
            from_block: u64,
        },
    }

    fn parse(words: &[&str]) -> Result<Below, clap::Error> {
        let defaults =
            Defaults(vec![("contract", vec!["0xaa"]), ("from_block", vec!["7"]), ("shapes", vec!["a", "b"])]);
        let command = defaults.below(Top::command(), &["devnet"]);
        command.try_get_matches_from(words).and_then(|matches| Top::from_arg_matches(&matches)).map(|top| top.below)
    }

    #[test]
    fn the_file_fills_in_what_no_option_says() {
        let Ok(Below::Do { contract, from_block, shapes }) = parse(&["gridveil", "do"]) else { panic!("not read") };
        assert_eq!((contract.as_str(), from_block, shapes), ("0xaa", 7, vec!["a".to_owned(), "b".to_owned()]));
        let words = ["gridveil", "do", "--contract", "0xbb", "--from-block", "9", "--shape", "c"];
        let Ok(Below::Do { contract, from_block, shapes }) = parse(&words) else { panic!("not read") };
        assert_eq!((contract.as_str(), from_block, shapes), ("0xbb", 9, vec!["c".to_owned()]), "an option goes first");
        assert!(
            matches!(parse(&["gridveil", "ask"]), Ok(Below::Ask { shapes, contract, offline: false })
            if shapes == "a" && contract.as_deref() == Some("0xaa")),
            "the first of them, and what was needed otherwise"
        );
        assert!(matches!(parse(&["gridveil", "devnet"]), Ok(Below::Devnet { from_block: 0 })));
    }

    #[test]
    fn the_option_is_found_wherever_it_stands() {
        let found = |words: &[&str]| named_by("--deployment", &words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(found(&["gridveil", "audit", "--deployment", "x.json"]), Some("x.json".into()));
        assert_eq!(found(&["gridveil", "--deployment=x.json", "audit"]), Some("x.json".into()));
        assert_eq!(found(&["gridveil", "audit", "--", "--deployment", "x.json"]), None);
        assert_eq!(found(&["gridveil", "audit"]), None);
    }
}
