//! A pool of provers as the sequencer's source of proofs, in one process.

use std::{sync::Arc, time::Duration};

use gridveil_prover::{
    job::ProofJob as PoolJob,
    pool::{JobState, PoolError, ProverPool},
};
use gridveil_sequencer::{BoxFuture, ProofError, ProofJob, ProofSource};

/// How long one wait for a proof takes before its state is looked at again.
const WAIT: Duration = Duration::from_secs(1);

/// See the module.
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

fn wait(pool: &ProverPool, job: PoolJob) -> Result<Vec<u8>, ProofError> {
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
            let ProofJob { batch, input, circuit_version, shape } = job;
            let job = PoolJob { batch, shape: shape.to_owned(), circuit_version, input };
            let proof = tokio::task::spawn_blocking(move || wait(&pool, job)).await;
            proof.unwrap_or_else(|_| Err(ProofError::Unavailable("the prover's thread ended".into())))
        })
    }
}
