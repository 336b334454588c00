//! P1: the telegrams that Dutch and Belgian meters write every second or every ten (DSMR 4 and 5, eMUCS).
//!
//! A file may hold any number of telegrams. Each is checked by its CRC-16; one that does not hold is left out and counted.
//! The registers 1.8.x (import) and 2.8.x (export) of all tariffs are added, and the readings at the borders of the
//! intervals give the energies between them. Which tariff is by day differs between the Netherlands and Belgium; in the sum
//! it does not. Telegrams of DSMR 2 and 3 carry neither time nor checksum and are refused.

use std::collections::BTreeMap;

use crate::{
    Choice, Finding, Place, Rule, SourceError,
    csv::{Order, stamp},
    energy::{Decimal, Energy, Unit},
    error::shown,
    model::{Behaviour, Channel, Decoded, Direction, Quality, Raw},
    register,
    zone::Stamp,
};

/// Largest telegram, bytes: the longest real ones have two thousand.
pub const MAX_TELEGRAM: usize = 16 << 10;
/// Most telegrams of one file: a week of one a second.
const MAX_TELEGRAMS: usize = 700_000;
/// Interval of settlement where none is named, seconds.
pub const INTERVAL: u32 = 900;
/// A telegram counts for a border that it follows by at most this many seconds.
pub const LATE: i64 = 10;

/// What a telegram says of electricity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// Equipment identifier, as it is sent; empty if it is not.
    pub meter: String,
    /// Unix seconds.
    pub time: i64,
    /// Import and export registers, where the meter has them.
    pub registers: [Option<Energy>; 2],
}

/// Checksum of a telegram, from `/` to `!`: CRC-16 with the reflected polynomial A001, from 0.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 })
    })
}

/// A telegram as it was sent: of DSMR 2 and 3 it has neither checksum nor time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Equipment identifier, as it is sent; empty if it is not.
    pub meter: String,
    /// Unix seconds, by the meter's clock.
    pub time: Option<i64>,
    /// Import and export registers, where the meter has them.
    pub registers: [Option<Energy>; 2],
    /// Does a checksum hold? Otherwise there is none.
    pub checked: bool,
}

/// Reads one telegram, from its `/` to the end of the line of its `!`. `line` is that of the `/`. A checksum may be missing
/// only where none is due: a telegram with a time or a version (DSMR 4, 5, eMUCS) has one.
///
/// # Errors
/// [`SourceError::Checksum`], [`SourceError::Malformed`], [`SourceError::NotRead`] for one without electricity.
pub fn sent(bytes: &[u8], line: u64) -> Result<Sent, SourceError> {
    let at = Place::line(line);
    let malformed = |what| SourceError::Malformed { at, what };
    if bytes.len() > MAX_TELEGRAM {
        return Err(malformed("telegram is longer than any meter's"));
    }
    let end = bytes.iter().rposition(|b| *b == b'!').ok_or(malformed("telegram without its end (!)"))?;
    let (body, tail) = bytes.split_at_checked(end + 1).ok_or(malformed("telegram without its end (!)"))?;
    let tail = std::str::from_utf8(tail).map_err(|_| malformed("checksum is no text"))?.trim();
    let text = String::from_utf8_lossy(body);
    let checked = !tail.is_empty();
    let wrong = SourceError::Checksum { at, what: "telegram of a P1 port" };
    // Some meters leave a leading zero out.
    let told = u16::from_str_radix(tail, 16).ok().filter(|_| tail.len() <= 4);
    if checked && told != Some(checksum(body)) {
        return Err(wrong);
    }
    let (mut meter, mut time, mut due) = (String::new(), None, false);
    let mut registers: [BTreeMap<String, Energy>; 2] = [BTreeMap::new(), BTreeMap::new()];
    for (row, number) in text.lines().zip(line..) {
        let Some((code, rest)) = row.trim().split_once('(') else { continue };
        let value = rest.split(')').next().unwrap_or("");
        let at = Place::line(number);
        match code {
            "0-0:96.1.1" => value.clone_into(&mut meter),
            "0-0:1.0.0" => (time, due) = (Some(instant(value, at)?), true),
            "1-3:0.2.8" | "0-0:96.1.4" => due = true,
            _ => {
                let index = match code.strip_prefix("1-0:").and_then(|c| c.split_once(".8.")) {
                    Some(("1", _)) => 0,
                    Some(("2", _)) => 1,
                    _ => continue,
                };
                if !rest.contains(')') {
                    return Err(SourceError::Cell { at, found: shown(value), expected: "a register in kWh" });
                }
                let energy = reading(value, at)?;
                if let Some(registers) = registers.get_mut(index) {
                    registers.insert(code.to_owned(), energy);
                }
            }
        }
    }
    if due && !checked {
        return Err(wrong);
    }
    let sum = |of: &BTreeMap<String, Energy>| {
        let total = of.iter().find(|(code, _)| code.ends_with(".8.0")).map(|(_, energy)| *energy);
        total.or_else(|| (!of.is_empty()).then(|| of.values().copied().sum()))
    };
    let registers = [sum(&registers[0]), sum(&registers[1])];
    if registers == [None, None] {
        let what = "a telegram without a register of electricity (1.8 or 2.8): a meter of heat, gas or water";
        return Err(SourceError::NotRead(format!("{at}: {what}")));
    }
    Ok(Sent { meter, time, registers, checked })
}

/// As [`sent`], of a file, where only the telegram itself says when it was sent.
///
/// # Errors
/// As [`sent`]; [`SourceError::NotRead`] for one without a time.
pub fn telegram(bytes: &[u8], line: u64) -> Result<Telegram, SourceError> {
    let at = Place::line(line);
    let Sent { meter, time, registers, checked } = sent(bytes, line)?;
    if !checked {
        let what =
            "a telegram without checksum and time (DSMR 2 or 3) says how much, but not when: read the meter live";
        return Err(SourceError::NotRead(format!("{at}: {what}")));
    }
    let time = time.ok_or_else(|| SourceError::NotRead(format!("{at}: a telegram without a time (0-0:1.0.0)")))?;
    Ok(Telegram { meter, time, registers })
}

/// `YYMMDDhhmmssX`, X = S (UTC+2) or W (UTC+1).
fn instant(text: &str, at: Place) -> Result<i64, SourceError> {
    let refused = || SourceError::Cell { at, found: shown(text), expected: "a time such as 260118120000W" };
    let digits = text.get(..12).ok_or_else(refused)?;
    let offset = match text.get(12..) {
        Some("S") => 7200,
        Some("W") => 3600,
        _ => return Err(refused()),
    };
    match stamp(&format!("20{digits}"), Some(Order::Ymd)) {
        Some(local @ Stamp::Local(_)) => Ok(local.clock() - offset),
        _ => Err(refused()),
    }
}

/// `001581.123*kWh`.
fn reading(text: &str, at: Place) -> Result<Energy, SourceError> {
    let refused = || SourceError::Cell { at, found: shown(text), expected: "a register in kWh" };
    let (number, unit) = text.split_once('*').ok_or_else(refused)?;
    let unit = Unit::parse(unit).filter(|unit| !unit.is_power()).ok_or_else(refused)?;
    Decimal::parse(number, '.').and_then(|n| Energy::of(n, unit, 0)).filter(|e| !e.is_negative()).ok_or_else(refused)
}

/// Telegrams of a file: each from a line that begins with `/` to the end of the line that begins with `!`.
fn cut(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found: Vec<(u64, &[u8])> = Vec::new();
    let mut begins: Option<(u64, usize)> = None;
    let mut offset = 0;
    for (line, row) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        match row.first() {
            Some(b'/') => {
                if let Some((first, from)) = begins.replace((line, offset)) {
                    // Cut short: the next one begins.
                    found.extend(bytes.get(from..offset).map(|cut| (first, cut)));
                }
            }
            Some(b'!') => {
                if let Some((first, from)) = begins.take() {
                    found.extend(bytes.get(from..offset + row.len()).map(|whole| (first, whole)));
                }
            }
            _ => {}
        }
        offset += row.len();
    }
    if let Some((first, from)) = begins {
        found.extend(bytes.get(from..).map(|cut| (first, cut)));
    }
    found
}

/// Reads every meter of a file of telegrams.
///
/// # Errors
/// [`SourceError`].
pub fn decode(bytes: &[u8], choice: &Choice) -> Result<Decoded, SourceError> {
    let telegrams = cut(bytes);
    if telegrams.len() > MAX_TELEGRAMS {
        let at = Place::line(telegrams.get(MAX_TELEGRAMS).map_or(0, |(line, _)| *line));
        return Err(SourceError::TooManyReadings { at });
    }
    let mut meters: BTreeMap<String, Vec<(Telegram, u64)>> = BTreeMap::new();
    let (mut bad, mut first_fault) = (0u64, None);
    for (line, bytes) in &telegrams {
        match telegram(bytes, *line) {
            Ok(found) => meters.entry(found.meter.clone()).or_default().push((found, *line)),
            Err(error) => {
                bad += 1;
                first_fault = first_fault.or(Some(error));
            }
        }
    }
    if let (true, Some(error)) = (meters.is_empty(), &first_fault) {
        return Err(error.clone());
    }
    let mut decoded = Decoded { source: "p1".into(), stamp: "end", unit: "kWh".into(), ..Decoded::default() };
    if let Some(error) = first_fault {
        let finding = Finding::file(Rule::BadTelegram, format!("the first: {error}"));
        decoded.findings.push(Finding { count: bad, ..finding });
    }
    for (meter, telegrams) in meters {
        let readings: Vec<Sample> = telegrams
            .iter()
            .map(|(t, line)| Sample { time: t.time, registers: t.registers, at: Place::line(*line) })
            .collect();
        match channels(&meter, &readings, choice.length.unwrap_or(INTERVAL), "telegram") {
            Ok(channels) => decoded.channels.extend(channels),
            Err(error) => decoded.refused.push((meter, error)),
        }
    }
    Ok(decoded)
}

/// Registers at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Unix seconds.
    pub time: i64,
    /// Import and export.
    pub registers: [Option<Energy>; 2],
    /// Where.
    pub at: Place,
}

/// Registers of one meter at the borders of intervals of `length` seconds.
///
/// # Errors
/// [`SourceError::NoInterval`] if fewer than two borders have a reading.
pub fn channels(meter: &str, samples: &[Sample], length: u32, what: &str) -> Result<Vec<Channel>, SourceError> {
    let mut channels = Vec::new();
    for (side, direction) in [(0, Direction::Import), (1, Direction::Export)] {
        let raw = |sample: &Sample| {
            let energy = sample.registers.get(side).copied().flatten()?;
            let (start, at, quality) = (sample.time, sample.at, Quality::Measured);
            Some(Raw { start, length: 0, energy, quality, at, part: 0, begins_block: false })
        };
        let raws = register::at_borders(samples.iter().filter_map(raw).collect(), length, LATE);
        if raws.len() > 1 {
            let behaviour = Behaviour::Register { modulus: None };
            channels.push(Channel { behaviour, raws, ..Channel::intervals(meter, direction) });
        }
    }
    if channels.is_empty() {
        let seconds = match (samples.iter().map(|s| s.time).min(), samples.iter().map(|s| s.time).max()) {
            (Some(first), Some(last)) => last - first,
            _ => 0,
        };
        let plural = if samples.len() == 1 { "" } else { "s" };
        let found = format!("{} {what}{plural} over {seconds} s, and no whole interval of {length} s", samples.len());
        return Err(SourceError::NoInterval { found });
    }
    Ok(channels)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Import, read};

    /// A telegram of DSMR 5 at a time, with registers in Wh.
    pub(crate) fn written(time: &str, import: [u32; 2], export: u32) -> String {
        let kwh = |wh: u32| format!("{:06}.{:03}*kWh", wh / 1000, wh % 1000);
        let body = format!(
            "/ISK5\\2M550T-1012\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0({time})\r\n0-0:96.1.1(4530)\r\n1-0:1.8.1({})\r\n1-0:1.8.2({})\r\n\
             1-0:2.8.1({})\r\n1-0:1.7.0(00.111*kW)\r\n0-1:24.2.1(700101010000W)(00000000)\r\n!",
            kwh(import[0]),
            kwh(import[1]),
            kwh(export)
        );
        format!("{body}{:04X}\r\n", checksum(body.as_bytes()))
    }

    fn of(text: &str) -> Result<Import, SourceError> {
        read(text.as_bytes(), &Choice::default())
    }

    #[test]
    fn borders_give_the_energy_between_them() {
        let text = [
            written("251026024500S", [1000, 500], 10),
            written("251026024510S", [1001, 500], 10),
            // The clock goes back: a quarter of an hour later it is 02:00 again.
            written("251026020003W", [1100, 520], 10),
            written("251026021501W", [1100, 600], 40),
        ];
        let import = of(&text.concat()).unwrap();
        let wh: Vec<_> = import.series.entries().iter().map(|e| (e.start, e.import_wh, e.export_wh)).collect();
        assert_eq!(wh, [(1_761_439_500, 120, 0), (1_761_440_400, 80, 30)]);
        assert_eq!((import.meter.as_str(), import.series.length()), ("4530", 900));
    }

    #[test]
    fn a_bad_checksum_leaves_its_telegram_out() {
        let good = [
            written("260118120000W", [0, 0], 0),
            written("260118121500W", [50, 0], 0),
            written("260118123000W", [90, 0], 0),
        ];
        let cut = written("260118121000W", [40, 0], 0).replace("0-0:96.1.1", "0-0:96.1.9");
        let import = of(&[&good[0], &cut, &good[1], "/ISK5\\cut in the mid", &good[2]].map(String::from).concat());
        // The cut one swallows what follows on its line, so the third is lost with it.
        let import = import.unwrap();
        assert_eq!(import.series.total_wh(), [50, 0]);
        assert!(import.findings.iter().any(|f| f.rule == Rule::BadTelegram));
        assert!(matches!(of(&cut), Err(SourceError::Checksum { at: Place { line: 1, .. }, .. })));
    }

    #[test]
    fn what_a_telegram_lacks_is_said() {
        let one = written("260118120000W", [5000, 0], 0);
        let alone = of(&one).unwrap_err();
        assert!(matches!(&alone, SourceError::NoInterval { .. }) && !alone.to_string().contains("5000"), "{alone}");
        let cut = one.split_once('!').map(|(body, _)| format!("{body}!\r\n")).unwrap();
        assert!(matches!(of(&cut), Err(SourceError::Checksum { .. })), "it has a version, and so it had a checksum");
        let old = cut.replace("1-3:0.2.8(50)\r\n0-0:1.0.0(260118120000W)\r\n", "");
        assert!(matches!(of(&old), Err(SourceError::NotRead(why)) if why.contains("DSMR 2 or 3")));
        let again = |body: String| {
            let body = body.split_once('!').map(|(body, _)| format!("{body}!")).unwrap();
            format!("{body}{:X}\r\n", checksum(body.as_bytes()))
        };
        let heat = again(one.replace("1-0:1.8", "1-0:9.8").replace("1-0:2.8", "1-0:9.8"));
        assert!(matches!(of(&heat), Err(SourceError::NotRead(why)) if why.contains("heat")));
        assert!(matches!(of(&again(one.replace("260118120000W", "632525252525W"))), Err(SourceError::Cell { .. })));
    }

    #[test]
    fn a_register_that_falls_is_a_fault() {
        let text = written("260118120000W", [5000, 0], 0) + &written("260118121500W", [4000, 0], 0);
        assert!(matches!(of(&text), Err(SourceError::RegisterFalls { .. })));
        let gap = written("260118120000W", [0, 0], 0)
            + &written("260118121500W", [40, 0], 0)
            + &written("260118130000W", [90, 0], 0);
        let import = of(&gap).unwrap();
        assert_eq!((import.series.entries().len(), import.series.total_wh()), (1, [40, 0]));
        assert!(import.findings.iter().any(|f| f.rule == Rule::Missing));
    }
}
