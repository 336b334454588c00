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
use jiff::civil::{Date, date};
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

fn settle(path: &Path, days: [Date; 2], mechanism: Mechanism) -> Report {
    let time_of_use = TimeOfUse::parse(TARIFF).unwrap();
    let [from, until] = days;
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
        let (from, until) = month("2017-05").unwrap().days().unwrap();
        let report = settle(&path, [from, until], mechanism);
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
        let report = settle(Path::new(DAYS), [date(2017, 5, 5), date(2017, 5, 8)], mechanism);
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
    let (code, table, _) = gridveil(&["simulate", DAYS]);
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
    for (month, what) in [
        ("2017-06", "its readings end 2017-05-08 00:00; asked for is 2017-06-01 to 2017-06-30"),
        ("2017-05", "its readings begin 2017-05-05 00:00; asked for is 2017-05-01 to 2017-05-31"),
    ] {
        let (code, _, error) = gridveil(&["simulate", DAYS, "--month", month]);
        assert_eq!((code, error), (Some(1), format!("gridveil: data/zne17-2017-05-05.csv: home 1: {what}\n")));
    }
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
    assert_eq!(report["lacks"], serde_json::json!([{"home": "1", "start": "2025-06-02 23:00"}]));
    let (_, table, _) = gridveil(&[&["simulate", file.as_str()], &zone[..]].concat());
    assert!(
        table.contains("\n1 day left out: ") && table.contains("\nhome 1 has no reading for 2025-06-02 23:00\n"),
        "{table}"
    );
    // Asked for, what is not there is no day that is left out.
    let words = [&["simulate", &file, "--from", "2025-06-01", "--to", "2025-06-09"], &zone[..]].concat();
    let (code, _, error) = gridveil(&words);
    assert_eq!(code, Some(1));
    assert!(
        error.ends_with("home 1: its readings end 2025-06-02 23:00; asked for is 2025-06-01 to 2025-06-09\n"),
        "{error}"
    );
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

/// A Green Button file: every hour from `FIRST` on, of each of these meters; 1 is taken from the network, 19 fed in.
fn green_button(meters: &[(&str, i64, i64)], hours: std::ops::Range<i64>) -> String {
    let first = FIRST.parse::<jiff::Timestamp>().unwrap().as_second();
    let mut feed = r#"<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">"#.to_owned();
    for (at, (meter, flow, wh)) in meters.iter().enumerate() {
        let link = |rel: &str, path: &str| format!(r#"<link rel="{rel}" href="/R/1/{path}"/>"#);
        let entry = |links: &str, content: &str| format!("<entry>{links}<content>{content}</content></entry>");
        let (kind, reading) = (format!("ReadingType/{at}"), format!("UsagePoint/{meter}/MeterReading/{at}"));
        let espi = r#"xmlns="http://naesb.org/espi""#;
        let ty = format!(
            "<ReadingType {espi}><accumulationBehaviour>4</accumulationBehaviour><flowDirection>{flow}</flowDirection><kind>12</kind><uom>72</uom></ReadingType>"
        );
        let rows: String = hours.clone().map(|hour| format!("<IntervalReading><timePeriod><duration>3600</duration><start>{}</start></timePeriod><value>{wh}</value></IntervalReading>", first + hour * 3600)).collect();
        feed += &entry(&link("self", &kind), &ty);
        feed += &entry(&(link("self", &reading) + &link("related", &kind)), &format!("<MeterReading {espi}/>"));
        let links =
            link("self", &format!("{reading}/IntervalBlock/1")) + &link("up", &format!("{reading}/IntervalBlock"));
        feed += &entry(&links, &format!("<IntervalBlock {espi}>{rows}</IntervalBlock>"));
    }
    feed + "</feed>"
}

const VIENNA: [&str; 2] = ["--zone", "Europe/Vienna"];

fn refused(words: &[&str]) -> String {
    let (code, _, error) = gridveil(&[&["simulate"], words].concat());
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    error
}

fn names(report: &Value) -> Vec<&str> {
    report["homes"].as_array().unwrap().iter().map(|home| home["home"].as_str().unwrap()).collect()
}

/// Many utilities call every meter `01`.
#[test]
fn neighbours_whose_meters_have_one_name_stay_two_homes() {
    let street = Street::new();
    let anna = |hours| green_button(&[("01", 1, 300)], hours);
    let bert = |hours| green_button(&[("01", 19, 200)], hours);
    let one = street.write("street/anna.xml", &anna(0..48));
    let two = street.write("street/bert.xml", &bert(0..48));
    let report = simulated(&[&[one.as_str(), two.as_str()], &VIENNA[..]].concat());
    assert_eq!((names(&report), traded(&report)), (vec!["anna", "bert"], (&9_600.into(), &9_600.into())));
    let (_, table, _) = gridveil(&[&["simulate", one.as_str(), two.as_str()], &VIENNA[..]].concat());
    assert!(table.contains("\nfiles of several homes name meter 01: these homes have their files' names\n"), "{table}");
    // Days of which only one file knows: one home, or two?
    let later = street.write("street/bert.xml", &bert(48..96));
    let error = refused(&[&[one.as_str(), later.as_str()], &VIENNA[..]].concat());
    assert!(error.contains(&one) && error.contains(&later), "{error}");
    assert!(error.contains("put each home's files into a folder of its own"), "{error}");
    // The same readings, but for one: no two homes for certain.
    let mut corrected = anna(0..48);
    let at = corrected.find("<value>300").unwrap();
    corrected.replace_range(at..at + 10, "<value>301");
    let again = street.write("street/again.xml", &corrected);
    assert!(refused(&[&one, &again]).contains("nothing tells for certain"));
    // Two files of one name, each in a place of its own.
    let same = street.write("other/anna.xml", &bert(0..48));
    assert!(refused(&[&one, &same]).contains("nothing tells for certain"));
}

#[test]
fn files_of_a_folder_in_a_folder_are_one_home() {
    let street = Street::new();
    for (home, flow, wh) in [("anna", 1, 300), ("bert", 19, 200)] {
        for (file, hours) in [("june-1", 0..24), ("june-2", 24..48)] {
            street.write(&format!("street/{home}/{file}.xml"), &green_button(&[("01", flow, wh)], hours));
        }
    }
    street.write("street/anna/.DS_Store", "x");
    let folder = street.0.path().join("street");
    let words = [&[folder.to_str().unwrap()], &VIENNA[..]].concat();
    let report = simulated(&words);
    assert_eq!((names(&report), traded(&report)), (vec!["anna", "bert"], (&9_600.into(), &9_600.into())));
    assert_eq!((&report["intervals"], report["homes"][0]["files"].as_array().unwrap().len()), (&48.into(), 2));
    let (_, table, _) = gridveil(&[&["simulate"], &words[..]].concat());
    assert!(table.contains("\nhome anna of 2 files: june-1.xml, june-2.xml\n"), "{table}");
    // Two files of a home that contradict each other are both named.
    let wrong = street.write("street/anna/july.xml", &green_button(&[("01", 1, 299)], 3..4));
    let error = refused(&words);
    assert!(
        error.contains(&wrong) && error.contains("june-1.xml") && error.contains("take the old one out"),
        "{error}"
    );
    // A metering point in two homes would count twice.
    std::fs::remove_file(wrong).unwrap();
    let point = "AT0010000000000000001000000000001";
    for home in ["anna", "bert"] {
        street.write(&format!("street/{home}/june-3.xml"), &green_button(&[(point, 1, 7)], 48..49));
    }
    assert!(refused(&words).contains(&format!("meter {point} is in home anna and in home bert")));
    street.write("street/carl/deep/june.xml", "x");
    assert!(refused(&words).contains("a folder in the folder of a home"));
}

/// A metering point's whole name is one home's, however many files.
#[test]
fn a_month_each_of_one_metering_point_is_one_home() {
    let street = Street::new();
    let point = "AT0010000000000000001000000000001";
    for (file, hours) in [("june-1", 0..24), ("june-2", 24..48)] {
        street.write(&format!("street/{file}.xml"), &green_button(&[(point, 1, 300)], hours));
    }
    let folder = street.0.path().join("street");
    let words = ["simulate", folder.to_str().unwrap()];
    let (_, table, _) = gridveil(&[&words[..], &VIENNA].concat());
    let begin = "1 home, 2025-06-01 00:00 to 2025-06-03 00:00, Europe/Vienna\n48 intervals of 60 min, 0 of them";
    assert!(table.starts_with(begin), "{table}");
    assert!(table.contains(&format!("\nhome {point} of 2 files: june-1.xml, june-2.xml\n")), "{table}");
    // Where no file names a zone the days are the example's, and that is said: two days of Vienna hold one of California.
    let (_, table, _) = gridveil(&words);
    assert!(
        table.contains("\ndays: by the example's clock, as the files name no zone; --zone takes yours\n"),
        "{table}"
    );
    assert!(table.starts_with("1 home, 2025-06-01 00:00 to 2025-06-02 00:00, America/Los_Angeles\n"), "{table}");
}

#[test]
fn every_meter_of_a_file_is_a_home() {
    let street = Street::new();
    let meters = [("4284792", 1, 300), ("4284793", 19, 150), ("4284794", 19, 50)];
    let file = street.write("street.xml", &green_button(&meters, 0..48));
    let report = simulated(&[&[file.as_str()], &VIENNA[..]].concat());
    assert_eq!(names(&report), ["4284792", "4284793", "4284794"]);
    assert_eq!(traded(&report), (&9_600.into(), &9_600.into()));
    let many: Vec<String> = (0..21).map(|meter| format!("meter-{meter}")).collect();
    let many: Vec<_> = many.iter().map(|meter| (meter.as_str(), 1, 300)).collect();
    let error = refused(&[&street.write("many.xml", &green_button(&many, 0..24))]);
    assert!(error.contains("the file holds 21 meters") && !error.contains("--meter"), "{error}");
    street.write("homes/anna/3.xml", &green_button(&meters, 0..24));
    let error = refused(&[street.0.path().join("homes").to_str().unwrap()]);
    assert!(error.contains("stands for one home"), "{error}");
}

/// NEM12 is in +10:00, all year: so are its days, whatever the example's zone; a tariff's zone changes no time of the file.
#[test]
fn days_are_those_of_the_files_zone() {
    let street = Street::new();
    let day = |date: &str, wh: &str| format!("300,{date},{},A,,,20260620120000,\n", vec![wh; 48].join(","));
    let of = |meter: &str, register: &str, suffix: &str| {
        let rows = [day("20260601", "0.3"), day("20260602", "0.3")].concat();
        format!(
            "100,NEM12,202606200000,MDP,RET\n200,{meter},{register},{register},{register},{suffix},METER,KWH,30,\n{rows}900\n"
        )
    };
    let one = street.write("nem/1.csv", &of("NCDE001111", "E1", "E1"));
    let two = street.write("nem/2.csv", &of("NCDE001112", "B1", "B1"));
    let report = simulated(&[&one, &two]);
    assert_eq!(
        (&report["zone"], &report["from"], &report["until"]),
        (&"+10:00".into(), &"2026-06-01 00:00".into(), &"2026-06-03 00:00".into())
    );
    assert_eq!((&report["left_out_days"], &report["example_zone"]), (&0.into(), &false.into()));
    let tariff = street.write("tariff.json", &TARIFF.replace("America/Los_Angeles", "Australia/Perth"));
    let report = simulated(&[&one, &two, "--tariff", &tariff]);
    assert_eq!((&report["zone"], &report["intervals"]), (&"Australia/Perth".into(), &48.into()));
}
