//! Entries put in relation, and the registers that can be read chosen.

use std::collections::BTreeMap;

use super::parser::{AtomEntry, Block, Part, RawReading, ReadingType};
use crate::{
    Choice, Finding, Place, Rule, SourceError,
    energy::{Decimal, Energy, Unit},
    model::{Behaviour, Channel, Decoded, Direction, Quality, Raw},
};

const WATT_HOURS: i64 = 72;
/// No start is later, unix seconds: the year 10,000.
const LATEST: i64 = 253_402_300_800;

/// ESPI's QualityOfReading.
#[must_use]
pub fn quality(code: i64) -> Quality {
    match code {
        // valid, validated, verified, revenue quality; raw is measured and not yet validated.
        0 | 14 | 17 | 18 | 19 => Quality::Measured,
        10 => Quality::Questionable,
        // Estimated by a like day or linear; projected; mixed; normalised for weather.
        8 | 9 | 12 | 13 | 15 => Quality::Estimated,
        7 => Quality::Substituted,
        _ => Quality::Unknown,
    }
}

/// Entries, put in relation.
pub struct Feed {
    types: BTreeMap<String, ReadingType>,
    /// Meter reading -> reading type.
    readings: BTreeMap<String, String>,
    /// Meter reading -> blocks.
    blocks: BTreeMap<String, Vec<Block>>,
    findings: Vec<Finding>,
}

/// A register of a usage point that can be read.
struct Register {
    meter: String,
    kind: ReadingType,
    blocks: Vec<Block>,
    at: Place,
    length: i64,
}

/// `.../MeterReading/{r}` of a longer link.
fn meter_reading_of(link: &str) -> Option<&str> {
    let marker = "/MeterReading/";
    let start = link.find(marker)? + marker.len();
    let end = link.get(start..)?.find('/').map_or(link.len(), |i| start + i);
    link.get(..end)
}

/// `{u}` of `.../UsagePoint/{u}/...`.
fn usage_point_of(link: &str) -> &str {
    link.split_once("UsagePoint/").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""))
}

impl Feed {
    /// Puts entries in relation by their links; without any, by there being one reading type.
    ///
    /// # Errors
    /// [`SourceError::Undefined`], [`SourceError::Redefined`].
    pub fn of(entries: Vec<AtomEntry>) -> Result<Self, SourceError> {
        let findings = Vec::new();
        let mut feed = Self { types: BTreeMap::new(), readings: BTreeMap::new(), blocks: BTreeMap::new(), findings };
        let linked = entries.iter().any(|e| e.own.is_some() && (!e.blocks.is_empty() || !e.types.is_empty()));
        for entry in entries {
            let own = match entry.own {
                Some(own) => own,
                None if entry.blocks.is_empty() && entry.types.is_empty() && !entry.is_reading => continue,
                None if linked => return Err(SourceError::Undefined { at: entry.at, what: "the entry's self link" }),
                None => String::new(),
            };
            for (kind, at) in entry.types {
                if feed.types.insert(own.clone(), kind).is_some_and(|before| before != kind) {
                    return Err(SourceError::Redefined { at, what: "a reading type" });
                }
            }
            if entry.is_reading {
                match entry.related.into_iter().find(|link| link.contains("ReadingType/")) {
                    Some(kind) => {
                        let before = feed.readings.insert(own.clone(), kind.clone());
                        if before.is_some_and(|before| before != kind) {
                            return Err(SourceError::Redefined { at: entry.at, what: "a meter reading" });
                        }
                    }
                    None if linked => {
                        return Err(SourceError::Undefined { at: entry.at, what: "the meter reading's type" });
                    }
                    None => {}
                }
            }
            if !entry.blocks.is_empty() {
                let reading = if linked { meter_reading_of(&own) } else { Some("") };
                let undefined = SourceError::Undefined { at: entry.at, what: "the block's meter reading" };
                feed.blocks.entry(reading.ok_or(undefined)?.to_owned()).or_default().extend(entry.blocks);
            }
        }
        Ok(feed)
    }

    /// Chooses what can be read, then reads it.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn decoded(mut self, choice: &Choice) -> Result<Decoded, SourceError> {
        let mut registers: BTreeMap<String, Vec<Register>> = BTreeMap::new();
        let mut refused: Vec<(String, SourceError)> = Vec::new();
        for (reading, blocks) in std::mem::take(&mut self.blocks) {
            let at = blocks.first().map(|b| b.at).unwrap_or_default();
            let meter = usage_point_of(&reading).to_owned();
            if choice.meter.as_ref().is_some_and(|wanted| *wanted != meter) {
                continue;
            }
            let kind = self.kind_of(&reading, at)?;
            if let Some(what) = not_energy(&kind) {
                self.findings
                    .push(Finding { at: Some(at), ..Finding::file(Rule::PassedOver, format!("{what} of {meter:?}")) });
                refused.push((meter, SourceError::Empty(format!("{what} only"))));
                continue;
            }
            if blocks.iter().all(|b| b.readings.is_empty()) {
                continue;
            }
            let length = blocks.iter().flat_map(|b| &b.readings).filter_map(|r| r.length).max().unwrap_or(0);
            let register = Register { meter: meter.clone(), kind, blocks, at, length };
            registers.entry(meter).or_default().push(register);
        }
        let mut channels = Vec::new();
        for (meter, registers) in registers {
            match self.meter(registers) {
                Ok(mut of_meter) => channels.append(&mut of_meter),
                Err(error) => refused.push((meter, error)),
            }
        }
        let mut findings = self.findings;
        // What a chosen meter has beside its energy has been said already.
        let readable = |meter: &String| channels.iter().any(|c| c.meter == *meter);
        refused.retain(|(meter, _)| !readable(meter));
        findings.sort_by_key(|f| f.at.map(|at| at.line));
        let (source, unit) = ("green-button".to_owned(), "Wh".to_owned());
        Ok(Decoded { source, zone: None, stamp: "start", unit, channels, refused, findings })
    }

    fn kind_of(&self, reading: &str, at: Place) -> Result<ReadingType, SourceError> {
        let undefined = |what| SourceError::Undefined { at, what };
        if let Some(link) = self.readings.get(reading) {
            return self.types.get(link).copied().ok_or(undefined("the meter reading's type"));
        }
        let mut kinds = self.types.values();
        match (kinds.next(), kinds.next()) {
            (Some(only), None) if reading.is_empty() => Ok(*only),
            _ => Err(undefined("the block's meter reading")),
        }
    }

    /// The registers of one usage point: intervals before longer values, import and export before net.
    fn meter(&mut self, registers: Vec<Register>) -> Result<Vec<Channel>, SourceError> {
        let (intervals, longer): (Vec<_>, Vec<_>) = registers.into_iter().partition(|r| r.length <= 3600);
        if intervals.is_empty()
            && let Some(first) = longer.first()
        {
            return Err(SourceError::Length { at: first.at, length: first.length.unsigned_abs() });
        }
        let has = |direction| intervals.iter().any(|r: &Register| r.kind.direction == Some(direction));
        let (delivered, received) = (has(1), has(19));
        let count = intervals.len();
        let mut channels: Vec<Channel> = Vec::new();
        for register in intervals {
            let direction = match register.kind.direction {
                Some(1) => Direction::Import,
                Some(19) => Direction::Export,
                Some(4 | 20) if delivered && received => continue,
                Some(4) => Direction::Net,
                Some(20) => Direction::Total,
                Some(0) | None if count == 1 => {
                    let what = "the flow direction is not stated; read as delivered";
                    self.findings.push(Finding::file(Rule::DirectionUnstated, what));
                    Direction::Import
                }
                direction => {
                    let direction = direction.unwrap_or(0);
                    return Err(SourceError::FlowDirection { at: register.at, direction });
                }
            };
            let channel = read(&register, direction)?;
            let (parts, at) = (register.kind.part, register.at);
            match channels.iter_mut().find(|c| c.direction == direction) {
                // A register for each tariff.
                Some(other) if parts != Part::default() && other.behaviour == channel.behaviour => {
                    other.raws.extend(channel.raws);
                }
                Some(_) => return Err(SourceError::Redefined { at, what: "a register of the usage point" }),
                None => channels.push(channel),
            }
        }
        for register in longer {
            self.compare(&register, &channels);
        }
        Ok(channels)
    }

    /// Values of a day or month beside the intervals: their sum is a check of each other.
    fn compare(&mut self, longer: &Register, channels: &[Channel]) {
        let direction = match longer.kind.direction {
            Some(1) => Direction::Import,
            Some(19) => Direction::Export,
            _ => return,
        };
        let Some(channel) = channels.iter().find(|c| c.direction == direction && c.behaviour == Behaviour::Interval)
        else {
            return;
        };
        for reading in longer.blocks.iter().flat_map(|b| &b.readings) {
            let (Some(start), Some(length)) = (reading.start, reading.length) else { continue };
            let Ok(energy) = energy(reading, longer.kind.power_of_ten) else { continue };
            let end = start.saturating_add(length);
            let inside = |raw: &&Raw| raw.start >= start && raw.start < end;
            let seconds: i64 = channel.raws.iter().filter(inside).map(|r| i64::from(r.length)).sum();
            if seconds != length {
                continue;
            }
            let sum: Energy = channel.raws.iter().filter(inside).map(|r| r.energy).sum();
            let agrees = (sum - energy).abs() <= Energy::wh(1);
            let rule = if agrees { Rule::SumAgrees } else { Rule::SumDiffers };
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.findings.push(Finding::interval(rule, start, length, reading.at));
        }
    }
}

/// Why a reading type is not electrical energy; nothing if it is.
fn not_energy(kind: &ReadingType) -> Option<&'static str> {
    if !matches!(kind.commodity, None | Some(0..=2)) {
        return Some("another commodity than electricity");
    }
    match kind.unit {
        Some(WATT_HOURS) => {}
        Some(38) => return Some("mean or highest power (W)"),
        Some(80) => return Some("money"),
        _ => return Some("another unit than Wh"),
    }
    if !matches!(kind.kind, None | Some(0 | 12)) {
        return Some("another kind than energy (12)");
    }
    if !matches!(kind.qualifier, None | Some(0 | 12 | 26)) {
        return Some("another data qualifier than normal (12)");
    }
    None
}

fn read(register: &Register, direction: Direction) -> Result<Channel, SourceError> {
    let kind = &register.kind;
    let behaviour = match kind.accumulation {
        None | Some(0 | 4) => Behaviour::Interval,
        Some(1 | 2 | 3 | 9) => Behaviour::Register { modulus: None },
        Some(behaviour) => return Err(SourceError::Accumulation { at: register.at, behaviour }),
    };
    let mut channel = Channel { behaviour, merges: true, ..Channel::intervals(&register.meter, direction) };
    for block in &register.blocks {
        for (i, reading) in block.readings.iter().enumerate() {
            let at = reading.at;
            let missing = |what| SourceError::Malformed { at, what };
            let start = reading.start.ok_or(missing("reading without a start"))?;
            if !(0..LATEST).contains(&start) {
                return Err(missing("a start before 1970, or beyond all calendars"));
            }
            let length = reading.length.ok_or(missing("reading without a duration"))?;
            let length = u32::try_from(length).map_err(|_| missing("negative or endless duration"))?;
            let energy = energy(reading, kind.power_of_ten)?;
            let part = if reading.part == Part::default() { kind.part } else { reading.part };
            let quality = reading.quality.or(kind.default_quality).map_or(Quality::Unstated, quality);
            let length = if behaviour == Behaviour::Interval { length } else { 0 };
            let part = part_number(part);
            channel.raws.push(Raw { start, length, energy, quality, at, part, begins_block: i == 0 });
        }
    }
    Ok(channel)
}

/// A number of its own for every tariff, tier and critical peak.
fn part_number(part: Part) -> u32 {
    let of = |code: Option<i64>| code.map_or(0, |c| u32::try_from(c.clamp(0, 998) + 1).unwrap_or(0));
    of(part.tou) * 1_000_000 + of(part.tier) * 1000 + of(part.cpp)
}

fn energy(reading: &RawReading, power: i64) -> Result<Energy, SourceError> {
    let at = reading.at;
    let value = reading.value.as_deref().ok_or(SourceError::Malformed { at, what: "reading without a value" })?;
    let number = Decimal::parse(value, '.').ok_or_else(|| SourceError::Cell {
        at,
        found: crate::error::shown(value),
        expected: "a number",
    })?;
    let energy = number.shifted(power).and_then(|wh| Energy::of(wh, Unit::Wh, 0));
    energy.ok_or(SourceError::Implausible { at })
}
