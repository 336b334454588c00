//! What the operator decides about batches, circuit versions and accounts that ended.

use gridveil_protocol::{
    field::{Fr, hex_fr},
    units::Interval,
    version::VersionFrom,
};
use serde::{Deserialize, Serialize};

/// Batches that L1 will never have: this one and all after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The first of them.
    pub batch: u64,
}

/// An account that ended with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSlot {
    /// Its slot.
    pub slot: u16,
    /// Generation of the slot's key from this record on.
    pub generation: u32,
}

/// What an erased account takes from others, kept for them: the receipts of a batch, which are computed from the packets
/// of all. The receipts are sealed, each under the key of its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Batch.
    pub batch: u64,
    /// Its community.
    pub community: u32,
    /// Its period.
    pub first_interval: Interval,
    /// Root of the members before it.
    #[serde(with = "hex_fr")]
    pub members_root: Fr,
    /// Root of the certificates before it.
    #[serde(with = "hex_fr")]
    pub certificates_root: Fr,
}

/// An account whose keys were overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Generations of its keys.
    pub generations: Vec<u32>,
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
