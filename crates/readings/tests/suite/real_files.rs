//! The readers over real and official files. `shared/data` beside the repository is not part of it: without it those
//! tests say so and stop.

use std::path::{Path, PathBuf};

use gridveil_readings::{Choice, Gap, Import, Rule, SourceError, read, read_file};

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn choice(meter: &str) -> Choice {
    Choice { meter: Some(meter.to_owned()), ..Choice::default() }
}

fn file(name: &str) -> Option<Result<Import, SourceError>> {
    shared(name).map(|p| read_file(&p, &Choice::default()))
}

fn green_button(name: &str) -> Option<Result<Import, SourceError>> {
    file(&format!("b-greenbutton/{name}"))
}

#[test]
fn own_csv() {
    let import = read_file(&own("home.csv"), &Choice::default()).unwrap();
    assert_eq!((import.meter.as_str(), import.series.length(), import.total_wh), ("7", 3600, [900, 700]));
    let of = |e: &gridveil_readings::Entry| (e.import_wh, e.export_wh);
    assert_eq!(import.series.entries().iter().map(of).collect::<Vec<_>>(), [(500, 0), (400, 0), (0, 700)]);
}

#[test]
fn own_green_button() {
    let import = read_file(&own("two-registers.xml"), &Choice::default()).unwrap();
    assert_eq!((import.meter.as_str(), import.readings, import.total_wh), ("roof", 3, [450, 20]));
    // The second half hour has no export reading: it is not a zero, it is not there.
    assert_eq!((import.series.entries().len(), import.incomplete), (1, 1));
}

#[test]
fn pge_year_of_one_real_home() {
    let Some(import) = green_button("pge_real_customer_history_2013-2014.xml") else { return };
    let import = import.unwrap();
    assert_eq!((import.readings, import.total_wh), (9_432, [6_014_415, 0]));
    assert_eq!(import.meter, "4108");
    // 2013-03-10: the surplus reading equals the next day's first. 2014-03-09: it does not, and the next day is
    // believed (210, not 220 Wh).
    assert_eq!(import.merged, 1);
    let overlaps: Vec<i64> = import.series.overlaps().iter().map(|o| o.start).collect();
    assert_eq!(overlaps, [1_394_434_800]);
    assert_eq!(import.series.entries().len(), 9_430);
    assert_eq!(import.series.total_wh(), [6_014_415 - 240 - 220, 0]);
    assert_eq!(import.series.at(1_394_434_800).unwrap().import_wh, 210);
    // 2013-11-03: the repeated hour is missing.
    assert_eq!(import.series.gaps(), [Gap { start: 1_383_465_600, intervals: 1 }]);
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
        assert_eq!((import.readings, import.series.length(), import.total_wh), (readings, length, [wh, 0]), "{name}");
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
        assert_eq!((import.total_wh, import.series.entries().len()), (total, 96), "{point}");
    }
    assert!(matches!(read_file(&path, &choice("1")), Err(SourceError::NoSuchMeter(_) | SourceError::Empty(_))));
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
    }
}

#[test]
fn a_month_with_generation_in_australia() {
    let Some(import) = file("b-nem12/Example_NEM12_month_solar.csv") else { return };
    let import = import.unwrap();
    assert_eq!((import.series.entries().len(), import.series.length()), (31 * 288, 300));
    assert_eq!((import.series.total_wh(), import.series.gaps().len()), ([270_738, 589_172], 0));
    let substituted = file("b-nem12/Example_NEM12_substituted_interval.csv").unwrap().unwrap();
    assert!(substituted.findings.iter().any(|f| f.rule == Rule::Substituted && f.count == 48));
}

#[test]
fn telegrams_of_real_meters_hold() {
    for name in ["v4_2", "v5", "v5_two_mbus", "fluvius_v171", "fluvius_v171_alt"] {
        let Some(error) = file(&format!("b-p1-dsmr/telegram_{name}.txt")) else { return };
        // The checksum holds and the registers are read: what is missing is a second telegram.
        assert!(matches!(error, Err(SourceError::NoInterval { .. })), "{name}: {error:?}");
        let path = shared(&format!("b-p1-dsmr/telegram_{name}.txt")).unwrap();
        let changed = std::fs::read_to_string(path).unwrap().replacen("1-0:1.8.1(0", "1-0:1.8.1(1", 1);
        let error = read(changed.as_bytes(), &Choice::default());
        assert!(matches!(error, Err(SourceError::Checksum { .. })), "{name}: {error:?}");
    }
}

#[test]
fn captures_of_real_meters_are_understood() {
    let Some(folder) = shared("b-sml") else { return };
    let mut understood = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "bin") {
            let (telegrams, _) = gridveil_readings::sml::telegrams(&std::fs::read(&path).unwrap());
            let import = telegrams.iter().any(|t| t.registers != [None, None]);
            understood += usize::from(import);
            let error = read_file(&path, &Choice::default()).unwrap_err();
            assert!(matches!(error, SourceError::NoStart { .. } | SourceError::NotRead(_)), "{path:?}: {error}");
        }
    }
    assert!(understood >= 30, "{understood} of 37 captures have a register");
}
