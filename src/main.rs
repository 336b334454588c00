//! `gridveil`: one thin binary over the workspace. Without the feature `full` it is the client of a small device.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{FromArgMatches as _, error::ErrorKind};

mod memory;

#[cfg(feature = "full")]
mod full;
#[cfg(not(feature = "full"))]
mod small;

#[cfg(feature = "full")]
use full as build;
#[cfg(not(feature = "full"))]
use small as build;

fn main() -> ExitCode {
    if let Err(error) = memory::keep_in_this_process() {
        return failed(&format!("core dumps cannot be switched off, and one would hold keys: {error}"));
    }
    let words: Vec<_> = std::env::args_os().collect();
    let command = match build::command(&words) {
        Ok(command) => command,
        Err(line) => return failed(&line),
    };
    let parsed = command.try_get_matches_from(words).and_then(|matches| build::Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        Err(error) => return usage(&error),
    };
    build::begin(&cli).and_then(|()| build::run(cli)).map_or_else(|line| failed(&line), |()| ExitCode::SUCCESS)
}

fn failed(line: &str) -> ExitCode {
    eprintln!("gridveil: {line}");
    ExitCode::FAILURE
}

/// A usage error on one line; the rest is in `--help`.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let first: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    // An address in the wrong place may hold a password or a key.
    let hidden = |word| if is_address(word) { "(an address)" } else { word };
    let first = first.join(" ").split(' ').map(hidden).collect::<Vec<_>>().join(" ");
    eprintln!("gridveil: {} (see --help)", first.strip_prefix("error: ").unwrap_or(&first));
    ExitCode::from(2)
}

/// Somebody's address, and no form of one such as `tcp://HOST:PORT`.
fn is_address(word: &str) -> bool {
    let form = |c: char| c.is_ascii_uppercase() || ":…,;)'`[]".contains(c);
    word.split_once("://").is_some_and(|(_, rest)| !rest.chars().all(form))
}
