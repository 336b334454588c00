//! `gridveil operator member export`: everything that is held of one account, as a folder (`docs/how-to/export.md`).

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use gridveil_api::export::{ExportRequest, SCHEMA};
use gridveil_meter_client::cli::LocalArgs;
use jiff::civil::Date;

use super::{Listener, connect};
use crate::{
    common::{details::hex0, keys::OperatorKey},
    export::{folder::Folder, notice},
    member::Details,
};

pub(super) const EXAMPLE: &str = "Example:
  gridveil operator member export --community 0 --slot 7 --out slot-7 --notice notice.toml --operator-key operator.key \\
    --zone Europe/Vienna --admin http://127.0.0.1:8081 --admin-token admin.token

What is in it, and for whom: docs/how-to/export.md. A notice to fill in: docs/gdpr/notice.toml.";

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Community index.
    #[arg(long)]
    community: u32,
    /// Its slot.
    #[arg(long)]
    slot: u16,
    /// Which account of the slot, from 0; otherwise the one that lives, or the only one that has ended.
    #[arg(long, value_name = "NUMBER")]
    account: Option<u32>,
    /// First local day that is given: for a person who took the account over from another on it.
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// The folder, which is made with mode 0700. It is not encrypted: hand it over in person, or through a channel that is.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What only you can say: controller, purposes, legal bases, recipients, storage (docs/gdpr/notice.toml).
    #[arg(long, value_name = "FILE")]
    notice: PathBuf,
    /// Files that you add, such as an excerpt of your audit log or the contract; may be repeated.
    #[arg(long = "with", value_name = "FILE")]
    with: Vec<PathBuf>,
    #[command(flatten)]
    operator: OperatorKey,
    /// Signs nothing: for an operator whose key is in an external signer, which signs transactions alone.
    #[arg(long, conflicts_with = "operator_key")]
    unsigned: bool,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    listener: Listener,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    // What can be refused before anything is read.
    let notice = notice::read(&args.notice)?;
    ensure!(
        args.unsigned || !args.operator.signing.is_external(),
        "--signer: it signs transactions alone; take --unsigned, or --operator-key"
    );
    let key = if args.unsigned { None } else { Some(args.operator.open()?) };
    let since =
        args.since.map(|day| args.local.zone.midnight(day).context("--since: outside the calendar")).transpose()?;
    let admin = connect(&args.listener.admin, &args.listener.admin_token)?;
    let mut request = ExportRequest { account: args.account, at: None };
    let mut page = admin.export(args.community, args.slot, &request)?;
    let about = page.about.clone();
    ensure!(about.schema == SCHEMA, "the sequencer exports schema {}, and this program knows {SCHEMA}", about.schema);
    // An account may end meanwhile: the pages stay those of this one.
    request.account = Some(about.account);
    let mut folder = Folder::create(&args.out, about.clone(), args.local.zone.clone(), since)?;
    loop {
        page.parts.iter().try_for_each(|part| folder.add(part))?;
        let Some(next) = page.next else { break };
        request.at = Some(next);
        page = admin.export(args.community, args.slot, &request)?;
    }
    args.with.iter().try_for_each(|file| folder.with(file))?;
    let done = folder.finish(&notice, key.as_ref())?;
    let state = if about.lives { "open" } else { "ended" };
    let state = if about.erased { format!("{state}, erased") } else { state.to_owned() };
    let mut details =
        Details::new("Exported. It is not encrypted: hand it over in person, or through a channel that is")
            .row("community", about.community.to_string(), about.community)
            .row("slot", about.slot.to_string(), about.slot)
            .row("account", about.account.to_string(), about.account)
            .row("state", state.clone(), state)
            .row("folder", args.out.display().to_string(), args.out.display().to_string())
            .row("files", done.files.to_string(), done.files)
            .row("entries", done.parts.to_string(), done.parts)
            .row("erased entries", done.gone.to_string(), done.gone)
            .row("signed by", done.signer.map_or_else(|| "nobody".to_owned(), hex0), done.signer.map(hex0));
    for from in &done.owners {
        details = details.row("another owner from", from.as_str(), from.as_str());
    }
    details.print(args.listener.json)?;
    if !done.owners.is_empty() && args.since.is_none() {
        eprintln!("The account had another owner's key before. If that was another person: export again with --since.");
    }
    Ok(())
}
