//! Shared by the settlement tests: fixtures, and MockProver failures translated to clauses.
#![allow(dead_code)]

use std::collections::BTreeSet;

use gridveil_circuits::{
    Fr,
    settlement::{SettlementCircuit, build, table},
    trace::{Lane, Trace},
};
use gridveil_protocol::{
    fixture::{self, Recipe},
    market::Mechanism,
    params::Shape,
    settlement::{SettlementInput, Transition},
};
use halo2_proofs::dev::{FailureLocation, MockProver, VerifyFailure};

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
    let circuit = SettlementCircuit::from_trace(shape, trace.clone());
    let prover = MockProver::run(shape.k, &circuit, vec![instance]).unwrap();
    let Err(failures) = prover.verify() else { return BTreeSet::new() };
    failures.iter().map(|f| clause_of(trace, f)).collect()
}

fn clause_of(trace: &Trace, failure: &VerifyFailure) -> String {
    let text = failure.to_string();
    match failure {
        VerifyFailure::ConstraintNotSatisfied { location, .. } => {
            // Market gates carry their clause; the others serve the clause of their row.
            if let Some(start) = text.find("SETTLE.") {
                return text[start..].split([' ', '\'', '"']).next().unwrap_or_default().to_string();
            }
            let lane = if text.contains("next = cur") { Lane::Range } else { Lane::Main };
            row_of(location).map_or(text, |row| trace.clause(row, lane).to_string())
        }
        VerifyFailure::Lookup { location, .. } => row_of(location).map_or(text, |row| format!("{} range", trace.clause(row, Lane::Range))),
        VerifyFailure::Permutation { location, column, .. } => {
            let lane = if format!("{column:?}").contains("index: 8") { Lane::Range } else { Lane::Main };
            row_of(location).map_or(text, |row| format!("{} copy", trace.clause(row, lane)))
        }
        _ => text,
    }
}
