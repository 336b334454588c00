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
    simulate(&Homes::read(path, &time_of_use.zone, from, until).unwrap(), &time_of_use, mechanism).unwrap()
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
    let (code, table, _) = gridveil(&["simulate", "--data", DAYS, "--month", "2017-05"]);
    assert_eq!(code, Some(0));
    assert!(table.contains("17 homes, 3 periods of 24 hours, 41 of 72 hours with both sides, auction"));
    assert!(!table.contains("FAILED"));
    let (_, json, _) = gridveil(&["simulate", "--data", DAYS, "--month", "2017-05", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["energy"]["import_wh"], 725_234);
    assert_eq!(json["state_root"].as_str().unwrap().len(), 66);
    let (code, _, error) = gridveil(&["simulate", "--data", DAYS, "--month", "2017-06"]);
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "gridveil: data/zne17-2017-05-05.csv: no rows from 2017-06-01 up to, not including, 2017-07-01\n")
    );
    let (code, _, error) = gridveil(&["simulate", "--data", DAYS, "--month", "5/2017"]);
    assert_eq!((code, error.lines().count()), (Some(2), 1));
}
