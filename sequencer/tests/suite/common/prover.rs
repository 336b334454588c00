//! A prover that answers at once or never, fails, or waits, as it is told.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gridveil_protocol::{field::to_bytes, settlement};
use gridveil_proving_api::{BoxFuture, JobId, ProofError, ProofJob, ProofSource};

/// Length of [`proof_of`], whole words.
pub const PROOF_BYTES: usize = 96;

/// Provers. Their "proof" is the state root before, the batch number and the digest of the input, so that a proof on
/// another root and a repeated or changed job show.
#[derive(Default)]
pub struct FakeProver {
    pub stuck: AtomicBool,
    pub unavailable: AtomicU32,
    pub asked: AtomicU32,
    pub fails: AtomicBool,
    /// How many serve; zero says that nobody counts.
    pub serving: AtomicUsize,
    /// Batches that they are asked for now.
    pub working: Mutex<BTreeSet<u64>>,
    /// Batches whose proof takes for ever.
    pub held: Mutex<BTreeSet<u64>>,
    /// Batches that no prover is there for.
    pub away: Mutex<BTreeSet<u64>>,
    /// Jobs whose proof is in the log.
    pub recorded: Mutex<Vec<JobId>>,
}

impl FakeProver {
    /// Batches that they are asked for now.
    pub fn works_at(&self) -> Vec<u64> {
        self.working.lock().unwrap().iter().copied().collect()
    }
}

/// A batch is worked at while this is there.
struct Working<'a>(&'a FakeProver, u64);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.lock().unwrap().remove(&self.1);
    }
}

pub fn proof_of(job: &ProofJob) -> Vec<u8> {
    let digest = blake3::hash(&serde_json::to_vec(&job.input).unwrap());
    let old_root = settlement::apply(job.input.clone()).unwrap().instance.old_root;
    [&to_bytes(&old_root)[..], digest.as_bytes(), &[0; 24], &job.batch.to_be_bytes()].concat()
}

impl ProofSource for FakeProver {
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.away.lock().unwrap().contains(&job.batch) {
                return Err(ProofError::Unavailable("nobody is there".to_owned()));
            }
            self.working.lock().unwrap().insert(job.batch);
            let _working = Working(self, job.batch);
            while self.stuck.load(Ordering::SeqCst) || self.held.lock().unwrap().contains(&job.batch) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if self.fails.load(Ordering::SeqCst) {
                return Err(ProofError::Failed("told to fail".to_owned()));
            }
            if self.unavailable.load(Ordering::SeqCst) > 0 {
                self.unavailable.fetch_sub(1, Ordering::SeqCst);
                return Err(ProofError::Unavailable("told to wait".to_owned()));
            }
            Ok(proof_of(&job))
        })
    }

    fn recorded(&self, job: JobId) -> BoxFuture<'_, ()> {
        self.recorded.lock().unwrap().push(job);
        Box::pin(async {})
    }

    fn provers(&self) -> BoxFuture<'_, Option<usize>> {
        let serving = self.serving.load(Ordering::SeqCst);
        Box::pin(async move { (serving > 0).then_some(serving) })
    }
}
