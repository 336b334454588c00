//! What a test does to a table while it is built: a cell takes another value, and everything downstream follows it.
//!
//! Behind the feature `test-hooks`, which only tests switch on. A product's tables have none (`no_hooks.rs`).

use std::{collections::BTreeMap, panic::Location};

use super::{
    Name, Trace,
    sites::{Constraint, Sites},
};
use crate::Fr;

/// Edits that a test asks for, and what it wants to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Hooks {
    tampered: BTreeMap<Name, Fr>,
    falsified: Option<(&'static str, usize, Fr)>,
    computed: BTreeMap<&'static str, usize>,
    names: Option<Vec<Name>>,
    remembered: Option<(Name, Option<Fr>)>,
    blocks: Vec<Block>,
    pub(super) sites: Sites,
    copying: bool,
}

/// A block of rows that a statement asked for, and what of it its cells reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Clause of its first cell.
    pub clause: &'static str,
    /// Rows that were asked for.
    pub rows: usize,
    /// Rows up to the last one in use.
    pub used: usize,
    start: usize,
}

impl Hooks {
    /// A block of `rows` rows begins at row `start`.
    pub(super) fn opened(&mut self, start: usize, rows: usize) {
        self.blocks.push(Block { clause: "", rows, used: 0, start });
    }

    /// A cell for `clause` takes the last block's row before `end`.
    pub(super) fn reached(&mut self, clause: &'static str, end: usize) {
        if let Some(block) = self.blocks.last_mut() {
            block.clause = if block.used == 0 { clause } else { block.clause };
            block.used = block.used.max(end - block.start);
        }
    }

    /// The value that a test puts in the place of one computed for `clause`.
    #[track_caller]
    pub(super) fn computed(&mut self, clause: &'static str, row: usize, value: Fr) -> Fr {
        let value = self.sites.row(Location::caller(), row, value);
        let count = self.computed.entry(clause).or_default();
        let nth = *count;
        *count += 1;
        match self.falsified {
            Some((falsified, at, by)) if falsified == clause && at == nth => value + by,
            _ => value,
        }
    }

    /// The value of a cell that is a copy, before it is tied to its source.
    #[track_caller]
    pub(super) fn copied(&mut self, value: Fr) -> Fr {
        self.copying = true;
        self.sites.copied(Location::caller(), value)
    }

    /// A value that a tie then says what it is; `between` other ties are first.
    #[track_caller]
    pub(super) fn written(&mut self, between: usize, value: Fr) -> Fr {
        self.sites.written(Location::caller(), between, value)
    }

    /// Two cells are tied: a copy to its source, or two that were there.
    #[track_caller]
    pub(super) fn tied(&mut self) {
        let constraint = if std::mem::take(&mut self.copying) { Constraint::Copy } else { Constraint::Check };
        self.sites.tied(Location::caller(), constraint);
    }

    /// The value that a test puts in the place of a free cell's.
    pub(super) fn free(&mut self, name: Name, value: Fr) -> Fr {
        if let Some(names) = &mut self.names {
            names.push(name);
        }
        if let Some((wanted, kept)) = &mut self.remembered
            && *wanted == name
        {
            *kept = Some(value);
        }
        self.tampered.get(&name).copied().unwrap_or(value)
    }
}

impl Trace {
    /// The named free cell takes `value` when it is assigned.
    pub fn tamper(&mut self, name: Name, value: Fr) {
        self.hooks.tampered.insert(name, value);
    }

    /// The `nth` value computed while serving `clause` is off by `by`.
    pub fn falsify(&mut self, clause: &'static str, nth: usize, by: Fr) {
        self.hooks.falsified = Some((clause, nth, by));
    }

    /// How many values were computed for each clause.
    #[must_use]
    pub const fn computed_counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.hooks.computed
    }

    /// Records the names of all free cells from here on.
    pub fn record_names(&mut self) {
        self.hooks.names = Some(Vec::new());
    }

    /// Names of the free cells, if recorded.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        self.hooks.names.as_deref().unwrap_or(&[])
    }

    /// Keeps the honest value of one free cell.
    pub fn remember(&mut self, name: Name) {
        self.hooks.remembered = Some((name, None));
    }

    /// Blocks of rows, in the order in which they were opened.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.hooks.blocks
    }

    /// The value kept by [`Trace::remember`].
    #[must_use]
    pub fn remembered(&self) -> Option<Fr> {
        self.hooks.remembered.and_then(|(_, value)| value)
    }
}
