//! `gridveil operator tariff`: prices from a file onto L1, and then to the sequencer.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gridveil_api::admin::{Registration, TariffRequest};
use gridveil_meter_client::cli::unix_s;
use gridveil_protocol::{field::to_bytes, hex::hex0, tariff::Tariff, units::Interval};
use gridveil_verifier_contract::{ChainL1 as _, TariffEntry, ethers_client::Act};
use jiff::Timestamp;

use super::acts::{Connection, L1, Sender};
use crate::{
    common::text,
    member::{Acting, Details, agreed},
    prices::Prices,
};

/// Most periods of one check: four years of days.
const MAX_PERIODS: u32 = 1500;

const EXAMPLE: &str = "Examples:
  gridveil operator tariff check prices.json --from 2026-12-01T00:00:00+01:00 --periods 7
  gridveil operator tariff open 0 --interval-length 3600 --intervals 24 --key-file tariffs.key --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator tariff publish prices.json --tariff-set 0 --from 2026-12-01T00:00:00+01:00 --key-file tariffs.key \\
    --rpc https://rpc.example --deployment deployment.json
  gridveil operator tariff hand-in prices.json --tariff-set 0 --from 2026-12-01T00:00:00+01:00 --community 0 \\
    --admin-token admin.token --rpc https://rpc.example --deployment deployment.json
  gridveil operator tariff list --rpc https://rpc.example --deployment deployment.json

A file is a time-of-use tariff (.json, as data/tou-two-season.json, with \"split\" and, if there are any, \"holidays\") or a series of
prices (.csv: start,energy,network,feed_in,local_fee). A tariff is for one period and holds until the next one that is published:
publish each period of which `check` says that it changes. L1 comes first; only what L1 has is handed to the sequencer.";

/// Options of `gridveil operator tariff`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows what a file's prices come to, period by period, in local time. Asks nobody.
    #[command(after_help = EXAMPLE)]
    Check(Check),
    /// Opens a tariff set, once and for ever (tariff authority).
    #[command(after_help = EXAMPLE)]
    Open(Open),
    /// Publishes the tariff of one period on L1 (tariff authority).
    #[command(after_help = EXAMPLE)]
    Publish(Publish),
    /// Hands a tariff that L1 has to the sequencer.
    #[command(after_help = EXAMPLE)]
    HandIn(HandIn),
    /// Tariffs on L1, with the times that they begin at.
    #[command(after_help = EXAMPLE)]
    List(List),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// Prices.
    file: PathBuf,
    /// Begin of the first period, RFC 3339, or a day (UTC).
    #[arg(long, value_name = "TIME", value_parser = unix_s)]
    from: u64,
    /// How many periods.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PERIODS)))]
    periods: u32,
    /// Seconds of an interval.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    interval_length: u16,
    /// Intervals of a period.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=96))]
    intervals: u16,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Open {
    /// Number of the set.
    tariff_set: u32,
    /// Seconds of an interval: 900, 1800 or 3600.
    #[arg(long, value_name = "SECONDS")]
    interval_length: u16,
    /// Intervals of a period.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=96))]
    intervals: u16,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct Publish {
    /// Prices.
    file: PathBuf,
    /// Tariff set.
    #[arg(long, value_name = "N")]
    tariff_set: u32,
    /// Begin of the first period that the tariff is for, RFC 3339, or a day (UTC).
    #[arg(long, value_name = "TIME", value_parser = unix_s)]
    from: u64,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct HandIn {
    /// Prices.
    file: PathBuf,
    /// Tariff set.
    #[arg(long, value_name = "N")]
    tariff_set: u32,
    /// Begin of the first period that the tariff is for, RFC 3339, or a day (UTC).
    #[arg(long, value_name = "TIME", value_parser = unix_s)]
    from: u64,
    /// Community that follows it.
    #[arg(long, value_name = "N")]
    community: u32,
    /// Admin listener of the sequencer, loopback.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "GRIDVEIL_ADMIN")]
    admin: String,
    /// Its token's file.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_ADMIN_TOKEN")]
    admin_token: PathBuf,
    #[command(flatten)]
    l1: L1,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Of this set alone.
    #[arg(long, value_name = "N")]
    tariff_set: Option<u32>,
    #[command(flatten)]
    l1: L1,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Open(args) => open(args),
        Command::Publish(args) => publish(args),
        Command::HandIn(args) => hand_in(args),
        Command::List(args) => list(args),
    }
}

/// The interval that begins at a time.
fn interval_at(unix_s: u64, interval_length: u16) -> anyhow::Result<Interval> {
    ensure!([900, 1800, 3600].contains(&interval_length), "an interval has 900, 1800 or 3600 seconds");
    let length = u64::from(interval_length);
    ensure!(unix_s.is_multiple_of(length), "--from is not the begin of an interval of {length} s");
    Ok(Interval(u32::try_from(unix_s / length).context("--from is after the calendar's end")?))
}

fn local(interval: Interval, interval_length: u16, prices: &Prices) -> String {
    let second = i64::from(interval) * i64::from(interval_length);
    let time = Timestamp::from_second(second).map(|time| time.to_zoned(prices.zone()));
    time.map_or_else(|_| interval.to_string(), |time| time.strftime("%a %Y-%m-%d %H:%M %Z").to_string())
}

/// Nano-currency per Wh as currency per kWh, exact.
fn per_kwh(nano: i64) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", nano.unsigned_abs() / 1_000_000, nano.unsigned_abs() % 1_000_000)
}

/// Lowest and highest of a price.
fn range(tariff: &Tariff, price: impl Fn(&gridveil_protocol::tariff::IntervalTariff) -> i64) -> String {
    let all: Vec<i64> = tariff.intervals.iter().map(price).collect();
    let (low, high) = (all.iter().min().copied().unwrap_or_default(), all.iter().max().copied().unwrap_or_default());
    if low == high { per_kwh(low) } else { format!("{} to {}", per_kwh(low), per_kwh(high)) }
}

fn retail(tariff: &Tariff) -> String {
    range(tariff, |interval| {
        let [prices, _] = interval.classes;
        i64::from(prices.energy) + i64::from(prices.network)
    })
}

fn feed_in(tariff: &Tariff) -> String {
    range(tariff, |interval| i64::from(interval.classes[0].feed_in))
}

fn check(args: &Check) -> anyhow::Result<()> {
    let name = || args.file.display().to_string();
    let prices = Prices::read(&args.file).with_context(name)?;
    let mut first = interval_at(args.from, args.interval_length)?;
    let mut table = text::table(&["period", "retail per kWh", "feed-in per kWh", "commitment", ""]);
    let (mut rows, mut before) = (Vec::new(), None);
    for _ in 0..args.periods {
        let tariff = prices.tariff(first, args.interval_length, args.intervals.into()).with_context(name)?;
        let commitment = hex0(to_bytes(&tariff.commitment()));
        let changes = before.as_ref() != Some(&commitment);
        let begins = local(first, args.interval_length, &prices);
        let short: String = commitment.chars().take(18).collect();
        let mark = if changes { "to publish" } else { "as before" };
        table.add_row([begins.clone(), retail(&tariff), feed_in(&tariff), short, mark.to_owned()]);
        rows.push(serde_json::json!({
            "first_interval": first.0, "begins": begins, "commitment": commitment, "changes": changes,
        }));
        before = Some(commitment);
        first = Interval(first.0.checked_add(args.intervals.into()).context("after the calendar's end")?);
    }
    let shown = if args.json { serde_json::to_string(&rows)? } else { table.to_string() };
    Ok(text::print(&format!("{shown}\n"))?)
}

fn open(args: &Open) -> anyhow::Result<()> {
    let connection = args.sender.connect()?;
    let there = connection.runtime.block_on(connection.client.tariff_set(args.tariff_set))?;
    ensure!(there.is_none(), "tariff set {} is open already", args.tariff_set);
    let details = Details::new("Opens a tariff set for ever")
        .row("tariff set", args.tariff_set.to_string(), args.tariff_set)
        .row("interval", format!("{} s", args.interval_length), args.interval_length)
        .row("intervals of a period", args.intervals.to_string(), args.intervals);
    args.sender.perform(&connection, details, Act::OpenTariffSet(args.tariff_set, args.interval_length, args.intervals))
}

/// The tariff of the period that begins then, in a set that is open.
fn of_set(
    Connection { runtime, client }: &Connection,
    (file, tariff_set, from): (&PathBuf, u32, u64),
) -> anyhow::Result<(Prices, u16, Interval, Tariff)> {
    let name = || file.display().to_string();
    let set = runtime.block_on(client.tariff_set(tariff_set))?;
    let (length, m) =
        set.with_context(|| format!("tariff set {tariff_set} is not open: gridveil operator tariff open"))?;
    let prices = Prices::read(file).with_context(name)?;
    let first = interval_at(from, length)?;
    let tariff = prices.tariff(first, length, m.into()).with_context(name)?;
    Ok((prices, length, first, tariff))
}

fn published(connection: &Connection, tariff_set: u32, first: Interval) -> anyhow::Result<Option<TariffEntry>> {
    let all = connection.runtime.block_on(connection.client.tariffs(0))?;
    Ok(all.into_iter().find(|entry| entry.tariff_set == tariff_set && entry.first_interval == first.0))
}

fn publish(args: &Publish) -> anyhow::Result<()> {
    let connection = args.sender.connect()?;
    let (prices, length, first, tariff) = of_set(&connection, (&args.file, args.tariff_set, args.from))?;
    let commitment = to_bytes(&tariff.commitment());
    if let Some(entry) = published(&connection, args.tariff_set, first)? {
        let same = if entry.commitment == commitment { "the same" } else { "another" };
        bail!("{same} tariff is on L1 from {} on, for ever", local(first, length, &prices));
    }
    let begins = local(first, length, &prices);
    let details = Details::new("Publishes a tariff for ever")
        .row("tariff set", args.tariff_set.to_string(), args.tariff_set)
        .row("begins", begins.clone(), begins)
        .row("retail per kWh", retail(&tariff), retail(&tariff))
        .row("feed-in per kWh", feed_in(&tariff), feed_in(&tariff))
        .row("commitment", hex0(commitment), hex0(commitment))
        .value("first_interval", first.0);
    args.sender.perform(&connection, details, Act::RegisterTariff(args.tariff_set, first.0, commitment))
}

fn hand_in(args: &HandIn) -> anyhow::Result<()> {
    let connection = args.l1.connect(None)?;
    let (prices, length, first, tariff) = of_set(&connection, (&args.file, args.tariff_set, args.from))?;
    let commitment = to_bytes(&tariff.commitment());
    let begins = local(first, length, &prices);
    match published(&connection, args.tariff_set, first)? {
        Some(entry) if entry.commitment == commitment => {}
        Some(_) => bail!("L1 has another tariff from {begins} on: the sequencer would use prices that no proof takes"),
        None => bail!("L1 has no tariff that begins {begins}: publish it first (gridveil operator tariff publish)"),
    }
    let community = connection.runtime.block_on(connection.client.community(args.community))?;
    let follows = community.map(|community| community.tariff_set);
    ensure!(
        follows == Some(args.tariff_set),
        "community {} does not follow tariff set {}",
        args.community,
        args.tariff_set
    );
    let details = || {
        Details::new("Hands a tariff to the sequencer")
            .row("community", args.community.to_string(), args.community)
            .row("begins", begins.clone(), begins.clone())
            .row("commitment", hex0(commitment), hex0(commitment))
    };
    if !agreed(details(), args.acting, args.l1.json)? {
        return Ok(());
    }
    let admin = super::connect(&args.admin, &args.admin_token)?;
    let taken = admin.publish_tariff(args.community, &TariffRequest { first_interval: first, tariff })?;
    ensure!(taken.l1 == Registration::Registered, "the sequencer's node does not have the tariff yet: try again");
    details().row("sequencer", "has it", true).print(args.l1.json)
}

fn list(args: &List) -> anyhow::Result<()> {
    let Connection { runtime, client } = args.l1.connect(None)?;
    let all = runtime.block_on(client.tariffs(0))?;
    let mut table = text::table(&["tariff set", "index", "begins", "commitment"]);
    let mut rows = Vec::new();
    for entry in all.iter().filter(|entry| args.tariff_set.is_none_or(|set| set == entry.tariff_set)) {
        let set = runtime.block_on(client.tariff_set(entry.tariff_set))?;
        let second = set.map(|(length, _)| i64::from(entry.first_interval) * i64::from(length));
        let begins = second.map_or_else(|| "-".to_owned(), gridveil_meter_client::cli::utc);
        let commitment = hex0(entry.commitment);
        table.add_row([entry.tariff_set.to_string(), entry.index.to_string(), begins.clone(), commitment.clone()]);
        rows.push(serde_json::json!({
            "tariff_set": entry.tariff_set, "index": entry.index, "first_interval": entry.first_interval,
            "begins": begins, "commitment": commitment,
        }));
    }
    let shown = if args.l1.json { serde_json::to_string(&rows)? } else { table.to_string() };
    Ok(text::print(&format!("{shown}\n"))?)
}
