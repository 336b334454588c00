//! The sequencer's sources of proofs: a pool of provers in its own process, or prover processes behind a spool
//! directory. Prover processes behind a database are in [`crate::queue`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridveil_prover::{
    pool::{JobState, PoolError, ProverPool},
    spool::{Spool, SpoolError, SpoolState},
    store::StoreError,
};
use gridveil_proving_api::{BoxFuture, JobId, ProofError, ProofJob, ProofSource};
use gridveil_sequencer::Retention;

/// How long one wait for a proof takes before its state is looked at again.
const WAIT: Duration = Duration::from_secs(1);

/// Pause between looks at the spool.
pub(crate) const POLL: Duration = Duration::from_millis(200);
/// A job that no prover has taken for this long is a reason to tell the operator.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Proofs made in this process.
#[derive(Debug)]
pub struct PoolProofs {
    pool: Arc<ProverPool>,
}

impl PoolProofs {
    /// Proofs from this pool.
    #[must_use]
    pub fn new(pool: ProverPool) -> Self {
        Self { pool: Arc::new(pool) }
    }
}

fn wait(pool: &ProverPool, job: ProofJob) -> Result<Vec<u8>, ProofError> {
    let id = pool.submit(job).map_err(|error| match error {
        PoolError::Job(_) => ProofError::Failed(error.to_string()),
        _ => ProofError::Unavailable(error.to_string()),
    })?;
    loop {
        match pool.wait(id, WAIT) {
            Some(JobState::Done(result)) => {
                pool.forget(id);
                return Ok(result.proof.clone());
            }
            Some(JobState::Poisoned { error, .. }) => return Err(ProofError::Failed(error)),
            Some(JobState::Cancelled) | None => return Err(ProofError::Unavailable("the job was cancelled".into())),
            Some(JobState::Queued | JobState::Running { .. }) => {}
        }
    }
}

impl ProofSource for PoolProofs {
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        let pool = Arc::clone(&self.pool);
        Box::pin(async move {
            let proof = tokio::task::spawn_blocking(move || wait(&pool, job)).await;
            proof.unwrap_or_else(|_| Err(ProofError::Unavailable("the prover's thread ended".into())))
        })
    }
}

/// Proofs made by `gridveil prover run`, in any number of processes that share a spool directory with this one. A job
/// is its contents: asked for again after a crash, it is the same job, and a proof that was made meanwhile is there at
/// once.
#[derive(Debug)]
pub struct SpoolProofs {
    spool: Spool,
    patience: Duration,
}

/// One look at the spool.
enum Seen {
    Proof(Vec<u8>),
    Waiting,
    Claimed,
}

impl SpoolProofs {
    /// Proofs from this spool.
    #[must_use]
    pub const fn new(spool: Spool) -> Self {
        Self { spool, patience: PATIENCE }
    }

    async fn ask(&self, job: ProofJob) -> Result<Vec<u8>, ProofError> {
        let id = self.blocking(move |spool| enter(spool, &job)).await?;
        let mut waiting_since = Instant::now();
        loop {
            match self.blocking(move |spool| look(spool, id)).await? {
                Seen::Proof(proof) => return Ok(proof),
                Seen::Claimed => waiting_since = Instant::now(),
                // Behind other jobs, while there are provers.
                Seen::Waiting if waiting_since.elapsed() >= self.patience => {
                    if self.blocking(|spool| spool.provers().map_err(|error| refused(&error))).await? == 0 {
                        return Err(ProofError::Unavailable(format!(
                            "no prover process has been there for {} s",
                            self.patience.as_secs()
                        )));
                    }
                    waiting_since = Instant::now();
                }
                Seen::Waiting => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Removes what nobody has touched for longer than the rule says, for as long as it is asked to.
    pub fn keep_for(&self, rule: Retention) -> impl Future<Output = ()> + Send + 'static {
        let spool = self.spool.clone();
        async move {
            loop {
                let spool = spool.clone();
                let removed = tokio::task::spawn_blocking(move || spool.remove_older(rule.spool_files)).await;
                match removed {
                    Ok(Ok(0)) | Err(_) => {}
                    Ok(Ok(files)) => tracing::info!(files, "old files of the spool were removed"),
                    Ok(Err(error)) => tracing::warn!(error = %refused(&error), "old files of the spool stay"),
                }
                tokio::time::sleep(rule.look_every).await;
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> Result<T, ProofError> + Send + 'static,
    ) -> Result<T, ProofError> {
        let spool = self.spool.clone();
        let done = tokio::task::spawn_blocking(move || work(&spool)).await;
        done.unwrap_or_else(|_| Err(ProofError::Unavailable("a look at the spool did not end".into())))
    }
}

/// Messages reach `/healthz`: no path in them.
fn refused(error: &SpoolError) -> ProofError {
    match error {
        SpoolError::Job(_) | SpoolError::Encoding => ProofError::Failed(error.to_string()),
        SpoolError::Store(StoreError::Io { source, .. }) => ProofError::Unavailable(format!("the spool: {source}")),
        SpoolError::Store(_) | SpoolError::Key { .. } => ProofError::Unavailable("the spool is damaged".into()),
        SpoolError::Seal(_) | SpoolError::Randomness(_) => ProofError::Unavailable(error.to_string()),
        SpoolError::Sealed { .. } | SpoolError::Contents { .. } => {
            ProofError::Unavailable(format!("the spool: {error}"))
        }
    }
}

/// A file of the job that cannot be used (damaged, or of a prover with another key) is thrown away, so that asking
/// again starts over.
fn or_start_over<T>(spool: &Spool, id: JobId, outcome: Result<T, SpoolError>) -> Result<T, ProofError> {
    outcome.map_err(|error| {
        if matches!(error, SpoolError::Sealed { .. } | SpoolError::Contents { .. }) {
            // If this fails too, the next try meets the same file.
            let _ = spool.forget(id);
        }
        refused(&error)
    })
}

fn enter(spool: &Spool, job: &ProofJob) -> Result<JobId, ProofError> {
    let id = job.id().map_err(|error| ProofError::Failed(error.to_string()))?;
    // The job was set aside in an earlier run. That run stopped, and the operator has looked at the reason before this
    // start.
    if matches!(or_start_over(spool, id, spool.state(id))?, SpoolState::Poisoned(_)) {
        spool.forget(id).map_err(|error| refused(&error))?;
    }
    spool.submit(job).map_err(|error| refused(&error))
}

fn look(spool: &Spool, id: JobId) -> Result<Seen, ProofError> {
    match or_start_over(spool, id, spool.state(id))? {
        SpoolState::Done => {
            let result = or_start_over(spool, id, spool.result(id))?;
            result.map(|result| Seen::Proof(result.proof)).ok_or_else(gone)
        }
        SpoolState::Waiting => Ok(Seen::Waiting),
        SpoolState::Claimed => Ok(Seen::Claimed),
        SpoolState::Poisoned(why) => Err(ProofError::Failed(why)),
        SpoolState::Unknown => Err(gone()),
    }
}

fn gone() -> ProofError {
    ProofError::Unavailable("the job has gone from the spool".into())
}

impl ProofSource for SpoolProofs {
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        Box::pin(self.ask(job))
    }

    fn recorded(&self, job: JobId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A result that stays does no harm.
            let _ = self.blocking(move |spool| spool.forget(job).map_err(|error| refused(&error))).await;
        })
    }

    fn provers(&self) -> BoxFuture<'_, Option<usize>> {
        Box::pin(async { self.blocking(|spool| spool.provers().map_err(|error| refused(&error))).await.ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_prover::spool::{SpoolConfig, SpoolKey};
    use gridveil_proving_api::fixture;

    fn spool(dir: &std::path::Path, key: u8) -> Spool {
        Spool::open(dir, SpoolKey::new([key; 32]), SpoolConfig { lease: Duration::from_secs(60), attempts: 3 }).unwrap()
    }

    /// What a source says while a prover does its part once.
    fn asked(source: &SpoolProofs, prover: impl FnOnce() + Send) -> Result<Vec<u8>, ProofError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(prover);
            runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(20), source.prove(fixture::job(1))).await.unwrap()
            })
        })
    }

    fn claim(spool: &Spool) -> gridveil_prover::spool::Claim {
        for _ in 0..500 {
            if let Some(claim) = spool.claim("w").unwrap() {
                return claim;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no job came within 5 s")
    }

    #[test]
    fn a_proof_made_elsewhere_arrives_and_is_there_for_whoever_asks_again() {
        let dir = tempfile::tempdir().unwrap();
        let worker = spool(dir.path(), 5);
        let proved = asked(&SpoolProofs::new(worker.clone()), || {
            let claim = claim(&worker);
            worker.finish(&claim, &fixture::result(&claim.job, vec![7; 9])).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
        // As after a crash: another source, no prover.
        assert_eq!(asked(&SpoolProofs::new(worker), || {}), Ok(vec![7; 9]));
    }

    #[test]
    fn what_cannot_be_proved_stops_and_is_tried_again_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let worker = spool(dir.path(), 5);
        let refused =
            asked(&SpoolProofs::new(worker.clone()), || worker.fail(&claim(&worker), "SETTLE.8: no", true).unwrap());
        assert_eq!(refused, Err(ProofError::Failed("SETTLE.8: no".into())));
        let proved = asked(&SpoolProofs::new(worker.clone()), || {
            let claim = claim(&worker);
            worker.finish(&claim, &fixture::result(&claim.job, vec![7; 9])).unwrap();
        });
        assert_eq!(proved, Ok(vec![7; 9]));
    }

    #[test]
    fn a_prover_with_another_key_is_told_apart_and_the_job_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (spool(dir.path(), 5), spool(dir.path(), 6));
        let id = fixture::job(1).id().unwrap();
        let refused = asked(&SpoolProofs::new(own.clone()), || {
            // It cannot read the job, and sets it aside with its own key.
            while !dir.path().join("errors").join(id.to_string()).exists() {
                assert!(other.claim("w").unwrap().is_none());
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        assert!(
            matches!(&refused, Err(ProofError::Unavailable(why)) if why.contains("not sealed with this key")),
            "{refused:?}"
        );
        assert_eq!(own.state(id).unwrap(), SpoolState::Unknown);
    }

    #[test]
    fn several_proofs_are_made_at_once_and_each_stays_until_it_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let (source, own) = (SpoolProofs::new(spool(dir.path(), 5)), spool(dir.path(), 5));
        let batches = [1, 2, 3, 4];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // No result before all four are claimed.
                let claims = batches.map(|_| claim(&own));
                for claim in claims {
                    own.finish(&claim, &fixture::result(&claim.job, vec![u8::try_from(claim.job.batch).unwrap(); 9]))
                        .unwrap();
                }
            });
            runtime.block_on(async {
                let source = Arc::new(source);
                let mut asking = tokio::task::JoinSet::new();
                for batch in batches {
                    let source = Arc::clone(&source);
                    asking.spawn(async move { (batch, source.prove(fixture::job(batch)).await) });
                }
                let all = tokio::time::timeout(Duration::from_secs(60), asking.join_all()).await.unwrap();
                for (batch, proof) in all {
                    assert_eq!(proof, Ok(vec![u8::try_from(batch).unwrap(); 9]));
                }
                let ids = batches.map(|batch| fixture::job(batch).id().unwrap());
                assert!(ids.iter().all(|id| own.is_done(*id)), "the log has none of them yet");
                source.recorded(ids[2]).await;
                assert_eq!(ids.map(|id| own.is_done(id)), [true, true, false, true]);
            });
        });
    }

    #[test]
    fn a_job_behind_others_does_not_say_that_nobody_is_there() {
        use gridveil_prover::worker::Queue;
        let dir = tempfile::tempdir().unwrap();
        let worker = spool(dir.path(), 5);
        let patience = Duration::from_millis(300);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |batch| {
            let source = SpoolProofs { patience, ..SpoolProofs::new(spool(dir.path(), 5)) };
            runtime.block_on(async { tokio::time::timeout(patience * 5, source.prove(fixture::job(batch))).await })
        };
        assert!(matches!(ask(1), Ok(Err(ProofError::Unavailable(why))) if why.contains("no prover process")));
        // One serves, and is busy with the first.
        let busy = Queue::claim(&worker, "w").unwrap().unwrap();
        assert_eq!(busy.job.batch, 1);
        assert!(ask(2).is_err(), "it waits");
        Queue::leave(&worker, "w").unwrap();
        assert!(matches!(ask(2), Ok(Err(ProofError::Unavailable(_)))));
    }
}
