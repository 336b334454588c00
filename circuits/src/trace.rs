//! The witness table: every cell, constant, selector and copy of one circuit, built from concrete values.
//!
//! Building never branches on a secret, so keys can be made from the table of any valid witness. A row carries the id
//! of its clause, so that a failed constraint is reported by clause. A free cell is one that no constraint determines
//! from the cells before it. Free cells are named, and tests have hooks (feature `test-hooks`) that replace one. All
//! later cells follow the replaced value, so only the clause that guards the cell can refuse.

#[cfg(not(feature = "test-hooks"))]
mod no_hooks;
#[cfg(feature = "test-hooks")]
pub mod sites;
#[cfg(feature = "test-hooks")]
pub mod test_hooks;

#[cfg(not(feature = "test-hooks"))]
use no_hooks::Hooks;
#[cfg(feature = "test-hooks")]
use test_hooks::Hooks;

use crate::{
    Fr,
    chips::columns::{ADVICE, CONSTANTS, COPYABLE, SELECTORS, Selector},
};
use halo2curves::ff::{Field, PrimeField};
use rayon::prelude::*;

/// Position of an advice cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Advice column index.
    pub column: usize,
    /// Row.
    pub row: usize,
}

/// Two independent uses of a row: the multiply-and-add columns and the range columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowHalf {
    /// Columns 0, 5, 6, 7, and every other use of a whole row.
    Main = 0,
    /// Columns 4, 8, 9.
    Range = 1,
}

/// A free witness cell: clause, name, slot or interval index (or 0).
pub type Name = (&'static str, &'static str, usize);

/// The table.
#[derive(Clone, Debug)]
pub struct Trace {
    rows: usize,
    next: usize,
    advice: Vec<[Fr; ADVICE]>,
    constants: Vec<[Fr; CONSTANTS]>,
    selectors: Vec<u16>,
    copies: Vec<(Cell, Cell)>,
    current_clause: &'static str,
    clauses: Vec<[&'static str; 2]>,
    hooks: Hooks,
    instance: Vec<Fr>,
}

impl Trace {
    /// Table of at most `rows` usable rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self {
            rows,
            next: 0,
            advice: vec![[Fr::ZERO; ADVICE]; rows],
            constants: vec![[Fr::ZERO; CONSTANTS]; rows],
            selectors: vec![0; rows],
            copies: Vec::new(),
            current_clause: "",
            clauses: vec![[""; 2]; rows],
            hooks: Hooks::default(),
            instance: Vec::new(),
        }
    }

    /// The value of the cell in `row` that the current clause determines.
    #[track_caller]
    pub fn computed(&mut self, row: usize, value: Fr) -> Fr {
        self.hooks.computed(self.current_clause, row, value)
    }

    /// The value that is written where `value` is due; after `between` other ties one says that it is `value`.
    #[track_caller]
    pub fn written(&mut self, between: usize, value: Fr) -> Fr {
        self.hooks.written(between, value)
    }

    /// The value that a free cell takes.
    pub fn free(&mut self, name: Name, value: Fr) -> Fr {
        self.hooks.free(name, value)
    }

    /// Takes the next `count` rows.
    ///
    /// # Panics
    /// If the shape's rows do not hold the statement: a shape is checked once, by its golden cost.
    pub fn alloc_rows(&mut self, count: usize) -> usize {
        let start = self.next;
        self.next += count;
        let end = self.next.min(self.rows);
        self.clauses[start.min(end)..end].fill([self.current_clause; 2]);
        assert!(self.next <= self.rows, "the shape's k is too small for its statement");
        start
    }

    /// Takes the next `count` rows as a block, of which [`Trace::reach`] tells what is in use.
    pub(crate) fn open_block(&mut self, count: usize) -> usize {
        let start = self.alloc_rows(count);
        self.hooks.opened(start, count);
        start
    }

    /// A cell takes the row before `end` of the block that was opened last.
    pub(crate) fn reach(&mut self, end: usize) {
        self.hooks.reached(self.current_clause, end);
    }

    /// The next free row.
    #[must_use]
    pub const fn next_row(&self) -> usize {
        self.next
    }

    /// Later writes to rows serve `clause`.
    pub fn set_clause(&mut self, clause: &'static str) {
        self.current_clause = clause;
    }

    /// The clause later writes serve.
    #[must_use]
    pub const fn current_clause(&self) -> &'static str {
        self.current_clause
    }

    /// `half` of `row` serves the current clause.
    pub fn mark(&mut self, row: usize, half: RowHalf) {
        self.clauses[row][half as usize] = self.current_clause;
    }

    /// The clause that `half` of `row` serves.
    #[must_use]
    pub fn clause(&self, row: usize, half: RowHalf) -> &'static str {
        self.clauses.get(row).map_or("", |halves| halves[half as usize])
    }

    /// Writes an advice cell.
    pub fn set(&mut self, column: usize, row: usize, value: Fr) -> Cell {
        self.advice[row][column] = value;
        Cell { column, row }
    }

    /// Writes an advice cell and ties it to `source`.
    #[track_caller]
    pub fn copy_to(&mut self, source: Cell, column: usize, row: usize) -> Cell {
        let value = self.hooks.copied(self.value(source));
        let cell = self.set(column, row, value);
        self.equal(source, cell);
        cell
    }

    /// Ties two cells (both in copyable columns).
    #[track_caller]
    pub fn equal(&mut self, a: Cell, b: Cell) {
        self.hooks.tied();
        debug_assert!(COPYABLE.contains(&a.column) && COPYABLE.contains(&b.column), "{a:?} {b:?}");
        self.copies.push((a, b));
    }

    /// Value of a cell.
    #[must_use]
    pub fn value(&self, cell: Cell) -> Fr {
        self.advice[cell.row][cell.column]
    }

    /// Writes a constant.
    pub fn constant(&mut self, index: usize, row: usize, value: Fr) {
        self.constants[row][index] = value;
    }

    /// Turns a selector on.
    pub fn enable(&mut self, selector: Selector, row: usize) {
        self.selectors[row] |= 1 << (selector as usize);
    }

    /// Advice rows used so far.
    #[must_use]
    pub fn advice(&self) -> &[[Fr; ADVICE]] {
        &self.advice[..self.next]
    }

    /// The advice columns, without the rows after the last one used.
    #[must_use]
    pub fn advice_columns(&self) -> Vec<Vec<Fr>> {
        (0..ADVICE).into_par_iter().map(|column| self.advice().iter().map(|cells| cells[column]).collect()).collect()
    }

    /// Constants of the used rows.
    #[must_use]
    pub fn constants(&self) -> &[[Fr; CONSTANTS]] {
        &self.constants[..self.next]
    }

    /// Selector `index` at `row`.
    #[must_use]
    pub fn selected(&self, index: usize, row: usize) -> bool {
        debug_assert!(index < SELECTORS);
        (self.selectors[row] >> index) & 1 == 1
    }

    /// BLAKE3 over constants, selectors and copies: what keys depend on beside the gates.
    #[must_use]
    pub fn layout_digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (constants, selectors) in self.constants.iter().zip(&self.selectors) {
            for constant in constants {
                hasher.update(constant.to_repr().as_ref());
            }
            hasher.update(&selectors.to_be_bytes());
        }
        for (a, b) in &self.copies {
            for part in [a.column, a.row, b.column, b.row] {
                hasher.update(&(part as u64).to_be_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// All copies.
    #[must_use]
    pub fn copies(&self) -> &[(Cell, Cell)] {
        &self.copies
    }

    /// Public inputs the table itself leads to.
    #[must_use]
    pub fn instance(&self) -> &[Fr] {
        &self.instance
    }

    /// Sets the public inputs.
    pub fn set_instance(&mut self, instance: Vec<Fr>) {
        self.instance = instance;
    }
}
