//! What happens to periods and batches, as it is told to whoever listens (server-sent events).

use gridveil_protocol::units::Interval;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A step. It says which period and batch, and no count and nothing of a slot: a stranger may listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Community.
    pub community: u32,
    /// First interval of the period.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// Its batch; null before it has one.
    pub batch: Option<u64>,
    /// What happened: also the name of the event.
    pub step: Happened,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Happened {
    /// The period takes packets: it is new, or batches were given up and it is open again.
    #[serde(rename = "period.opened")]
    Opened,
    /// It takes none any more.
    #[serde(rename = "period.closed")]
    Closed,
    /// It is settled by the rules, in a batch.
    #[serde(rename = "batch.applied")]
    Applied,
    /// The batch has its proof.
    #[serde(rename = "batch.proven")]
    Proven,
    /// The batch is final on L1.
    #[serde(rename = "batch.settled")]
    Settled,
    /// The operator has given the batch up: L1 will never have it.
    #[serde(rename = "batch.abandoned")]
    Abandoned,
    /// A newer server's word.
    #[serde(other, skip_serializing)]
    Other,
}

impl Happened {
    /// The name of the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "period.opened",
            Self::Closed => "period.closed",
            Self::Applied => "batch.applied",
            Self::Proven => "batch.proven",
            Self::Settled => "batch.settled",
            Self::Abandoned => "batch.abandoned",
            Self::Other => "other",
        }
    }
}
