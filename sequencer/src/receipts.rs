//! Receipts, for periods final on L1. Only the owner of the slot in that period gets one.

use std::sync::Arc;

use gridveil_protocol::{
    account::Account,
    community::Community,
    field::Fr,
    operation::{Kind, SignedOperation},
    receipt::{Receipt, ReceiptRequest},
};

use crate::{
    problem::{self, Problem},
    service::{Metrics, Service},
    store::reader::StoreReader,
};

/// Largest difference between a request's timestamp and the clock, seconds.
pub const WINDOW_S: u64 = 300;

fn signature() -> Problem {
    Problem::new(problem::REQUEST_SIGNATURE, "not signed by the owner of that slot")
}

/// What a member's request is about.
pub(crate) struct Place {
    /// As of its last applied batch.
    pub community: Arc<Community>,
    /// The batch that settled the period, once it is final on L1.
    pub settled: Option<u64>,
    /// Of the period.
    pub domain: Fr,
}

impl Place {
    /// Where a request leads. Who asks is not checked yet.
    ///
    /// # Errors
    /// [`Problem`]: signed at another time, or there is no such slot.
    pub fn of(service: &Service, request: &ReceiptRequest) -> Result<Self, Problem> {
        if service.config.clock.now().abs_diff(request.timestamp) > WINDOW_S {
            return Err(Problem::new(
                problem::REQUEST_TIMESTAMP,
                format!("signed more than {WINDOW_S} s ago or in the future"),
            ));
        }
        let snapshot = service.writer.snapshot();
        let log_state = snapshot.log_state.communities.get(&request.community).ok_or_else(signature)?;
        let settled = log_state.settled.binary_search_by_key(&request.first_interval, |s| s.first_interval).ok();
        let settled = settled.and_then(|at| log_state.settled.get(at)).map(|s| s.record.batch);
        let community = snapshot.communities.get(&request.community).cloned().ok_or_else(signature)?;
        // Everything about a period is under its own circuit version.
        let domain = service.domains(&snapshot).of_period(request.first_interval, community.header.interval_length);
        if usize::from(request.slot) >= community.accounts.len() {
            return Err(signature());
        }
        Ok(Self { community, settled, domain })
    }

    /// A cheap check before anything is computed: does who signed own the slot now, or did it around that batch?
    /// Gives its commitment. Blocking.
    ///
    /// # Errors
    /// [`Problem`]: nothing is told to a stranger.
    pub fn known(&self, reader: &StoreReader, request: &ReceiptRequest, batch: Option<u64>) -> Result<Fr, Problem> {
        let owner = request.owner.commitment();
        request.verify(self.domain, owner).map_err(|_| signature())?;
        let around = batch.map(|batch| reader.account_around(batch, request.slot)).transpose()?;
        let now = self.community.accounts.get(usize::from(request.slot)).into_iter();
        let known = now.chain(around.iter().flatten().flatten()).any(|a| a.meter.is_some() && a.owner == owner);
        if known { Ok(owner) } else { Err(signature()) }
    }
}

/// The receipt a signed request asks for.
///
/// # Errors
/// [`Problem`]. Only its owner learns whether a slot is used.
pub async fn receipt(service: &Arc<Service>, request: ReceiptRequest) -> Result<Receipt, Problem> {
    let place = Place::of(service, &request)?;
    let (slot, settled) = (request.slot, place.settled);
    let reader = Arc::clone(&service.reader);
    let verified = tokio::task::spawn_blocking(move || {
        let owner = place.known(&reader, &request, place.settled)?;
        Ok::<_, Problem>((place, owner, reader))
    });
    let (place, owner, reader) = verified.await.map_err(|_| Problem::internal("a receipt could not be read"))??;
    let batch = settled.ok_or_else(|| Problem::new(problem::RECEIPT_NOT_SETTLED, "the period is not final on L1"))?;
    let permit = service.receipts.acquire().await.map_err(|_| Problem::internal("receipts are closed"))?;
    let read = tokio::task::spawn_blocking(move || {
        // Its packets may not be readable any more: those of an account that was erased.
        let receipt = match reader.kept_receipt(batch, slot)? {
            Some(kept) => Some(kept).filter(|kept| !kept.opens_two()),
            None => {
                let transition = reader.transition(place.domain, batch, &place.community)?;
                Receipt::of(&transition, usize::from(slot))
            }
        };
        let shown = |receipt: &Receipt| {
            let around = [Some(&receipt.before), Some(&receipt.after)];
            is_for(around, &receipt.operations, usize::from(slot), owner)
        };
        receipt.filter(shown).ok_or_else(signature)
    });
    let receipt = read.await.map_err(|_| Problem::internal("a receipt could not be read"))??;
    drop(permit);
    Metrics::count(&service.metrics.receipts);
    Ok(receipt)
}

/// May `owner` read what belongs to this slot and period? `around`: the account before the settlement and after it;
/// `operations`: all of the settlement.
///
/// The owner before the settlement may. The owner after it may too, after a key rotation or an enrolment into an empty
/// slot. An owner who was enrolled into a slot that another left in the same settlement may not: the period was the
/// other's.
pub(crate) fn is_for(
    [before, after]: [Option<&Account>; 2],
    operations: &[SignedOperation],
    slot: usize,
    owner: Fr,
) -> bool {
    let used_before = before.is_some_and(|a| a.meter.is_some());
    if used_before && before.is_some_and(|a| a.owner == owner) {
        return true;
    }
    let left = operations.iter().any(|o| usize::from(o.operation.slot) == slot && o.operation.kind == Kind::Close);
    after.is_some_and(|a| a.meter.is_some() && a.owner == owner) && !(used_before && left)
}
