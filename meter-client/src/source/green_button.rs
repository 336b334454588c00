//! Green Button: the ESPI Atom feed that utilities hand to their customers.
//!
//! An Atom entry's `self` link places what it holds: `.../UsagePoint/{u}/MeterReading/{r}/IntervalBlock/..`; a
//! MeterReading entry's `related` link names its ReadingType, which says what the values mean. Only electrical energy
//! in Wh (`uom` 72) of one direction is read: `flowDirection` 1 (delivered) is import, 19 (received) is export; blocks
//! of other units (cost, power) are passed over. Energy is `value * 10^powerOfTenMultiplier`. Numbers may have spaces
//! around them.
//!
//! Peculiarities of real feeds, and how they are read:
//! - A feed joined from daily feeds repeats usage points, meter readings and reading types: accepted if they say the
//!   same.
//! - A reading given twice with the same value: merged and counted.
//! - PG&E writes 24 readings into the 23-hour day of spring: the block's last reading falls on the first interval of
//!   the next day's block. Where the two differ, the reading of the block that *begins* with this interval is kept,
//!   because there it is inside its own day; the interval is listed in [`Series::overlaps`] and cannot be signed unless
//!   the caller accepts it. Any other contradiction is an error.
//! - In autumn it leaves the repeated hour out: a gap, which [`Series::gaps`] lists.

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use gridveil_protocol::units::Wh;
use quick_xml::{Reader, events::Event};

use super::{Entry, Import, MAX_READINGS, Overlap, Place, Series, SourceError, checked_length, checked_start};

/// Deepest element nesting; ESPI needs eight.
const MAX_DEPTH: usize = 64;
const WATT_HOURS: i64 = 72;
const ELECTRICITY: i64 = 1;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct ReadingType {
    direction: Option<i64>,
    power_of_ten: i64,
    unit: Option<i64>,
    commodity: Option<i64>,
}

#[derive(Clone, Copy)]
struct RawReading {
    start: i64,
    length: u64,
    value: i64,
    at: Place,
}

struct Block {
    readings: Vec<RawReading>,
    at: Place,
}

/// What one Atom entry holds.
#[derive(Default)]
struct AtomEntry {
    own: Option<String>,
    related: Vec<String>,
    types: Vec<(ReadingType, Place)>,
    blocks: Vec<Block>,
    is_reading: bool,
    at: Place,
}

/// Reads every usage point that has energy, in the order of their names.
///
/// # Errors
/// [`SourceError`].
pub fn read(text: &str) -> Result<Vec<Import>, SourceError> {
    let entries = Parser::new(text).entries()?;
    let feed = Feed::of(entries)?;
    let imports = feed.imports()?;
    if imports.is_empty() { Err(SourceError::Empty) } else { Ok(imports) }
}

/// XML to entries.
struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    lines: Vec<u64>,
    readings: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.bytes().zip(1u64..).filter(|(b, _)| *b == b'\n').map(|(_, next)| next))
            .collect();
        Self { reader: Reader::from_str(text), lines, readings: 0 }
    }

    fn place(&self, offset: u64) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        Place { line: line as u64, column: offset - start + 1 }
    }

    fn entries(mut self) -> Result<Vec<AtomEntry>, SourceError> {
        let (mut entries, mut path, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
        let mut state = State::default();
        loop {
            let at = self.place(self.reader.buffer_position());
            let event =
                self.reader.read_event().map_err(|_| SourceError::Malformed { at, what: "not well-formed XML" })?;
            match event {
                Event::Start(e) => {
                    text.clear();
                    if path.len() == MAX_DEPTH {
                        return Err(SourceError::Malformed { at, what: "elements nested too deeply" });
                    }
                    path.push(e.local_name().as_ref().to_owned());
                    if path.last().is_some_and(|p| p == "link") {
                        state.link(&e, at)?;
                    }
                    state.open(&path, at);
                }
                Event::Empty(e) => {
                    let name = e.local_name().as_ref().to_owned();
                    if name == "link" {
                        state.link(&e, at)?;
                    }
                    path.push(name);
                    state.open(&path, at);
                    self.close(&mut state, &path, "", at, &mut entries)?;
                    path.pop();
                }
                Event::Text(t) => text.push_str(&t),
                Event::CData(t) => text.push_str(&t),
                Event::GeneralRef(_) => text.push('&'),
                Event::End(_) => {
                    self.close(&mut state, &path, text.trim(), at, &mut entries)?;
                    path.pop();
                    text.clear();
                }
                Event::DocType(_) => {
                    return Err(SourceError::Malformed { at, what: "document types are not accepted" });
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !path.is_empty() {
            let at = self.place(self.reader.buffer_position());
            return Err(SourceError::Malformed { at, what: "the file ends inside an element" });
        }
        Ok(entries)
    }

    fn close(
        &mut self,
        state: &mut State,
        path: &[String],
        text: &str,
        at: Place,
        out: &mut Vec<AtomEntry>,
    ) -> Result<(), SourceError> {
        let name = |back: usize| path.len().checked_sub(back).and_then(|i| path.get(i)).map_or("", String::as_str);
        let number = || text.parse::<i64>().map_err(|_| SourceError::Malformed { at, what: "expected a whole number" });
        match (name(2), name(1)) {
            ("feed", "entry") | ("", "entry") => out.push(std::mem::take(&mut state.entry)),
            ("ReadingType", "flowDirection") => state.kind.direction = Some(number()?),
            ("ReadingType", "powerOfTenMultiplier") => state.kind.power_of_ten = number()?,
            ("ReadingType", "uom") => state.kind.unit = Some(number()?),
            ("ReadingType", "commodity") => state.kind.commodity = Some(number()?),
            (_, "ReadingType") => state.entry.types.push((state.kind, state.kind_at)),
            ("timePeriod", "start") if name(3) == "IntervalReading" => state.start = Some(number()?),
            ("timePeriod", "duration") if name(3) == "IntervalReading" => {
                let length =
                    u64::try_from(number()?).map_err(|_| SourceError::Malformed { at, what: "negative duration" })?;
                state.length = Some(length);
            }
            ("IntervalReading", "value") => state.value = Some(number()?),
            (_, "IntervalReading") => {
                self.readings += 1;
                if self.readings > MAX_READINGS {
                    return Err(SourceError::TooManyReadings { at });
                }
                state.reading()?;
            }
            (_, "IntervalBlock") => {
                let block = Block { readings: std::mem::take(&mut state.readings), at: state.block_at };
                state.entry.blocks.push(block);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What is being read.
#[derive(Default)]
struct State {
    entry: AtomEntry,
    kind: ReadingType,
    kind_at: Place,
    block_at: Place,
    reading_at: Place,
    start: Option<i64>,
    length: Option<u64>,
    value: Option<i64>,
    readings: Vec<RawReading>,
}

impl State {
    fn open(&mut self, path: &[String], at: Place) {
        match path.last().map(String::as_str) {
            Some("entry") => self.entry = AtomEntry { at, ..AtomEntry::default() },
            Some("MeterReading") => self.entry.is_reading = true,
            Some("ReadingType") => (self.kind, self.kind_at) = (ReadingType::default(), at),
            Some("IntervalBlock") => (self.readings, self.block_at) = (Vec::new(), at),
            Some("IntervalReading") => (self.start, self.length, self.value, self.reading_at) = (None, None, None, at),
            _ => {}
        }
    }

    fn link(&mut self, e: &quick_xml::events::BytesStart<'_>, at: Place) -> Result<(), SourceError> {
        let attribute = |name: &str| -> Result<Option<String>, SourceError> {
            let found = e.try_get_attribute(name).map_err(|_| SourceError::Malformed { at, what: "malformed link" })?;
            Ok(found.map(|a| a.value.trim().trim_end_matches('/').to_owned()))
        };
        let (rel, href) = (attribute("rel")?, attribute("href")?);
        match (rel.as_deref(), href) {
            (Some("self"), Some(href)) => self.entry.own = Some(href),
            (Some("related"), Some(href)) => self.entry.related.push(href),
            _ => {}
        }
        Ok(())
    }

    fn reading(&mut self) -> Result<(), SourceError> {
        let at = self.reading_at;
        let missing = |what| SourceError::Malformed { at, what };
        let start = self.start.ok_or(missing("reading without a start"))?;
        let length = self.length.ok_or(missing("reading without a duration"))?;
        let value = self.value.ok_or(missing("reading without a value"))?;
        self.readings.push(RawReading { start, length, value, at });
        Ok(())
    }
}

/// Entries, put in relation.
struct Feed {
    types: BTreeMap<String, ReadingType>,
    /// Meter reading -> reading type.
    readings: BTreeMap<String, String>,
    /// Meter reading -> blocks.
    blocks: BTreeMap<String, Vec<Block>>,
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
    fn of(entries: Vec<AtomEntry>) -> Result<Self, SourceError> {
        let mut feed = Self { types: BTreeMap::new(), readings: BTreeMap::new(), blocks: BTreeMap::new() };
        for entry in entries {
            let Some(own) = entry.own else {
                if entry.blocks.is_empty() && entry.types.is_empty() && !entry.is_reading {
                    continue;
                }
                return Err(SourceError::Undefined { at: entry.at, what: "the entry's self link" });
            };
            for (kind, at) in entry.types {
                if feed.types.insert(own.clone(), kind).is_some_and(|before| before != kind) {
                    return Err(SourceError::Redefined { at, what: "a reading type" });
                }
            }
            if entry.is_reading {
                let kind = entry.related.into_iter().find(|link| link.contains("ReadingType/"));
                let kind = kind.ok_or(SourceError::Undefined { at: entry.at, what: "the meter reading's type" })?;
                if feed.readings.insert(own.clone(), kind.clone()).is_some_and(|before| before != kind) {
                    return Err(SourceError::Redefined { at: entry.at, what: "a meter reading" });
                }
            }
            if !entry.blocks.is_empty() {
                let reading = meter_reading_of(&own)
                    .ok_or(SourceError::Undefined { at: entry.at, what: "the block's meter reading" })?;
                feed.blocks.entry(reading.to_owned()).or_default().extend(entry.blocks);
            }
        }
        Ok(feed)
    }

    fn imports(self) -> Result<Vec<Import>, SourceError> {
        let mut meters: BTreeMap<String, [Option<Channel>; 2]> = BTreeMap::new();
        for (reading, blocks) in self.blocks {
            let at = blocks.first().map(|b| b.at).unwrap_or_default();
            let link =
                self.readings.get(&reading).ok_or(SourceError::Undefined { at, what: "the block's meter reading" })?;
            let kind = self.types.get(link).ok_or(SourceError::Undefined { at, what: "the meter reading's type" })?;
            if kind.unit != Some(WATT_HOURS) || kind.commodity.is_some_and(|c| c != ELECTRICITY) {
                continue;
            }
            let direction = match kind.direction {
                Some(1) => 0,
                Some(19) => 1,
                Some(direction) => return Err(SourceError::FlowDirection { at, direction }),
                None => return Err(SourceError::Undefined { at, what: "the reading type's flow direction" }),
            };
            let channel = Channel::read(&blocks, kind)?;
            let registers = meters.entry(usage_point_of(&reading).to_owned()).or_default();
            match registers.get_mut(direction) {
                Some(slot @ None) => *slot = Some(channel),
                _ => return Err(SourceError::Redefined { at, what: "a register of the usage point" }),
            }
        }
        meters.into_iter().map(|(meter, [import, export])| join(meter, import, export)).collect()
    }
}

/// One register of one usage point.
#[derive(Default)]
struct Channel {
    length: u32,
    wh: BTreeMap<i64, Wh>,
    overlaps: Vec<Overlap>,
    readings: usize,
    total_wh: Wh,
    merged: usize,
    first: Place,
}

struct Kept {
    wh: Wh,
    at: Place,
    begins_block: bool,
}

impl Channel {
    fn read(blocks: &[Block], kind: &ReadingType) -> Result<Self, SourceError> {
        let mut channel = Self { first: blocks.first().map(|b| b.at).unwrap_or_default(), ..Self::default() };
        let mut kept: BTreeMap<i64, Kept> = BTreeMap::new();
        for block in blocks {
            for (i, raw) in block.readings.iter().enumerate() {
                let length = checked_length(raw.length, raw.at)?;
                if channel.length != 0 && channel.length != length {
                    return Err(SourceError::MixedLengths { at: raw.at, length, expected: channel.length });
                }
                channel.length = length;
                let start = checked_start(raw.start, length, raw.at)?;
                let wh = energy(raw.value, kind.power_of_ten, raw.at)?;
                channel.readings += 1;
                channel.total_wh += wh;
                channel.keep(&mut kept, start, Kept { wh, at: raw.at, begins_block: i == 0 })?;
            }
        }
        channel.wh = kept.into_iter().map(|(start, k)| (start, k.wh)).collect();
        Ok(channel)
    }

    fn keep(&mut self, kept: &mut BTreeMap<i64, Kept>, start: i64, new: Kept) -> Result<(), SourceError> {
        let mut slot = match kept.entry(start) {
            Slot::Vacant(slot) => {
                slot.insert(new);
                return Ok(());
            }
            Slot::Occupied(slot) => slot,
        };
        let old = slot.get();
        if old.wh == new.wh {
            self.merged += 1;
            if new.begins_block {
                slot.insert(new);
            }
            return Ok(());
        }
        if old.begins_block == new.begins_block || self.overlaps.iter().any(|o| o.start == start) {
            return Err(SourceError::Duplicate { at: new.at, start, first_line: old.at.line });
        }
        let (keep, drop) = if new.begins_block { (new.at.line, old.at.line) } else { (old.at.line, new.at.line) };
        self.overlaps.push(Overlap { start, kept_line: keep, dropped_line: drop });
        if new.begins_block {
            slot.insert(new);
        }
        Ok(())
    }
}

/// `value * 10^power`, exact, Wh.
fn energy(value: i64, power: i64, at: Place) -> Result<Wh, SourceError> {
    let value = u64::try_from(value).map_err(|_| SourceError::Negative { at })?;
    let factor = u32::try_from(power.unsigned_abs()).ok().and_then(|p| 10u64.checked_pow(p));
    let implausible = SourceError::Implausible { at };
    let wh = match (factor, power < 0) {
        (Some(factor), true) if value % factor == 0 => value / factor,
        (_, true) if value != 0 => return Err(SourceError::NotWhole { at }),
        (Some(factor), false) => value.checked_mul(factor).ok_or(implausible)?,
        _ if value == 0 => 0,
        _ => return Err(implausible),
    };
    if wh >> 32 == 0 { Ok(Wh(wh)) } else { Err(SourceError::Implausible { at }) }
}

/// Import and export registers of one usage point side by side. A register the meter does not have reads zero.
fn join(meter: String, import: Option<Channel>, export: Option<Channel>) -> Result<Import, SourceError> {
    if let (Some(i), Some(e)) = (&import, &export)
        && i.length != e.length
    {
        return Err(SourceError::MixedLengths { at: e.first, length: e.length, expected: i.length });
    }
    let sole = import.is_none() || export.is_none();
    let (i, e) = (import.unwrap_or_default(), export.unwrap_or_default());
    let starts = || i.wh.keys().chain(e.wh.keys().filter(|s| !i.wh.contains_key(s)));
    let both = |start: &i64| match (i.wh.get(start), e.wh.get(start)) {
        (None, _) | (_, None) if !sole => None,
        (import, export) => Some(Entry {
            start: *start,
            import_wh: import.copied().unwrap_or_default(),
            export_wh: export.copied().unwrap_or_default(),
        }),
    };
    let mut entries: Vec<Entry> = starts().filter_map(both).collect();
    entries.sort_by_key(|entry| entry.start);
    let incomplete = starts().count() - entries.len();
    let overlaps = i.overlaps.iter().chain(&e.overlaps).copied().collect();
    Ok(Import {
        meter,
        readings: i.readings + e.readings,
        total_wh: [i.total_wh, e.total_wh],
        merged: i.merged + e.merged,
        incomplete,
        series: Series::new(i.length.max(e.length), entries, overlaps),
    })
}

#[cfg(test)]
mod tests;
