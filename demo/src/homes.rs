//! Hourly net readings of homes from a CSV file with the columns
//! `home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh` (`data/README.md`).

use std::{collections::BTreeMap, path::Path};

use gridveil_protocol::{
    packet::Reading,
    units::{Interval, Wh},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;

/// Seconds of one interval in these files.
pub const INTERVAL_LENGTH: u16 = 3600;

/// Why a file of readings is refused. Lines count from 1, the header included; readings themselves are never printed.
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
    /// No row falls into the days asked for.
    #[error("no rows from {from} up to, not including, {until}")]
    Empty {
        /// First local day.
        from: Date,
        /// First local day after.
        until: Date,
    },
    /// An hour is missing.
    #[error("home {home}: no row for the hour starting {hour}")]
    Gap {
        /// Home.
        home: u16,
        /// UTC.
        hour: Timestamp,
    },
    /// Homes do not start or end together.
    #[error("home {home} covers other hours than home {first}")]
    Ragged {
        /// Home.
        home: u16,
        /// First home of the file.
        first: u16,
    },
}

#[derive(Deserialize)]
struct Row {
    home: u16,
    interval_start_local: String,
    interval_start_utc: String,
    load_wh: u32,
    pv_wh: u32,
    import_wh: u16,
    export_wh: u16,
}

/// Readings of several homes over the same consecutive hours.
#[derive(Debug)]
pub struct Homes {
    /// First hour, as a protocol interval of [`INTERVAL_LENGTH`].
    pub first_interval: Interval,
    /// Homes in ascending order, each with one reading an hour.
    pub series: Vec<(u16, Vec<Reading>)>,
    /// Rows left out because their local hour does not exist (spring change of clocks).
    pub skipped_rows: usize,
}

impl Homes {
    /// Reads the hours whose local day is in `from..until`.
    ///
    /// # Errors
    /// [`DataError`]: the first line, home or hour that is wrong.
    pub fn read(path: &Path, zone: &TimeZone, from: Date, until: Date) -> Result<Self, DataError> {
        Self::parse(&std::fs::read(path)?, zone, from, until)
    }

    /// [`Homes::read`] from bytes.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn parse(bytes: &[u8], zone: &TimeZone, from: Date, until: Date) -> Result<Self, DataError> {
        let mut hours: BTreeMap<u16, BTreeMap<i64, Reading>> = BTreeMap::new();
        let mut skipped_rows = 0;
        let mut reader = csv::Reader::from_reader(bytes);
        let headers = reader.headers().map_err(|e| csv_error(&e))?.clone();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|e| csv_error(&e))? {
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |what: String| DataError::Line { line, what };
            let row: Row = record.deserialize(Some(&headers)).map_err(|e| csv_error(&e))?;
            let local: jiff::civil::DateTime = row
                .interval_start_local
                .parse()
                .map_err(|_| wrong("interval_start_local is not a local time".into()))?;
            if local.date() < from || local.date() >= until {
                continue;
            }
            if row.interval_start_utc.is_empty() {
                skipped_rows += 1;
                continue;
            }
            let start: Timestamp =
                row.interval_start_utc.parse().map_err(|_| wrong("interval_start_utc is not a UTC time".into()))?;
            if start.to_zoned(zone.clone()).datetime() != local {
                return Err(wrong(format!("interval_start_local is not interval_start_utc in {}", zone_name(zone))));
            }
            if start.as_second() < 0 || start.as_second() % i64::from(INTERVAL_LENGTH) != 0 {
                return Err(wrong("the interval does not start on a full hour".into()));
            }
            let net = i64::from(row.load_wh) - i64::from(row.pv_wh);
            if i64::from(row.import_wh) - i64::from(row.export_wh) != net || (row.import_wh > 0 && row.export_wh > 0) {
                return Err(wrong("import_wh and export_wh are not the net of load_wh and pv_wh".into()));
            }
            let reading = Reading { import: row.import_wh, export: row.export_wh };
            if hours.entry(row.home).or_default().insert(start.as_second(), reading).is_some() {
                return Err(wrong("a second row for the same home and hour".into()));
            }
        }
        Self::aligned(hours, skipped_rows).ok_or(DataError::Empty { from, until })?
    }

    /// Checks that every home covers the same hours without a gap; `None` if there is nothing.
    fn aligned(hours: BTreeMap<u16, BTreeMap<i64, Reading>>, skipped_rows: usize) -> Option<Result<Self, DataError>> {
        let (first, reference) =
            hours.first_key_value().map(|(home, rows)| (*home, rows.keys().copied().collect::<Vec<_>>()))?;
        let start = *reference.first()?;
        let check = |home: u16, rows: &BTreeMap<i64, Reading>| {
            let expected = (start..).step_by(usize::from(INTERVAL_LENGTH));
            if let Some((_, hour)) = rows.keys().zip(expected).find(|(got, expected)| **got > *expected) {
                let hour = Timestamp::from_second(hour).unwrap_or(Timestamp::UNIX_EPOCH);
                return Err(DataError::Gap { home, hour });
            }
            if rows.len() != reference.len() { Err(DataError::Ragged { home, first }) } else { Ok(()) }
        };
        if let Some(error) = hours.iter().find_map(|(home, rows)| check(*home, rows).err()) {
            return Some(Err(error));
        }
        let first_interval = Interval::of_time(start, INTERVAL_LENGTH)?;
        let series = hours.into_iter().map(|(home, rows)| (home, rows.into_values().collect())).collect();
        Some(Ok(Self { first_interval, series, skipped_rows }))
    }

    /// Hours of each home.
    #[must_use]
    pub fn hours(&self) -> usize {
        self.series.first().map_or(0, |(_, readings)| readings.len())
    }

    /// Import and export of one hour over all homes, Wh.
    #[must_use]
    pub fn totals(&self, hour: usize) -> (Wh, Wh) {
        let readings = self.series.iter().filter_map(|(_, readings)| readings.get(hour));
        readings.fold((Wh::ZERO, Wh::ZERO), |(import, export), r| {
            (import + Wh::of_units(r.import, 1), export + Wh::of_units(r.export, 1))
        })
    }
}

/// Name of a zone for messages.
#[must_use]
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("the tariff's time zone")
}

fn csv_error(error: &csv::Error) -> DataError {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} columns instead of {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".into(),
        _ => "not CSV".into(),
    };
    DataError::Line { line, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const HEADER: &str = "home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh\n";

    fn parse(rows: &str) -> Result<Homes, DataError> {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        Homes::parse(format!("{HEADER}{rows}").as_bytes(), &zone, date(2017, 5, 1), date(2017, 6, 1))
    }

    #[test]
    fn two_homes_two_hours() {
        let homes = parse(concat!(
            "1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,5,0\n1,2017-05-01T01:00,2017-05-01T08:00:00Z,0,2,0,2\n",
            "2,2017-05-01T00:00,2017-05-01T07:00:00Z,7,0,7,0\n2,2017-05-01T01:00,2017-05-01T08:00:00Z,9,0,9,0\n",
            "2,2017-06-01T00:00,2017-06-01T07:00:00Z,9,0,9,0\n",
        ))
        .unwrap();
        assert_eq!(
            (homes.series.len(), homes.hours(), homes.totals(0), homes.totals(1)),
            (2, 2, (Wh(12), Wh(0)), (Wh(9), Wh(2)))
        );
        assert_eq!(homes.first_interval.start(3600), 1_493_622_000);
    }

    #[test]
    fn every_fault_is_named() {
        let first = "1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,5,0\n";
        for (rows, message) in [
            ("1,2017-05-01T00:00,2017-05-01T07:00:00Z,x,0,5,0\n", "line 2: column 4: invalid digit found in string"),
            ("1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,5\n", "line 2: 6 columns instead of 7"),
            (
                "1,2017-05-01T00:00,2017-05-01T06:00:00Z,5,0,5,0\n",
                "line 2: interval_start_local is not interval_start_utc in America/Los_Angeles",
            ),
            (
                "1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,4,0\n",
                "line 2: import_wh and export_wh are not the net of load_wh and pv_wh",
            ),
            ("1,2017-05-01T00:30,2017-05-01T07:30:00Z,5,0,5,0\n", "line 2: the interval does not start on a full hour"),
            ("", "no rows from 2017-05-01 up to, not including, 2017-06-01"),
        ] {
            assert_eq!(parse(rows).unwrap_err().to_string(), message);
        }
        assert_eq!(
            parse(&format!("{first}{first}")).unwrap_err().to_string(),
            "line 3: a second row for the same home and hour"
        );
        let gap = format!("{first}1,2017-05-01T02:00,2017-05-01T09:00:00Z,5,0,5,0\n");
        assert_eq!(parse(&gap).unwrap_err().to_string(), "home 1: no row for the hour starting 2017-05-01T08:00:00Z");
        let ragged = format!("{first}1,2017-05-01T01:00,2017-05-01T08:00:00Z,5,0,5,0\n{}", first.replacen('1', "2", 1));
        assert_eq!(parse(&ragged).unwrap_err().to_string(), "home 2 covers other hours than home 1");
    }
}
