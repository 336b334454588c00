//! Shared by the settlement tests: fixtures, and refusals translated to clauses.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod certificate;
pub mod direct;
pub mod underconstrained;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use direct::{Gates, Refusal, half_of};

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

/// Clauses that refuse a table, by its own public inputs.
pub fn refusals(shape: Shape, trace: &Trace) -> BTreeSet<String> {
    refusals_for(shape, trace, trace.instance().to_vec())
}

/// Clauses that refuse a table for given public inputs.
pub fn refusals_for(shape: Shape, trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    clauses_of(settlement_gates(shape), trace, &instance)
}

/// The gates of a shape's settlement circuit.
pub fn settlement_gates(shape: Shape) -> &'static Gates {
    static GATES: Mutex<BTreeMap<&str, &'static Gates>> = Mutex::new(BTreeMap::new());
    let size = SettlementSize::current(shape);
    let configure = |meta: &mut _| SettlementCircuit::configure_with_params(meta, size);
    GATES
        .lock()
        .unwrap()
        .entry(shape.name)
        .or_insert_with(|| Box::leak(Box::new(Gates::new(configure, shape.table_bits))))
}

/// Clauses that refuse a table of a circuit.
pub fn clauses_of(gates: &Gates, trace: &Trace, instance: &[Fr]) -> BTreeSet<String> {
    named(&gates.refusals(trace, instance), trace)
}

/// The same by halo2's own prover for tests.
pub fn refused_by_mock<C: Circuit<Fr>>(k: u32, circuit: &C, trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    let prover = MockProver::run(k, circuit, vec![instance]).unwrap();
    let Err(failures) = prover.verify() else { return BTreeSet::new() };
    let gates: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let refusals: Vec<Refusal<'_>> =
        failures.iter().zip(&gates).map(|(failure, text)| refusal_of(failure, text)).collect();
    named(&refusals, trace)
}

fn refusal_of<'a>(failure: &VerifyFailure, text: &'a str) -> Refusal<'a> {
    let row = |location: &FailureLocation| match location {
        FailureLocation::InRegion { offset, .. } => *offset,
        FailureLocation::OutsideRegion { row } => *row,
    };
    match failure {
        VerifyFailure::ConstraintNotSatisfied { location, .. } => Refusal::Gate(text, row(location)),
        VerifyFailure::Lookup { location, .. } => Refusal::Lookup(row(location)),
        VerifyFailure::Permutation { column, location } => {
            let text = format!("{column:?}");
            let index =
                text.split("index: ").nth(1).and_then(|t| t.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
            Refusal::Copy(Cell { column: index.unwrap(), row: row(location) })
        }
        _ => panic!("{text}"),
    }
}

/// The clauses that refusals serve.
fn named(refusals: &[Refusal<'_>], trace: &Trace) -> BTreeSet<String> {
    if refusals.is_empty() {
        return BTreeSet::new();
    }
    let classes = Classes::new(trace);
    refusals
        .iter()
        .filter(|refusal| !classes.is_bystander(trace, refusal))
        .map(|refusal| clause_of(trace, refusal))
        .collect()
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

    fn is_bystander(&self, trace: &Trace, refusal: &Refusal<'_>) -> bool {
        let Refusal::Copy(cell) = refusal else { return false };
        let cells = &self.members[&self.root(*cell)];
        let same = cells.iter().filter(|c| trace.value(**c) == trace.value(*cell)).count();
        2 * same > cells.len()
    }
}

fn clause_of(trace: &Trace, refusal: &Refusal<'_>) -> String {
    match refusal {
        Refusal::Gate(text, row) => {
            // Market gates carry their clause; the others serve the clause of their row.
            if let Some(start) = text.find("SETTLE.") {
                return text[start..].split([' ', '\'', '"']).next().unwrap_or_default().to_string();
            }
            trace.clause(*row, half_of(text)).to_string()
        }
        Refusal::Lookup(row) => format!("{} range", trace.clause(*row, RowHalf::Range)),
        Refusal::Copy(cell) => {
            let half = if cell.column == 8 { RowHalf::Range } else { RowHalf::Main };
            format!("{} copy", trace.clause(cell.row, half))
        }
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

/// `check` of every item, on all cores, in the order of the items. (Not by rayon: building a table uses it too, and a worker
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
