//! What all receipts of an account say about the days of one bill: what became of substitutes, and when there was an
//! account at all.

use std::{collections::BTreeMap, ops::Range};

use gridveil_protocol::{correction::Correction, field::Fr, receipt::Receipt, units::Interval};

use super::reaches;

/// What is known of an account beside the days of a bill.
#[derive(Clone, Default)]
pub struct History<'a> {
    corrections: BTreeMap<Interval, &'a Correction>,
    /// No substitute of a period before this one waits for a correction any more.
    final_before: Option<Interval>,
    /// When there was no account, unix seconds.
    without: Vec<Range<u64>>,
}

impl std::fmt::Debug for History<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("corrections", &self.corrections.len()).finish_non_exhaustive()
    }
}

impl<'a> History<'a> {
    /// From the receipts that are kept, oldest first, each with its period's domain.
    #[must_use]
    pub fn of(receipts: impl IntoIterator<Item = (Fr, &'a Receipt)>, interval_length_s: u16) -> Self {
        let mut history = Self::default();
        let mut closed = Some(0);
        let mut earlier = None;
        for (domain, receipt) in receipts {
            let first = receipt.first_interval;
            if let Some(correction) = &receipt.correction {
                history.corrections.insert(correction.late.packet.context.first_interval, correction);
            }
            // A substitute of another circuit version has no opening any more.
            if earlier.is_some_and(|earlier| earlier != domain) {
                history.final_before = Some(first);
            }
            earlier = Some(domain);
            // A leaf that waits for nothing: each substitute so far is corrected, or another meter, other terms or the
            // account's end made it final.
            if receipt.after.pending_substitute == Fr::from(0u64) {
                history.final_before = Some(first + 1);
            }
            let own = reaches(receipt, interval_length_s);
            if let Some(since) = closed.take()
                && receipt.before.meter.is_none()
            {
                history.without.push(since..own.start);
            }
            closed = receipt.after.meter.is_none().then_some(own.end);
        }
        history.without.extend(closed.filter(|_| earlier.is_some()).map(|since| since..u64::MAX));
        history
    }

    /// What corrected the substitute of a period.
    pub(super) fn correction(&self, first_interval: Interval) -> Option<&'a Correction> {
        self.corrections.get(&first_interval).copied()
    }

    /// Can no late packet correct the substitute of this period any more?
    pub(super) fn is_final(&self, first_interval: Interval) -> bool {
        self.final_before.is_some_and(|before| first_interval < before)
    }

    /// Intervals of these days in which there was no account.
    pub(super) fn without_account(&self, span_s: &Range<u64>, interval_length_s: u16) -> u64 {
        let index = |seconds: u64| seconds.div_ceil(u64::from(interval_length_s.max(1)));
        let common = |range: &Range<u64>| {
            let (start, end) = (range.start.max(span_s.start), range.end.min(span_s.end));
            index(end).saturating_sub(index(start))
        };
        self.without.iter().map(common).sum()
    }
}
