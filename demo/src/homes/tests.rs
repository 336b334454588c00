//! Homes from a table.

use super::*;
use jiff::civil::date;

const HEADER: &str = "home,interval_start_local,interval_start_utc,load_wh,pv_wh,import_wh,export_wh\n";

fn parse(rows: &str) -> Result<Homes, DataError> {
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let days = Days::Within(date(2017, 5, 1), date(2017, 6, 1));
    Homes::parse(format!("{HEADER}{rows}").as_bytes(), &zone, days, None)
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
        (homes.homes.len(), homes.intervals(), homes.totals(0), homes.totals(1)),
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
        ("", "no rows from 2017-05-01 up to, not including, 2017-06-01"),
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
        "home 2: no reading for the interval starting 2017-05-01T08:00:00Z"
    );
}
