//! A published time-of-use tariff, turned into the protocol's tariff of one period.
//!
//! Retail prices are in local civil time, the protocol is in UTC intervals. This module converts between them.
//!
//! One retail price is split so that nobody loses by trading locally ([`Split`]):
//! - `retail = energy + network`, exactly, for energy bought from the supplier;
//! - a local buyer pays the local price plus `local_fee`, the part of the network fee for the local network only;
//! - `cap = floor((retail - local_fee) / tick)`: at the cap a local buyer pays no more than retail;
//! - `floor = ceil(feed_in / tick)`: at the floor a local seller gets no less than the supplier pays;
//! - `reference`, the price of the community-price mechanism, is halfway between (the mid-market rate).

use std::collections::BTreeSet;

use gridveil_protocol::{
    params::NANO_PER_TICK,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    units::{Interval, Ticks},
};
use jiff::{
    Timestamp, Zoned,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::Deserialize;

/// Nano-currency per Wh in one currency unit per kWh.
const NANO_PER_UNIT_DIGITS: usize = 6;

/// Why a tariff file is refused, or has no price.
#[derive(Debug, thiserror::Error)]
pub enum TouError {
    /// Not JSON of this form.
    #[error("{line}:{column}: {what}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// Unknown time zone.
    #[error("unknown time zone {0}")]
    Zone(String),
    /// A time of day other than HH:MM.
    #[error("{0} is not a time of day (HH:MM)")]
    TimeOfDay(String),
    /// A holiday that is no day.
    #[error("holidays: {0:?} is not a day such as 2026-12-25")]
    Date(String),
    /// Shares of more than the whole.
    #[error("split: shares are per mille, at most 1000")]
    Share,
    /// A price with more than six decimals, or too large.
    #[error("{0} per kWh is not a price of at most 6 decimals below 2147")]
    Price(String),
    /// The file has no price for an hour.
    #[error("no price for {0}")]
    NoPrice(Zoned),
    /// The interval is outside the calendar.
    #[error("interval {0} is outside the calendar")]
    Calendar(Interval),
}

#[derive(Deserialize)]
struct File {
    currency: String,
    timezone: String,
    seasons: Vec<FileSeason>,
    #[serde(default)]
    holidays: Vec<String>,
    split: Option<FileSplit>,
}

#[derive(Deserialize)]
struct FileSplit {
    network_permille: u16,
    local_permille: u16,
    feed_in: serde_json::Number,
}

#[derive(Deserialize)]
struct FileSeason {
    months: Vec<i8>,
    periods: Vec<FilePeriod>,
}

#[derive(Deserialize)]
struct FilePeriod {
    days: Days,
    from: Option<String>,
    to: Option<String>,
    price: serde_json::Number,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Days {
    #[serde(rename = "mon-fri")]
    Weekdays,
    #[serde(rename = "sat-sun")]
    Weekend,
    #[serde(rename = "all")]
    All,
}

impl Days {
    fn contain(self, day: Weekday, holiday: bool) -> bool {
        let weekend = holiday || matches!(day, Weekday::Saturday | Weekday::Sunday);
        match self {
            Self::Weekdays => !weekend,
            Self::Weekend => weekend,
            Self::All => true,
        }
    }
}

/// A time-of-use tariff: seasons by month, in each the first matching period gives the price.
#[derive(Debug)]
pub struct TimeOfUse {
    /// Currency code.
    pub currency: String,
    /// Zone of the tariff's clock.
    pub zone: TimeZone,
    /// How a price is split, if the file says.
    pub split: Option<Split>,
    /// Days that count as Sundays.
    holidays: BTreeSet<Date>,
    seasons: Vec<(Vec<i8>, Vec<Period>)>,
}

#[derive(Debug)]
struct Period {
    days: Days,
    /// Minutes of the local day, half open.
    minutes: std::ops::Range<u16>,
    retail: i32,
}

impl TimeOfUse {
    /// Reads the JSON form of `data/tou-two-season.json`.
    ///
    /// # Errors
    /// [`TouError`].
    pub fn parse(text: &str) -> Result<Self, TouError> {
        let file: File = serde_json::from_str(text).map_err(|e| TouError::Json {
            line: e.line(),
            column: e.column(),
            what: crate::common::text::json_message(&e),
        })?;
        let zone = TimeZone::get(&file.timezone).map_err(|_| TouError::Zone(file.timezone.clone()))?;
        let seasons = file.seasons.into_iter().map(|s| {
            let periods = s.periods.into_iter().map(Period::try_from).collect::<Result<_, _>>()?;
            Ok((s.months, periods))
        });
        let seasons = seasons.collect::<Result<_, TouError>>()?;
        let date = |text: &String| text.parse().map_err(|_| TouError::Date(text.clone()));
        let holidays = file.holidays.iter().map(date).collect::<Result<_, _>>()?;
        let split = file.split.map(Split::try_from).transpose()?;
        Ok(Self { currency: file.currency, zone, split, holidays, seasons })
    }

    /// Retail price of the interval that starts at `start`, nano per Wh.
    ///
    /// # Errors
    /// [`TouError::NoPrice`].
    pub fn retail(&self, start: Timestamp) -> Result<i32, TouError> {
        let local = start.to_zoned(self.zone.clone());
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let holiday = self.holidays.contains(&local.date());
        let season = self.seasons.iter().find(|(months, _)| months.contains(&local.month()));
        let period = season.and_then(|(_, ps)| {
            ps.iter().find(|p| p.days.contain(local.weekday(), holiday) && p.minutes.contains(&minute))
        });
        period.map(|p| p.retail).ok_or(TouError::NoPrice(local))
    }

    /// The protocol's tariff of `intervals` intervals from `first_interval` on.
    ///
    /// # Errors
    /// [`TouError`].
    pub fn tariff(
        &self,
        split: &Split,
        first_interval: Interval,
        interval_length: u16,
        intervals: usize,
    ) -> Result<Tariff, TouError> {
        let one = |interval: Interval| {
            let second = i64::from(interval) * i64::from(interval_length);
            let start = Timestamp::from_second(second).map_err(|_| TouError::Calendar(interval))?;
            self.retail(start).map(|retail| split.interval(retail))
        };
        Ok(Tariff { intervals: first_interval.onwards().take(intervals).map(one).collect::<Result<_, _>>()? })
    }
}

impl TryFrom<FilePeriod> for Period {
    type Error = TouError;

    fn try_from(p: FilePeriod) -> Result<Self, TouError> {
        let minute = |text: Option<String>, default| text.map_or(Ok(default), |t| minute_of_day(&t));
        Ok(Self {
            days: p.days,
            minutes: minute(p.from, 0)?..minute(p.to, 24 * 60)?,
            retail: nano_per_wh(&p.price.to_string())?,
        })
    }
}

fn minute_of_day(text: &str) -> Result<u16, TouError> {
    let parsed = text.split_once(':').and_then(|(h, m)| Some((h.parse::<u16>().ok()?, m.parse::<u16>().ok()?)));
    match parsed {
        Some((hour, minute)) if minute < 60 && hour * 60 + minute <= 24 * 60 => Ok(hour * 60 + minute),
        _ => Err(TouError::TimeOfDay(text.into())),
    }
}

/// Decimal currency per kWh to nano per Wh, by digits: no floating point.
///
/// # Errors
/// [`TouError::Price`].
pub fn nano_per_wh(text: &str) -> Result<i32, TouError> {
    let wrong = || TouError::Price(text.into());
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty()
        || fraction.len() > NANO_PER_UNIT_DIGITS
        || !(whole.to_owned() + fraction).bytes().all(|b| b.is_ascii_digit())
    {
        return Err(wrong());
    }
    format!("{whole}{fraction:0<NANO_PER_UNIT_DIGITS$}").parse::<i32>().map(|nano| sign * nano).map_err(|_| wrong())
}

/// How a retail price is split. The shares are the demonstration's own choice: the tariff file has one price only.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Part of retail that is the network fee, per mille.
    pub network_permille: u16,
    /// Part of the network fee that locally bought energy still pays, per mille.
    pub local_permille: u16,
    /// What the supplier pays for energy fed in, nano per Wh.
    pub feed_in: i32,
}

impl Default for Split {
    /// 40 % network, of which 40 % for the local network; 0.06 per kWh fed in (the order of an avoided-cost rate).
    fn default() -> Self {
        Self { network_permille: 400, local_permille: 400, feed_in: 60_000 }
    }
}

impl TryFrom<FileSplit> for Split {
    type Error = TouError;

    fn try_from(file: FileSplit) -> Result<Self, TouError> {
        let FileSplit { network_permille, local_permille, feed_in } = file;
        if network_permille.max(local_permille) > 1000 {
            return Err(TouError::Share);
        }
        Ok(Self { network_permille, local_permille, feed_in: nano_per_wh(&feed_in.to_string())? })
    }
}

fn permille(x: i32, share: u16) -> i32 {
    i32::try_from(i64::from(x) * i64::from(share.min(1000)) / 1000).unwrap_or(0)
}

fn ticks(nano: i64) -> Ticks {
    u16::try_from(nano.max(0)).map_or(Ticks::MAX, Ticks)
}

impl Split {
    /// Tariff of one interval at a retail price. Both classes pay the same.
    #[must_use]
    pub fn interval(&self, retail: i32) -> IntervalTariff {
        let network = permille(retail, self.network_permille);
        let local_fee = permille(network, self.local_permille);
        let prices = ClassPrices { energy: retail - network, network, feed_in: self.feed_in, local_fee };
        let cap = ticks((i64::from(retail) - i64::from(local_fee)).div_euclid(NANO_PER_TICK));
        let floor = ticks(-(-i64::from(self.feed_in)).div_euclid(NANO_PER_TICK));
        let reference = floor.min(cap).midpoint(floor.max(cap));
        IntervalTariff { classes: [prices; 2], cap, floor, reference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_of_use() -> TimeOfUse {
        TimeOfUse::parse(include_str!("../../../data/tou-two-season.json")).unwrap()
    }

    fn retail(text: &str) -> i32 {
        time_of_use().retail(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn prices_follow_the_local_clock() {
        assert_eq!(retail("2017-05-05T22:59:59Z"), 210_000); // Friday 15:59 in May, UTC-7
        assert_eq!(retail("2017-05-05T23:00:00Z"), 500_000);
        assert_eq!(retail("2017-05-06T03:59:59Z"), 500_000); // still Friday 20:59 there
        assert_eq!(retail("2017-05-06T04:00:00Z"), 210_000);
        assert_eq!(retail("2017-01-06T00:00:00Z"), 500_000); // 16:00 in January, UTC-8
        assert_eq!(retail("2017-01-05T23:59:00Z"), 210_000);
        assert_eq!(retail("2017-06-02T23:00:00Z"), 540_000); // Friday in summer
        assert_eq!(retail("2017-06-03T23:00:00Z"), 400_000); // Saturday in summer
        assert_eq!(retail("2017-07-01T06:59:00Z"), 220_000);
        assert_eq!(retail("2017-06-01T06:59:00Z"), 210_000); // 31 May there
    }

    #[test]
    fn a_holiday_is_a_sunday() {
        let text = include_str!("../../../data/tou-two-season.json");
        let with = text.replacen('{', r#"{"holidays":["2017-06-02"],"#, 1);
        let friday = "2017-06-02T23:00:00Z".parse().unwrap();
        assert_eq!(time_of_use().retail(friday).unwrap(), 540_000);
        assert_eq!(TimeOfUse::parse(&with).unwrap().retail(friday).unwrap(), 400_000);
        assert!(TimeOfUse::parse(&with.replace("06-02", "06-32")).unwrap_err().to_string().contains("2017-06-32"));
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(nano_per_wh("0.21").unwrap(), 210_000);
        assert_eq!(nano_per_wh("-0.000001").unwrap(), -1);
        assert_eq!(nano_per_wh("2").unwrap(), 2_000_000);
        for text in ["0.0000001", "1e3", "", "2148", ".5", "0.-1"] {
            assert!(nano_per_wh(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_loses_by_trading_locally() {
        for retail in (0..3_000_000).step_by(777) {
            let split = Split::default();
            let t = split.interval(retail);
            let c = t.classes[0];
            assert_eq!(c.energy + c.network, retail);
            assert!(t.cap.nano_per_wh() + i128::from(c.local_fee) <= i128::from(retail));
            assert!(t.floor.nano_per_wh() >= i128::from(split.feed_in));
            assert!(t.reference >= t.floor.min(t.cap) && t.reference <= t.floor.max(t.cap));
        }
        let t = Split::default().interval(210_000);
        assert_eq!((t.floor, t.reference, t.cap), (Ticks(600), Ticks(1182), Ticks(1764)));
    }

    #[test]
    fn the_tariff_of_the_page_is_one() {
        let page = include_str!("../../../docs/how-to/simulate-a-street.md");
        let text = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let tariff = TimeOfUse::parse(text).unwrap();
        let split = tariff.split.unwrap();
        assert_eq!((split.network_permille, split.local_permille, split.feed_in), (350, 150, 80_000));
        // Without it, what the page says.
        let split = Split::default();
        assert_eq!((split.network_permille, split.local_permille, split.feed_in), (400, 400, 60_000));
    }

    #[test]
    fn bad_files_are_refused_in_one_line() {
        let error = |text: &str| TimeOfUse::parse(text).unwrap_err().to_string();
        assert_eq!(error("{\n  \"currency\": 3}"), "2:15: invalid type: integer `3`, expected a string");
        assert_eq!(
            error(r#"{"currency":"USD","timezone":"Mars/Olympus","seasons":[]}"#),
            "unknown time zone Mars/Olympus"
        );
    }
}
