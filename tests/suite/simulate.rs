//! Native settlement of measured days: the figures of the source data, to the watt-hour, and nothing lost.

use std::path::{Path, PathBuf};

use crate::common;
use gridveil_demo::{
    data::TARIFF,
    homes::Homes,
    simulate::{Report, month, simulate},
    time_of_use::TimeOfUse,
};
use gridveil_protocol::{market::Mechanism, units::Wh};
use gridveil_prover::progress::Silent;
use serde_json::Value;

const DAYS: &str = "data/zne17-2017-05-05.csv";

/// The original data sets, if this checkout has them beside it.
fn original(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GRIDVEIL_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

fn settle(path: &Path, mechanism: Mechanism) -> Report {
    let time_of_use = TimeOfUse::parse(TARIFF).unwrap();
    let (from, until) = month("2017-05").unwrap().days().unwrap();
    simulate(&Homes::read(path, &time_of_use.zone, from, until).unwrap(), &time_of_use, mechanism, &Silent).unwrap()
}

fn holds(report: &Report) {
    for check in &report.checks {
        assert!(check.holds, "{}", check.name);
    }
    let m = &report.money;
    assert_eq!(m.bills_nano, m.supplier_energy_nano - m.supplier_feed_in_nano + m.fees_nano);
    assert!(m.bills_nano < m.bills_without_community_nano);
    for home in &report.homes {
        // The tariff's cap and floor make local trade never worse than the supplier, for anybody.
        assert!(home.bill_nano <= home.bill_without_community_nano, "home {}", home.home);
    }
}

#[test]
fn the_month_reproduces_the_source() {
    let Some(path) = original("a-zne17-california/zne17_hourly_2017-05.csv") else { return };
    for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
        let report = settle(&path, mechanism);
        let e = report.energy;
        assert_eq!((report.homes_count, report.periods, report.intervals), (17, 31, 744));
        assert_eq!((e.import_wh, e.export_wh, e.matchable_wh), (Wh(7_126_734), Wh(6_078_530), Wh(1_771_606)));
        assert_eq!(report.intervals_with_both_sides, 429);
        assert_eq!(report.certificates.issued_wh, e.export_wh);
        match mechanism {
            // Everybody takes part at the published price, so everything that can be matched is.
            Mechanism::CommunityPrice => assert_eq!(e.traded_wh, e.matchable_wh),
            // Some sellers ask more than the last buyer offers.
            Mechanism::Auction => assert!(e.traded_wh < e.matchable_wh),
        }
        holds(&report);
    }
}

#[test]
fn the_demonstration_days_settle_from_the_projects_own_copy() {
    for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
        let report = settle(Path::new(DAYS), mechanism);
        let e = report.energy;
        assert_eq!((report.homes_count, report.periods, report.intervals_with_both_sides), (17, 3, 41));
        assert_eq!((e.import_wh, e.export_wh, e.matchable_wh), (Wh(725_234), Wh(292_613), Wh(110_665)));
        holds(&report);
    }
}

#[test]
fn the_copies_are_the_originals() {
    if let Some(path) = original("a-zne17-california/zne17_hourly_2017-05.csv") {
        let days = ["2017-05-05T", "2017-05-06T", "2017-05-07T", "interval_start_local"];
        let text = std::fs::read_to_string(path).unwrap();
        let kept =
            text.lines().filter(|line| line.split(',').nth(1).is_some_and(|t| days.iter().any(|d| t.starts_with(d))));
        let copy = std::fs::read_to_string(DAYS).unwrap();
        assert!(kept.eq(copy.lines()));
    }
    if let Some(path) = original("d-tariff/tou-two-season.json") {
        assert_eq!(std::fs::read_to_string(path).unwrap(), TARIFF);
    }
}

#[test]
fn the_tariff_gives_every_published_hourly_price() {
    let Some(path) = original("a-zne17-california/tou_price_and_carbon_2016-08_2017-07.csv") else { return };
    let time_of_use = TimeOfUse::parse(TARIFF).unwrap();
    let mut hours = 0;
    for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
        let columns: Vec<_> = line.split(',').collect();
        if columns[1].is_empty() {
            continue;
        }
        let expected: f64 = columns[2].parse().unwrap();
        let nano = time_of_use.retail(columns[1].parse().unwrap()).unwrap();
        assert!((expected * 1e6 - f64::from(nano)).abs() < 0.5, "{line}");
        hours += 1;
    }
    assert_eq!(hours, 8759);
}

fn gridveil(args: &[&str]) -> (Option<i32>, String, String) {
    let out = common::gridveil().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

#[test]
fn the_command_prints_tables_json_and_one_line_errors() {
    let (code, table, _) = gridveil(&["simulate", DAYS, "--month", "2017-05"]);
    assert_eq!(code, Some(0));
    assert!(
        table.starts_with("17 homes, 2017-05-05 00:00 to 2017-05-08 00:00, America/Los_Angeles\n72 intervals of 60 min, 41 of them with both sides, community price\n"),
        "{table}"
    );
    assert!(!table.contains("FAILED") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let (_, json, _) = gridveil(&["simulate", DAYS, "--from", "2017-05-05", "--to", "2017-05-07", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["energy"]["import_wh"], 725_234);
    assert_eq!(json["state_root"].as_str().unwrap().len(), 66);
    let (code, _, error) = gridveil(&["simulate", DAYS, "--month", "2017-06"]);
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "gridveil: data/zne17-2017-05-05.csv: no rows from 2017-06-01 up to, not including, 2017-07-01\n")
    );
    for wrong in [["--month", "5/2017"], ["--interval", "60"], ["--zone", "Europe/Wien"], ["--from", "2017-05-05"]] {
        let (code, _, error) = gridveil(&["simulate", DAYS, wrong[0], wrong[1]]);
        assert_eq!((code, error.lines().count()), (Some(2), 1), "{error}");
    }
}

/// A street in Vienna: one home takes 300 Wh an hour, the other one feeds 200 Wh in.
struct Street(tempfile::TempDir);

const HOURS: i64 = 48;
const FIRST: &str = "2025-05-31T22:00:00Z";

impl Street {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// One file of both, with intervals of so many minutes; `lacks` leaves one out.
    fn table(&self, names: [&str; 2], minutes: i64, lacks: Option<i64>) -> String {
        let vienna = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
        let first: jiff::Timestamp = FIRST.parse().unwrap();
        let mut text = "home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh\n".to_owned();
        for (name, [load, pv]) in names.iter().zip([[300, 0], [100, 300]]) {
            for at in (0..HOURS * 60 / minutes).filter(|at| lacks != Some(*at)) {
                let utc = first + jiff::SignedDuration::from_mins(at * minutes);
                let local = utc.to_zoned(vienna.clone()).strftime("%Y-%m-%dT%H:%M");
                let of = |wh: i64| wh * minutes / 60;
                let (import, export) = (of((load - pv).max(0)), of((pv - load).max(0)));
                text += &format!("{name},{local},{utc},{},{},{import},{export}\n", of(load), of(pv));
            }
        }
        self.write("homes.csv", &text)
    }
}

fn simulated(words: &[&str]) -> Value {
    let (code, json, error) = gridveil(&[&["simulate", "--json"], words].concat());
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&json).unwrap()
}

fn traded(report: &Value) -> (&Value, &Value) {
    (&report["energy"]["traded_wh"], &report["energy"]["matchable_wh"])
}

/// Its own zone, quarter hours, names of metering points, either rule: 200 Wh of each hour are shared.
#[test]
fn a_street_of_ones_own_is_settled() {
    let (street, zone) = (Street::new(), ["--zone", "Europe/Vienna"]);
    let points = ["AT0010000000000000001000000000001", "AT0010000000000000001000000000002"];
    for (names, minutes, intervals) in [(["1", "2"], 60, 48), (["1", "2"], 15, 192), (points, 60, 48), (points, 30, 96)]
    {
        let file = street.table(names, minutes, None);
        for mechanism in ["auction", "community-price"] {
            let report = simulated(&[&[file.as_str(), "--mechanism", mechanism], &zone[..]].concat());
            assert_eq!(traded(&report), (&9_600.into(), &9_600.into()), "{minutes} {mechanism}");
            assert_eq!((&report["intervals"], &report["homes"][1]["home"]), (&intervals.into(), &names[1].into()));
            assert_eq!((&report["from"], &report["until"]), (&"2025-06-01 00:00".into(), &"2025-06-03 00:00".into()));
        }
    }
    // In hours, quarters come to the same.
    let quarters = street.table(["1", "2"], 15, None);
    let hours = simulated(&[&[quarters.as_str(), "--interval", "3600"], &zone[..]].concat());
    assert_eq!((&hours["intervals"], traded(&hours)), (&48.into(), (&9_600.into(), &9_600.into())));
    let (_, _, error) = gridveil(&["simulate", &quarters]);
    assert!(error.contains("is not interval_start_utc in America/Los_Angeles; say where the homes are with --zone"));
}

#[test]
fn a_day_that_one_home_lacks_is_left_out_or_named() {
    let (street, zone) = (Street::new(), ["--zone", "Europe/Vienna"]);
    // The last hour of the second day.
    let file = street.table(["1", "2"], 60, Some(47));
    let report = simulated(&[&[file.as_str()], &zone[..]].concat());
    assert_eq!((&report["intervals"], &report["left_out_days"]), (&24.into(), &1.into()));
    let file = street.table(["1", "2"], 60, Some(30));
    let words = [&["simulate", &file, "--from", "2025-06-01", "--to", "2025-06-02"], &zone[..]].concat();
    let (code, _, error) = gridveil(&words);
    assert_eq!(code, Some(1));
    assert!(error.ends_with("home 1: no reading for the interval starting 2025-06-02T04:00:00Z\n"), "{error}");
}

/// A folder with a meter file for each home, of different forms; a month comes in two files.
#[test]
fn any_meter_files_make_a_street() {
    let street = Street::new();
    let first = FIRST.parse::<jiff::Timestamp>().unwrap().as_second();
    let own = |hours: std::ops::Range<i64>, import: i64, export: i64| {
        let rows: String = hours.map(|at| format!("{},{import},{export}\n", first + at * 3_600)).collect();
        format!("interval_start,import_wh,export_wh\n{rows}")
    };
    street.write("street/anna.csv", &own(0..48, 300, 0));
    let quarters: String = (0..192).map(|at| format!("{},0,50\n", first + at * 900)).collect();
    street.write("street/bert.csv", &format!("interval_start,import_wh,export_wh\n{quarters}"));
    let folder = street.0.path().join("street");
    let report = simulated(&[folder.to_str().unwrap(), "--zone", "Europe/Vienna"]);
    assert_eq!((&report["intervals"], traded(&report)), (&48.into(), (&9_600.into(), &9_600.into())));
    assert_eq!((&report["homes"][0]["home"], &report["homes"][1]["home"]), (&"anna".into(), &"bert".into()));
    let (code, _, error) = gridveil(&["simulate", street.write("none.csv", "a,b\n1,2\n").as_str()]);
    assert!(code == Some(1) && error.contains("none.csv") && error.lines().count() == 1, "{error}");
    // A school: more than 65,535 Wh an hour.
    street.write("street/school.csv", &own(0..48, 80_007, 0));
    let report = simulated(&[folder.to_str().unwrap(), "--zone", "Europe/Vienna"]);
    let school = &report["homes"][2];
    assert_eq!((&school["home"], &school["import_wh"]), (&"school".into(), &(48 * 80_007 / 10 * 10).into()));
}

#[test]
fn the_chart_is_a_picture_with_every_home() {
    let street = Street::new();
    let (file, chart) = (street.table(["A&B", "<2>"], 60, None), street.0.path().join("street.svg"));
    simulated(&[&file, "--zone", "Europe/Vienna", "--chart", chart.to_str().unwrap()]);
    let svg = std::fs::read_to_string(chart).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for part in ["A&amp;B", "&lt;2&gt;", "2 homes, 2025-06-01 to 2025-06-03", "without the community", "with it"] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    let (code, _, error) = gridveil(&["simulate", &file, "--zone", "Europe/Vienna", "--chart", "no/such/folder.svg"]);
    assert!(code == Some(1) && error.contains("no/such/folder.svg"), "{error}");
}

/// Cases from public reports, where this machine has them.
#[test]
fn communities_that_people_wanted_to_simulate() {
    // In the second one it is 200 Wh each quarter.
    for (name, wh) in [("vienna.csv", 9_600), ("quarters.csv", 38_400), ("zaehlpunkt.csv", 9_600)] {
        let Some(path) = original(&format!("g-real-situations/S09-simulate-own-community/{name}")) else { continue };
        let report = simulated(&[path.to_str().unwrap(), "--zone", "Europe/Vienna"]);
        assert_eq!(report["energy"]["traded_wh"], wh, "{name}");
    }
}
