//! Applied batches are proven, at most as many at once as the configuration says.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use gridveil_proving_api::{ProofError, ProofJob};
use tokio::task::JoinSet;

use super::transition;
use crate::{
    config,
    service::Service,
    store::{
        Draft,
        log_state::BatchEntry,
        record::{Event, Proven},
    },
    writer::{Decision, Snapshot},
};

/// Proves every applied batch, at most [`crate::config::Config::proving`] at once.
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
    let mut pauses = service.config.backoff.pauses();
    let (version, transition) = match transition(&service, batch, &entry).await {
        Ok(read) => read,
        Err(problem) => return service.health.stop(format!("batch {batch}: {problem}")),
    };
    let job = ProofJob {
        batch,
        input: transition.input.clone(),
        circuit_version: version.number(),
        shape: transition.after.shape.name.to_owned(),
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
                config::pause(&mut pauses).await;
            }
            Err(error @ ProofError::Failed(_)) => return service.health.stop(format!("batch {batch}: {error}")),
        }
    }
}
