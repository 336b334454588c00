//! A result: the proof, and what it cost.

use gridveil_protocol::{
    field::{Fr, hex_fr},
    hex::hex_vec,
};
use serde::{Deserialize, Serialize};

use crate::job::JobId;

/// What a proof cost, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Native transition and witness.
    pub witness_ms: u64,
    /// Proof.
    pub prove_ms: u64,
    /// Check of the proof.
    pub verify_ms: u64,
    /// Processor time of the process during all three: of all threads, and of the next job's witness if there is
    /// one.
    pub cpu_ms: u64,
}

/// A proof, already checked by the prover that made it. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofResult {
    /// The job it answers.
    pub job: JobId,
    /// The sequencer's batch number.
    pub batch: u64,
    /// Shape.
    pub shape: String,
    /// Circuit version.
    pub circuit_version: u64,
    /// Identity of the parameters: `INSECURE-dev` or `ptau-…`.
    pub srs: String,
    /// Proof bytes, as the contract takes them.
    #[serde(with = "hex_vec")]
    pub proof: Vec<u8>,
    /// Public inputs, in row order.
    #[serde(with = "hex_fr::seq")]
    pub instance: Vec<Fr>,
    /// Cost in time.
    pub timings: Timings,
    /// Largest resident memory of the proving process so far, bytes.
    pub peak_rss_bytes: u64,
}
