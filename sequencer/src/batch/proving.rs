//! Applied batches are proven, all that are applied at once: of several communities and of one, whose batches are chained
//! by their state roots and not by their proofs. So many jobs are handed over as provers serve, and some more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gridveil_proving_api::{ProofError, ProofJob};
use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument as _;

use super::transition;
use crate::{
    config,
    metrics::{Shaped, gauge, seconds},
    service::Service,
    store::{
        Draft,
        log_state::BatchEntry,
        record::{Event, Proven},
    },
    writer::{Decision, Snapshot},
};

/// Jobs that are handed over however few provers serve: one that comes finds work.
const FEWEST: usize = 8;
/// How often the provers are counted while batches wait that were not handed over.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Jobs handed over for so many provers: a job each, and half as many more, so that none waits for the next.
const fn places(provers: Option<usize>, most: usize) -> usize {
    let wanted = match provers {
        Some(provers) => provers.saturating_add(provers.div_ceil(2)),
        None => usize::MAX,
    };
    let wanted = if wanted < FEWEST { FEWEST } else { wanted };
    match (most, wanted < most) {
        (0, _) => 1,
        (_, true) => wanted,
        (_, false) => most,
    }
}

/// How many jobs may be with the provers.
struct Places {
    now: usize,
    counted: Option<Instant>,
}

impl Places {
    /// For the provers of this moment, who are counted only where it matters.
    async fn for_jobs(&mut self, service: &Service, jobs: usize) -> usize {
        let most = service.config.proving;
        if jobs > self.now && self.counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            // Who cannot count in time keeps the count it had.
            if let Ok(provers) = tokio::time::timeout(COUNT_EVERY, service.proofs.provers()).await {
                self.now = places(provers, most);
            }
            self.counted = Some(Instant::now());
        }
        self.now
    }
}

/// Why batches wait for provers, by batch: a proof of one says nothing of another.
#[derive(Default)]
struct Troubles(Mutex<BTreeMap<u64, String>>);

impl Troubles {
    fn tell(&self, service: &Service, batch: u64, why: Option<String>) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => drop(troubles.insert(batch, why)),
            None => drop(troubles.remove(&batch)),
        }
        // The oldest: batches settle in order, so that it holds up the others.
        let oldest = troubles.first_key_value().map(|(batch, why)| format!("batch {batch}: {why}"));
        service.health.degraded("prover", oldest);
    }
}

/// Proves every applied batch, at most [`crate::config::Config::proving`] at once.
pub async fn prove_all(service: Arc<Service>) {
    let mut changes = service.writer.changes();
    // Batches are handed over in order: all before this one were.
    let (mut running, mut next) = (JoinSet::new(), 0);
    let mut places = Places { now: places(Some(0), service.config.proving), counted: None };
    let troubles = Arc::new(Troubles::default());
    loop {
        changes.borrow_and_update();
        let pending: Vec<u64> = {
            let snapshot = service.writer.snapshot();
            let applied = snapshot.log_state.batches.range(next..).filter(|(_, batch)| batch.prove_ms.is_none());
            applied.map(|(number, _)| *number).collect()
        };
        let most = places.for_jobs(&service, running.len() + pending.len()).await;
        let free = if service.health.stopped().is_none() { most.saturating_sub(running.len()) } else { 0 };
        let left = pending.len().saturating_sub(free);
        for batch in pending.into_iter().take(free) {
            // Gone meanwhile, if L1 had it already.
            let entry = service.writer.snapshot().log_state.batches.get(&batch).cloned();
            if let Some(entry) = entry {
                running.spawn(prove(Arc::clone(&service), Arc::clone(&troubles), batch, entry));
            }
            next = batch + 1;
        }
        service.metrics.asked.set(gauge(running.len()));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(_) = running.join_next() => {}
            // Provers that come later.
            () = tokio::time::sleep(COUNT_EVERY), if left > 0 => {}
        }
    }
}

async fn prove(service: Arc<Service>, troubles: Arc<Troubles>, batch: u64, entry: BatchEntry) {
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
    let id = job.id();
    loop {
        let started = Instant::now();
        let span = tracing::info_span!("prove", batch, shape = job.shape, circuit_version = job.circuit_version);
        match service.proofs.prove(job.clone()).instrument(span).await {
            Ok(proof) => {
                troubles.tell(&service, batch, None);
                let of = Shaped { shape: job.shape.clone() };
                service.metrics.proving.get_or_create(&of).observe(seconds(started.elapsed()));
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
                    Err(problem) => return service.health.stop(format!("batch {batch}: {problem}")),
                }
                // Not before the log has it: a proof that is forgotten earlier is made twice after a crash.
                if let Ok(id) = id {
                    service.proofs.recorded(id).await;
                }
                return;
            }
            Err(ProofError::Unavailable(why)) => {
                service.metrics.prover_retries.inc();
                troubles.tell(&service, batch, Some(why));
                config::pause(&mut pauses).await;
            }
            Err(error @ ProofError::Failed(_)) => return service.health.stop(format!("batch {batch}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_jobs_as_provers_and_some_more_within_the_bound() {
        let of = |provers| places(provers, 64);
        assert_eq!([Some(0), Some(1), Some(5), Some(6), Some(20), Some(200)].map(of), [8, 8, 8, 9, 30, 64]);
        assert_eq!(of(None), 64, "who does not count is given all");
        assert_eq!([places(Some(4), 1), places(Some(4), 0), places(None, 3)], [1, 1, 3]);
        assert_eq!(places(Some(usize::MAX), usize::MAX), usize::MAX);
    }
}
