//! A prover process: takes jobs from a spool, one after another, until it is stopped. Killing it at any point loses no job.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    progress::Progress,
    prover::{Prove, ProverError},
    spool::{Claim, Spool, SpoolError},
};

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Name in claims: letters, digits and dashes.
    pub name: String,
    /// Pause between looks at an empty spool.
    pub poll: Duration,
    /// Stop at the first look at an empty spool.
    pub once: bool,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { name: format!("worker-{}", std::process::id()), poll: Duration::from_millis(500), once: false }
    }
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Jobs proved.
    pub proved: usize,
    /// Attempts that failed.
    pub failed: usize,
}

/// Beats of a claim within one lease.
const BEATS: u32 = 4;

/// Serves a spool until `stop` is set (or, with `once`, until it is empty).
///
/// # Errors
/// [`SpoolError`] of the directory itself; a job that fails is the job's error, not the worker's.
pub fn serve(prover: &dyn Prove, spool: &Spool, config: &WorkerConfig, stop: &AtomicBool, progress: &dyn Progress) -> Result<Served, SpoolError> {
    let mut served = Served::default();
    while !stop.load(Ordering::Relaxed) {
        spool.redeliver(&config.name)?;
        match spool.claim(&config.name)? {
            Some(claim) => attempt(prover, spool, &claim, stop, progress, &mut served)?,
            None if config.once => break,
            None => thread::sleep(config.poll),
        }
    }
    Ok(served)
}

fn attempt(
    prover: &dyn Prove,
    spool: &Spool,
    claim: &Claim,
    stop: &AtomicBool,
    progress: &dyn Progress,
    served: &mut Served,
) -> Result<(), SpoolError> {
    tracing::info!(job = %claim.id, batch = claim.job.batch, attempt = claim.attempt, "claimed");
    match with_heartbeat(spool, claim, || prover.prove_job(&claim.job, &Stoppable { stop, progress })) {
        Ok(result) => {
            served.proved += 1;
            spool.finish(claim, &result)
        }
        Err(ProverError::Cancelled) => spool.fail(claim, "stopped", false),
        Err(error) => {
            served.failed += 1;
            tracing::warn!(job = %claim.id, batch = claim.job.batch, attempt = claim.attempt, %error, "no proof");
            spool.fail(claim, &error.to_string(), error.is_permanent())
        }
    }
}

struct Stoppable<'a> {
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
}

impl Progress for Stoppable<'_> {
    fn stage(&self, name: &str, detail: &str) {
        self.progress.stage(name, detail);
    }

    fn finish(&self) {
        self.progress.finish();
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn with_heartbeat<T>(spool: &Spool, claim: &Claim, work: impl FnOnce() -> T) -> T {
    let (heart, pause) = (spool.heart(claim), (spool.config().lease / BEATS).max(Duration::from_millis(1)));
    let (done, bell) = (Mutex::new(false), std::sync::Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = Instant::now();
            let mut guard = done.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                guard = bell.wait_timeout(guard, pause.saturating_sub(last.elapsed())).unwrap_or_else(PoisonError::into_inner).0;
                if last.elapsed() >= pause {
                    last = Instant::now();
                    if !heart.beat() {
                        return;
                    }
                }
            }
        });
        let out = work();
        *done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        bell.notify_all();
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::tests::job,
        pool::tests::{Fake, answer},
        progress::Silent,
        spool::{SpoolConfig, SpoolKey, SpoolState},
    };

    fn once() -> WorkerConfig {
        WorkerConfig { name: "w".into(), poll: Duration::from_millis(1), once: true }
    }

    fn spool(dir: &std::path::Path, lease: Duration) -> Spool {
        Spool::open(dir, SpoolKey::new([5; 32]), SpoolConfig { lease, attempts: 3 }).unwrap()
    }

    #[test]
    fn a_worker_empties_the_spool() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), Duration::from_secs(60));
        let ids = [1, 2, 3].map(|batch| spool.submit(&job(batch)).unwrap());
        let fake = Fake { failures: 1.into(), ..Fake::default() };
        let served = serve(&fake, &spool, &once(), &AtomicBool::new(false), &Silent).unwrap();
        assert_eq!(served, Served { proved: 3, failed: 1 });
        for (batch, id) in (1..).zip(ids) {
            assert_eq!(spool.result(id).unwrap(), Some(answer(&job(batch))));
        }
    }

    #[test]
    fn what_the_rules_refuse_is_set_aside_with_its_clause() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), Duration::from_secs(60));
        let id = spool.submit(&job(1)).unwrap();
        let served = serve(&Fake { permanent: true, ..Fake::default() }, &spool, &once(), &AtomicBool::new(false), &Silent).unwrap();
        assert_eq!(served, Served { proved: 0, failed: 1 });
        assert!(matches!(spool.state(id).unwrap(), SpoolState::Poisoned(error) if error.starts_with("SETTLE.8")));
    }

    #[test]
    fn a_long_proof_keeps_its_claim_and_a_stopped_worker_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), Duration::from_millis(400));
        let id = spool.submit(&job(1)).unwrap();
        let fake = Fake { shut: true.into(), ..Fake::default() };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| serve(&fake, &spool, &once(), &stop, &Silent).unwrap());
            while spool.state(id).unwrap() != SpoolState::Claimed {
                thread::sleep(Duration::from_millis(1));
            }
            for _ in 0..12 {
                thread::sleep(Duration::from_millis(100));
                assert_eq!(spool.redeliver("other").unwrap(), 0, "alive for three leases");
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(worker.join().unwrap(), Served::default());
        });
        assert_eq!(spool.state(id).unwrap(), SpoolState::Waiting);
    }
}
