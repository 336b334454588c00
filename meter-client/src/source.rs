//! From a meter's file to the readings of a packet.
//!
//! `gridveil-readings` reads the file. Here a period is cut out of its series, in units of the account, and only what was
//! measured: an estimate or a substitute is never signed as metered.

use gridveil_protocol::{packet::Reading, params::MAX_INTERVALS, units::Interval};
use gridveil_readings::zone::utc;
pub use gridveil_readings::{
    Choice, Effect, Entry, Finding, Format, Gap, Import, Overlap, Place, Rule, Series, SourceError, read, read_file,
};

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
    #[error("the interval from {} is missing in the file", utc(*.start))]
    Missing {
        /// Position in the period.
        position: usize,
        /// Unix seconds.
        start: i64,
    },
    /// The file gives two different readings for an interval of the period.
    #[error(
        "the interval from {} has two different readings (lines {kept_line} and {dropped_line}); accept the later block's \
         explicitly", utc(*.start)
    )]
    Ambiguous {
        /// Unix seconds.
        start: i64,
        /// Line of the reading that would be used.
        kept_line: u64,
        /// Line of the other.
        dropped_line: u64,
    },
    /// An estimate or a substitute of the utility.
    #[error(
        "the interval from {} was not measured ({}): it is not signed as metered. --propose FILE writes the period for the \
         meter data manager, who may put it in as a substitute", utc(*.start), rule.name()
    )]
    NotMeasured {
        /// Unix seconds.
        start: i64,
        /// Why.
        rule: Rule,
    },
    /// Something about an interval has to be looked at first.
    #[error("the interval from {}: {1}; look at `meter read`, then say --accept {1}", utc(*.start), rule.name())]
    Doubtful {
        /// Unix seconds.
        start: i64,
        /// What.
        rule: Rule,
    },
    /// Scale is not 1, 10 or 100.
    #[error("scale {0} Wh; an account's scale is 1, 10 or 100")]
    Scale(u64),
    /// A reading of 2^16 units or more.
    #[error("the interval from {}: {register} is 65,536 x {scale} Wh or more", utc(*.start))]
    OutOfRange {
        /// Unix seconds.
        start: i64,
        /// Which register.
        register: &'static str,
        /// Wh.
        scale: u64,
    },
}

/// What the readings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// A member's packet: measured, and free of doubts but for those of these rules.
    Metered(&'a [Rule]),
    /// A meter data manager's packet in a silent meter's place: estimates are what it is made of.
    Substitute,
}

/// A period's place and unit.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// First interval.
    pub first_interval: Interval,
    /// How many.
    pub intervals: usize,
    /// Seconds of an interval.
    pub length: u32,
    /// Wh of a reading's unit: the account's scale.
    pub scale: u64,
    /// What for.
    pub purpose: Purpose<'a>,
}

impl Cut<'_> {
    /// The period's readings in units of the account. What is less than a unit is carried to the next interval, from the
    /// beginning of the file on: the sum of what is signed is never a unit away from the register.
    ///
    /// # Errors
    /// [`CutError`], for the first interval that cannot be signed.
    pub fn of(&self, import: &Import) -> Result<Vec<Reading>, CutError> {
        let Self { first_interval, intervals, length, scale, .. } = *self;
        let series = &import.series;
        if length != series.length() {
            return Err(CutError::Length { have: series.length(), need: length });
        }
        if intervals == 0 || intervals > MAX_INTERVALS {
            return Err(CutError::Period(intervals));
        }
        if ![1, 10, 100].contains(&scale) {
            return Err(CutError::Scale(scale));
        }
        let first = i64::from(first_interval) * i64::from(length);
        let mut sums = series.entries().iter().take_while(|e| e.start < first).fold([0u64; 2], added);
        (0..intervals)
            .map(|position| {
                let start = first + i64::try_from(position).unwrap_or(0) * i64::from(length);
                let entry = series.at(start).ok_or(CutError::Missing { position, start })?;
                self.undoubted(import, start)?;
                let before = sums;
                sums = added(sums, entry);
                let unit = |before: u64, after: u64, register| {
                    let units = after / scale - before / scale;
                    u16::try_from(units).map_err(|_| CutError::OutOfRange { start, register, scale })
                };
                Ok(Reading { import: unit(before[0], sums[0], "import")?, export: unit(before[1], sums[1], "export")? })
            })
            .collect()
    }

    /// The intervals of the period that were not measured: estimates and substitutes. If there is one, the period is not
    /// signed; it may be proposed ([`crate::proposal`]).
    #[must_use]
    pub fn not_measured(&self, import: &Import) -> Vec<Interval> {
        let never = |start: i64| {
            let touching = import.findings.iter().filter(|finding| finding.touches(start, self.length));
            touching.map(|finding| finding.rule.effect()).any(|effect| effect == Effect::Never)
        };
        let all = (0..self.intervals).filter_map(|position| {
            let interval = self.first_interval.checked_add(u32::try_from(position).ok()?)?;
            let start = i64::from(interval) * i64::from(self.length);
            (import.series.at(start).is_some() && never(start)).then_some(interval)
        });
        all.collect()
    }

    fn undoubted(&self, import: &Import, start: i64) -> Result<(), CutError> {
        let accepted = match self.purpose {
            Purpose::Metered(accepted) => accepted,
            Purpose::Substitute => &[],
        };
        if let Some(o) = import.series.overlaps().iter().find(|o| o.start == start)
            && !accepted.contains(&Rule::Overlap)
        {
            return Err(CutError::Ambiguous { start, kept_line: o.kept_line, dropped_line: o.dropped_line });
        }
        let metered = self.purpose != Purpose::Substitute;
        for finding in import.findings.iter().filter(|f| metered && f.touches(start, self.length)) {
            let rule = finding.rule;
            match rule.effect() {
                Effect::Never => return Err(CutError::NotMeasured { start, rule }),
                Effect::Ask if !accepted.contains(&rule) => return Err(CutError::Doubtful { start, rule }),
                Effect::Ask | Effect::Show => {}
            }
        }
        Ok(())
    }
}

fn added([import, export]: [u64; 2], entry: &Entry) -> [u64; 2] {
    [import.saturating_add(entry.import_wh), export.saturating_add(entry.export_wh)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const METERED: Purpose<'static> = Purpose::Metered(&[]);

    fn file(rows: &[(i64, u64, u64)]) -> Import {
        let rows: String = rows.iter().map(|(start, i, e)| format!("{start},{i},{e}\n")).collect();
        read(format!("interval_start,import_wh,export_wh\n{rows}").as_bytes(), &Choice::default()).unwrap()
    }

    fn quarters(count: i64) -> Import {
        file(&(0..count).map(|i| (i * 900, 100, 30)).collect::<Vec<_>>())
    }

    fn cut(import: &Import, first: u32, intervals: usize, length: u32, scale: u64) -> Result<Vec<Reading>, CutError> {
        let first_interval = Interval(first);
        Cut { first_interval, intervals, length, scale, purpose: METERED }.of(import)
    }

    #[test]
    fn cuts_exactly_the_period() {
        let s = quarters(5);
        assert_eq!(cut(&s, 1, 3, 900, 10).unwrap(), vec![Reading { import: 10, export: 3 }; 3]);
        assert_eq!(cut(&s, 1, 3, 3600, 1), Err(CutError::Length { have: 900, need: 3600 }));
        assert_eq!(cut(&s, 3, 3, 900, 1), Err(CutError::Missing { position: 2, start: 4500 }));
        assert_eq!(cut(&s, 0, 0, 900, 1), Err(CutError::Period(0)));
        assert_eq!(cut(&s, 0, 97, 900, 1), Err(CutError::Period(97)));
        assert_eq!(cut(&s, 0, 1, 900, 7), Err(CutError::Scale(7)));
    }

    #[test]
    fn the_range_ends_at_65535_units() {
        assert!(cut(&file(&[(0, 65_535, 0), (900, 0, 0)]), 0, 1, 900, 1).is_ok());
        let over = file(&[(0, 65_536, 0), (900, 65_536, 0)]);
        let accepted = Purpose::Metered(&[Rule::Spike]);
        let of =
            |scale| Cut { first_interval: Interval(0), intervals: 1, length: 900, scale, purpose: accepted }.of(&over);
        assert_eq!(of(1), Err(CutError::OutOfRange { start: 0, register: "import", scale: 1 }));
        assert_eq!(of(10).unwrap()[0].import, 6_553);
    }

    #[test]
    fn what_is_less_than_a_unit_is_carried_on() {
        let s = file(&[(0, 15, 9), (900, 15, 9), (1800, 15, 9), (2700, 15, 9)]);
        let units = |first, n| -> Vec<(u16, u16)> {
            cut(&s, first, n, 900, 10).unwrap().iter().map(|r| (r.import, r.export)).collect()
        };
        assert_eq!(units(0, 4), [(1, 0), (2, 1), (1, 1), (2, 1)]);
        // A later period goes on where the one before ended.
        assert_eq!([units(0, 2), units(2, 2)].concat(), units(0, 4));
    }

    #[test]
    fn nothing_estimated_is_signed_as_metered() {
        let rows = "interval_start,import_wh,quality\n0,5,A\n900,5,E\n1800,5,A\n";
        let import = read(rows.as_bytes(), &Choice::default()).unwrap();
        assert!(cut(&import, 0, 1, 900, 1).is_ok());
        let (start, rule) = (900, Rule::Estimated);
        assert_eq!(cut(&import, 0, 3, 900, 1), Err(CutError::NotMeasured { start, rule }));
        let of =
            |purpose| Cut { first_interval: Interval(0), intervals: 3, length: 900, scale: 1, purpose }.of(&import);
        assert!(of(Purpose::Metered(Rule::ALL)).is_err() && of(Purpose::Substitute).is_ok());
        let cut = |n| Cut { first_interval: Interval(0), intervals: n, length: 900, scale: 1, purpose: METERED };
        assert_eq!((cut(3).not_measured(&import), cut(1).not_measured(&import)), (vec![Interval(1)], vec![]));
    }

    #[test]
    fn a_doubt_is_accepted_by_its_name() {
        let rows: Vec<_> = (0..24).map(|i| (i * 3600, if i == 6 { 41_000 } else { 400 }, 0)).collect();
        let import = file(&rows);
        let of =
            |purpose| Cut { first_interval: Interval(0), intervals: 24, length: 3600, scale: 1, purpose }.of(&import);
        assert_eq!(of(METERED), Err(CutError::Doubtful { start: 21_600, rule: Rule::Spike }));
        assert!(of(Purpose::Metered(&[Rule::Spike])).is_ok());
    }
}
