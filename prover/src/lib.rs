//! Jobs in, proofs out.
#![forbid(unsafe_code)]

pub mod keys;
pub mod layout;
pub mod measure;
pub mod progress;
pub mod proof;
pub mod srs;
pub mod statement;
pub mod store;
