//! CSV of one or several meters.
//!
//! A header line, then one row an interval, in any order. Columns, in any order, others ignored:
//! - `interval_start_utc` (RFC 3339 with an offset) or `interval_start` (unix seconds);
//! - `import_wh` and `export_wh`, or else `load_wh` and `pv_wh`, of which the net is taken interval by interval, as a
//!   net meter does;
//! - optional `home`: which meter the row is of.
//!
//! Energies are whole, non-negative Wh. A row without a start is refused: local hours that do not exist carry no
//! energy.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot};

use gridveil_protocol::units::Wh;

use super::{Entry, Import, MAX_READINGS, Place, Series, SourceError, checked_length, checked_start};

#[derive(Clone, Copy)]
enum Energy {
    Registers { import: usize, export: usize },
    Net { load: usize, pv: usize },
}

struct Columns {
    start: usize,
    rfc3339: bool,
    energy: Energy,
    home: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self, SourceError> {
        let at = |name: &str| header.iter().position(|h| h.trim() == name);
        let named: Vec<&str> = header.iter().map(str::trim).filter(|h| !h.is_empty()).collect();
        if (1..named.len()).any(|i| named.get(i).is_some_and(|n| named.iter().take(i).any(|m| m == n))) {
            return Err(SourceError::Columns("a column name appears twice"));
        }
        let (start, rfc3339) = match (at("interval_start_utc"), at("interval_start")) {
            (Some(i), _) => (i, true),
            (None, Some(i)) => (i, false),
            (None, None) => return Err(SourceError::Columns("no interval_start_utc or interval_start column")),
        };
        let energy = match (at("import_wh"), at("export_wh"), at("load_wh"), at("pv_wh")) {
            (Some(import), Some(export), _, _) => Energy::Registers { import, export },
            (None, None, Some(load), Some(pv)) => Energy::Net { load, pv },
            _ => return Err(SourceError::Columns("expected import_wh and export_wh, or load_wh and pv_wh")),
        };
        Ok(Self { start, rfc3339, energy, home: at("home") })
    }
}

struct Row {
    entry: Entry,
    line: u64,
}

/// Reads one meter's rows; `home` selects it where the file has several. `length` overrides the smallest distance
/// between two starts.
///
/// # Errors
/// [`SourceError`].
pub fn read(text: &str, home: Option<&str>, length: Option<u32>) -> Result<Import, SourceError> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let columns = Columns::find(&reader.headers().map_err(|e| refused(&e))?.clone())?;
    if columns.home.is_none()
        && let Some(name) = home
    {
        return Err(SourceError::NoSuchMeter(name.to_owned()));
    }
    let mut meters: BTreeSet<String> = BTreeSet::new();
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut import = Import {
        meter: String::new(),
        series: Series::new(3600, vec![], vec![]),
        readings: 0,
        total_wh: [Wh::ZERO; 2],
        merged: 0,
        incomplete: 0,
    };
    for record in reader.records() {
        let record = record.map_err(|e| refused(&e))?;
        let line = record.position().map_or(0, csv::Position::line);
        if let Some(column) = columns.home {
            let name = record.get(column).unwrap_or("").trim();
            if home.is_some_and(|wanted| wanted != name) {
                continue;
            }
            if !meters.contains(name) {
                meters.insert(name.to_owned());
            }
        }
        if import.readings == MAX_READINGS {
            return Err(SourceError::TooManyReadings { at: Place { line, column: 0 } });
        }
        let entry = row(&record, &columns, line)?;
        import.readings += 1;
        import.total_wh[0] += entry.import_wh;
        import.total_wh[1] += entry.export_wh;
        // Rows of several meters are only counted here. They are refused below.
        if meters.len() > 1 {
            continue;
        }
        match rows.entry(entry.start) {
            Slot::Vacant(slot) => {
                slot.insert(Row { entry, line });
            }
            Slot::Occupied(slot) if slot.get().entry == entry => import.merged += 1,
            Slot::Occupied(slot) => {
                let at = Place { line, column: place(columns.start) };
                return Err(SourceError::Duplicate { at, start: entry.start, first_line: slot.get().line });
            }
        }
    }
    if meters.len() > 1 {
        return Err(super::several(meters.iter().map(String::as_str)));
    }
    if let Some(name) = home.filter(|_| meters.is_empty()) {
        return Err(SourceError::NoSuchMeter(name.to_owned()));
    }
    import.meter = meters.into_iter().next().unwrap_or_default();
    import.series = aligned(&rows, length, place(columns.start))?;
    Ok(import)
}

fn aligned(rows: &BTreeMap<i64, Row>, length: Option<u32>, column: u64) -> Result<Series, SourceError> {
    let starts: Vec<i64> = rows.keys().copied().collect();
    let first_line = rows.values().next().ok_or(SourceError::Empty)?.line;
    let smallest =
        starts.windows(2).filter_map(|w| if let [a, b] = w { u64::try_from(b - a).ok() } else { None }).min();
    let length = match length {
        Some(given) => u64::from(given),
        None => smallest.ok_or(SourceError::UnknownLength)?,
    };
    let length = checked_length(length, Place { line: first_line, column })?;
    for (start, row) in rows {
        checked_start(*start, length, Place { line: row.line, column })?;
    }
    Ok(Series::new(length, rows.values().map(|r| r.entry).collect(), vec![]))
}

fn place(column: usize) -> u64 {
    column as u64 + 1
}

fn row(record: &csv::StringRecord, columns: &Columns, line: u64) -> Result<Entry, SourceError> {
    let field = |column: usize| (record.get(column).unwrap_or("").trim(), Place { line, column: place(column) });
    let (text, at) = field(columns.start);
    let start = if columns.rfc3339 {
        timestamp(text)
            .ok_or(SourceError::Malformed { at, what: "expected an RFC 3339 time with an offset and whole seconds" })?
    } else {
        text.parse::<i64>().map_err(|_| SourceError::Malformed { at, what: "expected unix seconds" })?
    };
    let wh = |column| {
        let (text, at) = field(column);
        energy(text, at)
    };
    let (import_wh, export_wh) = match columns.energy {
        Energy::Registers { import, export } => (wh(import)?, wh(export)?),
        Energy::Net { load, pv } => {
            let (load, pv) = (wh(load)?, wh(pv)?);
            (load.saturating_sub(pv), pv.saturating_sub(load))
        }
    };
    Ok(Entry { start, import_wh, export_wh })
}

/// Whole seconds of an RFC 3339 time; a leap second or a fraction is none.
fn timestamp(text: &str) -> Option<i64> {
    let t: jiff::Timestamp = text.parse().ok()?;
    (t.subsec_nanosecond() == 0 && !text.contains(":60")).then(|| t.as_second())
}

fn energy(text: &str, at: Place) -> Result<Wh, SourceError> {
    if text.len() > 1 && text.starts_with('-') && text.bytes().skip(1).all(|b| b.is_ascii_digit()) {
        return Err(SourceError::Negative { at });
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        let decimal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return Err(if decimal {
            SourceError::NotWhole { at }
        } else {
            SourceError::Malformed { at, what: "expected whole Wh" }
        });
    }
    match text.parse::<u64>() {
        Ok(wh) if wh >> 32 == 0 => Ok(Wh(wh)),
        _ => Err(SourceError::Implausible { at }),
    }
}

fn refused(error: &csv::Error) -> SourceError {
    let at = Place { line: error.position().map_or(1, csv::Position::line), column: 0 };
    match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => {
            SourceError::Malformed { at, what: "row has another number of fields than the header" }
        }
        csv::ErrorKind::Utf8 { .. } => SourceError::NotText,
        csv::ErrorKind::Io(e) => SourceError::Io(e.kind()),
        _ => SourceError::Malformed { at, what: "not a CSV row" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Import {
        read(text, None, None).unwrap()
    }

    fn err(text: &str) -> SourceError {
        read(text, None, None).unwrap_err()
    }

    const HEAD: &str = "interval_start,import_wh,export_wh\n";

    #[test]
    fn both_clocks_and_both_energies_agree_in_any_column_order() {
        let unix = ok("export_wh,interval_start,import_wh\n0,3600,70\n20,7200,0\n");
        let rfc = ok(
            "load_wh,other,pv_wh,interval_start_utc\n100,x,30,1970-01-01T01:00:00Z\n10,,30,1970-01-01T04:00:00+02:00\n",
        );
        assert_eq!(unix.series, rfc.series);
        assert_eq!(unix.total_wh, [Wh(70), Wh(20)]);
        assert_eq!(unix.series.length(), 3600);
    }

    #[test]
    fn identical_rows_are_merged_and_others_refused() {
        let import = ok(&format!("{HEAD}0,1,0\n900,2,0\n0,1,0\n"));
        assert_eq!((import.merged, import.readings, import.series.entries().len()), (1, 3, 2));
        let at = Place { line: 4, column: 1 };
        assert_eq!(
            err(&format!("{HEAD}0,1,0\n900,2,0\n0,1,1\n")),
            SourceError::Duplicate { at, start: 0, first_line: 2 }
        );
    }

    #[test]
    fn every_fault_has_its_place() {
        let at = |line, column| Place { line, column };
        let body = |rows: &str| err(&format!("{HEAD}{rows}"));
        assert_eq!(body("0,1,0\n900,-2,0\n"), SourceError::Negative { at: at(3, 2) });
        assert_eq!(body("0,1,0\n900,2,1.5\n"), SourceError::NotWhole { at: at(3, 3) });
        assert_eq!(body("0,1,0\n900,4294967296,0\n"), SourceError::Implausible { at: at(3, 2) });
        assert_eq!(
            body("0,1,0\n1000,2,0\n1900,2,0\n"),
            SourceError::Misaligned { at: at(3, 1), start: 1000, length: 900 }
        );
        assert_eq!(body("0,1,0\n7,2,0\n"), SourceError::Length { at: at(2, 1), length: 7 });
        assert_eq!(
            body("0,1,0\n900,2\n"),
            SourceError::Malformed { at: at(3, 0), what: "row has another number of fields than the header" }
        );
        assert_eq!(body("x,1,0\n"), SourceError::Malformed { at: at(2, 1), what: "expected unix seconds" });
        assert_eq!(body("0,+1,0\n"), SourceError::Malformed { at: at(2, 2), what: "expected whole Wh" });
        assert_eq!(body("-900,1,0\n0,1,0\n"), SourceError::Misaligned { at: at(2, 1), start: -900, length: 900 });
        assert_eq!(body(""), SourceError::Empty);
        assert_eq!(body("0,1,0\n"), SourceError::UnknownLength);
        assert!(matches!(err("a,b\n1,2\n"), SourceError::Columns(_)));
        assert!(matches!(err("interval_start,import_wh\n1,2\n"), SourceError::Columns(_)));
        assert!(matches!(err("interval_start,interval_start,import_wh,export_wh\n"), SourceError::Columns(_)));
        let rfc = |t: &str| err(&format!("interval_start_utc,import_wh,export_wh\n{t},1,0\n"));
        for t in [
            "",
            "2017-05-01T07:00:00",
            "2017-05-01 ",
            "2017-13-01T07:00:00Z",
            "2017-05-01T07:00:00.5Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(matches!(rfc(t), SourceError::Malformed { at: Place { line: 2, column: 1 }, .. }), "{t}");
        }
    }

    #[test]
    fn one_meter_must_be_chosen() {
        let text = "home,interval_start,import_wh,export_wh\nA,0,1,0\nB,0,5,0\nA,900,2,0\n";
        assert_eq!(err(text), SourceError::SeveralMeters { count: 2, names: "A, B".into() });
        assert_eq!(read(text, Some("A"), None).unwrap().total_wh, [Wh(3), Wh::ZERO]);
        assert_eq!(read(text, Some("B"), Some(900)).unwrap().total_wh, [Wh(5), Wh::ZERO]);
        assert_eq!(read(text, Some("C"), None), Err(SourceError::NoSuchMeter("C".into())));
    }

    #[test]
    fn errors_do_not_print_readings() {
        let text = format!("{HEAD}0,987654321,0\n0,987654322,0\n");
        assert!(!format!("{} {:?}", err(&text), ok(&format!("{HEAD}0,987654,0\n900,1,0\n")).series).contains("987654"));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*") {
            let _ = read(&text, None, None);
            let _ = read(&format!("{HEAD}{text}"), None, None);
        }
    }
}
