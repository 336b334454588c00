//! `gridveil prover`: parameters, keys, and a worker process. All of it is in the prover's crate.

pub use gridveil_prover::cli::{ProverArgs as Args, run};
