//! What became of periods that were settled with a substitute, as far as the receipts in the folder tell.

use gridveil_api::public::CommunityInfo;
use gridveil_protocol::{field::Fr, units::Interval};

use super::Service;
use crate::outbox::OutboxError;

/// Receipts that are looked through.
const LOOKED_BACK: usize = 31;

/// A period that was settled with a substitute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Substituted {
    /// Period.
    pub first_interval: Interval,
    /// What became of it.
    pub now: Now,
}

/// How far a late packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// It was not handed in.
    Missing,
    /// It waits for a settlement that books the difference.
    HandedIn,
    /// No packet corrects it any more: the account has another meter or other terms since (OP.9).
    Final,
    /// The difference is booked.
    Booked {
        /// In the settlement of this period.
        first_interval: Interval,
    },
}

impl Service<'_> {
    /// What became of the periods that were settled with a substitute, as far as the last receipts here tell; oldest first.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn substituted(&self) -> Result<Vec<Substituted>, OutboxError> {
        let outbox = self.outbox()?;
        let periods = outbox.settled(self.domains, self.community, self.slot)?;
        let mut found = Vec::new();
        for period in periods.iter().skip(periods.len().saturating_sub(LOOKED_BACK)) {
            let Some(receipt) = outbox.receipt(period)? else { continue };
            if let Some(correction) = &receipt.correction {
                let about = correction.late.packet.context.first_interval;
                found.iter_mut().filter(|s: &&mut Substituted| s.first_interval == about).for_each(|substituted| {
                    substituted.now = Now::Booked { first_interval: period.first_interval };
                });
            }
            if receipt.substituted {
                let now = if outbox.is_handed_in(period)? { Now::HandedIn } else { Now::Missing };
                found.push(Substituted { first_interval: period.first_interval, now });
            }
            // A leaf that waits for nothing: another meter, or other terms, made the rest final.
            if receipt.after.pending_substitute == Fr::from(0u64) {
                let waits = |s: &&mut Substituted| matches!(s.now, Now::Missing | Now::HandedIn);
                found.iter_mut().filter(waits).for_each(|substituted| substituted.now = Now::Final);
            }
        }
        Ok(found)
    }

    /// The first settled period whose receipt is not here, if the last ones are not: nothing is known of it yet.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn unseen(&self, terms: &CommunityInfo) -> Result<Option<Interval>, OutboxError> {
        let kept = self.outbox()?.settled(self.domains, self.community, self.slot)?;
        let last = kept.last().map(|period| period.first_interval);
        let mut settled = terms.settled.iter().map(|period| period.first_interval);
        Ok(settled.find(|first| last.is_none_or(|last| *first > last)))
    }
}
