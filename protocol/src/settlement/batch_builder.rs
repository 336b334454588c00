//! Builds a settlement with the operations that it carries, one offer after the other
//! (`docs/adr/0012-batch-builder.md`).
//!
//! [`BatchBuilder::open`] settles the period and serves the head of L1's forced queue. Each offer is checked by the
//! rules of [`super::apply`] on the accounts as the offers before it left them, and is taken or refused at once.
//! [`BatchBuilder::finish`] appends the queued notes and gives a transition that `apply` accepts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    SettlementError, SettlementInput, Transition, check_input, check_outcome, clear_all, compute::SettledPeriod,
};
use crate::{
    account::Account,
    correction::{Correction, CorrectionError},
    field::{Fr, to_bytes},
    header_operation::{HeaderOperation, Pool},
    operation::{
        Kind, Operation, SignedOperation,
        slot::{OperationError, OperationSlot},
    },
    operation_slots::{Operations, OperationsError, QueuedNote},
    params::{QUEUE, UNIT_NANO},
    record::Action,
};
use ark_ff::AdditiveGroup;

/// A request in a community's forced queue on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForcedEntry {
    /// Slot.
    pub slot: u16,
    /// L1 address of who asked.
    pub requester: [u8; 20],
}

/// What a batch must know of L1: its state when the batch reaches it. Claims are keyed by their canonical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1View {
    /// Whole units of open deposits without a requested refund.
    pub deposits: BTreeMap<[u8; 32], u64>,
    /// Claims between members that are open.
    pub transfers: BTreeSet<[u8; 32]>,
    /// Claims between members that were ever opened.
    pub sent: BTreeSet<[u8; 32]>,
    /// The community's forced queue, head first.
    pub forced: Vec<ForcedEntry>,
    /// The queue of notes, head first.
    pub notes: Vec<Fr>,
    /// The operator's funds, whole units.
    pub supplier_units: u64,
}

/// Why L1 would not take a record (L1.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Refusal {
    /// No open deposit has this claim and these units.
    #[error("L1.10: L1 has no open deposit of this claim and these units (owner)")]
    NoDeposit,
    /// The claim between members is not open.
    #[error("L1.10: L1 has no open claim like this (owner)")]
    NoTransfer,
    /// The claim between members was opened before.
    #[error("L1.10: the claim was opened before (owner)")]
    ClaimUsed,
    /// Only L1's forced queue asks for a forced withdrawal: the builder takes it from there.
    #[error("L1.10: L1's queue asks for no such forced withdrawal (owner)")]
    NotForced,
    /// The operator has fewer units on L1 than the header operation moves.
    #[error("L1.10: L1 has less of the operator's funds (operator)")]
    Funds,
}

/// Why an offer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is valid, but this batch has no place for it: all operation slots are taken, or another correction is, or a
    /// newer substitute of the slot must be corrected first. A later batch may take it.
    #[error("this batch has no place left")]
    Later,
    /// The rules take it; the builder does not: the receipt of who left the slot in this batch opens the slot's account
    /// after it, which would be another's.
    #[error("the slot was left in this batch, and is taken in a later one at the earliest (meter data manager)")]
    Left,
    /// By the rules of an operation slot.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// By the rules of a correction.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// By L1.
    #[error(transparent)]
    L1(#[from] L1Refusal),
}

impl Refused {
    /// Clause id, the same as that of [`super::apply`]; `None` for what [`super::apply`] has
    /// nothing against.
    #[must_use]
    pub const fn clause(&self) -> Option<&'static str> {
        match self {
            Self::Later | Self::Left => None,
            Self::Operation(error) => Some(error.clause()),
            Self::Correction(error) => Some(error.clause()),
            Self::L1(_) => Some("L1.10"),
        }
    }
}

/// A finished batch.
#[derive(Debug)]
pub struct Batch {
    /// The settlement with everything that was taken. [`super::apply`] accepts its input and gives the same transition.
    pub transition: Transition,
    /// Why the settlement is refused with the header operation that was offered. The batch leaves it out.
    pub header_refused: Option<SettlementError>,
    /// The settlement is refused with the correction that was taken. The batch leaves it out; a later one may take it.
    pub correction_postponed: bool,
}

/// Builds one batch. See the module.
pub struct BatchBuilder {
    period: SettledPeriod,
    /// After the operations taken so far.
    accounts: Vec<Account>,
    operations: Operations,
    l1: L1View,
}

impl std::fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchBuilder").field("operations", &self.operations.slots.len()).finish_non_exhaustive()
    }
}

impl BatchBuilder {
    /// Settles the period of `base` and serves the forced queue. Of the operations in `base`, only
    /// [`Operations::init`] counts: whether the community begins.
    ///
    /// # Errors
    /// [`SettlementError`], if the period's input is refused with any operations.
    pub fn open(base: SettlementInput, l1: L1View) -> Result<Self, SettlementError> {
        check_input(&base)?;
        let clearings = clear_all(&base)?;
        let operations = Operations { init: base.operations.init, ..Operations::default() };
        let period = SettledPeriod::compute(base, clearings);
        let mut builder = Self { accounts: period.accounts.clone(), period, operations, l1 };
        builder.serve_forced()?;
        Ok(builder)
    }

    /// The operations taken so far, the forced ones first. They use the first operation slots in this order.
    #[must_use]
    pub fn operations(&self) -> &[SignedOperation] {
        &self.operations.slots
    }

    /// The account of a slot after the operations taken so far; `None` for no slot.
    #[must_use]
    pub fn account(&self, slot: u16) -> Option<&Account> {
        self.accounts.get(usize::from(slot))
    }

    /// Takes an operation into the next operation slot.
    ///
    /// # Errors
    /// [`Refused`]: by the rules, by L1, because its slot was left in this batch, or because every operation slot is taken.
    pub fn offer(&mut self, signed: SignedOperation) -> Result<(), Refused> {
        if self.is_full() {
            return Err(Refused::Later);
        }
        let input = &self.period.input;
        let before = self.account(signed.operation.slot).ok_or(OperationError::Slot)?;
        let computed = OperationSlot::compute(before, &signed);
        computed.check(before, &signed, input.domain, input.community.index, &input.community.header.mdm)?;
        if signed.operation.kind == Kind::Enrol && self.was_left(signed.operation.slot) {
            return Err(Refused::Left);
        }
        self.l1.take_claim(&signed, &computed)?;
        self.put(signed, computed);
        Ok(())
    }

    /// Takes a correction, if its slot is free.
    ///
    /// # Errors
    /// [`Refused`]: by the rules, or because another correction or a newer substitute comes first.
    pub fn offer_correction(&mut self, correction: Correction) -> Result<(), Refused> {
        let slot = correction.substitute.packet.slot;
        let not_pending = CorrectionError::NotPending { slot };
        let account = self.account(slot).filter(|a| a.pending_substitute != Fr::ZERO).ok_or(not_pending)?;
        if self.operations.correction.is_some() || !correction.opens(account) {
            return Err(Refused::Later);
        }
        correction.check(account, &self.period.input.context(), &self.period.input.community.header.mdm)?;
        self.operations.correction = Some(correction);
        Ok(())
    }

    /// Takes the header operation, in the place of one taken before. Whether the rules accept it depends on the whole
    /// batch: [`Self::finish`] tells.
    ///
    /// # Errors
    /// [`L1Refusal::Funds`].
    pub fn offer_header(&mut self, header: HeaderOperation) -> Result<(), L1Refusal> {
        let needed = header.transfer.filter(|t| t.pool == Pool::SupplierIn).map_or(0, |t| t.units);
        if needed > self.l1.supplier_units {
            return Err(L1Refusal::Funds);
        }
        self.operations.header = header;
        Ok(())
    }

    /// Appends the head of L1's queue of notes (NOTES.1) and settles. What the settlement cannot carry as a whole is
    /// left out: a header operation or a correction.
    ///
    /// # Errors
    /// [`SettlementError`], where the period does not settle even without them.
    pub fn finish(self) -> Result<Batch, SettlementError> {
        let Self { mut period, operations, l1, .. } = self;
        period.input.operations = operations;
        period.input.operations.notes = l1.notes.into_iter().take(QUEUE).map(QueuedNote).collect();
        let (mut header_refused, mut correction_postponed) = (None, false);
        loop {
            let transition = period.complete();
            let Err(error) = check_outcome(&transition) else {
                return Ok(Batch { transition, header_refused, correction_postponed });
            };
            period = SettledPeriod::reopened(transition);
            let operations = &mut period.input.operations;
            let has_header = operations.header != HeaderOperation::default();
            let by_header = matches!(error, SettlementError::Operations(OperationsError::Header(_)));
            if !(by_header && has_header) && operations.correction.take().is_some() {
                // The pools may carry it in a later batch.
                correction_postponed = true;
            } else if has_header && (by_header || of_pools(&error)) {
                operations.header = HeaderOperation::default();
                header_refused = Some(error);
            } else {
                return Err(error);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.operations.slots.len() >= self.period.input.community.shape.operations
    }

    fn was_left(&self, slot: u16) -> bool {
        self.operations.slots.iter().any(|o| o.operation.slot == slot && o.operation.kind == Kind::Close)
    }

    /// OP.7: the head of L1's queue, in its order, before anything else.
    fn serve_forced(&mut self) -> Result<(), OperationsError> {
        for entry in std::mem::take(&mut self.l1.forced) {
            let Some(before) = self.account(entry.slot) else { break };
            if self.is_full() {
                break;
            }
            let (input, slot) = (&self.period.input, entry.slot);
            let mut operation = Operation::new(Kind::Forced, input.community.index, slot, before.nonce);
            operation.payout = entry.requester;
            operation.amount =
                if entry.requester == before.payout { before.balance - before.balance % UNIT_NANO } else { 0 };
            let index = self.operations.slots.len();
            let refused =
                |source| OperationsError::Operation { index, slot, source: OperationError::Signature(source) };
            let signed = SignedOperation::forced(input.domain, operation).map_err(refused)?;
            let computed = OperationSlot::compute(before, &signed);
            self.put(signed, computed);
        }
        Ok(())
    }

    fn put(&mut self, signed: SignedOperation, computed: OperationSlot) {
        if let Some(account) = self.accounts.get_mut(usize::from(signed.operation.slot)) {
            *account = computed.after;
        }
        self.operations.slots.push(signed);
    }
}

/// May a settlement that is refused so be accepted without its header operation?
const fn of_pools(error: &SettlementError) -> bool {
    matches!(
        error,
        SettlementError::TotalOverflow | SettlementError::FeeAccount | SettlementError::SupplierTooSmall { .. }
    )
}

impl L1View {
    /// L1.10: what L1 asks of an operation's claim, after the operations before it.
    fn take_claim(&mut self, signed: &SignedOperation, computed: &OperationSlot) -> Result<(), L1Refusal> {
        let Some(record) = &computed.record else { return Ok(()) };
        let claim = to_bytes(&record.w1);
        let Some((kind, _)) = signed.operation.kind.effect().record else { return Ok(()) };
        match kind.action() {
            Action::TakeDeposit => {
                if self.deposits.get(&claim) != Some(&signed.operation.units()) {
                    return Err(L1Refusal::NoDeposit);
                }
                self.deposits.remove(&claim);
            }
            Action::TakeClaim => {
                if !self.transfers.remove(&claim) {
                    return Err(L1Refusal::NoTransfer);
                }
            }
            Action::OpenClaim => {
                if !self.sent.insert(claim) {
                    return Err(L1Refusal::ClaimUsed);
                }
                self.transfers.insert(claim);
            }
            Action::ServeForced => return Err(L1Refusal::NotForced),
            Action::PayAccount
            | Action::PayTreasury
            | Action::FundPool
            | Action::Correct
            | Action::AppendNote
            | Action::Begin => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "batch_builder_tests.rs"]
mod tests;
