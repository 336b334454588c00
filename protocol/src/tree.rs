//! Merkle trees of arity 4: dense (all leaves at once) and sparse of fixed depth (`docs/spec/state.md`, Trees).

use std::collections::{BTreeMap, BTreeSet};

use crate::{field::Fr, params::ARITY, poseidon::hash4};
use ark_ff::AdditiveGroup;

/// One level of an opening: the four children of a node on the path, the opened one included.
pub type Children = [Fr; ARITY];

/// serde of an opening: a list of levels, each four `0x` field elements.
pub mod path_hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{ARITY, Children, Fr};
    use crate::field::hex_fr;

    #[derive(Serialize, Deserialize)]
    struct Level(#[serde(with = "hex_fr::seq")] [Fr; ARITY]);

    /// Writes the levels, bottom up.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(path: &[Children], s: S) -> Result<S::Ok, S::Error> {
        path.iter().map(|c| Level(*c)).collect::<Vec<_>>().serialize(s)
    }

    /// Reads the levels.
    ///
    /// # Errors
    /// A malformed or non-canonical element, or another number of children.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Children>, D::Error> {
        Ok(Vec::<Level>::deserialize(d)?.into_iter().map(|l| l.0).collect())
    }
}

fn chunk_node(chunk: &[Fr]) -> Fr {
    hash4(std::array::from_fn(|j| chunk.get(j).copied().unwrap_or(Fr::ZERO)))
}

/// Levels of a dense tree, leaves first, root (one value) last.
#[must_use]
pub fn dense_levels(leaves: &[Fr]) -> Vec<Vec<Fr>> {
    let mut levels = vec![leaves.to_vec()];
    while let Some(last) = levels.last().filter(|level| level.len() > 1) {
        levels.push(last.chunks(ARITY).map(chunk_node).collect());
    }
    levels
}

/// Root of a dense tree.
#[must_use]
pub fn dense_root(leaves: &[Fr]) -> Fr {
    dense_levels(leaves).last().and_then(|l| l.first()).copied().unwrap_or(Fr::ZERO)
}

/// Opening of leaf `index` of a dense tree, bottom up; `None` if there is no such leaf.
#[must_use]
pub fn dense_path(leaves: &[Fr], index: usize) -> Option<Vec<Children>> {
    let levels = dense_levels(leaves);
    let mut at = index;
    leaves.get(index)?;
    let mut path = Vec::new();
    for level in levels.iter().take(levels.len().saturating_sub(1)) {
        let base = at - at % ARITY;
        path.push(std::array::from_fn(|j| level.get(base + j).copied().unwrap_or(Fr::ZERO)));
        at /= ARITY;
    }
    Some(path)
}

/// A dense tree whose leaves change one by one.
#[derive(Clone, Debug)]
pub struct DenseTree {
    levels: Vec<Vec<Fr>>,
}

impl DenseTree {
    /// The tree over these leaves.
    #[must_use]
    pub fn new(leaves: &[Fr]) -> Self {
        Self { levels: dense_levels(leaves) }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Fr {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Fr::ZERO)
    }

    /// The leaves.
    #[must_use]
    pub fn leaves(&self) -> &[Fr] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Opening of leaf `index`, bottom up.
    #[must_use]
    pub fn path(&self, index: usize) -> Vec<Children> {
        let mut at = index;
        let below_root = self.levels.len().saturating_sub(1);
        let opened = self.levels.iter().take(below_root).map(|level| {
            let base = at - at % ARITY;
            at /= ARITY;
            std::array::from_fn(|j| level.get(base + j).copied().unwrap_or(Fr::ZERO))
        });
        opened.collect()
    }

    /// Puts a leaf at `index` (nothing, if there is no such leaf).
    pub fn set(&mut self, index: usize, leaf: Fr) {
        let (mut at, mut node) = (index, leaf);
        for level in &mut self.levels {
            let Some(place) = level.get_mut(at) else { return };
            *place = node;
            at /= ARITY;
            node = chunk_node(level.chunks(ARITY).nth(at).unwrap_or(&[]));
        }
    }
}

/// Root that an opening of `leaf` at `index` leads to; `None` if a level does not hold the running node at its place.
#[must_use]
pub fn path_root(leaf: Fr, index: u64, path: &[Children]) -> Option<Fr> {
    let mut node = leaf;
    let mut at = index;
    for children in path {
        let place = usize::try_from(at % ARITY as u64).ok()?;
        if children.get(place) != Some(&node) {
            return None;
        }
        node = hash4(*children);
        at /= ARITY as u64;
    }
    (at == 0).then_some(node)
}

/// Root of a path with `leaf` put at `index`.
#[must_use]
pub fn replaced_root(path: &[Children], index: u64, leaf: Fr) -> Fr {
    let mut at = index;
    path.iter().fold(leaf, |node, children| {
        let place = usize::try_from(at % ARITY as u64).unwrap_or(0);
        at /= ARITY as u64;
        let mut children = *children;
        if let Some(child) = children.get_mut(place) {
            *child = node;
        }
        hash4(children)
    })
}

/// `Z0 = 0, Z(k+1) = P(Zk,Zk,Zk,Zk)`, for depths `0..=depth`.
#[must_use]
pub fn empty_ladder(depth: usize) -> Vec<Fr> {
    let mut ladder = vec![Fr::ZERO];
    for _ in 0..depth {
        let z = ladder.last().copied().unwrap_or(Fr::ZERO);
        ladder.push(hash4([z; ARITY]));
    }
    ladder
}

/// Sparse tree of fixed depth: absent nodes are the empty ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseTree {
    depth: usize,
    ladder: Vec<Fr>,
    nodes: BTreeMap<(usize, u64), Fr>,
}

impl SparseTree {
    /// Empty tree with `4^depth` leaves.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { depth, ladder: empty_ladder(depth), nodes: BTreeMap::new() }
    }

    /// Number of leaves.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        (ARITY as u64).saturating_pow(u32::try_from(self.depth).unwrap_or(u32::MAX))
    }

    fn node(&self, level: usize, index: u64) -> Fr {
        let empty = self.ladder.get(level).copied().unwrap_or(Fr::ZERO);
        self.nodes.get(&(level, index)).copied().unwrap_or(empty)
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Fr {
        self.node(self.depth, 0)
    }

    /// The leaf at `index` (zero where none was set).
    #[must_use]
    pub fn leaf(&self, index: u64) -> Fr {
        self.node(0, index)
    }

    /// Opening of `index`, bottom up, `depth` levels.
    #[must_use]
    pub fn path(&self, index: u64) -> Vec<Children> {
        let mut at = index;
        (0..self.depth)
            .map(|level| {
                let base = at - at % ARITY as u64;
                at /= ARITY as u64;
                std::array::from_fn(|j| self.node(level, base + j as u64))
            })
            .collect()
    }

    /// Sets many leaves. A node above several of them is hashed once: a full tree takes a third of a hash a leaf, where
    /// [`Self::set`] takes as many as there are levels.
    pub fn set_all(&mut self, leaves: impl IntoIterator<Item = (u64, Fr)>) {
        let mut changed = BTreeSet::new();
        for (index, leaf) in leaves {
            self.nodes.insert((0, index), leaf);
            changed.insert(index / ARITY as u64);
        }
        for level in 0..self.depth {
            let mut above = BTreeSet::new();
            for at in changed {
                let children = std::array::from_fn(|j| self.node(level, at * ARITY as u64 + j as u64));
                self.nodes.insert((level + 1, at), hash4(children));
                above.insert(at / ARITY as u64);
            }
            changed = above;
        }
    }

    /// Sets a leaf and its path.
    pub fn set(&mut self, index: u64, leaf: Fr) {
        self.nodes.insert((0, index), leaf);
        let mut at = index;
        for level in 0..self.depth {
            let base = at - at % ARITY as u64;
            let children = std::array::from_fn(|j| self.node(level, base + j as u64));
            at /= ARITY as u64;
            self.nodes.insert((level + 1, at), hash4(children));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dense_opening_leads_to_the_root_and_no_other_place() {
        for n in [4usize, 8, 32] {
            let leaves: Vec<Fr> = (1..=n as u64).map(Fr::from).collect();
            let root = dense_root(&leaves);
            for i in 0..n {
                let path = dense_path(&leaves, i).unwrap();
                assert_eq!(path_root(leaves[i], i as u64, &path), Some(root));
                assert_ne!(path_root(leaves[i], (i as u64 + 1) % n as u64, &path), Some(root));
            }
            let (mut tree, mut changed) = (DenseTree::new(&leaves), leaves);
            for i in [0, n - 1, n / 2] {
                changed[i] += Fr::from(100u64);
                tree.set(i, changed[i]);
                assert_eq!(tree.root(), dense_root(&changed));
                assert_eq!(Some(tree.path(n / 3)), dense_path(&changed, n / 3));
            }
        }
    }

    #[test]
    fn sparse_set_and_open() {
        let mut tree = SparseTree::new(3);
        assert_eq!(tree.root(), empty_ladder(3)[3]);
        tree.set(17, Fr::from(9u64));
        tree.set(63, Fr::from(8u64));
        assert_eq!(path_root(Fr::from(9u64), 17, &tree.path(17)), Some(tree.root()));
        assert_eq!(path_root(Fr::ZERO, 18, &tree.path(18)), Some(tree.root()));
        assert_eq!(path_root(Fr::from(9u64), 17 + 64, &tree.path(17)), None);
    }

    #[test]
    fn many_leaves_at_once_are_as_one_after_the_other() {
        let (mut one_by_one, mut at_once) = (SparseTree::new(4), SparseTree::new(4));
        let leaves = |from: u64| (0..40u64).map(move |i| (i * i % 256, Fr::from(from + i)));
        for from in [1, 1000] {
            leaves(from).for_each(|(index, leaf)| one_by_one.set(index, leaf));
            at_once.set_all(leaves(from));
            assert_eq!(at_once, one_by_one);
        }
        at_once.set_all([]);
        assert_eq!(at_once, one_by_one);
        assert_eq!(path_root(at_once.leaf(49), 49, &at_once.path(49)), Some(at_once.root()));
    }
}
