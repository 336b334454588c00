//! What is sealed under the keys of one account, record after record: what an export gives, and an erasure takes.

use std::ops::Range;

use gridveil_api::export::{ExportPart, GoneRecord, Outcome, PacketOf};
use gridveil_protocol::{
    account::Account, codec, field::Fr, operation::SignedOperation, tariff::Tariff, units::Interval,
};

use super::{
    StoreError,
    data_keys::{Label, Sealed},
    log::FILE_HEADER_BYTES,
    log_state::key,
    reader::StoreReader,
    record::{Event, kind},
    selected::OperationState,
};

const NO_RECORD: StoreError = StoreError::Inconsistent("no record begins there");

/// An account by its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Generations of its keys.
    pub generations: Range<u32>,
}

impl Holder {
    fn has(&self, sealed: &Sealed) -> bool {
        (sealed.community, sealed.part) == (self.community, self.slot) && self.generations.contains(&sealed.generation)
    }
}

/// What one record holds of an account.
#[derive(Debug, Default)]
pub struct HeldRecord {
    /// Where the next record begins.
    pub end: u64,
    /// What is given.
    pub part: Option<ExportPart>,
}

impl StoreReader {
    /// Where the first record is.
    #[must_use]
    pub const fn first_record() -> u64 {
        FILE_HEADER_BYTES
    }

    /// States, packets and forced withdrawals of an account in the record at `offset`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held(&self, holder: &Holder, offset: u64) -> Result<HeldRecord, StoreError> {
        let head = self.log().head(offset)?.ok_or(NO_RECORD)?;
        let sealed_for_slots =
            [kind::PACKET, kind::LATE, kind::APPLIED, kind::COMMUNITY, kind::SELECTED].contains(&head.kind);
        if !sealed_for_slots {
            return Ok(HeldRecord { end: head.end, part: None });
        }
        let (event, sealed) = self.read(offset, head.kind)?;
        let Some(part) = sealed.iter().find(|part| holder.has(part)) else {
            return Ok(HeldRecord { end: head.end, part: None });
        };
        let given = match self.part_of(&event, offset, part) {
            Err(error) if error.is_erased() => {
                gone(&event).map(|(what, first_interval)| ExportPart::Gone { what, first_interval })
            }
            given => given?,
        };
        Ok(HeldRecord { end: head.end, part: given })
    }

    fn part_of(&self, event: &Event, offset: u64, sealed: &Sealed) -> Result<Option<ExportPart>, StoreError> {
        let (community, slot) = (sealed.community, sealed.part);
        let label = |record_kind, first_interval| Label { kind: record_kind, community, part: slot, first_interval };
        let open = |label| Ok::<_, StoreError>(self.data_keys().open_part(&label, sealed)?);
        let is_at = |index_key: &[u8]| Ok::<_, StoreError>(self.index.number(index_key)? == Some(offset));
        Ok(match event {
            Event::Community(_) => {
                let account: Account = read(&open(label(kind::COMMUNITY, Interval::ZERO))?)?;
                state(account, Interval::ZERO, None, true)
            }
            Event::Applied(applied) => {
                let account: Account = read(&open(label(kind::APPLIED, applied.first_interval))?)?;
                let counts = is_at(&key::batch(b'a', applied.batch))?;
                state(account, applied.first_interval, Some(applied.batch), counts)
            }
            Event::Packet(accepted) => {
                let plain = open(label(kind::PACKET, accepted.first_interval))?;
                let counts = is_at(&key::packet(community, accepted.first_interval, slot, accepted.substituted))?;
                let of = if accepted.substituted { PacketOf::Substitute } else { PacketOf::Meter };
                Some(ExportPart::Packet { of, counts, outcome: None, packet: Box::new(packet(&plain)?) })
            }
            Event::Late(accepted) => {
                let plain = open(label(kind::LATE, accepted.first_interval))?;
                let outcome = Some(self.outcome(&accepted.packet_id)?);
                Some(ExportPart::Packet {
                    of: PacketOf::Late,
                    counts: true,
                    outcome,
                    packet: Box::new(packet(&plain)?),
                })
            }
            Event::Selected(selected) => {
                let first_interval = selected.first_interval;
                let operations: Vec<SignedOperation> = read(&open(label(kind::SELECTED, first_interval))?)?;
                Some(ExportPart::Forced { first_interval, operations })
            }
            Event::Genesis(_)
            | Event::Tariff(_)
            | Event::Closed(_)
            | Event::Proven(_)
            | Event::Settled(_)
            | Event::Operation(_)
            | Event::Header(_)
            | Event::Upgrade(_)
            | Event::Abandoned(_)
            | Event::Kept(_)
            | Event::Erased(_) => None,
        })
    }

    /// An operation of an account in the record at `offset`. Under its keys may be an enrolment of somebody else that was
    /// refused before: whose it is, its owner says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held_operation(&self, holder: &Holder, owners: &[Fr], offset: u64) -> Result<HeldRecord, StoreError> {
        let head = self.log().head(offset)?.ok_or(NO_RECORD)?;
        let nothing = HeldRecord { end: head.end, part: None };
        if head.kind != kind::OPERATION {
            return Ok(nothing);
        }
        let (event, sealed) = self.read(offset, kind::OPERATION)?;
        let (Event::Operation(accepted), true) = (event, sealed.iter().any(|part| holder.has(part))) else {
            return Ok(nothing);
        };
        let operation = match self.operation(offset) {
            Err(error) if error.is_erased() => {
                let what = GoneRecord::Operation;
                let gone = ExportPart::Gone { what, first_interval: Interval::ZERO };
                return Ok(HeldRecord { end: head.end, part: Some(gone) });
            }
            read => read?,
        };
        if !owners.contains(&operation.owner.commitment()) {
            return Ok(nothing);
        }
        let outcome = self.outcome(&accepted.operation_id)?;
        let part = Some(ExportPart::Operation { outcome, operation: Box::new(operation) });
        Ok(HeldRecord { end: head.end, part })
    }

    /// Number of the record at `offset`; `None` from `records` on.
    ///
    /// # Errors
    /// [`StoreError`], also where no record begins.
    pub fn height_at(&self, offset: u64, records: u64) -> Result<Option<u64>, StoreError> {
        let head = self.log().head(offset)?;
        Ok(head.map(|head| head.height).filter(|height| *height < records))
    }

    /// The tariff that was in force for a closed period, by its first one, and whether a substitute of the slot was
    /// settled; `None` where it had no packet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settled_with(
        &self,
        community: u32,
        first_interval: Interval,
        slot: u16,
    ) -> Result<(Interval, Option<bool>), StoreError> {
        let (closed, _) = self.closed(community, first_interval)?;
        let used = closed.used.iter().find(|used| used.slot == slot).map(|used| used.substituted);
        Ok((closed.tariff_from, used))
    }

    /// The tariff that was published for a period.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tariff_from(&self, community: u32, first_interval: Interval) -> Result<Tariff, StoreError> {
        self.tariff(self.offset(&key::period(b't', community, first_interval))?)
    }

    fn outcome(&self, id: &[u8; 32]) -> Result<Outcome, StoreError> {
        Ok(match self.operation_state(id)? {
            Some(OperationState::Applied(batch)) => Outcome::Done(batch),
            Some(OperationState::Refused(code)) => Outcome::Refused(code),
            Some(OperationState::Pending) | None => Outcome::Waits,
        })
    }
}

/// An empty slot is nobody's.
fn state(account: Account, first_interval: Interval, batch: Option<u64>, counts: bool) -> Option<ExportPart> {
    let used = account.meter.is_some();
    used.then(|| ExportPart::State { first_interval, batch, counts, account: Box::new(account) })
}

fn gone(event: &Event) -> Option<(GoneRecord, Interval)> {
    match event {
        Event::Community(_) => Some((GoneRecord::State, Interval::ZERO)),
        Event::Applied(applied) => Some((GoneRecord::State, applied.first_interval)),
        Event::Packet(accepted) => Some((GoneRecord::Packet, accepted.first_interval)),
        Event::Late(accepted) => Some((GoneRecord::Late, accepted.first_interval)),
        Event::Selected(selected) => Some((GoneRecord::Forced, selected.first_interval)),
        Event::Genesis(_)
        | Event::Tariff(_)
        | Event::Closed(_)
        | Event::Proven(_)
        | Event::Settled(_)
        | Event::Operation(_)
        | Event::Header(_)
        | Event::Upgrade(_)
        | Event::Abandoned(_)
        | Event::Kept(_)
        | Event::Erased(_) => None,
    }
}

fn read<T: serde::de::DeserializeOwned>(plain: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(plain).map_err(|_| StoreError::Inconsistent("a sealed part is not what its record says"))
}

fn packet(plain: &[u8]) -> Result<gridveil_protocol::packet::SignedPacket, StoreError> {
    codec::decode_packet(plain).map_err(|_| StoreError::Inconsistent("a stored packet does not decode"))
}
