//! `gridveil operator log`: the sequencer's log and its keys, while no sequencer runs (`docs/how-to/restore.md`).

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_sequencer::store::restoring::{RestoredKeys, restore_keys};

use crate::{
    common::options::Acting,
    member::{Details, agreed},
};

const EXAMPLE: &str = "Example:
  gridveil operator log restore-keys --data /var/lib/gridveil --master-key master.key --from /backup/keys

Key files that are there stay as they are: no key is ever replaced. What a log that was lost means: docs/how-to/restore.md.";

/// Options of `gridveil operator log`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Puts back key files that are missing, from a backup of the directory `keys`.
    #[command(after_help = EXAMPLE)]
    RestoreKeys(RestoreArgs),
}

#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// Directory of the sequencer's log.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    /// Backup of its directory `keys`.
    #[arg(long, value_name = "DIRECTORY")]
    from: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    acting: Acting,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Command::RestoreKeys(args) = &args.command;
    let restore = |write| restore_keys(&args.data, &args.master_key, &args.from, write).context("--data");
    let details = |RestoredKeys { restored, there }| {
        Details::new("Puts back key files that are missing; those that are there stay")
            .row("put back", restored.to_string(), restored)
            .row("there already", there.to_string(), there)
    };
    if !agreed(details(restore(false)?), args.acting, args.json)? {
        return Ok(());
    }
    details(restore(true)?).row("status", "start the sequencer", "restored").print(args.json)
}
