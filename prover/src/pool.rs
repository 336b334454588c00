//! Proofs inside the sequencer's own process: a bounded queue, and one or two jobs at a time. The witness of the second
//! is built while the first is proved.
//!
//! Nothing here survives the process. The sequencer's log does. A job is named by its contents, so after a restart the
//! sequencer submits the same jobs again. A separate process is [`crate::worker`].

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridveil_protocol::params::Shape;

use crate::{
    job::{JobEncoding, JobId, ProofJob, ProofResult},
    progress::Progress,
    prover::{Prove, ProverError},
};

/// Limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Jobs waiting at most.
    pub queue: usize,
    /// Jobs proved at the same time.
    pub workers: usize,
    /// Attempts before a job is set aside.
    pub attempts: u32,
}

impl PoolConfig {
    /// Largest `k` of which two jobs are held at a time: a witness that waits takes 0.1 GB at 2^17 rows, and four times
    /// that at 2^19.
    const TWO_AT_A_TIME: u32 = 17;

    /// For a prover of these shapes.
    #[must_use]
    pub fn for_shapes(shapes: &[Shape]) -> Self {
        let small = shapes.iter().all(|shape| shape.k <= Self::TWO_AT_A_TIME);
        Self { workers: if small { 2 } else { 1 }, ..Self::default() }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { queue: 64, workers: 1, attempts: 3 }
    }
}

/// Where a job is.
#[derive(Clone, Debug)]
pub enum JobState {
    /// Waiting.
    Queued,
    /// Being proved.
    Running {
        /// From 1.
        attempt: u32,
    },
    /// Proved.
    Done(Arc<ProofResult>),
    /// Set aside: another attempt would fail, or too many have. Needs a person.
    Poisoned {
        /// Attempts made.
        attempts: u32,
        /// The last error; names no witness value.
        error: String,
    },
    /// Taken back, or the pool was closed.
    Cancelled,
}

impl JobState {
    /// Will it stay as it is?
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Poisoned { .. } | Self::Cancelled)
    }
}

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Too many waiting: try again later.
    #[error("{limit} proofs are waiting already: try again later")]
    Full {
        /// The bound.
        limit: usize,
    },
    /// The pool is closing.
    #[error("the prover is shutting down")]
    Closed,
    /// The job.
    #[error(transparent)]
    Job(#[from] JobEncoding),
    /// A thread could not be started.
    #[error("prover thread: {0}")]
    Thread(std::io::Error),
}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<(JobId, ProofJob)>,
    states: HashMap<JobId, JobState>,
}

type Notify = Box<dyn Fn(JobId, &JobState) + Send + Sync>;

struct Shared {
    jobs: Mutex<Jobs>,
    changed: Condvar,
    closed: AtomicBool,
    prover: Arc<dyn Prove>,
    config: PoolConfig,
    notify: Notify,
}

/// A running pool. Dropping it cancels what waits and stops what runs at its next stage, without waiting for it.
pub struct ProverPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for ProverPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProverPool").field("config", &self.shared.config).field("waiting", &self.waiting()).finish()
    }
}

struct Stages<'a>(&'a Shared);

impl Progress for Stages<'_> {
    fn stage(&self, name: &str, detail: &str) {
        tracing::debug!(name, detail, "stage");
    }

    fn is_cancelled(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // A panic cannot leave the maps half changed: each change is one insertion.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: JobId, state: JobState) {
        self.lock().states.insert(id, state.clone());
        self.changed.notify_all();
        (self.notify)(id, &state);
    }

    fn next(&self) -> Option<(JobId, ProofJob)> {
        let mut jobs = self.lock();
        loop {
            if self.closed.load(Ordering::Relaxed) {
                return None;
            }
            match jobs.queue.pop_front() {
                Some(next) => return Some(next),
                None => jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn work(&self) {
        while let Some((id, job)) = self.next() {
            let state = self.attempt(id, &job);
            self.set(id, state);
        }
    }

    fn attempt(&self, id: JobId, job: &ProofJob) -> JobState {
        let mut error = String::new();
        for attempt in 1..=self.config.attempts.max(1) {
            self.set(id, JobState::Running { attempt });
            match catch_unwind(AssertUnwindSafe(|| self.prover.prove_job(job, &Stages(self)))) {
                Ok(Ok(result)) => return JobState::Done(Arc::new(result)),
                Ok(Err(ProverError::Cancelled)) => return JobState::Cancelled,
                Ok(Err(refused)) => {
                    error = refused.to_string();
                    tracing::warn!(job = %id, batch = job.batch, attempt, %error, "no proof");
                    if refused.is_permanent() {
                        return JobState::Poisoned { attempts: attempt, error };
                    }
                }
                Err(_) => error = "the prover panicked".into(),
            }
        }
        JobState::Poisoned { attempts: self.config.attempts.max(1), error }
    }
}

impl ProverPool {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`PoolError::Thread`].
    pub fn start(prover: Arc<dyn Prove>, config: PoolConfig) -> Result<Self, PoolError> {
        Self::start_with(prover, config, |_, _| ())
    }

    /// Starts the workers; `notify` is told every change of state, on a worker's thread.
    ///
    /// # Errors
    /// [`PoolError::Thread`].
    pub fn start_with(
        prover: Arc<dyn Prove>,
        config: PoolConfig,
        notify: impl Fn(JobId, &JobState) + Send + Sync + 'static,
    ) -> Result<Self, PoolError> {
        let shared = Arc::new(Shared {
            jobs: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
            prover,
            config,
            notify: Box::new(notify),
        });
        let start = |index| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("gridveil-prove-job-{index}"))
                .spawn(move || shared.work())
                .map_err(PoolError::Thread)
        };
        let workers = (0..config.workers.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { shared, workers })
    }

    /// Takes a job. A job that is known already, whatever its state, is not taken twice.
    ///
    /// # Errors
    /// [`PoolError::Full`], [`PoolError::Closed`], [`PoolError::Job`].
    pub fn submit(&self, job: ProofJob) -> Result<JobId, PoolError> {
        let id = job.id()?;
        let mut jobs = self.shared.lock();
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(PoolError::Closed);
        }
        if jobs.states.contains_key(&id) {
            return Ok(id);
        }
        let limit = self.shared.config.queue;
        if jobs.queue.len() >= limit {
            return Err(PoolError::Full { limit });
        }
        jobs.queue.push_back((id, job));
        jobs.states.insert(id, JobState::Queued);
        drop(jobs);
        self.shared.changed.notify_all();
        Ok(id)
    }

    /// State of a job.
    #[must_use]
    pub fn state(&self, id: JobId) -> Option<JobState> {
        self.shared.lock().states.get(&id).cloned()
    }

    /// Waits until a job's state is final, at most `timeout`; its state then.
    #[must_use]
    pub fn wait(&self, id: JobId, timeout: Duration) -> Option<JobState> {
        let deadline = Instant::now() + timeout;
        let mut jobs = self.shared.lock();
        loop {
            let state = jobs.states.get(&id).cloned()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_final() || left.is_zero() {
                return Some(state);
            }
            jobs = self.shared.changed.wait_timeout(jobs, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes a waiting job back. A running one goes on.
    pub fn cancel(&self, id: JobId) -> bool {
        let mut jobs = self.shared.lock();
        let Some(position) = jobs.queue.iter().position(|(waiting, _)| *waiting == id) else { return false };
        jobs.queue.remove(position);
        drop(jobs);
        self.shared.set(id, JobState::Cancelled);
        true
    }

    /// Forgets a job whose state is final, so that it could be submitted anew.
    pub fn forget(&self, id: JobId) -> Option<JobState> {
        let mut jobs = self.shared.lock();
        if jobs.states.get(&id).is_some_and(JobState::is_final) { jobs.states.remove(&id) } else { None }
    }

    /// Jobs waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }

    fn close(&self) {
        let mut jobs = self.shared.lock();
        self.shared.closed.store(true, Ordering::Relaxed);
        let waiting: Vec<JobId> = jobs.queue.drain(..).map(|(id, _)| id).collect();
        for id in &waiting {
            jobs.states.insert(*id, JobState::Cancelled);
        }
        drop(jobs);
        self.shared.changed.notify_all();
        for id in waiting {
            (self.shared.notify)(id, &JobState::Cancelled);
        }
    }

    /// Closes the pool and waits for the running proof to stop at its next stage.
    pub fn shutdown(mut self) {
        self.close();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Drop for ProverPool {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        job::fixture::{self, job},
        proof::ProofError,
    };
    use gridveil_protocol::settlement::SettlementError;
    use std::sync::atomic::AtomicU32;

    /// Answers without proving; fails the first `failures` attempts; waits while the gate is shut.
    #[derive(Default)]
    pub(crate) struct Fake {
        pub failures: AtomicU32,
        pub permanent: bool,
        pub panics: bool,
        pub shut: AtomicBool,
        pub calls: AtomicU32,
    }

    pub(crate) fn answer(job: &ProofJob) -> ProofResult {
        fixture::result(job, vec![7; 3])
    }

    impl Prove for Fake {
        fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            while self.shut.load(Ordering::SeqCst) {
                if progress.is_cancelled() {
                    return Err(ProverError::Cancelled);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.permanent {
                return Err(SettlementError::FeeAccount.into());
            }
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                assert!(!self.panics, "secret 123");
                return Err(ProofError::Invalid.into());
            }
            Ok(answer(job))
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn pool(fake: Fake, config: PoolConfig) -> (Arc<Fake>, ProverPool) {
        let fake = Arc::new(fake);
        (Arc::clone(&fake), ProverPool::start(fake, config).unwrap())
    }

    #[test]
    fn jobs_are_proved_once_each() {
        let (fake, pool) = pool(Fake::default(), PoolConfig::default());
        let ids: Vec<JobId> =
            (0..3).flat_map(|batch| [batch, batch]).map(|batch| pool.submit(job(batch)).unwrap()).collect();
        for id in ids {
            assert!(matches!(pool.wait(id, LONG), Some(JobState::Done(result)) if result.job == id));
        }
        assert_eq!(fake.calls.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_job_is_tried_again_and_then_set_aside() {
        for panics in [false, true] {
            let (fake, pool) = pool(Fake { failures: 5.into(), panics, ..Fake::default() }, PoolConfig::default());
            let id = pool.submit(job(1)).unwrap();
            let state = pool.wait(id, LONG).unwrap();
            assert!(matches!(&state, JobState::Poisoned { attempts: 3, error } if !error.contains("123")), "{state:?}");
            assert!(
                matches!(pool.wait(pool.submit(job(1)).unwrap(), LONG), Some(JobState::Poisoned { .. })),
                "and stays there"
            );
            pool.forget(id);
            let again = pool.wait(pool.submit(job(1)).unwrap(), LONG);
            assert!(matches!(again, Some(JobState::Done(_))), "until it is forgotten: the sixth attempt succeeds");
            assert_eq!(fake.calls.load(Ordering::SeqCst), 6);
        }
    }

    #[test]
    fn what_the_rules_refuse_is_tried_once() {
        let (fake, pool) = pool(Fake { permanent: true, ..Fake::default() }, PoolConfig::default());
        let id = pool.submit(job(1)).unwrap();
        assert!(
            matches!(pool.wait(id, LONG), Some(JobState::Poisoned { attempts: 1, error }) if error.contains("SETTLE.8"))
        );
        assert_eq!(fake.calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_queue_is_bounded_and_closing_cancels() {
        let (fake, pool) =
            pool(Fake { shut: true.into(), ..Fake::default() }, PoolConfig { queue: 2, ..PoolConfig::default() });
        let running = pool.submit(job(0)).unwrap();
        while fake.calls.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let (second, third) = (pool.submit(job(1)).unwrap(), pool.submit(job(2)).unwrap());
        assert!(matches!(pool.submit(job(3)), Err(PoolError::Full { limit: 2 })));
        assert!(pool.cancel(third) && !pool.cancel(running));
        assert!(matches!(pool.state(third), Some(JobState::Cancelled)));
        assert!(matches!(pool.wait(second, Duration::from_millis(5)), Some(JobState::Queued)));
        let shared = Arc::clone(&pool.shared);
        pool.shutdown();
        for id in [running, second, third] {
            assert!(matches!(shared.lock().states.get(&id), Some(JobState::Cancelled)));
        }
    }
}
