//! A meter's intervals in order, and the cut of a period out of them.

use gridveil_protocol::{
    packet::Reading,
    params::MAX_INTERVALS,
    units::{Interval, Wh},
};

use super::SourceError;

/// One interval.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Unix seconds, a multiple of the length.
    pub start: i64,
    /// Taken from the network, Wh.
    pub import_wh: Wh,
    /// Fed in, Wh.
    pub export_wh: Wh,
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

/// Why a period cannot be cut out of a series. Never carries a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The series has intervals of another length.
    #[error(
        "the file has intervals of {have} s, the community settles {need} s; resample where the one divides the other"
    )]
    Length {
        /// Seconds.
        have: u32,
        /// Seconds.
        need: u32,
    },
    /// A period longer than the protocol's.
    #[error("a period of {0} intervals is longer than {MAX_INTERVALS}, or empty")]
    Period(usize),
    /// An interval of the period is missing.
    #[error("interval {interval} (position {position} of the period, unix second {start}) is missing in the file")]
    Missing {
        /// Interval index.
        interval: Interval,
        /// Position in the period.
        position: usize,
        /// Unix seconds.
        start: i64,
    },
    /// The file gives two different readings for an interval of the period.
    #[error(
        "interval {interval} has two different readings (lines {kept_line} and {dropped_line}); accept the later block's explicitly"
    )]
    Ambiguous {
        /// Interval index.
        interval: Interval,
        /// Line of the reading that would be used.
        kept_line: u64,
        /// Line of the other.
        dropped_line: u64,
    },
    /// Scale is not 1, 10 or 100.
    #[error("scale {0} Wh; an account's scale is 1, 10 or 100")]
    Scale(u64),
    /// A reading that is no multiple of the account's scale.
    #[error("interval {interval}: {register} is not a multiple of the account's scale of {scale} Wh")]
    NotAMultiple {
        /// Interval index.
        interval: Interval,
        /// Which register.
        register: &'static str,
        /// Wh.
        scale: u64,
    },
    /// A reading of 2^16 units or more.
    #[error("interval {interval}: {register} is 65,536 x {scale} Wh or more")]
    OutOfRange {
        /// Interval index.
        interval: Interval,
        /// Which register.
        register: &'static str,
        /// Wh.
        scale: u64,
    },
}

/// Readings of one meter: one length, sorted by start, no start twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    length: u32,
    entries: Vec<Entry>,
    overlaps: Vec<Overlap>,
}

impl Series {
    /// From sorted, aligned, distinct entries (the readers of this crate make no others).
    pub(super) fn new(length: u32, entries: Vec<Entry>, overlaps: Vec<Overlap>) -> Self {
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

    /// Intervals for which the file gave two different readings.
    #[must_use]
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    /// Sum of import and export, Wh.
    #[must_use]
    pub fn total_wh(&self) -> [Wh; 2] {
        self.entries.iter().fold([Wh::ZERO; 2], |[i, e], x| [i + x.import_wh, e + x.export_wh])
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
    /// it ambiguous.
    ///
    /// # Errors
    /// [`SourceError::Resample`] if `to` is no multiple that divides an hour.
    pub fn resample(&self, to: u32) -> Result<Self, SourceError> {
        if to == self.length {
            return Ok(self.clone());
        }
        if to == 0 || !to.is_multiple_of(self.length) || 3600 % to != 0 {
            return Err(SourceError::Resample { from: self.length, to });
        }
        let (parts, whole) = ((to / self.length) as usize, i64::from(to));
        let same = |a: &Entry, b: &Entry| a.start.div_euclid(whole) == b.start.div_euclid(whole);
        let sum = |group: &[Entry]| {
            let first = group.first().filter(|_| group.len() == parts)?;
            let import_wh = group.iter().map(|e| e.import_wh).sum();
            let export_wh = group.iter().map(|e| e.export_wh).sum();
            Some(Entry { start: first.start, import_wh, export_wh })
        };
        let entries = self.entries.chunk_by(same).filter_map(sum).collect();
        let overlaps =
            self.overlaps.iter().map(|o| Overlap { start: o.start - o.start.rem_euclid(whole), ..*o }).collect();
        Ok(Self { length: to, entries, overlaps })
    }

    /// The readings of `intervals` consecutive intervals of `length` seconds from `first_interval` on, in units of
    /// `scale` Wh. With `accept_overlaps` an interval with two different readings uses the one of the later block.
    ///
    /// # Errors
    /// [`CutError`], for the first interval that cannot be signed.
    pub fn cut(
        &self,
        first_interval: Interval,
        intervals: usize,
        length: u32,
        scale: u64,
        accept_overlaps: bool,
    ) -> Result<Vec<Reading>, CutError> {
        if length != self.length {
            return Err(CutError::Length { have: self.length, need: length });
        }
        if intervals == 0 || intervals > MAX_INTERVALS {
            return Err(CutError::Period(intervals));
        }
        if ![1, 10, 100].contains(&scale) {
            return Err(CutError::Scale(scale));
        }
        (0..intervals)
            .map(|position| {
                let interval = first_interval.saturating_add(u32::try_from(position).unwrap_or(u32::MAX));
                let start = (i64::from(first_interval) + i64::try_from(position).unwrap_or(0)) * i64::from(length);
                let index = self.entries.binary_search_by_key(&start, |e| e.start);
                let entry = index.ok().and_then(|i| self.entries.get(i)).ok_or(CutError::Missing {
                    interval,
                    position,
                    start,
                })?;
                match self.overlaps.iter().find(|o| o.start == start) {
                    Some(o) if !accept_overlaps => {
                        Err(CutError::Ambiguous { interval, kept_line: o.kept_line, dropped_line: o.dropped_line })
                    }
                    _ => Ok(Reading {
                        import: units(entry.import_wh, scale, interval, "import")?,
                        export: units(entry.export_wh, scale, interval, "export")?,
                    }),
                }
            })
            .collect()
    }
}

fn units(wh: Wh, scale: u64, interval: Interval, register: &'static str) -> Result<u16, CutError> {
    if !wh.0.is_multiple_of(scale) {
        return Err(CutError::NotAMultiple { interval, register, scale });
    }
    u16::try_from(wh.0 / scale).map_err(|_| CutError::OutOfRange { interval, register, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(starts: &[i64]) -> Series {
        let entry = |s: &i64| Entry { start: *s, import_wh: Wh(100), export_wh: Wh(30) };
        Series::new(900, starts.iter().map(entry).collect(), vec![])
    }

    #[test]
    fn cuts_exactly_the_period() {
        let s = series(&[0, 900, 1800, 2700, 3600]);
        assert_eq!(s.cut(Interval(1), 3, 900, 10, false).unwrap(), vec![Reading { import: 10, export: 3 }; 3]);
        assert_eq!(s.cut(Interval(1), 3, 3600, 1, false), Err(CutError::Length { have: 900, need: 3600 }));
        assert_eq!(
            s.cut(Interval(3), 3, 900, 1, false),
            Err(CutError::Missing { interval: Interval(5), position: 2, start: 4500 })
        );
        assert_eq!(s.cut(Interval(0), 0, 900, 1, false), Err(CutError::Period(0)));
        assert_eq!(s.cut(Interval(0), 97, 900, 1, false), Err(CutError::Period(97)));
        assert_eq!(
            s.cut(Interval(0), 1, 900, 100, false),
            Err(CutError::NotAMultiple { interval: Interval(0), register: "export", scale: 100 })
        );
        assert_eq!(s.cut(Interval(0), 1, 900, 7, false), Err(CutError::Scale(7)));
    }

    #[test]
    fn the_range_ends_at_65535_units() {
        let mut s = series(&[0]);
        s.entries[0].import_wh = Wh(65_535);
        assert!(s.cut(Interval(0), 1, 900, 1, false).is_ok());
        s.entries[0].import_wh = Wh(65_536);
        assert_eq!(
            s.cut(Interval(0), 1, 900, 1, false),
            Err(CutError::OutOfRange { interval: Interval(0), register: "import", scale: 1 })
        );
        s.entries[0].import_wh = Wh(65_540);
        s.entries[0].export_wh = Wh::ZERO;
        assert_eq!(s.cut(Interval(0), 1, 900, 10, false).unwrap()[0].import, 6_554);
    }

    #[test]
    fn ambiguous_intervals_are_signed_only_on_request() {
        let mut s = series(&[0, 900]);
        s.overlaps.push(Overlap { start: 900, kept_line: 9, dropped_line: 5 });
        assert!(s.cut(Interval(0), 1, 900, 1, false).is_ok());
        assert_eq!(
            s.cut(Interval(0), 2, 900, 1, false),
            Err(CutError::Ambiguous { interval: Interval(1), kept_line: 9, dropped_line: 5 })
        );
        assert!(s.cut(Interval(0), 2, 900, 1, true).is_ok());
    }

    #[test]
    fn resampling_sums_exactly_and_drops_incomplete_hours() {
        let s = series(&[0, 900, 1800, 2700, 3600, 4500, 7200, 8100, 9000, 9900]);
        let hourly = s.resample(3600).unwrap();
        assert_eq!(
            hourly.entries().iter().map(|e| (e.start, e.import_wh)).collect::<Vec<_>>(),
            [(0, Wh(400)), (7200, Wh(400))]
        );
        assert_eq!(hourly.gaps(), [Gap { start: 3600, intervals: 1 }]);
        assert_eq!(s.resample(5400), Err(SourceError::Resample { from: 900, to: 5400 }));
        assert_eq!(hourly.resample(900), Err(SourceError::Resample { from: 3600, to: 900 }));
        assert_eq!(s.resample(900).unwrap(), s);
    }
}
