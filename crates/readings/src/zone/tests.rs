use super::*;

fn local(text: &str) -> Stamp {
    Stamp::Local(text.parse().unwrap())
}

fn labels(times: &[&str], length: u32) -> Vec<Label> {
    let label = |t: &&str| Label { stamp: local(t), season: None, empty: false, at: Place::line(1), length };
    times.iter().map(label).collect()
}

fn vienna(times: &[&str], length: u32, end: bool) -> Result<Vec<Option<i64>>, SourceError> {
    starts(&labels(times, length), Some(&Zone::parse("Europe/Vienna").unwrap()), end, &mut vec![])
}

fn follow(starts: &[Option<i64>], length: i64) -> bool {
    starts.windows(2).all(|w| matches!(w, [Some(a), Some(b)] if b - a == length))
}

/// Quarter hours from 01:00 to 04:00 of the night of autumn, by their start.
fn autumn(printed_ends: fn(&str) -> String) -> Vec<String> {
    let hours = ["01", "02", "02", "03"];
    let quarters = hours.iter().flat_map(|h| ["00", "15", "30", "45"].map(|m| format!("2025-10-26T{h}:{m}")));
    quarters.map(|start| printed_ends(&start)).collect()
}

#[test]
fn zones_are_names_or_offsets() {
    assert!(Zone::parse("Europe/Vienna").is_ok() && Zone::parse("+10:00").is_ok() && Zone::parse("-3:30").is_ok());
    for text in ["", "CEST2", "+25:00", "+1:99", "Europe/Nowhere", "+x"] {
        assert!(matches!(Zone::parse(text), Err(SourceError::Zone(_))), "{text}");
    }
    assert_eq!(Zone::parse("Europe/Vienna").unwrap().local(1_761_440_400), "2025-10-26 02:00 +01:00");
}

#[test]
fn the_double_hour_is_told_by_order() {
    let starts_of = autumn(str::to_owned);
    let refs: Vec<&str> = starts_of.iter().map(String::as_str).collect();
    let found = vienna(&refs, 900, false).unwrap();
    assert!(follow(&found, 900) && found[0] == Some(1_761_433_200));
    // Newest first.
    let turned: Vec<&str> = refs.iter().rev().copied().collect();
    let mut back = vienna(&turned, 900, false).unwrap();
    back.reverse();
    assert_eq!(back, found);
}

#[test]
fn ends_are_read_in_both_ways_they_are_printed() {
    // 02:00 … 02:45 twice: the clock at the end. 02:15 … 03:00 twice: the start plus a quarter.
    let by_clock = ["01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00", "03:15"];
    let by_start = ["01:45", "02:00", "02:15", "02:30", "02:45", "03:00", "02:15", "02:30", "02:45", "03:00", "03:15"];
    let of = |times: [&str; 11]| {
        let times = times.map(|t| format!("2025-10-26T{t}"));
        vienna(&times.each_ref().map(String::as_str), 900, true).unwrap()
    };
    assert!(follow(&of(by_clock), 900));
    assert_eq!(of(by_clock), of(by_start));
}

#[test]
fn a_marker_tells_the_double_hour_without_any_order() {
    let zone = Zone::parse("Europe/Vienna").unwrap();
    let mut two = labels(&["2025-10-26T02:00", "2025-10-26T02:00"], 900);
    (two[0].season, two[1].season) = (Some(Season::Winter), Some(Season::Summer));
    let found = starts(&two, Some(&zone), false, &mut vec![]).unwrap();
    assert_eq!(found, [Some(1_761_440_400), Some(1_761_436_800)]);
    // Alone, and without a marker, it may be either.
    assert!(matches!(vienna(&["2025-10-26T02:00"], 900, false), Err(SourceError::Ambiguous { .. })));
    assert!(matches!(
        starts(&labels(&["2025-10-26T00:00"], 900), None, false, &mut vec![]),
        Err(SourceError::NoZone { .. })
    ));
}

#[test]
fn the_missing_hour_goes_only_if_it_is_zero() {
    let zone = Zone::parse("Europe/Vienna").unwrap();
    let times = ["2026-03-29T01:30", "2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T03:00"];
    let mut printed = labels(&times, 1800);
    (printed[1].empty, printed[2].empty) = (true, true);
    let mut findings = vec![];
    let found = starts(&printed, Some(&zone), false, &mut findings).unwrap();
    assert_eq!(found, [Some(1_774_744_200), None, None, Some(1_774_746_000)]);
    assert!(findings.len() == 2 && findings.iter().all(|f| f.rule == Rule::Placeholder));
    printed[2].empty = false;
    let refused = starts(&printed, Some(&zone), false, &mut findings);
    assert!(matches!(refused, Err(SourceError::NoSuchTime { local, .. }) if local == "2026-03-29 02:30:00"));
    // By their ends, printed as 96 quarters.
    let ends = ["02:00", "02:15", "02:30", "02:45", "03:00", "03:15"].map(|t| format!("2026-03-29T{t}"));
    let mut printed = labels(&ends.each_ref().map(String::as_str), 900);
    printed[1..5].iter_mut().for_each(|l| l.empty = true);
    let found = starts(&printed, Some(&zone), true, &mut findings).unwrap();
    assert_eq!(found, [Some(1_774_745_100), None, None, None, None, Some(1_774_746_000)]);
}

#[test]
fn one_hour_where_two_are_due_is_said() {
    let hours = ["00:00", "01:00", "02:00", "03:00", "04:00"].map(|t| format!("2025-10-26T{t}"));
    let mut findings = vec![];
    let zone = Zone::parse("Europe/Vienna").unwrap();
    let all = labels(&hours.each_ref().map(String::as_str), 3600);
    starts(&all, Some(&zone), false, &mut findings).unwrap();
    assert_eq!(
        findings.iter().map(|f| (f.rule, f.start)).collect::<Vec<_>>(),
        [(Rule::DoubleHourOnce, Some(1_761_436_800))]
    );
    let mut findings = vec![];
    let both = ["00:00", "01:00", "02:00", "02:00", "03:00"].map(|t| format!("2025-10-26T{t}"));
    starts(&labels(&both.each_ref().map(String::as_str), 3600), Some(&zone), false, &mut findings).unwrap();
    assert!(findings.is_empty());
}

#[test]
fn a_length_is_a_distance_and_a_hole_is_not() {
    let at = Place::line(2);
    let of = |clock: &[i64]| lengths(clock, false, at);
    assert_eq!(of(&[0, 900, 2700, 3600]).unwrap(), (vec![900; 4], false));
    // Half hours, then quarters: both are paces.
    let paces: Vec<i64> = (0..6).map(|i| i * 1800).chain((0..8).map(|i| 10_800 + i * 900)).collect();
    let (found, assumed) = of(&paces).unwrap();
    assert_eq!((found, assumed), ([vec![1800; 6], vec![900; 8]].concat(), false));
    // Every second hour: an hour is assumed, and said to be.
    assert_eq!(of(&[0, 7200, 14_400, 21_600]).unwrap(), (vec![3600; 4], true));
    assert!(matches!(of(&[0, 86_400, 172_800]), Err(SourceError::Length { length: 86_400, .. })));
    assert!(matches!(of(&[0, 7, 14]), Err(SourceError::Length { length: 7, .. })));
    assert_eq!(of(&[0]), Err(SourceError::UnknownLength));
}
