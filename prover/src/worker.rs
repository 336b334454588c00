//! A prover process: takes jobs from a queue, one after another, until it is stopped. Killing it at any point loses no
//! job.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use rand::Rng;

use crate::{
    job::{JobId, ProofJob, ProofResult},
    progress::Progress,
    prover::{Prove, ProverError},
    spool::{self, Spool, SpoolError, SpoolState},
};

/// What a worker asks of a queue. Every call may be repeated after an error that [is temporary](Self::is_temporary).
pub trait Queue: Sync {
    /// A claimed job.
    type Claim: Sync;
    /// Why the queue did not do what it was asked.
    type Error: std::error::Error + Send;

    /// A claim without a heartbeat for this long is another worker's.
    fn lease(&self) -> Duration;

    /// Could the same call succeed a moment later?
    fn is_temporary(error: &Self::Error) -> bool;

    /// Id, attempt (from 1) and contents of a claimed job.
    fn job(claim: &Self::Claim) -> (JobId, u32, &ProofJob);

    /// Claims a job for `worker`; puts back, or sets aside, those of workers that went silent.
    ///
    /// # Errors
    /// Of the queue itself. A job that cannot be read is set aside, not an error.
    fn claim(&self, worker: &str) -> Result<Option<Self::Claim>, Self::Error>;

    /// Tells everybody that the claim's worker is alive.
    ///
    /// # Errors
    /// Of the queue itself.
    fn beat(&self, claim: &Self::Claim) -> Result<Beat, Self::Error>;

    /// Hands in a result; one for a job that has a result is dropped.
    ///
    /// # Errors
    /// Of the queue itself.
    fn finish(&self, claim: &Self::Claim, result: &ProofResult) -> Result<(), Self::Error>;

    /// Hands a job back: for another attempt, or set aside if it was the last or another would fail the same way.
    ///
    /// # Errors
    /// Of the queue itself.
    fn fail(&self, claim: &Self::Claim, error: &ProverError) -> Result<(), Self::Error>;

    /// Hands a job back as if it had not been claimed.
    ///
    /// # Errors
    /// Of the queue itself.
    fn release(&self, claim: &Self::Claim) -> Result<(), Self::Error>;

    /// Waits while there is nothing to claim: for `poll`, or until the queue hears of a job, or `stop` is set.
    fn idle(&self, poll: Duration, stop: &AtomicBool) {
        sleep_until(poll, stop);
    }

    /// Says that `worker` serves no longer.
    ///
    /// # Errors
    /// Of the queue itself.
    fn leave(&self, _worker: &str) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What a heartbeat finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The claim holds.
    Held,
    /// The lease has ended, and another worker may have the job. A proof still counts if it is the first.
    Lost,
    /// Nobody waits for this proof any more.
    Settled,
}

impl Queue for Spool {
    type Claim = spool::Claim;
    type Error = SpoolError;

    fn lease(&self) -> Duration {
        self.config().lease
    }

    fn is_temporary(_: &SpoolError) -> bool {
        false
    }

    fn job(claim: &spool::Claim) -> (JobId, u32, &ProofJob) {
        (claim.id, claim.attempt, &claim.job)
    }

    fn claim(&self, worker: &str) -> Result<Option<spool::Claim>, SpoolError> {
        self.serving(worker)?;
        self.redeliver(worker)?;
        Self::claim(self, worker)
    }

    fn beat(&self, claim: &spool::Claim) -> Result<Beat, SpoolError> {
        self.serving(claim.worker())?;
        if self.is_done(claim.id) {
            return Ok(Beat::Settled);
        }
        if claim.beat() {
            return Ok(Beat::Held);
        }
        // Neither claimed nor waiting nor set aside: it was forgotten, and nobody asks for it any more.
        Ok(if matches!(self.state(claim.id)?, SpoolState::Unknown | SpoolState::Done) {
            Beat::Settled
        } else {
            Beat::Lost
        })
    }

    fn finish(&self, claim: &spool::Claim, result: &ProofResult) -> Result<(), SpoolError> {
        Self::finish(self, claim, result)
    }

    fn fail(&self, claim: &spool::Claim, error: &ProverError) -> Result<(), SpoolError> {
        Self::fail(self, claim, &error.to_string(), error.is_permanent())
    }

    fn release(&self, claim: &spool::Claim) -> Result<(), SpoolError> {
        Self::release(self, claim)
    }

    fn leave(&self, worker: &str) -> Result<(), SpoolError> {
        Self::leave(self, worker)
    }
}

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Name in claims: letters, digits and dashes. No two workers of a queue have the same.
    pub name: String,
    /// Pause between looks at an empty queue.
    pub poll: Duration,
    /// Stop at the first look at an empty queue.
    pub once: bool,
    /// A proof that takes longer keeps its claim no more: its prover hangs, and another may do better.
    pub limit: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        // The random part: process ids repeat from machine to machine, and on one machine in time.
        let name = format!("worker-{}-{:08x}", std::process::id(), rand::thread_rng().r#gen::<u32>());
        Self { name, poll: Duration::from_millis(500), once: false, limit: LIMIT }
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

/// A claim without a heartbeat for this long is another worker's, unless a worker is told otherwise. The job of a killed
/// prover waits for so long; a machine under load, or a database that pauses, may be silent for three quarters of it.
pub const LEASE: Duration = Duration::from_secs(10);
/// A proof that takes longer hangs, unless a worker is told otherwise: the slowest known takes a few minutes.
pub const LIMIT: Duration = Duration::from_secs(1800);
/// Beats of a claim within one lease.
const BEATS: u32 = 4;
/// How soon a stop is noticed.
pub(crate) const ALERT: Duration = Duration::from_millis(50);
/// Between tries at a queue that does not answer.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a stopped worker keeps trying to give its result or its job to a queue that does not answer.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Serves a queue until `stop` is set (or, with `once`, until it is empty). While the queue does not answer, asks
/// again, less and less often. A stopped worker hands its job back at once, and returns when the proof it was at
/// notices, at its next stage.
///
/// # Errors
/// Those of the queue that are not temporary; a job that fails is the job's error, not the worker's.
pub fn serve<Q: Queue>(
    prover: &dyn Prove,
    queue: &Q,
    config: &WorkerConfig,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Served, Q::Error> {
    let mut served = Served::default();
    while !stop.load(Ordering::Relaxed) {
        match retry::<Q, _>(stop, Duration::ZERO, || queue.claim(&config.name)) {
            Ok(Some(claim)) => attempt(prover, queue, config.limit, &claim, stop, progress, &mut served)?,
            Ok(None) if config.once => break,
            Ok(None) => queue.idle(config.poll, stop),
            Err(error) if Q::is_temporary(&error) => break,
            Err(error) => return Err(error),
        }
    }
    // Only tidiness: who stays silent is missed soon.
    let _ = queue.leave(&config.name);
    Ok(served)
}

fn attempt<Q: Queue>(
    prover: &dyn Prove,
    queue: &Q,
    limit: Duration,
    claim: &Q::Claim,
    stop: &AtomicBool,
    progress: &dyn Progress,
    served: &mut Served,
) -> Result<(), Q::Error> {
    let (id, attempt, job) = Q::job(claim);
    tracing::info!(job = %id, batch = job.batch, attempt, "claimed");
    let settled = AtomicBool::new(false);
    match with_heartbeat(queue, limit, claim, stop, &settled, || {
        prover.prove_job(job, &Stoppable { flags: [stop, &settled], progress })
    }) {
        Ok(result) => {
            served.proved += 1;
            retry::<Q, _>(stop, SHUTDOWN_GRACE, || queue.finish(claim, &result))
        }
        Err(ProverError::Cancelled) if settled.load(Ordering::Relaxed) => Ok(()),
        // The heartbeat thread may have given the job back already. If neither succeeds, the lease ends by itself.
        Err(ProverError::Cancelled) => match retry::<Q, _>(stop, SHUTDOWN_GRACE, || queue.release(claim)) {
            Err(error) if !Q::is_temporary(&error) => Err(error),
            _ => Ok(()),
        },
        Err(error) => {
            served.failed += 1;
            tracing::warn!(job = %id, batch = job.batch, attempt, %error, "no proof");
            retry::<Q, _>(stop, SHUTDOWN_GRACE, || queue.fail(claim, &error))
        }
    }
}

/// Repeats `ask` while its error is temporary: without end, and once stopped only for `after_stop`.
fn retry<Q: Queue, T>(
    stop: &AtomicBool,
    after_stop: Duration,
    mut ask: impl FnMut() -> Result<T, Q::Error>,
) -> Result<T, Q::Error> {
    let doubled = ExponentialBuilder::new().with_factor(2.0).without_max_times();
    let mut waits = doubled.with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT).build();
    let (start, mut tries, mut stopped) = (Instant::now(), 0_u32, None::<Instant>);
    loop {
        let error = match ask() {
            Err(error) if Q::is_temporary(&error) => error,
            outcome => {
                if tries > 0 {
                    tracing::warn!(after_s = start.elapsed().as_secs(), "the queue answers again");
                }
                return outcome;
            }
        };
        if tries == 0 {
            tracing::warn!(%error, "no answer from the queue: asking again");
        }
        if stop.load(Ordering::Relaxed) && stopped.get_or_insert_with(Instant::now).elapsed() >= after_stop {
            return Err(error);
        }
        // Not all workers at once.
        let wait = waits.next().unwrap_or(LONGEST_WAIT);
        sleep_until(wait.mul_f64(rand::thread_rng().gen_range(0.5..1.0)), stop);
        tries = tries.saturating_add(1);
    }
}

/// Sleeps. It wakes early when `stop` is set, but never so early that a loop around it would spin.
pub(crate) fn sleep_until(pause: Duration, stop: &AtomicBool) {
    let end = Instant::now() + pause;
    loop {
        thread::sleep(end.saturating_duration_since(Instant::now()).min(ALERT));
        if stop.load(Ordering::Relaxed) || Instant::now() >= end {
            return;
        }
    }
}

struct Stoppable<'a> {
    flags: [&'a AtomicBool; 2],
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
        self.flags.iter().any(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Stops the heartbeat thread when it is dropped, also by a panic. Otherwise a dead worker would keep its lease.
struct StopGuard<'a>(&'a Mutex<bool>, &'a Condvar);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_all();
    }
}

/// Does `work` while another thread keeps the claim. That thread renews the lease, sets `settled` when the proof is not
/// needed any more, and gives the job back when `stop` is set.
fn with_heartbeat<Q: Queue, T>(
    queue: &Q,
    limit: Duration,
    claim: &Q::Claim,
    stop: &AtomicBool,
    settled: &AtomicBool,
    work: impl FnOnce() -> T,
) -> T {
    let (done, ended) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| keep(queue, limit, claim, stop, settled, &done, &ended));
        let _guard = StopGuard(&done, &ended);
        work()
    })
}

fn keep<Q: Queue>(
    queue: &Q,
    limit: Duration,
    claim: &Q::Claim,
    stop: &AtomicBool,
    settled: &AtomicBool,
    done: &Mutex<bool>,
    ended: &Condvar,
) {
    let pause = (queue.lease() / BEATS).max(Duration::from_millis(1));
    let (id, attempt, _) = Q::job(claim);
    let start = Instant::now();
    let (mut last, mut lost) = (start, false);
    loop {
        {
            let guard = done.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = pause.saturating_sub(last.elapsed()).min(ALERT);
            if *guard || *ended.wait_timeout(guard, rest).unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
        if stop.load(Ordering::Relaxed) {
            // If it does not get through, the lease ends by itself.
            match retry::<Q, _>(stop, SHUTDOWN_GRACE, || queue.release(claim)) {
                Ok(()) => tracing::info!(job = %id, attempt, "stopped: handed back"),
                Err(error) => {
                    tracing::warn!(job = %id, attempt, %error, "stopped: not handed back, another worker takes it when the lease ends")
                }
            }
            return;
        }
        if last.elapsed() < pause {
            continue;
        }
        last = Instant::now();
        if start.elapsed() >= limit {
            // The worker stays in its proof, and takes no other job until that ends.
            return tracing::error!(
                job = %id, attempt, limit_s = limit.as_secs(),
                "the proof takes longer than it may: the lease is let go, another prover takes the job"
            );
        }
        match queue.beat(claim) {
            Ok(Beat::Held) => lost = false,
            Ok(Beat::Lost) if lost => {}
            Ok(Beat::Lost) => {
                lost = true;
                tracing::warn!(job = %id, attempt, "the lease has ended: going on, the first proof counts");
            }
            Ok(Beat::Settled) => {
                tracing::info!(job = %id, attempt, "proved by another, or taken back");
                return settled.store(true, Ordering::Relaxed);
            }
            Err(error) if lost => tracing::debug!(job = %id, %error, "no heartbeat"),
            Err(error) => tracing::warn!(job = %id, attempt, %error, "no heartbeat"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::fixture::job,
        pool::tests::{Fake, answer},
        progress::Silent,
        spool::{SpoolConfig, SpoolKey, SpoolState},
    };

    fn once() -> WorkerConfig {
        WorkerConfig { name: "w".into(), poll: Duration::from_millis(1), once: true, ..WorkerConfig::default() }
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
        let served =
            serve(&Fake { permanent: true, ..Fake::default() }, &spool, &once(), &AtomicBool::new(false), &Silent)
                .unwrap();
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

    #[test]
    fn a_prover_that_hangs_loses_its_job_to_another_and_its_proof_counts_if_it_is_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), Duration::from_millis(400));
        let id = spool.submit(&job(1)).unwrap();
        let fake = Fake { shut: true.into(), ..Fake::default() };
        let stop = AtomicBool::new(false);
        let config = WorkerConfig { limit: Duration::from_millis(500), ..once() };
        thread::scope(|scope| {
            let worker = scope.spawn(|| serve(&fake, &spool, &config, &stop, &Silent).unwrap());
            let start = Instant::now();
            while spool.state(id).unwrap() != SpoolState::Claimed {
                thread::sleep(Duration::from_millis(1));
            }
            let other = loop {
                spool.redeliver("other").unwrap();
                if let Some(claim) = spool.claim("other").unwrap() {
                    break claim;
                }
                thread::sleep(Duration::from_millis(5));
                assert!(start.elapsed() < Duration::from_secs(60), "its heartbeat goes on for ever");
            };
            fake.shut.store(false, Ordering::SeqCst);
            assert_eq!(worker.join().unwrap(), Served { proved: 1, failed: 0 });
            assert_eq!(spool.result(id).unwrap(), Some(answer(&job(1))));
            assert_eq!((other.attempt, Queue::beat(&spool, &other).unwrap()), (2, Beat::Settled));
        });
    }
}
