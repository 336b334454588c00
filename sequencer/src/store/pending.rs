//! What is pending in a community: operations, late packets, a header operation. Part of the log state.

use std::collections::BTreeSet;

use gridveil_protocol::{hex::hex_bytes, units::Interval};
use serde::{Deserialize, Serialize};

use super::{
    log_state::{Entry, OrderError, key, put},
    record::{HeaderAccepted, LateAccepted, OperationAccepted, OperationSource, Refused, Selected, kind},
};

/// A pending operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingOperation {
    /// Identity.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 32],
    /// Slot.
    pub slot: u16,
    /// Where it is.
    pub offset: u64,
}

/// A pending late packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingLate {
    /// Identity.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 32],
    /// Slot.
    pub slot: u16,
    /// Period it is for.
    pub first_interval: Interval,
    /// Where it is.
    pub offset: u64,
}

/// A pending header operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingHeader {
    /// Identity.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 32],
    /// Where it is.
    pub offset: u64,
}

/// Everything that is pending in one community, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Operations. What is selected stays until its batch is applied.
    pub operations: Vec<WaitingOperation>,
    /// Late packets, at most one a slot and period.
    pub late: Vec<WaitingLate>,
    /// Header operation.
    pub header: Option<WaitingHeader>,
    /// Code with which the last header operation was refused.
    pub header_refused: Option<String>,
}

/// What a batch has taken of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Operations.
    pub operations: Vec<WaitingOperation>,
    /// Late packets.
    pub late: Vec<WaitingLate>,
    /// Header operation.
    pub header: Option<WaitingHeader>,
}

fn accepted(id: &[u8; 32], offset: u64, record_kind: u16) -> Entry {
    put(key::identity(b'o', id, offset), record_kind.to_be_bytes())
}

impl Pending {
    /// Operations of a slot, in order.
    pub fn of_slot(&self, slot: u16) -> impl Iterator<Item = &WaitingOperation> {
        self.operations.iter().filter(move |o| o.slot == slot)
    }

    /// The late packet of a slot and period.
    #[must_use]
    pub fn late_of(&self, slot: u16, first_interval: Interval) -> Option<&WaitingLate> {
        self.late.iter().find(|l| (l.slot, l.first_interval) == (slot, first_interval))
    }

    /// Where something with this identity is, if it is pending.
    #[must_use]
    pub fn offset(&self, id: &[u8; 32]) -> Option<u64> {
        let operation = self.operations.iter().find(|o| o.id == *id).map(|o| o.offset);
        operation.or_else(|| self.late.iter().find(|l| l.id == *id).map(|l| l.offset))
    }

    pub(super) fn add_operation(&mut self, event: &OperationAccepted, offset: u64) -> Result<Vec<Entry>, OrderError> {
        if self.offset(&event.operation_id).is_some() {
            return Err(OrderError("an operation that waits already"));
        }
        self.operations.push(WaitingOperation { id: event.operation_id, slot: event.slot, offset });
        Ok(vec![accepted(&event.operation_id, offset, kind::OPERATION)])
    }

    pub(super) fn add_late(&mut self, event: &LateAccepted, offset: u64) -> Result<Vec<Entry>, OrderError> {
        if self.late_of(event.slot, event.first_interval).is_some() {
            return Err(OrderError("a second late packet of a slot and period"));
        }
        self.late.push(WaitingLate {
            id: event.packet_id,
            slot: event.slot,
            first_interval: event.first_interval,
            offset,
        });
        Ok(vec![accepted(&event.packet_id, offset, kind::LATE)])
    }

    pub(super) fn add_header(&mut self, event: &HeaderAccepted, offset: u64) -> Result<Vec<Entry>, OrderError> {
        if self.header.is_some() {
            return Err(OrderError("a second header operation"));
        }
        self.header = Some(WaitingHeader { id: event.id, offset });
        Ok(Vec::new())
    }

    /// Records a selection. Everything it names must be pending. What it selects stays pending until the batch is
    /// applied; what it refuses is pending no longer.
    pub(super) fn select(&mut self, selected: &Selected, offset: u64) -> Result<Vec<Entry>, OrderError> {
        let mut entries =
            vec![put(key::period(b'h', selected.community, selected.first_interval), offset.to_be_bytes())];
        let waits = selected.operations().all(|id| self.operations.iter().any(|o| o.id == *id));
        let corrects = selected.correction.is_none_or(|id| self.late.iter().any(|l| l.id == id.0));
        if !waits || !corrects || (selected.header || selected.header_refused.is_some()) && self.header.is_none() {
            return Err(OrderError("a selection of what does not wait"));
        }
        if selected.refused.iter().any(|refused| self.offset(&refused.id).is_none()) {
            return Err(OrderError("a refusal of what does not wait"));
        }
        entries.extend(self.refuse(&selected.refused));
        if let Some(header) = self.header.filter(|_| selected.header) {
            entries
                .push(put(key::period(b'd', selected.community, selected.first_interval), header.offset.to_be_bytes()));
        }
        if let Some(code) = &selected.header_refused {
            self.header = None;
            self.header_refused = Some(code.clone());
        }
        Ok(entries)
    }

    /// What is refused waits no longer.
    pub(super) fn refuse(&mut self, refused: &[Refused]) -> Vec<Entry> {
        let entry = |r: &Refused| Some(put(key::identity(b'r', &r.id, self.offset(&r.id)?), r.code.as_bytes()));
        let entries = refused.iter().filter_map(entry).collect();
        let ids: BTreeSet<&[u8; 32]> = refused.iter().map(|r| &r.id).collect();
        self.operations.retain(|o| !ids.contains(&o.id));
        self.late.retain(|l| !ids.contains(&l.id));
        entries
    }

    /// What was selected is done, in `batch`.
    pub(super) fn done(&mut self, selected: &Selected, batch: u64) -> (Vec<Entry>, Carried) {
        let ids: Vec<[u8; 32]> = selected.carried().collect();
        let done = |id: &[u8; 32]| Some(put(key::identity(b'b', id, self.offset(id)?), batch.to_be_bytes()));
        let mut entries: Vec<Entry> = ids.iter().filter_map(done).collect();
        let mut carried = Carried {
            operations: self.operations.extract_if(.., |o| ids.contains(&o.id)).collect(),
            late: self.late.extract_if(.., |l| ids.contains(&l.id)).collect(),
            header: None,
        };
        if selected.header {
            (carried.header, self.header_refused) = (self.header.take(), None);
        }
        let notes = (0u8..).zip(&selected.effects.notes);
        entries.extend(notes.map(|(position, note)| put(key::note(&note.0, batch, position), b"")));
        (entries, carried)
    }

    /// What an abandoned batch had taken waits again, before what came later. Of two header operations the older one
    /// waits: it was accepted for the period that is open again.
    pub(super) fn restore(&mut self, carried: &Carried) {
        self.operations.extend(&carried.operations);
        self.operations.sort_by_key(|operation| operation.offset);
        self.late.extend(&carried.late);
        self.late.sort_by_key(|late| late.offset);
        if carried.header.is_some() {
            self.header = carried.header;
        }
    }
}

impl Selected {
    /// Identities of the operations in operation slots.
    pub fn operations(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.slots.iter().filter_map(|operation_slot| match operation_slot {
            OperationSource::Operation(id) => Some(&id.0),
            OperationSource::Forced(_) => None,
        })
    }

    /// Identities of everything accepted that the settlement carries.
    pub fn carried(&self) -> impl Iterator<Item = [u8; 32]> {
        self.operations().copied().chain(self.correction.map(|id| id.0))
    }
}
