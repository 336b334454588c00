//! One file of several homes, with the columns, in any order,
//! `home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh` (`data/README.md`).

use std::{collections::BTreeMap, path::Path};

use gridveil_readings::{Entry, Series, model::Quality};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{DataError, Days, Homes, LENGTHS, Measured, zone_name};

/// The columns that tell such a file from a meter's, in any order.
const COLUMNS: [&str; 3] = ["home", "interval_start_local", "interval_start_utc"];

#[derive(Deserialize)]
struct Row {
    home: String,
    interval_start_local: String,
    interval_start_utc: String,
    load_wh: u32,
    pv_wh: u32,
    import_wh: u32,
    export_wh: u32,
}

/// Is it a file of several homes?
pub(super) fn is_table(bytes: &[u8]) -> bool {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.headers().is_ok_and(|header| COLUMNS.iter().all(|column| header.iter().any(|name| name == *column)))
}

impl Homes {
    /// Reads the intervals whose local day is in `from..until`; every home must have them all.
    ///
    /// # Errors
    /// [`DataError`]: the first line, home or hour that is wrong.
    pub fn read(path: &Path, zone: &TimeZone, from: Date, until: Date) -> Result<Self, DataError> {
        Self::parse(&std::fs::read(path)?, zone, Days::Within(from, until), None)
    }

    /// [`Homes::read`] from bytes; `length` is that of an interval, if not the file's.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn parse(bytes: &[u8], zone: &TimeZone, days: Days, length: Option<u16>) -> Result<Self, DataError> {
        let mut hours: BTreeMap<String, BTreeMap<i64, Entry>> = BTreeMap::new();
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
            if row.interval_start_utc.is_empty() {
                skipped_rows += usize::from(match days {
                    Days::Within(from, until) => (from..until).contains(&local.date()),
                    Days::LongestRun => true,
                });
                continue;
            }
            let start: Timestamp =
                row.interval_start_utc.parse().map_err(|_| wrong("interval_start_utc is not a UTC time".into()))?;
            if start.to_zoned(zone.clone()).datetime() != local {
                let zone = zone_name(zone);
                return Err(wrong(format!(
                    "interval_start_local is not interval_start_utc in {zone}; say where the homes are with --zone"
                )));
            }
            if start.as_second() < 0 || start.as_second() % i64::from(LENGTHS[0]) != 0 {
                return Err(wrong("the interval does not start on a full quarter of an hour".into()));
            }
            let net = i64::from(row.load_wh) - i64::from(row.pv_wh);
            if i64::from(row.import_wh) - i64::from(row.export_wh) != net || (row.import_wh > 0 && row.export_wh > 0) {
                return Err(wrong("import_wh and export_wh are not the net of load_wh and pv_wh".into()));
            }
            let entry = Entry {
                start: start.as_second(),
                import_wh: row.import_wh.into(),
                export_wh: row.export_wh.into(),
                quality: Quality::Unstated,
            };
            if hours.entry(row.home).or_default().insert(entry.start, entry).is_some() {
                return Err(wrong("a second row for the same home and interval".into()));
            }
        }
        let measured = hours.into_iter().map(|(name, rows)| measured(name, rows)).collect::<Result<Vec<_>, _>>()?;
        if measured.is_empty() {
            return Err(DataError::Empty);
        }
        Self::of(measured, days, zone, length, skipped_rows)
    }
}

/// The length of its intervals is the smallest distance of two.
fn measured(name: String, rows: BTreeMap<i64, Entry>) -> Result<Measured, DataError> {
    let starts: Vec<i64> = rows.keys().copied().collect();
    let steps = starts.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
    let seconds = steps.min().unwrap_or(3600);
    let length = LENGTHS.into_iter().find(|length| i64::from(*length) == seconds);
    // What is further apart has a gap, which is named where the days are known.
    let length = length.or_else(|| (seconds > 3600 && seconds % 3600 == 0).then_some(3600));
    let Some(length) = length else { return Err(DataError::Length { home: name, seconds }) };
    Ok(Measured {
        name,
        series: Series::new(length.into(), rows.into_values().collect(), Vec::new()),
        files: Vec::new(),
    })
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
