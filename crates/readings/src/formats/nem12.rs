//! NEM12, the interval files of Australia's market (AEMO, Meter Data File Format).
//!
//! `200` opens a register (metering point, suffix, unit, minutes), `300` has a day of it, `400` the qualities of ranges of
//! that day, `500` a manual reading, `900` ends. Times are Australian Eastern Standard Time, UTC+10, all year. Suffix `E`
//! is energy to the customer, `B` from the customer; reactive energy (`Q`, `K`), voltage and the like are passed over.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};

use crate::{
    Choice, Finding, MAX_READINGS, Place, Rule, SourceError,
    energy::{Decimal, Energy, Unit},
    error::shown,
    model::{Channel, Decoded, Direction, Quality, Raw},
    zone::{Zone, checked_length},
};

/// Minutes of a day.
const DAY: u32 = 1440;

/// The register that is open.
struct Register {
    meter: String,
    suffix: String,
    direction: Direction,
    unit: Unit,
    length: u32,
}

/// The day that is open: its qualities may still follow.
struct Day {
    raws: Vec<Raw>,
    /// Which interval of the day has no value, with the quality null.
    nulls: Vec<bool>,
}

/// Reads every metering point.
///
/// # Errors
/// [`SourceError`].
pub fn decode(text: &str, _: &Choice) -> Result<Decoded, SourceError> {
    let zone = Zone::parse("+10:00")?;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut file = File {
        zone,
        register: None,
        day: None,
        channels: Vec::new(),
        count: 0,
        passed: BTreeMap::new(),
        findings: Vec::new(),
    };
    let (mut last, mut any) = (Place::default(), false);
    for record in reader.records() {
        let record = record.map_err(|e| {
            let at = Place::line(e.position().map_or(0, csv::Position::line));
            SourceError::Malformed { at, what: "a quoted field does not end" }
        })?;
        let at = Place::line(record.position().map_or(0, csv::Position::line));
        last = at;
        let cell = |i: usize| record.get(i).unwrap_or("").trim();
        match cell(0) {
            "100" if cell(1).eq_ignore_ascii_case("NEM12") => {}
            "100" => {
                let found = shown(cell(1));
                return Err(SourceError::NotRead(format!(
                    "{at}: {found} has no intervals; ask for the interval file, NEM12"
                )));
            }
            "200" => {
                file.close();
                file.open(&record, at)?;
                any = true;
            }
            "300" => {
                file.close();
                file.day(&record, at)?;
            }
            "400" => file.qualities(&record, at)?,
            "500" | "" => {}
            "900" => {
                file.close();
                file.register = None;
            }
            "250" | "550" => {
                let what = "accumulated readings (NEM13) have no intervals; ask for the interval file, NEM12";
                return Err(SourceError::NotRead(format!("{at}: {what}")));
            }
            other => {
                let at = Place { column: 1, ..at };
                return Err(SourceError::Cell { at, found: shown(other), expected: "a record of NEM12 (100 to 900)" });
            }
        }
    }
    file.close();
    if !any {
        return Err(SourceError::Empty(format!("no register (record 200) up to {last}")));
    }
    let mut findings = file.findings;
    for (suffix, count) in &file.passed {
        let finding = Finding::file(Rule::PassedOver, format!("register {}: not active energy", shown(suffix)));
        findings.push(Finding { count: *count, ..finding });
    }
    let (source, unit, zone) = ("nem12".to_owned(), "kWh".to_owned(), Some(file.zone));
    Ok(Decoded { source, zone, stamp: "end", unit, channels: file.channels, refused: vec![], findings })
}

struct File {
    zone: Zone,
    register: Option<Register>,
    day: Option<Day>,
    channels: Vec<Channel>,
    count: usize,
    passed: BTreeMap<String, u64>,
    findings: Vec<Finding>,
}

impl File {
    /// Record 200: NMI, configuration, register, suffix, data stream, serial number, unit, minutes.
    fn open(&mut self, record: &StringRecord, at: Place) -> Result<(), SourceError> {
        let cell = |i: usize| record.get(i).unwrap_or("").trim();
        let suffix = cell(4).to_ascii_uppercase();
        self.register = None;
        let direction = match suffix.chars().next() {
            Some('E') => Direction::Import,
            Some('B') => Direction::Export,
            Some(_) => {
                *self.passed.entry(suffix).or_default() += 1;
                return Ok(());
            }
            None => {
                return Err(SourceError::Cell {
                    at: Place { column: 5, ..at },
                    found: String::new(),
                    expected: "a suffix such as E1",
                });
            }
        };
        let unit = Unit::parse(cell(7)).filter(|unit| !unit.is_power());
        let unit = unit.ok_or_else(|| SourceError::Unit { at: Place { column: 8, ..at }, found: shown(cell(7)) })?;
        let minutes: u32 = cell(8).parse().map_err(|_| SourceError::Cell {
            at: Place { column: 9, ..at },
            found: shown(cell(8)),
            expected: "the minutes of an interval",
        })?;
        let length = checked_length(u64::from(minutes) * 60, Place { column: 9, ..at })?;
        self.register = Some(Register { meter: cell(1).to_owned(), suffix, direction, unit, length });
        Ok(())
    }

    /// Record 300: date, a value for every interval, quality, reason, …
    fn day(&mut self, record: &StringRecord, at: Place) -> Result<(), SourceError> {
        let Some(register) = &self.register else {
            // A day of a register that is passed over.
            return if self.passed.is_empty() {
                Err(SourceError::Malformed { at, what: "a day (300) before a register (200)" })
            } else {
                Ok(())
            };
        };
        let cell = |i: usize| record.get(i).unwrap_or("").trim();
        let date = match crate::csv::stamp(cell(1), Some(crate::csv::Order::Ymd)) {
            Some(crate::zone::Stamp::Local(date)) => date,
            _ => {
                let at = Place { column: 2, ..at };
                return Err(SourceError::Cell { at, found: shown(cell(1)), expected: "a date such as 20250618" });
            }
        };
        let midnight = self.zone.instants(date).first().copied().unwrap_or(0);
        let intervals = (DAY * 60 / register.length) as usize;
        // A day without values has its quality right after the date.
        let is_quality = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
        let values = if is_quality(cell(2)) { 0 } else { intervals };
        let quality_cell = cell(2 + values);
        if values > 0 && (record.len() < 2 + intervals || !is_quality(quality_cell)) {
            let given =
                (2..record.len()).find(|i| is_quality(cell(*i))).map_or(record.len().saturating_sub(2), |i| i - 2);
            let minutes = register.length / 60;
            let found = format!("{given} values");
            let expected = match minutes {
                5 => "a day of 288 values of 5 minutes, then its quality",
                15 => "a day of 96 values of 15 minutes, then its quality",
                30 => "a day of 48 values of 30 minutes, then its quality",
                _ => "a day of values, then its quality",
            };
            return Err(SourceError::Cell { at, found, expected });
        }
        let quality = quality(quality_cell, at)?;
        let part = part_of(&register.suffix);
        let mut day = Day { raws: Vec::with_capacity(values), nulls: vec![] };
        for i in 0..values {
            let at = Place { line: at.line, column: i as u64 + 3 };
            let text = cell(2 + i);
            let start = midnight + i64::try_from(i).unwrap_or(0) * i64::from(register.length);
            let number = if text.is_empty() { None } else { Some(Decimal::parse(text, '.')) };
            let energy = match number {
                None => None,
                Some(None) => return Err(SourceError::Cell { at, found: shown(text), expected: "a number" }),
                Some(Some(number)) => {
                    Some(Energy::of(number, register.unit, register.length).ok_or(SourceError::Implausible { at })?)
                }
            };
            self.count += 1;
            if self.count > MAX_READINGS {
                return Err(SourceError::TooManyReadings { at });
            }
            let energy_or_none = energy.unwrap_or(Energy::ZERO);
            day.raws.push(Raw {
                start,
                length: register.length,
                energy: energy_or_none,
                quality: quality.unwrap_or_default(),
                at,
                part,
                begins_block: false,
            });
            day.nulls.push(energy.is_none() || quality.is_none());
        }
        if values == 0 {
            self.findings.push(Finding::interval(Rule::Missing, midnight, DAY * 60, at));
        }
        self.day = Some(day);
        Ok(())
    }

    /// Record 400: first and last interval of a range, its quality.
    fn qualities(&mut self, record: &StringRecord, at: Place) -> Result<(), SourceError> {
        let cell = |i: usize| record.get(i).unwrap_or("").trim();
        let Some(day) = &mut self.day else {
            return if self.register.is_none() && !self.passed.is_empty() {
                Ok(())
            } else {
                Err(SourceError::Malformed { at, what: "qualities (400) before a day (300)" })
            };
        };
        let (first, last) = (cell(1).parse::<usize>().ok(), cell(2).parse::<usize>().ok());
        let range = match (first, last) {
            (Some(first), Some(last)) if first >= 1 && first <= last && last <= day.raws.len() => first - 1..last,
            _ => {
                let found = format!("intervals {} to {}", shown(cell(1)), shown(cell(2)));
                return Err(SourceError::Cell { at, found, expected: "a range of the day's intervals" });
            }
        };
        let quality = quality(cell(3), at)?;
        for i in range {
            if let (Some(raw), Some(null)) = (day.raws.get_mut(i), day.nulls.get_mut(i)) {
                match quality {
                    Some(quality) => raw.quality = quality,
                    None => *null = true,
                }
            }
        }
        Ok(())
    }

    /// The day is complete: its values become readings.
    fn close(&mut self) {
        let (Some(day), Some(register)) = (self.day.take(), &self.register) else { return };
        let same = |c: &Channel| c.meter == register.meter && c.direction == register.direction;
        let index = self.channels.iter().position(same).unwrap_or_else(|| {
            self.channels.push(Channel { merges: true, ..Channel::intervals(&register.meter, register.direction) });
            self.channels.len() - 1
        });
        let Some(channel) = self.channels.get_mut(index) else { return };
        for (raw, null) in day.raws.into_iter().zip(day.nulls) {
            if null {
                self.findings.push(Finding::interval(Rule::Missing, raw.start, raw.length, raw.at));
            } else {
                channel.raws.push(raw);
            }
        }
    }
}

/// Quality of NEM12: a letter, and a method. `N` is no value; `V` says that ranges (400) follow.
fn quality(text: &str, at: Place) -> Result<Option<Quality>, SourceError> {
    Ok(match text.chars().next() {
        Some('A') => Some(Quality::Measured),
        Some('E') => Some(Quality::Estimated),
        Some('F' | 'S') => Some(Quality::Substituted),
        Some('V') => Some(Quality::Unknown),
        Some('N') => None,
        None => Some(Quality::Unstated),
        Some(_) => {
            return Err(SourceError::Cell { at, found: shown(text), expected: "a quality (A, E, F, N, S or V)" });
        }
    })
}

/// A number of its own for every register of a direction: `E1` and `E2` are added, `E1` twice is not.
fn part_of(suffix: &str) -> u32 {
    suffix.bytes().take(3).fold(0, |number, byte| number * 256 + u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Import, read};

    fn of(text: &str) -> Result<Import, SourceError> {
        read(text.as_bytes(), &Choice::default())
    }

    fn day(date: &str, value: &str, count: usize, quality: &str) -> String {
        format!("300,{date},{}{quality},,,\n", format!("{value},").repeat(count))
    }

    fn file(suffix: &str, unit: &str, minutes: &str, days: &str) -> String {
        format!("200,NMI1,E1B1,{suffix},{suffix},,METER1,{unit},{minutes},\n{days}")
    }

    const HEAD: &str = "100,NEM12,202510071200,MDA1,Ret1\n";

    #[test]
    fn a_day_begins_at_midnight_of_eastern_standard_time() {
        // The clock change of Sydney on 2025-10-05 is none here.
        let import =
            of(&(HEAD.to_owned() + &file("E1", "kWh", "30", &day("20251005", "0.25", 48, "A")) + "900\n")).unwrap();
        assert_eq!((import.series.entries().len(), import.series.total_wh()), (48, [12_000, 0]));
        assert_eq!(import.series.entries()[0].start, 1_759_586_400);
        for (minutes, count) in [("5", 288), ("15", 96)] {
            let text = HEAD.to_owned() + &file("B1", "Wh", minutes, &day("20251005", "10", count, "A"));
            assert_eq!(of(&text).unwrap().series.total_wh(), [0, 10 * count as u64]);
        }
    }

    #[test]
    fn qualities_are_those_of_their_ranges() {
        let ranges = "400,1,20,A,,\n400,21,24,F14,76,\n400,25,47,E52,,\n400,48,48,N,,\n";
        let text = HEAD.to_owned() + &file("E1", "KWH", "30", &(day("20251005", "0.1", 48, "V") + ranges));
        let import = of(&text).unwrap();
        let rules: Vec<_> = import.findings.iter().map(|f| (f.rule, f.count)).collect();
        assert_eq!(rules, [(Rule::Estimated, 23), (Rule::Substituted, 4), (Rule::Missing, 1)]);
        assert_eq!(import.series.entries().len(), 47);
        let beyond = text.replace("400,48,48", "400,48,49");
        assert!(matches!(of(&beyond), Err(SourceError::Cell { .. })));
    }

    #[test]
    fn registers_of_a_direction_are_added_and_others_passed_over() {
        let one = |suffix, unit| file(suffix, unit, "30", &day("20251005", "0.1", 48, "A"));
        let import = of(&(HEAD.to_owned() + &one("E1", "kWh") + &one("E2", "kWh") + &one("Q1", "kVArh"))).unwrap();
        assert_eq!(import.series.total_wh(), [9600, 0]);
        assert_eq!(import.findings.iter().map(|f| f.rule).collect::<Vec<_>>(), [Rule::PassedOver]);
        let twice = HEAD.to_owned() + &one("E1", "kWh") + &one("E1", "kWh").replace("0.1", "0.2");
        assert!(matches!(of(&twice), Err(SourceError::Duplicate { .. })));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_line() {
        let e1 = |days: &str| of(&(HEAD.to_owned() + &file("E1", "kWh", "15", days)));
        assert!(matches!(
            e1(&day("20251005", "1", 48, "A")),
            Err(SourceError::Cell { at: Place { line: 3, .. }, found, .. }) if found == "48 values"
        ));
        assert!(e1(&day("20251305", "1", 96, "A")).is_err() && e1(&day("20251005", "1", 96, "X")).is_err());
        assert!(matches!(of("100,NEM13,2004,MDA1,Ret1\n250,V,11\n900\n"), Err(SourceError::NotRead(_))));
        assert!(matches!(of("100,NEM12,2004,MDA1,Ret1\n900\n"), Err(SourceError::Empty(_))));
        assert!(of(&(HEAD.to_owned() + &day("20251005", "1", 96, "A"))).is_err());
    }
}
