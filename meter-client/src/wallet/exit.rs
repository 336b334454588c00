//! What the contract's `exit` takes: from the last receipt, and from L1 alone if other communities have settled since.

use std::collections::BTreeMap;

use gridveil_protocol::{
    account::Account,
    field::Fr,
    params::STATE_DEPTH,
    poseidon::{hash2, hash4},
    receipt::Receipt,
    tree::{Children, SparseTree, dense_path, path_root},
    units::Interval,
};

use super::certificates::placed;
use crate::calendar::PeriodAt;

/// One settled batch, as its calldata has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedBatch {
    /// Community index.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Community node after.
    pub community_new: Fr,
    /// Leaves in slot order, header leaf, certificates root, records.
    pub data: Vec<Fr>,
}

/// Why there is nothing to exit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExitError {
    /// Never settled.
    #[error("the community was never settled: there is no account in the state")]
    NotSettled,
    /// The receipt is not that of the last settlement.
    #[error("the account was settled again after the last receipt here, for the {period}: get that period's receipt")]
    Stale {
        /// Of the last settlement.
        period: PeriodAt,
    },
    /// Published data of another length.
    #[error("the published data of the community's last settlement is not that of {members} slots")]
    Data {
        /// Slots.
        members: usize,
    },
    /// A genesis node or batch is missing, or false.
    #[error("the published settlements do not lead to the contract's state root (is the genesis file missing?)")]
    Root,
    /// The receipt's own paths do not lead to its root.
    #[error("the receipt does not lead to its root")]
    Receipt,
}

impl ExitError {
    /// With the period by its date, where the community's intervals have this length.
    #[must_use]
    pub const fn dated(self, interval_length_s: u16) -> Self {
        match self {
            Self::Stale { period } => Self::Stale { period: PeriodAt::new(period.first_interval, interval_length_s) },
            Self::NotSettled | Self::Data { .. } | Self::Root | Self::Receipt => self,
        }
    }
}

/// A slot's balance and its way to a state root.
#[derive(Clone, PartialEq, Eq)]
pub struct Exit {
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Nano.
    pub balance: u64,
    /// Account that is paid.
    pub payout: [u8; 20],
    /// s1, s2.
    pub salts: [Fr; 2],
    /// `private_c`.
    pub private_commitment: Fr,
    /// Of the community.
    pub header_leaf: Fr,
    /// Of the community.
    pub certificates_root: Fr,
    /// Three a level, left to right, from the leaf up: members tree, then state tree.
    pub siblings: Vec<[Fr; 3]>,
    /// Where they lead.
    pub root: Fr,
}

impl std::fmt::Debug for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exit").field("community", &self.community).field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Exit {
    /// From a verified receipt. It is valid as long as its root is the contract's state root.
    ///
    /// # Errors
    /// [`ExitError::Receipt`].
    pub fn of_receipt(receipt: &Receipt) -> Result<Self, ExitError> {
        let members = path_root(receipt.after.leaf(), u64::from(receipt.slot), &receipt.members_path)
            .ok_or(ExitError::Receipt)?;
        let node = hash4([receipt.header_leaf, members, receipt.certificates_root, Fr::from(0u64)]);
        let state = placed(&receipt.state_path, u64::from(receipt.community), node);
        let exit = Self::new(
            &receipt.after,
            (receipt.community, receipt.slot),
            (receipt.header_leaf, receipt.certificates_root),
            (&receipt.members_path, &state),
        );
        if exit.root == receipt.root { Ok(exit) } else { Err(ExitError::Receipt) }
    }

    /// From the receipt's account and what L1 has published: all batches in order, and the nodes of the genesis.
    /// `members` are the slots of the community's shape, `root` is the contract's state root.
    ///
    /// # Errors
    /// [`ExitError`].
    pub fn from_l1(
        receipt: &Receipt,
        members: usize,
        genesis: &[(u32, Fr)],
        batches: &[PublishedBatch],
        root: Fr,
    ) -> Result<Self, ExitError> {
        let nodes: BTreeMap<u32, Fr> =
            genesis.iter().copied().chain(batches.iter().map(|b| (b.community, b.community_new))).collect();
        let mut state = SparseTree::new(STATE_DEPTH);
        for (community, node) in nodes {
            if u64::from(community) < state.capacity() {
                state.set(u64::from(community), node);
            }
        }
        let last = batches.iter().rfind(|batch| batch.community == receipt.community).ok_or(ExitError::NotSettled)?;
        let own = last.data.get(..members + 2).ok_or(ExitError::Data { members })?;
        let (leaves, [header_leaf, certificates_root]) =
            own.split_last_chunk::<2>().ok_or(ExitError::Data { members })?;
        if leaves.get(usize::from(receipt.slot)) != Some(&receipt.after.leaf()) {
            return Err(ExitError::Stale { period: PeriodAt::undated(last.first_interval) });
        }
        let path = dense_path(leaves, usize::from(receipt.slot)).ok_or(ExitError::Data { members })?;
        let state = state.path(u64::from(receipt.community));
        let exit = Self::new(
            &receipt.after,
            (receipt.community, receipt.slot),
            (*header_leaf, *certificates_root),
            (&path, &state),
        );
        if exit.root == root && exit.node_of(&path) == Some(last.community_new) {
            Ok(exit)
        } else {
            Err(ExitError::Root)
        }
    }

    fn new(
        account: &Account,
        (community, slot): (u32, u16),
        (header_leaf, certificates_root): (Fr, Fr),
        (members, state): (&[Children], &[Children]),
    ) -> Self {
        let [mut at, mut above] = [u64::from(slot), u64::from(community)];
        let mut siblings: Vec<[Fr; 3]> = members.iter().map(|children| others(children, &mut at)).collect();
        siblings.extend(state.iter().map(|children| others(children, &mut above)));
        let mut exit = Self {
            community,
            slot,
            balance: account.balance,
            payout: account.payout,
            salts: account.salts.exit,
            private_commitment: account.private_commitment(),
            header_leaf,
            certificates_root,
            siblings,
            root: Fr::from(0u64),
        };
        exit.root = exit.computed_root(members.len());
        exit
    }

    fn node_of(&self, members: &[Children]) -> Option<Fr> {
        let root = path_root(self.leaf(), u64::from(self.slot), members)?;
        Some(hash4([self.header_leaf, root, self.certificates_root, Fr::from(0u64)]))
    }

    /// The leaf, as the contract computes it.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        let [s1, s2] = self.salts;
        let exit = hash4([Fr::from(self.balance), gridveil_protocol::field::reduce(&self.payout), s1, s2]);
        hash2(exit, self.private_commitment)
    }

    /// The state root, as the contract computes it: `members_levels` of the siblings are the members tree's.
    #[must_use]
    pub fn computed_root(&self, members_levels: usize) -> Fr {
        let climb = |node: Fr, index: u64, siblings: &[[Fr; 3]]| {
            let mut at = index;
            siblings.iter().fold(node, |node, others| {
                let mut rest = others.iter().copied();
                let place = at % 4;
                at /= 4;
                hash4(std::array::from_fn(
                    |child| if child as u64 == place { node } else { rest.next().unwrap_or_default() },
                ))
            })
        };
        let (members, state) = self.siblings.split_at(members_levels.min(self.siblings.len()));
        let members = climb(self.leaf(), u64::from(self.slot), members);
        let node = hash4([self.header_leaf, members, self.certificates_root, Fr::from(0u64)]);
        climb(node, u64::from(self.community), state)
    }
}

/// The three others of a level, and one level up.
fn others(children: &Children, at: &mut u64) -> [Fr; 3] {
    let place = *at % 4;
    *at /= 4;
    let mut rest = (0u64..).zip(children).filter(|(child, _)| *child != place).map(|(_, node)| *node);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}
