//! Files of prices: a time-of-use tariff (JSON) or a series (CSV), turned into the protocol's tariffs.

use std::{collections::BTreeMap, path::Path};

use gridveil_protocol::{
    params::NANO_PER_TICK,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    units::{Interval, Ticks},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use crate::time_of_use::{Split, TimeOfUse, TouError, nano_per_wh};

/// Largest file, bytes: ten years of quarter hours.
const MAX_BYTES: u64 = 32 << 20;
/// Most rows of a series.
const MAX_ROWS: usize = 400_000;

/// Why prices are refused. The file's name is added by whoever reads it.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The operating system refused, or the file is too long.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The time-of-use tariff.
    #[error(transparent)]
    TimeOfUse(#[from] TouError),
    /// A time-of-use file without its split.
    #[error(
        "no \"split\": how much of a price is the network's, and what is paid for energy fed in, such as \
         {{\"network_permille\":400,\"local_permille\":400,\"feed_in\":0.06}}"
    )]
    NoSplit,
    /// A row of a series.
    #[error("line {line}: {what}")]
    Row {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// More rows than any series has.
    #[error("more than {MAX_ROWS} rows")]
    TooMany,
    /// Neither a name of JSON nor of CSV.
    #[error("a time-of-use tariff is a .json, a series of prices a .csv file")]
    Kind,
    /// A hole in a series.
    #[error("no row for {0}")]
    Missing(Timestamp),
    /// Outside the calendar.
    #[error("interval {0} is outside the calendar")]
    Calendar(Interval),
}

/// Prices of a file.
#[derive(Debug)]
pub enum Prices {
    /// By the clock.
    TimeOfUse(Box<TimeOfUse>, Split),
    /// By time, of one interval each.
    Series(BTreeMap<i64, ClassPrices>),
}

#[derive(Deserialize)]
struct Row {
    start: String,
    energy: String,
    network: String,
    feed_in: String,
    local_fee: String,
}

impl Prices {
    /// Reads a file, by its name's ending.
    ///
    /// # Errors
    /// [`PricesError`].
    pub fn read(path: &Path) -> Result<Self, PricesError> {
        let bytes = gridveil_keystore::durable::read_bounded(path, MAX_BYTES)?;
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Self::time_of_use(&String::from_utf8_lossy(&bytes)),
            Some("csv") => Self::series(&bytes),
            _ => Err(PricesError::Kind),
        }
    }

    fn time_of_use(text: &str) -> Result<Self, PricesError> {
        let tariff = TimeOfUse::parse(text)?;
        let split = tariff.split.ok_or(PricesError::NoSplit)?;
        Ok(Self::TimeOfUse(Box::new(tariff), split))
    }

    /// `start,energy,network,feed_in,local_fee`: RFC 3339, and decimals per kWh.
    fn series(bytes: &[u8]) -> Result<Self, PricesError> {
        let mut rows = BTreeMap::new();
        for row in csv::Reader::from_reader(bytes).deserialize() {
            let row: Row = row.map_err(|error| PricesError::Row {
                line: error.position().map_or(0, csv::Position::line),
                what: "expected start,energy,network,feed_in,local_fee".to_owned(),
            })?;
            let line = rows.len() as u64 + 2;
            let wrong = |what: String| PricesError::Row { line, what };
            let time: Timestamp = row
                .start
                .parse()
                .map_err(|_| wrong(format!("{:?} is not a time such as 2026-12-01T00:00:00+01:00", row.start)))?;
            let price = |text: &str| nano_per_wh(text).map_err(|error| wrong(error.to_string()));
            let prices = ClassPrices {
                energy: price(&row.energy)?,
                network: price(&row.network)?,
                feed_in: price(&row.feed_in)?,
                local_fee: price(&row.local_fee)?,
            };
            if rows.insert(time.as_second(), prices).is_some() {
                return Err(wrong(format!("{time} is there twice")));
            }
            if rows.len() > MAX_ROWS {
                return Err(PricesError::TooMany);
            }
        }
        Ok(Self::Series(rows))
    }

    /// The clock that a preview is shown in.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::TimeOfUse(tariff, _) => tariff.zone.clone(),
            Self::Series(_) => TimeZone::UTC,
        }
    }

    /// The tariff of one period.
    ///
    /// # Errors
    /// [`PricesError`]: no price for an interval.
    pub fn tariff(&self, first: Interval, interval_length: u16, intervals: usize) -> Result<Tariff, PricesError> {
        let series = match self {
            Self::TimeOfUse(tariff, split) => return Ok(tariff.tariff(split, first, interval_length, intervals)?),
            Self::Series(series) => series,
        };
        let one = |interval: Interval| {
            let second = i64::from(interval) * i64::from(interval_length);
            let time = Timestamp::from_second(second).map_err(|_| PricesError::Calendar(interval))?;
            series.get(&second).map(|prices| bounded(*prices)).ok_or(PricesError::Missing(time))
        };
        Ok(Tariff { intervals: first.onwards().take(intervals).map(one).collect::<Result<_, _>>()? })
    }
}

/// Bounds of the local market so that nobody loses by trading locally, as in [`crate::time_of_use`].
fn bounded(prices: ClassPrices) -> IntervalTariff {
    let ticks = |nano: i64| u16::try_from(nano.max(0)).map_or(Ticks::MAX, Ticks);
    let retail = i64::from(prices.energy) + i64::from(prices.network);
    let cap = ticks((retail - i64::from(prices.local_fee)).div_euclid(NANO_PER_TICK));
    let floor = ticks(-(-i64::from(prices.feed_in)).div_euclid(NANO_PER_TICK));
    IntervalTariff { classes: [prices; 2], cap, floor, reference: floor.min(cap).midpoint(floor.max(cap)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: &str = "start,energy,network,feed_in,local_fee\n\
        2026-12-01T00:00:00+01:00,0.20,0.10,0.06,0.04\n\
        2026-12-01T01:00:00+01:00,-0.05,0.10,-0.01,0.04\n";

    #[test]
    fn a_series_gives_each_interval_its_row() {
        let prices = Prices::series(SERIES.as_bytes()).unwrap();
        let first: Timestamp = "2026-11-30T23:00:00Z".parse().unwrap();
        let first = Interval(u32::try_from(first.as_second() / 3600).unwrap());
        let tariff = prices.tariff(first, 3600, 2).unwrap();
        assert_eq!(tariff.intervals[0].classes[0].energy, 200_000);
        assert_eq!((tariff.intervals[0].cap, tariff.intervals[0].floor), (Ticks(2600), Ticks(600)));
        assert_eq!((tariff.intervals[1].cap, tariff.intervals[1].floor), (Ticks(100), Ticks(0)), "negative prices");
        let missing = prices.tariff(first, 3600, 3).unwrap_err();
        assert_eq!(missing.to_string(), "no row for 2026-12-01T01:00:00Z");
    }

    #[test]
    fn every_wrong_row_is_named() {
        let says =
            |from: &str, to: &str| Prices::series(SERIES.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(says("0.20", "0.2000001").starts_with("line 2: 0.2000001 per kWh"));
        assert!(says("01:00:00+01:00", "00:00:00+01:00").contains("line 3"));
        assert!(says("2026-12-01T00", "yesterday").starts_with("line 2: "));
        assert!(says("feed_in", "feedin").contains("expected start,energy"));
        let both = Prices::time_of_use(include_str!("../../../data/tou-two-season.json"));
        assert!(matches!(both, Err(PricesError::NoSplit)));
    }
}
