//! A small batch to prove, and results that no prover made, for tests.

use gridveil_protocol::{
    fixture::{Recipe, settlement},
    market::Mechanism,
    params::Shape,
};

use crate::{ProofJob, ProofResult, Timings};

/// A batch of the smallest shape with four members; `batch` is its seed too.
///
/// # Panics
/// If the fixture is no settlement, which the tests of `protocol` exclude.
#[must_use]
#[allow(clippy::expect_used)]
pub fn job(batch: u64) -> ProofJob {
    let shape = Shape::by_name("tiny-4x2").expect("the smallest shape is in the table of shapes");
    let recipe = Recipe { shape, seed: batch, mechanism: Mechanism::Auction, used: 4 };
    ProofJob::new(batch, settlement(&recipe).expect("a recipe of the table of shapes makes a settlement"))
}

/// An answer to a job with these bytes in a proof's place and no public inputs.
///
/// # Panics
/// If the job cannot be named, which is known of none.
#[must_use]
#[allow(clippy::expect_used)]
pub fn result(job: &ProofJob, proof: Vec<u8>) -> ProofResult {
    ProofResult {
        job: job.id().expect("a job is written as JSON"),
        batch: job.batch,
        shape: job.shape.clone(),
        circuit_version: job.circuit_version,
        srs: "none".into(),
        proof,
        instance: Vec::new(),
        timings: Timings::default(),
        peak_rss_bytes: 0,
    }
}
