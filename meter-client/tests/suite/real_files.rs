//! The readers over real and official files. `shared/data` beside the repository is not part of it: without it those
//! tests say so and stop.

use std::path::{Path, PathBuf};

use gridveil_meter_client::source::{Choice, Gap, Import, SourceError, read, read_file};
use gridveil_protocol::units::{Interval, Wh};

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn choice(meter: &str) -> Choice {
    Choice { meter: Some(meter.to_owned()), ..Choice::default() }
}

fn green_button(name: &str) -> Option<Result<Import, SourceError>> {
    shared(&format!("b-greenbutton/{name}")).map(|p| read_file(&p, &Choice::default()))
}

#[test]
fn own_csv() {
    let import = read_file(&own("home.csv"), &Choice::default()).unwrap();
    assert_eq!((import.meter.as_str(), import.series.length(), import.total_wh), ("7", 3600, [Wh(900), Wh(700)]));
    let first = Interval::of_time(1_772_323_200, 3600).unwrap();
    let readings = import.series.cut(first, 3, 3600, 100, false).unwrap();
    assert_eq!(readings.iter().map(|r| (r.import, r.export)).collect::<Vec<_>>(), [(5, 0), (4, 0), (0, 7)]);
}

#[test]
fn own_green_button() {
    let import = read_file(&own("two-registers.xml"), &Choice::default()).unwrap();
    assert_eq!((import.meter.as_str(), import.readings, import.total_wh), ("roof", 3, [Wh(450), Wh(20)]));
    // The second half hour has no export reading: it is not a zero, it is not there.
    assert_eq!((import.series.entries().len(), import.incomplete), (1, 1));
}

#[test]
fn pge_year_of_one_real_home() {
    let Some(import) = green_button("pge_real_customer_history_2013-2014.xml") else { return };
    let import = import.unwrap();
    assert_eq!((import.readings, import.total_wh), (9_432, [Wh(6_014_415), Wh::ZERO]));
    assert_eq!(import.meter, "4108");
    // 2013-03-10: the surplus reading equals the next day's first. 2014-03-09: it does not, and the next day is
    // believed (210, not 220 Wh).
    assert_eq!(import.merged, 1);
    let overlaps: Vec<i64> = import.series.overlaps().iter().map(|o| o.start).collect();
    assert_eq!(overlaps, [1_394_434_800]);
    assert_eq!(import.series.entries().len(), 9_430);
    assert_eq!(import.series.total_wh(), [Wh(6_014_415 - 240 - 220), Wh::ZERO]);
    let at = import.series.entries().iter().find(|e| e.start == 1_394_434_800).unwrap();
    assert_eq!(at.import_wh, Wh(210));
    // 2013-11-03: the repeated hour is missing.
    assert_eq!(import.series.gaps(), [Gap { start: 1_383_465_600, intervals: 1 }]);
    let hour = |start: i64| Interval::of_time(start, 3600).unwrap();
    assert!(import.series.cut(hour(1_360_742_400), 24, 3600, 1, false).is_ok());
    assert!(import.series.cut(hour(1_383_462_000), 24, 3600, 1, false).is_err());
    assert!(import.series.cut(hour(1_394_434_800), 24, 3600, 1, false).is_err());
    assert!(import.series.cut(hour(1_394_434_800), 24, 3600, 1, true).is_ok());
}

#[test]
fn official_samples() {
    for (name, readings, length, wh) in [
        ("15minLP_15Days.xml", 1_340, 900, 1_397_734),
        ("1hrLP_32Days.xml", 768, 3600, 2_354_843),
        ("1hrLP_32DaysNoCost.xml", 768, 3600, 2_366_208),
        ("sample_greenbutton_data_coastal.xml", 362, 3600, 291_018),
    ] {
        let Some(import) = green_button(name) else { return };
        let import = import.unwrap();
        assert_eq!(
            (import.readings, import.series.length(), import.total_wh),
            (readings, length, [Wh(wh), Wh::ZERO]),
            "{name}"
        );
        assert_eq!((import.merged, import.series.overlaps().len(), import.series.gaps().len()), (0, 0, 0), "{name}");
    }
    let quarters = green_button("15minLP_15Days.xml").unwrap().unwrap().series;
    assert_eq!(quarters.resample(3600).unwrap().total_wh(), quarters.total_wh());
    // Daily and monthly values are bills, not interval readings.
    for name in ["1dayLP_45Days.xml", "MonthlyOnlyElectricData.xml", "Electric.xml"] {
        assert!(matches!(green_button(name), Some(Err(SourceError::Length { .. }))), "{name}");
    }
}

#[test]
fn three_usage_points() {
    let Some(path) = shared("b-greenbutton/BatchFeedThreeUsagePoints_M.xml") else { return };
    assert!(matches!(read_file(&path, &Choice::default()), Err(SourceError::SeveralMeters { count: 3, .. })));
    for (point, total) in [("4284792", [14_635, 30_195]), ("4284793", [166_730, 0]), ("4284794", [0, 0])] {
        let import = read_file(&path, &choice(point)).unwrap();
        assert_eq!((import.total_wh.map(u64::from), import.series.entries().len()), (total, 96), "{point}");
    }
    assert_eq!(read_file(&path, &choice("1")), Err(SourceError::NoSuchMeter("1".into())));
}

#[test]
fn homes_of_california() {
    let Some(path) = shared("a-zne17-california/zne17_hourly_2017-05.csv") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(matches!(read_file(&path, &Choice::default()), Err(SourceError::SeveralMeters { count: 17, .. })));
    // The file carries load and PV, and the net of them: both ways agree.
    let net_only = text.replacen("import_wh,export_wh", "a,b", 1);
    for home in 1..=17 {
        let home = home.to_string();
        let import = read(text.as_bytes(), &choice(&home)).unwrap();
        assert_eq!((import.series.entries().len(), import.series.length()), (744, 3600));
        assert!(import.series.gaps().is_empty());
        assert_eq!(read(net_only.as_bytes(), &choice(&home)).unwrap().series, import.series);
        let first = Interval::of_time(import.series.entries().first().unwrap().start, 3600).unwrap();
        assert!(import.series.cut(first, 96, 3600, 1, false).is_ok());
    }
}
