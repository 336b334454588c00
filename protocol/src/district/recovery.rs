//! Back from L1: what an owner learns of its account from its key file and the data of the batches alone (EXIT of version
//! 3).
//!
//! Every batch of the district shows six words for each slot and two for each operation slot, used or not. The owner computes
//! its first seed, finds the batch that its account began with, and follows.

use std::num::NonZeroU16;

use super::{
    seed::Seed,
    words::{Opening, SlotWords, read_registers, unmasked},
};
use crate::{account::Registers, field::Fr};

/// What a batch shows that concerns one slot.
#[derive(Clone, Copy, Debug)]
pub struct BatchWords<'a> {
    /// The batch's nonce: what its salts and masks were made with.
    pub nonce: Fr,
    /// The slot's words.
    pub slot: SlotWords,
    /// Two words of each operation slot and correction lane: lane 1 first.
    pub lanes: &'a [[Fr; 2]],
}

/// An account as its owner finds it: enough to exit and to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What the leaf holds.
    pub opening: Opening,
    /// s1 of the leaf: with balance and payout address all that an exit opens.
    pub exit_salt: Fr,
    /// The other two children of the leaf.
    pub closed: [Fr; 2],
    /// Registers at the last settlement; `None` in the batch of the enrolment.
    pub registers: Option<Registers>,
    /// The seed of the leaf.
    pub seed: Seed,
}

/// A batch whose words this seed does not open: it is not this owner's account, or the data is not the batch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the words of batch {batch} do not open with this key: another owner's slot, or other data than the batch's")]
pub struct NotOpened {
    /// Position in what was given, from 0.
    pub batch: usize,
}

impl BatchWords<'_> {
    /// The opening that some lane of the batch leads to: the last one that was applied is the one that opens `exit_c`.
    fn opened_by_a_lane(&self, seed: &Seed, index: u16) -> Option<(Opening, Fr)> {
        let lanes = (1u16..).filter_map(NonZeroU16::new).zip(self.lanes);
        lanes
            .map(|(lane, words)| {
                let secrets = seed.operate(self.nonce, index, lane);
                (Opening::read(unmasked(*words, &secrets.masks)), secrets.exit_salt)
            })
            .find_map(|(opening, salt)| opening.filter(|o| o.opens(self.slot.exit, salt)).map(|o| (o, salt)))
    }

    fn recovered(&self, (opening, exit_salt): (Opening, Fr), registers: Option<Registers>, seed: Seed) -> Recovered {
        Recovered { opening, exit_salt, closed: [self.slot.private, self.slot.record], registers, seed }
    }

    /// The account after the batch in which it was enrolled or its owner changed, by the seed which that set.
    #[must_use]
    pub fn begun(&self, seed: &Seed, index: u16) -> Option<Recovered> {
        self.opened_by_a_lane(seed, index).map(|found| self.recovered(found, None, seed.clone()))
    }

    /// The account after the batch, by the seed of the leaf before it.
    #[must_use]
    pub fn followed(&self, seed: &Seed, index: u16) -> Option<Recovered> {
        let secrets = seed.settle(self.nonce, index);
        let [m1, m2, m3] = unmasked(self.slot.masked, &secrets.masks);
        let registers = read_registers(m3)?;
        let settled = Opening::read([m1, m2])?;
        let found = if settled.opens(self.slot.exit, secrets.exit_salt) {
            (settled, secrets.exit_salt)
        } else {
            // Operations use the seed in the leaf that they open: the one that the settlement has put there.
            self.opened_by_a_lane(&secrets.next, index)?
        };
        Some(self.recovered(found, Some(registers), secrets.next))
    }
}

/// Follows an account from the batch that it began with to the last one given. `index` is its slot, counted over the
/// district.
///
/// # Errors
/// [`NotOpened`], the first batch that does not open.
pub fn follow<'a>(
    first: &Seed,
    index: u16,
    batches: impl IntoIterator<Item = BatchWords<'a>>,
) -> Result<Recovered, NotOpened> {
    let mut batches = batches.into_iter().enumerate();
    let begun = batches.next().and_then(|(_, batch)| batch.begun(first, index)).ok_or(NotOpened { batch: 0 })?;
    batches.try_fold(begun, |before, (batch, words)| words.followed(&before.seed, index).ok_or(NotOpened { batch }))
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
