//! No equation of a gate is there for nothing: without it, a test goes red.
//!
//! It does so in one of two ways. A table that this equation alone refuses would be accepted: a mutant's, or one whose
//! computed values are off. Or a cell could move while all others stand still, which `no_cell_is_free` refuses.

use std::collections::BTreeSet;

use gridveil_circuits::{
    Fr, certificate,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{operation::Kind, settlement::apply};

use crate::{
    certificate_cells::CERTIFICATE,
    common::{
        certificate::{GATES, honest},
        direct::Gates,
        falsified, in_full_use, on_all_cores, settlement_gates, tiny,
        underconstrained::{Given, Subject, Without, movable},
    },
    determined::SETTLEMENT,
    mutants::{self, certificates},
};

/// Equations that no test would miss: none of the tables needs them, and no cell of `honest` moves without them.
fn not_missed(gates: &Gates, subject: &Subject, refused: &[Trace], honest: &Trace) -> Vec<String> {
    let needed: BTreeSet<usize> =
        on_all_cores(refused, |trace| gates.refused_by_one(trace)).into_iter().flatten().collect();
    let rest: Vec<(usize, &str)> = gates.names().enumerate().filter(|(i, _)| !needed.contains(i)).collect();
    println!("{} equations of {} refuse a table alone", needed.len(), gates.names().count());
    let moves = |(i, _): &(usize, &str)| {
        let given = Given { cells: Vec::new(), entries: true, absorbed: true, without: Without::Equation(*i) };
        !movable(subject, honest, &given).is_empty()
    };
    let moved = on_all_cores(&rest, moves);
    rest.into_iter().zip(moved).filter(|(_, moved)| !moved).map(|((i, name), _)| format!("{i}: {name}")).collect()
}

#[test]
fn no_equation_of_the_settlement_is_there_for_nothing() {
    let t = apply(in_full_use(&[Kind::Receive, Kind::Rotate, Kind::Terms])).unwrap();
    let honest = build(&t, table(&tiny()));
    let mut refused: Vec<Trace> =
        mutants::all().iter().filter(|mutant| !mutant.is_of_certificates()).map(mutants::Mutant::trace).collect();
    for (clause, count) in honest.computed_counts() {
        let places = (0..*count).step_by((count / 4).max(1));
        refused.extend(places.map(|nth| falsified(&t, clause, nth, Fr::from(3))));
    }
    let idle = not_missed(settlement_gates(tiny()), &SETTLEMENT, &refused, &honest);
    assert!(idle.is_empty(), "{idle:#?}");
}

#[test]
fn no_equation_of_the_certificate_is_there_for_nothing() {
    let mut refused: Vec<Trace> =
        mutants::all().iter().filter(|mutant| mutant.is_of_certificates()).map(mutants::Mutant::trace).collect();
    for seed in [2, 4] {
        for (clause, count) in certificates::computed(seed) {
            refused.extend((0..count).map(|nth| certificates::falsified(seed, clause, nth, Fr::from(3))));
        }
    }
    let honest = certificate::build(&honest(4), certificate::table());
    let idle = not_missed(&GATES, &CERTIFICATE, &refused, &honest);
    assert!(idle.is_empty(), "{idle:#?}");
}
