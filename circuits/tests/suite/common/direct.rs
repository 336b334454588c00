//! Refusals read off a table itself: every gate, lookup and copy, evaluated where its selectors are on.
//!
//! `MockProver` lays a circuit out again for each table, which takes a second; the suite asks about thousands of tables.
//! That both say the same of a table is a test of its own (`direct_refusals_are_those_of_halo2s_own_prover_for_tests`).

use std::collections::{BTreeMap, BTreeSet};

use gridveil_circuits::{
    Fr,
    chips::columns::{CONSTANTS, Columns, LOOKED_UP, SELECTORS, Selector},
    trace::{Cell, RowHalf, Trace, sites::Site},
};
use halo2_proofs::plonk::{ConstraintSystem, Expression};
use halo2curves::ff::Field;

/// One polynomial of a gate, and what decides where it is asked.
struct Equation {
    /// Its gate's name and its own.
    name: String,
    polynomial: Expression<Fr>,
    /// It is zero wherever these are all off.
    selectors: Vec<usize>,
}

/// Where a table breaks the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// A gate, by the names of gate and polynomial.
    Gate(&'a str, usize),
    /// A looked-up cell outside the range table.
    Lookup(usize),
    /// A cell that differs from the next one of its copy cycle.
    Copy(Cell),
}

/// A constraint of a line that does not hold.
#[derive(Clone, Copy, Debug)]
pub struct BrokenLine {
    /// The constraint.
    pub site: Site,
    /// Number of the copy, or row.
    pub place: usize,
    /// Difference of the two cells.
    pub by: Fr,
}

/// The gates of a circuit.
pub struct Gates {
    equations: Vec<Equation>,
    /// At which the equations read cells.
    rotations: BTreeSet<i32>,
    range: u64,
}

/// What an equation reads.
trait Cells {
    fn fixed(&self, column: usize, rotation: i32) -> Fr;
    fn advice(&self, column: usize, rotation: i32) -> Fr;
    fn public(&self, rotation: i32) -> Fr;
}

/// What of a sum is multiplied by a selector that is off is not computed.
fn value(e: &Expression<Fr>, cells: &impl Cells) -> Fr {
    match e {
        Expression::Constant(x) => *x,
        Expression::Fixed(q) => cells.fixed(q.column_index(), q.rotation().0),
        Expression::Advice(q) => cells.advice(q.column_index(), q.rotation().0),
        Expression::Instance(q) => cells.public(q.rotation().0),
        Expression::Negated(a) => -value(a, cells),
        Expression::Sum(a, b) => value(a, cells) + value(b, cells),
        Expression::Product(a, b) => {
            let a = value(a, cells);
            if a == Fr::ZERO { a } else { a * value(b, cells) }
        }
        Expression::Scaled(a, k) => value(a, cells) * k,
        Expression::Selector(_) | Expression::Challenge(_) => {
            unreachable!("selectors are plain fixed columns, and there are no challenges")
        }
    }
}

/// What a polynomial reads of fixed and of advice columns, by column and rotation.
fn read_by<T: Ord + Clone>(
    e: &Expression<Fr>,
    fixed: impl Fn(usize, i32) -> Option<T>,
    advice: impl Fn(usize, i32) -> Option<T>,
) -> BTreeSet<T> {
    let one = |read: Option<T>| read.into_iter().collect();
    e.evaluate(
        &|_| BTreeSet::new(),
        &|_| BTreeSet::new(),
        &|q| one(fixed(q.column_index(), q.rotation().0)),
        &|q| one(advice(q.column_index(), q.rotation().0)),
        &|_| BTreeSet::new(),
        &|_| BTreeSet::new(),
        &|a| a,
        &|a, b| &a | &b,
        &|a, b| &a | &b,
        &|a, _| a,
    )
}

/// Selectors that a polynomial reads in its own row.
fn selectors_of(e: &Expression<Fr>) -> BTreeSet<usize> {
    let selector = |column: usize, rotation| column.checked_sub(CONSTANTS).filter(|_| rotation == 0);
    read_by(e, selector, |_, _| None)
}

/// Rotations at which a polynomial reads cells.
fn rotations_of(e: &Expression<Fr>) -> BTreeSet<i32> {
    read_by(e, |_, _| None, |_, rotation| Some(rotation))
}

/// Every selector off, every other cell some number.
struct Off(u64);

impl Off {
    fn number(&self, kind: u64, column: usize, rotation: i32) -> Fr {
        let at = i64::from(rotation).unsigned_abs() * 2 + u64::from(rotation < 0);
        (Fr::from(self.0 + kind) * Fr::from(1_000_003 + column as u64) + Fr::from(7 + at)).square().square()
            + Fr::from(at)
    }
}

impl Cells for Off {
    fn fixed(&self, column: usize, rotation: i32) -> Fr {
        if column >= CONSTANTS { Fr::ZERO } else { self.number(1, column, rotation) }
    }
    fn advice(&self, column: usize, rotation: i32) -> Fr {
        self.number(2, column, rotation)
    }
    fn public(&self, rotation: i32) -> Fr {
        self.number(3, 0, rotation)
    }
}

/// A row of a table.
struct At<'a>(&'a Trace, &'a [Fr], usize);

impl At<'_> {
    /// Rows outside the table are read by gates that are off there.
    fn row(&self, rotation: i32) -> usize {
        self.2.checked_add_signed(rotation as isize).unwrap_or(usize::MAX)
    }
}

impl Cells for At<'_> {
    fn fixed(&self, column: usize, rotation: i32) -> Fr {
        let row = self.row(rotation);
        let Some(constants) = self.0.constants().get(row) else { return Fr::ZERO };
        match column.checked_sub(CONSTANTS) {
            None => constants[column],
            Some(selector) => Fr::from(u64::from(self.0.selected(selector, row))),
        }
    }
    fn advice(&self, column: usize, rotation: i32) -> Fr {
        self.0.advice().get(self.row(rotation)).map_or(Fr::ZERO, |cells| cells[column])
    }
    fn public(&self, rotation: i32) -> Fr {
        self.1.get(self.row(rotation)).copied().unwrap_or(Fr::ZERO)
    }
}

impl Gates {
    /// The gates that `configure` makes, beside a range table of `2^table_bits`.
    pub fn new(configure: impl Fn(&mut ConstraintSystem<Fr>) -> Columns, table_bits: u32) -> Self {
        let mut cs = ConstraintSystem::default();
        let columns = configure(&mut cs);
        assert_eq!(columns.constants.map(|c| c.index()), std::array::from_fn(|i| i));
        assert_eq!(columns.selectors.map(|c| c.index()), std::array::from_fn(|i| CONSTANTS + i));
        let equations: Vec<Equation> = cs
            .gates()
            .iter()
            .flat_map(|gate| {
                gate.polynomials().iter().enumerate().map(|(i, polynomial)| Equation {
                    name: format!("{} {}", gate.name(), gate.constraint_name(i)),
                    polynomial: polynomial.clone(),
                    selectors: selectors_of(polynomial).into_iter().collect(),
                })
            })
            .collect();
        for equation in &equations {
            let zero = (0..3).all(|seed| value(&equation.polynomial, &Off(seed)) == Fr::ZERO);
            assert!(zero && !equation.selectors.is_empty(), "{} is asked in every row", equation.name);
        }
        assert_eq!(cs.lookups().len(), LOOKED_UP.len());
        let rotations = equations.iter().flat_map(|equation| rotations_of(&equation.polynomial)).collect();
        Self { equations, rotations, range: 1 << table_bits }
    }

    /// How many equations there are, and the name of each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.equations.iter().map(|equation| equation.name.as_str())
    }

    /// Everything that refuses a table for the given public inputs.
    pub fn refusals<'a>(&'a self, trace: &Trace, instance: &[Fr]) -> Vec<Refusal<'a>> {
        let broken = self.broken(trace, instance).into_iter();
        let mut found: Vec<_> = broken.map(|(i, row)| Refusal::Gate(&self.equations[i].name, row)).collect();
        found.extend(self.lookups(trace));
        found.extend(copies(trace));
        found
    }

    /// The one equation that refuses a table, if nothing else does.
    pub fn refused_by_one(&self, trace: &Trace) -> Option<usize> {
        let equations: BTreeSet<usize> = self.broken(trace, trace.instance()).into_iter().map(|(i, _)| i).collect();
        let alone = equations.len() == 1 && self.lookups(trace).is_empty() && copies(trace).is_empty();
        equations.into_iter().next().filter(|_| alone)
    }

    /// Constraints of lines that refuse a table, each with how much it is off; `None` if a chip refuses it too. `honest` is
    /// a table of the same layout that nothing refuses: what reads the same cells is not asked again.
    pub fn broken_lines(&self, honest: &Trace, trace: &Trace) -> Option<Vec<BrokenLine>> {
        if !self.lookups(trace).is_empty() {
            return None;
        }
        let cells = honest.advice().iter().zip(trace.advice()).enumerate();
        let changed = cells.filter(|(_, (before, after))| before != after).map(|(row, _)| row);
        let readers: BTreeSet<usize> = changed
            .flat_map(|row| self.rotations.iter().filter_map(move |r| row.checked_add_signed(-*r as isize)))
            .filter(|row| *row < trace.advice().len())
            .collect();
        let ties = trace.copies().iter().zip(trace.sites_of_copies()).enumerate();
        let off = |(place, ((a, b), site)): (usize, (&(Cell, Cell), &Site))| {
            let by = trace.value(*a) - trace.value(*b);
            (by != Fr::ZERO).then_some(BrokenLine { site: *site, place, by })
        };
        let mut found: Vec<BrokenLine> = ties.filter_map(off).collect();
        let rows: BTreeMap<usize, Site> = trace.sites_of_rows().iter().copied().collect();
        for (_, row) in self.broken_at(trace, trace.instance(), readers) {
            let site = *rows.get(&row).filter(|_| trace.selected(Selector::Arith as usize, row))?;
            found.push(BrokenLine { site, place: row, by: Fr::ONE });
        }
        Some(found)
    }

    /// Equations that do not hold, by number and row.
    fn broken(&self, trace: &Trace, instance: &[Fr]) -> Vec<(usize, usize)> {
        self.broken_at(trace, instance, 0..trace.advice().len())
    }

    fn broken_at(&self, trace: &Trace, instance: &[Fr], rows: impl IntoIterator<Item = usize>) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for row in rows {
            let on: [bool; SELECTORS] = std::array::from_fn(|s| trace.selected(s, row));
            for (i, equation) in self.equations.iter().enumerate() {
                let asked = equation.selectors.iter().any(|s| on[*s]);
                if asked && value(&equation.polynomial, &At(trace, instance, row)) != Fr::ZERO {
                    found.push((i, row));
                }
            }
        }
        found
    }

    fn lookups<'a>(&self, trace: &Trace) -> Vec<Refusal<'a>> {
        let asked = (0..trace.advice().len()).filter(|row| trace.selected(Selector::Lookup as usize, *row));
        let cells = asked.flat_map(|row| LOOKED_UP.map(|column| (row, column)));
        let outside = cells.filter(|(row, column)| trace.advice()[*row][*column] >= Fr::from(self.range));
        outside.map(|(row, _)| Refusal::Lookup(row)).collect()
    }
}

fn copies<'a>(trace: &Trace) -> Vec<Refusal<'a>> {
    // Most tables break no copy, and cycles take long to find.
    if trace.copies().iter().all(|(a, b)| trace.value(*a) == trace.value(*b)) {
        return Vec::new();
    }
    let next = cycles(trace.copies());
    next.iter().filter(|(a, b)| trace.value(**a) != trace.value(**b)).map(|(a, _)| Refusal::Copy(*a)).collect()
}

/// The next cell of each copied cell's cycle, as halo2 joins cycles (The halo2 Book, "Permutation argument"): the
/// shorter one into the longer, and the two cells' successors change places.
fn cycles(copies: &[(Cell, Cell)]) -> BTreeMap<Cell, Cell> {
    let mut ids = BTreeMap::new();
    for cell in copies.iter().flat_map(|(a, b)| [*a, *b]) {
        let id = ids.len();
        ids.entry(cell).or_insert(id);
    }
    let mut next: Vec<usize> = (0..ids.len()).collect();
    let (mut head, mut sizes) = (next.clone(), vec![1usize; next.len()]);
    for (a, b) in copies {
        let (a, b) = (ids[a], ids[b]);
        let (mut left, mut right) = (head[a], head[b]);
        if left == right {
            continue;
        }
        if sizes[left] < sizes[right] {
            std::mem::swap(&mut left, &mut right);
        }
        sizes[left] += sizes[right];
        let mut at = right;
        loop {
            head[at] = left;
            at = next[at];
            if at == right {
                break;
            }
        }
        next.swap(a, b);
    }
    let cells: BTreeMap<usize, Cell> = ids.iter().map(|(cell, id)| (*id, *cell)).collect();
    ids.iter().map(|(cell, id)| (*cell, cells[&next[*id]])).collect()
}

/// The half of a row that a gate's name belongs to.
pub fn half_of(gate: &str) -> RowHalf {
    if gate.contains("next = cur") { RowHalf::Range } else { RowHalf::Main }
}
