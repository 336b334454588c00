//! Where proofs come from, as the sequencer sees it.

use std::{future::Future, pin::Pin};

use crate::job::{JobId, ProofJob};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why there is no proof. Messages carry no witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No prover now; the job is given again.
    #[error("no prover available: {0}")]
    Unavailable(String),
    /// This job cannot be proven: a bug or a missing key. The pipeline stops.
    #[error("proof failed: {0}")]
    Failed(String),
}

/// Makes proofs, several at once if it is asked for several.
pub trait ProofSource: Send + Sync {
    /// The proof's bytes as the contract takes them. May be dropped at any time and asked again.
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>>;

    /// The job's proof is durable at whoever asked for it: the source may forget job and proof. Until then a proof
    /// that was made is there for whoever asks again. Only tidiness: an error is not told.
    fn recorded(&self, _job: JobId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// How many provers serve now; `None` if the source does not count them.
    fn provers(&self) -> BoxFuture<'_, Option<usize>> {
        Box::pin(async { None })
    }
}
