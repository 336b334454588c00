//! Receipts, for periods final on L1. Only the owner of the slot in that period gets one.

use std::sync::Arc;

use gridveil_protocol::{
    field::Fr,
    operation::Kind,
    receipt::{Receipt, ReceiptRequest},
    settlement::Transition,
};

use crate::{
    problem::{self, Problem},
    service::{Metrics, Service},
};

/// Largest difference between a request's timestamp and the clock, seconds.
pub const WINDOW_S: u64 = 300;

fn signature() -> Problem {
    Problem::new(problem::REQUEST_SIGNATURE, "not signed by the owner of that slot")
}

/// The receipt a signed request asks for.
///
/// # Errors
/// [`Problem`]. Only its owner learns whether a slot is used.
pub async fn receipt(service: &Arc<Service>, request: ReceiptRequest) -> Result<Receipt, Problem> {
    if service.config.clock.now().abs_diff(request.timestamp) > WINDOW_S {
        return Err(Problem::new(
            problem::REQUEST_TIMESTAMP,
            format!("signed more than {WINDOW_S} s ago or in the future"),
        ));
    }
    let (community, settled, domain) = {
        let snapshot = service.writer.snapshot();
        let log_state = snapshot.log_state.communities.get(&request.community).ok_or_else(signature)?;
        let settled = log_state.settled.binary_search_by_key(&request.first_interval, |s| s.first_interval).ok();
        let batch = settled.and_then(|at| log_state.settled.get(at)).map(|s| s.record.batch);
        let community = snapshot.communities.get(&request.community).cloned().ok_or_else(signature)?;
        // Everything about a period is under its own circuit version.
        let domain = service.domains(&snapshot).of_period(request.first_interval, community.header.interval_length);
        (community, batch, domain)
    };
    let (slot, owner) = (request.slot, request.owner.commitment());
    if usize::from(slot) >= community.accounts.len() {
        return Err(signature());
    }
    let reader = Arc::clone(&service.reader);
    let verified = tokio::task::spawn_blocking(move || {
        request.verify(domain, owner).map_err(|_| signature())?;
        // First a cheap check: does this key own the slot now, or did it around that period? Nothing is computed for a
        // stranger.
        let around = settled.map(|batch| reader.account_around(batch, slot)).transpose()?;
        let now = community.accounts.get(usize::from(slot)).into_iter();
        let known = now.chain(around.iter().flatten()).any(|a| a.meter.is_some() && a.owner == owner);
        if known { Ok((community, reader)) } else { Err(signature()) }
    });
    let (community, reader) = verified.await.map_err(|_| Problem::internal("a receipt could not be read"))??;
    let batch = settled.ok_or_else(|| Problem::new(problem::RECEIPT_NOT_SETTLED, "the period is not final on L1"))?;
    let permit = service.receipts.acquire().await.map_err(|_| Problem::internal("receipts are closed"))?;
    let read = tokio::task::spawn_blocking(move || {
        let transition = reader.transition(domain, batch, &community)?;
        let slot = usize::from(slot);
        if !is_for(&transition, slot, owner) {
            return Err(signature());
        }
        Receipt::of(&transition, slot).ok_or_else(signature)
    });
    let receipt = read.await.map_err(|_| Problem::internal("a receipt could not be read"))??;
    drop(permit);
    Metrics::count(&service.metrics.receipts);
    Ok(receipt)
}

/// May `owner` read the receipt of this slot and period?
///
/// The owner before the settlement may. The owner after it may too, after a key rotation or an enrolment into an empty
/// slot. An owner who was enrolled into a slot that another left in the same settlement may not: the period was the
/// other's.
fn is_for(transition: &Transition, slot: usize, owner: Fr) -> bool {
    let (before, after) = (transition.input.community.accounts.get(slot), transition.after.accounts.get(slot));
    let used_before = before.is_some_and(|a| a.meter.is_some());
    if used_before && before.is_some_and(|a| a.owner == owner) {
        return true;
    }
    let operation_slots = &transition.input.operations.slots;
    let left = operation_slots.iter().any(|o| usize::from(o.operation.slot) == slot && o.operation.kind == Kind::Close);
    after.is_some_and(|a| a.meter.is_some() && a.owner == owner) && !(used_before && left)
}
