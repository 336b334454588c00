//! A finding.

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
