//! Where proofs come from, as the sequencer sees it.

use std::{future::Future, pin::Pin};

use crate::job::ProofJob;

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

/// Makes proofs.
pub trait ProofSource: Send + Sync {
    /// The proof's bytes as the contract takes them. May be dropped at any time and asked again.
    fn prove(&self, job: ProofJob) -> BoxFuture<'_, Result<Vec<u8>, ProofError>>;
}
