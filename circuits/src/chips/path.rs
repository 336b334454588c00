//! A level of a Merkle path in the rows of its hash: the node below is one of the four children, at no particular
//! place.
//!
//! In a boundary row of [`super::poseidon`], columns 5 to 8 hold the children that are absorbed, and column 0 holds the
//! node below: the output of the last permutation, or, in a row that none has written, a copy of the node.
//!
//! What the clause stops: a level whose children do not hold the node joins two paths that have nothing to do with each
//! other, and any commitment is in any tree. The column of the node is either that output or tied by a copy;
//! [`super::poseidon::Permutations`] lays out nothing else.

use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression};

use super::{
    columns::{Columns, Selector},
    poseidon::{INPUT, RATE},
};
use crate::Fr;

/// Column of the node.
pub const NODE: usize = 0;

/// The gate.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("(c5 - c0) (c6 - c0) (c7 - c0) (c8 - c0) = 0", |v| {
        let node = columns.cell(v, NODE, 0);
        let product = (0..RATE)
            .map(|i| columns.cell(v, INPUT + i, 0) - node.clone())
            .reduce(|a, b| a * b)
            .unwrap_or(Expression::Constant(Fr::one()));
        Constraints::with_selector(columns.selector(v, Selector::MEMBER), [("the node is a child", product)])
    });
}
