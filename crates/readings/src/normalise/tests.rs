use super::*;

fn raw(start: i64, wh: i64, line: u64) -> Raw {
    let (energy, quality) = (Energy::wh(wh), Quality::Measured);
    Raw { start, length: 3600, energy, quality, at: Place::line(line), part: 0, begins_block: false }
}

fn channel(direction: Direction, raws: Vec<Raw>) -> Channel {
    Channel { raws, ..Channel::intervals("m", direction) }
}

fn of(channels: Vec<Channel>) -> Result<(Normal, Vec<Finding>), SourceError> {
    let mut findings = vec![];
    normalise(channels, &Choice::default(), &mut findings).map(|normal| (normal, findings))
}

fn wh(normal: &Normal) -> Vec<(i64, u64, u64)> {
    normal.series.entries().iter().map(|e| (e.start / 3600, e.import_wh, e.export_wh)).collect()
}

#[test]
fn a_net_register_is_split_by_its_sign() {
    let (normal, _) =
        of(vec![channel(Direction::Net, vec![raw(0, 180, 1), raw(3600, -617, 2), raw(7200, 0, 3)])]).unwrap();
    assert_eq!(wh(&normal), [(0, 180, 0), (1, 0, 617), (2, 0, 0)]);
    assert_eq!(normal.total.map(Energy::floor_wh), [180, 617]);
}

#[test]
fn a_negative_delivery_is_a_hole_and_many_are_another_register() {
    let mut raws: Vec<Raw> = (0..10).map(|i| raw(i * 3600, 100, 1)).collect();
    raws[4].energy = Energy::wh(-20);
    let (normal, findings) = of(vec![channel(Direction::Import, raws.clone())]).unwrap();
    assert_eq!((normal.series.entries().len(), normal.series.gaps().len()), (9, 1));
    assert_eq!((findings[0].rule, findings[0].start), (Rule::Negative, Some(4 * 3600)));
    raws.truncate(6);
    raws[1].energy = Energy::wh(-1);
    assert!(matches!(of(vec![channel(Direction::Import, raws)]), Err(SourceError::Negative { .. })));
}

#[test]
fn a_repeated_instant_is_an_error_unless_a_feed_repeats_itself() {
    let twice = || vec![raw(1_761_440_400, 120, 4), raw(1_761_440_400, 120, 5)];
    let night = |e: SourceError| matches!(e, SourceError::Duplicate { first_line: 4, night: true, .. });
    assert!(night(of(vec![channel(Direction::Import, twice())]).unwrap_err()));
    let merging = Channel { merges: true, ..channel(Direction::Import, twice()) };
    assert_eq!(of(vec![merging]).unwrap().0.merged, 1);
    // Parts of one interval are added, and each part is once.
    let mut parts = twice();
    parts[1].part = 1;
    assert_eq!(wh(&of(vec![channel(Direction::Import, parts.clone())]).unwrap().0), [(489_289, 240, 0)]);
    parts.push(Raw { part: 1, ..raw(1_761_440_400, 120, 6) });
    assert!(of(vec![channel(Direction::Import, parts)]).is_err());
}

#[test]
fn one_second_late_is_said_and_half_an_hour_is_refused() {
    let late = |by: i64| vec![channel(Direction::Import, (0..3).map(|i| raw(i * 3600 + by, 100, 1)).collect())];
    let (normal, findings) = of(late(1)).unwrap();
    assert_eq!((normal.series.entries()[0].start, findings[0].rule), (0, Rule::Shifted));
    assert!(matches!(of(late(1800)), Err(SourceError::Misaligned { start: 1800, length: 3600, .. })));
    let mixed = vec![raw(0, 100, 1), raw(3601, 100, 2)];
    assert!(matches!(of(vec![channel(Direction::Import, mixed)]), Err(SourceError::Misaligned { .. })));
}

#[test]
fn registers_side_by_side() {
    let import = || channel(Direction::Import, (0..48).map(|i| raw(i * 3600, 100, 1)).collect());
    // Nothing there: zero. One missing: not there.
    assert_eq!(of(vec![import()]).unwrap().0.series.total_wh(), [4800, 0]);
    let mut export: Vec<Raw> = (0..48).map(|i| raw(i * 3600, 7, 2)).collect();
    export.remove(5);
    let (normal, findings) = of(vec![import(), channel(Direction::Export, export.clone())]).unwrap();
    assert_eq!((normal.series.entries().len(), normal.incomplete, findings[0].rule), (47, 1, Rule::Incomplete));
    // A register that begins a day later: zero before, and said so.
    let later = channel(Direction::Export, export.split_off(23));
    let (normal, findings) = of(vec![import(), later]).unwrap();
    assert_eq!((normal.series.entries().len(), normal.series.total_wh()), (48, [4800, 7 * 24]));
    assert_eq!((findings.len(), findings[0].rule), (24, Rule::LateRegister));
    let twice = of(vec![import(), import()]);
    assert!(matches!(twice, Err(SourceError::Redefined { .. })));
    assert!(matches!(of(vec![channel(Direction::Total, vec![raw(0, 1, 1)])]), Err(SourceError::TotalRegister { .. })));
}

#[test]
fn what_a_community_allots_is_shown_and_not_read() {
    let import = channel(Direction::Import, vec![raw(0, 100, 1), raw(3600, 50, 2)]);
    let allotted = channel(Direction::Community, vec![raw(0, 40, 1)]);
    let (normal, _) = of(vec![import, allotted]).unwrap();
    assert_eq!((normal.series.total_wh(), normal.community), ([150, 0], Some(Energy::wh(40))));
}

#[test]
fn overlapping_lengths_are_refused() {
    let mut raws = vec![raw(0, 100, 1), raw(1800, 50, 2)];
    raws[1].length = 1800;
    assert!(matches!(of(vec![channel(Direction::Import, raws)]), Err(SourceError::Overlapping { first_line: 1, .. })));
}

#[test]
fn a_counter_is_not_booked_as_energy() {
    let counter = (0..24).map(|i| raw(i * 3600, 180 * i, 1)).collect();
    assert!(matches!(of(vec![channel(Direction::Import, counter)]), Err(SourceError::LooksLikeRegister { .. })));
    // A morning of sunshine rises too, and a meter that stands still does not.
    let morning = (0..10).map(|i| raw(i * 3600, 180 * i, 1)).collect();
    assert!(of(vec![channel(Direction::Export, morning)]).is_ok());
    assert!(of(vec![channel(Direction::Import, (0..48).map(|i| raw(i * 3600, 0, 1)).collect())]).is_ok());
}
