//! What is opened to an auditor (`docs/spec/audit.md`): a period's totals by the operator, the headers before and after
//! its batch; one account's balance, reading or bill by its owner.
//!
//! Whoever has a period's opening knows every element of both headers. It opens no account.

mod account;

use serde::{Deserialize, Serialize};

use crate::{
    community,
    field::{Fr, hex_fr},
    header::Header,
    hex::hex_bytes,
    params::STATE_DEPTH,
    tree::{Children, path_hex, path_root},
    units::Interval,
};

pub use account::{BalanceOpening, BillOpening, PrivateHalf, ReadingOpening};

/// Both headers of one community and period. Header leaves hide them: nobody can open a leaf in two ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeriodOpening {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Community index.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// The header before the period's batch; `None` if the community began with it (STATE.INIT: its totals were zero).
    pub before: Option<Header>,
    /// The header after it.
    pub after: Header,
    /// Where the header before is, if no batch has published its leaf: the community was in the genesis root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis: Option<GenesisPlace>,
}

/// The way from a header leaf that was never published to the state root before the community's first batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisPlace {
    /// Members root of that time.
    #[serde(with = "hex_fr")]
    pub members_root: Fr,
    /// Certificates root of that time.
    #[serde(with = "hex_fr")]
    pub certificates_root: Fr,
    /// Eight levels of the state tree, bottom up.
    #[serde(with = "path_hex")]
    pub state_path: Vec<Children>,
}

impl GenesisPlace {
    /// The state root that this header leaf of `community` leads to; `None` if the path is not one of the state tree.
    #[must_use]
    pub fn root(&self, header_leaf: Fr, community: u32) -> Option<Fr> {
        let node = community::node(header_leaf, self.members_root, self.certificates_root);
        path_root(node, u64::from(community), &self.state_path).filter(|_| self.state_path.len() == STATE_DEPTH)
    }
}
