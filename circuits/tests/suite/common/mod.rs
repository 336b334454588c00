//! Shared by the settlement tests: fixtures, and MockProver failures translated to clauses.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod certificate;
pub mod underconstrained;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use gridveil_circuits::{
    Fr,
    settlement::{SettlementCircuit, build, table},
    trace::{Cell, Name, RowHalf, Trace},
    version::SettlementSize,
};
use gridveil_protocol::{
    field,
    fixture::{self, Extras, Recipe},
    header_operation::Pool,
    market::Mechanism,
    operation::Kind,
    params::{QUEUE, Shape},
    settlement::{SettlementInput, Transition},
};
use halo2_proofs::{
    dev::{FailureLocation, MockProver, VerifyFailure},
    plonk::Circuit,
};
use halo2curves::ff::{Field, PrimeField};

pub fn tiny() -> Shape {
    Shape::by_name("tiny-4x2").unwrap()
}

pub fn input(shape: Shape, seed: u64, mechanism: Mechanism) -> SettlementInput {
    let used = shape.members - usize::from(shape.members > 4) * 3;
    fixture::settlement(&Recipe { shape, seed, mechanism, used }).unwrap()
}

pub fn trace(t: &Transition) -> Trace {
    build(t, table(&t.input.community.shape))
}

fn row_of(location: &FailureLocation) -> Option<usize> {
    match location {
        FailureLocation::InRegion { offset, .. } => Some(*offset),
        FailureLocation::OutsideRegion { row } => Some(*row),
    }
}

/// Clauses that refuse a table, by its own public inputs.
pub fn refusals(shape: Shape, trace: &Trace) -> BTreeSet<String> {
    refusals_for(shape, trace, trace.instance().to_vec())
}

/// Clauses that refuse a table for given public inputs.
pub fn refusals_for(shape: Shape, trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    refused_by(shape.k, &SettlementCircuit::from_trace(SettlementSize::current(shape), trace.clone()), trace, instance)
}

/// Clauses that refuse the table of any circuit.
pub fn refused_by<C: Circuit<Fr>>(k: u32, circuit: &C, trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    let prover = MockProver::run(k, circuit, vec![instance]).unwrap();
    let Err(failures) = prover.verify() else { return BTreeSet::new() };
    let classes = Classes::new(trace);
    failures.iter().filter(|f| !classes.is_bystander(trace, f)).map(|f| clause_of(trace, f)).collect()
}

/// Copy classes: of the cells that should be equal, the odd one out is at fault, not the cell it is compared with.
struct Classes {
    up: BTreeMap<Cell, Cell>,
    members: BTreeMap<Cell, BTreeSet<Cell>>,
}

impl Classes {
    fn new(trace: &Trace) -> Self {
        let mut classes = Self { up: BTreeMap::new(), members: BTreeMap::new() };
        for (a, b) in trace.copies() {
            let (a, b) = (classes.root(*a), classes.root(*b));
            if a != b {
                classes.up.insert(a, b);
            }
        }
        for cell in trace.copies().iter().flat_map(|(a, b)| [*a, *b]) {
            let root = classes.root(cell);
            classes.members.entry(root).or_default().insert(cell);
        }
        classes
    }

    fn root(&self, cell: Cell) -> Cell {
        let mut at = cell;
        while let Some(up) = self.up.get(&at) {
            at = *up;
        }
        at
    }

    fn is_bystander(&self, trace: &Trace, failure: &VerifyFailure) -> bool {
        let VerifyFailure::Permutation { column, location } = failure else { return false };
        let Some(row) = row_of(location) else { return false };
        let text = format!("{column:?}");
        let index =
            text.split("index: ").nth(1).and_then(|t| t.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let cell = Cell { column: index.unwrap(), row };
        let cells = &self.members[&self.root(cell)];
        let same = cells.iter().filter(|c| trace.value(**c) == trace.value(cell)).count();
        2 * same > cells.len()
    }
}

fn clause_of(trace: &Trace, failure: &VerifyFailure) -> String {
    let text = failure.to_string();
    match failure {
        VerifyFailure::ConstraintNotSatisfied { location, .. } => {
            // Market gates carry their clause; the others serve the clause of their row.
            if let Some(start) = text.find("SETTLE.") {
                return text[start..].split([' ', '\'', '"']).next().unwrap_or_default().to_string();
            }
            let half = if text.contains("next = cur") { RowHalf::Range } else { RowHalf::Main };
            row_of(location).map_or(text, |row| trace.clause(row, half).to_string())
        }
        VerifyFailure::Lookup { location, .. } => {
            row_of(location).map_or(text, |row| format!("{} range", trace.clause(row, RowHalf::Range)))
        }
        VerifyFailure::Permutation { location, column, .. } => {
            let half = if format!("{column:?}").contains("index: 8") { RowHalf::Range } else { RowHalf::Main };
            row_of(location).map_or(text, |row| format!("{} copy", trace.clause(row, half)))
        }
        _ => text,
    }
}

/// The table of `t` after tests' edits of free cells.
pub fn tampered(t: &Transition, edits: &[(Name, Fr)]) -> Trace {
    let mut trace = table(&tiny());
    for (name, value) in edits {
        trace.tamper(*name, *value);
    }
    build(t, trace)
}

pub fn falsified(t: &Transition, clause: &'static str, nth: usize, by: Fr) -> Trace {
    let mut trace = table(&tiny());
    trace.falsify(clause, nth, by);
    build(t, trace)
}

pub fn only(clause: &str) -> BTreeSet<String> {
    BTreeSet::from([clause.to_string()])
}

/// Clauses without the kind of failure.
pub fn clauses(found: BTreeSet<String>) -> BTreeSet<String> {
    found.into_iter().map(|c| c.split(' ').next().unwrap_or_default().to_string()).collect()
}

/// The honest value of a free cell. The table is built once with the cell marked, and the value is read off it.
pub fn value_of(t: &Transition, name: Name) -> Fr {
    let mut trace = table(&tiny());
    trace.remember(name);
    build(t, trace).remembered().unwrap_or(Fr::ZERO)
}

/// A native element in the circuit's field.
pub fn lifted(x: &field::Fr) -> Fr {
    let mut bytes = field::to_bytes(x);
    bytes.reverse();
    Fr::from_repr(bytes).unwrap()
}

/// All of a statement in use: operation slots that owners sign, a correction, a transfer, a management and a full queue; slot 3
/// is substituted.
pub fn in_full_use(kinds: &[Kind]) -> SettlementInput {
    let recipe = Recipe { shape: tiny(), seed: 1, mechanism: Mechanism::Auction, used: 4 };
    let extras = Extras { correction: true, header: Some(Pool::SupplierOut), management: true, notes: QUEUE };
    let input = fixture::with_operations(&recipe, kinds, extras).unwrap();
    assert!(input.operations.slots.len() == tiny().operations && input.operations.correction.is_some());
    input
}

/// `check` of every item, on all cores, in the order of the items. (Not by rayon: MockProver uses it too, and a worker
/// that waits for its share would begin another item on top of the one it is at.)
pub fn on_all_cores<T: Sync, R: Send>(items: &[T], check: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, R)> {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < items.len());
        std::iter::from_fn(take).map(|index| (index, check(&items[index]))).collect()
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut found: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, found)| found).collect()
}
