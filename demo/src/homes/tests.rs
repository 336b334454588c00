//! Homes from a table.

use super::*;
use jiff::civil::date;

const HEADER: &str = "home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh\n";

/// Rows of a home from 2017-05-01 on.
fn rows(home: u16, hours: std::ops::Range<i64>, load: u32, pv: u32) -> String {
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let first: Timestamp = "2017-05-01T07:00:00Z".parse().unwrap();
    let row = |hour: i64| {
        let utc = first + hour.hours();
        let local = utc.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M");
        let [import, export] = [load.saturating_sub(pv), pv.saturating_sub(load)];
        format!("{home},{local},{utc},{load},{pv},{import},{export}\n")
    };
    hours.map(row).collect()
}

fn parsed(rows: &str, days: Days) -> Result<Homes, DataError> {
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    Homes::parse(format!("{HEADER}{rows}").as_bytes(), &zone, days, None)
}

fn parse(rows: &str) -> Result<Homes, DataError> {
    parsed(rows, Days::Within(date(2017, 5, 1), date(2017, 5, 2)))
}

#[test]
fn two_homes_and_a_day() {
    let all = [rows(1, 0..1, 5, 0), rows(1, 1..24, 0, 2), rows(2, 0..1, 7, 0), rows(2, 1..30, 9, 0)].concat();
    let homes = parse(&all).unwrap();
    assert_eq!(
        (homes.homes.len(), homes.intervals(), homes.totals(0), homes.totals(1)),
        (2, 24, (Wh(12), Wh(0)), (Wh(9), Wh(2)))
    );
    assert_eq!((homes.first_interval.start(3600), homes.left_out_days), (1_493_622_000, 0));
}

/// What is asked for and not there is refused, with the home and where its readings begin or end.
#[test]
fn days_beyond_the_readings_are_refused() {
    let days = |from: i8, until: i8| Days::Within(date(2017, 5, from), date(2017, 5, until));
    let all = [rows(1, 0..72, 5, 0), rows(2, 24..60, 7, 0)].concat();
    for (days, message) in [
        (days(1, 4), "home 2: its readings begin 2017-05-02 00:00; asked for is 2017-05-01 to 2017-05-03"),
        (days(2, 4), "home 2: its readings end 2017-05-03 12:00; asked for is 2017-05-02 to 2017-05-03"),
        (days(3, 9), "home 1: its readings end 2017-05-04 00:00; asked for is 2017-05-03 to 2017-05-08"),
        (days(8, 9), "home 1: its readings end 2017-05-04 00:00; asked for is 2017-05-08 to 2017-05-08"),
    ] {
        assert_eq!(parsed(&all, days).unwrap_err().to_string(), message);
    }
    assert_eq!(parsed(&all, days(2, 3)).unwrap().left_out_days, 0);
    let run = parsed(&all, Days::LongestRun).unwrap();
    let lack = |start: &str| Lack { home: "2".into(), start: start.parse().unwrap() };
    assert_eq!((run.intervals(), run.left_out_days), (24, 2));
    assert_eq!(run.lacks, [lack("2017-05-02T06:00:00Z"), lack("2017-05-03T19:00:00Z")]);
    let short = parsed(&rows(1, 0..5, 5, 0), Days::LongestRun).unwrap_err().to_string();
    assert_eq!(
        short,
        "there is no local day of which the home has every interval: in the fullest, home 1 has no reading for the interval \
         starting 2017-05-01T12:00:00Z"
    );
}

#[test]
fn every_fault_is_named() {
    let first = "1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,5,0\n";
    for (rows, message) in [
        ("1,2017-05-01T00:00,2017-05-01T07:00:00Z,x,0,5,0\n", "line 2: column 4: invalid digit found in string"),
        ("1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,5\n", "line 2: 6 columns instead of 7"),
        (
            "1,2017-05-01T00:00,2017-05-01T06:00:00Z,5,0,5,0\n",
            "line 2: interval_start_local is not interval_start_utc in America/Los_Angeles; say where the homes are with --zone",
        ),
        (
            "1,2017-05-01T00:00,2017-05-01T07:00:00Z,5,0,4,0\n",
            "line 2: import_wh and export_wh are not the net of load_wh and pv_wh",
        ),
        (
            "1,2017-05-01T00:07,2017-05-01T07:07:00Z,5,0,5,0\n",
            "line 2: the interval does not start on a full quarter of an hour",
        ),
        ("", "no rows"),
    ] {
        assert_eq!(parse(rows).unwrap_err().to_string(), message);
    }
    assert_eq!(
        parse(&format!("{first}{first}")).unwrap_err().to_string(),
        "line 3: a second row for the same home and interval"
    );
    let gap = format!("{first}1,2017-05-01T02:00,2017-05-01T09:00:00Z,5,0,5,0\n");
    assert_eq!(
        parse(&gap).unwrap_err().to_string(),
        "home 1: no reading for the interval starting 2017-05-01T08:00:00Z"
    );
    let ragged = format!("{first}1,2017-05-01T01:00,2017-05-01T08:00:00Z,5,0,5,0\n{}", first.replacen('1', "2", 1));
    assert_eq!(
        parse(&ragged).unwrap_err().to_string(),
        "home 1: its readings end 2017-05-01 02:00; asked for is 2017-05-01 to 2017-05-01"
    );
}
