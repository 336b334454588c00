//! Situations that people met with real meters' files, each with the value that is right, and a changed copy of each
//! (another order of columns, unit, zone or sign) with the changed value. All values are made up.

use std::{collections::BTreeMap, path::PathBuf};

use gridveil_readings::{Choice, Import, SourceError, read, report, zone::Zone};
use serde_json::Value;

fn folder(number: &str) -> PathBuf {
    let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/situations");
    let mut found = std::fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{number}-"));
    found.find(named).unwrap_or_else(|| panic!("no situation {number}"))
}

fn file(number: &str, name: &str) -> String {
    std::fs::read_to_string(folder(number).join(name)).unwrap()
}

fn input(number: &str) -> String {
    let of = |name: &str| std::fs::read_to_string(folder(number).join(name));
    of("input.csv").or_else(|_| of("input.xml")).unwrap()
}

fn profile(name: &str) -> Choice {
    Choice { profile: Some(name.to_owned()), ..Choice::default() }
}

fn of(text: &str, choice: &Choice) -> Result<Import, SourceError> {
    read(text.as_bytes(), choice)
}

/// Figures of the answer under the names of the case.
fn check(number: &str, import: &Import, expected: &BTreeMap<String, i64>) {
    let answer = report::json(import);
    for (name, value) in expected {
        assert_eq!(answer.get(name).and_then(Value::as_i64), Some(*value), "{number}: {name}");
    }
}

/// Every whole number of the case's answer, and so many at least.
fn right(number: &str, choice: &Choice) {
    let expected: BTreeMap<String, Value> = serde_json::from_str(&file(number, "expected.json")).unwrap();
    let numbers: BTreeMap<String, i64> =
        expected.iter().filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect();
    assert!(!numbers.is_empty(), "{number}: nothing to compare");
    let import = of(&input(number), choice).unwrap_or_else(|error| panic!("{number}: {error}"));
    check(number, &import, &numbers);
    if let Some(Value::Array(each)) = expected.get("per_interval_wh") {
        let each: Vec<u64> = each.iter().filter_map(Value::as_u64).collect();
        let read: Vec<u64> = import.series.entries().iter().map(|e| e.import_wh).collect();
        assert_eq!(read, each, "{number}");
    }
}

/// A changed copy and its changed figures.
fn changed(number: &str, choice: &Choice, change: impl Fn(&str) -> String, expected: &[(&str, i64)]) {
    let (before, text) = (input(number), change(&input(number)));
    assert!(before != text || *choice != profile_of(number), "{number}: nothing was changed");
    let import = of(&text, choice).unwrap_or_else(|error| panic!("{number}, changed: {error}"));
    check(number, &import, &expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect());
}

/// What a case is read with.
fn profile_of(number: &str) -> Choice {
    match number {
        "13" => profile("dominion"),
        "26" => profile("homematic-register"),
        _ => Choice::default(),
    }
}

/// Columns of a file from right to left, from the line of the header on.
fn turned(text: &str, separator: char, header: usize) -> String {
    let turn = |(i, line): (usize, &str)| {
        if i < header {
            return format!("{line}\n");
        }
        let line = line.trim_start_matches('\u{feff}');
        let cells: Vec<&str> = line.split(separator).rev().collect();
        cells.join(&separator.to_string()) + "\n"
    };
    text.lines().enumerate().map(turn).collect()
}

/// Times of a Green Button feed moved by `seconds`.
fn moved(text: &str, seconds: i64) -> String {
    let mut parts = text.split("<start>");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once('<').unwrap();
        out += &format!("<start>{}<{rest}", number.parse::<i64>().unwrap() + seconds);
    }
    out
}

fn instead<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> String + 'a {
    |text| pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

const POWER: &str = "<powerOfTenMultiplier>0<";

#[test]
fn the_right_values() {
    for number in [
        "02", "03", "04", "06", "07", "08", "10", "11", "12", "13", "14", "15", "17", "19", "20", "22", "23", "24",
        "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "37", "38", "39", "40", "41",
    ] {
        right(number, &profile_of(number));
    }
}

#[test]
fn a_total_is_split_by_nobody() {
    assert!(matches!(of(&input("05"), &Choice::default()), Err(SourceError::TotalRegister { .. })));
    right("05", &Choice { total_is_import: true, ..Choice::default() });
}

#[test]
fn hours_that_begin_at_half_past_are_refused_and_half_hours_are_not() {
    let error = of(&input("09"), &Choice::default()).unwrap_err();
    assert!(matches!(error, SourceError::Misaligned { .. }) && error.to_string().contains("half-hourly"));
    changed("09", &Choice::default(), |text| moved(text, 1800), &[("import_wh", 5617), ("intervals", 24)]);
    // The same zone by half hours.
    let halves = instead(&[("<duration>3600<", "<duration>1800<")])(&input("09"));
    let halves = of(&halves, &Choice::default()).unwrap();
    assert_eq!((halves.series.length(), halves.series.entries().len()), (1800, 24));
}

#[test]
fn a_correction_is_the_difference_of_two_files() {
    let read = |name: &str| of(&file("36", name), &Choice::default()).unwrap();
    let (first, corrected) = (read("first.csv"), read("corrected.csv"));
    let answer = report::changes_json(&first, &corrected).unwrap();
    assert_eq!(answer["change_import_wh"], 25);
    assert_eq!(answer["changes"].as_array().unwrap().len(), 2);
    assert_eq!(report::changes_json(&corrected, &first).unwrap()["change_import_wh"], -25);
}

#[test]
fn changed_copies_of_green_button() {
    let own = Choice::default();
    let kilo = instead(&[(POWER, "<powerOfTenMultiplier>3<")]);
    let received = instead(&[("<flowDirection>1<", "<flowDirection>19<")]);
    changed("02", &own, &kilo, &[("import_wh", 5_437_000), ("intervals", 23)]);
    changed(
        "03",
        &own,
        instead(&[("<quality>8<", "<quality>17<"), ("<quality>9<", "<quality>17<")]),
        &[("import_wh", 5617), ("estimated_intervals", 0), ("estimated_export_wh", 0)],
    );
    let flipped = instead(&[
        ("<value>-", "<value>@"),
        ("<value>", "<value>-"),
        ("<value>-@", "<value>"),
        ("<value>-0<", "<value>0<"),
    ]);
    changed("04", &own, flipped, &[("import_wh", 4502), ("export_wh", 5617)]);
    changed("06", &own, &received, &[("import_wh", 0), ("export_wh", 6405), ("intervals", 96)]);
    changed(
        "08",
        &own,
        instead(&[("<powerOfTenMultiplier>-3<", "<powerOfTenMultiplier>-2<")]),
        &[("import_wh", 152_026), ("total_tenth_wh", 1_520_260)],
    );
    changed("10", &own, instead(&[("consumptionTier", "tou")]), &[("import_wh", 5617), ("intervals", 24)]);
    changed("11", &own, &received, &[("import_wh", 0), ("export_wh", 5624)]);
    changed("12", &own, |text| moved(text, 7200), &[("import_wh", 5617), ("first_start", 1_750_212_000)]);
    changed(
        "38",
        &own,
        instead(&[("<flowDirection>0<", "<flowDirection>19<")]),
        &[("import_wh", 0), ("export_wh", 5617)],
    );
    changed("39", &own, &kilo, &[("import_wh", 5_437_000)]);
    changed("41", &own, instead(&[("<value>-20<", "<value>20<")]), &[("intervals", 24), ("missing_intervals", 0)]);
    changed("37", &own, &received, &[("import_wh", 0), ("export_wh", 5617)]);
    changed("07", &own, &kilo, &[("import_wh", 5_617_000)]);
    // The meter that only has bills, and the one of gas.
    let meter = |name: &str| Choice { meter: Some(name.to_owned()), ..Choice::default() };
    assert!(matches!(of(&input("07"), &meter("shed")), Err(SourceError::Length { length: 2_592_000, .. })));
    assert!(matches!(of(&input("37"), &meter("g1")), Err(SourceError::Empty(_))));
}

#[test]
fn changed_copies_of_columns() {
    let own = Choice::default();
    let wh = [("(kWh)", "(Wh)")];
    let cut = |text: &str| instead(&[("kWh", "Wh")])(text);
    changed("13", &profile("dominion"), |t| turned(&cut(t), ',', 0), &[("import_wh", 5), ("intervals", 46)]);
    changed("14", &own, |t| turned(&instead(&wh)(t), ',', 0), &[("import_wh", 15), ("first_start", 1_762_056_000)]);
    changed("15", &own, instead(&[("Consommation", "Production")]), &[("import_wh", 0), ("export_wh", 9444)]);
    changed("15", &own, instead(&[(";W;", ";kW;")]), &[("import_wh", 9_444_000), ("intervals", 50)]);
    changed(
        "17",
        &Choice { resample: Some(1800), ..own.clone() },
        str::to_owned,
        &[("import_wh", 8474), ("intervals", 48)],
    );
    changed("19", &own, |t| turned(&instead(&wh)(t), ';', 0), &[("import_wh", 9), ("intervals", 100)]);
    let feed_in = [("Verbrauch (kWh)", "Einspeisung (kWh)")];
    changed("19", &own, instead(&feed_in), &[("import_wh", 0), ("export_wh", 9400), ("estimated_intervals", 4)]);
    changed("20", &own, |t| turned(&instead(&feed_in)(t), ';', 0), &[("import_wh", 0), ("export_wh", 9400)]);
    changed("22", &own, |t| turned(t, ',', 0), &[("import_wh", 9892), ("missing_intervals", 1)]);
    let swapped = [("Consumo registado", "@"), ("Injeção registada", "Consumo registado"), ("@", "Injeção registada")];
    changed("23", &own, instead(&swapped), &[("import_wh", 0), ("export_wh", 9000), ("intervals", 96)]);
    changed("24", &own, instead(&[("KWH", "WH")]), &[("import_wh", 6), ("export_wh", 1), ("intervals", 96)]);
    changed(
        "26",
        &profile("homematic-register"),
        |t| turned(&instead(&[("Wh", "kWh")])(t), ';', 0),
        &[("import_wh", 119_000), ("intervals", 24)],
    );
    changed("27", &own, |t| turned(&instead(&[("KWH", "WH")])(t), ';', 0), &[("import_wh", 6), ("intervals", 25)]);
    let flipped = [("\"-0.", "\"@"), ("\"0.", "\"-0."), ("\"@", "\"0.")];
    changed("28", &own, instead(&flipped), &[("import_wh", 4502), ("export_wh", 5617)]);
    let utc = Choice { zone: Some(Zone::parse("UTC").unwrap()), ..own.clone() };
    changed("29", &utc, str::to_owned, &[("import_wh", 18_160), ("first_start", 1_750_204_800)]);
    changed(
        "31",
        &own,
        |t| turned(&instead(&[("import", "export")])(t), ',', 0),
        &[("import_wh", 0), ("export_wh", 8621)],
    );
    changed("33", &own, instead(&[(":00:01Z", ":00:00Z")]), &[("import_wh", 5617), ("intervals", 24)]);
    changed("34", &own, |t| turned(&instead(&[("_kwh", "_wh")])(t), ';', 0), &[("import_wh", 5), ("export_wh", 4)]);
    let rest = [("Verbrauch (", "@"), ("Restnetzbezug (", "Verbrauch ("), ("@", "Restnetzbezug (")];
    changed("35", &own, instead(&rest), &[("import_wh", 9000 - 1553), ("community_wh", 1553)]);
    let half = Choice { length: Some(1800), ..own.clone() };
    changed("40", &half, str::to_owned, &[("intervals", 12), ("missing_intervals", 33), ("interval_length", 1800)]);
    // The spike is none.
    let import = of(&input("30").replace(",41000,", ",900,"), &own).unwrap();
    let answer = report::json(&import);
    assert_eq!((&answer["import_wh"], &answer["spike_interval"]), (&Value::from(6014), &Value::Null));
}

#[test]
fn a_false_utc_is_found_out_only_where_one_clock_explains_it() {
    // 01:00 is repeated on this night in Britain, and in Israel too.
    let britain = input("32").replacen("T02:00:00Z", "T01:00:00Z", 1);
    assert!(matches!(of(&britain, &Choice::default()), Err(SourceError::Duplicate { night: true, .. })));
    let london = Choice { zone: Some(Zone::parse("Europe/London").unwrap()), ..Choice::default() };
    let import = of(&britain, &london).unwrap();
    assert_eq!((import.series.entries().len(), import.series.entries()[0].start), (25, 1_761_433_200));
    // America's clocks all repeat 01:00: which one is it?
    let america = input("32").replace("2025-10-26", "2025-11-02").replacen("T02:00:00Z", "T01:00:00Z", 1);
    assert!(matches!(of(&america, &Choice::default()), Err(SourceError::Duplicate { night: true, .. })));
    let named = Choice { zone: Some(Zone::parse("America/Chicago").unwrap()), ..Choice::default() };
    assert_eq!(of(&america, &named).unwrap().series.entries()[0].start, 1_762_059_600);
}
