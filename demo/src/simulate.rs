//! `gridveil simulate`: settles measured days with the one native transition, and checks that no watt-hour and no unit
//! of money is lost.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_protocol::{
    field::{Fr, hex_fr},
    header::Totals,
    instance,
    market::Mechanism,
    operation_slots::Operations,
    params::{CIRCUIT_VERSION, Shape},
    receipt::{Receipt, ReceiptError},
    settlement::Transition,
    units::{Interval, Nano, Wh},
};
use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use crate::{
    data,
    genesis::{self, Limits, Plan},
    homes::{Homes, INTERVAL_LENGTH},
    ledger::Ledger,
    market::MechanismName,
    packets::{HomeDay, sign_all},
    time_of_use::{Split, TimeOfUse},
};
use gridveil_api::beginning::PublicStream;
use gridveil_cli::common::text;

/// Shape of the simulated settlements.
pub const SHAPE: &str = "home-32x24";
/// Prepaid by each home of a simulation, nano: 1,000 currency units.
const BALANCE: u64 = 1_000_000_000_000;
/// Supplier's pool of a simulation, nano: 10,000 currency units.
const SUPPLIER_ACCOUNT: u64 = 10_000_000_000_000;
/// Largest substituted import and export of an hour, Wh.
pub const CAPS_WH: [u16; 2] = [10_000, 6_000];

/// Options of `gridveil simulate`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  gridveil simulate\n  gridveil simulate --data data/zne17-2017-05-05.csv --month 2017-05 --mechanism community-price"
)]
pub struct Args {
    /// Hourly net readings of homes (columns in data/README.md); the built-in month of 17 homes if absent.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Local month to settle.
    #[arg(long, value_name = "YYYY-MM", value_parser = month, default_value = "2017-05")]
    month: Month,
    /// How local prices are found.
    #[arg(long, value_enum, default_value = "auction")]
    mechanism: MechanismName,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// A local calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

/// Parses `2017-05`.
///
/// # Errors
/// A message for the command line.
pub fn month(text: &str) -> Result<Month, String> {
    let date = (text.len() == 7).then(|| format!("{text}-01").parse::<Date>().ok()).flatten();
    date.map(Month).ok_or_else(|| "not a month of the form YYYY-MM".into())
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HomeReport {
    /// Home of the file.
    pub home: u16,
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
    /// Homes.
    pub homes_count: usize,
    /// Settled periods of 24 hours.
    pub periods: usize,
    /// Settled hours.
    pub intervals: usize,
    /// Hours at the end that do not fill a period (months with a change of clocks).
    pub unsettled_hours: usize,
    /// Rows of local hours that do not exist.
    pub skipped_rows: usize,
    /// Hours in which somebody imports and somebody exports.
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
    "energy: in every hour as much bought as sold, and never more than matchable",
    "energy: registers advanced by exactly the readings of the file",
    "money: balances, the supplier's supplier account and the fees keep their sum",
    "certificates: issued = retired + outstanding = energy fed in, and the notes add up",
    "members: every statement follows from own readings, tariff and state root",
];

/// Runs the command.
///
/// # Errors
/// Files, data, settlement; a check that fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let time_of_use = TimeOfUse::parse(data::TARIFF).context(data::TARIFF_NAME)?;
    let (from, until) = args.month.days()?;
    let (readings, name) = data::readings(args.data.as_deref())?;
    let homes = Homes::parse(&readings, &time_of_use.zone, from, until).context(name)?;
    let report = simulate(&homes, &time_of_use, args.mechanism.into())?;
    text::print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { render(&report) })?;
    let failed: Vec<_> = report.checks.iter().filter(|c| !c.holds).map(|c| c.name).collect();
    anyhow::ensure!(failed.is_empty(), "a check failed: {}", failed.join("; "));
    Ok(())
}

/// Settles every whole period of the file.
///
/// # Errors
/// The tariff has no price, too many homes, or the protocol refuses a period.
pub fn simulate(homes: &Homes, time_of_use: &TimeOfUse, mechanism: Mechanism) -> anyhow::Result<Report> {
    let shape = Shape::by_name(SHAPE).context("the shape of homes is missing")?;
    let plan = Plan {
        index: 0,
        shape,
        mechanism,
        interval_length: INTERVAL_LENGTH,
        first_interval: homes.first_interval,
        active_until: Interval::MAX,
        homes: homes.series.iter().map(|(home, _)| *home).collect(),
        balance: BALANCE,
        supplier_account: SUPPLIER_ACCOUNT,
        caps_wh: CAPS_WH,
        mdm: genesis::mdm_key().public(),
    };
    let mut ledger = Ledger::new(instance::domain(31337, &[0; 20], CIRCUIT_VERSION), [plan.community()?]);
    let mut tally = Tally::new(homes, &plan, time_of_use);
    let m = shape.intervals;
    for first_hour in (0..homes.hours() / m).map(|period| period * m) {
        let context = ledger.context(plan.index)?;
        let day = |readings: &[_]| HomeDay::metered(readings.iter().skip(first_hour).take(m).copied().collect());
        let days = homes.series.iter().map(|(_, readings)| day(readings)).collect();
        let packets = sign_all(&plan, context, days, |home| Limits::of(home, plan.mechanism), |_| Fr::from(0u64))?;
        let tariff = time_of_use.tariff(&Split::default(), context.first_interval, INTERVAL_LENGTH, m)?;
        let mut salts = PublicStream::new("header salts", context.first_interval.into());
        let transition =
            ledger.settle(plan.index, packets, tariff, [salts.element(), salts.element()], Operations::default())?;
        tally.add(&transition, first_hour);
    }
    Ok(tally.finish(&ledger))
}

/// Sums over periods, and what has held so far.
struct Tally<'a> {
    homes: &'a Homes,
    report: Report,
    holds: [bool; CHECKS.len()],
    notes_wh: Wh,
    supplier_nano: Nano,
    totals: Totals,
}

impl<'a> Tally<'a> {
    fn new(homes: &'a Homes, plan: &Plan, time_of_use: &TimeOfUse) -> Self {
        let m = plan.shape.intervals;
        let periods = homes.hours() / m;
        let intervals = periods * m;
        let report = Report {
            mechanism: plan.mechanism,
            currency: time_of_use.currency.clone(),
            homes_count: plan.homes.len(),
            periods,
            intervals,
            unsettled_hours: homes.hours() - intervals,
            skipped_rows: homes.skipped_rows,
            intervals_with_both_sides: 0,
            energy: Energy::default(),
            money: Money::default(),
            certificates: Certificates::default(),
            homes: plan.homes.iter().map(|home| HomeReport { home: *home, ..HomeReport::default() }).collect(),
            checks: Vec::new(),
            state_root: Fr::from(0u64),
        };
        Self {
            homes,
            report,
            holds: [true; CHECKS.len()],
            notes_wh: Wh::ZERO,
            supplier_nano: Nano::ZERO,
            totals: Totals::default(),
        }
    }

    fn add(&mut self, t: &Transition, first_hour: usize) {
        for (interval, clearing) in t.clearings.iter().enumerate() {
            let (import, export) = self.homes.totals(first_hour + interval);
            let matchable = import.min(export);
            let (bought, sold) = (clearing.bought.iter().sum::<Wh>(), clearing.sold.iter().sum::<Wh>());
            self.holds[0] &= bought == sold && bought == clearing.volume && bought <= matchable;
            let energy = &mut self.report.energy;
            energy.import_wh += import;
            energy.export_wh += export;
            energy.matchable_wh += matchable;
            energy.traded_wh += bought;
            self.report.intervals_with_both_sides += usize::from(matchable > Wh::ZERO);
        }
        let funds = |c: &gridveil_protocol::community::Community| {
            let balances: Nano = c.accounts.iter().map(|a| Nano::from(a.balance)).sum();
            balances + Nano::from(c.header.supplier_account) + Nano::from(c.header.fee_account)
        };
        self.holds[2] &= funds(&t.input.community) == funds(&t.after);
        self.notes_wh += t.notes.iter().map(|note| note.amount).sum::<Wh>();
        self.totals = t.after.header.totals;
        self.report.money.debt_nano = self.totals.debt.into();
        for slot in 0..self.report.homes.len() {
            self.add_home(t, slot);
        }
    }

    fn add_home(&mut self, t: &Transition, slot: usize) {
        let own = t.input.packets.get(slot).map(|p| p.packet.readings.as_slice());
        let bill = Receipt::of(t, slot)
            .ok_or(ReceiptError::Path)
            .and_then(|r| r.verify(own, &t.input.tariff, t.instance.new_root));
        let (Some(home), Ok(bill), Some(own)) = (self.report.homes.get_mut(slot), bill, own) else {
            self.holds[4] = false;
            return;
        };
        home.import_wh += bill.energy.import;
        home.export_wh += bill.energy.export;
        home.bought_wh += bill.energy.bought;
        home.sold_wh += bill.energy.sold;
        home.bill_nano -= bill.delta_nano();
        let class = t.input.community.accounts.get(slot).map_or(0, |a| usize::from(a.terms.class));
        let money = &mut self.report.money;
        let intervals = own.iter().zip(&t.input.tariff.intervals).zip(&t.clearings);
        for ((reading, prices), clearing) in intervals {
            let prices = prices.classes.get(class).copied().unwrap_or_default();
            let sold = clearing.sold.get(slot).copied().unwrap_or_default();
            money.supplier_feed_in_nano +=
                Nano((i128::from(reading.export) - i128::from(sold)) * i128::from(prices.feed_in));
            money.local_trade_nano += Nano(clearing.tick.nano_per_wh() * i128::from(sold));
            let retail = i128::from(prices.energy) + i128::from(prices.network);
            home.bill_without_community_nano +=
                Nano(i128::from(reading.import) * retail - i128::from(reading.export) * i128::from(prices.feed_in));
        }
        money.fees_nano += bill.fees_nano;
        self.supplier_nano += bill.supply_nano;
    }

    fn finish(mut self, ledger: &Ledger) -> Report {
        let (r, t) = (&mut self.report, &self.totals);
        r.state_root = ledger.root();
        r.money.bills_nano = r.homes.iter().map(|h| h.bill_nano).sum();
        r.money.bills_without_community_nano = r.homes.iter().map(|h| h.bill_without_community_nano).sum();
        r.certificates = Certificates { issued_wh: t.issued, retired_wh: t.retired, outstanding_wh: t.outstanding };
        let sum = |of: fn(&HomeReport) -> Wh| r.homes.iter().map(of).sum::<Wh>();
        let e = &r.energy;
        self.holds[1] &= (t.import, t.export, t.traded) == (e.import_wh, e.export_wh, e.traded_wh)
            && [sum(|h| h.import_wh), sum(|h| h.export_wh)] == [e.import_wh, e.export_wh]
            && [sum(|h| h.bought_wh), sum(|h| h.sold_wh)] == [e.traded_wh; 2];
        r.money.supplier_energy_nano = self.supplier_nano + r.money.supplier_feed_in_nano;
        self.holds[2] &= r.money.bills_nano == self.supplier_nano + r.money.fees_nano;
        self.holds[3] &=
            t.issued == e.export_wh && t.issued == t.retired + t.outstanding && self.notes_wh == t.outstanding;
        r.checks = CHECKS.into_iter().zip(self.holds).map(|(name, holds)| Check { name, holds }).collect();
        self.report
    }
}

/// Tables for a person.
#[must_use]
pub fn render(r: &Report) -> String {
    let unit = &r.currency;
    let mut homes = text::table(&[
        "home",
        "import kWh",
        "export kWh",
        "bought kWh",
        "sold kWh",
        &format!("bill {unit}"),
        &format!("saved {unit}"),
    ]);
    for h in &r.homes {
        homes.add_row([
            h.home.to_string(),
            text::kwh(h.import_wh),
            text::kwh(h.export_wh),
            text::kwh(h.bought_wh),
            text::kwh(h.sold_wh),
            text::money(h.bill_nano),
            text::money(h.bill_without_community_nano - h.bill_nano),
        ]);
    }
    let (e, m, c) = (&r.energy, &r.money, &r.certificates);
    let mut totals = text::table(&["total", "amount", "unit", "share"]);
    let mut row = |name: &str, amount: String, unit: &str, share: String| {
        totals.add_row([name, &amount, unit, &share].map(str::to_owned));
    };
    row("import", text::kwh(e.import_wh), "kWh", String::new());
    row("export", text::kwh(e.export_wh), "kWh", String::new());
    row(
        "matchable in the same hour",
        text::kwh(e.matchable_wh),
        "kWh",
        text::percent(e.matchable_wh, e.export_wh) + " of export",
    );
    row("traded locally", text::kwh(e.traded_wh), "kWh", text::percent(e.traded_wh, e.matchable_wh) + " of matchable");
    row("members to local sellers", text::money(m.local_trade_nano), unit, String::new());
    row("members to the supplier, for energy", text::money(m.supplier_energy_nano), unit, String::new());
    row("members to the networks, fees", text::money(m.fees_nano), unit, String::new());
    row("supplier to members, for energy fed in", text::money(m.supplier_feed_in_nano), unit, String::new());
    row("all bills, net", text::money(m.bills_nano), unit, String::new());
    row("all bills without the community", text::money(m.bills_without_community_nano), unit, String::new());
    row("owed by members", text::money(m.debt_nano), unit, String::new());
    row("certificates issued", text::kwh(c.issued_wh), "kWh", String::new());
    row(
        "certificates retired",
        text::kwh(c.retired_wh),
        "kWh",
        text::percent(c.retired_wh, c.issued_wh) + " of issued",
    );
    row(
        "certificates outstanding",
        text::kwh(c.outstanding_wh),
        "kWh",
        text::percent(c.outstanding_wh, c.issued_wh) + " of issued",
    );
    let mechanism = match r.mechanism {
        Mechanism::Auction => "auction",
        Mechanism::CommunityPrice => "community price",
    };
    let mut out = format!(
        "{} homes, {} periods of 24 hours, {} of {} hours with both sides, {mechanism}\n",
        r.homes_count, r.periods, r.intervals_with_both_sides, r.intervals
    );
    if r.unsettled_hours + r.skipped_rows > 0 {
        out += &format!(
            "{} hours left for the next period, {} rows of hours that do not exist\n",
            r.unsettled_hours, r.skipped_rows
        );
    }
    out += &format!("{homes}\n{totals}\n");
    for check in &r.checks {
        out += &format!("{}  {}\n", if check.holds { "ok    " } else { "FAILED" }, check.name);
    }
    out
}
