//! One account's balance, reading or bill, opened by its owner, against the leaves on L1.
//!
//! A leaf hides everything of an account, and nobody can open it in two ways. An opening that hashes to the leaf of a
//! batch is what the account was after that batch. What a period came to is the difference of two leaves, less what the
//! batch's operations moved: each of those has a record on L1, and the owner's nonce counts them, so none can be left out
//! or made up.

use gridveil_protocol::{
    account::{Account, Registers},
    field::Fr,
    hex::hex0,
    opening::{BalanceOpening, BillOpening, ReadingOpening},
    operation::slot::OperationSlot,
    params::{Shape, UNIT_NANO},
    record::{Record, RecordKind},
    units::{Interval, Nano, Wh},
};
use gridveil_verifier_contract::SettledBatch;
use serde::Serialize;

use super::{Published, TotalsError, Which, headers::Leaves};

/// Why an opened account is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// As of a period's totals: no such deployment, community, batch.
    #[error(transparent)]
    Totals(#[from] TotalsError),
    /// No such slot.
    #[error("slot {slot} of {slots}: there is none")]
    Slot {
        /// Opened.
        slot: u16,
        /// Of the shape.
        slots: usize,
    },
    /// Another account, another period, or other values.
    #[error("the account {0} the batch does not open to the slot's leaf on L1")]
    Leaf(Which),
    /// Nothing to compare with.
    #[error("the account before the community's first batch is in no batch: open its balance, or a later period")]
    First,
    /// Values that no settlement makes of one another.
    #[error("the opened accounts are not one account: owner, meter, payout, nonce or registers do not follow")]
    Follows,
    /// A movement that did not happen, or one that is left out.
    #[error("the account after the batch is not what the opened operations make of the settled one")]
    Operations,
    /// A movement of somebody else, or none.
    #[error("operation {0} has no record in the batch")]
    Record(usize),
    /// A movement that is left out.
    #[error("the batch has a forced withdrawal of this slot that the opening does not have")]
    Forced,
    /// Two sums that cannot be told apart.
    #[error(
        "a substitute of this account may have been corrected in this batch, and the period and the correction are one sum: open the balance"
    )]
    Corrected,
}

/// A balance that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenedBalance {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// The batch after which it was.
    pub batch: u64,
    /// Nano.
    pub balance_nano: u64,
    /// Account that is paid on exit, hex.
    pub payout: String,
}

/// A reading that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenedReading {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Its batch.
    pub batch: u64,
    /// Taken from the network in the period, Wh.
    pub import_wh: Wh,
    /// Fed in, Wh.
    pub export_wh: Wh,
    /// All that was ever taken from the network, after the period, Wh.
    pub import_register_wh: Wh,
    /// All that was ever fed in, Wh.
    pub export_register_wh: Wh,
    /// Was the period settled with a substitute?
    pub substituted: bool,
}

/// A bill that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenedBill {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Its batch.
    pub batch: u64,
    /// Taken from the network, Wh.
    pub import_wh: Wh,
    /// Fed in, Wh.
    pub export_wh: Wh,
    /// Bought locally, Wh.
    pub bought_wh: Wh,
    /// Sold locally, Wh.
    pub sold_wh: Wh,
    /// What the account's value changed by because of the energy, nano: negative if the member pays.
    pub bill_nano: Nano,
    /// Balance less debt before, nano.
    pub before_nano: Nano,
    /// Balance less debt after the batch and its operations, nano.
    pub after_nano: Nano,
    /// Operations of the account in this batch.
    pub operations: usize,
    /// Was the period settled with a substitute?
    pub substituted: bool,
}

impl Published {
    /// Checks an opened balance.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn balance(&self, opening: &BalanceOpening) -> Result<OpenedBalance, AccountError> {
        let BalanceOpening { community, first_interval, slot, .. } = *opening;
        let (batch, leaves) = self.leaves((opening.chain_id, opening.contract), community, first_interval)?;
        if leaf_of(&leaves, slot)? != opening.leaf() {
            return Err(AccountError::Leaf(Which::After));
        }
        Ok(OpenedBalance {
            community,
            slot,
            first_interval,
            batch: batch.batch,
            balance_nano: opening.balance,
            payout: hex0(opening.payout),
        })
    }

    /// Checks an opened reading: what the registers counted between two leaves.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn reading(&self, opening: &ReadingOpening) -> Result<OpenedReading, AccountError> {
        let ReadingOpening { community, first_interval, slot, before, after, .. } = opening;
        let (batch, leaves) = self.leaves((opening.chain_id, opening.contract), *community, *first_interval)?;
        if leaf_of(&leaves, *slot)? != after.leaf() {
            return Err(AccountError::Leaf(Which::After));
        }
        if leaf_of(&self.leaves_before(batch)?, *slot)? != before.leaf() {
            return Err(AccountError::Leaf(Which::Before));
        }
        let grown = |of: fn(&Registers) -> Wh| {
            of(&after.registers).checked_sub(of(&before.registers)).ok_or(AccountError::Follows)
        };
        let (import_wh, export_wh) = (grown(|registers| registers.import)?, grown(|registers| registers.export)?);
        // An account that ends or begins in the batch has no register that counted through the period.
        if before.owner != after.owner || before.meter.is_none() || after.meter.is_none() {
            return Err(AccountError::Follows);
        }
        corrected(before.pending_substitute, after.pending_substitute)?;
        Ok(OpenedReading {
            community: *community,
            slot: *slot,
            first_interval: *first_interval,
            batch: batch.batch,
            import_wh,
            export_wh,
            import_register_wh: after.registers.import,
            export_register_wh: after.registers.export,
            substituted: after.pending_substitute != before.pending_substitute,
        })
    }

    /// Checks an opened bill.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn bill(&self, opening: &BillOpening) -> Result<OpenedBill, AccountError> {
        let BillOpening { community, first_interval, slot, before, settled, after, operations, .. } = opening;
        let (batch, leaves) = self.leaves((opening.chain_id, opening.contract), *community, *first_interval)?;
        if leaf_of(&leaves, *slot)? != after.leaf() {
            return Err(AccountError::Leaf(Which::After));
        }
        if leaf_of(&self.leaves_before(batch)?, *slot)? != before.leaf() {
            return Err(AccountError::Leaf(Which::Before));
        }
        let kept =
            |account: &Account| (account.owner, account.meter, account.payout, account.nonce, account.terms.scale);
        let grown = |of: fn(&Account) -> Wh| of(settled).checked_sub(of(before)).ok_or(AccountError::Follows);
        let [import_wh, export_wh, bought_wh, sold_wh] = [
            grown(|account| account.registers.import)?,
            grown(|account| account.registers.export)?,
            grown(|account| account.registers.bought)?,
            grown(|account| account.registers.sold)?,
        ];
        if kept(before) != kept(settled) || bought_wh > import_wh || sold_wh > export_wh {
            return Err(AccountError::Follows);
        }
        corrected(before.pending_substitute, after.pending_substitute)?;
        self.moved(opening, leaves.records)?;
        Ok(OpenedBill {
            community: *community,
            slot: *slot,
            first_interval: *first_interval,
            batch: batch.batch,
            import_wh,
            export_wh,
            bought_wh,
            sold_wh,
            bill_nano: settled.value() - before.value(),
            before_nano: before.value(),
            after_nano: after.value(),
            operations: operations.len(),
            substituted: settled.pending_substitute != before.pending_substitute,
        })
    }

    /// The operations lead from the settled account to the one after, and each that moves money has its record.
    fn moved(&self, opening: &BillOpening, mut records: Vec<Record>) -> Result<(), AccountError> {
        let mut account = opening.settled.clone();
        for (index, signed) in opening.operations.iter().enumerate() {
            let computed = OperationSlot::compute(&account, signed);
            match &computed.record {
                Some(record) => {
                    let place = records.iter().position(|other| other == record).ok_or(AccountError::Record(index))?;
                    let record = records.swap_remove(place);
                    let moved = (computed.after.value() - account.value()).0.unsigned_abs();
                    let parsed = Record::parse(record.w0, record.w1).ok().filter(|parsed| parsed.kind.has_units());
                    // A claim binds its amount; of others the record has whole units.
                    if parsed.is_some_and(|parsed| u128::from(parsed.units) * u128::from(UNIT_NANO) != moved) {
                        return Err(AccountError::Record(index));
                    }
                }
                None if computed.after.value() != account.value() => return Err(AccountError::Record(index)),
                None => {}
            }
            // An account that is emptied keeps nothing that shows what it was.
            if computed.after.registers != account.registers {
                return Err(AccountError::Follows);
            }
            account = computed.after;
        }
        if account != opening.after {
            return Err(AccountError::Operations);
        }
        let mut left = records.iter().filter_map(|record| Record::parse(record.w0, record.w1).ok());
        if left.any(|record| record.kind == RecordKind::Forced && record.extra == u32::from(opening.slot)) {
            return Err(AccountError::Forced);
        }
        Ok(())
    }

    /// What the community's batch before this one has published.
    fn leaves_before(&self, batch: &SettledBatch) -> Result<Leaves, AccountError> {
        let earlier = self.batches.iter().take_while(|earlier| earlier.batch < batch.batch);
        let earlier = earlier.filter(|earlier| earlier.call.community == batch.call.community).last();
        Ok(Leaves::of(earlier.ok_or(AccountError::First)?, &self.shape(batch.call.community)?)?)
    }

    fn shape(&self, community: u32) -> Result<Shape, TotalsError> {
        let params = self.communities.get(&community).ok_or(TotalsError::Community(community))?;
        Shape::by_id(params.shape).ok_or(TotalsError::Community(community))
    }

    /// A period's batch and what it has published.
    fn leaves(
        &self,
        deployment: (u64, [u8; 20]),
        community: u32,
        first_interval: Interval,
    ) -> Result<(&SettledBatch, Leaves), AccountError> {
        let (batch, _) = self.batch(deployment, community, first_interval)?;
        Ok((batch, Leaves::of(batch, &self.shape(community)?)?))
    }
}

/// A correction takes the substitute away that waits for one; a new substitute is put before it. Either may have happened.
fn corrected(before: Fr, after: Fr) -> Result<(), AccountError> {
    if before != Fr::from(0u64) && after != before { Err(AccountError::Corrected) } else { Ok(()) }
}

/// The leaf of a slot.
fn leaf_of(leaves: &Leaves, slot: u16) -> Result<Fr, AccountError> {
    let slots = leaves.members.len();
    leaves.members.get(usize::from(slot)).copied().ok_or(AccountError::Slot { slot, slots })
}
