//! XML to Atom entries.

use quick_xml::{Reader, events::Event};

use crate::{MAX_READINGS, Place, SourceError};

/// Deepest element nesting; ESPI needs eight.
const MAX_DEPTH: usize = 64;
/// Longest text of an element that is kept, bytes.
const MAX_TEXT: usize = 4096;

/// What the values of a meter reading mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadingType {
    pub direction: Option<i64>,
    pub power_of_ten: i64,
    pub unit: Option<i64>,
    pub commodity: Option<i64>,
    pub accumulation: Option<i64>,
    pub qualifier: Option<i64>,
    pub kind: Option<i64>,
    pub default_quality: Option<i64>,
    pub part: Part,
}

/// Tariff, tier, critical peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Part {
    pub tou: Option<i64>,
    pub tier: Option<i64>,
    pub cpp: Option<i64>,
}

/// A reading, its value not yet understood.
pub struct RawReading {
    pub start: Option<i64>,
    pub length: Option<i64>,
    pub value: Option<Box<str>>,
    pub quality: Option<i64>,
    pub part: Part,
    pub at: Place,
}

/// An interval block.
pub struct Block {
    pub readings: Vec<RawReading>,
    pub at: Place,
}

/// What one Atom entry holds.
#[derive(Default)]
pub struct AtomEntry {
    pub own: Option<String>,
    pub related: Vec<String>,
    pub types: Vec<(ReadingType, Place)>,
    pub blocks: Vec<Block>,
    pub is_reading: bool,
    pub at: Place,
}

/// XML to entries.
pub struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    lines: Vec<u64>,
    readings: usize,
}

impl<'a> Parser<'a> {
    /// A parser of `text`.
    pub fn new(text: &'a str) -> Self {
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

    /// Every entry.
    ///
    /// # Errors
    /// [`SourceError::Malformed`], [`SourceError::TooManyReadings`].
    pub fn entries(mut self) -> Result<Vec<AtomEntry>, SourceError> {
        let (mut entries, mut path, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
        let mut state = State::default();
        loop {
            let at = self.place(self.reader.buffer_position());
            let malformed = |what| SourceError::Malformed { at, what };
            let event = self.reader.read_event().map_err(|_| malformed("not well-formed XML"))?;
            match event {
                Event::Start(e) => {
                    text.clear();
                    if path.len() == MAX_DEPTH {
                        return Err(malformed("elements nested too deeply"));
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
                Event::Text(t) if text.len() + t.len() <= MAX_TEXT => text.push_str(&t),
                Event::CData(t) if text.len() + t.len() <= MAX_TEXT => text.push_str(&t),
                Event::Text(_) | Event::CData(_) => {}
                Event::GeneralRef(_) => text.push('&'),
                Event::End(_) => {
                    self.close(&mut state, &path, text.trim(), at, &mut entries)?;
                    path.pop();
                    text.clear();
                }
                Event::DocType(_) => return Err(malformed("document types are not accepted")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !path.is_empty() {
            let at = self.place(self.reader.buffer_position());
            return Err(SourceError::Malformed { at, what: "the file ends inside an element" });
        }
        // A bare UsagePoint or IntervalBlock without a feed around it.
        if !state.entry.blocks.is_empty() || !state.entry.types.is_empty() {
            entries.push(state.entry);
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
        let kind = &mut state.kind;
        match (name(2), name(1)) {
            (_, "entry") => out.push(std::mem::take(&mut state.entry)),
            ("ReadingType", "flowDirection") => kind.direction = Some(number()?),
            ("ReadingType", "powerOfTenMultiplier") if !text.is_empty() => kind.power_of_ten = number()?,
            ("ReadingType", "uom") => kind.unit = Some(number()?),
            ("ReadingType", "commodity") => kind.commodity = Some(number()?),
            ("ReadingType", "accumulationBehaviour") => kind.accumulation = Some(number()?),
            ("ReadingType", "dataQualifier") => kind.qualifier = Some(number()?),
            ("ReadingType", "kind") => kind.kind = Some(number()?),
            ("ReadingType", "defaultQuality") => kind.default_quality = Some(number()?),
            ("ReadingType", "tou") => kind.part.tou = Some(number()?),
            ("ReadingType", "consumptionTier") => kind.part.tier = Some(number()?),
            ("ReadingType", "cpp") => kind.part.cpp = Some(number()?),
            (_, "ReadingType") => state.entry.types.push((state.kind, state.kind_at)),
            ("timePeriod", "start") if name(3) == "IntervalReading" => state.start = Some(number()?),
            ("timePeriod", "duration") if name(3) == "IntervalReading" => state.length = Some(number()?),
            ("IntervalReading", "value") => state.value = Some(text.into()),
            ("IntervalReading", "tou") => state.part.tou = Some(number()?),
            ("IntervalReading", "consumptionTier") => state.part.tier = Some(number()?),
            ("IntervalReading", "cpp") => state.part.cpp = Some(number()?),
            ("ReadingQuality", "quality") => state.add_quality(number()?),
            (_, "IntervalReading") => {
                self.readings += 1;
                if self.readings > MAX_READINGS {
                    return Err(SourceError::TooManyReadings { at });
                }
                state.reading();
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
    length: Option<i64>,
    value: Option<Box<str>>,
    quality: Option<i64>,
    part: Part,
    readings: Vec<RawReading>,
}

impl State {
    fn open(&mut self, path: &[String], at: Place) {
        match path.last().map(String::as_str) {
            Some("entry") => self.entry = AtomEntry { at, ..AtomEntry::default() },
            Some("MeterReading") => self.entry.is_reading = true,
            Some("ReadingType") => (self.kind, self.kind_at) = (ReadingType::default(), at),
            Some("IntervalBlock") => (self.readings, self.block_at) = (Vec::new(), at),
            Some("IntervalReading") => {
                (self.start, self.length, self.value, self.quality) = (None, None, None, None);
                (self.part, self.reading_at) = (Part::default(), at);
            }
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

    /// Of several qualities the worst holds.
    fn add_quality(&mut self, code: i64) {
        use super::feed::quality;
        let worse = self.quality.is_none_or(|old| quality(code) > quality(old));
        if worse {
            self.quality = Some(code);
        }
    }

    fn reading(&mut self) {
        self.readings.push(RawReading {
            start: self.start,
            length: self.length,
            value: self.value.take(),
            quality: self.quality,
            part: self.part,
            at: self.reading_at,
        });
    }
}
