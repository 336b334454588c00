//! The members tree between settlement and the last operation slot: what each leaf holds in the table, and the paths to
//! open them.

use gridveil_protocol::{field, tree::DenseTree};
use halo2curves::ff::PrimeField;

use super::{leaf::LeafCells, state::imported};
use crate::{
    Fr,
    gadgets::Builder,
    trace::{Cell, Name},
};

/// A cell's value in the native field.
#[must_use]
pub fn native(x: Fr) -> field::Fr {
    let mut bytes = x.to_repr();
    let bytes: &mut [u8] = bytes.as_mut();
    bytes.reverse();
    field::reduce(bytes)
}

/// The leaves as operation slots find and leave them. The values are hints: the circuit relies only on paths to `root`.
#[derive(Debug)]
pub struct Members {
    leaves: Vec<LeafCells>,
    tree: DenseTree,
    /// Root of the tree now.
    pub root: Cell,
}

impl Members {
    /// The settled leaves, and the cell of their root.
    pub fn new(b: &mut Builder, leaves: Vec<LeafCells>, nodes: &[Cell]) -> Self {
        let tree = DenseTree::new(&nodes.iter().map(|cell| native(b.value(*cell))).collect::<Vec<_>>());
        let root = b.dense_root(nodes);
        Self { leaves, tree, root }
    }

    /// What the leaf of `slot` holds.
    #[must_use]
    pub fn leaf(&self, slot: usize) -> LeafCells {
        // Native application never names a slot that does not exist.
        self.leaves[slot]
    }

    /// Puts `new` in the place of `old` at `slot`, whose number is `index`.
    pub fn replace(
        &mut self,
        b: &mut Builder,
        name: Name,
        (slot, index): (usize, Cell),
        [old, new]: [Cell; 2],
        after: LeafCells,
    ) {
        let roots = super::state::replace(b, name, index, &self.tree.path(slot), old, new);
        b.equal(roots.old, self.root);
        self.root = roots.new;
        self.leaves[slot] = after;
        self.tree.set(slot, native(b.value(new)));
    }

    /// The leaves now.
    #[must_use]
    pub fn nodes(&self) -> Vec<Fr> {
        self.tree.leaves().iter().map(imported).collect()
    }
}
