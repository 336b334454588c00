//! `gridveil audit granted`: what a meter data manager granted to a regulator or an auditor.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_api::grant::{GrantField, SignedGrant};
use gridveil_meter_client::{
    calendar::{Periods, When},
    cli::LocalArgs,
    submit::{Retry, Sequencer},
    wallet::{Deployment, read_file, write_file},
};
use serde_json::json;

use crate::{common::text, operator::connect};

/// Example for the help.
pub const EXAMPLE: &str = "Examples:\n  gridveil audit granted grant.json --period 2026-11-03 --zone Europe/Vienna --admin https://admin.example --admin-token auditor.token --url https://grid.example\n  \
                           gridveil audit granted grant.json --period 2026-11-03 --admin-token auditor.token --url http://127.0.0.1:8080 --out totals.json\n\n\
                           With --out the headers are written, if the grant has them: gridveil audit totals compares them with L1.";

/// Options of `gridveil audit granted`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The grant's file, from the meter data manager.
    file: PathBuf,
    /// The period, which must be final on L1: its local day, such as 2017-05-03, or the time at which it begins, such as
    /// 2017-05-03T00:00+02:00.
    #[arg(long, value_name = "DATE")]
    period: When,
    #[command(flatten)]
    local: LocalArgs,
    /// Sequencer, `https://…` or `http://…`: it says how long periods are.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: String,
    /// Admin listener of the sequencer, https://… or http://…
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "GRIDVEIL_ADMIN")]
    admin: String,
    /// File with the reader's token, as its issuer gave it.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_ADMIN_TOKEN")]
    admin_token: PathBuf,
    /// Writes the opening of both headers into this file, if the grant has them.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// A total with its unit.
fn shown(field: GrantField, value: u64) -> String {
    match field {
        GrantField::Debt | GrantField::SupplierAccount | GrantField::FeeAccount | GrantField::Reserve => {
            text::money(value.into())
        }
        GrantField::SubstitutedPackets | GrantField::Corrected => text::grouped(value.into()),
        GrantField::Header
        | GrantField::Import
        | GrantField::Export
        | GrantField::Traded
        | GrantField::Issued
        | GrantField::Retired
        | GrantField::Outstanding
        | GrantField::SubstitutedWh => format!("{} Wh", text::grouped(value.into())),
    }
}

/// Runs the command.
///
/// # Errors
/// The files, no answer, or a refusal.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let name = || args.file.display().to_string();
    let sequencer = Sequencer::new(&args.url, Retry::default())?;
    let info = sequencer.info()?;
    let deployment = Deployment { chain_id: info.chain_id, contract: info.contract };
    let grant: SignedGrant = read_file(&args.file, &deployment).with_context(name)?;
    let community = grant.grant.community;
    let periods = Periods::of(&sequencer.community(community)?, args.local.zone.clone());
    let first = periods.find(&args.period).context("--period")?;
    let admin = connect(&args.admin, &args.admin_token)?;
    if let Some(out) = &args.out {
        let opening = admin.granted_opening(&grant, first)?;
        let out_name = out.display().to_string();
        write_file(out, &opening).with_context(|| out_name.clone())?;
        let told = json!({"community": community, "first_interval": first, "file": out_name});
        return Ok(text::print(&if args.json {
            format!("{told}\n")
        } else {
            format!("community  {community}\nperiod     {}\nfile       {out_name}\n", periods.span(first))
        })?);
    }
    let totals = admin.granted_totals(&grant, first)?;
    if args.json {
        return Ok(text::print(&format!("{}\n", serde_json::to_string(&totals)?))?);
    }
    let mut table = text::table(&["total since the beginning", "before", "after"]);
    for one in &totals.totals {
        let before = one.before.map_or_else(|| "-".to_owned(), |value| shown(one.field, value));
        table.add_row([one.field.name().to_owned(), before, shown(one.field, one.after)]);
    }
    Ok(text::print(&format!("community {community}, {}\n{table}\n", periods.span(first)))?)
}
