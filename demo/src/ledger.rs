//! The rollup's state held in memory: communities and the tree over them. It decides nothing; the protocol settles.

use std::collections::BTreeMap;

use gridveil_protocol::{
    community::Community,
    field::Fr,
    operation_slots::Operations,
    packet::{Context, SignedPacket},
    params::STATE_DEPTH,
    settlement::{self, SettlementError, SettlementInput, Transition},
    tariff::Tariff,
    tree::SparseTree,
};

/// Why a period is not settled.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no such community.
    #[error("no community {0}")]
    NoCommunity(u32),
    /// The protocol refuses.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
}

/// Communities under one state root.
#[derive(Debug)]
pub struct Ledger {
    domain: Fr,
    state: SparseTree,
    communities: BTreeMap<u32, Community>,
}

impl Ledger {
    /// A state of these communities; `domain` is that of the deployment.
    #[must_use]
    pub fn new(domain: Fr, communities: impl IntoIterator<Item = Community>) -> Self {
        let mut state = SparseTree::new(STATE_DEPTH);
        let communities: BTreeMap<u32, Community> = communities.into_iter().map(|c| (c.index, c)).collect();
        for (index, community) in &communities {
            state.set((*index).into(), community.node());
        }
        Self { domain, state, communities }
    }

    /// State root.
    #[must_use]
    pub fn root(&self) -> Fr {
        self.state.root()
    }

    /// A community.
    ///
    /// # Errors
    /// [`LedgerError::NoCommunity`].
    pub fn community(&self, index: u32) -> Result<&Community, LedgerError> {
        self.communities.get(&index).ok_or(LedgerError::NoCommunity(index))
    }

    /// What the packets of a community's next period must carry.
    ///
    /// # Errors
    /// [`LedgerError::NoCommunity`].
    pub fn context(&self, index: u32) -> Result<Context, LedgerError> {
        let header = &self.community(index)?.header;
        Ok(Context {
            domain: self.domain,
            community: index,
            first_interval: header.next_interval,
            interval_length: header.interval_length,
            intervals: header.intervals,
        })
    }

    /// Settles a community's next period and moves the state on.
    ///
    /// # Errors
    /// [`LedgerError`]; the state is then unchanged.
    pub fn settle(
        &mut self,
        index: u32,
        packets: Vec<SignedPacket>,
        tariff: Tariff,
        header_salts: [Fr; 2],
        operations: Operations,
    ) -> Result<Transition, LedgerError> {
        let community = self.community(index)?.clone();
        let state_path = self.state.path(index.into());
        let input =
            SettlementInput { domain: self.domain, community, state_path, packets, tariff, header_salts, operations };
        let transition = settlement::apply(input)?;
        self.state.set(index.into(), transition.instance.community_new);
        self.communities.insert(index, transition.after.clone());
        Ok(transition)
    }
}
