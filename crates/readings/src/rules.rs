//! What is said about readings: one table of rules, with what each leads to and the practice it follows.

use crate::Place;

/// What a finding means for signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Shown, nothing more.
    Show,
    /// Not signed unless the member accepts the rule by its name.
    Ask,
    /// Never signed as metered. It may go to the meter data manager as a proposed substitute.
    Never,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident, $name:literal, $effect:ident, $practice:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $rule,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];

            /// Name, for `--accept` and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// What it means for signing.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$rule => Effect::$effect,)* }
            }

            /// The practice it follows.
            #[must_use]
            pub const fn practice(self) -> &'static str {
                match self { $(Self::$rule => $practice,)* }
            }
        }
    };
}

rules! {
    /// Estimated by the utility.
    Estimated, "estimated", Never, "VEE: an estimate is a substitute until it is validated (ESPI 8, 9, 12; NEM12 E; Austria L2, L3)";
    /// A substitute of the utility.
    Substituted, "substituted", Never, "VEE: a substituted value is no reading (NEM12 F and S; German Ersatzwert)";
    /// Measured, and doubted.
    Questionable, "questionable", Ask, "ESPI 10: the utility doubts the value itself";
    /// A quality that no table knows.
    UnknownQuality, "unknown-quality", Ask, "what is not known is not metered by assumption";
    /// More than the connection carries.
    OverLimit, "over-limit", Ask, "VEE high check: the fuse of the connection bounds the mean power";
    /// One value far above the others.
    Spike, "spike", Ask, "VEE spike check: above 17.25 kW (3 x 25 A) and ten times the median of the readings that are not zero";
    /// Nothing for a day at a home that uses something every day.
    ZeroRun, "zero-run", Show, "VEE zero check: a day or more of zeros in a register that is otherwise never silent";
    /// A negative value in a register of one direction: left out.
    Negative, "negative", Show, "a negative delivery is a correction or a fault: that interval is missing, not the file";
    /// Two values of one interval; the later block's is kept.
    Overlap, "overlap", Ask, "a block's surplus reading on the short day yields to the block that begins with the interval";
    /// The same value twice: counted once.
    Repeated, "repeated", Show, "feeds joined from daily feeds repeat themselves";
    /// An hour that does not exist, with zero: left out.
    Placeholder, "placeholder", Show, "portals print the missing hour of spring as zeros";
    /// The repeated hour of autumn stands there once.
    DoubleHourOnce, "double-hour-once", Ask, "a portal that prints one hour of the two may have added them";
    /// Only one of two registers has a value.
    Incomplete, "incomplete", Show, "a missing value is not zero";
    /// Values the file leaves empty.
    Missing, "missing", Show, "a missing value is not zero";
    /// A register begins days after the other: zero before.
    LateRegister, "late-register", Ask, "a register that was installed later counted nothing before, if it was installed later";
    /// No distance between two times gives the length.
    AssumedLength, "assumed-length", Ask, "an interval of a settlement is an hour at most; the length is named, not inferred";
    /// The length changes within the file: summed to hours.
    PaceChange, "pace-change", Ask, "utilities halve the interval on a given day; hours are complete on both sides";
    /// Times said to be UTC are local.
    FalseZone, "false-zone", Ask, "a stamp in UTC cannot repeat: only one rule of clock changes explains the rows";
    /// Intervals begin one second late.
    Shifted, "shifted", Show, "00:00:01 to 01:00:00 is the hour from 00:00";
    /// Energies finer than a Wh: the running sum is rounded.
    Rounded, "rounded", Show, "the sum of what is signed is never a Wh away from the register";
    /// A register rolled over.
    RollOver, "roll-over", Show, "difference plus the maximum, for a meter whose maximum is known";
    /// The device was swapped.
    Swapped, "swapped", Show, "closing reading of the old device, opening reading of the new one";
    /// Longer values of the same register agree, or do not.
    SumDiffers, "sum-differs", Ask, "VEE sum check: the intervals of a day add up to the day's value";
    /// Longer values of the same register agree.
    SumAgrees, "sum-agrees", Show, "VEE sum check: the intervals of a day add up to the day's value";
    /// Parts of the file that are not energy of this meter.
    PassedOver, "passed-over", Show, "gas, money, power and bills are not readings of an interval";
    /// A total was read as import.
    TotalAsImport, "total-as-import", Show, "the member says that the meter has no generation";
    /// A direction the file leaves open was read as import.
    DirectionUnstated, "direction-unstated", Ask, "ESPI flow direction 0: a meter of one direction";
    /// A file of a folder that was not read.
    FileRefused, "file-refused", Show, "one bad file of a folder does not stop the others";
    /// Telegrams or records that were left out.
    BadTelegram, "bad-telegram", Show, "a telegram with a wrong checksum, or a record of a meter that was not well, is not read";
    /// Signed records whose signature was not checked.
    Unverified, "unverified", Ask, "OCMF: a record is evidence by its signature (German calibration law, MessEG 33)";
    /// The meter's clock and the computer's did not agree when a live meter was read.
    ClockDrift, "clock-drift", Ask, "BSI TR-03109-1: a clock is off by 3 % of the interval at most; energy beyond it is another interval's";
    /// The member said when a capture begins.
    StartTold, "start-told", Ask, "a capture without the time of day is as right as the time that its reader tells";
    /// Times of a clock that is not synchronised.
    UnsureClock, "unsure-clock", Ask, "OCMF table 19: only a synchronised clock gives an instant; a wrong one moves energy between intervals";
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Rule.
    pub rule: Rule,
    /// First interval it is about, unix seconds; the whole series if absent.
    pub start: Option<i64>,
    /// Seconds it is about; of the whole series: 0.
    pub seconds: u64,
    /// How often.
    pub count: u64,
    /// Where in the file.
    pub at: Option<Place>,
    /// More of it. No reading.
    pub detail: String,
}

impl Finding {
    /// About the whole file.
    #[must_use]
    pub fn file(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, start: None, seconds: 0, count: 1, at: None, detail: detail.into() }
    }

    /// About one interval.
    #[must_use]
    pub fn interval(rule: Rule, start: i64, length: u32, at: Place) -> Self {
        let seconds = u64::from(length);
        Self { rule, start: Some(start), seconds, count: 1, at: Some(at), detail: String::new() }
    }

    /// Is the interval from `start` on, of `length` seconds, touched by it?
    #[must_use]
    pub fn touches(&self, start: i64, length: u32) -> bool {
        self.start.is_none_or(|first| {
            start < first.saturating_add_unsigned(self.seconds) && first < start.saturating_add(i64::from(length))
        })
    }
}

/// Joins findings of one rule on adjacent intervals into one.
#[must_use]
pub fn joined(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|f| (f.rule, f.start));
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        if let Some(last) = joined.last_mut()
            && last.rule == finding.rule
            && last.detail == finding.detail
            && let (Some(first), Some(start)) = (last.start, finding.start)
            && start <= first.saturating_add_unsigned(last.seconds)
        {
            let end = start.saturating_add_unsigned(finding.seconds);
            last.seconds = last.seconds.max(u64::try_from(end - first).unwrap_or(0));
            last.count += finding.count;
            continue;
        }
        joined.push(finding);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_nothing_estimated_can_be_accepted() {
        let mut names: Vec<&str> = Rule::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Rule::ALL.len());
        assert_eq!((Rule::Estimated.effect(), Rule::Substituted.effect()), (Effect::Never, Effect::Never));
        assert!(Rule::ALL.iter().all(|rule| !rule.practice().is_empty()));
    }

    #[test]
    fn adjacent_findings_are_one() {
        let at = Place::line(1);
        let one = |start| Finding::interval(Rule::Estimated, start, 900, at);
        let all = joined(vec![one(1800), one(0), one(900), one(9000)]);
        assert_eq!(
            all.iter().map(|f| (f.start, f.seconds, f.count)).collect::<Vec<_>>(),
            [(Some(0), 2700, 3), (Some(9000), 900, 1)]
        );
        assert!(all[0].touches(1800, 900) && !all[0].touches(2700, 900) && !all[1].touches(8100, 900));
    }
}
