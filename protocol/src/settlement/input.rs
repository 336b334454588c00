//! What a settlement is computed from.

use ark_ff::AdditiveGroup;
use serde::{Deserialize, Serialize};

use crate::{
    community::Community,
    field::{Fr, hex_fr},
    operation_slots::Operations,
    packet::{Context, SignedPacket},
    tariff::Tariff,
    tree::{Children, path_hex},
};

/// Everything a settlement depends on: enough to compute, prove and re-prove it byte for byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementInput {
    /// Chain, contract and circuit version.
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// The community before.
    pub community: Community,
    /// Opening of the community in the state tree before, bottom up, the community's own node included.
    #[serde(with = "path_hex")]
    pub state_path: Vec<Children>,
    /// One packet a slot, in slot order.
    pub packets: Vec<SignedPacket>,
    /// Tariff in force.
    pub tariff: Tariff,
    /// Fresh salts of the new header.
    #[serde(with = "hex_fr::seq")]
    pub header_salts: [Fr; 2],
    /// What is done after the period is settled.
    #[serde(default)]
    pub operations: Operations,
}

impl std::fmt::Debug for SettlementInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettlementInput").field("packets", &self.packets.len()).finish_non_exhaustive()
    }
}

impl SettlementInput {
    /// The community's node in the state tree before: zero if it begins.
    #[must_use]
    pub fn old_node(&self) -> Fr {
        if self.operations.init { Fr::ZERO } else { self.community.node() }
    }

    /// The context every packet must carry.
    #[must_use]
    pub fn context(&self) -> Context {
        let header = &self.community.header;
        Context {
            domain: self.domain,
            community: self.community.index,
            first_interval: header.next_interval,
            interval_length: header.interval_length,
            intervals: header.intervals,
        }
    }
}
