//! `gridveil member export`: the folder that an operator gave as everything that it holds (`docs/how-to/export.md`).

use crate::export::check;

pub(super) use check::EXAMPLE;

/// What is done with it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Checks hashes, signatures and every figure; with --rpc also that roots and tariffs are those on L1. Needs neither keys
    /// nor wallet.
    #[command(after_help = EXAMPLE)]
    Check(check::Args),
}

/// Runs it.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check(args) => check::run(args),
    }
}
