//! `gridveil simulate`: what would a street have saved? Settles measured days with the one native transition, and checks
//! that no watt-hour and no unit of money is lost.

mod chart;
mod shown;
mod tally;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gridveil_protocol::{
    field::{Fr, hex_fr},
    instance,
    market::Mechanism,
    operation_slots::Operations,
    params::{CIRCUIT_VERSION, Shape},
    units::{Interval, Nano, Wh},
};
use gridveil_prover::progress::{Progress, Reporter};
use gridveil_readings::Choice;
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use serde::Serialize;

use self::tally::Tally;
use crate::{
    data,
    genesis::{self, Limits, Plan},
    homes::{self, Clock, Days, Home, Homes, Source},
    ledger::Ledger,
    packets::{HomeDay, sign_all},
    time_of_use::TimeOfUse,
};
use gridveil_api::beginning::PublicStream;
use gridveil_cli::common::{options, text};

/// Shape of the demonstration's settlements.
pub const SHAPE: &str = "home-32x24";
/// Prepaid by each home of a simulation, nano: a million currency units. Nobody is in debt.
const BALANCE: u64 = 1_000_000_000_000_000;
/// Supplier's pool of a simulation, nano: ten million currency units.
const SUPPLIER_ACCOUNT: u64 = 10_000_000_000_000_000;
/// Largest substituted import and export of an hour, Wh.
pub const CAPS_WH: [u16; 2] = [10_000, 6_000];

const EXAMPLE: &str = "Examples:
  gridveil simulate
  gridveil simulate data/zne17-2017-05-05.csv --from 2017-05-05 --to 2017-05-07
  gridveil simulate data/zne17-2017-05-05.csv --tariff data/tou-two-season.json --chart street.svg

Of a street of your own, a folder with a meter file for each home (`gridveil meter profiles` lists the forms that are known):
  gridveil simulate our-street --tariff our-tariff.json --zone Europe/Vienna --chart street.svg";

/// Options of `gridveil simulate`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Meter files, or folders of them; a folder in a folder holds the files of one home. Or one file of several homes
    /// (columns in data/README.md). The built-in month of 17 homes if absent.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// First local day, and the last one (--to). If absent, the longest run of days that all homes have whole.
    #[arg(long, value_name = "DATE", requires = "to")]
    from: Option<Date>,
    /// Last local day.
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<Date>,
    /// A whole local month, in place of --from and --to.
    #[arg(long, value_name = "YYYY-MM", value_parser = month, conflicts_with = "from")]
    month: Option<Month>,
    /// Time-of-use tariff, in the form of data/tou-two-season.json: the built-in example, US dollars, if absent.
    #[arg(long, value_name = "FILE")]
    tariff: Option<PathBuf>,
    /// Zone of days and prices, and of local times in the files: Europe/Vienna. If absent, that of --tariff; without one,
    /// that of the files, or the example's where they name none.
    #[arg(long, value_name = "ZONE", value_parser = options::zone)]
    zone: Option<TimeZone>,
    /// Seconds of an interval: 900, 1800 or 3600. If absent, the longest of the files'.
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    interval: Option<u16>,
    /// How meter files are read, where their columns do not say it (`gridveil meter profiles`).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// How energy is allocated: community-price or auction. The auction's limits are made up, by home; the community price
    /// needs none.
    #[arg(long, value_name = "RULE", default_value = "community-price", value_parser = options::mechanism)]
    mechanism: Mechanism,
    /// Draws what each home pays with and without the community, as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<u16, String> {
    let seconds = text.parse().ok().filter(|seconds| [900, 1800, 3600].contains(seconds));
    seconds.ok_or_else(|| "not 900, 1800 or 3600 seconds".to_owned())
}

/// A local calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

/// Parses `2017-05`.
///
/// # Errors
/// A message for the command line.
pub fn month(text: &str) -> Result<Month, String> {
    options::month(text).map(Month)
}

impl Month {
    /// First day, and first day after.
    ///
    /// # Errors
    /// Only at the end of the calendar.
    pub fn days(self) -> Result<(Date, Date), jiff::Error> {
        Ok((self.0, self.0.checked_add(1.month())?))
    }
}

/// Energy of a simulation, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Energy {
    /// From the network.
    pub import_wh: Wh,
    /// Into the network.
    pub export_wh: Wh,
    /// Sum over intervals of the smaller of total import and total export: the most that local trade can be.
    pub matchable_wh: Wh,
    /// Locally traded.
    pub traded_wh: Wh,
}

/// Money of a simulation, nano-currency; positive amounts flow as named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Money {
    /// Paid by local buyers to local sellers.
    pub local_trade_nano: Nano,
    /// Paid by members to the supplier for energy.
    pub supplier_energy_nano: Nano,
    /// Paid by the supplier to members for energy fed in.
    pub supplier_feed_in_nano: Nano,
    /// Network and local fees paid by members.
    pub fees_nano: Nano,
    /// All bills together: what members' balances fell by.
    pub bills_nano: Nano,
    /// The same bills had nobody traded locally.
    pub bills_without_community_nano: Nano,
    /// Members' debts at the end.
    pub debt_nano: Nano,
}

/// Certificates of a simulation, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Certificates {
    /// Earned by energy fed in.
    pub issued_wh: Wh,
    /// Used up by local trade in the same interval.
    pub retired_wh: Wh,
    /// Left to members as notes.
    pub outstanding_wh: Wh,
}

/// Totals of one home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HomeReport {
    /// Home of the file, as it is named there.
    pub home: String,
    /// Files that the readings are from, where they are meter files.
    pub files: Vec<String>,
    /// Readings that were not measured, by the file's own word.
    pub estimated_intervals: usize,
    /// From the network, Wh.
    pub import_wh: Wh,
    /// Into the network, Wh.
    pub export_wh: Wh,
    /// Locally bought, Wh.
    pub bought_wh: Wh,
    /// Locally sold, Wh.
    pub sold_wh: Wh,
    /// Bill, nano; negative if the home earned.
    pub bill_nano: Nano,
    /// Bill had nobody traded locally, nano.
    pub bill_without_community_nano: Nano,
}

/// A reading that a home lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LackReport {
    /// Home.
    pub home: String,
    /// Local time at which the interval begins.
    pub start: String,
}

/// One thing that was checked to the last unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Did it hold in every period?
    pub holds: bool,
}

/// Result of a simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Clearing rule.
    pub mechanism: Mechanism,
    /// Currency of the tariff.
    pub currency: String,
    /// Is the tariff the built-in example?
    pub example_tariff: bool,
    /// Zone of days and prices.
    pub zone: String,
    /// Is it that of the built-in example, because nothing else names one?
    pub example_zone: bool,
    /// Homes.
    pub homes_count: usize,
    /// Seconds of an interval.
    pub interval_length: u16,
    /// Local time at which the first interval begins.
    pub from: String,
    /// Local time at which the last settled interval ends.
    pub until: String,
    /// Local days of which some home has a reading, and that are not among these, where no days were asked for.
    pub left_out_days: usize,
    /// What cut the run of days.
    pub lacks: Vec<LackReport>,
    /// Meters that files of several homes name, which are named by their files therefore.
    pub same_meters: Vec<String>,
    /// Settled periods.
    pub periods: usize,
    /// Settled intervals.
    pub intervals: usize,
    /// Intervals at the end that do not fill a period.
    pub unsettled_intervals: usize,
    /// Rows of local hours that do not exist.
    pub skipped_rows: usize,
    /// Intervals in which somebody imports and somebody exports.
    pub intervals_with_both_sides: usize,
    /// Energy.
    pub energy: Energy,
    /// Money.
    pub money: Money,
    /// Certificates.
    pub certificates: Certificates,
    /// By home.
    pub homes: Vec<HomeReport>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// State root after the last period.
    #[serde(serialize_with = "hex_fr::serialize")]
    pub state_root: Fr,
}

/// What every simulation checks, in the order of [`Report::checks`].
pub const CHECKS: [&str; 5] = [
    "energy: as much bought as sold in every interval, at most the matchable",
    "energy: registers advanced by exactly the readings of the file",
    "money: balances, the supplier's account and the fees keep their sum",
    "certificates: issued = retired + outstanding = fed in; the notes add up",
    "members: every statement follows from readings, tariff and state root",
];

/// Runs the command.
///
/// # Errors
/// Files, data, settlement; a check that fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (tariff, name) = match &args.tariff {
        None => (data::TARIFF.to_owned(), data::TARIFF_NAME.to_owned()),
        Some(path) => {
            let name = path.display().to_string();
            (std::fs::read_to_string(path).with_context(|| name.clone())?, name)
        }
    };
    let mut time_of_use = TimeOfUse::parse(&tariff).context(name)?;
    let tariff_zone = args.tariff.as_ref().map(|_| time_of_use.zone.clone());
    let days = args.days()?;
    let (homes, clock) = if args.files.is_empty() {
        let zone = args.zone.clone().unwrap_or_else(|| time_of_use.zone.clone());
        let homes = Homes::parse(data::MONTH, &zone, days, args.interval).context("data/zne17-2017-05.csv")?;
        (homes, Clock { zone, known: true })
    } else {
        let choice = Choice { profile: args.profile.clone(), ..Choice::default() };
        let source = Source {
            files: &args.files,
            choice,
            days,
            length: args.interval,
            zone: args.zone.clone(),
            tariff: tariff_zone,
            otherwise: time_of_use.zone.clone(),
        };
        homes::read(source)?
    };
    time_of_use.zone = clock.zone;
    let reporter = Reporter::stderr();
    let settled = simulate(&homes, &time_of_use, args.mechanism, &reporter);
    reporter.finish();
    let report = Report { example_tariff: args.tariff.is_none(), example_zone: !clock.known, ..settled? };
    if let Some(path) = &args.chart {
        write_chart(path, &report)?;
    }
    text::print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { shown::render(&report) })?;
    let failed: Vec<_> = report.checks.iter().filter(|c| !c.holds).map(|c| c.name).collect();
    anyhow::ensure!(failed.is_empty(), "a check failed: {}", failed.join("; "));
    Ok(())
}

impl Args {
    fn days(&self) -> anyhow::Result<Days> {
        if let Some(month) = self.month {
            let (from, until) = month.days()?;
            return Ok(Days::Within(from, until));
        }
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(Days::LongestRun) };
        anyhow::ensure!(from <= to, "--to {to} is before --from {from}");
        Ok(Days::Within(from, to.tomorrow()?))
    }
}

fn write_chart(path: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::write(path, chart::svg(report)?).with_context(|| path.display().to_string())
}

/// Settles every whole period of the readings.
///
/// # Errors
/// The tariff has no price, too many homes, or the protocol refuses a period.
pub fn simulate(
    homes: &Homes,
    time_of_use: &TimeOfUse,
    mechanism: Mechanism,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let (count, length) = (homes.homes.len(), homes.interval_length);
    let mut shapes = Shape::deployed().into_iter();
    let shape = shapes.find(|shape| shape.members >= count).with_context(|| format!("{count} homes; at most 512"))?;
    let plan = Plan {
        index: 0,
        shape,
        mechanism,
        interval_length: length,
        first_interval: homes.first_interval,
        active_until: Interval::MAX,
        homes: homes.homes.iter().map(|home| home.number).collect(),
        balance: BALANCE,
        supplier_account: SUPPLIER_ACCOUNT,
        caps_wh: CAPS_WH,
        mdm: genesis::mdm_key().public(),
    };
    let mut community = plan.community()?;
    for (account, home) in community.accounts.iter_mut().zip(&homes.homes) {
        account.terms.scale = home.scale;
    }
    let mut ledger = Ledger::new(instance::domain(31337, &[0; 20], CIRCUIT_VERSION), [community]);
    let mut tally = Tally::new(homes, &plan, time_of_use);
    let (m, split) = (shape.intervals, time_of_use.split.unwrap_or_default());
    let periods = homes.intervals() / m;
    for period in 0..periods {
        if period % 25 == 0 {
            progress.stage("settling", &format!("period {} of {periods}", period + 1));
        }
        let (first, context) = (period * m, ledger.context(plan.index)?);
        let day = |home: &Home| HomeDay {
            scale: home.scale,
            ..HomeDay::metered(home.readings.iter().skip(first).take(m).copied().collect())
        };
        let days = homes.homes.iter().map(day).collect();
        let packets = sign_all(&plan, context, days, |home| Limits::of(home, plan.mechanism), |_| Fr::from(0u64))?;
        let tariff = time_of_use.tariff(&split, context.first_interval, length, m)?;
        let mut salts = PublicStream::new("header salts", context.first_interval.into());
        let transition =
            ledger.settle(plan.index, packets, tariff, [salts.element(), salts.element()], Operations::default())?;
        tally.add(&transition, first);
    }
    Ok(tally.finish(&ledger))
}
