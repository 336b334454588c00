use super::*;
use crate::{Import, Place, Rule, read, zone::Zone};

fn with(text: &str, choice: &Choice) -> Result<Import, SourceError> {
    read(text.as_bytes(), &Choice { format: Some(crate::Format::Csv), ..choice.clone() })
}

fn ok(text: &str) -> Import {
    with(text, &Choice::default()).unwrap()
}

fn err(text: &str) -> SourceError {
    with(text, &Choice::default()).unwrap_err()
}

fn mapped(mapping: &str, text: &str) -> Result<Import, SourceError> {
    with(text, &Choice { mapping: Some(Mapping::parse(mapping)?), ..Choice::default() })
}

const HEAD: &str = "interval_start,import_wh,export_wh\n";

#[test]
fn every_profile_can_be_used() {
    let all = profiles().unwrap();
    assert!(all.len() >= 25 && all.iter().all(|p| !p.title.is_empty()));
    let mut names: Vec<&String> = all.iter().map(|p| &p.name).collect();
    names.dedup();
    assert_eq!(names.len(), all.len());
}

#[test]
fn both_clocks_and_both_energies_agree_in_any_column_order() {
    let unix = ok("export_wh,interval_start,import_wh\n0,3600,70\n20,7200,0\n");
    let rfc =
        ok("load_wh,other,pv_wh,interval_start_utc\n100,x,30,1970-01-01T01:00:00Z\n10,,30,1970-01-01T04:00:00+02:00\n");
    assert_eq!(unix.series, rfc.series);
    assert_eq!((unix.total_wh, unix.series.length()), ([70, 20], 3600));
    // Another unit in the name, another sign of the decimals, the other end of the interval.
    let kwh = ok("interval_end;export_kwh;import_kwh\n7200;0,0;0,07\n10800;0,02;0\n");
    assert_eq!(unix.series, kwh.series);
}

#[test]
fn every_fault_has_its_place() {
    let at = |line, column| Place { line, column };
    let body = |rows: &str| err(&format!("{HEAD}{rows}"));
    assert_eq!(body("0,1,0\n900,4294967296,0\n"), SourceError::Implausible { at: at(3, 2) });
    assert_eq!(body("0,1,0\n1000,2,0\n1900,2,0\n"), SourceError::Misaligned { at: at(3, 2), start: 1000, length: 900 });
    assert_eq!(body("0,1,0\n7,2,0\n"), SourceError::Length { at: at(2, 1), length: 7 });
    assert!(matches!(body("0,1,0\n900,2\n"), SourceError::Malformed { at: Place { line: 3, .. }, .. }));
    assert!(matches!(body("0,1,0\n900,2,0,7\n"), SourceError::Malformed { at: Place { line: 3, .. }, .. }));
    assert!(matches!(body("x,1,0\n"), SourceError::Cell { at: Place { line: 2, column: 1 }, .. }));
    assert!(matches!(body("0,1 2,0\n"), SourceError::Cell { at: Place { line: 2, column: 2 }, .. }));
    assert!(matches!(body("0,1,0\n900,2,0\n0,1,0\n"), SourceError::Duplicate { first_line: 2, start: 0, .. }));
    assert!(matches!(body(""), SourceError::Empty(_)));
    assert_eq!(body("0,1,0\n"), SourceError::UnknownLength);
    assert!(matches!(err("a,b\n1,2\n"), SourceError::UnknownFormat { found } if found == "a,b"));
    assert!(matches!(err("interval_start,interval_start,import_wh\n1,1,1\n"), SourceError::Malformed { .. }));
    let local = err("interval_start_utc,import_wh\n2017-05-01T07:00:00,1\n2017-05-01T08:00:00,1\n");
    assert!(matches!(local, SourceError::NoZone { .. }));
}

#[test]
fn numbers_that_may_mean_two_things_are_refused() {
    let body = |rows: &str| err(&format!("interval_start;import_kwh\n{rows}"));
    assert!(matches!(body("0;1,5\n900;1.5\n"), SourceError::Cell { .. }));
    // A comma that may group thousands.
    let grouped = err("interval_start,import_wh\n0,\"1,500\"\n900,\"2,250\"\n");
    assert!(matches!(grouped, SourceError::Cell { .. }), "{grouped}");
    assert_eq!(ok("interval_start,import_kwh\n0,\"0,500\"\n900,\"0,250\"\n").total_wh, [750, 0]);
}

#[test]
fn a_consumer_needs_no_export_and_what_is_missing_is_no_zero() {
    let import = ok("interval_start,import_wh\n0,5\n900,\n1800,7\n");
    assert_eq!((import.series.total_wh(), import.series.gaps().len()), ([12, 0], 1));
    assert!(import.findings.iter().any(|f| f.rule == Rule::Missing && f.start == Some(900)));
}

#[test]
fn one_meter_must_be_chosen() {
    let text = "home,interval_start,import_wh,export_wh\nA,0,1,0\nB,0,5,0\nA,900,2,0\nB,900,0,0\n";
    assert_eq!(err(text), SourceError::SeveralMeters { count: 2, names: "A, B".into() });
    let of = |meter: &str| with(text, &Choice { meter: Some(meter.to_owned()), ..Choice::default() });
    assert_eq!((of("A").unwrap().total_wh, of("B").unwrap().total_wh), ([3, 0], [5, 0]));
    assert_eq!(of("C").unwrap_err(), SourceError::NoSuchMeter("C".into()));
}

#[test]
fn a_users_mapping_says_everything() {
    let mapping = r#"
        zone = "Europe/Rome"
        order = "dmy"
        start = ["Tag", "Zeit"]
        quality = "Art"
        quality_words = { estimated = ["geraten"], missing = ["fehlt"] }
        [[energy]]
        column = "Bezug"
        direction = "import"
        unit = "W"
        [[energy]]
        column = "Lieferung"
        direction = "export"
        unit = "W"
    "#;
    let text = "Anschrift|x\nTag|Zeit|Bezug|Lieferung|Art\n01.06.2025|00:00|400|0|\n01.06.2025|00:15|0|80|geraten\n\
                01.06.2025|00:30|9|9|fehlt\n01.06.2025|00:45|4|0|\n";
    let import = mapped(mapping, text).unwrap();
    assert_eq!((import.series.total_wh(), import.series.gaps().len()), ([101, 20], 1));
    assert_eq!(import.series.entries()[0].start, 1_748_728_800);
    assert!(import.series.entries()[1].quality.is_estimate());
    // The same rows in another zone are another time.
    let elsewhere = Choice {
        mapping: Some(Mapping::parse(mapping).unwrap()),
        zone: Some(Zone::parse("UTC").unwrap()),
        ..Choice::default()
    };
    assert_eq!(with(text, &elsewhere).unwrap().series.entries()[0].start, 1_748_736_000);
    assert!(matches!(mapped(mapping, "Tag|Zeit\n1|2\n"), Err(SourceError::Columns { .. })));
    for wrong in [
        "",
        "start = [\"a\"]",
        "x = 1",
        "start=[\"a\"]\nzone=\"Nowhere\"\n[[energy]]\ncolumn=\"b\"\ndirection=\"import\"",
    ] {
        assert!(Mapping::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_row_may_say_its_direction() {
    let head = "Van (datum);Van (tijdstip);Tot (datum);Tot (tijdstip);EAN-code;Meter;Metertype;Register;\
                Volume;Eenheid;Validatiestatus;Omschrijving\n";
    let row = |time: &str, register: &str, volume: &str, unit: &str, status: &str| {
        let end = if time == "00:00:00" { "00:15:00" } else { "00:30:00" };
        let meter = "=\"541448820000000000\";1SAG;Digitale meter";
        format!("02-09-2025;{time};02-09-2025;{end};{meter};{register};{volume};{unit};{status};\n")
    };
    let rows = [
        row("00:00:00", "Afname Nacht", "0,065", "kWh", "Uitgelezen"),
        row("00:00:00", "Injectie Nacht", "0,000", "kWh", "Geen verbruik"),
        row("00:15:00", "Afname Dag", "0,120", "kWh", "Geschat"),
        row("00:15:00", "Injectie Dag", "0,050", "kWh", "Uitgelezen"),
        row("00:15:00", "Afname", "3", "m3", "Uitgelezen"),
    ];
    let import = ok(&(head.to_owned() + &rows.concat()));
    assert_eq!((import.meter.as_str(), import.series.total_wh()), ("541448820000000000", [185, 50]));
    assert_eq!((import.series.entries().len(), crate::report::figures(&import).estimated), (2, 1));
    assert!(import.findings.iter().any(|f| f.rule == Rule::PassedOver));
    let unknown = head.to_owned() + &row("00:00:00", "Teruglevering", "1", "kWh", "Uitgelezen");
    assert!(matches!(err(&unknown), SourceError::Cell { found, .. } if found == "Teruglevering"));
}

#[test]
fn spains_hours_are_counted_or_clocked() {
    let counted: String = (1..=25).map(|h| format!("ES1;26/10/2025;{h};0,1;R\n")).collect();
    let import = ok(&format!("CUPS;Fecha;Hora;AE_kWh;REAL/ESTIMADO\n{counted}"));
    assert_eq!((import.series.entries().len(), import.series.gaps().len()), (25, 0));
    assert_eq!(import.series.entries()[0].start, 1_761_429_600);
    let clocked: String = (1..=24).map(|h| format!("ES1;2025/06/18;{h:02}:00;0,1;Real\n")).collect();
    let import = ok(&format!("CUPS;Fecha;Hora;Consumo_kWh;Metodo_obtencion\n{clocked}"));
    assert_eq!((import.series.entries().len(), import.series.entries()[0].start), (24, 1_750_197_600));
}

#[test]
fn a_new_device_goes_on_where_the_old_one_ended() {
    let head = "interval_start,import_register_wh,device\n";
    let swapped = "0,9000,A\n3600,9100,A\n3600,7,B\n7200,57,B\n";
    let import = ok(&format!("{head}{swapped}"));
    assert_eq!((import.series.total_wh(), import.series.entries().len()), ([150, 0], 2));
    assert!(import.findings.iter().any(|f| f.rule == Rule::Swapped));
    // Without the opening reading at the closing one's time nobody knows what was between.
    let torn = err(&format!("{head}{}", swapped.replace("3600,7,B\n", "")));
    assert!(matches!(torn, SourceError::Swap { old, new, .. } if old == "A" && new == "B"));
    // Without its number the new device is a register that falls.
    let unnamed = err("interval_start,import_register_wh\n0,9000\n3600,9100\n7200,57\n");
    assert!(matches!(unnamed, SourceError::RegisterFalls { .. }));
}

#[test]
fn errors_do_not_print_readings() {
    let text = format!("{HEAD}0,987654321,0\n0,987654322,0\n900,1,0\n");
    assert!(!format!("{} {:?}", err(&text), ok(&format!("{HEAD}0,987654,0\n900,1,0\n")).series).contains("987654"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*") {
        let _ = with(&text, &Choice::default());
        let _ = with(&format!("{HEAD}{text}"), &Choice::default());
        let _ = with(&format!("Messzeitpunkt;Verbrauch (kWh)\n{text}"), &Choice::default());
    }
}
