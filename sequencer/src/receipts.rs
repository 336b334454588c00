//! Receipts: to the owner of a slot, for periods final on L1, and to nobody else.

use std::sync::Arc;

use gridveil_protocol::receipt::{Receipt, ReceiptRequest};

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
/// [`Problem`]. Whether a slot is used is not told to anyone but its owner.
pub async fn receipt(service: &Arc<Service>, request: ReceiptRequest) -> Result<Receipt, Problem> {
    if service.config.clock.now().abs_diff(request.timestamp) > WINDOW_S {
        return Err(Problem::new(problem::REQUEST_TIMESTAMP, format!("signed more than {WINDOW_S} s ago or in the future")));
    }
    let (community, settled) = {
        let ledger = service.writer.ledger();
        let book = ledger.book.communities.get(&request.community).ok_or_else(signature)?;
        let settled = book.settled.binary_search_by_key(&request.first_interval, |s| s.first_interval).ok();
        let batch = settled.and_then(|at| book.settled.get(at)).map(|s| s.record.batch);
        (ledger.communities.get(&request.community).cloned().ok_or_else(signature)?, batch)
    };
    let slot = usize::from(request.slot);
    let owner = community.accounts.get(slot).filter(|a| a.meter.is_some()).map(|a| a.owner).ok_or_else(signature)?;
    request.verify(service.domain, owner).map_err(|_| signature())?;
    let batch = settled.ok_or_else(|| Problem::new(problem::RECEIPT_NOT_SETTLED, "the period is not final on L1"))?;
    let permit = service.receipts.acquire().await.map_err(|_| Problem::internal("receipts are closed"))?;
    let (archive, domain) = (Arc::clone(&service.archive), service.domain);
    let read = tokio::task::spawn_blocking(move || {
        let transition = archive.transition(domain, batch, &community)?;
        // A slot may have had another owner in that period: its receipts are not this owner's.
        let same = transition.after.accounts.get(slot).is_some_and(|a| a.owner == owner);
        Receipt::of(&transition, slot).filter(|_| same).ok_or_else(signature)
    });
    let receipt = read.await.map_err(|_| Problem::internal("a receipt could not be read"))??;
    drop(permit);
    Metrics::count(&service.metrics.receipts);
    Ok(receipt)
}
