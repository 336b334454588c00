//! `gridveil member certificate list` and `show`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use gridveil_meter_client::{cli::LocalArgs, wallet::write_file};
use gridveil_protocol::certificate::ShownRetirement;

use super::{number, refresh, state};
use crate::{
    common::{options::Place, text},
    member::{
        calendar::Calendar,
        session::{Session, read_chain},
    },
};

/// Options of `certificate list`.
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    place: Place,
}

/// Options of `certificate show`.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Which, counted from 1.
    #[arg(long, requires = "out")]
    number: Option<usize>,
    /// Writes its statement.
    #[arg(long, value_name = "FILE", requires = "number")]
    out: Option<PathBuf>,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    place: Place,
}

/// Runs `certificate list`.
pub(super) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    session.sync(false)?;
    let chain = read_chain(&args.place)?;
    refresh(&mut session, &chain)?;
    let notes = &session.wallet.state().notes;
    if args.place.json {
        let rows: Vec<_> = notes
            .iter()
            .map(|kept| {
                let note = &kept.note;
                serde_json::json!({"note": number(note.commitment()), "amount_wh": note.amount, "community": note.community,
                    "first_interval": note.first_interval, "intervals": note.intervals, "technology": note.technology, "state": state(&session, kept)})
            })
            .collect();
        return Ok(text::print(&format!("{}\n", serde_json::Value::Array(rows)))?);
    }
    let mut calendar = Calendar::new(&chain, &args.local);
    let mut table = text::table(&["note", "generated from", "technology", "kWh", "state"]);
    for kept in notes {
        let note = &kept.note;
        let short: String = number(note.commitment()).chars().take(14).collect();
        table.add_row([
            short,
            calendar.begins(note.community, note.first_interval)?,
            note.technology.to_string(),
            text::kwh(note.amount),
            state(&session, kept).to_owned(),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}

/// Runs `certificate show`.
pub(super) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let session = Session::open(&args.place)?;
    let retirements = &session.wallet.state().retirements;
    if let (Some(number), Some(out)) = (args.number, &args.out) {
        let Some(kept) = number.checked_sub(1).and_then(|at| retirements.get(at)) else {
            bail!("there are {} retirements", retirements.len())
        };
        let shown = ShownRetirement::new(
            session.deployment.chain_id,
            session.deployment.contract,
            kept.sealed,
            kept.statement.clone(),
        );
        write_file(out, &shown).with_context(|| out.display().to_string())?;
    }
    if args.place.json {
        let rows: Vec<_> = retirements
            .iter()
            .map(|kept| serde_json::json!({"commitment": number(kept.statement.commitment()), "sealed": kept.sealed, "tx": kept.tx, "statement": kept.statement}))
            .collect();
        return Ok(text::print(&format!("{}\n", serde_json::Value::Array(rows)))?);
    }
    let chain = read_chain(&args.place)?;
    let mut calendar = Calendar::new(&chain, &args.local);
    let mut table = text::table(&["retirement", "generated from", "kWh", "purpose", "public", "beneficiary"]);
    for (at, kept) in retirements.iter().enumerate() {
        let statement = &kept.statement;
        let purpose = format!("{:?}", statement.purpose).to_lowercase();
        let public = if kept.sealed { "sealed" } else { "public" };
        table.add_row([
            (at + 1).to_string(),
            calendar.begins(statement.origin.community, statement.origin.first_interval)?,
            text::kwh(statement.amount),
            purpose,
            public.to_owned(),
            number(statement.beneficiary).chars().take(14).collect(),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}
