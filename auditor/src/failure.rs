//! A finding; and what could not be looked at.

use serde::Serialize;

/// One fact that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Batch number; `None` for a fact about the whole chain.
    pub batch: Option<u64>,
    /// Clause of the specification.
    pub clause: &'static str,
    /// What was found.
    pub what: String,
}

/// One thing that L1 accepted and that cannot be checked from what L1 publishes. It may be right. An audit that has one
/// does not say ok.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unverified {
    /// Block.
    pub block: u64,
    /// Transaction, hex.
    pub tx: String,
    /// What it is, and why it cannot be checked.
    pub what: String,
}
