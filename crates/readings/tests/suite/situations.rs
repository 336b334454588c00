//! Situations that people met with real meters' files, each with the value that is right. All values are made up.
//! [`table`] has changed copies of each (another order of columns, unit, zone or sign) with what becomes of the value.

mod changes;
mod page;
mod table;

use std::{collections::BTreeMap, path::PathBuf};

use gridveil_readings::{Choice, Import, SourceError, read, report, zone::Zone};
use serde_json::Value;
use table::{Asked, Becomes, table};

/// Whole numbers of an answer, by name.
pub type Figures = BTreeMap<String, i64>;

/// Folders of the cases, by number.
fn folders() -> BTreeMap<String, PathBuf> {
    let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/situations");
    let number = |path: &PathBuf| path.file_name().unwrap().to_string_lossy()[..2].to_owned();
    std::fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().path()).map(|path| (number(&path), path)).collect()
}

fn file(number: &str, name: &str) -> String {
    std::fs::read_to_string(folders()[number].join(name)).unwrap()
}

fn input(number: &str) -> String {
    let of = |name: &str| std::fs::read_to_string(folders()[number].join(name));
    of("input.csv").or_else(|_| of("input.xml")).unwrap()
}

/// What a case is read with.
fn choice(number: &str) -> Choice {
    let profile = |name: &str| Choice { profile: Some(name.to_owned()), ..Choice::default() };
    match number {
        "13" => profile("dominion"),
        "26" => profile("homematic-register"),
        "05" => Choice { total_is_import: true, ..Choice::default() },
        _ => Choice::default(),
    }
}

fn of(text: &[u8], choice: &Choice) -> Result<Import, SourceError> {
    read(text, choice)
}

/// Figures of the case's answer.
fn expected(number: &str) -> Figures {
    let all: BTreeMap<String, Value> = serde_json::from_str(&file(number, "expected.json")).unwrap();
    let numbers: Figures = all.iter().filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect();
    assert!(!numbers.is_empty(), "{number}: nothing to compare");
    numbers
}

/// Figures of the answer under the names of the case.
fn check(what: &str, answer: &Value, expected: &Figures) {
    for (name, value) in expected {
        assert_eq!(answer.get(name).and_then(Value::as_i64), Some(*value), "{what}: {name}");
    }
}

/// Every whole number of the case's answer.
fn right(number: &str) {
    let import = of(input(number).as_bytes(), &choice(number)).unwrap_or_else(|error| panic!("{number}: {error}"));
    check(number, &report::json(&import), &expected(number));
    let all: Value = serde_json::from_str(&file(number, "expected.json")).unwrap();
    if let Some(each) = all["per_interval_wh"].as_array() {
        let each: Vec<u64> = each.iter().filter_map(Value::as_u64).collect();
        let read: Vec<u64> = import.series.entries().iter().map(|e| e.import_wh).collect();
        assert_eq!(read, each, "{number}");
    }
}

/// Interval by interval: start, import, export.
type Rows = Vec<(i64, [u64; 2])>;

fn rows(import: &Import) -> Rows {
    import.series.entries().iter().map(|e| (e.start, [e.import_wh, e.export_wh])).collect()
}

/// What figures become.
fn figures_become(mut figures: Figures, becomes: &Becomes) -> Figures {
    let length = figures.get("interval_length").copied().unwrap_or(3600);
    let energies = |figures: &mut Figures, of: &dyn Fn(i64) -> i64| {
        figures.iter_mut().filter(|(name, _)| name.ends_with("_wh")).for_each(|(_, value)| *value = of(*value));
    };
    match becomes {
        Becomes::Same | Becomes::Refused(..) => {}
        Becomes::Times(by) => energies(&mut figures, &|wh| wh * i64::try_from(*by).unwrap()),
        Becomes::Part(by) => energies(&mut figures, &|wh| wh.div_euclid(i64::try_from(*by).unwrap())),
        Becomes::Swapped => {
            let pairs = [
                ("import_wh", "export_wh"),
                ("estimated_import_wh", "estimated_export_wh"),
                ("change_import_wh", "change_export_wh"),
                ("total_tenth_wh", "total_export_tenth_wh"),
            ];
            for (one, other) in pairs {
                let (a, b) = (figures.remove(one), figures.remove(other));
                figures.extend(a.map(|value| (other.to_owned(), value)));
                figures.extend(b.map(|value| (one.to_owned(), value)));
            }
        }
        Becomes::Later(seconds) => {
            figures.entry("first_start".to_owned()).and_modify(|start| *start += seconds);
            for name in ["first_interval", "spike_interval"] {
                figures.entry(name.to_owned()).and_modify(|interval| *interval += seconds / length);
            }
        }
        Becomes::Now(_, change) => change(&mut figures),
    }
    figures
}

/// What the intervals become, where the change is the same for each of them.
fn rows_become(rows: Rows, becomes: &Becomes) -> Option<Rows> {
    let with = |of: &mut dyn FnMut((i64, [u64; 2])) -> (i64, [u64; 2])| Some(rows.iter().copied().map(of).collect());
    match becomes {
        Becomes::Same => with(&mut |row| row),
        Becomes::Times(by) => with(&mut |(start, wh)| (start, wh.map(|wh| wh * by))),
        Becomes::Part(by) => {
            // The running sum is rounded, so that nothing is lost.
            let mut sums = [0, 0];
            with(&mut |(start, wh)| {
                let before = sums;
                sums = [sums[0] + wh[0], sums[1] + wh[1]];
                (start, [0, 1].map(|side: usize| sums[side] / by - before[side] / by))
            })
        }
        Becomes::Swapped => with(&mut |(start, [import, export])| (start, [export, import])),
        Becomes::Later(seconds) => with(&mut |(start, wh)| (start + seconds, wh)),
        Becomes::Now(..) | Becomes::Refused(..) => None,
    }
}

/// One changed copy of one case.
fn changed(number: &str, row: &table::Row) {
    let what = format!("{number}, {}", row.words);
    let own = choice(number);
    let choice = match row.asked {
        Asked::Nothing => own.clone(),
        Asked::Zone(name) => Choice { zone: Some(Zone::parse(name).unwrap()), ..own.clone() },
        Asked::Length(seconds) => Choice { length: Some(seconds), ..own.clone() },
        Asked::Resample(seconds) => Choice { resample: Some(seconds), ..own.clone() },
        Asked::Meter(name) => Choice { meter: Some(name.to_owned()), ..own.clone() },
    };
    let copy = |text: &str| {
        let copy = (row.copy)(number, text);
        assert!(copy != text.as_bytes() || choice != own, "{what}: nothing was changed");
        copy
    };
    let read = |text: &str| of(&copy(text), &choice).unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = figures_become(expected(number), &row.becomes);
    if number == "36" {
        let [first, corrected] = ["first.csv", "corrected.csv"].map(|name| read(&file(number, name)));
        return check(&what, &report::changes_json(&first, &corrected).unwrap(), &expected);
    }
    let text = input(number);
    if let Becomes::Refused(_, right) = row.becomes {
        let error = of(&copy(&text), &choice).unwrap_err();
        return assert!(right(&error), "{what}: {error}");
    }
    let import = read(&text);
    check(&what, &report::json(&import), &expected);
    if number != "09"
        && let Some(each) = rows_become(rows(&of(text.as_bytes(), &own).unwrap()), &row.becomes)
    {
        assert_eq!(rows(&import), each, "{what}");
    }
}

/// Refused as they are.
const REFUSED: [&str; 2] = ["05", "09"];

#[test]
fn the_right_values() {
    // A correction is two files.
    for number in folders().keys().filter(|number| !REFUSED.contains(&number.as_str()) && *number != "36") {
        right(number);
    }
}

#[test]
fn a_total_is_split_by_nobody() {
    assert!(matches!(of(input("05").as_bytes(), &Choice::default()), Err(SourceError::TotalRegister { .. })));
    right("05");
}

#[test]
fn hours_that_begin_at_half_past_are_refused() {
    let error = of(input("09").as_bytes(), &Choice::default()).unwrap_err();
    assert!(matches!(error, SourceError::Misaligned { .. }) && error.to_string().contains("half-hourly"));
}

#[test]
fn a_correction_is_the_difference_of_two_files() {
    let read = |name: &str| of(file("36", name).as_bytes(), &Choice::default()).unwrap();
    let (first, corrected) = (read("first.csv"), read("corrected.csv"));
    let answer = report::changes_json(&first, &corrected).unwrap();
    check("36", &answer, &expected("36"));
    assert_eq!(answer["changes"].as_array().unwrap().len(), 2);
    assert_eq!(report::changes_json(&corrected, &first).unwrap()["change_import_wh"], -25);
}

#[test]
fn the_changed_values() {
    let table = table();
    let failed: Vec<String> = table
        .iter()
        .flat_map(|row| row.cases.split(' ').map(move |number| (number, row)))
        .filter(|(number, row)| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| changed(number, row))).is_err()
        })
        .map(|(number, row)| format!("{number}: {}", row.words))
        .collect();
    assert!(failed.is_empty(), "{} copies are not read rightly:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_case_has_a_changed_copy_with_a_value() {
    let valued = table().into_iter().filter(|row| !matches!(row.becomes, Becomes::Refused(..)));
    let of: std::collections::BTreeSet<&str> = valued.flat_map(|row| row.cases.split(' ')).collect();
    assert_eq!(folders().keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), of);
    assert_eq!(of.len(), 36);
}

#[test]
fn a_false_utc_is_found_out_only_where_one_clock_explains_it() {
    // 01:00 is repeated on this night in Britain, and in Israel too.
    let britain = input("32").replacen("T02:00:00Z", "T01:00:00Z", 1);
    assert!(matches!(of(britain.as_bytes(), &Choice::default()), Err(SourceError::Duplicate { night: true, .. })));
    let london = Choice { zone: Some(Zone::parse("Europe/London").unwrap()), ..Choice::default() };
    let import = of(britain.as_bytes(), &london).unwrap();
    assert_eq!((import.series.entries().len(), import.series.entries()[0].start), (25, 1_761_433_200));
    // America's clocks all repeat 01:00: which one is it?
    let america = input("32").replace("2025-10-26", "2025-11-02").replacen("T02:00:00Z", "T01:00:00Z", 1);
    assert!(matches!(of(america.as_bytes(), &Choice::default()), Err(SourceError::Duplicate { night: true, .. })));
    let named = Choice { zone: Some(Zone::parse("America/Chicago").unwrap()), ..Choice::default() };
    assert_eq!(of(america.as_bytes(), &named).unwrap().series.entries()[0].start, 1_762_059_600);
}
