//! Jobs in, proofs out.
#![forbid(unsafe_code)]

pub mod job;
pub mod keys;
pub mod layout;
pub mod measure;
pub mod pool;
pub mod progress;
pub mod proof;
pub mod prover;
pub mod spool;
pub mod srs;
pub mod statement;
pub mod store;
pub mod worker;
