//! The sequencer's source of proofs made on other machines, behind a PostgreSQL database.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use gridveil_prover::{
    check::Checker,
    progress::Silent,
    prover::ProverError,
    queue::{Queue, QueueError, QueueState, Reason},
};
use gridveil_proving_api::{BoxFuture, JobId, ProofError, ProofJob, ProofResult, ProofSource};

use crate::proofs::{PATIENCE, POLL};

/// Says whether a result proves a job.
pub trait Check: Send + Sync {
    /// # Errors
    /// Why it does not.
    fn check(&self, job: &ProofJob, result: &ProofResult) -> Result<(), ProverError>;
}

impl Check for Checker {
    fn check(&self, job: &ProofJob, result: &ProofResult) -> Result<(), ProverError> {
        Self::check(self, job, result, &Silent)
    }
}

/// Proofs made by `gridveil prover run --queue`, on any number of machines. A job is its contents: asked for again
/// after a crash, it is the same job, and a proof that was made meanwhile is there at once. Every proof is checked
/// before it is taken: a worker can withhold, not deceive.
pub struct QueueProofs(Arc<Shared>);

struct Shared {
    queue: Queue,
    checker: Box<dyn Check>,
    asked: Mutex<Asked>,
    seen: Mutex<LastSeen>,
}

/// The jobs that are asked for.
#[derive(Debug, Default)]
struct Asked {
    /// How often each.
    jobs: BTreeMap<JobId, usize>,
    /// Counts what makes an earlier look worthless.
    changes: u64,
}

/// What the queue said of all of them: one look is for all, however many there are. Locked during a look, so that who
/// comes meanwhile waits for what that one sees.
#[derive(Debug, Default)]
struct LastSeen {
    states: BTreeMap<JobId, QueueState>,
    at: Option<Instant>,
    changes: u64,
}

/// A job is looked at while this is there.
struct Asking(Arc<Shared>, JobId);

impl Asking {
    fn for_job(shared: &Arc<Shared>, id: JobId) -> Self {
        let mut asked = shared.asked();
        *asked.jobs.entry(id).or_default() += 1;
        asked.changes += 1;
        drop(asked);
        Self(Arc::clone(shared), id)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut asked = self.0.asked();
        let left = asked.jobs.remove(&self.1).unwrap_or(0);
        if left > 1 {
            asked.jobs.insert(self.1, left - 1);
        }
    }
}

impl fmt::Debug for QueueProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueProofs").finish_non_exhaustive()
    }
}

/// One look at the queue.
enum Seen {
    Proof(Vec<u8>),
    /// Waiting, and there are workers for it or not.
    Waiting(bool),
    Claimed,
}

impl QueueProofs {
    /// Proofs from this queue.
    #[must_use]
    pub fn new(queue: Queue, checker: impl Check + 'static) -> Self {
        Self(Arc::new(Shared { queue, checker: Box::new(checker), asked: Mutex::default(), seen: Mutex::default() }))
    }

    async fn ask(&self, job: ProofJob) -> Result<Vec<u8>, ProofError> {
        let job = Arc::new(job);
        let id = self.blocking(&job, Shared::enter).await?;
        let _asking = Asking::for_job(&self.0, id);
        let mut waiting_since = Instant::now();
        loop {
            match self.blocking(&job, move |shared, job| shared.look(id, job)).await? {
                Seen::Proof(proof) => return Ok(proof),
                Seen::Claimed | Seen::Waiting(true) => waiting_since = Instant::now(),
                Seen::Waiting(false) if waiting_since.elapsed() >= PATIENCE => {
                    let (shape, seconds) = (&job.shape, PATIENCE.as_secs());
                    return Err(ProofError::Unavailable(format!(
                        "no prover process for {shape} with this key has been there for {seconds} s"
                    )));
                }
                Seen::Waiting(false) => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: &Arc<ProofJob>,
        work: impl FnOnce(&Shared, &ProofJob) -> Result<T, ProofError> + Send + 'static,
    ) -> Result<T, ProofError> {
        let (shared, job) = (Arc::clone(&self.0), Arc::clone(job));
        let done = tokio::task::spawn_blocking(move || work(&shared, &job)).await;
        done.unwrap_or_else(|_| Err(ProofError::Unavailable("a look at the queue did not end".into())))
    }
}

/// An error is a failure only if it can never pass. Everything else may pass, by itself or with an operator's help.
fn refused(error: &QueueError) -> ProofError {
    match error {
        QueueError::Job(_) | QueueError::TooLarge { .. } | QueueError::Encoding => {
            ProofError::Failed(error.to_string())
        }
        _ => ProofError::Unavailable(error.to_string()),
    }
}

impl Shared {
    fn enter(&self, job: &ProofJob) -> Result<JobId, ProofError> {
        let tell = |error: QueueError| refused(&error);
        let id = job.id().map_err(|error| ProofError::Failed(error.to_string()))?;
        // Refused in an earlier run: that run stopped, and whoever started this one has looked at why. A poisoned job
        // waits for a person. Looked at before the job is put in: a refusal that comes afterwards is one of this run.
        if matches!(self.queue.state(id).map_err(tell)?, QueueState::Refused { .. }) {
            self.queue.forget(id).map_err(tell)?;
        }
        self.queue.submit(job).map_err(tell)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// State of a job, as it was at most half a poll ago.
    fn state(&self, id: JobId) -> Result<QueueState, ProofError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (jobs, changes) = {
            let asked = self.asked();
            (asked.jobs.keys().copied().collect::<Vec<_>>(), asked.changes)
        };
        if seen.changes != changes || seen.at.is_none_or(|at| at.elapsed() >= POLL / 2) {
            seen.at = None;
            seen.states = self.queue.states(&jobs).map_err(|error| refused(&error))?;
            (seen.at, seen.changes) = (Some(Instant::now()), changes);
        }
        Ok(seen.states.get(&id).cloned().unwrap_or(QueueState::Unknown))
    }

    fn look(&self, id: JobId, job: &ProofJob) -> Result<Seen, ProofError> {
        match self.state(id)? {
            QueueState::Proven => self.take(id, job),
            QueueState::Waiting { workers } => Ok(Seen::Waiting(workers > 0)),
            QueueState::Claimed => Ok(Seen::Claimed),
            QueueState::Refused { error, .. } => Err(ProofError::Failed(error)),
            // The stored witness was damaged, so it is put in again. If that keeps happening, an operator has to look.
            QueueState::Poisoned { reason: Reason::Unreadable, attempts, .. }
                if attempts < gridveil_prover::queue::ATTEMPTS =>
            {
                self.again(job, Reason::Unreadable)
            }
            QueueState::Poisoned { reason, attempts, .. } => Err(ProofError::Unavailable(format!(
                "set aside after {attempts} attempts ({reason}): `gridveil prover queue retry {id}` puts it back"
            ))),
            QueueState::Unknown => Err(gone()),
        }
    }

    fn take(&self, id: JobId, job: &ProofJob) -> Result<Seen, ProofError> {
        let result = match self.queue.result(id) {
            Ok(Some(result)) => result,
            Ok(None) => return Err(gone()),
            Err(error @ (QueueError::Sealed { .. } | QueueError::Contents { .. })) => {
                tracing::warn!(job = %id, %error, "a result of no use: the job is put back");
                return self.again(job, Reason::Unreadable);
            }
            Err(error) => return Err(refused(&error)),
        };
        match self.checker.check(job, &result) {
            Ok(()) => {}
            Err(error @ ProverError::Proof(_)) => {
                tracing::warn!(job = %id, %error, "what a worker handed in is no proof of the job: it is put back");
                return self.again(job, Reason::InvalidProof);
            }
            // The check itself: parameters, keys, or what the rules refuse.
            Err(error) if error.is_permanent() => return Err(ProofError::Failed(error.to_string())),
            Err(error) => return Err(ProofError::Unavailable(error.to_string())),
        }
        Ok(Seen::Proof(result.proof))
    }

    fn again(&self, job: &ProofJob, reason: Reason) -> Result<Seen, ProofError> {
        self.queue.again(job, reason).map_err(|error| refused(&error))?;
        self.asked().changes += 1;
        Ok(Seen::Waiting(true))
    }
}

fn gone() -> ProofError {
    ProofError::Unavailable("the job has gone from the queue".into())
}

impl ProofSource for QueueProofs {
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        Box::pin(self.ask(job))
    }

    fn recorded(&self, job: JobId) -> BoxFuture<'_, ()> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            // A row that stays does no harm: it goes after some days.
            let _ = tokio::task::spawn_blocking(move || shared.queue.forget(job)).await;
        })
    }

    fn provers(&self) -> BoxFuture<'_, Option<usize>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { tokio::task::spawn_blocking(move || shared.queue.provers().ok()).await.ok().flatten() })
    }
}

#[cfg(test)]
#[path = "../../../prover/tests/suite/common/postgres.rs"]
mod postgres;

#[cfg(test)]
mod several;

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::{postgres::Cluster, *};
    use gridveil_prover::{
        proof::ProofError as Invalid,
        queue::{Admin, Serving, ServingConfig},
        spool::SpoolKey,
        worker::Queue as _,
    };
    use gridveil_proving_api::fixture;

    /// Seven is the only proof there is.
    struct Sevens;

    impl Check for Sevens {
        fn check(&self, _: &ProofJob, result: &ProofResult) -> Result<(), ProverError> {
            if result.proof == [7; 9] { Ok(()) } else { Err(Invalid::Invalid.into()) }
        }
    }

    fn result(job: &ProofJob, proof: u8) -> ProofResult {
        fixture::result(job, vec![proof; 9])
    }

    struct World(&'static Cluster, String);

    impl World {
        fn new() -> Option<Self> {
            let cluster = Cluster::shared()?;
            Some(Self(cluster, cluster.database()))
        }

        fn source(&self, key: u8) -> QueueProofs {
            QueueProofs::new(self.queue(key), Sevens)
        }

        fn queue(&self, key: u8) -> Queue {
            Queue::new(&self.0.url(&self.1).parse().unwrap(), SpoolKey::new([key; 32])).unwrap()
        }

        fn worker(&self, key: u8) -> Serving {
            let config = ServingConfig { shapes: vec!["tiny-4x2".into()], ..ServingConfig::default() };
            Serving::new(&self.0.url(&self.1).parse().unwrap(), SpoolKey::new([key; 32]), config).unwrap()
        }
    }

    fn claim(worker: &Serving, name: &str) -> gridveil_prover::queue::Claim {
        for _ in 0..1000 {
            if let Some(claim) = worker.claim(name).unwrap() {
                return claim;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("no job came within 10 s")
    }

    /// What a source says while a prover does its part. The source is dropped among the runtime's tasks, as the
    /// sequencer's is.
    fn asked(source: QueueProofs, prover: impl FnOnce() + Send) -> Result<Vec<u8>, ProofError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread::scope(|scope| {
            scope.spawn(prover);
            runtime.block_on(async {
                let proved =
                    tokio::time::timeout(Duration::from_secs(30), source.prove(fixture::job(1))).await.unwrap();
                drop(source);
                proved
            })
        })
    }

    #[test]
    fn a_proof_made_elsewhere_is_checked_and_is_there_for_whoever_asks_again() {
        let Some(world) = World::new() else { return };
        let worker = world.worker(5);
        let proved = asked(world.source(5), || {
            // A worker that deceives is found out, and the next one proves.
            let first = claim(&worker, "liar");
            worker.finish(&first, &result(&first.job, 6)).unwrap();
            let second = claim(&worker, "honest");
            assert_eq!((second.id, second.attempt), (first.id, 2));
            worker.finish(&second, &result(&second.job, 7)).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
        // As after a crash: another source, no prover.
        assert_eq!(asked(world.source(5), || {}), Ok(vec![7; 9]));
    }

    #[test]
    fn a_refusal_stops_and_the_next_start_asks_again() {
        let Some(world) = World::new() else { return };
        let worker = world.worker(5);
        let refused = asked(world.source(5), || worker.fail(&claim(&worker, "w"), &ProverError::Domain).unwrap());
        assert!(
            matches!(&refused, Err(ProofError::Failed(why)) if why.contains("another chain or contract")),
            "{refused:?}"
        );
        let proved = asked(world.source(5), || {
            let claim = claim(&worker, "w");
            worker.finish(&claim, &result(&claim.job, 7)).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
    }

    #[test]
    fn a_poisoned_job_waits_for_a_person_while_the_sequencer_goes_on() {
        let Some(world) = World::new() else { return };
        let worker = world.worker(5);
        let poisoned = asked(world.source(5), || {
            for _ in 0..3 {
                worker.fail(&claim(&worker, "w"), &Invalid::Invalid.into()).unwrap();
            }
        });
        let id = fixture::job(1).id().unwrap();
        let command = format!("gridveil prover queue retry {id}");
        assert!(
            matches!(&poisoned, Err(ProofError::Unavailable(why)) if why.contains(&command) && why.contains("proof_failed")),
            "{poisoned:?}"
        );
        assert!(
            matches!(asked(world.source(5), || {}), Err(ProofError::Unavailable(_))),
            "and is not tried again by itself"
        );
        Admin::new(&world.0.url(&world.1).parse().unwrap()).unwrap().retry(id).unwrap();
        let proved = asked(world.source(5), || {
            let claim = claim(&worker, "w");
            worker.finish(&claim, &result(&claim.job, 7)).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
    }

    #[test]
    fn what_lay_damaged_is_put_in_again() {
        let Some(world) = World::new() else { return };
        let (queue, worker) = (world.queue(5), world.worker(5));
        let job = fixture::job(1);
        queue.submit(&job).unwrap();
        let mut client = world.0.connect(&world.1).unwrap();
        client.batch_execute("UPDATE gridveil_queue.jobs SET payload = 'damaged'").unwrap();
        assert!(worker.claim("w").unwrap().is_none());
        let proved = asked(world.source(5), || {
            let claim = claim(&worker, "w");
            worker.finish(&claim, &result(&claim.job, 7)).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
        client.batch_execute("UPDATE gridveil_queue.jobs SET result = 'damaged'").unwrap();
        let proved = asked(world.source(5), || {
            let claim = claim(&worker, "w");
            assert_eq!(claim.attempt, 3);
            worker.finish(&claim, &result(&claim.job, 7)).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
    }
}
