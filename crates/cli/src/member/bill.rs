//! `gridveil member bill`: what was paid over some days, for the member, its tax office and its accountant.

mod page;
mod paper;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_meter_client::{
    bill::{Bill, History, Settled, What, touches},
    cli::utc,
    outbox::{OutboxError, Period},
};
use gridveil_protocol::{
    receipt::Receipt,
    tariff::Tariff,
    units::{Nano, Wh},
};
use gridveil_readings::{intensity::Intensity, zone::Zone};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;

use super::{session::Session, standing::OnL1};
use crate::common::{
    options::{Place, month, zone},
    text,
};

/// Options of `gridveil member bill`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Local month; the one of the last settled period if absent.
    #[arg(long, value_name = "YYYY-MM", value_parser = month, conflicts_with_all = ["from", "to"])]
    month: Option<Date>,
    /// First local day, in place of a month.
    #[arg(long, value_name = "DATE", requires = "to")]
    from: Option<Date>,
    /// Last local day.
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<Date>,
    /// Zone of the days: Europe/Vienna.
    #[arg(long, value_name = "ZONE", env = "GRIDVEIL_ZONE", default_value = "UTC", value_parser = zone)]
    zone: TimeZone,
    /// Name of the currency, for people: EUR.
    #[arg(long, value_name = "NAME", env = "GRIDVEIL_CURRENCY", default_value = "currency", value_parser = currency)]
    currency: String,
    /// Grams of CO2 a kilowatt-hour by hour, for energy from the supplier (docs/how-to/bill.md).
    #[arg(long, value_name = "FILE")]
    intensity: Option<PathBuf>,
    /// Writes the bill as a page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the bill on paper.
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
    /// Writes every item, a row a rate.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

pub(super) fn currency(text: &str) -> Result<String, String> {
    let fits = (1..=8).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { Err("not one to eight letters, such as EUR".to_owned()) }
}

/// CO2 of the energy from the supplier.
struct Carbon {
    /// Milligrams.
    mg: u128,
    /// Energy for which the file has no figure, Wh.
    without_wh: Wh,
}

/// A bill as it is shown, on a terminal, a page or paper.
pub(super) struct Shown {
    title: String,
    /// What is to be known before anything else.
    status: Vec<String>,
    /// What, kWh, rate a kWh, amount.
    items: Vec<[String; 4]>,
    total: String,
    /// Name and value.
    facts: Vec<(&'static str, String)>,
    /// When, what, amount.
    account: Vec<[String; 3]>,
    currency: String,
}

/// Runs it.
///
/// # Errors
/// Keys, wallet, L1, the sequencer where one is named, receipts that are missing, or a file.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    session.sync(false)?;
    let on_l1 = OnL1::ask(&session, &Zone::utc())?;
    let last = session.wallet.state().receipt.as_ref().context("no period verified yet: there is nothing to bill")?;
    let length = on_l1.interval_length();
    let days = args.days(last, length)?;
    let span_s = midnight(days.0, &args.zone)?..midnight(days.1.tomorrow()?, &args.zone)?;
    let Kept { receipts, closed } = kept(&session)?;
    let history = History::of(receipts.iter().map(|(period, receipt)| (period.domain, receipt)), length);
    let mut periods: Vec<(&Receipt, Tariff)> = Vec::new();
    for (period, receipt) in &receipts {
        if touches(receipt, &span_s, length) {
            let tariff = tariff(&session, period, length)?;
            periods.push((receipt, tariff));
        }
    }
    let settled: Vec<Settled<'_>> = periods.iter().map(|(receipt, tariff)| Settled { receipt, tariff }).collect();
    let bill = Bill::of(&settled, span_s, length, &history)?;
    let intensity = args.intensity.as_deref().map(read_intensity).transpose()?;
    let carbon = intensity.map(|intensity| carbon(&bill, &intensity));
    let mut shown = args.shown(&session, &bill, carbon.as_ref(), (days, length));
    if closed > 0 {
        shown.status.push(format!("{closed} receipts do not open with this key file: of another one, or damaged"));
    }
    for (path, content) in [(&args.html, page::page as fn(&Shown) -> Vec<u8>), (&args.pdf, paper::pdf)] {
        if let Some(path) = path {
            std::fs::write(path, content(&shown)).with_context(|| path.display().to_string())?;
        }
    }
    if let Some(path) = &args.csv {
        std::fs::write(path, table(&bill, args, days)?).with_context(|| path.display().to_string())?;
    }
    if args.place.json {
        let co2 = carbon
            .as_ref()
            .map(|carbon| json!({"milligrams": carbon.mg.to_string(), "without_figure_wh": carbon.without_wh}));
        let (from, to) = (days.0.to_string(), days.1.to_string());
        let value = json!({"from": from, "to": to, "zone": zone_name(&args.zone), "currency": args.currency,
            "final": bill.is_final(), "receipts_not_opened": closed, "bill": bill, "co2": co2});
        return Ok(text::print(&format!("{value}\n"))?);
    }
    Ok(text::print(&shown.text())?)
}

fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

fn midnight(day: Date, zone: &TimeZone) -> anyhow::Result<u64> {
    Ok(u64::try_from(day.to_zoned(zone.clone())?.timestamp().as_second())?)
}

/// Receipts of the slot.
struct Kept {
    /// In order. They were verified when they were taken, and are sealed.
    receipts: Vec<(Period, Receipt)>,
    /// Not opened: sealed with another key file, or damaged.
    closed: usize,
}

fn kept(session: &Session) -> anyhow::Result<Kept> {
    let mut kept = Kept { receipts: Vec::new(), closed: 0 };
    for period in session.outbox.settled(&session.domains, session.community, session.slot)? {
        match session.outbox.receipt(&period) {
            Ok(receipt) => kept.receipts.extend(receipt.map(|receipt| (period, receipt))),
            Err(OutboxError::Damaged { .. }) => kept.closed += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

fn tariff(session: &Session, period: &Period, length: u16) -> anyhow::Result<Tariff> {
    if let Some(kept) = session.outbox.tariff(period)? {
        return Ok(kept);
    }
    // A wallet of an earlier release.
    let member = session.member().with_context(|| {
        let from = i64::from(period.first_interval) * i64::from(length);
        format!("the tariff of the period from {} is not kept here", utc(from))
    })?;
    Ok(member.tariff_of(period).map_err(|error| error.dated(length))?)
}

fn read_intensity(path: &Path) -> anyhow::Result<Intensity> {
    let name = || path.display().to_string();
    Intensity::parse(&std::fs::read_to_string(path).with_context(name)?).with_context(name)
}

fn carbon(bill: &Bill, intensity: &Intensity) -> Carbon {
    let mut carbon = Carbon { mg: 0, without_wh: Wh::ZERO };
    for (start, energy) in &bill.supplied {
        match intensity.at(*start) {
            Some(grams) => carbon.mg += u128::from(energy.0) * u128::from(grams),
            None => carbon.without_wh += *energy,
        }
    }
    carbon
}

/// Currency a kWh of nano a Wh: four decimals or, where they are needed, six.
fn rate(nano: i128) -> String {
    let (sign, nano) = (if nano < 0 { "-" } else { "" }, nano.unsigned_abs());
    let (whole, rest) = (nano / 1_000_000, nano % 1_000_000);
    if rest.is_multiple_of(100) {
        format!("{sign}{whole}.{:04}", rest / 100)
    } else {
        format!("{sign}{whole}.{rest:06}")
    }
}

impl Args {
    /// First and last local day.
    fn days(&self, last: &Receipt, length: u16) -> anyhow::Result<(Date, Date)> {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            ensure!(from <= to, "--to {to} is before --from {from}");
            return Ok((from, to));
        }
        let first = match self.month {
            Some(first) => first,
            None => {
                let time = Timestamp::from_second(i64::try_from(last.first_interval.start(length))?)?;
                time.to_zoned(self.zone.clone()).date().first_of_month()
            }
        };
        Ok((first, first.last_of_month()))
    }

    fn local(&self, seconds: u64) -> String {
        text::local(seconds, &self.zone)
    }

    fn shown(
        &self,
        session: &Session,
        bill: &Bill,
        carbon: Option<&Carbon>,
        (days, length): ((Date, Date), u16),
    ) -> Shown {
        let (community, slot) = (session.community, session.slot);
        let title =
            format!("Bill of {} to {} ({}), community {community}, slot {slot}", days.0, days.1, zone_name(&self.zone));
        let status = status(bill);
        let item = |(what, rates, energy, amount): (What, std::ops::Range<i128>, Wh, Nano)| {
            let rates = if rates.start == rates.end {
                rate(rates.start)
            } else {
                format!("{} to {}", rate(rates.start), rate(rates.end))
            };
            [what.title().to_owned(), text::kwh(energy), rates, text::money(amount)]
        };
        let energy = &bill.energy;
        let mut facts = vec![
            ("used", format!("{} kWh from the network", text::kwh(energy.import))),
            ("of it from neighbours", text::percent(energy.bought, energy.import)),
            ("fed in", format!("{} kWh", text::kwh(energy.export))),
            ("of it to neighbours", text::percent(energy.sold, energy.export)),
        ];
        if let Some(carbon) = carbon {
            let grams = (carbon.mg + 500) / 1_000;
            facts.push(("CO2 of the supplier's", format!("{}.{:03} kg", grams / 1_000, grams % 1_000)));
            if carbon.without_wh > Wh::ZERO {
                facts.push(("without a figure of CO2", format!("{} kWh", text::kwh(carbon.without_wh))));
            }
        }
        let mut account =
            vec![[self.local(bill.account_s.start), "account".to_owned(), text::money(bill.opening_nano)]];
        account.push([String::new(), "bills of these periods".to_owned(), text::money(-bill.billed_nano)]);
        for movement in &bill.movements {
            let what = match (movement.kind, movement.corrected) {
                (Some(kind), _) => kind.effect().title.to_owned(),
                (None, Some(then)) => format!("correction of {}", self.local(then.start(length))),
                (None, None) => "correction".to_owned(),
            };
            let when = self.local(movement.first_interval.start(length));
            account.push([when, what, text::money(movement.change_nano)]);
        }
        account.push([self.local(bill.account_s.end), "account".to_owned(), text::money(bill.closing_nano)]);
        Shown {
            title,
            status,
            items: bill.sums().into_iter().map(item).collect(),
            total: text::money(bill.total_nano),
            facts,
            account,
            currency: self.currency.clone(),
        }
    }
}

/// How far the days are settled, and by what.
fn status(bill: &Bill) -> Vec<String> {
    let all = bill.intervals + bill.missing_intervals + bill.without_account_intervals;
    let hours = |intervals: u64| {
        let seconds = (bill.span_s.end - bill.span_s.start) / all.max(1) * intervals;
        format!("{} h", seconds / 3600)
    };
    let mut status = Vec::new();
    if bill.is_final() {
        let with = if bill.estimated_intervals > 0 { "" } else { ", with what the meter measured" };
        status.push(format!("final: every interval is settled on L1{with}"));
    }
    for (intervals, what) in [
        (bill.missing_intervals, "provisional: {} of these days are not settled yet, or not kept here"),
        (bill.substituted_intervals, "provisional: {} are a substitute's, and a late packet may correct them"),
        (bill.estimated_intervals, "{} are a substitute's, and no late packet can correct them any more"),
        (bill.corrected_intervals, "{} were a substitute's: the items have what a late packet corrected"),
        (bill.without_account_intervals, "{} of these days are before the account was opened, or after its end"),
    ] {
        if intervals > 0 {
            status.push(what.replace("{}", &hours(intervals)));
        }
    }
    status
}

impl Shown {
    /// Heads of the items' columns.
    fn heads(&self) -> [String; 4] {
        let currency = &self.currency;
        ["".to_owned(), "kWh".to_owned(), format!("{currency} a kWh"), currency.clone()]
    }

    /// What the total is called.
    fn total_is(&self) -> &'static str {
        if self.total.starts_with('-') { "earned (negative)" } else { "to pay" }
    }

    /// Lines of text with columns in line, at most 80 characters.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let row =
            |[what, energy, rate, amount]: &[String; 4]| format!("{what:<24} {energy:>12} {rate:>20} {amount:>14}");
        lines.push(row(&self.heads()).trim_end().to_owned());
        lines.extend(self.items.iter().map(row));
        lines.push(row(&[self.total_is().to_owned(), String::new(), String::new(), self.total.clone()]));
        lines.push(String::new());
        lines.extend(self.facts.iter().map(|(name, value)| format!("{name:<24} {value}")));
        lines.push(String::new());
        lines.extend(self.account.iter().map(|[when, what, amount]| format!("{when:<17} {what:<40} {amount:>14}")));
        lines
    }

    /// For a terminal.
    fn text(&self) -> String {
        let head = std::iter::once(&self.title).chain(&self.status).map(|line| format!("{line}\n"));
        let lines = self.lines();
        head.chain(std::iter::once("\n".to_owned())).chain(lines.iter().map(|line| format!("{line}\n"))).collect()
    }
}

/// Every item with its exact amount.
fn table(bill: &Bill, args: &Args, days: (Date, Date)) -> anyhow::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["from", "to", "what", "wh", "currency_per_kwh", "amount", "currency", "final"])?;
    let (from, to) = (days.0.to_string(), days.1.to_string());
    let last = if bill.is_final() { "yes" } else { "no" };
    for item in &bill.items {
        let what = serde_json::to_value(item.what)?;
        let (energy, rate) = (item.energy_wh.0.to_string(), rate(item.rate_nano));
        let amount = exact(item.amount_nano);
        out.write_record([
            &from,
            &to,
            what.as_str().unwrap_or_default(),
            &energy,
            &rate,
            &amount,
            &args.currency,
            last,
        ])?;
    }
    out.write_record([&from, &to, "total", "", "", &exact(bill.total_nano), &args.currency, last])?;
    Ok(out.into_inner()?)
}

/// All nine decimals.
fn exact(nano: Nano) -> String {
    let (sign, amount) = (if nano < Nano::ZERO { "-" } else { "" }, nano.0.unsigned_abs());
    format!("{sign}{}.{:09}", amount / 1_000_000_000, amount % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use gridveil_protocol::account::Registers;

    use super::*;

    #[test]
    fn the_word_currency_stands_for_a_name() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("bill"));
        let option = command.get_arguments().find(|one| one.get_id() == "currency").unwrap();
        assert_eq!(option.get_default_values(), ["currency"]);
        assert_eq!(currency("currency"), Ok("currency".to_owned()));
    }

    #[test]
    fn final_is_said_of_what_nothing_can_change() {
        let bill = Bill {
            span_s: 0..3 * 86_400,
            intervals: 48,
            missing_intervals: 0,
            without_account_intervals: 24,
            substituted_intervals: 0,
            corrected_intervals: 24,
            estimated_intervals: 0,
            energy: Registers::default(),
            items: Vec::new(),
            total_nano: Nano::ZERO,
            account_s: 0..2 * 86_400,
            opening_nano: Nano::ZERO,
            billed_nano: Nano::ZERO,
            movements: Vec::new(),
            closing_nano: Nano::ZERO,
            supplied: Vec::new(),
        };
        let said = status(&bill);
        assert_eq!(
            said,
            [
                "final: every interval is settled on L1, with what the meter measured",
                "24 h were a substitute's: the items have what a late packet corrected",
                "24 h of these days are before the account was opened, or after its end",
            ]
        );
        let said = status(&Bill { corrected_intervals: 0, estimated_intervals: 24, ..bill.clone() });
        assert_eq!(
            said[..2],
            [
                "final: every interval is settled on L1",
                "24 h are a substitute's, and no late packet can correct them any more"
            ]
        );
        let open = Bill { substituted_intervals: 24, missing_intervals: 24, intervals: 24, ..bill };
        let said = status(&open);
        assert!(
            said[0].starts_with("provisional: 24 h of") && said[1].starts_with("provisional: 24 h are"),
            "{said:?}"
        );
        assert!(said.iter().all(|line| line.len() <= 80), "{said:?}");
    }

    #[test]
    fn rates_and_amounts_are_exact() {
        let rates = [210_000, 0, -20_000, 123_456, 1_000_000].map(rate);
        assert_eq!(rates, ["0.2100", "0.0000", "-0.0200", "0.123456", "1.0000"]);
        assert_eq!([exact(Nano(-1)), exact(Nano(12_500_000_000))], ["-0.000000001", "12.500000000"]);
    }
}
