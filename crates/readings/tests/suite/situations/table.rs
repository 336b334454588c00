//! The table of changed copies: cases, the change, and what becomes of the value.

use gridveil_readings::SourceError;

use super::{Figures, changes as c};

/// What a case is read with, beside what it is read with unchanged.
pub enum Asked {
    Nothing,
    Zone(&'static str),
    Length(u32),
    Resample(u32),
    Meter(&'static str),
}

/// What becomes of the value.
pub enum Becomes {
    Same,
    Times(u64),
    Part(u64),
    /// Import is export, and export is import.
    Swapped,
    /// Every interval so many seconds later.
    Later(i64),
    /// Figures of the case, as they are now.
    Now(&'static str, fn(&mut Figures)),
    Refused(&'static str, fn(&SourceError) -> bool),
}

/// Number and text of a case to the bytes of its copy.
pub type Copied = Box<dyn Fn(&str, &str) -> Vec<u8>>;

pub struct Row {
    /// Numbers of the cases.
    pub cases: &'static str,
    /// What is changed.
    pub words: &'static str,
    pub asked: Asked,
    /// The copy.
    pub copy: Copied,
    pub becomes: Becomes,
}

fn row(
    cases: &'static str,
    words: &'static str,
    copy: impl Fn(&str, &str) -> String + 'static,
    becomes: Becomes,
) -> Row {
    let copy = Box::new(move |number: &str, text: &str| copy(number, text).into_bytes());
    Row { cases, words, asked: Asked::Nothing, copy, becomes }
}

fn bytes(cases: &'static str, words: &'static str, copy: fn(&str) -> Vec<u8>) -> Row {
    Row { cases, words, asked: Asked::Nothing, copy: Box::new(move |_, text| copy(text)), becomes: Becomes::Same }
}

/// The file as it is, asked for in another way.
fn asked(cases: &'static str, words: &'static str, asked: Asked, becomes: Becomes) -> Row {
    Row { cases, words, asked, copy: Box::new(|_, text| text.as_bytes().to_vec()), becomes }
}

/// Green Button: of one direction, and all.
const DIRECTED: &str = "02 03 06 07 08 10 11 12 37 39 41";
const FEEDS: &str = "02 03 04 05 06 07 08 10 11 12 37 38 39 41";
/// Columns that have names; ours among them.
const COLUMNS: &str = "13 14 15 17 19 20 22 23 26 27 28 29 30 31 32 33 34 35 36 40";

/// Changed copies by what they are of.
pub fn groups() -> [(&'static str, Vec<Row>); 4] {
    [
        ("Green Button", green_button()),
        ("Columns of all, written in another way", written_otherwise()),
        ("Columns of utilities, and NEM12", utilities()),
        ("Our own columns", our_own()),
    ]
}

/// Every changed copy.
pub fn table() -> Vec<Row> {
    groups().into_iter().flat_map(|(_, rows)| rows).collect()
}

fn green_button() -> Vec<Row> {
    use Becomes::{Later, Now, Part, Same, Swapped, Times};
    vec![
        row("02 03 04 05 06 07 10 11 12 37 38 39", "the unit is kWh", |_, t| c::multiplier(t, 3), Times(1000)),
        row("02 03 04 05 06 07 10 11 12 37 38 39", "the unit is mWh", |_, t| c::multiplier(t, -3), Part(1000)),
        row(
            "08",
            "the unit is ten times as large",
            |_, t| c::multiplier(t, 1),
            Now("tenths are whole", |f| {
                let tenths = f["total_tenth_wh"];
                f.extend([("import_wh".to_owned(), tenths), ("total_tenth_wh".to_owned(), 10 * tenths)]);
            }),
        ),
        row(FEEDS, "the same energy in thousandths of the unit", |_, t| c::finer(t), Same),
        row(FEEDS, "entries from the last to the first", |_, t| c::entries_backwards(t), Same),
        row(FEEDS, "readings of a block from the last to the first", |_, t| c::readings_backwards(t), Same),
        row(FEEDS, "a prefix for ESPI's elements", |_, t| c::prefixed(t), Same),
        row(FEEDS, "three zones farther west", |_, t| c::later(t, 3 * 3600), Later(3 * 3600)),
        row(DIRECTED, "received in place of delivered", |_, t| direction(t, "1", "19"), Swapped),
        row("38", "received in place of no direction", |_, t| direction(t, "0", "19"), Swapped),
        row("04", "the other sign", |_, t| c::other_sign(t), Swapped),
        row("05", "no generation behind it, and delivered", |_, t| direction(t, "20", "1"), Same),
        row(
            "03",
            "every estimate is validated",
            |_, t| c::instead(t, &[("<quality>8<", "<quality>17<"), ("<quality>9<", "<quality>17<")]),
            Now("nothing estimated", |f| {
                f.extend([("estimated_intervals".to_owned(), 0), ("estimated_export_wh".to_owned(), 0)]);
            }),
        ),
        row("09", "on the hour", |_, t| c::later(t, 1800), Same),
        row(
            "09",
            "half hours",
            |_, t| c::instead(t, &[("<duration>3600<", "<duration>1800<")]),
            Now("half hours", |f| {
                f.insert("interval_length".to_owned(), 1800);
            }),
        ),
        row("10", "parts by time of use", |_, t| c::instead(t, &[("consumptionTier", "tou")]), Same),
        row("11", "parts by tier", |_, t| c::instead(t, &[("tou", "consumptionTier")]), Same),
        row("10 11", "parts by critical peak", |_, t| c::critical_peak(t), Same),
        bytes(FEEDS, "UTF-16", |t| c::utf_16(&t.replace("UTF-8", "UTF-16"))),
        row(FEEDS, "every block twice", |_, t| c::blocks_twice(t), Same),
        row("12", "measured on the secondary side", |_, t| c::instead(t, &[("<commodity>2<", "<commodity>1<")]), Same),
        row(
            "41",
            "the negative value is positive",
            |_, t| c::instead(t, &[("<value>-20<", "<value>20<")]),
            Now("one interval more", |f| *f.get_mut("intervals").unwrap() += 1),
        ),
        asked(
            "07",
            "the meter that has bills alone",
            Asked::Meter("shed"),
            Becomes::Refused("monthly values", |e| matches!(e, SourceError::Length { length: 2_592_000, .. })),
        ),
        asked(
            "37",
            "the meter of gas",
            Asked::Meter("g1"),
            Becomes::Refused("no energy", |e| matches!(e, SourceError::Empty(_))),
        ),
    ]
}

fn direction(text: &str, from: &str, to: &str) -> String {
    let of = |code: &str| format!("<flowDirection>{code}<");
    c::swapped(text, &of(from), &of(to))
}

fn written_otherwise() -> Vec<Row> {
    use Becomes::Same;
    const DECIMALS: &str = "13 14 19 20 22 23 26 27 28 29 34 35";
    const ACCENTS: &str = "19 20 23 27 34 35";
    vec![
        row(COLUMNS, "columns from the right to the left", c::turned, Same),
        row(COLUMNS, "tabs between the columns", |n, t| c::separated(n, t, b'\t'), Same),
        row(COLUMNS, "two columns more", c::two_columns_more, Same),
        row(DECIMALS, "the other decimal sign and separator", c::other_decimal_sign, Same),
        row(COLUMNS, "the newest row first", c::newest_first, Same),
        row("13 15 17 24 26 28 30 36 40", "lines end as on Windows", |_, t| c::windows_lines(t), Same),
        bytes(COLUMNS, "UTF-16", c::utf_16),
        bytes("24", "UTF-16", c::utf_16),
        bytes(ACCENTS, "Windows-1252", c::windows_1252),
    ]
}

fn utilities() -> Vec<Row> {
    use Becomes::{Later, Now, Part, Same, Swapped, Times};
    vec![
        row("13", "Wh in place of kWh", |_, t| c::instead(t, &[("kWh", "Wh")]), Part(1000)),
        row("14 19 20 22 35", "Wh in place of kWh", |_, t| c::instead(t, &[("(kWh)", "(Wh)")]), Part(1000)),
        row("15", "kW in place of W", |_, t| c::instead(t, &[(";W;", ";kW;")]), Times(1000)),
        row("15", "fed in", |_, t| c::instead(t, &[("Consommation", "Production")]), Swapped),
        row("19 20", "fed in", |_, t| c::instead(t, &[("Verbrauch", "Einspeisung")]), Swapped),
        row("22", "fed in", |_, t| c::instead(t, &[("Consumption (kWh)", "Export (kWh)")]), Swapped),
        row(
            "22",
            "offsets of the next zone",
            |_, t| c::instead(t, &[("+01:00", "+02:00"), ("+00:00", "+01:00")]),
            Later(-3600),
        ),
        row("23", "the two columns swapped", |_, t| c::swapped(t, "Consumo registado", "Injeção registada"), Swapped),
        row("23", "W in place of kW", |_, t| c::instead(t, &[("(kW)", "(W)")]), Part(1000)),
        row("24", "Wh in place of kWh", |_, t| c::instead(t, &[("KWH", "WH")]), Part(1000)),
        row("24", "MWh in place of kWh", |_, t| c::instead(t, &[("KWH", "MWH")]), Times(1000)),
        row("24", "the two registers swapped", |_, t| c::swapped(t, ",E1,E1,", ",B1,B1,"), Swapped),
        row("26", "kWh in place of Wh", |_, t| c::instead(t, &[("Wh", "kWh")]), Times(1000)),
        row("27", "Wh in place of kWh", |_, t| c::instead(t, &[("KWH", "WH")]), Part(1000)),
        row("28", "the other sign", c::negated, Swapped),
        row("28", "Wh in place of kWh", |_, t| c::instead(t, &[("UOM: kWh", "UOM: Wh")]), Part(1000)),
        row(
            "35",
            "the rest in place of the use",
            |_, t| c::swapped(t, "Verbrauch (", "Restnetzbezug ("),
            Now("the operator's share less", |f| {
                let rest = f["import_wh"] - f["community_wh"];
                f.insert("import_wh".to_owned(), rest);
            }),
        ),
        row("14", "mean kW of an hour", |_, t| c::instead(t, &[("(kWh)", "(kW)")]), Same),
        row("22", "mean kW of half an hour", |_, t| c::instead(t, &[("(kWh)", "(kW)")]), Part(2)),
        row("19 20 35", "mean kW of a quarter", |_, t| c::instead(t, &[("(kWh)", "(kW)")]), Part(4)),
        row("15", "Wh in place of W", |_, t| c::instead(t, &[(";W;", ";Wh;")]), Times(2)),
        row("23", "kWh in place of mean kW", |_, t| c::instead(t, &[("(kW)", "(kWh)")]), Times(4)),
        row(
            "19",
            "every estimate is measured",
            |_, t| c::instead(t, &[(";E;", ";G;")]),
            Now("nothing estimated", measured),
        ),
        row(
            "27",
            "every estimate is measured",
            |_, t| c::instead(t, &[("Estimeret", "Målt")]),
            Now("nothing estimated", measured),
        ),
        row(
            "24",
            "every substitute is measured",
            |_, t| c::instead(t, &[("F14,76", "A,")]),
            Now("nothing estimated", measured),
        ),
        asked("13 14", "in Chicago", Asked::Zone("America/Chicago"), Later(3600)),
        asked("26 35", "in Lisbon", Asked::Zone("Europe/Lisbon"), Later(3600)),
        asked("23", "in Madrid", Asked::Zone("Europe/Madrid"), Later(-3600)),
        asked("28", "in New York", Asked::Zone("America/New_York"), Later(-3 * 3600)),
        asked("29", "in UTC", Asked::Zone("UTC"), Later(2 * 3600)),
        asked("15 22", "in a zone, though its times have offsets", Asked::Zone("America/Chicago"), Same),
    ]
}

fn local(cases: &'static str, words: &'static str, copy: fn(&str, &str) -> String) -> Row {
    Row { asked: Asked::Zone("Europe/Vienna"), ..row(cases, words, copy, Becomes::Same) }
}

fn measured(figures: &mut Figures) {
    figures.insert("estimated_intervals".to_owned(), 0);
}

fn our_own() -> Vec<Row> {
    use Becomes::{Later, Now, Refused, Same, Swapped};
    const SECONDS: &str = "17 30 31 36 40";
    vec![
        row("17 30 31 32 33 36 40", "kWh in place of Wh, and the values with them", |_, t| c::own_in_kwh(t), Same),
        row("34", "Wh in place of kWh", |_, t| c::instead(t, &[("_kwh", "_wh")]), Becomes::Part(1000)),
        row("17 30 32 33 34 36 40", "import and export swapped", |_, t| c::swapped(t, "import_", "export_"), Swapped),
        row("31", "fed in", |_, t| c::instead(t, &[("import_", "export_")]), Swapped),
        row(SECONDS, "two zones farther west", |_, t| c::own_later(t, 7200), Later(7200)),
        row("30 31 33 36 40", "mean W of an hour", |_, t| c::instead(t, &[("_wh", "_w")]), Same),
        row("34", "mean kW of an hour", |_, t| c::instead(t, &[("_kwh", "_kw")]), Same),
        local(SECONDS, "times of a clock in Vienna", |_, t| c::own_local(t)),
        local(SECONDS, "times of a clock in Vienna, the newest first", |n, t| c::newest_first(n, &c::own_local(t))),
        row(
            "17 30 31 40",
            "every row twice",
            |_, t| c::own_twice(t),
            Refused("a repeated instant", |e| matches!(e, SourceError::Duplicate { .. })),
        ),
        row("33", "with an offset", |_, t| c::instead(t, &[("Z,", "+02:00,")]), Later(-7200)),
        row("33", "on the second", |_, t| c::instead(t, &[(":00:01Z", ":00:00Z")]), Same),
        row("34", "with an offset", |_, t| c::instead(t, &[("Z;", "-03:00;")]), Later(3 * 3600)),
        row(
            "30",
            "no spike",
            |_, t| c::instead(t, &[(",41000,", ",900,")]),
            Now("an hour of 900 Wh", |f| {
                *f.get_mut("import_wh").unwrap() -= 41_000 - 900;
                f.remove("spike_interval").unwrap();
            }),
        ),
        asked(
            "17",
            "in half hours",
            Asked::Resample(1800),
            Now("half hours", |f| {
                *f.get_mut("intervals").unwrap() *= 2;
                f.insert("interval_length".to_owned(), 1800);
            }),
        ),
        asked(
            "40",
            "of half hours",
            Asked::Length(1800),
            Now("three of four are missing", |f| {
                let intervals = f["intervals"];
                f.insert("missing_intervals".to_owned(), 3 * (intervals - 1));
                f.insert("interval_length".to_owned(), 1800);
            }),
        ),
    ]
}
