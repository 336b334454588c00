//! What is pending for a closed period, read from the log and opened.

use std::collections::BTreeMap;

use gridveil_protocol::{community::Community, field::Fr, units::Interval};

use super::selection::{Candidates, Late, Place};
use crate::store::{StoreError, pending::Pending, pending_substitutes::PendingOf, reader::StoreReader};

/// The oldest `operations` of them, every late packet, and the header operation.
pub(super) fn candidates(
    reader: &StoreReader,
    pending: &Pending,
    before: &Community,
    operations: usize,
) -> Result<Candidates, StoreError> {
    let operations = pending.operations.iter().take(operations).map(|o| Ok((o.id, reader.operation(o.offset)?)));
    Ok(Candidates {
        operations: operations.collect::<Result<_, StoreError>>()?,
        late: late(reader, pending, before)?,
        header: pending.header.map(|h| reader.header_operation(h.offset)).transpose()?,
    })
}

/// Late packets, and the place of their substitutes. Only packets for a slot's newest substitute are opened.
fn late(reader: &StoreReader, pending: &Pending, before: &Community) -> Result<Vec<Late>, StoreError> {
    // One of a period that is open again, because its batch was abandoned, waits until that is settled.
    let settled = || pending.late.iter().filter(|l| l.first_interval < before.header.next_interval);
    // By slot: the oldest period that a late packet is of, and then the pending substitutes down to it.
    let mut oldest = BTreeMap::new();
    for l in settled() {
        let until = oldest.entry(l.slot).or_insert(l.first_interval);
        *until = l.first_interval.min(*until);
    }
    let pending_substitutes = |(slot, until): (u16, Interval)| {
        let pending_substitute =
            before.accounts.get(usize::from(slot)).map_or(Fr::from(0u64), |account| account.pending_substitute);
        let header = &before.header;
        let of_slot = PendingOf {
            community: before.index,
            slot,
            pending_substitute,
            before: header.next_interval,
            intervals: header.intervals,
            mdm: header.mdm,
        };
        Ok::<_, StoreError>((slot, reader.pending_substitutes(&of_slot, until)?))
    };
    let stacks = oldest.into_iter().map(pending_substitutes).collect::<Result<BTreeMap<_, _>, StoreError>>()?;
    let place = |slot: u16, first_interval: Interval, offset: u64| {
        let pending_substitutes = stacks.get(&slot).map_or(&[][..], Vec::as_slice);
        Ok::<Place, StoreError>(match pending_substitutes.iter().position(|period| *period == first_interval) {
            None => Place::Final,
            Some(0) => reader
                .correction(reader.late(offset)?)?
                .map_or(Place::Final, |correction| Place::Newest(Box::new(correction))),
            Some(_) => Place::Earlier,
        })
    };
    settled().map(|l| Ok(Late { id: l.id, slot: l.slot, place: place(l.slot, l.first_interval, l.offset)? })).collect()
}
