//! Selects the pending operations that a closed period's settlement carries: the oldest first, and only what L1 will
//! accept. The rules are the batch builder's. What they refuse is recorded with a code and does not stop the batch.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_protocol::{
    codec::Bytes32,
    correction::Correction,
    field::{Fr, to_bytes},
    header_operation::{HeaderOperation, Pool},
    operation::SignedOperation,
    operation_slots::{Operations, OperationsError},
    record::Action,
    settlement::{
        SettlementError, SettlementInput, Transition,
        batch_builder::{Batch, BatchBuilder, L1Refusal, L1View, Refused},
    },
};

use crate::{
    problem::{self, Code, of_correction, of_header, of_operation},
    store::record::{self, Effects, Element, OperationSource, Selected},
};

/// What is pending, oldest first.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Operations.
    pub operations: Vec<([u8; 32], SignedOperation)>,
    /// Late packets.
    pub late: Vec<Late>,
    /// Header operation.
    pub header: Option<HeaderOperation>,
}

/// A pending late packet.
#[derive(Debug)]
pub struct Late {
    /// Identity.
    pub id: [u8; 32],
    /// Slot.
    pub slot: u16,
    /// The place of its substitute when the period was closed.
    pub place: Place,
}

/// Place of a substitute among the pending ones of its slot.
#[derive(Debug)]
pub enum Place {
    /// None: it is final.
    Final,
    /// A newer one is corrected first.
    Earlier,
    /// It is the newest.
    Newest(Box<Correction>),
}

/// What was selected, and the settlement with it.
#[derive(Debug)]
pub struct Selection {
    /// The settlement with everything selected, checked.
    pub transition: Transition,
    /// For the log.
    pub selected: Selected,
    /// Forced withdrawals by slot, to be sealed.
    pub forced: BTreeMap<u16, Vec<SignedOperation>>,
}

/// Selects. `base` has the period's packets and no operations; `begins` says whether the community begins with it.
///
/// # Errors
/// [`SettlementError`] if the period does not settle even without any operation.
pub fn select(
    base: SettlementInput,
    begins: bool,
    candidates: Candidates,
    view: L1View,
) -> Result<Selection, SettlementError> {
    let base = SettlementInput { operations: Operations { init: begins, ..Operations::default() }, ..base };
    let mut selected = Selected {
        community: base.community.index,
        first_interval: base.community.header.next_interval,
        ..Selected::default()
    };
    let mut builder = BatchBuilder::open(base, view)?;
    let forced = forced(builder.operations());
    selected.slots = builder.operations().iter().map(|o| OperationSource::Forced(o.operation.slot)).collect();
    offer_operations(&mut builder, &mut selected, candidates.operations);
    offer_corrections(&mut builder, &mut selected, candidates.late);
    offer_header(&mut builder, &mut selected, candidates.header);
    let Batch { transition, header_refused, correction_postponed } = builder.finish()?;
    if let Some(error) = header_refused {
        selected.header = false;
        selected.header_refused = Some(header_code(&error).name.to_owned());
    }
    if correction_postponed {
        selected.correction = None;
    }
    selected.effects = effects(&transition);
    Ok(Selection { transition, selected, forced })
}

fn forced(operations: &[SignedOperation]) -> BTreeMap<u16, Vec<SignedOperation>> {
    let mut by_slot: BTreeMap<u16, Vec<SignedOperation>> = BTreeMap::new();
    for signed in operations {
        by_slot.entry(signed.operation.slot).or_default().push(signed.clone());
    }
    by_slot
}

fn offer_operations(builder: &mut BatchBuilder, selected: &mut Selected, pending: Vec<([u8; 32], SignedOperation)>) {
    for (id, signed) in pending {
        match builder.offer(signed) {
            Ok(()) => selected.slots.push(OperationSource::Operation(Bytes32(id))),
            Err(refused) => match code(&refused) {
                Some(code) => refuse(selected, id, code),
                None => break,
            },
        }
    }
}

/// The oldest late packet for a slot's newest substitute. A late packet stays pending if there is a newer substitute,
/// also one of this very period. If its substitute is final, it is refused.
fn offer_corrections(builder: &mut BatchBuilder, selected: &mut Selected, late: Vec<Late>) {
    for Late { id, slot, place } in late {
        let pending = builder.account(slot).is_some_and(|account| account.pending_substitute != Fr::from(0u64));
        let offered = match place {
            Place::Newest(correction) => {
                builder.offer_correction(*correction).map(|()| selected.correction = Some(Bytes32(id)))
            }
            Place::Earlier if pending => Err(Refused::Later),
            Place::Earlier | Place::Final => {
                refuse(selected, id, problem::CORRECTION_NOT_PENDING);
                continue;
            }
        };
        if let Some(code) = offered.err().as_ref().and_then(code) {
            refuse(selected, id, code);
        }
    }
}

fn offer_header(builder: &mut BatchBuilder, selected: &mut Selected, header: Option<HeaderOperation>) {
    match header.map(|header| builder.offer_header(header)) {
        Some(Ok(())) => selected.header = true,
        Some(Err(refusal)) => selected.header_refused = Some(l1_code(refusal).name.to_owned()),
        None => {}
    }
}

fn refuse(selected: &mut Selected, id: [u8; 32], code: Code) {
    selected.refused.push(record::Refused { id, code: code.name.to_owned() });
}

/// `None` for what stays pending.
const fn code(refused: &Refused) -> Option<Code> {
    match refused {
        Refused::Later => None,
        Refused::Left => Some(problem::OPERATION_NOT_EMPTY),
        Refused::Operation(error) => Some(of_operation(error)),
        Refused::Correction(error) => Some(of_correction(error)),
        Refused::L1(refusal) => Some(l1_code(*refusal)),
    }
}

const fn l1_code(refusal: L1Refusal) -> Code {
    match refusal {
        L1Refusal::NoDeposit => problem::OPERATION_DEPOSIT,
        L1Refusal::NoTransfer => problem::OPERATION_CLAIM,
        L1Refusal::ClaimUsed => problem::OPERATION_CLAIM_USED,
        L1Refusal::NotForced => problem::OPERATION_KIND,
        L1Refusal::Funds => problem::HEADER_FUNDS,
    }
}

/// A header operation that passes its own clauses can still move more units than the pools carry.
fn header_code(error: &SettlementError) -> Code {
    if let SettlementError::Operations(OperationsError::Header(refusal)) = error {
        of_header(refusal)
    } else {
        problem::HEADER_UNITS
    }
}

/// What L1 will have done once it has this batch.
fn effects(transition: &Transition) -> Effects {
    let operations = &transition.input.operations;
    let transfer = operations.header.transfer.filter(|t| t.pool == Pool::SupplierIn);
    let mut effects = Effects {
        init: operations.init,
        notes: operations.notes.iter().map(|note| Element(note.0)).collect(),
        supplier_in: transfer.map_or(0, |t| t.units),
        ..Effects::default()
    };
    for (signed, slot) in transition.applied.slots.iter().filter_map(|slot| slot.used.as_ref()) {
        let Some((kind, _)) = signed.operation.kind.effect().record else { continue };
        let claim = slot.record.map(|record| Element(record.w1));
        match kind.action() {
            Action::TakeDeposit => effects.deposits.extend(claim),
            Action::OpenClaim => effects.opened.extend(claim),
            Action::TakeClaim => effects.received.extend(claim),
            Action::ServeForced => effects.forced += 1,
            Action::PayAccount
            | Action::PayTreasury
            | Action::FundPool
            | Action::Correct
            | Action::AppendNote
            | Action::Begin => {}
        }
    }
    effects
}

/// The claims that the operations ask L1 about.
#[must_use]
pub fn claims(operations: &[([u8; 32], SignedOperation)]) -> Claims {
    let mut claims = Claims::default();
    for (_, signed) in operations {
        let Some((kind, _)) = signed.operation.kind.effect().record else { continue };
        match kind.action() {
            Action::TakeDeposit => claims.deposits.extend(signed.claim()),
            Action::OpenClaim | Action::TakeClaim => claims.transfers.extend(signed.claim()),
            Action::PayAccount
            | Action::PayTreasury
            | Action::ServeForced
            | Action::FundPool
            | Action::Correct
            | Action::AppendNote
            | Action::Begin => {}
        }
    }
    claims
}

/// Takes out the operations that ask for one of these claims, and those of the same slots after them: they stay pending.
pub fn postpone(operations: &mut Vec<([u8; 32], SignedOperation)>, early: &BTreeSet<[u8; 32]>) {
    let mut slots = BTreeSet::new();
    operations.retain(|(_, signed)| {
        if signed.claim().is_some_and(|claim| early.contains(&to_bytes(&claim))) {
            slots.insert(signed.operation.slot);
        }
        !slots.contains(&signed.operation.slot)
    });
}

/// Claims to be looked up on L1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Of deposits.
    pub deposits: Vec<Fr>,
    /// Of transfers between members.
    pub transfers: Vec<Fr>,
}
