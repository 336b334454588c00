//! What a member signed and the log still has: for one that lost its folder, or came back with an old copy of it. Only
//! the owner of the slot in that period gets it, as with receipts.

use std::sync::Arc;

use gridveil_api::public::GivenBack;
use gridveil_protocol::{
    account::Account, field::Fr, operation::SignedOperation, packet::SignedPacket, receipt::ReceiptRequest,
    units::Interval,
};

use crate::{
    problem::Problem,
    receipts::{Place, is_for},
    service::{Metrics, Service},
    store::{StoreError, reader::StoreReader},
    writer::Snapshot,
};

/// What is on its way at the time of a request.
struct Underway {
    /// Batches of the community that are not final, oldest first.
    batches: Vec<u64>,
    /// Offsets of the slot's operations that wait.
    operations: Vec<u64>,
    /// Offset of the slot's late packet of the period.
    late: Option<u64>,
}

impl Underway {
    fn of(snapshot: &Snapshot, request: &ReceiptRequest) -> Self {
        let (community, slot) = (request.community, request.slot);
        let pending = snapshot.log_state.communities.get(&community).map(|state| &state.pending);
        let batches = snapshot.log_state.batches.iter().filter(|(_, batch)| batch.community == community);
        Self {
            batches: batches.map(|(number, _)| *number).collect(),
            operations: pending.iter().flat_map(|p| p.of_slot(slot)).map(|operation| operation.offset).collect(),
            late: pending.and_then(|p| p.late_of(slot, request.first_interval)).map(|late| late.offset),
        }
    }
}

/// What a signed request asks for. It is a request for a receipt: who may have that, may have what it signed itself.
///
/// # Errors
/// [`Problem`]. Only its owner learns whether a slot is used.
pub async fn given_back(service: &Arc<Service>, request: ReceiptRequest) -> Result<GivenBack, Problem> {
    let place = Place::of(service, &request)?;
    let underway = Underway::of(&service.writer.snapshot(), &request);
    let reader = Arc::clone(&service.reader);
    let read = tokio::task::spawn_blocking(move || read(&reader, &place, &underway, &request));
    let given_back = read.await.map_err(|_| Problem::internal("what is given back could not be read"))??;
    Metrics::count(&service.metrics.given_back);
    Ok(given_back)
}

fn owns(account: &Account, owner: Fr) -> bool {
    account.meter.is_some() && account.owner == owner
}

fn read(
    reader: &StoreReader,
    place: &Place,
    underway: &Underway,
    request: &ReceiptRequest,
) -> Result<GivenBack, Problem> {
    let &ReceiptRequest { community, slot, first_interval, .. } = request;
    let at = usize::from(slot);
    // Final or not: who owned the slot then is decided.
    let batch = reader.batch_of(community, first_interval)?;
    let owner = place.known(reader, request, batch)?;
    let now = place.community.accounts.get(at).is_some_and(|account| owns(account, owner));
    let then = match batch {
        Some(batch) => {
            let [before, after] = reader.account_around(batch, slot)?;
            let operations = match reader.kept_receipt(batch, slot)? {
                Some(kept) => kept.operations,
                None => reader.selected_operations(community, first_interval)?.slots,
            };
            is_for([before.as_ref(), after.as_ref()], &operations, at, owner)
        }
        None => now,
    };
    let kept = then && reader.packet_id(community, first_interval, slot, false)?.is_some();
    let packet = kept.then(|| reader.packet(community, first_interval, slot, false)).transpose()?;
    let late = match underway.late.filter(|_| now) {
        Some(offset) => Some(reader.late(offset)?),
        None if now => booked(reader, underway, slot, first_interval)?,
        None => None,
    };
    let operations = operations(reader, underway, slot, owner, now)?;
    Ok(GivenBack { settled: place.settled.is_some(), packet, late, operations })
}

/// The slot's late packet of a period, if a batch books it that is not final: no receipt has it yet.
fn booked(
    reader: &StoreReader,
    underway: &Underway,
    slot: u16,
    first_interval: Interval,
) -> Result<Option<SignedPacket>, StoreError> {
    for batch in &underway.batches {
        let applied = reader.applied(*batch)?;
        let correction = reader.selected_operations(applied.community, applied.first_interval)?.correction;
        let is_it =
            |late: &SignedPacket| (late.packet.slot, late.packet.context.first_interval) == (slot, first_interval);
        if let Some(late) = correction.map(|correction| correction.late).filter(is_it) {
            return Ok(Some(late));
        }
    }
    Ok(None)
}

/// The slot's operations that no final batch has, if the account was this owner's before them or is now.
fn operations(
    reader: &StoreReader,
    underway: &Underway,
    slot: u16,
    owner: Fr,
    now: bool,
) -> Result<Vec<SignedOperation>, StoreError> {
    let mut found = Vec::new();
    for batch in &underway.batches {
        let applied = reader.applied(*batch)?;
        let around = reader.account_around(*batch, slot)?;
        let operations = reader.selected_operations(applied.community, applied.first_interval)?.slots;
        if is_for(around.each_ref().map(Option::as_ref), &operations, usize::from(slot), owner) {
            found.extend(operations.into_iter().filter(|signed| signed.operation.slot == slot));
        }
    }
    if now {
        for offset in &underway.operations {
            found.push(reader.operation(*offset)?);
        }
    }
    Ok(found)
}
