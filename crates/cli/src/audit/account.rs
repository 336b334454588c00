//! `gridveil audit balance`, `gridveil audit reading` and `gridveil audit bill`: what a member opens, against L1 alone.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_auditor::{AccountError, Published};
use gridveil_meter_client::{
    calendar,
    cli::LocalArgs,
    wallet::{Deployment, ExchangeFile, read_file},
};
use gridveil_protocol::{
    opening::{BalanceOpening, BillOpening, ReadingOpening},
    units::Wh,
};
use gridveil_readings::zone::Zone;
use serde::Serialize;

use super::rollup::Rollup;
use crate::common::text;

/// Example for the help of each.
macro_rules! example {
    ($what:literal) => {
        concat!(
            "Example:\n  gridveil audit ",
            $what,
            " ",
            $what,
            ".json --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3"
        )
    };
}
pub(super) use example;

/// Options of each.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The opening, from the member (`gridveil member open`).
    file: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    rollup: Rollup,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs `audit balance`.
///
/// # Errors
/// The file, L1, or what does not hold.
pub fn balance(args: &Args) -> anyhow::Result<()> {
    checked::<BalanceOpening, _>(args, "balance", Published::balance, |opened| {
        let place = (opened.community, opened.slot, opened.batch);
        let debt = "not opened (a bill's opening shows it)".to_owned();
        let balance = text::money(opened.balance_nano.into());
        (place, vec![("balance", balance), ("debt", debt), ("payout", opened.payout.clone())])
    })
}

/// Runs `audit reading`.
///
/// # Errors
/// The file, L1, or what does not hold.
pub fn reading(args: &Args) -> anyhow::Result<()> {
    checked::<ReadingOpening, _>(args, "reading", Published::reading, |opened| {
        let place = (opened.community, opened.slot, opened.batch);
        (
            place,
            vec![
                ("imported", kwh(opened.import_wh)),
                ("exported", kwh(opened.export_wh)),
                ("import register", kwh(opened.import_register_wh)),
                ("export register", kwh(opened.export_register_wh)),
                ("settled with", settled_with(opened.substituted)),
            ],
        )
    })
}

/// Runs `audit bill`.
///
/// # Errors
/// The file, L1, or what does not hold.
pub fn bill(args: &Args) -> anyhow::Result<()> {
    checked::<BillOpening, _>(args, "bill", Published::bill, |opened| {
        let place = (opened.community, opened.slot, opened.batch);
        (
            place,
            vec![
                ("imported", kwh(opened.import_wh)),
                ("of it bought locally", kwh(opened.bought_wh)),
                ("exported", kwh(opened.export_wh)),
                ("of it sold locally", kwh(opened.sold_wh)),
                ("bill", text::money(opened.bill_nano)),
                ("account before", text::money(opened.before_nano)),
                ("account after", text::money(opened.after_nano)),
                ("operations", opened.operations.to_string()),
                ("settled with", settled_with(opened.substituted)),
            ],
        )
    })
}

/// Community, slot and batch.
type Place = (u32, u16, u64);

/// What is opened of one account and period: where it is, then `facts`.
fn of_period(published: &Published, zone: &Zone, (community, slot, batch): Place, facts: Rows) -> Rows {
    let periods = published.periods();
    let period = periods.iter().find(|period| period.batch == batch);
    let time = |unix_s: u64| i64::try_from(unix_s).map_or_else(|_| unix_s.to_string(), |s| calendar::local(s, zone));
    let begins = period.map_or_else(String::new, |period| time(period.begins_s));
    let ends = period.map_or_else(String::new, |period| time(period.ends_s));
    let place = [
        ("community", community.to_string()),
        ("slot", slot.to_string()),
        ("period begins", begins),
        ("period ends", ends),
        ("batch", batch.to_string()),
    ];
    place.into_iter().chain(facts).collect()
}

fn kwh(wh: Wh) -> String {
    format!("{} kWh", text::kwh(wh))
}

fn settled_with(substitute: bool) -> String {
    if substitute { "a substitute" } else { "the meter's packet" }.to_owned()
}

type Rows = Vec<(&'static str, String)>;

fn checked<T: ExchangeFile, O: Serialize>(
    args: &Args,
    name: &str,
    opened: impl Fn(&Published, &T) -> Result<O, AccountError>,
    rows: impl Fn(&O) -> (Place, Rows),
) -> anyhow::Result<()> {
    let contract = args.rollup.contract()?;
    let file = args.file.display().to_string();
    anyhow::ensure!(args.file.exists(), "{file}: no such file");
    let chain = args.rollup.connect()?;
    let chain_id = chain.wait(chain.client().chain_id())?;
    let opening: T = read_file(&args.file, &Deployment { chain_id, contract }).with_context(|| file.clone())?;
    let published = chain.wait_for(Published::read(chain.client(), args.rollup.from_block))?;
    let value = opened(&published, &opening).with_context(|| file)?;
    if args.json {
        let mut value = serde_json::to_value(&value)?;
        if let Some(members) = value.as_object_mut() {
            members.insert(name.to_owned(), "ok".into());
        }
        return Ok(text::print(&format!("{value}\n"))?);
    }
    let (place, facts) = rows(&value);
    let facts = of_period(&published, &args.local.zone, place, facts);
    let rows = [("opening", "ok: it is what L1 has".to_owned())].into_iter().chain(facts);
    Ok(text::print(&rows.map(|(name, value)| format!("{name:<20}  {value}\n")).collect::<String>())?)
}
