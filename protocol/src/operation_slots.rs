//! What a settlement does after its period: beginning, operation slots, correction, header slot, queue of notes
//! (`docs/spec/operations.md`).

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, LeafSalts},
    community::Community,
    correction::{Corrected, Correction, CorrectionError},
    field::{Fr, hex_fr},
    header_operation::{HeaderError, HeaderOperation},
    init,
    operation::{
        SignedOperation,
        slot::{OperationError, OperationSlot},
    },
    packet::Context,
    params::QUEUE,
    record::{Record, RecordKind},
    tree::{Children, dense_path, dense_root},
    units::Nano,
};
use ark_ff::AdditiveGroup;

/// A note commitment of L1's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueuedNote(#[serde(with = "hex_fr")] pub Fr);

/// What a settlement is asked to do beside settling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// The community begins with this settlement.
    #[serde(default)]
    pub init: bool,
    /// At most the shape's `operations`, in order.
    #[serde(default)]
    pub slots: Vec<SignedOperation>,
    /// At most one.
    #[serde(default)]
    pub correction: Option<Correction>,
    /// The header slot.
    #[serde(default)]
    pub header: HeaderOperation,
    /// At most 16 notes from the head of L1's queue.
    #[serde(default)]
    pub notes: Vec<QueuedNote>,
}

/// Why the operations of a settlement are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationsError {
    /// More than the shape has operation slots.
    #[error("OP.3: {got} operations for {slots} operation slots (sequencer)")]
    TooMany {
        /// Operation slots.
        slots: usize,
        /// Operations.
        got: usize,
    },
    /// One operation.
    #[error("operation {index}, slot {slot}: {source}")]
    Operation {
        /// Position.
        index: usize,
        /// Slot it names.
        slot: u16,
        /// Why.
        source: OperationError,
    },
    /// The correction.
    #[error("correction: {0}")]
    Correction(#[from] CorrectionError),
    /// The header slot.
    #[error("header operation: {0}")]
    Header(#[from] HeaderError),
    /// A community that begins is not empty.
    #[error("STATE.INIT: a community that begins has {0} (meter data manager)")]
    NotEmpty(&'static str),
    /// More than the queue of a settlement holds, or an empty note.
    #[error("NOTES.1: at most {QUEUE} notes, none of them zero (sequencer)")]
    Notes,
}

impl OperationsError {
    /// Clause id.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "OP.3",
            Self::Operation { source, .. } => source.clause(),
            Self::Correction(error) => error.clause(),
            Self::Header(error) => error.clause(),
            Self::NotEmpty(_) => "STATE.INIT",
            Self::Notes => "NOTES.1",
        }
    }
}

/// One operation slot, used or not, as the circuit shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct AppliedOperationSlot {
    /// Slot it opens; 0 where the operation slot is not used.
    pub slot: usize,
    /// Leaf before.
    pub before: Account,
    /// The operation and what it came to.
    pub used: Option<(SignedOperation, OperationSlot)>,
}

/// The correction slot.
#[derive(Clone, PartialEq, Eq)]
pub struct AppliedCorrection {
    /// Slot it opens; 0 where the operation slot is not used.
    pub slot: usize,
    /// Leaf before.
    pub before: Account,
    /// The correction and what it came to.
    pub used: Option<(Correction, Corrected)>,
}

/// Everything the operation slots came to.
#[derive(Clone, PartialEq, Eq)]
pub struct Applied {
    /// One for each operation slot of the shape.
    pub slots: Vec<AppliedOperationSlot>,
    /// The correction slot.
    pub correction: AppliedCorrection,
    /// Accounts afterwards.
    pub accounts: Vec<Account>,
    /// Records in order.
    pub records: Vec<Record>,
    /// Paid to the supplier account by closed accounts, nano.
    pub rest: Nano,
}

impl std::fmt::Debug for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applied").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

/// Root of the queued notes, zero where there is none.
#[must_use]
pub fn queue_root(notes: &[QueuedNote]) -> Fr {
    let leaf = |i: usize| notes.get(i).map_or(Fr::ZERO, |note| note.0);
    dense_root(&(0..QUEUE).map(leaf).collect::<Vec<_>>())
}

/// Opening of a queued note, bottom up: the queue tree, then the append beside the settlement's own `notes_root`. Its
/// index begins with `position`, then child 1.
#[must_use]
pub fn queue_path(notes: &[QueuedNote], position: usize, notes_root: Fr) -> Option<Vec<Children>> {
    let leaf = |i: usize| notes.get(i).map_or(Fr::ZERO, |note| note.0);
    let mut path = dense_path(&(0..QUEUE).map(leaf).collect::<Vec<_>>(), position)?;
    path.push([notes_root, queue_root(notes), Fr::ZERO, Fr::ZERO]);
    Some(path)
}

/// The account of a slot; an empty one where there is none, as for an input without packets, which
/// [`Operations::check`] does not see.
fn at(accounts: &[Account], slot: usize) -> Account {
    accounts.get(slot).cloned().unwrap_or_else(|| Account::empty(LeafSalts::default()))
}

impl Operations {
    /// Applies everything to the settled accounts of `community` (the community before), refusing nothing.
    #[must_use]
    pub fn compute(&self, community: &Community, settled: Vec<Account>) -> Applied {
        let mut accounts = settled;
        let mut records: Vec<Record> = self.init.then(|| init::record(&community.header)).into_iter().collect();
        let mut rest = Nano::ZERO;
        let operation_slots = (0..community.shape.operations.max(self.slots.len()))
            .map(|operation_slot| {
                let used = self.slots.get(operation_slot);
                let slot =
                    used.map_or(0, |signed| usize::from(signed.operation.slot)).min(accounts.len().saturating_sub(1));
                let before = at(&accounts, slot);
                let used = used.map(|signed| {
                    let operation_slot = OperationSlot::compute(&before, signed);
                    accounts
                        .iter_mut()
                        .skip(slot)
                        .take(1)
                        .for_each(|account| account.clone_from(&operation_slot.after));
                    records.extend(operation_slot.record);
                    rest += operation_slot.rest;
                    (signed.clone(), operation_slot)
                });
                AppliedOperationSlot { slot, before, used }
            })
            .collect();
        let slot = self.correction.as_ref().map_or(0, Correction::slot).min(accounts.len().saturating_sub(1));
        let before = at(&accounts, slot);
        let used = self.correction.as_ref().map(|correction| {
            let corrected = correction.compute(&before);
            accounts.iter_mut().skip(slot).take(1).for_each(|account| account.clone_from(&corrected.after));
            records.push(corrected.record);
            (correction.clone(), corrected)
        });
        records.extend(self.header.record());
        records.extend(self.notes.iter().map(|note| Record::new(RecordKind::Note, 0, 0, note.0)));
        Applied {
            slots: operation_slots,
            correction: AppliedCorrection { slot, before, used },
            accounts,
            records,
            rest,
        }
    }

    /// Every refusal, except those that depend on the pools afterwards.
    ///
    /// # Errors
    /// [`OperationsError`], the first that refuses.
    pub fn check(&self, community: &Community, context: &Context, applied: &Applied) -> Result<(), OperationsError> {
        if self.init {
            init::check(community).map_err(OperationsError::NotEmpty)?;
        }
        let operation_slots = community.shape.operations;
        if self.slots.len() > operation_slots {
            return Err(OperationsError::TooMany { slots: operation_slots, got: self.slots.len() });
        }
        let mdm = &community.header.mdm;
        for (index, applied) in applied.slots.iter().enumerate() {
            let Some((signed, operation_slot)) = &applied.used else { continue };
            let slot = signed.operation.slot;
            let refused = |source| OperationsError::Operation { index, slot, source };
            if usize::from(slot) != applied.slot {
                return Err(refused(OperationError::Slot));
            }
            operation_slot.check(&applied.before, signed, context.domain, context.community, mdm).map_err(refused)?;
        }
        if let Some((correction, _)) = &applied.correction.used {
            correction.check(&applied.correction.before, context, mdm)?;
        }
        if self.notes.len() > QUEUE || self.notes.iter().any(|note| note.0 == Fr::ZERO) {
            return Err(OperationsError::Notes);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "operation_slots_tests.rs"]
mod tests;
