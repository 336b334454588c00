//! `gridveil operator log`: the sequencer's log and its keys, while no sequencer runs (`docs/how-to/restore.md`).

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_sequencer::store::{
    check::{Report, check},
    restoring::{RestoredKeys, restore_keys, seal_log},
};

use crate::{
    common::options::Acting,
    member::{Details, agreed},
};

const EXAMPLE: &str = "Examples:
  gridveil operator log check --data /var/lib/gridveil --master-key master.key
  gridveil operator log restore-keys --data /var/lib/gridveil --master-key master.key --from /backup/keys
  gridveil operator log seal --data /var/lib/gridveil --master-key master.key

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
    /// Reads all of a log and says if it is whole: records, chain, order, keys, openings, index, snapshots. Changes nothing.
    #[command(after_help = EXAMPLE)]
    Check(CheckArgs),
    /// Puts back key files that are missing, from a backup of the directory `keys`.
    #[command(after_help = EXAMPLE)]
    RestoreKeys(RestoreArgs),
    /// Seals a log that an earlier release wrote (format 4): what is in clear in it is sealed, and the old file overwritten.
    #[command(after_help = EXAMPLE)]
    Seal(SealArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Directory of the sequencer's log.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct SealArgs {
    /// Directory of the sequencer's log; needs as much room again as the log has.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    acting: Acting,
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
    match &args.command {
        Command::Check(args) => checked(args),
        Command::RestoreKeys(args) => restore(args),
        Command::Seal(args) => seal(args),
    }
}

fn checked(args: &CheckArgs) -> anyhow::Result<()> {
    let Report { checked, torn, communities, opened, index, snapshots, other_snapshots } =
        check(&args.data, &args.master_key).context("--data")?;
    let (opens, of_index) = match (opened, index) {
        (Some(opened), _) => (format!("of all {opened}, and lead to the state root"), "as the log says"),
        (None, Some(_)) => {
            ("not looked at: the index is not the log's".to_owned(), "another: the next start makes it anew")
        }
        (None, None) => ("not looked at: there is no index".to_owned(), "none: the next start makes it anew"),
    };
    let tail = if torn == 0 {
        "whole".to_owned()
    } else {
        format!("{torn} bytes of a record that was never acknowledged: the next start cuts them off")
    };
    let of_snapshots = match (snapshots, other_snapshots) {
        (0, 0) => "none: the next start reads all of the log".to_owned(),
        (good, 0) => format!("{good}, as the log leads to"),
        (good, other) => format!("{good} as the log leads to, {other} that a start passes over or refuses"),
    };
    Details::new("The log is whole")
        .row("records", checked.records.to_string(), checked.records)
        .row("bytes", checked.bytes.to_string(), checked.bytes)
        .row("end", tail, torn)
        .row("communities", communities.to_string(), communities)
        .row("openings", opens, opened)
        .row("index", of_index, index)
        .row("snapshots", of_snapshots, serde_json::json!({"good": snapshots, "other": other_snapshots}))
        .print(args.json)
}

fn seal(args: &SealArgs) -> anyhow::Result<()> {
    let name = args.data.display().to_string();
    let details = || {
        Details::new("Seals a log of format 4; earlier releases cannot read it afterwards").row(
            "data",
            name.clone(),
            name.clone(),
        )
    };
    if !agreed(details(), args.acting, args.json)? {
        return Ok(());
    }
    let records = seal_log(&args.data, &args.master_key).context("--data")?;
    let status = if records.is_some() { "sealed; start the sequencer" } else { "it was sealed already" };
    details().row("records", records.unwrap_or(0).to_string(), records).row("status", status, status).print(args.json)
}

fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
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
