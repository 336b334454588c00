//! Where proofs come from. The umbrella binary puts a pool of provers behind this; the sequencer itself links no
//! proving system.

use std::{future::Future, pin::Pin};

use gridveil_protocol::settlement::SettlementInput;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One settlement to prove.
#[derive(Clone, Debug)]
pub struct ProofJob {
    /// Batch number; the same batch always has the same input.
    pub batch: u64,
    /// What to prove.
    pub input: SettlementInput,
    /// Circuit version of the domain.
    pub circuit_version: u64,
    /// Name of the shape.
    pub shape: &'static str,
}

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
