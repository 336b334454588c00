//! `gridveil audit totals`: an opened period against L1 alone.

mod all;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gridveil_auditor::{HoldingVerifier, Published, Totals, TotalsError, native::NativeCertificates};
use gridveil_meter_client::{
    calendar::Periods,
    cli::LocalArgs,
    wallet::{Deployment, ExchangeFile, read_file},
};
use gridveil_protocol::{certificate::ShownHolding, opening::PeriodOpening};
use gridveil_prover::{
    cli::{CacheArgs, CeremonyArgs},
    progress::Reporter,
    srs::Srs,
};
use gridveil_readings::zone::Zone;
use jiff::civil::Date;

pub use all::Days;

use super::{archive, rollup::Rollup};
use crate::common::text;

/// Example for the help.
pub const EXAMPLE: &str = "Examples:\n  gridveil audit totals openings --csv --from 2026-01-01 --to 2027-01-01 > totals.csv\n  gridveil audit totals totals.json --sealed statement.json --held held.json \\\n    \
                           --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";

/// Options of `gridveil audit totals`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The opening, from the operator (`gridveil audit open-header`); or, with --csv, a folder or a .zip archive of them.
    file: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    /// Every settled period of every community, a line each: those that it opens, and of the others what is public.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// With --csv: periods that begin on this day or later, UTC.
    #[arg(long, value_name = "DATE", requires = "csv")]
    from: Option<Date>,
    /// With --csv: periods that begin before this day, UTC.
    #[arg(long, value_name = "DATE", requires = "csv")]
    to: Option<Date>,
    /// Statement of a sealed retirement, from its holder; may be repeated.
    #[arg(long, value_name = "STATEMENT")]
    sealed: Vec<PathBuf>,
    /// A certificate that is still held, from its holder (`gridveil member certificate prove`); may be repeated.
    #[arg(long, value_name = "HOLDING")]
    held: Vec<PathBuf>,
    #[command(flatten)]
    rollup: Rollup,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ceremony: CeremonyArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

fn read<T: ExchangeFile>(path: &Path, deployment: &Deployment) -> anyhow::Result<T> {
    read_file(path, deployment).with_context(|| path.display().to_string())
}

/// The error with the file that it is about before it.
fn located(error: TotalsError, args: &Args) -> anyhow::Error {
    let file = match &error {
        TotalsError::Sealed { number, .. } => args.sealed.get(number.saturating_sub(1)),
        TotalsError::Held { number, .. } => args.held.get(number.saturating_sub(1)),
        TotalsError::Period { .. }
        | TotalsError::Leaf(_)
        | TotalsError::Genesis
        | TotalsError::Beginning
        | TotalsError::Falling(_)
        | TotalsError::Conservation { .. }
        | TotalsError::NotSettled { .. } => Some(&args.file),
        _ => None,
    };
    let error = anyhow::Error::from(error);
    match file {
        Some(file) => error.context(file.display().to_string()),
        None => error,
    }
}

/// Runs the command.
///
/// # Errors
/// Files, L1, or what does not hold.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let contract = args.rollup.contract()?;
    anyhow::ensure!(args.file.exists(), "{}: no such file", args.file.display());
    let chain = args.rollup.connect()?;
    let chain_id = chain.wait(chain.client().chain_id())?;
    let deployment = Deployment { chain_id, contract };
    anyhow::ensure!(
        args.csv == (args.file.is_dir() || archive::is_archive(&args.file)),
        "{}: --csv takes a folder or a .zip archive of openings, and one opening is shown without it",
        args.file.display()
    );
    let opening = if args.csv { None } else { Some(read::<PeriodOpening>(&args.file, &deployment)?) };
    let sealed = args.sealed.iter().map(|path| read(path, &deployment)).collect::<anyhow::Result<Vec<_>>>()?;
    let held =
        args.held.iter().map(|path| read::<ShownHolding>(path, &deployment)).collect::<anyhow::Result<Vec<_>>>()?;
    let published = chain.wait_for(Published::read(chain.client(), args.rollup.from_block))?;
    let verifier = if held.is_empty() { None } else { Some(verifier(args, chain_id)?) };
    let verifier = verifier.as_ref().map(|verifier| verifier as &dyn HoldingVerifier);
    let Some(opening) = opening else {
        let shown = all::Shown { sealed: &sealed, held: &held, verifier };
        let days = all::Days { from: args.from, to: args.to };
        return Ok(text::print(&all::listed(&published, &args.file, &deployment, days, &shown)?)?);
    };
    let totals = published.totals(&opening, &sealed, &held, verifier).map_err(|error| located(error, args))?;
    text::print(&if args.json { json(&totals)? } else { table(&totals, &args.local.zone) })?;
    Ok(())
}

fn verifier(args: &Args, chain_id: u64) -> anyhow::Result<NativeCertificates> {
    let srs = Srs::for_chain(chain_id, args.ceremony.source()?, &args.cache.directory())?;
    Ok(NativeCertificates::new(srs.params(NativeCertificates::K, &Reporter::stderr())?)?)
}

fn json(totals: &Totals) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(totals)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("totals".into(), "ok".into());
        members.insert("retired_wh".into(), totals.retired_wh().0.into());
        members.insert("outstanding_wh".into(), totals.outstanding_wh().0.into());
    }
    Ok(format!("{value}\n"))
}

/// For a person: the equation, a line a term.
fn table(t: &Totals, zone: &Zone) -> String {
    let rows = [
        ("", "issued", t.issued_wh, "opened by the operator".to_owned()),
        ("=", "retired by local trade", t.traded_wh, "opened by the operator".to_owned()),
        ("+", "retired, public", t.consumed_wh, "on L1".to_owned()),
        ("+", "expired", t.expired_wh, "on L1".to_owned()),
        ("+", "retired, sealed", t.sealed_wh, format!("{} shown", t.sealed)),
        ("+", "exported", t.exported_wh, "on L1".to_owned()),
        ("+", "held", t.held_wh, format!("{} shown", t.held)),
        ("+", "sealed or held", t.not_shown_wh, "not shown".to_owned()),
    ];
    let kwh = rows.each_ref().map(|(_, _, wh, _)| text::kwh(*wh));
    let width = kwh.iter().map(String::len).max().unwrap_or(0);
    let periods = Periods::new(None, t.intervals, t.interval_length_s, zone.clone());
    let mut out = format!(
        "community  {}\nperiod     {}, {} intervals of {} s\nbatch      {}\n\n",
        t.community,
        periods.span(t.first_interval),
        t.intervals,
        t.interval_length_s,
        t.batch
    );
    for ((sign, name, _, from), kwh) in rows.iter().zip(&kwh) {
        out += &format!("{sign:<1} {name:<24} {kwh:>width$} kWh  {from}\n");
    }
    let [retired, outstanding, exported] = [t.retired_wh(), t.outstanding_wh(), t.exported_wh].map(text::kwh);
    out + &format!(
        "\nissued {} = retired {retired} + outstanding {outstanding} + exported {exported} kWh: ok\n",
        text::kwh(t.issued_wh)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::units::Wh;

    #[test]
    fn the_table_is_aligned_and_the_equation_is_in_it() {
        let totals = Totals {
            issued_wh: Wh(1_234_567),
            traded_wh: Wh(1_000_000),
            notes_wh: Wh(234_567),
            consumed_wh: Wh(30_000),
            exported_wh: Wh(4_000),
            sealed_wh: Wh(500),
            sealed: 1,
            held_wh: Wh(60),
            held: 2,
            not_shown_wh: Wh(200_007),
            ..Totals::default()
        };
        let text = table(&totals, &Zone::utc());
        let places: Vec<_> = text.lines().filter_map(|line| line.find(" kWh  ")).collect();
        assert_eq!(places.len(), 8, "{text}");
        assert!(places.iter().all(|place| Some(place) == places.first()), "{text}");
        assert!(
            text.contains("issued 1,234.567 = retired 1,030.500 + outstanding 200.067 + exported 4.000 kWh: ok"),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&json(&totals).unwrap()).unwrap();
        let sum =
            ["retired_wh", "outstanding_wh", "exported_wh"].iter().map(|k| value[k].as_u64().unwrap()).sum::<u64>();
        assert_eq!((value["totals"].as_str(), value["issued_wh"].as_u64()), (Some("ok"), Some(sum)));
    }
}
