//! `gridveil operator member`: what a member may ask of the operator about its own data (`docs/how-to/erase.md`).

use gridveil_api::admin::EraseRequest;

use super::{Listener, connect, export};
use crate::{
    common::options::Acting,
    member::{Details, agreed},
};

const EXAMPLE: &str = "Examples:
  gridveil operator member erase --community 0 --slot 7 --admin http://127.0.0.1:8081 --admin-token admin.token
  gridveil operator member export --community 0 --slot 7 --out slot-7 --notice notice.toml --operator-key operator.key \\
    --zone Europe/Vienna --admin http://127.0.0.1:8081 --admin-token admin.token

What is erased, when, and what is left: docs/how-to/erase.md. What an export has: docs/how-to/export.md.";

/// Options of `gridveil operator member`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Erases an account that has ended and is final on L1: its keys are overwritten. There is no way back.
    #[command(after_help = EXAMPLE)]
    Erase(EraseArgs),
    /// Writes everything that is held of an account into a folder: for the person, readable, signed (GDPR, articles 15
    /// and 20).
    #[command(after_help = export::EXAMPLE)]
    Export(Box<export::ExportArgs>),
}

#[derive(Debug, clap::Args)]
struct EraseArgs {
    /// Community index.
    #[arg(long)]
    community: u32,
    /// Its slot.
    #[arg(long)]
    slot: u16,
    /// Which account of the slot, from 0, where several have ended.
    #[arg(long, value_name = "NUMBER")]
    account: Option<u32>,
    #[command(flatten)]
    listener: Listener,
    #[command(flatten)]
    acting: Acting,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Erase(args) => erase(args),
        Command::Export(args) => export::run(args),
    }
}

fn erase(args: &EraseArgs) -> anyhow::Result<()> {
    let EraseArgs { community, slot, account, listener, acting } = args;
    let which = account.map_or_else(|| "the one that has ended".to_owned(), |account| account.to_string());
    let details = Details::new("Erases an account for ever: nobody reads again what is sealed under its keys")
        .row("community", community.to_string(), *community)
        .row("slot", slot.to_string(), *slot)
        .row("account", which, *account);
    if !agreed(details, *acting, listener.json)? {
        return Ok(());
    }
    let admin = connect(&listener.admin, &listener.admin_token)?;
    let erased = admin.erase(*community, *slot, &EraseRequest { account: *account })?;
    Details::new("Erased. Keep the list of erasures, <data>/erased, with every backup")
        .row("community", erased.community.to_string(), erased.community)
        .row("slot", erased.slot.to_string(), erased.slot)
        .row("account", erased.account.to_string(), erased.account)
        .row("ended with batch", erased.ended_with.to_string(), erased.ended_with)
        .row("batches", erased.batches.to_string(), erased.batches)
        .print(listener.json)
}
