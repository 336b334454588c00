//! The commands of a build for a small device (`--no-default-features`): `meter`, and nothing else.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};
use gridveil_meter_client::cli::{self, household, one_line};

/// The full build reads a deployment's file where this names one.
const DEPLOYMENT: &str = "GRIDVEIL_DEPLOYMENT";

#[derive(Parser)]
#[command(
    name = "gridveil",
    version = concat!(env!("CARGO_PKG_VERSION"), " (small: meter only)"),
    about = "A member's meter: keys, meter files, packets, statements. The build for a small device",
    after_help = "\
Not in this build: member, mdm, operator, sequencer, config, prover, audit,
  verify-deployment, devnet, demo, simulate, market, fleet, bench. What needs
  money, L1's key or a proof is done with the full build, on another machine.

Example:
  gridveil meter read history.xml"
)]
pub(crate) struct Cli {
    /// A household's file (made by `gridveil member init` of the full build): where, who and with what, where no option says
    /// otherwise. If absent, household.toml in this folder.
    #[arg(long, value_name = "FILE", global = true, env = "GRIDVEIL_HOUSEHOLD")]
    household: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A member's side: keys, meter files, packets, statements.
    Meter(Box<cli::Args>),
    /// What this build does not have.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Nothing here writes a log.
pub(crate) const fn begin(_: &Cli) -> Result<(), String> {
    Ok(())
}

/// The command line, with what a household's file says where no option does.
///
/// # Errors
/// One line for a person.
pub(crate) fn command(words: &[OsString]) -> Result<clap::Command, String> {
    if std::env::var_os(DEPLOYMENT).is_some_and(|value| !value.is_empty()) {
        return Err(format!("{DEPLOYMENT} is set, and this build reads no deployment file: give --rpc and --contract"));
    }
    household::command(Cli::command(), words).map_err(|error| one_line(&error))
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub(crate) fn run(cli: Cli) -> Result<(), String> {
    match cli.command {
        Command::Meter(args) => cli::run(*args).map_err(|error| one_line(&error)),
        Command::Other(words) => {
            let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            Err(format!("this build for a small device has only `meter`: `{name}` is for the full build"))
        }
    }
}
