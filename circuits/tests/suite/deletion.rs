//! No equation of a gate is there for nothing: without it, a test goes red.
//!
//! It does so in one of two ways. A table that this equation alone refuses would be accepted: a mutant's, or one whose
//! computed values are off. Or a cell could move while all others stand still, which `no_cell_is_free` refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gridveil_circuits::{
    Fr, certificate,
    chips::columns::{ADVICE, LOOKED_UP, Selector},
    settlement::{build, table},
    trace::{Cell, Trace},
};
use gridveil_protocol::{
    market::Mechanism,
    operation::Kind,
    packet::Reading,
    settlement::{SettlementInput, Transition, apply},
};
use halo2curves::ff::Field;

use crate::{
    certificate_cells::CERTIFICATE,
    chips::other_starts,
    common::{
        certificate::{GATES, honest},
        direct::Gates,
        falsified, in_full_use, input, on_all_cores, settlement_gates, tampered, tiny,
        underconstrained::{Given, Subject, Without, movable},
        value_of,
    },
    determined::SETTLEMENT,
    mutants::{
        self, certificates,
        fixtures::{repaired, with_empty_slot},
    },
};

/// Makes a table. There are thousands, of megabytes each: none is kept.
type Make = Box<dyn Fn() -> Trace + Sync>;

/// The table with another value in one cell, from which nothing follows.
fn with_cell(honest: &Arc<Trace>, cell: Cell, other: impl Fn(Fr) -> Fr + Sync + 'static) -> Make {
    let honest = Arc::clone(honest);
    Box::new(move || {
        let mut trace = Trace::clone(&honest);
        trace.set(cell.column, cell.row, other(honest.value(cell)));
        trace
    })
}

/// Tables with one other entry in a running decomposition, in a row of each sort.
fn other_digits(honest: &Arc<Trace>) -> Vec<Make> {
    let (entry, other) = (LOOKED_UP[1], |value: Fr| if value == Fr::ZERO { Fr::ONE } else { Fr::ZERO });
    let row_of = |selector: Selector| {
        (0..honest.next_row()).find(|row| honest.selected(selector as usize, *row)).expect("a row of each sort")
    };
    let edited = |row: usize| with_cell(honest, Cell { column: entry, row }, other);
    [Selector::Range, Selector::Half].map(row_of).map(edited).into()
}

/// Equations that no test would miss: none of the tables needs them, and no cell of `honest` moves without them.
/// Those that are `known` to be missed are not asked about.
fn not_missed(
    gates: &Gates,
    subject: &Subject,
    mut refused: Vec<Make>,
    honest: &Arc<Trace>,
    known: &BTreeSet<&str>,
) -> Vec<String> {
    refused.extend(other_digits(honest));
    refused.extend(other_starts().map(|start| -> Make { Box::new(move || start.clone()) }));
    let needed: BTreeSet<usize> =
        on_all_cores(&refused, |make| gates.refused_by_one(&make())).into_iter().flatten().collect();
    let all = gates.names().enumerate();
    let rest: Vec<(usize, &str)> = all.filter(|(i, name)| !needed.contains(i) && !known.contains(name)).collect();
    println!("{} equations of {} refuse a table alone, {} are left", needed.len(), gates.names().count(), rest.len());
    let moves = |(i, _): &(usize, &str)| {
        let given = Given { cells: Vec::new(), entries: true, absorbed: true, without: Without::Equation(*i) };
        !movable(subject, honest, &given).is_empty()
    };
    let moved = on_all_cores(&rest, moves);
    rest.into_iter().zip(moved).filter(|(_, moved)| !moved).map(|((_, name), _)| name.to_owned()).collect()
}

/// Tables of the mutants that are `asked` for.
fn made(asked: impl Fn(&mutants::Mutant) -> bool) -> Vec<Make> {
    let make = |mutant: mutants::Mutant| -> Make { Box::new(move || mutant.trace()) };
    mutants::all().into_iter().filter(asked).map(make).collect()
}

/// Clauses of the market.
const MARKET: [&str; 5] = ["SETTLE.2", "SETTLE.4", "SETTLE.5", "SETTLE.6", "SETTLE.7"];

/// Tables of honest statements with one free cell of the market changed; what follows from it follows.
fn with_other_market_cells(t: &Arc<Transition>) -> Vec<Make> {
    let mut trace = table(&tiny());
    trace.record_names();
    let names = build(t, trace).names().to_vec();
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut tables: Vec<Make> = Vec::new();
    for name in names.into_iter().filter(|name| MARKET.contains(&name.0)) {
        let count = seen.entry((name.0, name.1)).or_default();
        *count += 1;
        if *count <= 8 {
            let value = value_of(t, name);
            let edits =
                BTreeSet::from([value + Fr::ONE, value - Fr::ONE, Fr::ONE - value, Fr::from(2), Fr::from(1 << 33)]);
            tables.extend(edits.into_iter().filter(|edit| *edit != value).map(|edit| -> Make {
                let t = Arc::clone(t);
                Box::new(move || tampered(&t, &[(name, edit)]))
            }));
        }
    }
    tables
}

/// Tables with one other cell in a reading's rows, from which nothing follows.
fn with_raw_market_cells(honest: &Arc<Trace>) -> Vec<Make> {
    let rows: Vec<usize> = (0..honest.next_row()).filter(|r| honest.selected(Selector::Market as usize, *r)).collect();
    let rows = rows.windows(2).take(6).flat_map(|rows| rows[0]..rows[1]);
    let cells = rows.flat_map(|row| (0..ADVICE).map(move |column| Cell { column, row }));
    cells.flat_map(|cell| [Fr::ONE, -Fr::ONE].map(|by| with_cell(honest, cell, move |value| value + by))).collect()
}

/// Equations of the market for which the search below finds no table that they alone refuse. Mutants of their clause
/// break them together with others.
const TOGETHER: [&str; 13] = [
    "SETTLE.2 window export (1 - A + B) = 0",
    "SETTLE.5 standing of the buyer above below = 0",
    "SETTLE.5 standing of the buyer flag (above + below) = 0",
    "SETTLE.5 standing of the seller above (above - 1) = 0",
    "SETTLE.5 standing of the seller below (below - 1) = 0",
    "SETTLE.5 standing of the seller above below = 0",
    "SETTLE.5 standing of the seller flag (above + below) = 0",
    "SETTLE.6 demand and supply D> grows by strict import",
    "SETTLE.6 demand and supply D= grows by marginal import",
    "SETTLE.6 demand and supply S< grows by strict export",
    "SETTLE.6 demand and supply S= grows by marginal export",
    "SETTLE.6 rationing bought",
    "SETTLE.6 rationing sold",
];

#[test]
#[ignore = "some minutes: `make nightly` runs it"]
fn no_equation_of_the_settlement_is_there_for_nothing() {
    let t = Arc::new(apply(in_full_use(&[Kind::Receive, Kind::Rotate, Kind::Terms])).unwrap());
    let honest = Arc::new(build(&t, table(&tiny())));
    let mut refused = made(|mutant| !mutant.is_of_certificates());
    for (clause, count) in honest.computed_counts().clone() {
        refused.extend((0..count).step_by((count / 4).max(1)).map(|nth| -> Make {
            let t = Arc::clone(&t);
            Box::new(move || falsified(&t, clause, nth, Fr::from(3)))
        }));
    }
    let quiet = |mut i: SettlementInput| {
        for slot in 0..i.packets.len() {
            i.packets[slot].packet.readings.fill(Reading::default());
            i = repaired(i, slot);
        }
        i
    };
    let plain = [(1, Mechanism::Auction), (2, Mechanism::CommunityPrice), (3, Mechanism::Auction)];
    let plain = plain.map(|(seed, mechanism)| input(tiny(), seed, mechanism));
    for statement in [quiet(plain[0].clone()), with_empty_slot()].into_iter().chain(plain).chain([t.input.clone()]) {
        refused.extend(with_other_market_cells(&Arc::new(apply(statement).unwrap())));
    }
    // The chips of both circuits are the same, and the certificate's table is a tenth of this one.
    let shared = GATES.names().collect();
    refused.extend(with_raw_market_cells(&honest));
    let idle = not_missed(settlement_gates(tiny()), &SETTLEMENT, refused, &honest, &shared);
    assert_eq!(idle, TOGETHER);
}

#[test]
fn no_equation_of_the_certificate_is_there_for_nothing() {
    let mut refused = made(mutants::Mutant::is_of_certificates);
    for seed in [2, 4] {
        for (clause, count) in certificates::computed(seed) {
            refused.extend(
                (0..count)
                    .map(|nth| -> Make { Box::new(move || certificates::falsified(seed, clause, nth, Fr::from(3))) }),
            );
        }
    }
    let honest = Arc::new(certificate::build(&honest(4), certificate::table()));
    let idle = not_missed(&GATES, &CERTIFICATE, refused, &honest, &BTreeSet::new());
    assert!(idle.is_empty(), "{idle:#?}");
}
