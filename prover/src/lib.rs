//! Jobs in, proofs out.
//!
//! [`prover::Prover`] proves [`gridveil_proving_api::ProofJob`]s with parameters ([`srs`]) and keys ([`keys`]) kept on
//! disk. Three queues feed it: [`pool`] inside the sequencer's process; [`worker`] for a process of its own, beside the
//! sequencer ([`spool`], a directory) or on other machines ([`queue`], a PostgreSQL database). [`certificate`] is a
//! wallet's: one spending, one processor.
//!
//! Architecture invariants. The prover decides nothing: it computes the transition by the rules and refuses what they
//! refuse. It can change nothing: a result is a proof, and whoever takes it checks it. No reading, salt, key or balance
//! leaves it in a log or an error.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod check;
pub mod cli;
pub mod engine;
pub mod keys;
pub mod layout;
pub mod measure;
pub mod pool;
pub mod progress;
pub mod proof;
pub mod prover;
pub mod queue;
pub mod seen;
pub mod spool;
pub mod srs;
pub mod statement;
pub mod store;
pub mod worker;

/// What comes in and goes out.
pub use gridveil_proving_api as job;
