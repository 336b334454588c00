//! What a closed period's settlement does beside settling: which operations, which correction, which notes. Decides
//! nothing that `protocol` decides: whatever its checks refuse is refused with a code, and does not stop the batch.

use std::collections::BTreeMap;

use gridveil_protocol::{
    account::Account,
    correction::Correction,
    field::{Fr, to_bytes},
    header_operation::{HeaderOperation, Pool},
    operation::{Kind, Operation, SignedOperation, slot::OperationSlot},
    operation_slots::{Operations, OperationsError, QueuedNote},
    packet::PacketError,
    params::{QUEUE, UNIT_NANO},
    record::{Record, RecordKind},
    settlement::{self, SettlementError, SettlementInput, Transition},
};

use crate::{
    l1::L1View,
    problem::{self, Code, of_correction, of_header, of_operation},
    store::record::{Bytes32, Effects, Element, OperationSource, Refused, Selected},
};

/// What waits, oldest first.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Operations.
    pub operations: Vec<([u8; 32], SignedOperation)>,
    /// Late packets.
    pub late: Vec<Late>,
    /// Header operation.
    pub header: Option<HeaderOperation>,
}

/// A late packet that waits.
#[derive(Debug)]
pub struct Late {
    /// Identity.
    pub id: [u8; 32],
    /// Slot.
    pub slot: u16,
    /// Where its substitute lay when the period was closed.
    pub place: Place,
}

/// Place of a substitute among those of its slot that may still be corrected.
#[derive(Debug)]
pub enum Place {
    /// Nowhere: it is final.
    Final,
    /// Beneath another, which is corrected first.
    Beneath,
    /// On top.
    Top(Box<Correction>),
}

/// What was selected, and what it comes to.
#[derive(Debug)]
pub struct Selection {
    /// The settlement with everything selected, checked.
    pub transition: Transition,
    /// For the log.
    pub selected: Selected,
    /// Forced withdrawals by slot, to be sealed.
    pub forced: BTreeMap<u16, Vec<SignedOperation>>,
}

/// Selects. `base` has the period's packets and no operations.
///
/// # Errors
/// [`SettlementError`] where the period does not settle even without what waits.
pub fn select(
    base: SettlementInput,
    begins: bool,
    candidates: Candidates,
    view: L1View,
) -> Result<Selection, SettlementError> {
    settlement::check_input(&base)?;
    let settled = settlement::compute(base);
    let mut draft = Draft::new(&settled, begins, view);
    draft.serve_forced()?;
    draft.take_operations(candidates.operations);
    draft.correction(candidates.late);
    draft.append_notes();
    draft.operate_header(candidates.header);
    loop {
        let input = SettlementInput { operations: draft.operations.clone(), ..settled.input.clone() };
        let transition = settlement::compute_with(input, settled.clearings.clone());
        match settlement::check_outcome(&transition) {
            Ok(()) => return Ok(Selection { transition, selected: draft.selected, forced: draft.forced }),
            Err(error) => draft.retreat(error)?,
        }
    }
}

struct Draft<'a> {
    settled: &'a Transition,
    accounts: Vec<Account>,
    view: L1View,
    operations: Operations,
    forced: BTreeMap<u16, Vec<SignedOperation>>,
    selected: Selected,
}

impl<'a> Draft<'a> {
    fn new(settled: &'a Transition, begins: bool, view: L1View) -> Self {
        let input = &settled.input;
        Self {
            settled,
            accounts: settled.settled.clone(),
            view,
            operations: Operations { init: begins, ..Operations::default() },
            forced: BTreeMap::new(),
            selected: Selected {
                community: input.community.index,
                first_interval: input.community.header.next_interval,
                effects: Effects { init: begins, ..Effects::default() },
                ..Selected::default()
            },
        }
    }

    fn full(&self) -> bool {
        self.operations.slots.len() >= self.settled.input.community.shape.operations
    }

    fn refuse(&mut self, id: [u8; 32], code: Code) {
        self.selected.refused.push(Refused { id, code: code.code.to_owned() });
    }

    fn put(&mut self, source: OperationSource, signed: SignedOperation, operation_slot: OperationSlot) {
        if let Some(account) = self.accounts.get_mut(usize::from(signed.operation.slot)) {
            *account = operation_slot.after;
        }
        self.selected.slots.push(source);
        self.operations.slots.push(signed);
    }

    /// OP.7: the head of L1's queue first, in its order.
    fn serve_forced(&mut self) -> Result<(), SettlementError> {
        let input = &self.settled.input;
        for entry in std::mem::take(&mut self.view.forced) {
            let Some(before) = self.accounts.get(usize::from(entry.slot)) else { break };
            if self.full() {
                break;
            }
            let mut operation = Operation::new(Kind::Forced, input.community.index, entry.slot, before.nonce);
            operation.payout = entry.requester;
            operation.amount =
                if entry.requester == before.payout { before.balance - before.balance % UNIT_NANO } else { 0 };
            let signed = SignedOperation::forced(input.domain, operation)
                .map_err(|source| PacketError::Signature { slot: usize::from(entry.slot), source })?;
            let operation_slot = OperationSlot::compute(before, &signed);
            self.forced.entry(entry.slot).or_default().push(signed.clone());
            self.put(OperationSource::Forced(entry.slot), signed, operation_slot);
            self.selected.effects.forced += 1;
        }
        Ok(())
    }

    fn take_operations(&mut self, pending: Vec<([u8; 32], SignedOperation)>) {
        let input = &self.settled.input;
        let (domain, community, mdm) = (input.domain, input.community.index, input.community.header.mdm);
        for (id, signed) in pending {
            if self.full() {
                break;
            }
            let Some(before) = self.accounts.get(usize::from(signed.operation.slot)) else {
                self.refuse(id, problem::OPERATION_SLOT);
                continue;
            };
            let operation_slot = OperationSlot::compute(before, &signed);
            let checked =
                operation_slot.check(before, &signed, domain, community, &mdm).map_err(|error| of_operation(&error));
            match checked.and_then(|()| self.claim(signed.operation.kind, &operation_slot)) {
                Ok(()) => self.put(OperationSource::Operation(Bytes32(id)), signed, operation_slot),
                Err(code) => self.refuse(id, code),
            }
        }
    }

    /// What L1 asks of a claim (`docs/spec/l1.md`), after the batches and operation slots before.
    fn claim(&mut self, kind: Kind, operation_slot: &OperationSlot) -> Result<(), Code> {
        let Some(record) = &operation_slot.record else { return Ok(()) };
        let (word, element, effects) = (to_bytes(&record.w1), Element(record.w1), &mut self.selected.effects);
        match kind {
            Kind::Deposit => {
                let units = self.view.deposits.get(&word).copied();
                let expected = units.map(|units| Record::new(RecordKind::Deposit, units, 0, record.w1));
                if expected != Some(*record) {
                    return Err(problem::OPERATION_DEPOSIT);
                }
                self.view.deposits.remove(&word);
                effects.deposits.push(element);
            }
            Kind::Receive => {
                if !self.view.transfers.remove(&word) {
                    return Err(problem::OPERATION_CLAIM);
                }
                effects.received.push(element);
            }
            Kind::Send => {
                if !self.view.sent.insert(word) {
                    return Err(problem::OPERATION_CLAIM_USED);
                }
                self.view.transfers.insert(word);
                effects.opened.push(element);
            }
            Kind::Withdraw | Kind::Rotate | Kind::Close | Kind::Enrol | Kind::Replace | Kind::Terms | Kind::Forced => {}
        }
        Ok(())
    }

    /// The oldest late packet whose substitute is on top. One beneath, or under a substitute of this very period,
    /// waits; what is final is refused.
    fn correction(&mut self, late: Vec<Late>) {
        let (context, mdm) = (self.settled.input.context(), self.settled.input.community.header.mdm);
        for Late { id, slot, place } in late {
            let account =
                self.accounts.get(usize::from(slot)).filter(|account| account.pending_substitute != Fr::from(0u64));
            let checked = match (place, account) {
                (Place::Final, _) | (_, None) => Err(problem::CORRECTION_NOT_PENDING),
                (Place::Top(correction), Some(account))
                    if correction.opens(account) && self.operations.correction.is_none() =>
                {
                    correction
                        .check(account, &context, &mdm)
                        .map_err(|error| of_correction(&error))
                        .map(|()| Some(*correction))
                }
                (Place::Top(_) | Place::Beneath, Some(_)) => Ok(None),
            };
            match checked {
                Ok(Some(correction)) => {
                    self.selected.correction = Some(Bytes32(id));
                    self.operations.correction = Some(correction);
                }
                Ok(None) => {}
                Err(code) => self.refuse(id, code),
            }
        }
    }

    /// NOTES.1.
    fn append_notes(&mut self) {
        let notes: Vec<Fr> = self.view.notes.iter().copied().take(QUEUE).collect();
        self.selected.effects.notes = notes.iter().copied().map(Element).collect();
        self.operations.notes = notes.into_iter().map(QueuedNote).collect();
    }

    fn operate_header(&mut self, header: Option<HeaderOperation>) {
        let Some(header) = header else { return };
        let supplier_in = header.transfer.filter(|t| t.pool == Pool::SupplierIn).map_or(0, |t| t.units);
        if supplier_in > self.view.supplier_units {
            return self.refuse_header(problem::HEADER_FUNDS);
        }
        self.operations.header = header;
        self.selected.header = true;
        self.selected.effects.supplier_in = supplier_in;
    }

    fn refuse_header(&mut self, code: Code) {
        self.operations.header = HeaderOperation::default();
        self.selected.header = false;
        self.selected.effects.supplier_in = 0;
        self.selected.header_refused = Some(code.code.to_owned());
    }

    /// Takes back what stands in the way of the whole: the header operation that is refused, or else the correction,
    /// which then waits (the pools may carry it later), or else the header operation.
    fn retreat(&mut self, error: SettlementError) -> Result<(), SettlementError> {
        let pools = matches!(
            error,
            SettlementError::TotalOverflow | SettlementError::FeeAccount | SettlementError::SupplierTooSmall { .. }
        );
        if let (SettlementError::Operations(OperationsError::Header(refusal)), true) = (&error, self.selected.header) {
            self.refuse_header(of_header(refusal));
        } else if self.selected.correction.take().is_some() {
            self.operations.correction = None;
        } else if pools && self.selected.header {
            self.refuse_header(problem::HEADER_UNITS);
        } else {
            return Err(error);
        }
        Ok(())
    }
}

/// The claims that the operations ask L1 about.
#[must_use]
pub fn claims(operations: &[([u8; 32], SignedOperation)]) -> Claims {
    let mut claims = Claims::default();
    for (_, signed) in operations {
        let operation = &signed.operation;
        match operation.kind {
            Kind::Deposit => claims.deposits.push(operation.claim(signed.owner.commitment())),
            Kind::Receive => claims.transfers.push(operation.claim(signed.owner.commitment())),
            Kind::Send => claims.transfers.push(operation.claim(operation.party)),
            Kind::Withdraw | Kind::Rotate | Kind::Close | Kind::Enrol | Kind::Replace | Kind::Terms | Kind::Forced => {}
        }
    }
    claims
}

/// Claims to be looked up on L1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Of deposits.
    pub deposits: Vec<Fr>,
    /// Of transfers between members.
    pub transfers: Vec<Fr>,
}
