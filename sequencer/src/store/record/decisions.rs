//! What the operator decides about batches and circuit versions.

use gridveil_protocol::version::VersionFrom;
use serde::{Deserialize, Serialize};

/// Batches that L1 will never have: this one and all after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The first of them.
    pub batch: u64,
}

/// Another circuit version counts from some time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// Which one, and from when on.
    #[serde(flatten)]
    pub next: VersionFrom,
    /// Communities whose open period begins anew, because what was taken for it is signed for a version that L1 has stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anew: Vec<u32>,
}

impl From<VersionFrom> for Upgrade {
    /// One that comes before any period begins that it is about.
    fn from(next: VersionFrom) -> Self {
        Self { next, anew: Vec::new() }
    }
}
