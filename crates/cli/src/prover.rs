//! `gridveil prover`: parameters, keys, and a worker process; the prover's crate has it.

pub use gridveil_prover::cli::{ProverArgs as Args, run};
