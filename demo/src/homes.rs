//! Readings of several homes over the same consecutive intervals: from one file of all of them, or from a meter file each.

mod meters;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use gridveil_protocol::{
    packet::Reading,
    units::{Interval, Wh},
};
use gridveil_readings::{Entry, Series, SourceError};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

pub use meters::{Source, read};

/// Seconds of one interval of the built-in readings.
pub const INTERVAL_LENGTH: u16 = 3600;
/// Interval lengths that a community may have, seconds.
const LENGTHS: [u16; 3] = [900, 1800, 3600];
/// Wh of a reading's unit that an account may have.
const SCALES: [u8; 3] = [1, 10, 100];

/// Why readings are refused. Lines count from 1, the header included; readings themselves are never printed.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A line is not CSV of the expected columns.
    #[error("line {line}: {what}")]
    Line {
        /// Line of the file.
        line: u64,
        /// What is wrong, without the value.
        what: String,
    },
    /// A meter file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Intervals of one home have other lengths.
    #[error("home {home}: intervals of {seconds} s; known are 900, 1800 and 3600 s")]
    Length {
        /// Home.
        home: String,
        /// Distance of two starts.
        seconds: i64,
    },
    /// No row falls into the days asked for.
    #[error("no rows from {from} up to, not including, {until}")]
    Empty {
        /// First local day.
        from: Date,
        /// First local day after.
        until: Date,
    },
    /// No day of which every home has every interval.
    #[error(
        "there is no local day of which all {homes} homes have every interval: say which days with --from and --to, \
             and the first that is missing is named"
    )]
    NoDay {
        /// Homes.
        homes: usize,
    },
    /// An interval is missing.
    #[error("home {home}: no reading for the interval starting {start}")]
    Gap {
        /// Home.
        home: String,
        /// UTC.
        start: Timestamp,
    },
    /// Two files have other readings for one interval of a home.
    #[error("home {home}: two files have different readings for the interval starting {start}")]
    Twice {
        /// Home.
        home: String,
        /// UTC.
        start: Timestamp,
    },
    /// More than an account can count.
    #[error("home {home}: the interval starting {start} has more than 6,553 kWh")]
    TooMuch {
        /// Home.
        home: String,
        /// UTC.
        start: Timestamp,
    },
}

/// A home and what its meter said.
#[derive(Clone, Debug)]
pub struct Home {
    /// Number: of its keys and limits.
    pub number: u16,
    /// As the file names it.
    pub name: String,
    /// Wh of a reading's unit: the smallest that fits.
    pub scale: u8,
    /// One reading an interval.
    pub readings: Vec<Reading>,
    /// Readings that were not measured, by the file's own word.
    pub estimated: usize,
}

/// Readings of several homes over the same consecutive intervals.
#[derive(Debug)]
pub struct Homes {
    /// Seconds of an interval.
    pub interval_length: u16,
    /// First interval.
    pub first_interval: Interval,
    /// Homes by name; by number where all names are numbers.
    pub homes: Vec<Home>,
    /// Rows left out because their local hour does not exist (spring change of clocks).
    pub skipped_rows: usize,
    /// Local days of which some home has a reading, and which are not among these.
    pub left_out_days: usize,
}

/// Which local days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// All there are in `from..until`; every home must have them whole.
    Within(Date, Date),
    /// The longest run of days that every home has whole.
    LongestRun,
}

/// A home before its readings are compared with those of the others.
struct Measured {
    name: String,
    series: Series,
}

impl Homes {
    /// Homes with their readings of these days, by a clock in `zone`.
    fn of(
        measured: Vec<Measured>,
        days: Days,
        zone: &TimeZone,
        length: Option<u16>,
        skipped_rows: usize,
    ) -> Result<Self, DataError> {
        let longest = measured.iter().map(|home| home.series.length()).max().unwrap_or(INTERVAL_LENGTH.into());
        let length = length.unwrap_or_else(|| LENGTHS.into_iter().find(|l| u32::from(*l) >= longest).unwrap_or(3600));
        let mut homes = Vec::with_capacity(measured.len());
        for home in measured {
            homes.push(Measured { series: home.series.resample(length.into())?, ..home });
        }
        let local = |start: i64| Timestamp::from_second(start).ok().map(|t| t.to_zoned(zone.clone()).date());
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for entry in homes.iter().flat_map(|home| home.series.entries()) {
            *counts.entry(entry.start).or_default() += 1;
        }
        let mut by_day: BTreeMap<Date, Vec<(i64, usize)>> = BTreeMap::new();
        for (start, count) in counts {
            if let Some(day) = local(start) {
                by_day.entry(day).or_default().push((start, count));
            }
        }
        let step = i64::from(length);
        let chosen: Vec<Date> = match days {
            Days::Within(from, until) => {
                let chosen: Vec<Date> = by_day.range(from..until).map(|(day, _)| *day).collect();
                if chosen.is_empty() {
                    return Err(DataError::Empty { from, until });
                }
                chosen
            }
            Days::LongestRun => {
                let whole = |day: Date, starts: &[(i64, usize)]| {
                    let seconds = day_length_s(day, zone)?;
                    let all = starts.iter().all(|(_, count)| *count == homes.len());
                    (all && i64::try_from(starts.len()).ok()? * step == seconds).then_some(day)
                };
                longest_run(by_day.iter().filter_map(|(day, starts)| whole(*day, starts)))
            }
        };
        let (Some(first_day), Some(last_day)) = (chosen.first(), chosen.last()) else {
            return Err(DataError::NoDay { homes: homes.len() });
        };
        let in_span: Vec<i64> = by_day
            .range(*first_day..=*last_day)
            .flat_map(|(_, starts)| starts.iter().map(|(start, _)| *start))
            .collect();
        let (Some(first), Some(last)) = (in_span.first().copied(), in_span.last().copied()) else {
            return Err(DataError::NoDay { homes: homes.len() });
        };
        let starts: Vec<i64> = (first..=last).step_by(usize::from(length)).collect();
        let first_interval = Interval::of_time(first, length).ok_or(DataError::NoDay { homes: homes.len() })?;
        let numbers: Option<Vec<u16>> = homes.iter().map(|home| home.name.parse().ok()).collect();
        let mut named: Vec<(u16, Measured)> = match numbers {
            Some(numbers) if all_differ(&numbers) => numbers.into_iter().zip(homes).collect(),
            _ => (1..).zip(homes).collect(),
        };
        named.sort_by_key(|(number, _)| *number);
        let homes = named.into_iter().map(|(number, home)| home.cut(number, &starts)).collect::<Result<Vec<_>, _>>()?;
        let left_out_days = by_day.len() - by_day.range(*first_day..=*last_day).count();
        Ok(Self { interval_length: length, first_interval, homes, skipped_rows, left_out_days })
    }

    /// Intervals of each home.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.homes.first().map_or(0, |home| home.readings.len())
    }

    /// Import and export of one interval over all homes, Wh.
    #[must_use]
    pub fn totals(&self, interval: usize) -> (Wh, Wh) {
        let readings = self.homes.iter().filter_map(|home| Some((home.readings.get(interval)?, home.scale)));
        readings.fold((Wh::ZERO, Wh::ZERO), |(import, export), (reading, scale)| {
            (import + Wh::of_units(reading.import, scale), export + Wh::of_units(reading.export, scale))
        })
    }
}

impl Measured {
    /// One reading for each start, in the smallest unit that fits. What is less than a unit is carried to the next one.
    fn cut(self, number: u16, starts: &[i64]) -> Result<Home, DataError> {
        let Self { name, series } = self;
        let mut entries: Vec<&Entry> = Vec::with_capacity(starts.len());
        for start in starts {
            match series.at(*start) {
                Some(entry) => entries.push(entry),
                None => return Err(DataError::Gap { home: name, start: instant(*start) }),
            }
        }
        let mut too_much = None;
        for scale in SCALES {
            match in_units(&entries, scale) {
                Ok(readings) => {
                    let estimated = entries.iter().filter(|entry| entry.quality.is_estimate()).count();
                    return Ok(Home { number, name, scale, readings, estimated });
                }
                Err(start) => too_much = Some(start),
            }
        }
        Err(DataError::TooMuch { home: name, start: instant(too_much.unwrap_or_default()) })
    }
}

/// Readings in units of `scale` Wh, or the start of one that does not fit.
fn in_units(entries: &[&Entry], scale: u8) -> Result<Vec<Reading>, i64> {
    let (mut sums, scale) = ([0u64; 2], u64::from(scale));
    let unit = |sum: &mut u64, wh: u64| {
        let before = *sum / scale;
        *sum = sum.saturating_add(wh);
        u16::try_from(*sum / scale - before)
    };
    let of = |entry: &&Entry| {
        let [import_sum, export_sum] = &mut sums;
        let import = unit(import_sum, entry.import_wh).map_err(|_| entry.start)?;
        let export = unit(export_sum, entry.export_wh).map_err(|_| entry.start)?;
        Ok(Reading { import, export })
    };
    entries.iter().map(of).collect()
}

fn instant(start: i64) -> Timestamp {
    Timestamp::from_second(start).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn day_length_s(day: Date, zone: &TimeZone) -> Option<i64> {
    let midnight = |day: Date| Some(day.to_zoned(zone.clone()).ok()?.timestamp().as_second());
    Some(midnight(day.tomorrow().ok()?)? - midnight(day)?)
}

/// The longest run of consecutive days; of two as long, the later one.
fn longest_run(days: impl Iterator<Item = Date>) -> Vec<Date> {
    let (mut best, mut run): (Vec<Date>, Vec<Date>) = (Vec::new(), Vec::new());
    for day in days {
        let follows = run.last().and_then(|last| last.checked_add(1.day()).ok()) == Some(day);
        if !follows {
            run.clear();
        }
        run.push(day);
        if run.len() >= best.len() {
            best.clone_from(&run);
        }
    }
    best
}

fn all_differ(numbers: &[u16]) -> bool {
    let mut seen = BTreeSet::new();
    numbers.iter().all(|number| seen.insert(number))
}

/// Name of a zone for messages.
#[must_use]
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("the tariff's time zone")
}

#[cfg(test)]
mod tests;
