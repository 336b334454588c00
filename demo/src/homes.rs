//! Readings of several homes over the same consecutive intervals: from one file of all of them, or from a meter file each.

mod meters;
mod table;
mod who;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use gridveil_protocol::{
    packet::Reading,
    units::{Interval, Wh},
};
use gridveil_readings::{Entry, Series, SourceError};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

pub use meters::{Clock, Source, read};

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
    /// There is no row at all.
    #[error("no rows")]
    Empty,
    /// The days asked for begin before a home's readings.
    #[error("home {home}: its readings begin {begins}; asked for is {from} to {to}")]
    Begins {
        /// Home.
        home: String,
        /// Local time.
        begins: String,
        /// First local day.
        from: Date,
        /// Last local day.
        to: Date,
    },
    /// The days asked for go on after a home's readings.
    #[error("home {home}: its readings end {ends}; asked for is {from} to {to}")]
    Ends {
        /// Home.
        home: String,
        /// Local time.
        ends: String,
        /// First local day.
        from: Date,
        /// Last local day.
        to: Date,
    },
    /// No day of which every home has every interval.
    #[error(
        "there is no local day of which {} every interval{}",
        if *.homes == 1 { "the home has".to_owned() } else { format!("all {homes} homes have") },
        lacks(.lack.as_ref())
    )]
    NoDay {
        /// Homes.
        homes: usize,
        /// What is missing first in the fullest day.
        lack: Option<Lack>,
    },
    /// Days beyond the calendar.
    #[error("{0} is beyond the calendar")]
    Calendar(Date),
    /// An interval is missing.
    #[error("home {home}: no reading for the interval starting {start}")]
    Gap {
        /// Home.
        home: String,
        /// UTC.
        start: Timestamp,
    },
    /// Two files have other readings for one interval of a home.
    #[error(
        "home {home}: {first} and {second} have different readings for the interval starting {start}. If one replaces the \
         other, take the old one out; if they are two homes', put each home's files into a folder of its own"
    )]
    Twice {
        /// Home.
        home: String,
        /// A file.
        first: String,
        /// Another one.
        second: String,
        /// UTC.
        start: Timestamp,
    },
    /// Files that may be one home's or several homes'.
    #[error(
        "{first} and {second} both name home {home}, and nothing tells for certain whether they are one home's or two: put \
         each home's files into a folder of its own, and give the folder that holds these"
    )]
    Unclear {
        /// Home.
        home: String,
        /// A file or folder.
        first: String,
        /// Another one.
        second: String,
    },
    /// One meter in two homes would count twice.
    #[error("meter {meter} is in home {first} and in home {second}: its files belong into the folder of one")]
    Shared {
        /// Meter.
        meter: String,
        /// A home.
        first: String,
        /// Another one.
        second: String,
    },
    /// A file of many meters, whose names are not all known.
    #[error(
        "the file holds {count} meters, which cannot all be told apart: export each home's alone, or up to 20 at a time; or \
         write one file with the columns of data/README.md"
    )]
    Meters {
        /// How many.
        count: usize,
    },
    /// A file of several meters in the folder of one home.
    #[error(
        "the file holds {count} meters, and the folder it is in stands for one home: put it beside that folder, and each of \
         its meters is a home"
    )]
    OneHome {
        /// How many.
        count: usize,
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
    /// Files that they are from.
    pub files: Vec<PathBuf>,
}

/// A reading that a home lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Home.
    pub home: String,
    /// Start of the interval.
    pub start: Timestamp,
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
    /// Local days of which some home has a reading, and which are not among these, where no days were asked for.
    pub left_out_days: usize,
    /// What cut the run of days: the last that is missing before it, the first after it.
    pub lacks: Vec<Lack>,
    /// Meters that files of different homes name, which have the names of their files therefore.
    pub same_meters: Vec<String>,
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
    files: Vec<PathBuf>,
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
        let found = Found::of(&homes, zone, i64::from(length));
        let (starts, left_out_days, lacks) = match days {
            Days::Within(from, until) => (found.grid(from, until).ok_or(DataError::Calendar(until))?, 0, Vec::new()),
            Days::LongestRun => {
                let run = longest_run(found.by_day.keys().copied().filter(|day| found.whole(*day)));
                let (Some(first), Some(last)) = (run.first().copied(), run.last().copied()) else {
                    return Err(DataError::NoDay { homes: homes.len(), lack: found.lack_of_the_fullest() });
                };
                let until = last.tomorrow().map_err(|_| DataError::Calendar(last))?;
                let starts = found.grid(first, until).ok_or(DataError::Calendar(until))?;
                (starts, found.by_day.len() - run.len(), found.lacks_around(first, last))
            }
        };
        let first_interval = starts.first().and_then(|first| Interval::of_time(*first, length));
        let first_interval = first_interval.ok_or(DataError::NoDay { homes: homes.len(), lack: None })?;
        let numbers: Option<Vec<u16>> = homes.iter().map(|home| home.name.parse().ok()).collect();
        let mut named: Vec<(u16, Measured)> = match numbers {
            Some(numbers) if all_differ(&numbers) => numbers.into_iter().zip(homes).collect(),
            _ => (1..).zip(homes).collect(),
        };
        named.sort_by_key(|(number, _)| *number);
        let cut = |(number, home): (u16, Measured)| home.cut(number, &starts, days, zone);
        let homes = named.into_iter().map(cut).collect::<Result<Vec<_>, _>>()?;
        let interval_length = length;
        Ok(Self { interval_length, first_interval, homes, skipped_rows, left_out_days, lacks, same_meters: Vec::new() })
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
    fn cut(self, number: u16, starts: &[i64], days: Days, zone: &TimeZone) -> Result<Home, DataError> {
        let mut entries: Vec<&Entry> = Vec::with_capacity(starts.len());
        for start in starts {
            match self.series.at(*start) {
                Some(entry) => entries.push(entry),
                None => return Err(self.lacking(*start, days, zone)),
            }
        }
        let mut too_much = None;
        for scale in SCALES {
            match in_units(&entries, scale) {
                Ok(readings) => {
                    let estimated = entries.iter().filter(|entry| entry.quality.is_estimate()).count();
                    let Self { name, files, .. } = self;
                    return Ok(Home { number, name, scale, readings, estimated, files });
                }
                Err(start) => too_much = Some(start),
            }
        }
        Err(DataError::TooMuch { home: self.name, start: instant(too_much.unwrap_or_default()) })
    }

    /// Why there is no reading: the days asked for begin earlier or end later than the readings, or there is a gap.
    fn lacking(&self, start: i64, days: Days, zone: &TimeZone) -> DataError {
        let home = self.name.clone();
        let local = |start: i64| instant(start).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        let entries = self.series.entries();
        if let (Days::Within(from, until), Some(first), Some(last)) = (days, entries.first(), entries.last()) {
            let to = until.yesterday().unwrap_or(until);
            if start < first.start {
                return DataError::Begins { home, begins: local(first.start), from, to };
            }
            if start > last.start {
                let ends = local(last.start + i64::from(self.series.length()));
                return DataError::Ends { home, ends, from, to };
            }
        }
        DataError::Gap { home, start: instant(start) }
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

/// How many homes have which intervals, by local day.
struct Found<'a> {
    homes: &'a [Measured],
    zone: &'a TimeZone,
    step: i64,
    by_day: BTreeMap<Date, Vec<usize>>,
}

impl<'a> Found<'a> {
    fn of(homes: &'a [Measured], zone: &'a TimeZone, step: i64) -> Self {
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for entry in homes.iter().flat_map(|home| home.series.entries()) {
            *counts.entry(entry.start).or_default() += 1;
        }
        let mut by_day: BTreeMap<Date, Vec<usize>> = BTreeMap::new();
        for (start, count) in counts {
            by_day.entry(instant(start).to_zoned(zone.clone()).date()).or_default().push(count);
        }
        Self { homes, zone, step, by_day }
    }

    /// Starts of the intervals of these local days; `None` beyond the calendar.
    fn grid(&self, from: Date, until: Date) -> Option<Vec<i64>> {
        let first = |day: Date| {
            let midnight = day.to_zoned(self.zone.clone()).ok()?.timestamp().as_second();
            Some(midnight + (-midnight).rem_euclid(self.step))
        };
        let (first, end) = (first(from)?, first(until)?);
        Some((first..end).step_by(usize::try_from(self.step).ok()?).collect())
    }

    fn of_day(&self, day: Date) -> Vec<i64> {
        day.tomorrow().ok().and_then(|next| self.grid(day, next)).unwrap_or_default()
    }

    /// Has every home every interval of the day?
    fn whole(&self, day: Date) -> bool {
        let counts = self.by_day.get(&day).map(Vec::as_slice).unwrap_or_default();
        counts.len() == self.of_day(day).len() && counts.iter().all(|count| *count == self.homes.len())
    }

    fn lack_at(&self, start: i64) -> Option<Lack> {
        let home = self.homes.iter().find(|home| home.series.at(start).is_none())?;
        Some(Lack { home: home.name.clone(), start: instant(start) })
    }

    /// The last that is missing in the day before, and the first in the day after; only where readings go on there.
    fn lacks_around(&self, first: Date, last: Date) -> Vec<Lack> {
        let (before, after) = (first.yesterday().ok(), last.tomorrow().ok());
        let before = before.filter(|_| self.by_day.range(..first).next().is_some());
        let after = after.filter(|after| self.by_day.range(*after..).next().is_some());
        let before = before.and_then(|day| self.of_day(day).into_iter().rev().find_map(|start| self.lack_at(start)));
        let after = after.and_then(|day| self.of_day(day).into_iter().find_map(|start| self.lack_at(start)));
        before.into_iter().chain(after).collect()
    }

    fn lack_of_the_fullest(&self) -> Option<Lack> {
        let (day, _) = self.by_day.iter().max_by_key(|(_, counts)| counts.iter().sum::<usize>())?;
        self.of_day(*day).into_iter().find_map(|start| self.lack_at(start))
    }
}

fn lacks(lack: Option<&Lack>) -> String {
    lack.map_or_else(String::new, |Lack { home, start }| {
        format!(": in the fullest, home {home} has no reading for the interval starting {start}")
    })
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

/// Name of a zone for messages: `Europe/Vienna`, `+10:00`.
#[must_use]
pub fn zone_name(zone: &TimeZone) -> String {
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    let Ok(offset) = zone.to_fixed_offset() else { return "a zone without a name".to_owned() };
    let (sign, minutes) = (if offset.is_negative() { '-' } else { '+' }, offset.seconds().abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests;
