//! Changes of a meter file that a utility, a spreadsheet or another meter makes: functions of the committed file.

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

/// Elements of Atom; all others of a feed are ESPI's.
const ATOM: [&str; 8] = ["feed", "entry", "link", "content", "id", "title", "updated", "published"];

/// What is between `open` and `<` becomes something else, everywhere.
fn each(text: &str, open: &str, to: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(open);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = part.split_once('<').unwrap();
        out += &format!("{open}{}<{rest}", to(value));
    }
    out
}

fn whole(text: &str) -> i64 {
    text.parse().unwrap()
}

/// Words in place of others.
pub fn instead(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing to change: {from}");
        text.replace(from, to)
    })
}

/// Two words, each in place of the other.
pub fn swapped(text: &str, one: &str, other: &str) -> String {
    assert!(text.contains(one) || text.contains(other), "nothing to swap: {one}");
    text.replace(one, "\u{1}").replace(other, one).replace('\u{1}', other)
}

/// Green Button: the unit, `10^by` times as large.
pub fn multiplier(text: &str, by: i64) -> String {
    each(text, "<powerOfTenMultiplier>", |power| (whole(power) + by).to_string())
}

/// Green Button: the same energy in thousandths of the unit.
pub fn finer(text: &str) -> String {
    each(&multiplier(text, -3), "<value>", |value| match value.split_once('.') {
        // What has a decimal point is not energy.
        Some(_) => value.to_owned(),
        None => format!("{value}000"),
    })
}

/// Green Button: everything so many seconds later.
pub fn later(text: &str, seconds: i64) -> String {
    each(text, "<start>", |start| (whole(start) + seconds).to_string())
}

/// Green Button: values with the other sign.
pub fn other_sign(text: &str) -> String {
    each(text, "<value>", |value| value.strip_prefix('-').map_or_else(|| format!("-{value}"), str::to_owned))
}

/// Pieces from `open` to `close`, each run of them from the last to the first.
fn backwards(text: &str, open: &str, close: &str) -> String {
    let (mut out, mut run, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find(open) {
        if !rest[..at].trim().is_empty() {
            out += &run.drain(..).rev().collect::<String>();
        }
        out += &rest[..at];
        let end = at + rest[at..].find(close).unwrap() + close.len();
        run.push(&rest[at..end]);
        rest = &rest[end..];
    }
    out += &run.drain(..).rev().collect::<String>();
    out + rest
}

/// Green Button: the entries of the feed from the last to the first, so that what is linked comes after the link.
pub fn entries_backwards(text: &str) -> String {
    backwards(text, "<entry>", "</entry>")
}

/// Green Button: the readings of a block from the last to the first.
pub fn readings_backwards(text: &str) -> String {
    backwards(text, "<IntervalReading>", "</IntervalReading>")
}

/// Green Button: of two parts of an hour, one is of a critical peak.
pub fn critical_peak(text: &str) -> String {
    let tier = if text.contains("<tou>") { "tou" } else { "consumptionTier" };
    let (open, close) = (format!("<{tier}>"), format!("</{tier}>"));
    text.replace(&format!("{open}1{close}"), "").replace(&format!("{open}2{close}"), "<cpp>1</cpp>")
}

/// Green Button: every block of readings a second time, in an entry of its own.
pub fn blocks_twice(text: &str) -> String {
    let entries = text.split_inclusive("</entry>");
    entries.map(|entry| if entry.contains("<IntervalBlock ") { entry.repeat(2) } else { entry.to_owned() }).collect()
}

/// Green Button: ESPI's elements with a prefix, each on a line of its own.
pub fn prefixed(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('<').enumerate() {
        let (slash, name) = part.strip_prefix('/').map_or(("", part), |name| ("/", name));
        let word = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let prefix = if word.is_empty() || ATOM.contains(&word) { "" } else { "espi:" };
        let name = name.replace("xmlns=\"http://naesb.org/espi\"", "xmlns:espi=\"http://naesb.org/espi\"");
        let line = if i > 0 && slash.is_empty() && !name.starts_with('?') { "\r\n\t" } else { "" };
        out += &if i == 0 { part.to_owned() } else { format!("{line}<{slash}{prefix}{name}") };
    }
    out
}

/// Columns of a case: separator, and how many lines stand above the header.
pub fn form(number: &str) -> (u8, usize) {
    match number {
        "15" => (b';', 2),
        "28" => (b',', 4),
        "19" | "20" | "23" | "26" | "27" | "29" | "34" | "35" => (b';', 0),
        _ => (b',', 0),
    }
}

/// Lines and cells of a case changed, and written with a separator.
fn columns(number: &str, text: &str, to: u8, change: impl Fn(usize, Vec<String>) -> Vec<String>) -> String {
    let (separator, above) = form(number);
    let text = text.trim_start_matches('\u{feff}');
    let mut rows =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes());
    let mut out = WriterBuilder::new().flexible(true).delimiter(to).from_writer(Vec::new());
    for (line, row) in rows.records().enumerate() {
        let row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        let row = if line < above { row } else { change(line - above, row) };
        out.write_record(&StringRecord::from(row)).unwrap();
    }
    String::from_utf8(out.into_inner().unwrap()).unwrap()
}

/// Columns from the right to the left.
pub fn turned(number: &str, text: &str) -> String {
    columns(number, text, form(number).0, |_, row| row.into_iter().rev().collect())
}

/// Another separator.
pub fn separated(number: &str, text: &str, to: u8) -> String {
    columns(number, text, to, |_, row| row)
}

/// A column in front that says nothing, and one at the end.
pub fn two_columns_more(number: &str, text: &str) -> String {
    columns(number, text, form(number).0, |line, row| {
        let [first, last] = if line == 0 { ["No.", "Remark"] } else { ["", ""] }.map(str::to_owned);
        let first = if line == 0 { first } else { line.to_string() };
        [vec![first], row, vec![last]].concat()
    })
}

/// Is it a number with this decimal sign?
fn decimal(cell: &str, sign: char) -> bool {
    let cell = cell.trim().trim_start_matches('-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    cell.split_once(sign).is_some_and(|(whole, part)| digits(whole) && digits(part))
}

/// The other decimal sign, and the separator that goes with it.
pub fn other_decimal_sign(number: &str, text: &str) -> String {
    let (from, sign, to) = if form(number).0 == b';' { (',', ".", b',') } else { ('.', ",", b';') };
    columns(number, text, to, |_, row| {
        row.into_iter().map(|cell| if decimal(&cell, from) { cell.replace(from, sign) } else { cell }).collect()
    })
}

/// The other sign of every number with decimals.
pub fn negated(number: &str, text: &str) -> String {
    columns(number, text, form(number).0, |_, row| {
        let other = |cell: String| cell.strip_prefix('-').map_or_else(|| format!("-{cell}"), str::to_owned);
        row.into_iter().map(|cell| if decimal(&cell, '.') { other(cell) } else { cell }).collect()
    })
}

/// Our own columns: Wh written as kWh.
pub fn own_in_kwh(text: &str) -> String {
    columns("own", text, b',', |line, row| {
        let kwh = |(i, cell): (usize, String)| match (line, i) {
            (0, _) => cell.replace("_wh", "_kwh"),
            (_, 0) => cell,
            _ => format!("{}.{:03}", whole(&cell) / 1000, whole(&cell) % 1000),
        };
        row.into_iter().enumerate().map(kwh).collect()
    })
}

/// Our own columns: unix seconds so much later.
pub fn own_later(text: &str, seconds: i64) -> String {
    columns("own", text, b',', |line, mut row| {
        if line > 0 {
            row[0] = (whole(&row[0]) + seconds).to_string();
        }
        row
    })
}

/// Our own columns: unix seconds as a clock in Vienna shows them.
pub fn own_local(text: &str) -> String {
    let vienna = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    columns("own", text, b',', |line, mut row| {
        if line > 0 {
            let instant = jiff::Timestamp::from_second(whole(&row[0])).unwrap();
            row[0] = vienna.to_datetime(instant).strftime("%Y-%m-%d %H:%M").to_string();
        }
        row
    })
}

/// Every row a second time.
pub fn own_twice(text: &str) -> String {
    let twice = |(i, line): (usize, &str)| format!("{line}\n").repeat(if i == 0 { 1 } else { 2 });
    text.lines().filter(|line| !line.is_empty()).enumerate().map(twice).collect()
}

/// Rows from the last to the first, as portals that show the newest on top write them.
pub fn newest_first(number: &str, text: &str) -> String {
    let head = form(number).1 + 1;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[..head].iter().chain(lines[head..].iter().rev()).map(|line| format!("{line}\n")).collect()
}

/// Lines end as on Windows.
pub fn windows_lines(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// UTF-16 with a mark, as spreadsheets save "Unicode text".
pub fn utf_16(text: &str) -> Vec<u8> {
    let text = text.trim_start_matches('\u{feff}');
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// The code page of Windows in western Europe: Latin 1 for what is used here.
pub fn windows_1252(text: &str) -> Vec<u8> {
    text.trim_start_matches('\u{feff}').chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}
