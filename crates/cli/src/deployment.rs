//! The deployment file instead of single options: `--deployment FILE` or GRIDVEIL_DEPLOYMENT, in every command.
//!
//! The file's values become the options' defaults, so an option or its own variable goes first.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, Command};
use gridveil_verifier_contract::deployment::DeploymentFile;

use crate::common::options::nodes;

/// Names the file where no option does.
const VARIABLE: &str = "GRIDVEIL_DEPLOYMENT";
/// They make deployments of their own, or have none.
const WITHOUT: [&str; 6] = ["demo", "devnet", "simulate", "market", "bench", "operator deploy"];

/// The command line with the defaults of the deployment file that these words, or the environment, name.
///
/// # Errors
/// There is no such file, or it is no deployment file.
pub fn command(command: Command, words: &[OsString]) -> anyhow::Result<Command> {
    let named =
        named(words).or_else(|| std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from));
    match named {
        None => Ok(command),
        Some(path) => Ok(with_defaults(command, &Defaults::of(&DeploymentFile::read(&path)?, &path))),
    }
}

fn named(words: &[OsString]) -> Option<PathBuf> {
    named_by("--deployment", words)
}

/// The file that an option names.
pub(crate) fn named_by(option: &str, words: &[OsString]) -> Option<PathBuf> {
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

/// Defaults by the options' identifiers.
pub(crate) struct Defaults(Vec<(&'static str, Vec<&'static str>)>);

/// The command line keeps its defaults for as long as the process runs.
pub(crate) fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Defaults {
    pub(crate) const fn new(all: Vec<(&'static str, Vec<&'static str>)>) -> Self {
        Self(all)
    }

    /// A command, and those below it, with these defaults.
    pub(crate) fn below(&self, command: Command) -> Command {
        with_defaults(command, self)
    }

    fn of(file: &DeploymentFile, path: &Path) -> Self {
        let mut all = vec![
            ("contract", vec![kept(file.contracts.rollup.address.to_string())]),
            ("from_block", vec![kept(file.created_block.to_string())]),
            ("chain_id", vec![kept(file.chain_id.to_string())]),
            ("deployment_file", vec![kept(path.display().to_string())]),
            ("shapes", file.settlement.iter().map(|verifier| kept(verifier.shape.clone())).collect()),
        ];
        if let Some(rpc) = &file.rpc {
            all.push(("rpc", nodes(rpc).into_iter().map(kept).collect()));
        }
        // The ceremony file is looked for beside the deployment file.
        let ceremony = file.setup.file.as_ref().map(|name| path.with_file_name(name)).filter(|path| path.is_file());
        if let (Some(ceremony), Some(hash)) = (ceremony, file.setup.blake2b) {
            all.push(("ptau", vec![kept(ceremony.display().to_string())]));
            all.push(("ptau_blake2b", vec![kept(hash.to_string())]));
        }
        Self(all)
    }

    fn apply(&self, arg: Arg) -> Arg {
        let id = arg.get_id().as_str();
        match self.0.iter().find(|(name, values)| *name == id && !values.is_empty()) {
            // Not every command takes several nodes.
            Some((_, values)) if !matches!(arg.get_action(), clap::ArgAction::Append) => {
                arg.required(false).default_values(values.iter().copied().take(1))
            }
            Some((_, values)) => arg.required(false).default_values(values.clone()),
            None => arg,
        }
    }
}

fn with_defaults(command: Command, defaults: &Defaults) -> Command {
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let of = command.get_name().to_owned();
    let without = |name: &String| WITHOUT.iter().any(|one| one == name || *one == format!("{of} {name}"));
    let command = command.mut_args(|arg| defaults.apply(arg));
    below
        .into_iter()
        .filter(|name| !without(name))
        .fold(command, |command, name| command.mut_subcommand(name, |below| with_defaults(below, defaults)))
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
        },
        Devnet {
            #[arg(long, default_value_t = 0)]
            from_block: u64,
        },
    }

    fn parse(words: &[&str]) -> Result<Below, clap::Error> {
        let defaults =
            Defaults(vec![("contract", vec!["0xaa"]), ("from_block", vec!["7"]), ("shapes", vec!["a", "b"])]);
        let command = with_defaults(Top::command(), &defaults);
        command.try_get_matches_from(words).and_then(|matches| Top::from_arg_matches(&matches)).map(|top| top.below)
    }

    #[test]
    fn the_file_fills_in_what_no_option_says() {
        let Ok(Below::Do { contract, from_block, shapes }) = parse(&["gridveil", "do"]) else { panic!("not read") };
        assert_eq!((contract.as_str(), from_block, shapes), ("0xaa", 7, vec!["a".to_owned(), "b".to_owned()]));
        let words = ["gridveil", "do", "--contract", "0xbb", "--from-block", "9", "--shape", "c"];
        let Ok(Below::Do { contract, from_block, shapes }) = parse(&words) else { panic!("not read") };
        assert_eq!((contract.as_str(), from_block, shapes), ("0xbb", 9, vec!["c".to_owned()]), "an option goes first");
        assert!(matches!(parse(&["gridveil", "ask"]), Ok(Below::Ask { shapes }) if shapes == "a"), "the first of them");
        assert!(matches!(parse(&["gridveil", "devnet"]), Ok(Below::Devnet { from_block: 0 })));
    }

    #[test]
    fn the_option_is_found_wherever_it_stands() {
        let found = |words: &[&str]| named(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(found(&["gridveil", "audit", "--deployment", "x.json"]), Some("x.json".into()));
        assert_eq!(found(&["gridveil", "--deployment=x.json", "audit"]), Some("x.json".into()));
        assert_eq!(found(&["gridveil", "audit", "--", "--deployment", "x.json"]), None);
        assert_eq!(found(&["gridveil", "audit"]), None);
    }
}
