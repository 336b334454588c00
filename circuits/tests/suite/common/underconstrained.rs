//! Is every cell determined? First-order analysis of a finished table: which cells can move while others stand still.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use gridveil_circuits::{
    Fr,
    chips::columns::{ADVICE, CONSTANTS, Columns, LOOKED_UP, SELECTORS, Selector},
    trace::{Cell, Name, RowHalf, Trace},
};
use halo2_proofs::plonk::{ConstraintSystem, Expression};
use halo2curves::ff::Field;

/// A value and its derivatives by cell.
type Dual = (Fr, Rc<Vec<(usize, Fr)>>);

fn scaled(d: &Dual, k: Fr) -> Dual {
    (d.0 * k, Rc::new(if k == Fr::ZERO { Vec::new() } else { d.1.iter().map(|(c, x)| (*c, *x * k)).collect() }))
}

fn plus(a: &Dual, b: &Dual) -> Dual {
    if a.1.is_empty() {
        return (a.0 + b.0, b.1.clone());
    }
    if b.1.is_empty() {
        return (a.0 + b.0, a.1.clone());
    }
    let mut sum: BTreeMap<usize, Fr> = a.1.iter().copied().collect();
    for (c, x) in b.1.iter() {
        *sum.entry(*c).or_insert(Fr::ZERO) += x;
    }
    (a.0 + b.0, Rc::new(sum.into_iter().filter(|(_, x)| *x != Fr::ZERO).collect()))
}

fn times(a: &Dual, b: &Dual) -> Dual {
    let sum = plus(&scaled(a, b.0), &scaled(b, a.0));
    (a.0 * b.0, sum.1)
}

fn evaluate(e: &Expression<Fr>, t: &Trace, row: usize, class: &dyn Fn(Cell) -> usize) -> Dual {
    let known = |x: Fr| (x, Rc::new(Vec::new()));
    // Rows before the table are read by gates that are off there.
    let at = |rotation: i32| usize::try_from(i64::try_from(row).unwrap() + i64::from(rotation)).unwrap_or(usize::MAX);
    e.evaluate(
        &known,
        &|_| unreachable!(),
        &|q| {
            let (row, column) = (at(q.rotation().0), q.column_index());
            if column < CONSTANTS {
                known(t.constants().get(row).map_or(Fr::ZERO, |c| c[column]))
            } else {
                known(Fr::from(u64::from(row < t.constants().len() && t.selected(column - CONSTANTS, row))))
            }
        },
        &|q| {
            let cell = Cell { column: q.column_index(), row: at(q.rotation().0) };
            if cell.row >= t.advice().len() {
                return known(Fr::ZERO);
            }
            (t.value(cell), Rc::new(vec![(class(cell), Fr::ONE)]))
        },
        &|q| known(t.instance().get(at(q.rotation().0)).copied().unwrap_or(Fr::ZERO)),
        &|_| unreachable!(),
        &|a| scaled(&a, -Fr::ONE),
        &|a, b| plus(&a, &b),
        &|a, b| times(&a, &b),
        &|a, k| scaled(&a, k),
    )
}

struct Union(Vec<usize>);

impl Union {
    fn find(&mut self, mut x: usize) -> usize {
        while self.0[x] != x {
            self.0[x] = self.0[self.0[x]];
            x = self.0[x];
        }
        x
    }
}

/// A constraint that is left out of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None is.
    Nothing,
    /// A copy constraint, by index.
    Copy(usize),
    /// A polynomial of a gate, by number over all gates.
    Equation(usize),
}

/// What the analysis takes as given.
pub struct Given {
    /// Cells that stand still.
    pub cells: Vec<Cell>,
    /// All looked-up entries stand still (or only the readings).
    pub entries: bool,
    /// A constraint that is left out.
    pub without: Without,
    /// All absorbed elements stand still (or only those that are copies of nothing: what old roots and signatures fix).
    pub absorbed: bool,
}

/// The circuit whose tables are analysed.
pub struct Subject {
    /// Its columns and gates.
    pub configure: fn(&mut ConstraintSystem<Fr>) -> Columns,
    /// Does it have a market?
    pub market: bool,
    /// Rows of the public inputs that are asked for when absorbed elements may move.
    pub asked: &'static [usize],
}

/// Cells that can move, to first order, while public inputs and what is given stand still. A running decomposition
/// stands still with its value (fields are range-checked, the split is the only one), and a rationed sum with its
/// weight and ratio.
pub fn movable(subject: &Subject, t: &Trace, given: &Given) -> Vec<Cell> {
    let mut cs = ConstraintSystem::default();
    let columns = (subject.configure)(&mut cs);
    assert_eq!(columns.constants.map(|c| c.index()), std::array::from_fn(|i| i));
    assert_eq!(columns.selectors.map(|c| c.index()), std::array::from_fn(|i| CONSTANTS + i));
    let rows = t.advice().len();
    let id = |c: Cell| c.row * ADVICE + c.column;
    let mut union = Union((0..rows * ADVICE).collect());
    let mut copied: BTreeSet<Cell> = BTreeSet::new();
    for (i, (a, b)) in t.copies().iter().enumerate() {
        // A decomposition is tied to the value it splits, the other way round.
        if a.column != 8 || t.selected(Selector::New as usize, a.row) || t.selected(Selector::Chain as usize, a.row) {
            copied.insert(*b);
        }
        if given.without == Without::Copy(i) {
            continue;
        }
        let (a, b) = (union.find(id(*a)), union.find(id(*b)));
        union.0[a] = b;
    }
    let class: Vec<usize> = (0..rows * ADVICE).map(|i| union.find(i)).collect();
    let at = |column: usize, row: usize| class[id(Cell { column, row })];
    let on = |s: Selector, row: usize| t.selected(s as usize, row);

    let mut fixed: BTreeSet<usize> = given.cells.iter().map(|c| at(c.column, c.row)).collect();
    // (if all of these stand still, then all of those)
    let mut rules: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let mut chain: Vec<usize> = Vec::new();
    for row in 0..rows {
        if on(Selector::New, row) || on(Selector::Chain, row) {
            let free = |column: &usize| given.absorbed || !copied.contains(&Cell { column: *column, row });
            fixed.extend((5..9).filter(free).map(|column| at(column, row)));
        }
        if on(Selector::Lookup, row) && given.entries {
            fixed.extend(LOOKED_UP.map(|column| at(column, row)));
        }
        if subject.market && on(Selector::Market, row) {
            fixed.extend([row, row + 1].into_iter().flat_map(|row| LOOKED_UP.map(|column| at(column, row))));
            let rationed =
                (row + 4..row + 8).flat_map(|row| LOOKED_UP.map(|column| at(column, row))).chain([at(7, row + 1)]);
            // D=, S=, side, ratio
            rules.push((vec![at(1, row + 1), at(6, row + 1), at(5, row + 2), at(1, row + 2)], rationed.collect()));
            let distances = (row + 2..row + 4).flat_map(|row| LOOKED_UP.map(|column| at(column, row)));
            // limits, p, flag and the four standing bits
            let standing = [(7, 0), (8, 0), (0, 2), (7, 3), (2, 1), (3, 1), (2, 2), (3, 2)]
                .map(|(column, below)| at(column, row + below));
            rules.push((standing.to_vec(), distances.collect()));
        }
        if on(Selector::Range, row) || on(Selector::Half, row) {
            // The first running cell must be zero on its own account.
            if !chain.is_empty() {
                chain.push(at(8, row));
            }
            chain.extend([at(4, row), at(9, row)]);
            if !(on(Selector::Range, row + 1) || on(Selector::Half, row + 1)) {
                rules.push((vec![at(8, row + 1)], std::mem::take(&mut chain)));
            }
        }
    }
    let mut equations: Vec<Vec<(usize, Fr)>> = Vec::new();
    let mut read: BTreeSet<usize> = BTreeSet::new();
    for row in (0..rows).filter(|row| (0..SELECTORS).any(|s| t.selected(s, *row))) {
        // What is published of the state is what is asked for, when absorbed elements may move.
        if !given.absorbed && subject.asked.contains(&row) {
            continue;
        }
        let polynomials = cs.gates().iter().flat_map(|gate| gate.polynomials().iter().map(|p| (gate.name(), p)));
        for (i, (name, polynomial)) in polynomials.enumerate() {
            let (value, gradient) = evaluate(polynomial, t, row, &|c| class[id(c)]);
            assert_eq!(value, Fr::ZERO, "row {row} {name}");
            read.extend(gradient.iter().map(|(c, _)| *c));
            if !gradient.is_empty() && given.without != Without::Equation(i) {
                equations.push(gradient.to_vec());
            }
        }
    }
    loop {
        let before = fixed.len();
        for (these, those) in &rules {
            if these.iter().all(|c| fixed.contains(c)) {
                fixed.extend(those);
            }
        }
        for e in &mut equations {
            e.retain(|(c, _)| !fixed.contains(c));
            if let [(c, _)] = e[..] {
                fixed.insert(c);
            }
        }
        equations.retain(|e| !e.is_empty());
        if fixed.len() > before {
            continue;
        }
        // Elimination of what unit propagation left over.
        let alone = eliminate(&equations);
        if alone.is_empty() {
            break;
        }
        fixed.extend(alone);
    }
    read.into_iter().filter(|c| !fixed.contains(c)).map(|c| Cell { column: c % ADVICE, row: c / ADVICE }).collect()
}

/// Unknowns that the homogeneous equations force to zero (Gauss-Jordan).
fn eliminate(equations: &[Vec<(usize, Fr)>]) -> Vec<usize> {
    let mut pivots: BTreeMap<usize, BTreeMap<usize, Fr>> = BTreeMap::new();
    let subtract = |e: &mut BTreeMap<usize, Fr>, p: &BTreeMap<usize, Fr>, k: Fr| {
        for (d, x) in p {
            *e.entry(*d).or_insert(Fr::ZERO) -= *x * k;
        }
        e.retain(|_, x| *x != Fr::ZERO);
    };
    for e in equations {
        let mut e: BTreeMap<usize, Fr> = e.iter().copied().collect();
        let known: Vec<usize> = e.keys().copied().filter(|c| pivots.contains_key(c)).collect();
        for c in known {
            if let Some(k) = e.get(&c).copied() {
                subtract(&mut e, &pivots[&c], k);
            }
        }
        let Some((c, k)) = e.iter().next().map(|(c, k)| (*c, *k)) else { continue };
        let inverse = k.invert().unwrap();
        e.values_mut().for_each(|x| *x *= inverse);
        for p in pivots.values_mut() {
            if let Some(k) = p.get(&c).copied() {
                subtract(p, &e, k);
            }
        }
        pivots.insert(c, e);
    }
    pivots.into_iter().filter(|(_, row)| row.len() == 1).map(|(c, _)| c).collect()
}

/// The column-1 cell that holds a named free value.
pub fn free_cell(name: Name, build: impl Fn(Trace) -> Trace, mut table: Trace) -> Cell {
    let odd = Fr::from(0x1234_5678_9abc_def1_u64).square();
    table.tamper(name, odd);
    let trace = build(table);
    let row = (0..trace.advice().len()).find(|row| trace.value(Cell { column: 1, row: *row }) == odd);
    Cell { column: 1, row: row.unwrap_or_else(|| panic!("{name:?}")) }
}

pub fn report(t: &Trace, cells: &[Cell]) {
    for c in cells.iter().take(40) {
        println!(
            "{c:?} main {} range {} zero {}",
            t.clause(c.row, RowHalf::Main),
            t.clause(c.row, RowHalf::Range),
            t.value(*c) == Fr::ZERO
        );
    }
}
