//! The way from a note to a state root.
//!
//! A path says which node is among which children, not at which place, because it only matters that the note is in the
//! tree. One place does matter: that of the certificates root in a community's node. A member chooses the salts of its
//! leaf, which are children in the members tree, and a salt can be any value.
//!
//! Notes trees have 1 to 5 levels, by the shape. A path may have any number of them. That is sound. A note is the
//! output of a sponge, whose capacity starts with a tag that is not zero. Every node above it is `P`, whose capacity is
//! zero. If a note's commitment were a node, two permutations with different capacities would collide. Zero, the value
//! of absent children, has no known opening.

use serde::{Deserialize, Serialize};

use super::CertificateError;
use crate::{
    field::{Fr, hex_fr},
    params::{CERTIFICATES_DEPTH, STATE_DEPTH},
    poseidon::{hash2, hash4},
    receipt::Receipt,
    tree::{Children, SparseTree, dense_path, dense_root, path_hex},
};
use ark_ff::AdditiveGroup;

/// Most levels of a notes tree (4^5 slots) or queue tree.
pub const DENSE_LEVELS: usize = 5;

/// Opening of a note: the children of every node above it, bottom up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotePath {
    /// Notes tree or queue tree, 0 to [`DENSE_LEVELS`] levels.
    #[serde(with = "path_hex")]
    pub dense: Vec<Children>,
    /// `notes_root, queue_root`.
    #[serde(with = "hex_fr::seq")]
    pub append: [Fr; 2],
    /// Ten levels.
    #[serde(with = "path_hex")]
    pub certificates: Vec<Children>,
    /// `header_leaf, members_root`, beside the certificates root.
    #[serde(with = "hex_fr::seq")]
    pub community: [Fr; 2],
    /// Eight levels.
    #[serde(with = "path_hex")]
    pub state: Vec<Children>,
}

impl std::fmt::Debug for NotePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotePath").field("dense", &self.dense.len()).finish_non_exhaustive()
    }
}

/// Where a note is. A wallet keeps it beside the note's opening, to ask for paths to later roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Community index.
    pub community: u32,
    /// Leaf of the certificates tree.
    pub append: u64,
    /// In the queue tree, not the notes tree.
    pub queued: bool,
    /// Index there.
    pub index: usize,
}

/// What a path is taken from.
#[derive(Clone, Copy, Debug)]
pub struct Trees<'a> {
    /// Notes of the settlement that appended.
    pub notes: &'a [Fr],
    /// Its queue of notes.
    pub queue: &'a [Fr],
    /// The community's certificates.
    pub certificates: &'a SparseTree,
    /// The community's header leaf.
    pub header_leaf: Fr,
    /// The community's members root.
    pub members_root: Fr,
    /// The state.
    pub state: &'a SparseTree,
}

impl NotePath {
    /// The path from a position; `None` if the trees have no such place. Whether it leads anywhere is for
    /// [`Spend::check`] to say.
    ///
    /// [`Spend::check`]: super::Spend::check
    #[must_use]
    pub fn new(trees: &Trees<'_>, position: &Position) -> Option<Self> {
        let community = u64::from(position.community);
        if position.append >= trees.certificates.capacity() || community >= trees.state.capacity() {
            return None;
        }
        let dense = dense_path(if position.queued { trees.queue } else { trees.notes }, position.index)?;
        Some(Self {
            dense,
            append: [dense_root(trees.notes), dense_root(trees.queue)],
            certificates: trees.certificates.path(position.append),
            community: [trees.header_leaf, trees.members_root],
            state: trees.state.path(community),
        })
    }

    /// The path of a period's own note, from its receipt; `None` if the receipt's levels are not those of a note.
    #[must_use]
    pub fn of_receipt(receipt: &Receipt) -> Option<Self> {
        let members_root = receipt.members_path.last().map(|children| hash4(*children))?;
        let node = hash4([receipt.header_leaf, members_root, receipt.certificates_root, Fr::ZERO]);
        let mut levels = receipt.note_path.clone();
        levels.push([receipt.header_leaf, members_root, receipt.certificates_root, Fr::ZERO]);
        levels.extend(replaced_path(&receipt.state_path, u64::from(receipt.community), node));
        Self::of_levels(&levels)
    }

    /// The path of these levels, bottom up: notes or queue, append, certificates, community, state. `None` if there are
    /// too few or too many.
    #[must_use]
    pub fn of_levels(levels: &[Children]) -> Option<Self> {
        let (rest, state) = levels.split_at_checked(levels.len().checked_sub(STATE_DEPTH)?)?;
        let (community, rest) = rest.split_last()?;
        let (rest, certificates) = rest.split_at_checked(rest.len().checked_sub(CERTIFICATES_DEPTH)?)?;
        let (append, dense) = rest.split_last()?;
        let first_two = |children: &Children| [children[0], children[1]];
        (dense.len() <= DENSE_LEVELS).then(|| Self {
            dense: dense.to_vec(),
            append: first_two(append),
            certificates: certificates.to_vec(),
            community: first_two(community),
            state: state.to_vec(),
        })
    }

    /// Root that the children lead to; refuses nothing.
    pub(super) fn anchor(&self) -> Fr {
        let [header, members] = self.community;
        let [notes, queue] = self.append;
        let certificates = self.certificates.last().map_or_else(|| hash2(notes, queue), |children| hash4(*children));
        let community = hash4([header, members, certificates, Fr::ZERO]);
        self.state.last().map_or(community, |children| hash4(*children))
    }

    /// CERT.1: every level holds the node below it.
    pub(super) fn check(&self, note: Fr) -> Result<(), CertificateError> {
        let exact = |part, levels: &[Children], expected: &'static str, ok: bool| {
            if ok { Ok(()) } else { Err(CertificateError::PathLength { part, expected, got: levels.len() }) }
        };
        exact("the notes tree", &self.dense, "0 to 5", self.dense.len() <= DENSE_LEVELS)?;
        exact("the certificates tree", &self.certificates, "10", self.certificates.len() == CERTIFICATES_DEPTH)?;
        exact("the state tree", &self.state, "8", self.state.len() == STATE_DEPTH)?;
        let node = climb("the notes tree", &self.dense, note)?;
        let [notes, queue] = self.append;
        let node = climb("the append level", &[[notes, queue, Fr::ZERO, Fr::ZERO]], node)?;
        let certificates = climb("the certificates tree", &self.certificates, node)?;
        let [header, members] = self.community;
        climb("the state tree", &self.state, hash4([header, members, certificates, Fr::ZERO])).map(|_| ())
    }
}

/// A path with `node` in the place of `index` on every level.
fn replaced_path(path: &[Children], index: u64, node: Fr) -> Vec<Children> {
    let (mut at, mut node) = (index, node);
    let level = |children: &Children| {
        let mut children = *children;
        if let Some(child) = children.get_mut((at % 4) as usize) {
            *child = node;
        }
        at /= 4;
        node = hash4(children);
        children
    };
    path.iter().map(level).collect()
}

fn climb(part: &'static str, levels: &[Children], node: Fr) -> Result<Fr, CertificateError> {
    let mut node = node;
    for (level, children) in levels.iter().enumerate() {
        if !children.contains(&node) {
            return Err(CertificateError::Path { part, level });
        }
        node = hash4(*children);
    }
    Ok(node)
}
