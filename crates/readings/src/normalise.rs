//! From the registers of one meter to its series.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot};

use crate::{
    Choice, Entry, Finding, Overlap, Place, Rule, Series, SourceError,
    energy::{Energy, Rounding},
    model::{Behaviour, Channel, Direction, Quality, Raw},
    register,
    zone::checked_length,
};

/// Largest energy of one interval: 2^32 Wh.
const MOST: Energy = Energy::wh(1 << 32);

/// One interval of one register.
#[derive(Clone)]
struct Piece {
    length: u32,
    energy: Energy,
    quality: Quality,
    at: Place,
    begins_block: bool,
    parts: BTreeMap<u32, Energy>,
}

type Pieces = BTreeMap<i64, Piece>;

/// What came of one meter's registers.
#[derive(Debug)]
pub struct Normal {
    /// The intervals.
    pub series: Series,
    /// Values of the file, duplicates included.
    pub readings: usize,
    /// Their sum, import and export.
    pub total: [Energy; 2],
    /// What of it is in the series.
    pub kept: [Energy; 2],
    /// What a community's operator allotted.
    pub community: Option<Energy>,
    /// Repeated values that were merged.
    pub merged: usize,
    /// Intervals left out because only one of two registers has them.
    pub incomplete: usize,
}

struct Work<'a> {
    findings: &'a mut Vec<Finding>,
    overlaps: Vec<Overlap>,
    merged: usize,
    readings: usize,
    total: [Energy; 2],
}

/// Registers of one meter, side by side. A register the meter does not have reads zero.
///
/// # Errors
/// [`SourceError`].
pub fn normalise(channels: Vec<Channel>, choice: &Choice, findings: &mut Vec<Finding>) -> Result<Normal, SourceError> {
    let mut work = Work { findings, overlaps: vec![], merged: 0, readings: 0, total: [Energy::ZERO; 2] };
    let (mut import, mut export, mut community): (Option<Pieces>, Option<Pieces>, Option<Energy>) = (None, None, None);
    for channel in channels {
        let (direction, at) = (channel.direction, channel.at());
        let slots: &mut [&mut Option<Pieces>] = match direction {
            Direction::Import => &mut [&mut import],
            Direction::Export => &mut [&mut export],
            Direction::Net => &mut [&mut import, &mut export],
            Direction::Total if choice.total_is_import => {
                work.findings.push(Finding::file(Rule::TotalAsImport, ""));
                &mut [&mut import]
            }
            Direction::Total => return Err(SourceError::TotalRegister { at }),
            Direction::Community => {
                let sum = channel.raws.iter().map(|raw| raw.energy).sum();
                community = Some(community.unwrap_or_default() + sum);
                continue;
            }
        };
        if slots.iter().any(|slot| slot.is_some()) {
            return Err(SourceError::Redefined { at, what: "a register of the meter" });
        }
        let pieces = work.pieces(channel)?;
        match slots {
            [one] => **one = Some(pieces),
            [positive, negative] => {
                let part = |sign: bool| {
                    let of = |(start, p): (&i64, &Piece)| {
                        let energy = if p.energy.is_negative() == sign { p.energy.abs() } else { Energy::ZERO };
                        (*start, Piece { energy, ..p.clone() })
                    };
                    pieces.iter().map(of).collect()
                };
                (**positive, **negative) = (Some(part(false)), Some(part(true)));
            }
            _ => {}
        }
    }
    work.join(import, export, community, choice)
}

impl Work<'_> {
    /// One register's intervals: differences taken, parts added, repetitions merged, nothing contradictory.
    fn pieces(&mut self, channel: Channel) -> Result<Pieces, SourceError> {
        let (direction, merges) = (channel.direction, channel.merges);
        self.readings += channel.raws.len();
        let mut raws = match channel.behaviour {
            Behaviour::Interval => {
                no_register(&channel.raws)?;
                channel.raws
            }
            Behaviour::Register { modulus } => register::differences(channel.raws, modulus, self.findings)?,
        };
        let direction_index = usize::from(direction == Direction::Export);
        for raw in &raws {
            match self.total.get_mut(if direction == Direction::Net && raw.energy.is_negative() {
                1
            } else {
                direction_index
            }) {
                Some(total) if direction == Direction::Net => *total += raw.energy.abs(),
                Some(total) => *total += raw.energy,
                None => {}
            }
        }
        self.unshift(&mut raws);
        self.without_negatives(direction, &mut raws)?;
        let mut pieces = Pieces::new();
        for raw in raws {
            let length = checked_length(u64::from(raw.length), raw.at)?;
            if raw.start < 0 || raw.start % i64::from(length) != 0 {
                return Err(SourceError::Misaligned { at: raw.at, start: raw.start, length });
            }
            if raw.energy.abs() >= MOST {
                return Err(SourceError::Implausible { at: raw.at });
            }
            self.keep(&mut pieces, raw, length, merges)?;
        }
        let mut before: Option<(i64, &Piece)> = None;
        for (start, piece) in &pieces {
            if let Some((first, earlier)) = before
                && first + i64::from(earlier.length) > *start
            {
                let (at, first_line) = (piece.at, earlier.at.line);
                return Err(SourceError::Overlapping { at, start: *start, first_line });
            }
            before = Some((*start, piece));
        }
        Ok(pieces)
    }

    /// Starts that are all one second late are those of the second before.
    fn unshift(&mut self, raws: &mut [Raw]) {
        let late = |raw: &Raw| raw.length > 1 && raw.start.rem_euclid(i64::from(raw.length)) == 1;
        if !raws.is_empty() && raws.iter().all(late) {
            for raw in raws.iter_mut() {
                raw.start -= 1;
            }
            self.findings.push(Finding { count: raws.len() as u64, ..Finding::file(Rule::Shifted, "") });
        }
    }

    /// A negative value in a register of one direction is left out; many make it another register.
    fn without_negatives(&mut self, direction: Direction, raws: &mut Vec<Raw>) -> Result<(), SourceError> {
        if direction == Direction::Net {
            return Ok(());
        }
        let negative = raws.iter().filter(|raw| raw.energy.is_negative()).count();
        if let Some(first) = raws.iter().find(|raw| raw.energy.is_negative())
            && negative * 3 >= raws.len()
        {
            return Err(SourceError::Negative { at: first.at });
        }
        for raw in raws.iter().filter(|raw| raw.energy.is_negative()) {
            self.findings.push(Finding::interval(Rule::Negative, raw.start, raw.length, raw.at));
        }
        raws.retain(|raw| !raw.energy.is_negative());
        Ok(())
    }

    fn keep(&mut self, pieces: &mut Pieces, raw: Raw, length: u32, merges: bool) -> Result<(), SourceError> {
        let start = raw.start;
        let new = Piece {
            length,
            energy: raw.energy,
            quality: raw.quality,
            at: raw.at,
            begins_block: raw.begins_block,
            parts: BTreeMap::from([(raw.part, raw.energy)]),
        };
        let mut slot = match pieces.entry(start) {
            Slot::Vacant(slot) => {
                slot.insert(new);
                return Ok(());
            }
            Slot::Occupied(slot) => slot,
        };
        let old = slot.get_mut();
        if let Slot::Vacant(part) = old.parts.entry(raw.part) {
            part.insert(raw.energy);
            old.energy += raw.energy;
            old.quality = old.quality.max(raw.quality);
            return Ok(());
        }
        let night = is_night_of_change(start);
        let duplicate = SourceError::Duplicate { at: raw.at, start, first_line: old.at.line, night };
        let same = old.parts.get(&raw.part) == Some(&raw.energy);
        if !merges || old.length != length || (!same && old.parts.len() > 1) {
            return Err(duplicate);
        }
        if same {
            self.merged += 1;
            old.begins_block |= new.begins_block;
            return Ok(());
        }
        if old.begins_block == new.begins_block || self.overlaps.iter().any(|o| o.start == start) {
            return Err(duplicate);
        }
        let (keep, drop) = if new.begins_block { (new.at.line, old.at.line) } else { (old.at.line, new.at.line) };
        self.overlaps.push(Overlap { start, kept_line: keep, dropped_line: drop });
        if new.begins_block {
            slot.insert(new);
        }
        Ok(())
    }

    fn join(
        mut self,
        import: Option<Pieces>,
        export: Option<Pieces>,
        community: Option<Energy>,
        choice: &Choice,
    ) -> Result<Normal, SourceError> {
        let all = || import.iter().chain(&export).flat_map(BTreeMap::values);
        let lengths: BTreeSet<u32> = all().map(|piece| piece.length).collect();
        let length = match (lengths.first(), lengths.last()) {
            (Some(a), Some(b)) if a == b => *a,
            (Some(a), Some(b)) => {
                let paces: Vec<String> = lengths.iter().map(u32::to_string).collect();
                let detail = format!("{} s", paces.join(", "));
                self.findings.push(Finding::file(Rule::PaceChange, detail));
                let to = choice.resample.unwrap_or(3600);
                if to < *b || !to.is_multiple_of(*b) || !to.is_multiple_of(*a) || 3600 % to != 0 {
                    return Err(SourceError::Resample { from: *b, to });
                }
                to
            }
            _ => return Err(SourceError::Empty(String::new())),
        };
        let both = import.is_some() && export.is_some();
        let mut sides = [import, export].map(|pieces| pieces.map(|pieces| binned(&pieces, length)));
        self.begin_late(&mut sides, length);
        let [import, export] = sides.map(Option::unwrap_or_default);
        let starts: BTreeSet<i64> = import.keys().chain(export.keys()).copied().collect();
        let (mut entries, mut kept, mut incomplete) = (Vec::with_capacity(starts.len()), [Energy::ZERO; 2], 0);
        let (mut rounding, mut finer) = ([Rounding::default(); 2], false);
        for start in starts {
            let (i, e) = (import.get(&start), export.get(&start));
            if both && (i.is_none() || e.is_none()) {
                incomplete += 1;
                let at = i.or(e).map(|bin| bin.at).unwrap_or_default();
                self.findings.push(Finding::interval(Rule::Incomplete, start, length, at));
                continue;
            }
            let energies = [i, e].map(|bin| bin.map(|bin| bin.energy).unwrap_or_default());
            let quality = i.into_iter().chain(e).map(|bin| bin.quality).max().unwrap_or_default();
            let mut wh = [0; 2];
            for (((wh, energy), rounding), kept) in wh.iter_mut().zip(energies).zip(&mut rounding).zip(&mut kept) {
                *wh = rounding.next(energy);
                *kept += energy;
                finer |= Energy::wh(energy.floor_wh()) != energy;
            }
            let [import_wh, export_wh] = wh;
            entries.push(Entry { start, import_wh, export_wh, quality });
        }
        if finer {
            self.findings.push(Finding::file(Rule::Rounded, ""));
        }
        if self.merged > 0 {
            self.findings.push(Finding { count: self.merged as u64, ..Finding::file(Rule::Repeated, "") });
        }
        let mut overlaps = self.overlaps;
        overlaps.sort_by_key(|o| o.start);
        let series = Series::new(length, entries, overlaps);
        let (readings, total, merged) = (self.readings, self.total, self.merged);
        Ok(Normal { series, readings, total, kept, community, merged, incomplete })
    }

    /// A register that begins whole days after the other was not there before: zero, and said so.
    fn begin_late(&mut self, sides: &mut [Option<BTreeMap<i64, Bin>>; 2], length: u32) {
        const DAY: i64 = 86_400;
        let [Some(a), Some(b)] = sides else { return };
        let (Some(first_a), Some(first_b)) = (a.keys().next().copied(), b.keys().next().copied()) else { return };
        let (earlier, later) = if first_a < first_b { (&*a, b) } else { (&*b, a) };
        let begins = first_a.max(first_b);
        if begins - first_a.min(first_b) < DAY - 3600 || (begins - first_a.min(first_b)) % 3600 != 0 {
            return;
        }
        let missing: Vec<(i64, Bin)> = earlier.range(..begins).map(|(start, bin)| (*start, bin.clone())).collect();
        let at = later.values().next().map(|bin| bin.at).unwrap_or_default();
        for (start, bin) in missing {
            later.insert(start, Bin { energy: Energy::ZERO, quality: Quality::Unstated, ..bin });
            self.findings.push(Finding::interval(Rule::LateRegister, start, length, at));
        }
    }
}

/// Energy of one interval of the series.
#[derive(Clone)]
struct Bin {
    energy: Energy,
    quality: Quality,
    at: Place,
    seconds: u32,
}

/// Pieces summed to `length`; what is not complete is not there.
fn binned(pieces: &Pieces, length: u32) -> BTreeMap<i64, Bin> {
    let mut bins: BTreeMap<i64, Bin> = BTreeMap::new();
    for (start, piece) in pieces {
        let first = start - start.rem_euclid(i64::from(length));
        let new = Bin { energy: Energy::ZERO, quality: piece.quality, at: piece.at, seconds: 0 };
        let bin = bins.entry(first).or_insert(new);
        bin.energy += piece.energy;
        bin.quality = bin.quality.max(piece.quality);
        bin.seconds += piece.length;
    }
    bins.retain(|_, bin| bin.seconds == length);
    bins
}

/// Energies of half a day or more that never fall, and rise again and again, are readings of a register.
fn no_register(raws: &[Raw]) -> Result<(), SourceError> {
    let mut sorted: Vec<&Raw> = raws.iter().collect();
    sorted.sort_by_key(|raw| raw.start);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Ok(()) };
    let rises = sorted.windows(2).filter(|w| matches!(w, [a, b] if a.energy < b.energy)).count();
    let falls = sorted.windows(2).any(|w| matches!(w, [a, b] if a.energy > b.energy));
    if last.start - first.start >= 43_200 && rises >= 6 && !falls {
        return Err(SourceError::LooksLikeRegister { at: first.at });
    }
    Ok(())
}

/// Is it within a day of a night on which clocks somewhere go back: a Sunday at the end of October, or the first ones of
/// November and April?
fn is_night_of_change(start: i64) -> bool {
    let Ok(instant) = jiff::Timestamp::from_second(start) else { return false };
    let date = instant.to_zoned(jiff::tz::TimeZone::UTC).date();
    let sunday = |days: i64| date.checked_add(jiff::SignedDuration::from_hours(24 * days)).ok();
    [-1, 0, 1].into_iter().filter_map(sunday).any(|d| {
        d.weekday() == jiff::civil::Weekday::Sunday
            && matches!((d.month(), d.day()), (10, 25..=31) | (11, 1..=7) | (4, 1..=7))
    })
}

#[cfg(test)]
mod tests;
