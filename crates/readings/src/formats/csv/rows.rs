//! Rows into channels.

use std::collections::BTreeMap;

use super::{
    header::{Column, Table, clean, column, matches},
    mapping::{Counts, EnergyColumn, Mapping, Names},
    quality::quality,
};
use crate::{
    Choice, Finding, Place, Rule, SourceError,
    energy::{Decimal, Energy, Unit},
    error::shown,
    model::{Behaviour, Channel, Decoded, Direction, Quality, Raw},
    register,
    zone::{Season, Stamp, Zone},
};

/// An energy column that is there.
pub(super) struct Value {
    pub(super) index: usize,
    counts: Counts,
    unit: Option<Unit>,
    register: bool,
    modulus: Option<Energy>,
}

/// A row, its cells understood.
pub(super) struct Row {
    pub(super) stamp: Stamp,
    pub(super) own_length: Option<u32>,
    pub(super) season: Option<Season>,
    quality: Quality,
    device: String,
    unit: Option<Unit>,
    pub(super) values: Vec<Option<(Decimal, u64)>>,
    pub(super) line: u64,
    column: u64,
}

/// Rows of one meter and one word of direction.
type Groups = BTreeMap<(String, Option<(Direction, u32)>), Vec<Row>>;

/// What a table is read with.
pub(super) struct Reader<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) table: &'a Table,
    pub(super) zone: Option<Zone>,
    pub(super) times: Vec<usize>,
    ends: Vec<usize>,
    pub(super) end: bool,
    pub(super) values: Vec<Value>,
    pub(super) decimal: char,
    pub(super) findings: Vec<Finding>,
}

/// Minutes from and to of a column such as `00:15-00:30` or `00:15`.
#[must_use]
pub fn day_column(name: &str) -> Option<(i64, Option<i64>)> {
    let minutes = |text: &str| {
        let (hour, minute) = text.trim().split_once([':', '.'])?;
        let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
        ((0..=24).contains(&hour) && (0..60).contains(&minute)).then_some(hour * 60 + minute)
    };
    match name.split_once(['-', '\u{2013}']) {
        Some((from, to)) => Some((minutes(from)?, Some(minutes(to)?))),
        None => Some((minutes(name)?, None)),
    }
}

/// Reads the table.
///
/// # Errors
/// [`SourceError`].
pub fn decode(mapping: &Mapping, table: &Table, choice: &Choice) -> Result<Decoded, SourceError> {
    let mut reader = Reader::new(mapping, table, choice)?;
    let groups = if mapping.day_rows { reader.day_rows()? } else { reader.rows()? };
    let unit = reader.values.iter().find_map(|v| v.unit).or_else(|| groups.values().flatten().find_map(|r| r.unit));
    let mut channels = Vec::new();
    for ((meter, told), rows) in groups {
        reader.channels(&meter, told, rows, choice, &mut channels)?;
    }
    let merged = merge_parts(channels);
    let stamp = if reader.end { "end" } else { "start" };
    let (source, unit) = (mapping.name.clone(), unit.map_or("", Unit::name).to_owned());
    Ok(Decoded { source, zone: reader.zone, stamp, unit, channels: merged, refused: vec![], findings: reader.findings })
}

/// Registers of one meter and direction that differ only in their word (day and night tariff) are parts of one.
fn merge_parts(channels: Vec<Channel>) -> Vec<Channel> {
    let mut merged: Vec<Channel> = Vec::new();
    for channel in channels {
        let same = |other: &&mut Channel| {
            (&other.meter, other.direction, other.behaviour) == (&channel.meter, channel.direction, channel.behaviour)
                && other.raws.first().map(|r| r.part) != channel.raws.first().map(|r| r.part)
        };
        match merged.iter_mut().find(same) {
            Some(first) => first.raws.extend(channel.raws),
            None => merged.push(channel),
        }
    }
    merged
}

impl<'a> Reader<'a> {
    fn new(mapping: &'a Mapping, table: &'a Table, choice: &Choice) -> Result<Self, SourceError> {
        let line = table.line;
        let all = |list: &[Names]| -> Result<Vec<usize>, SourceError> {
            let mut found = Vec::new();
            for names in list {
                found.extend(column(&table.header, names, line)?);
            }
            Ok(if found.len() == list.len() { found } else { Vec::new() })
        };
        let (starts, ends) = (all(&mapping.start)?, all(&mapping.end)?);
        let end = starts.is_empty();
        let (times, ends) = if end { (ends, Vec::new()) } else { (starts, ends) };
        let zone = match (&choice.zone, &mapping.zone) {
            (Some(zone), _) => Some(zone.clone()),
            (None, Some(name)) => Some(Zone::parse(name)?),
            (None, None) => None,
        };
        let mut reader =
            Self { mapping, table, zone, times, ends, end, values: Vec::new(), decimal: '.', findings: Vec::new() };
        reader.values = reader.energy_columns(choice)?;
        reader.decimal = reader.decimal_sign()?;
        Ok(reader)
    }

    fn energy_columns(&self, choice: &Choice) -> Result<Vec<Value>, SourceError> {
        let preamble = self.above(self.mapping.preamble.unit.as_deref()).and_then(|u| Unit::parse(&u));
        let mut values = Vec::new();
        for energy in &self.mapping.energy {
            let Some(index) = self.index(&energy.column)? else { continue };
            let named = energy.unit.as_deref().and_then(Unit::parse);
            let unit = self.table.header.get(index).and_then(|c| c.unit).or(preamble).or(named);
            let modulus = choice.register_modulus.or_else(|| modulus(energy, unit));
            values.push(Value { index, counts: energy.direction, unit, register: energy.register, modulus });
        }
        let has = |counts| values.iter().any(|v: &Value| v.counts == counts);
        if has(Counts::Import) && has(Counts::Export) {
            values.retain(|v| !matches!(v.counts, Counts::Net | Counts::NetExport | Counts::Load | Counts::Pv));
        }
        Ok(values)
    }

    fn index(&self, names: &Names) -> Result<Option<usize>, SourceError> {
        if self.mapping.day_rows {
            return Ok(None);
        }
        column(&self.table.header, names, self.table.line)
    }

    /// What stands above the header under this name: below it, beside it, or after a colon.
    pub(super) fn above(&self, name: Option<&str>) -> Option<String> {
        let name = name?.to_lowercase();
        for (i, cells) in self.table.before.iter().enumerate() {
            for (j, cell) in cells.iter().enumerate() {
                let lower = cell.to_lowercase();
                if lower == name {
                    let below = self.table.before.get(i + 1).and_then(|line| line.get(j));
                    return below.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
                }
                if let Some((key, _)) = lower.split_once(':')
                    && key.trim() == name
                {
                    return cell.split_once(':').map(|(_, value)| value.trim().to_owned());
                }
            }
        }
        None
    }

    pub(super) fn cell(&self, record: &csv::StringRecord, index: usize) -> String {
        clean(record.get(index).unwrap_or(""))
    }

    fn rows(&mut self) -> Result<Groups, SourceError> {
        let (mapping, table) = (self.mapping, self.table);
        let find = |names: &Option<Names>| match names {
            Some(names) => column(&table.header, names, table.line),
            None => Ok(None),
        };
        let (meter, quality_column, unit_column) =
            (find(&mapping.meter)?, find(&mapping.quality)?, find(&mapping.unit_column)?);
        let device = find(&mapping.device)?;
        let direction_column = find(&mapping.direction.as_ref().map(|d| d.column.clone()))?;
        let season_column = find(&mapping.season.as_ref().map(|s| s.column.clone()))?;
        let above = self.direction_above()?;
        let meter_above = self.above(mapping.preamble.meter.as_deref());
        let mut groups = Groups::new();
        let mut words: Vec<String> = Vec::new();
        let mut passed_over: BTreeMap<String, u64> = BTreeMap::new();
        let needed = self.times.iter().chain(self.values.iter().map(|v| &v.index)).max().copied().unwrap_or(0);
        for (line, record) in &table.rows {
            let line = *line;
            if record.len() <= needed {
                let what = "row has fewer fields than the header";
                return Err(SourceError::Malformed { at: Place::line(line), what });
            }
            let text = |index: Option<usize>| index.map(|i| self.cell(record, i)).unwrap_or_default();
            let unit_text = text(unit_column);
            let unit = Unit::parse(&unit_text);
            if unit_column.is_some() && unit.is_none() {
                *passed_over.entry(unit_text).or_default() += 1;
                continue;
            }
            let told = match (direction_column, &mapping.direction) {
                (Some(_), Some(known)) => {
                    let word = text(direction_column);
                    let lower = word.to_lowercase();
                    let is = |list: &[String]| list.iter().any(|pattern| matches(pattern, &lower));
                    let direction = if is(&known.ignore) {
                        *passed_over.entry(word).or_default() += 1;
                        continue;
                    } else if is(&known.import) {
                        Direction::Import
                    } else if is(&known.export) {
                        Direction::Export
                    } else {
                        let at = Place { line, column: direction_column.map_or(0, |i| i as u64 + 1) };
                        let expected = "a register that the profile knows";
                        return Err(SourceError::Cell { at, found: shown(&word), expected });
                    };
                    Some((direction, word_index(&mut words, lower)))
                }
                _ => above.map(|direction| (direction, 0)),
            };
            let season = mapping.season.as_ref().and_then(|words| {
                let word = text(season_column).to_lowercase();
                let is = |list: &[String]| list.iter().any(|pattern| matches(pattern, &word));
                if is(&words.summer) { Some(Season::Summer) } else { is(&words.winter).then_some(Season::Winter) }
            });
            let quality = match quality_column {
                Some(index) => quality(&self.cell(record, index), &mapping.quality_words),
                None => Some(Quality::Unstated),
            };
            let stamp = self.time(record, &self.times, line)?;
            let own_length = match (self.ends.is_empty(), stamp) {
                (true, _) => None,
                (false, _) => {
                    let length = self.time(record, &self.ends, line)?.clock() - stamp.clock();
                    u32::try_from(length).ok().filter(|length| *length > 0)
                }
            };
            let values = self.row_values(record, line, quality.is_none())?;
            let quality = quality.unwrap_or_default();
            let name = if meter.is_some() { text(meter) } else { meter_above.clone().unwrap_or_default() };
            let device = text(device);
            let row = Row { stamp, own_length, season, quality, device, unit, values, line, column: 0 };
            groups.entry((name, told)).or_default().push(row);
        }
        for (what, count) in passed_over {
            let finding = Finding::file(Rule::PassedOver, format!("rows of {:?}", shown(&what)));
            self.findings.push(Finding { count, ..finding });
        }
        Ok(groups)
    }

    fn row_values(
        &self,
        record: &csv::StringRecord,
        line: u64,
        missing: bool,
    ) -> Result<Vec<Option<(Decimal, u64)>>, SourceError> {
        let of = |index: usize| self.number(&self.cell(record, index), Place { line, column: index as u64 + 1 });
        let value = |v: &Value| if missing { Ok(None) } else { Ok(of(v.index)?.map(|d| (d, v.index as u64 + 1))) };
        self.values.iter().map(value).collect()
    }

    fn direction_above(&mut self) -> Result<Option<Direction>, SourceError> {
        let preamble = &self.mapping.preamble;
        let Some(name) = preamble.direction.as_deref() else { return Ok(None) };
        let Some(word) = self.above(Some(name)) else {
            self.findings.push(Finding::file(Rule::DirectionUnstated, format!("nothing says {name}: read as import")));
            return Ok(Some(Direction::Import));
        };
        let lower = word.to_lowercase();
        let is = |list: &[String]| list.iter().any(|pattern| matches(pattern, &lower));
        if is(&preamble.import) {
            Ok(Some(Direction::Import))
        } else if is(&preamble.export) {
            Ok(Some(Direction::Export))
        } else {
            let at = Place::line(self.table.line);
            Err(SourceError::Cell { at, found: shown(&word), expected: "a direction that the profile knows" })
        }
    }

    /// One row a day: a row of the table for every column.
    fn day_rows(&mut self) -> Result<Groups, SourceError> {
        let columns: Vec<(usize, i64)> = {
            let named = |(i, c): (usize, &Column)| day_column(&c.base).map(|(from, to)| (i, from, to));
            let all: Vec<_> = self.table.header.iter().enumerate().filter_map(named).collect();
            // A bare 00:15 first is the end of the first quarter.
            self.end = all.first().is_some_and(|(_, from, to)| to.is_none() && *from != 0);
            all.into_iter().map(|(i, from, _)| (i, from)).collect()
        };
        let energy = self.mapping.energy.first();
        let unit = energy.and_then(|e| e.unit.as_deref()).and_then(Unit::parse);
        let counts = energy.map_or(Counts::Import, |e| e.direction);
        self.values = vec![Value { index: 0, counts, unit, register: false, modulus: None }];
        let meter = match &self.mapping.meter {
            Some(names) => column(&self.table.header, names, self.table.line)?,
            None => None,
        };
        let mut groups = Groups::new();
        let mut count = 0;
        for (line, record) in &self.table.rows {
            let Stamp::Local(midnight) = self.time(record, &self.times, *line)? else {
                let at = Place::line(*line);
                return Err(SourceError::Malformed { at, what: "expected a date" });
            };
            let name = meter.map(|i| self.cell(record, i)).unwrap_or_default();
            for (index, minutes) in &columns {
                let at = Place { line: *line, column: *index as u64 + 1 };
                let value = self.number(&self.cell(record, *index), at)?.map(|d| (d, at.column));
                let local = midnight.checked_add(jiff::SignedDuration::from_mins(*minutes));
                let local = local.map_err(|_| SourceError::Malformed { at, what: "a date beyond all dates" })?;
                let (stamp, values) = (Stamp::Local(local), vec![value]);
                let (own_length, season, unit, quality, device) = (None, None, None, Quality::Unstated, String::new());
                count += 1;
                if count > crate::MAX_READINGS {
                    return Err(SourceError::TooManyReadings { at });
                }
                let (line, column) = (*line, at.column);
                let row = Row { stamp, own_length, season, quality, device, unit, values, line, column };
                groups.entry((name.clone(), None)).or_default().push(row);
            }
        }
        Ok(groups)
    }

    fn channels(
        &mut self,
        meter: &str,
        told: Option<(Direction, u32)>,
        mut rows: Vec<Row>,
        choice: &Choice,
        out: &mut Vec<Channel>,
    ) -> Result<(), SourceError> {
        // Values of a day beside those of quarter hours.
        if rows.iter().any(|r| r.own_length.is_some_and(|l| l <= 3600)) {
            let before = rows.len();
            rows.retain(|r| r.own_length.is_none_or(|l| l < 82_800));
            if rows.len() < before {
                let finding = Finding::file(Rule::PassedOver, "values of days");
                self.findings.push(Finding { count: (before - rows.len()) as u64, ..finding });
            }
        }
        let first =
            Place { line: rows.first().map_or(1, |r| r.line), column: self.times.first().map_or(0, |i| *i as u64 + 1) };
        let registers = self.values.iter().all(|v| v.register);
        let (starts, lengths) = self.starts(&mut rows, choice, first, registers)?;
        let mut made: Vec<Channel> = Vec::new();
        let mut net: Option<Channel> = None;
        for (k, value) in self.values.iter().enumerate() {
            let (direction, sign) = match (value.counts, told) {
                (Counts::Import, _) => (Direction::Import, 1),
                (Counts::Export, _) => (Direction::Export, 1),
                (Counts::Net | Counts::Load, _) => (Direction::Net, 1),
                (Counts::NetExport | Counts::Pv, _) => (Direction::Net, -1),
                (Counts::Community, _) => (Direction::Community, 1),
                (Counts::Told, Some((direction, _))) => (direction, 1),
                (Counts::Told, None) => {
                    return Err(SourceError::Columns { missing: "of the direction".into(), found: String::new() });
                }
            };
            let mut channel = Channel::intervals(meter, direction);
            let mut devices: Vec<(String, Vec<Raw>)> = Vec::new();
            for ((row, start), length) in rows.iter().zip(&starts).zip(&lengths) {
                let Some(start) = *start else { continue };
                let cell = row.values.get(k).copied().flatten();
                let column = if row.column > 0 { row.column } else { value.index as u64 + 1 };
                let at = Place { line: row.line, column };
                let Some((number, _)) = cell else {
                    self.findings.push(Finding::interval(Rule::Missing, start, *length, at));
                    continue;
                };
                let unit = row.unit.or(value.unit).ok_or(SourceError::Unit { at, found: String::new() })?;
                let energy = Energy::of(number, unit, *length).ok_or(SourceError::Implausible { at })?;
                let energy = if sign < 0 { Energy::ZERO - energy } else { energy };
                let (length, part) = (if value.register { 0 } else { *length }, told.map_or(0, |(_, part)| part));
                let raw = Raw { start, length, energy, quality: row.quality, at, part, begins_block: false };
                if !value.register {
                    channel.raws.push(raw);
                } else if let Some((_, raws)) = devices.iter_mut().find(|(name, _)| *name == row.device) {
                    raws.push(raw);
                } else {
                    devices.push((row.device.clone(), vec![raw]));
                }
            }
            if value.register {
                channel.behaviour = Behaviour::Register { modulus: value.modulus };
                channel.raws = register::joined(&devices, &mut self.findings)?;
            }
            if matches!(value.counts, Counts::Load | Counts::Pv) {
                net = Some(match net {
                    None => channel,
                    Some(before) => sum_rows(before, &channel),
                });
            } else if !channel.raws.is_empty() {
                made.push(channel);
            }
        }
        out.extend(made);
        out.extend(net.filter(|channel| !channel.raws.is_empty()));
        Ok(())
    }
}

fn word_index(words: &mut Vec<String>, word: String) -> u32 {
    let index = words.iter().position(|known| *known == word).unwrap_or_else(|| {
        words.push(word);
        words.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// One more than the register's highest reading: its maximum and one unit of its last digit.
fn modulus(energy: &EnergyColumn, unit: Option<Unit>) -> Option<Energy> {
    register_modulus(energy.register_max.as_deref()?, unit?)
}

/// `838860.7` of Wh rolls over at 838,860.8 Wh.
#[must_use]
pub fn register_modulus(highest: &str, unit: Unit) -> Option<Energy> {
    let step: String = match highest.split_once('.') {
        Some((_, decimals)) => format!("0.{}1", "0".repeat(decimals.len().checked_sub(1)?)),
        None => "1".to_owned(),
    };
    let of = |text: &str| Energy::of(Decimal::parse(text, '.')?, unit, 0);
    Some(of(highest)? + of(&step)?)
}

/// Net of two columns, row by row; a row without both has none.
fn sum_rows(mut a: Channel, b: &Channel) -> Channel {
    let other: BTreeMap<u64, &Raw> = b.raws.iter().map(|raw| (raw.at.line, raw)).collect();
    a.raws.retain_mut(|raw| {
        let Some(other) = other.get(&raw.at.line) else { return false };
        raw.energy += other.energy;
        true
    });
    a
}
