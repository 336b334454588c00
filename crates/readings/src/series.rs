//! A meter's intervals in order.

use crate::{Finding, SourceError, model::Quality};

/// One interval.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Unix seconds, a multiple of the length.
    pub start: i64,
    /// Taken from the network, Wh.
    pub import_wh: u64,
    /// Fed in, Wh.
    pub export_wh: u64,
    /// The worse of the two registers' qualities.
    pub quality: Quality,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry(at {})", self.start)
    }
}

/// Two blocks have different readings for this interval. The one of the block that *begins* with it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Unix seconds.
    pub start: i64,
    /// Line of the reading that is kept.
    pub kept_line: u64,
    /// Line of the reading that is left out.
    pub dropped_line: u64,
}

/// Missing intervals between two that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Start of the first missing interval, unix seconds.
    pub start: i64,
    /// How many are missing.
    pub intervals: u64,
}

/// Readings of one meter: one length, sorted by start, no start twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub(crate) length: u32,
    pub(crate) entries: Vec<Entry>,
    pub(crate) overlaps: Vec<Overlap>,
}

impl Series {
    /// From sorted, aligned, distinct entries.
    #[must_use]
    pub fn new(length: u32, entries: Vec<Entry>, overlaps: Vec<Overlap>) -> Self {
        debug_assert!(entries.windows(2).all(|w| matches!(w, [a, b] if a.start < b.start)));
        Self { length, entries, overlaps }
    }

    /// Seconds of an interval.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// The intervals, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The interval that begins at `start`.
    #[must_use]
    pub fn at(&self, start: i64) -> Option<&Entry> {
        let index = self.entries.binary_search_by_key(&start, |e| e.start).ok()?;
        self.entries.get(index)
    }

    /// Intervals for which the file gave two different readings.
    #[must_use]
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    /// Sum of import and export, Wh.
    #[must_use]
    pub fn total_wh(&self) -> [u64; 2] {
        self.entries.iter().fold([0; 2], |[i, e], x| [i.saturating_add(x.import_wh), e.saturating_add(x.export_wh)])
    }

    /// Missing intervals, oldest first.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let length = i64::from(self.length);
        let between = |pair: &[Entry]| match pair {
            [a, b] if b.start - a.start > length => Some(Gap {
                start: a.start + length,
                intervals: u64::try_from((b.start - a.start) / length - 1).unwrap_or(0),
            }),
            _ => None,
        };
        self.entries.windows(2).filter_map(between).collect()
    }

    /// Sums intervals up to a longer length. An interval of which a part is missing is missing; an ambiguous part makes
    /// it ambiguous; its quality is that of its worst part.
    ///
    /// # Errors
    /// [`SourceError::Resample`] if `to` is no multiple that divides an hour.
    pub fn resample(&self, to: u32) -> Result<Self, SourceError> {
        if to == self.length {
            return Ok(self.clone());
        }
        if to == 0 || self.length == 0 || !to.is_multiple_of(self.length) || 3600 % to != 0 {
            return Err(SourceError::Resample { from: self.length, to });
        }
        let (parts, whole) = ((to / self.length) as usize, i64::from(to));
        let same = |a: &Entry, b: &Entry| a.start.div_euclid(whole) == b.start.div_euclid(whole);
        let sum = |group: &[Entry]| {
            let first = group.first().filter(|_| group.len() == parts)?;
            let import_wh = group.iter().map(|e| e.import_wh).sum();
            let export_wh = group.iter().map(|e| e.export_wh).sum();
            let quality = group.iter().map(|e| e.quality).max().unwrap_or_default();
            Some(Entry { start: first.start, import_wh, export_wh, quality })
        };
        let entries = self.entries.chunk_by(same).filter_map(sum).collect();
        let overlaps =
            self.overlaps.iter().map(|o| Overlap { start: o.start - o.start.rem_euclid(whole), ..*o }).collect();
        Ok(Self { length: to, entries, overlaps })
    }

    /// Findings of intervals that are estimates, doubted or unknown.
    #[must_use]
    pub fn quality_findings(&self) -> Vec<Finding> {
        use crate::{Place, Rule};
        let rule = |quality| match quality {
            Quality::Estimated => Some(Rule::Estimated),
            Quality::Substituted => Some(Rule::Substituted),
            Quality::Questionable => Some(Rule::Questionable),
            Quality::Drifted => Some(Rule::ClockDrift),
            Quality::Unknown => Some(Rule::UnknownQuality),
            Quality::Measured | Quality::Unstated => None,
        };
        let of = |e: &Entry| {
            let found = Finding::interval(rule(e.quality)?, e.start, self.length, Place::default());
            Some(Finding { at: None, ..found })
        };
        self.entries.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(starts: &[i64]) -> Series {
        let entry = |s: &i64| Entry { start: *s, import_wh: 100, export_wh: 30, quality: Quality::Measured };
        Series::new(900, starts.iter().map(entry).collect(), vec![])
    }

    #[test]
    fn resampling_sums_exactly_and_drops_incomplete_hours() {
        let s = series(&[0, 900, 1800, 2700, 3600, 4500, 7200, 8100, 9000, 9900]);
        let hourly = s.resample(3600).unwrap();
        assert_eq!(
            hourly.entries().iter().map(|e| (e.start, e.import_wh)).collect::<Vec<_>>(),
            [(0, 400), (7200, 400)]
        );
        assert_eq!(hourly.gaps(), [Gap { start: 3600, intervals: 1 }]);
        assert_eq!(s.resample(5400), Err(SourceError::Resample { from: 900, to: 5400 }));
        assert_eq!(hourly.resample(900), Err(SourceError::Resample { from: 3600, to: 900 }));
        assert_eq!(s.resample(900).unwrap(), s);
    }

    #[test]
    fn an_hour_is_as_good_as_its_worst_quarter() {
        let mut s = series(&[0, 900, 1800, 2700]);
        s.entries[2].quality = Quality::Estimated;
        assert_eq!(s.resample(3600).unwrap().entries()[0].quality, Quality::Estimated);
    }
}
