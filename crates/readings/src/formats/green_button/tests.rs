use crate::{Choice, Import, Place, Rule, SourceError, read};

fn typed(kind: &str, blocks: &[&str]) -> String {
    let blocks: String = blocks
        .iter()
        .map(|b| {
            let link = "/U/1/UsagePoint/7/MeterReading/1/IntervalBlock/1";
            format!("<entry>\n<link rel='self' href='{link}'/>\n<content><IntervalBlock>{b}</IntervalBlock></content></entry>\n")
        })
        .collect();
    format!(
        "<feed>\n<entry><link rel='self' href='/U/1/UsagePoint/7/MeterReading/1'/><link rel='related' href='/ReadingType/1'/>\
         <content><MeterReading/></content></entry>\n{blocks}<entry><link rel='self' href='/ReadingType/1'/><content>\
         <e:ReadingType xmlns:e='urn:e'>{kind}</e:ReadingType></content></entry>\n</feed>"
    )
}

fn kind(direction: &str, power: &str, more: &str) -> String {
    format!(
        "<e:flowDirection> {direction} </e:flowDirection><e:powerOfTenMultiplier>{power}</e:powerOfTenMultiplier><e:uom>72</e:uom>{more}"
    )
}

fn feed(direction: &str, power: &str, blocks: &[&str]) -> String {
    typed(&kind(direction, power, ""), blocks)
}

fn r(start: i64, length: u64, value: &str) -> String {
    with(start, length, value, "")
}

fn with(start: i64, length: u64, value: &str, more: &str) -> String {
    format!(
        "\n<IntervalReading>{more}<timePeriod><duration>{length}</duration><start> {start} </start></timePeriod>\
         <value>{value}</value></IntervalReading>"
    )
}

fn one(text: &str) -> Result<Import, SourceError> {
    read(text.as_bytes(), &Choice::default())
}

#[test]
fn powers_of_ten_are_exact() {
    let sum = |power: &str, value: &str| one(&feed("1", power, &[&r(0, 3600, value)])).map(|i| i.total_wh);
    assert_eq!(sum("3", " 12 ").unwrap(), [12_000, 0]);
    assert_eq!(sum("-3", "12000").unwrap(), [12, 0]);
    assert_eq!(one(&feed("1", "-3", &[&r(0, 3600, "12700")])).unwrap().total_tenth_wh, [127, 0]);
    assert!(matches!(sum("9", "5"), Err(SourceError::Implausible { .. })));
    assert!(matches!(sum("99", "5"), Err(SourceError::Implausible { .. })));
    assert!(matches!(sum("-99", "5"), Err(SourceError::Implausible { .. })));
    assert_eq!(sum("99", "0").unwrap(), [0, 0]);
    assert!(matches!(sum("0", "-5"), Err(SourceError::Negative { .. })));
    assert_eq!(sum("0", "5.0").unwrap(), [5, 0]);
    assert!(matches!(sum("0", "5&#48;"), Err(SourceError::Cell { .. })));
}

#[test]
fn direction_chooses_the_register() {
    let of = |direction: &str, value: &str| one(&feed(direction, "0", &[&r(0, 900, value)])).map(|i| i.total_wh);
    assert_eq!(of("19", "5").unwrap(), [0, 5]);
    assert_eq!(of("4", "5").unwrap(), [5, 0]);
    assert_eq!(of("4", "-5").unwrap(), [0, 5]);
    assert!(matches!(of("20", "5"), Err(SourceError::TotalRegister { .. })));
    assert!(matches!(of("15", "5"), Err(SourceError::FlowDirection { direction: 15, .. })));
    let total = Choice { total_is_import: true, ..Choice::default() };
    let import = read(feed("20", "0", &[&r(0, 900, "5")]).as_bytes(), &total).unwrap();
    assert_eq!((import.total_wh, import.findings[0].rule), ([5, 0], Rule::TotalAsImport));
}

#[test]
fn accumulation_says_whether_a_value_is_energy_or_a_register() {
    let hours = r(0, 3600, "1000") + &r(3600, 3600, "1180") + &r(7200, 3600, "1479");
    let of = |code: &str| {
        let more = format!("<e:accumulationBehaviour>{code}</e:accumulationBehaviour>");
        one(&typed(&kind("1", "0", &more), &[&hours]))
    };
    assert_eq!(of("4").unwrap().series.total_wh(), [3659, 0]);
    for register in ["1", "2", "3", "9"] {
        let series = of(register).unwrap().series;
        assert_eq!((series.total_wh(), series.entries().len(), series.entries()[0].start), ([479, 0], 2, 0));
    }
    assert!(matches!(of("12"), Err(SourceError::Accumulation { behaviour: 12, .. })));
    let falls = hours.replace("1479", "79");
    let more = "<e:accumulationBehaviour>1</e:accumulationBehaviour>";
    let falls = one(&typed(&kind("1", "0", more), &[&falls]));
    assert!(matches!(falls, Err(SourceError::RegisterFalls { .. })));
}

#[test]
fn tiers_are_parts_and_repetitions_are_not() {
    let tier = |n: u8| format!("<consumptionTier>{n}</consumptionTier>");
    let hour = |n| with(0, 3600, "90", &tier(n));
    assert_eq!(one(&feed("1", "0", &[&(hour(1) + &hour(2))])).unwrap().series.total_wh(), [180, 0]);
    // The same tier again is the same reading again.
    assert_eq!(one(&feed("1", "0", &[&(hour(1) + &hour(1))])).unwrap().series.total_wh(), [90, 0]);
}

#[test]
fn quality_is_kept() {
    let code = |n: u8| format!("<ReadingQuality><quality>{n}</quality></ReadingQuality>");
    let two = code(17) + &code(8);
    let text = feed("1", "0", &[&(with(0, 3600, "90", &code(17)) + &with(3600, 3600, "90", &two))]);
    let import = one(&text).unwrap();
    assert_eq!(import.findings.iter().map(|f| (f.rule, f.start)).collect::<Vec<_>>(), [(Rule::Estimated, Some(3600))]);
}

#[test]
fn other_things_are_passed_over_before_they_are_parsed() {
    for (more, value) in [
        ("<e:commodity>7</e:commodity>", "41.7 therms"),
        ("<e:kind>37</e:kind>", "x"),
        ("<e:dataQualifier>8</e:dataQualifier>", "1"),
    ] {
        let refused = one(&typed(&kind("1", "0", more), &[&r(0, 3600, value)]));
        assert!(matches!(refused, Err(SourceError::Empty(_))), "{more}: {refused:?}");
    }
    for electricity in ["0", "1", "2"] {
        let more = format!("<e:commodity>{electricity}</e:commodity>");
        assert!(one(&typed(&kind("1", "0", &more), &[&r(0, 3600, "1")])).is_ok());
    }
}

#[test]
fn a_feed_without_links_has_one_type_or_is_refused() {
    let kind = |uom| {
        format!(
            "<entry><content><ReadingType><flowDirection>0</flowDirection><uom>{uom}</uom></ReadingType></content></entry>"
        )
    };
    let block = format!("<entry><content><IntervalBlock>{}</IntervalBlock></content></entry>", r(0, 3600, "5"));
    let import = one(&format!("<feed>{}{block}</feed>", kind(72))).unwrap();
    assert_eq!((import.total_wh, import.findings[0].rule), ([5, 0], Rule::DirectionUnstated));
    // Types of unlinked entries have one name, and say two things.
    let two = one(&format!("<feed>{}{}{block}</feed>", kind(72), kind(38)));
    assert!(matches!(two, Err(SourceError::Redefined { .. })));
}

#[test]
fn a_spring_day_gives_way_to_the_block_that_begins_there() {
    let day = |from: i64, values: [&str; 2]| r(from, 3600, values[0]) + &r(from + 3600, 3600, values[1]);
    let import = one(&feed("1", "0", &[&day(0, ["1", "2"]), &day(3600, ["30", "4"])])).unwrap();
    assert_eq!(import.series.total_wh(), [35, 0]);
    assert_eq!(import.total_wh, [37, 0]);
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
    assert!(matches!(err(&["<IntervalReading><value>1</value></IntervalReading>"]), SourceError::Malformed { .. }));
    assert!(matches!(one("<feed></feed>"), Err(SourceError::Empty(_))));
    assert!(matches!(one("<feed><entry></feed>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(one("<feed><entry>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(one("<!DOCTYPE a><feed/>"), Err(SourceError::Malformed { .. })));
    assert!(matches!(one(&"<a>".repeat(100)), Err(SourceError::Malformed { .. })));
    for start in [i64::MIN, -3600, i64::MAX - 3600, i64::MAX] {
        assert!(matches!(err(&[&(r(start, 3600, "1") + &r(0, 3600, "1"))]), SourceError::Malformed { .. }), "{start}");
    }
    let untyped =
        feed("1", "0", &[&r(0, 900, "1")]).replace("/ReadingType/1'/><content><e", "/ReadingType/2'/><content><e");
    assert!(matches!(one(&untyped), Err(SourceError::Undefined { .. })));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*", value in "\\PC{0,6}") {
        let _ = one(&text);
        let _ = one(&feed("1", "0", &[&r(0, 900, &value)]));
    }
}
