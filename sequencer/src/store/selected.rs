//! Reading back operations, late packets, header operations, and what was selected of them for a settlement.

use gridveil_protocol::{
    codec,
    correction::Correction,
    field::{Fr, to_bytes},
    header_operation::HeaderOperation,
    operation::SignedOperation,
    operation_slots::{Operations, QueuedNote},
    packet::SignedPacket,
    tree::Children,
    units::Interval,
};

use super::{
    StoreError,
    data_keys::{COMMUNITY_PART, Label, Sealed},
    log_state::key,
    reader::StoreReader,
    record::{Event, OperationSource, Selected, kind},
};

/// State of something accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationState {
    /// It is pending.
    Pending,
    /// This batch has applied it.
    Applied(u64),
    /// A settlement refused it, with this code.
    Refused(String),
}

/// A queued note in the state tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotePlace {
    /// Batch that appended it.
    pub batch: u64,
    /// Community.
    pub community: u32,
    /// Period of the batch.
    pub first_interval: Interval,
    /// Appends to the certificates tree before.
    pub appended_at: u64,
    /// Among the 16 notes of its queue.
    pub position: u8,
    /// Opening of the community in the state tree before the batch.
    pub state_path: Vec<Children>,
    /// Opening of the note up to what was appended to the certificates tree.
    pub queue_path: Vec<Children>,
    /// Header leaf after.
    pub header_leaf: Fr,
    /// Members root after.
    pub members_root: Fr,
    /// State root after.
    pub root: Fr,
}

impl StoreReader {
    /// State of an operation or late packet; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn operation_state(&self, id: &[u8; 32]) -> Result<Option<OperationState>, StoreError> {
        let Some((offset, _)) = self.index.last(&[&b"o"[..], id].concat())? else { return Ok(None) };
        let offset = offset
            .as_slice()
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| StoreError::Inconsistent("an index key is too short"))?;
        if let Some(batch) = self.index.number(&key::identity(b'b', id, offset))? {
            return Ok(Some(OperationState::Applied(batch)));
        }
        let refused = self.index.value(&key::identity(b'r', id, offset))?;
        let code =
            refused.map(String::from_utf8).transpose().map_err(|_| StoreError::Inconsistent("a code is not text"))?;
        Ok(Some(code.map_or(OperationState::Pending, OperationState::Refused)))
    }

    /// An accepted operation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn operation(&self, offset: u64) -> Result<SignedOperation, StoreError> {
        let (event, sealed) = self.read(offset, kind::OPERATION)?;
        let Event::Operation(accepted) = event else { return Err(StoreError::Inconsistent("not an operation")) };
        let label = Label {
            kind: kind::OPERATION,
            community: accepted.community,
            part: accepted.slot,
            first_interval: Interval::ZERO,
        };
        let signed: SignedOperation = self.open_json(&label, &sealed)?;
        if codec::operation_id(&signed) == accepted.operation_id {
            Ok(signed)
        } else {
            Err(StoreError::Inconsistent("another operation than recorded"))
        }
    }

    /// An accepted late packet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn late(&self, offset: u64) -> Result<SignedPacket, StoreError> {
        let (event, sealed) = self.read(offset, kind::LATE)?;
        let Event::Late(accepted) = event else { return Err(StoreError::Inconsistent("not a late packet")) };
        let label = Label {
            kind: kind::LATE,
            community: accepted.community,
            part: accepted.slot,
            first_interval: accepted.first_interval,
        };
        let plain = self.open(&label, &sealed)?;
        codec::decode_packet(&plain).map_err(|_| StoreError::Inconsistent("a stored packet does not decode"))
    }

    /// The correction that a late packet asks for: with the substitute that was settled and the tariff of its period.
    /// `None` if no substitute was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn correction(&self, late: SignedPacket) -> Result<Option<Correction>, StoreError> {
        let (community, first_interval, slot) =
            (late.packet.context.community, late.packet.context.first_interval, late.packet.slot);
        if self.packet_id(community, first_interval, slot, true)?.is_none() {
            return Ok(None);
        }
        let Some(batch) = self.batch_of(community, first_interval)? else { return Ok(None) };
        let (closed, _) = self.closed(community, first_interval)?;
        let substitute = self.packet(community, first_interval, slot, true)?;
        // The header before the batch has the meter data manager of that time.
        let signer = self.header_before(&self.applied(batch)?)?.mdm;
        Ok(Some(Correction { substitute, signer, late, tariff: self.tariff_of(community, &closed)? }))
    }

    /// An accepted header operation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn header_operation(&self, offset: u64) -> Result<HeaderOperation, StoreError> {
        let (event, sealed) = self.read(offset, kind::HEADER)?;
        let Event::Header(accepted) = event else { return Err(StoreError::Inconsistent("not a header operation")) };
        self.open_json(
            &Label {
                kind: kind::HEADER,
                community: accepted.community,
                part: COMMUNITY_PART,
                first_interval: Interval::ZERO,
            },
            &sealed,
        )
    }

    fn selected(&self, community: u32, first_interval: Interval) -> Result<(Selected, Vec<Sealed>), StoreError> {
        match self.read(self.offset(&key::period(b'h', community, first_interval))?, kind::SELECTED)? {
            (Event::Selected(selected), sealed) => Ok((selected, sealed)),
            _ => Err(StoreError::Inconsistent("not a selection")),
        }
    }

    /// Offset of what has this identity and is in `batch`, or is still pending.
    fn accepted_at(&self, id: &[u8; 32]) -> Result<u64, StoreError> {
        let (offset, _) = self
            .index
            .last(&[&b"o"[..], id].concat())?
            .ok_or(StoreError::Inconsistent("an accepted operation is missing"))?;
        offset
            .as_slice()
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| StoreError::Inconsistent("an index key is too short"))
    }

    /// The operations selected for a closed period, as they were recorded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn selected_operations(&self, community: u32, first_interval: Interval) -> Result<Operations, StoreError> {
        let (selected, sealed) = self.selected(community, first_interval)?;
        let mut operation_slots = Vec::with_capacity(selected.slots.len());
        let mut served = std::collections::BTreeMap::new();
        for operation_slot in &selected.slots {
            operation_slots.push(match operation_slot {
                OperationSource::Operation(id) => self.operation(self.accepted_at(&id.0)?)?,
                OperationSource::Forced(slot) => {
                    let label = Label { kind: kind::SELECTED, community, part: *slot, first_interval };
                    let of_slot: Vec<SignedOperation> = self.open_json(&label, &sealed)?;
                    let next = served.entry(*slot).or_insert(0);
                    *next += 1;
                    of_slot.get(*next - 1).cloned().ok_or(StoreError::Inconsistent("a forced withdrawal is missing"))?
                }
            });
        }
        let correction =
            selected.correction.map(|id| self.correction(self.late(self.accepted_at(&id.0)?)?)).transpose()?;
        if correction.as_ref().is_some_and(Option::is_none) {
            return Err(StoreError::Inconsistent("a substitute is missing"));
        }
        let header = if selected.header {
            self.header_operation(self.offset(&key::period(b'd', community, first_interval))?)?
        } else {
            HeaderOperation::default()
        };
        let notes = selected.effects.notes.iter().map(|note| QueuedNote(note.0)).collect();
        Ok(Operations {
            init: selected.effects.init,
            slots: operation_slots,
            correction: correction.flatten(),
            header,
            notes,
        })
    }

    /// Where a queued note was appended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note(&self, note: Fr) -> Result<Option<NotePlace>, StoreError> {
        let Some((place, _)) = self.index.last(&[&b"n"[..], &to_bytes(&note)].concat())? else { return Ok(None) };
        let short = || StoreError::Inconsistent("an index key is too short");
        let batch = u64::from_be_bytes(*place.first_chunk().ok_or_else(short)?);
        let position = *place.get(8).ok_or_else(short)?;
        let applied = self.applied(batch)?;
        let (selected, _) = self.selected(applied.community, applied.first_interval)?;
        let notes: Vec<QueuedNote> = selected.effects.notes.iter().map(|note| QueuedNote(note.0)).collect();
        let queue_path =
            gridveil_protocol::operation_slots::queue_path(&notes, usize::from(position), applied.notes_root);
        Ok(Some(NotePlace {
            batch,
            community: applied.community,
            first_interval: applied.first_interval,
            appended_at: applied.appended_at,
            position,
            state_path: applied.path(),
            queue_path: queue_path.ok_or(StoreError::Inconsistent("a queued note has no place"))?,
            header_leaf: applied.header_leaf,
            members_root: applied.members_root,
            root: applied.new_root,
        }))
    }
}
