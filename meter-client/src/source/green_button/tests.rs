use super::*;

fn feed(direction: &str, power: &str, blocks: &[&str]) -> String {
    let blocks: String = blocks
        .iter()
        .map(|b| format!("<entry>\n<link rel='self' href='/U/1/UsagePoint/7/MeterReading/1/IntervalBlock/1'/>\n<content><IntervalBlock>{b}</IntervalBlock></content></entry>\n"))
        .collect();
    format!(
        "<feed>\n<entry><link rel='self' href='/U/1/UsagePoint/7/MeterReading/1'/><link rel='related' href='/ReadingType/1'/><content><MeterReading/></content></entry>\n{blocks}\
         <entry><link rel='self' href='/ReadingType/1'/><content><e:ReadingType xmlns:e='urn:e'><e:flowDirection> {direction} </e:flowDirection>\
         <e:powerOfTenMultiplier>{power}</e:powerOfTenMultiplier><e:uom>72</e:uom></e:ReadingType></content></entry>\n</feed>"
    )
}

fn r(start: i64, length: u64, value: &str) -> String {
    format!(
        "\n<IntervalReading><timePeriod><duration>{length}</duration><start> {start} </start></timePeriod><value>{value}</value></IntervalReading>"
    )
}

fn one(text: &str) -> Result<Import, SourceError> {
    read(text).map(|imports| imports.into_iter().next().unwrap())
}

#[test]
fn powers_of_ten_are_exact() {
    let sum =
        |power: &str, value: &str| one(&feed("1", power, &[&r(0, 3600, value)])).map(|i| i.total_wh.map(u64::from));
    assert_eq!(sum("3", " 12 ").unwrap(), [12_000, 0]);
    assert_eq!(sum("-3", "12000").unwrap(), [12, 0]);
    assert!(matches!(sum("-3", "12001"), Err(SourceError::NotWhole { .. })));
    assert!(matches!(sum("9", "5"), Err(SourceError::Implausible { .. })));
    assert!(matches!(sum("99", "5"), Err(SourceError::Implausible { .. })));
    assert!(matches!(sum("-99", "5"), Err(SourceError::NotWhole { .. })));
    assert_eq!(sum("99", "0").unwrap(), [0, 0]);
    assert!(matches!(sum("0", "-5"), Err(SourceError::Negative { .. })));
    assert!(matches!(sum("0", "5.0"), Err(SourceError::Malformed { .. })));
    assert!(matches!(sum("0", "5&#48;"), Err(SourceError::Malformed { .. })));
}

#[test]
fn direction_chooses_the_register() {
    assert_eq!(one(&feed("19", "0", &[&r(0, 900, "5")])).unwrap().total_wh, [Wh::ZERO, Wh(5)]);
    assert!(matches!(one(&feed("4", "0", &[&r(0, 900, "5")])), Err(SourceError::FlowDirection { direction: 4, .. })));
}

#[test]
fn a_spring_day_gives_way_to_the_block_that_begins_there() {
    let day = |from: i64, values: [&str; 2]| r(from, 3600, values[0]) + &r(from + 3600, 3600, values[1]);
    let import = one(&feed("1", "0", &[&day(0, ["1", "2"]), &day(3600, ["30", "4"])])).unwrap();
    assert_eq!(import.series.total_wh(), [Wh(35), Wh::ZERO]);
    assert_eq!(import.total_wh, [Wh(37), Wh::ZERO]);
    let [o] = import.series.overlaps() else { unreachable!("one overlap") };
    assert_eq!((o.start, o.dropped_line < o.kept_line), (3600, true));
    // Also in the other order of blocks.
    let turned = one(&feed("1", "0", &[&day(3600, ["30", "4"]), &day(0, ["1", "2"])])).unwrap();
    assert_eq!(turned.series.entries(), import.series.entries());
    // The same value: merged.
    let same = one(&feed("1", "0", &[&day(0, ["1", "2"]), &day(3600, ["2", "4"])])).unwrap();
    assert_eq!((same.merged, same.series.overlaps().len()), (1, 0));
    // Both blocks begin there, or neither does: a contradiction.
    let double = one(&feed("1", "0", &[&day(0, ["1", "2"]), &day(0, ["9", "2"])]));
    assert!(matches!(double, Err(SourceError::Duplicate { start: 0, .. })));
    let inside = one(&feed("1", "0", &[&day(0, ["1", "2"]), &(day(-3600, ["1", "1"]) + &r(3600, 3600, "3"))]));
    assert!(inside.is_err());
}

#[test]
fn faults_have_lines() {
    let err = |blocks: &[&str]| one(&feed("1", "0", blocks)).unwrap_err();
    let Place { line, .. } = match err(&[&(r(0, 900, "1") + &r(901, 900, "1"))]) {
        SourceError::Misaligned { at, start: 901, length: 900 } => at,
        other => unreachable!("{other}"),
    };
    assert_eq!(line, 7);
    assert!(matches!(err(&[&r(0, 86400, "1")]), SourceError::Length { length: 86400, .. }));
    assert!(matches!(
        err(&[&(r(0, 900, "1") + &r(3600, 3600, "1"))]),
        SourceError::MixedLengths { length: 3600, expected: 900, .. }
    ));
    assert!(matches!(err(&["<IntervalReading><value>1</value></IntervalReading>"]), SourceError::Malformed { .. }));
    assert_eq!(read("<feed></feed>"), Err(SourceError::Empty));
    assert!(matches!(read("<feed><entry></feed>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(read("<feed><entry>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(read("<!DOCTYPE a><feed/>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(read(&"<a>".repeat(100)), Err(SourceError::Malformed { .. })));
    let untyped =
        feed("1", "0", &[&r(0, 900, "1")]).replace("/ReadingType/1'/><content><e", "/ReadingType/2'/><content><e");
    assert!(matches!(read(&untyped), Err(SourceError::Undefined { .. })));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*", value in "\\PC{0,6}") {
        let _ = read(&text);
        let _ = read(&feed("1", "0", &[&r(0, 900, &value)]));
    }
}
