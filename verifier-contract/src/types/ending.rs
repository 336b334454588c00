//! How a community ends (docs/spec/l1.md, "The end of a community").

use serde::{Deserialize, Serialize};

/// Where a community is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// No end was announced.
    #[default]
    Open,
    /// An end was announced. It still settles, and takes forced requests.
    Closing,
    /// It serves the forced requests that wait, and takes no more.
    Ending,
    /// No batch of it settles any more, for ever. Its members exit.
    Closed,
}

impl Stage {
    /// The stage of that number on L1.
    #[must_use]
    pub const fn by_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Open),
            1 => Some(Self::Closing),
            2 => Some(Self::Ending),
            3 => Some(Self::Closed),
            _ => None,
        }
    }

    /// Name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Ending => "ending",
            Self::Closed => "closed",
        }
    }
}

/// How a community ends, as L1 has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityEnd {
    /// On the way to its end.
    pub stage: Stage,
    /// Unix seconds at which the notice is over; 0 if no end was announced.
    pub closes_at_s: u64,
    /// The rollup's last batch when it was closed: the root after it, and every later one, has the community's last state.
    pub closed_after: u64,
}

impl CommunityEnd {
    /// Is this period one that is not settled any more unless somebody waits: does it end after the notice?
    #[must_use]
    pub fn is_after_notice(&self, period_end_s: u64) -> bool {
        self.stage != Stage::Open && period_end_s > self.closes_at_s
    }
}
