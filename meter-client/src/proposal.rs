//! A period of which some intervals were not measured, for the meter data manager.
//!
//! The member's key never signs it. The meter data manager looks at it, and may sign it as a substitute
//! (`gridveil mdm substitute FILE`). A member who reads the meter later hands in the measured period, which corrects it.

use gridveil_protocol::{packet::Reading, params::MAX_INTERVALS, units::Interval};
use serde::{Deserialize, Serialize};

use crate::wallet::{Deployment, ExchangeFile};

/// A proposed substitute.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalFile {
    /// Where.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Seconds of an interval.
    pub interval_length: u16,
    /// Wh of a reading's unit: the account's scale.
    pub scale: u8,
    /// One reading an interval, measured or not.
    pub readings: Vec<Reading>,
    /// The intervals that were not measured.
    pub not_measured: Vec<Interval>,
}

impl std::fmt::Debug for ProposalFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProposalFile").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl ExchangeFile for ProposalFile {
    const WHAT: &'static str = "a proposed substitute";
    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl ProposalFile {
    /// Is it a whole one: a period's readings, some of them not measured?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let within = |interval: &Interval| {
            interval.checked_sub(self.first_interval.0).is_some_and(|at| (at.0 as usize) < self.readings.len())
        };
        (1..=MAX_INTERVALS).contains(&self.readings.len())
            && [1, 10, 100].contains(&self.scale)
            && !self.not_measured.is_empty()
            && self.not_measured.iter().all(within)
    }

    /// The dates of what was not measured, for a person: adjacent intervals as one span.
    #[must_use]
    pub fn dates(&self) -> String {
        dates(&self.not_measured, self.interval_length)
    }
}

/// Spans of intervals as dates, UTC; at most six of them.
#[must_use]
pub fn dates(intervals: &[Interval], length: u16) -> String {
    const SHOWN: usize = 6;
    let utc = |index: u32| crate::cli::utc(i64::from(index) * i64::from(length));
    let spans: Vec<&[Interval]> = intervals.chunk_by(|a, b| a.0 + 1 == b.0).collect();
    let span = |span: &&[Interval]| match (span.first(), span.last()) {
        (Some(first), Some(last)) => format!("{} to {}", utc(first.0), utc(last.0.saturating_add(1))),
        _ => String::new(),
    };
    let mut text = spans.iter().take(SHOWN).map(span).collect::<Vec<_>>().join(", ");
    if spans.len() > SHOWN {
        text.push_str(&format!(", and {} more", spans.len() - SHOWN));
    }
    text
}
