//! Applied batches are proven and settled on L1. Every step is in the log before the next begins; a restart goes on at
//! the step the log names.
//!
//! Batches of all communities form one chain of state roots: proofs may be made side by side, settling is strictly in
//! order. A revert therefore stops the whole pipeline, loudly, until an operator has looked.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use gridveil_protocol::{field::to_bytes, settlement::Transition};
use gridveil_verifier_contract::{L1Error, SettleReceipt};
use tokio::task::JoinSet;

use crate::{
    config, l1,
    problem::Problem,
    proof::{ProofError, ProofJob},
    service::{Metrics, Service},
    store::{
        Draft,
        log_state::BatchEntry,
        record::{Bytes32, Event, Proven, Settled},
    },
    writer::{Decision, Snapshot},
};

struct Backoff {
    wait: Duration,
    longest: Duration,
}

impl Backoff {
    const fn new(config: &config::Backoff) -> Self {
        Self { wait: config.first, longest: config.longest }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(self.longest);
    }
}

async fn transition(service: &Arc<Service>, batch: u64, community: u32) -> Result<Arc<Transition>, Problem> {
    let (reader, domain) = (Arc::clone(&service.reader), service.domain);
    let current = service
        .writer
        .snapshot()
        .communities
        .get(&community)
        .cloned()
        .ok_or_else(|| Problem::internal("a batch of no community"))?;
    let read = tokio::task::spawn_blocking(move || reader.transition(domain, batch, &current));
    Ok(read.await.map_err(|_| Problem::internal("a batch could not be read"))??)
}

/// Proves every applied batch, at most [`config::Config::proving`] at once.
pub async fn prove_all(service: Arc<Service>) {
    let mut changes = service.writer.changes();
    let (mut running, mut taken) = (JoinSet::new(), BTreeSet::new());
    loop {
        changes.borrow_and_update();
        let pending: Vec<(u64, BatchEntry)> = {
            let snapshot = service.writer.snapshot();
            snapshot
                .log_state
                .batches
                .iter()
                .filter(|(_, b)| b.prove_ms.is_none())
                .map(|(n, b)| (*n, b.clone()))
                .collect()
        };
        for (batch, entry) in pending {
            if running.len() < service.config.proving.max(1)
                && service.health.stopped().is_none()
                && taken.insert(batch)
            {
                running.spawn(prove(Arc::clone(&service), batch, entry));
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(_) = running.join_next() => {}
        }
    }
}

async fn prove(service: Arc<Service>, batch: u64, entry: BatchEntry) {
    let mut backoff = Backoff::new(&service.config.backoff);
    let transition = match transition(&service, batch, entry.community).await {
        Ok(transition) => transition,
        Err(problem) => return service.health.stop(format!("batch {batch}: {problem}")),
    };
    let job = ProofJob {
        batch,
        input: transition.input.clone(),
        circuit_version: service.genesis.circuit_version,
        shape: transition.after.shape.name,
    };
    loop {
        let started = Instant::now();
        match service.proofs.prove(job.clone()).await {
            Ok(proof) => {
                service.health.degraded("prover", None);
                let prove_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let record = Proven { batch, prove_ms, proof: hex::encode(proof) };
                let decide = move |snapshot: &Snapshot| {
                    // Settled meanwhile: L1 had it already.
                    let waits = snapshot.log_state.batches.get(&batch).is_some_and(|b| b.prove_ms.is_none());
                    Ok(if waits {
                        Decision::write(Draft::public(Event::Proven(record)), ())
                    } else {
                        Decision::Answer(())
                    })
                };
                match service.writer.submit_waiting(decide).await {
                    Ok(()) => tracing::info!(batch, prove_ms, "batch proven"),
                    Err(problem) => service.health.stop(format!("batch {batch}: {problem}")),
                }
                return;
            }
            Err(ProofError::Unavailable(why)) => {
                service.health.degraded("prover", Some(why));
                backoff.wait().await;
            }
            Err(error @ ProofError::Failed(_)) => return service.health.stop(format!("batch {batch}: {error}")),
        }
    }
}

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

/// Settles the next batch; `false` where it waits for its proof.
async fn settle(service: &Arc<Service>, batch: u64, entry: &BatchEntry) -> Result<bool, String> {
    let mut backoff = Backoff::new(&service.config.backoff);
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
                backoff.wait().await;
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
    let transition = transition(service, batch, entry.community).await?;
    let proof = service.reader.proof(batch).map_err(Problem::from)?;
    let tariff = l1::in_force(service, entry.community, entry.first_interval).await?;
    let index = tariff.ok_or_else(|| L1Error::Reverted { name: "TariffNotInForce".to_owned() })?.index;
    match service.l1.settle(l1::settle_call(service, &transition, index, proof)).await {
        // Final already, and the contract does not say by which transaction.
        Err(L1Error::Reverted { .. }) if already => Ok(Some(unknown)),
        Err(error) => Err(error.into()),
        Ok(SettleReceipt { tx, block, gas_used, .. }) => {
            Metrics::count(&service.metrics.settled);
            Ok(Some(Settled { batch, tx: Some(Bytes32(tx)), block: Some(block), gas_used: Some(gas_used) }))
        }
    }
}
