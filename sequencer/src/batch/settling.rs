//! Proven batches are settled on L1, strictly in order.

use std::sync::{Arc, atomic::Ordering};

use gridveil_protocol::{codec::Bytes32, field::to_bytes};
use gridveil_verifier_contract::{L1Error, SettleReceipt};

use super::transition;
use crate::{
    config, l1,
    problem::Problem,
    service::{Metrics, Service},
    store::{
        Draft,
        log_state::BatchEntry,
        record::{Event, Settled},
    },
    writer::{Decision, Snapshot},
};

/// Settles batches on L1, in order.
pub async fn settle_all(service: Arc<Service>) {
    let mut changes = service.writer.changes();
    loop {
        changes.borrow_and_update();
        let next = {
            let snapshot = service.writer.snapshot();
            snapshot.log_state.batches.first_key_value().map(|(n, b)| (*n, b.clone()))
        };
        if let Some((batch, entry)) = next {
            match settle(&service, batch, &entry).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(reason) => return service.health.stop(format!("batch {batch}: {reason}")),
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Settles the next batch; `false` if it has no proof yet.
async fn settle(service: &Arc<Service>, batch: u64, entry: &BatchEntry) -> Result<bool, String> {
    let mut pauses = service.config.backoff.pauses();
    let text = |problem: Problem| problem.to_string();
    loop {
        let outcome = try_settle(service, batch, entry).await;
        let error = match outcome {
            Ok(None) => return Ok(false),
            Ok(Some(record)) => {
                service.health.degraded("l1", None);
                let decide = move |_: &Snapshot| Ok(Decision::write(Draft::public(Event::Settled(record)), ()));
                service.writer.submit_waiting(decide).await.map_err(text)?;
                tracing::info!(batch, "batch final on L1");
                return Ok(true);
            }
            Err(Failure::Own(problem)) => return Err(text(problem)),
            Err(Failure::L1(error)) => error,
        };
        match error {
            L1Error::Unreachable(_) | L1Error::Pending(_) => {
                service.metrics.l1_retries.fetch_add(1, Ordering::Relaxed);
                service.health.degraded("l1", Some(error.to_string()));
                config::pause(&mut pauses).await;
            }
            // A new verifier's first batch waits (L1.11): another announcement may have come after the closing.
            L1Error::Reverted { name } if name == "UpgradeWaits" || name == "UpgradeNotAnnounced" => {
                service.health.degraded("l1", Some(format!("l1.reverted: {name}")));
                config::pause(&mut pauses).await;
            }
            L1Error::Reverted { name } => return Err(format!("l1.reverted: {name}")),
            L1Error::Malformed(_) | L1Error::Config(_) => return Err(format!("l1: {error}")),
        }
    }
}

enum Failure {
    L1(L1Error),
    Own(Problem),
}

impl From<L1Error> for Failure {
    fn from(error: L1Error) -> Self {
        Self::L1(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Own(problem)
    }
}

/// One try. L1 is asked first whether the root is final: a crash between sending and recording must not send twice.
async fn try_settle(service: &Arc<Service>, batch: u64, entry: &BatchEntry) -> Result<Option<Settled>, Failure> {
    let root = to_bytes(&entry.new_root);
    let already = service.l1.is_finalised(root).await?;
    let proven = entry.prove_ms.is_some();
    if !already && !proven {
        return Ok(None);
    }
    let unknown = Settled { batch, tx: None, block: None, gas_used: None };
    if already && !(proven && service.l1.state_root().await? == root) {
        return Ok(Some(unknown));
    }
    let (version, transition) = transition(service, batch, entry).await?;
    let proof = service.reader.proof(batch).map_err(Problem::from)?;
    let tariff = l1::in_force(service, entry.community, entry.first_interval).await?;
    let index = tariff.ok_or_else(|| L1Error::Reverted { name: "TariffNotInForce".to_owned() })?.index;
    match service.l1.settle(l1::settle_call(version, &transition, index, proof)).await {
        // It is final already, and the contract does not tell by which transaction.
        Err(L1Error::Reverted { .. }) if already => Ok(Some(unknown)),
        Err(error) => Err(error.into()),
        Ok(SettleReceipt { tx, block, gas_used, .. }) => {
            Metrics::count(&service.metrics.settled);
            Ok(Some(Settled { batch, tx: Some(Bytes32(tx)), block: Some(block), gas_used: Some(gas_used) }))
        }
    }
}
