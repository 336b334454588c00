//! What a sequencer and its provers exchange: a job, its name, its result, and the source of proofs between them. No
//! proving system is in it, so that a sequencer links none.
//!
//! - [`ProofJob`] goes to a prover and is named by its contents ([`JobId`]); [`ProofResult`] comes back.
//! - [`ProofSource`] is all that the sequencer knows of provers. A pool in the same process, a spool directory or a
//!   database fills it.
//!
//! Architecture invariant: a prover is replaceable. Nothing here says how a proof is made.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod job;
mod result;
mod source;

pub use job::{JobEncoding, JobId, ProofJob};
pub use result::{ProofResult, Timings};
pub use source::{BoxFuture, ProofError, ProofSource};
