use super::*;
use crate::{Import, read};

/// Two sessions, signed by a station that the test made.
const SIGNED: &[u8] = include_bytes!("../../../tests/data/two-sessions.ocmf");
const KEY: &str = include_str!("../../../tests/data/two-sessions.key");

fn of(text: &str) -> Result<Import, SourceError> {
    read(text.as_bytes(), &Choice::default())
}

fn reading(time: &str, kwh: &str) -> String {
    format!(
        r#"{{"TM":"2026-01-05T{time},000+0100 S","TX":"C","RV":{kwh},"RI":"1-b:1.8.0","RU":"kWh","EF":"","ST":"G"}}"#
    )
}

fn record(readings: &[String]) -> String {
    let payload = format!(r#"{{"FV":"1.0","GS":"7","PG":"T1","MS":"box 1","RD":[{}]}}"#, readings.join(","));
    format!("OCMF|{payload}|{{\"SD\":\"3006020101020101\"}}\n")
}

fn session(from: &str, kwh: &str, until: &str, after: &str) -> String {
    record(&[reading(from, kwh), reading(until, after)])
}

/// Energies with their intervals, counted from ten o'clock.
fn energies(import: &Import) -> Vec<(i64, u64)> {
    let ten = 1_767_603_600;
    import.series.entries().iter().map(|e| ((e.start - ten) / 900, e.import_wh)).collect()
}

fn rules(import: &Import) -> Vec<Rule> {
    import.findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_session_within_an_interval_is_metered_and_nothing_is_used_between_sessions() {
    let text = session("10:01:00", "100.000", "10:14:00", "100.400") + &session("10:47:00", "100.4", "10:59:59", "101");
    let import = of(&text).unwrap();
    assert_eq!((import.meter.as_str(), import.source.as_str()), ("box 1", "ocmf"));
    assert_eq!(energies(&import), [(0, 400), (1, 0), (2, 0), (3, 600)]);
    assert_eq!(rules(&import), [Rule::Unverified]);
}

#[test]
fn a_session_over_several_intervals_is_an_estimate_and_its_sum_is_exact() {
    // 40 minutes from 10:05: 10, 15 and 15 of them.
    let import = of(&session("10:05:00", "7", "10:45:00", "8.001")).unwrap();
    assert_eq!(energies(&import).iter().map(|(_, wh)| wh).sum::<u64>(), 1001);
    assert_eq!(energies(&import), [(0, 250), (1, 375), (2, 376)]);
    assert!(import.findings.iter().any(|f| f.rule == Rule::Estimated && f.count == 3), "{:?}", import.findings);
    // With readings at the borders nothing is estimated.
    let at = [("10:05:00", "7"), ("10:15:00", "7.1"), ("10:30:00", "7.9"), ("10:45:00", "8.001")];
    let import = of(&record(&at.map(|(time, kwh)| reading(time, kwh)))).unwrap();
    assert_eq!(energies(&import), [(0, 100), (1, 800), (2, 101)]);
    assert_eq!(rules(&import), [Rule::Unverified]);
}

#[test]
fn what_is_used_outside_sessions_is_missing() {
    let text = session("10:01:00", "100", "10:14:00", "101") + &session("11:01:00", "101.5", "11:05:00", "102");
    let import = of(&text).unwrap();
    assert_eq!(energies(&import), [(0, 1000), (4, 500)]);
    assert!(rules(&import).contains(&Rule::Missing));
}

#[test]
fn a_signature_is_checked_with_the_stations_key() {
    let with =
        |bytes: &[u8], key: &str| read(bytes, &Choice { public_key: Some(key.trim().to_owned()), ..Choice::default() });
    let import = with(SIGNED, KEY).unwrap();
    assert_eq!((import.series.total_wh(), rules(&import)), ([1_234, 0], vec![]));
    let changed = String::from_utf8(SIGNED.to_vec()).unwrap().replacen("20.5", "20.4", 1);
    assert!(matches!(with(changed.as_bytes(), KEY), Err(SourceError::Signature { .. })));
    let other = KEY.trim().replace("04", "05");
    assert!(matches!(with(SIGNED, &other), Err(SourceError::Signature { .. })));
    assert!(matches!(with(SIGNED, "no key"), Err(SourceError::Signature { .. })));
    assert_eq!(rules(&read(SIGNED, &Choice::default()).unwrap()), [Rule::Unverified]);
}

#[test]
fn a_clock_that_is_not_set_and_a_meter_that_is_not_well_are_told() {
    let good = session("10:01:00", "100", "10:14:00", "101");
    assert!(rules(&of(&good.replace(" S\"", " I\"")).unwrap()).contains(&Rule::UnsureClock));
    for (from, to) in
        [("\"ST\":\"G\"", "\"ST\":\"M\""), ("\"EF\":\"\"", "\"EF\":\"E\""), ("\"RU\":\"kWh\"", "\"RU\":\"A\"")]
    {
        let import = of(&(good.replace(from, to) + &session("10:16:00", "100", "10:20:00", "101"))).unwrap();
        assert_eq!((energies(&import), rules(&import).contains(&Rule::BadTelegram)), (vec![(1, 1000)], true), "{to}");
    }
}

#[test]
fn other_things_are_refused_with_their_reason() {
    let good = session("10:01:00", "100", "10:14:00", "101");
    assert!(matches!(of(&session("10:01:00", "101", "10:14:00", "100")), Err(SourceError::RegisterFalls { .. })));
    assert!(matches!(of(&session("10:14:00", "100", "10:01:00", "101")), Err(SourceError::Malformed { .. })));
    assert!(matches!(of(&session("10:14:00", "100", "10:14:00", "101")), Err(SourceError::Malformed { .. })));
    let later = session("10:10:00", "101", "10:20:00", "102");
    assert!(matches!(of(&(good.clone() + &later)), Err(SourceError::Overlapping { first_line: 1, .. })));
    let reset = session("11:01:00", "0", "11:05:00", "1");
    assert!(matches!(of(&(good.clone() + &reset)), Err(SourceError::RegisterFalls { .. })));
    assert!(matches!(of(&record(&[reading("10:01:00", "100")])), Err(SourceError::NoInterval { .. })));
    assert!(matches!(of("OCMF|{}|"), Err(SourceError::NotRead(_))));
    let format = Some(crate::Format::Ocmf);
    let lines = read(format!("a note\n{good}").as_bytes(), &Choice { format, ..Choice::default() });
    assert!(matches!(lines, Err(SourceError::Malformed { .. })));
    // The same record twice is one session.
    assert_eq!(energies(&of(&good.repeat(2)).unwrap()), [(0, 1000)]);
}

proptest::proptest! {
    #[test]
    fn arbitrary_readings_never_panic(text in "\\PC*", a in 0u64..1 << 40, b in 0u64..1 << 40, hour in 0u8..24) {
        let _ = of(&format!("OCMF|{text}"));
        let text = session(&format!("{hour:02}:00:01"), &a.to_string(), "23:59:59", &b.to_string());
        if let Ok(import) = of(&text) {
            proptest::prop_assert_eq!(import.series.total_wh()[0], (b - a) * 1000);
        }
    }
}
