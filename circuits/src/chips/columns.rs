//! The floor plan's columns, shared by every chip. Ten advice columns, two lookup arguments into one range table,
//! degree at most 5.

use halo2_proofs::{
    plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance, TableColumn, VirtualCells},
    poly::Rotation,
};

use crate::Fr;

/// Advice columns.
pub const ADVICE: usize = 10;
/// Advice columns that take part in copy constraints.
pub const COPYABLE: [usize; 6] = [0, 1, 5, 6, 7, 8];
/// Columns that are looked up in the range table where [`Selector::Lookup`] is on.
pub const LOOKED_UP: [usize; 2] = [4, 9];
/// Fixed columns of constants (round constants, coefficients), free for every chip to use in its own rows.
pub const CONSTANTS: usize = 5;

/// Selectors: plain fixed columns (no compression, so that the layout is the same for every tool).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Selector {
    /// Poseidon: this row to the next is a full round.
    Full,
    /// Poseidon: last of the first full rounds, to the first row of partial rounds.
    Entry,
    /// Poseidon: five partial rounds to the next five.
    Partial,
    /// Poseidon: last five partial rounds, to the first of the last full rounds.
    Exit,
    /// Poseidon: boundary row, a new sponge starts (its tag is in the constants).
    New,
    /// Poseidon: boundary row, the sponge goes on with the state of this row.
    Chain,
    /// Schnorr: first row of a two-row step.
    Sign,
    /// Market: first row of a reading block.
    Market,
    /// The two looked-up columns of this row are in the range table.
    Lookup,
    /// One multiply-and-add.
    Arith,
    /// One row of a running decomposition, two table entries.
    Range,
    /// One row of a running decomposition, one table entry.
    Half,
    /// The result column is the public input of this row.
    Public,
}

impl Selector {
    /// Certificate path: boundary row whose column 0 is one of the four elements absorbed. No circuit has both a market
    /// and such paths, and a column more would be one in every key.
    pub const MEMBER: Self = Self::Market;
}

/// Number of selectors.
pub const SELECTORS: usize = 13;

/// The configured columns.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Witness cells.
    pub advice: [Column<Advice>; ADVICE],
    /// Coefficients and round constants.
    pub constants: [Column<Fixed>; CONSTANTS],
    /// One column a selector.
    pub selectors: [Column<Fixed>; SELECTORS],
    /// Range table `0..2^table_bits`.
    pub table: TableColumn,
    /// Public inputs.
    pub instance: Column<Instance>,
}

impl Columns {
    /// Creates all columns; gates are the chips' own.
    pub fn new(meta: &mut ConstraintSystem<Fr>) -> Self {
        let advice = std::array::from_fn(|_| meta.advice_column());
        for index in COPYABLE {
            meta.enable_equality(advice[index]);
        }
        Self {
            advice,
            constants: std::array::from_fn(|_| meta.fixed_column()),
            selectors: std::array::from_fn(|_| meta.fixed_column()),
            table: meta.lookup_table_column(),
            instance: meta.instance_column(),
        }
    }

    /// Advice cell relative to the gate's row.
    pub fn cell(&self, v: &mut VirtualCells<'_, Fr>, column: usize, rotation: i32) -> Expression<Fr> {
        v.query_advice(self.advice[column], Rotation(rotation))
    }

    /// Constant of the gate's row.
    pub fn constant(&self, v: &mut VirtualCells<'_, Fr>, index: usize) -> Expression<Fr> {
        v.query_fixed(self.constants[index], Rotation::cur())
    }

    /// Selector of the gate's row.
    pub fn selector(&self, v: &mut VirtualCells<'_, Fr>, selector: Selector) -> Expression<Fr> {
        v.query_fixed(self.selectors[selector as usize], Rotation::cur())
    }
}
