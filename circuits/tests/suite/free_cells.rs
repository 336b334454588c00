//! Nothing that a settlement's witness chooses goes unnoticed: computed values, free cells, public inputs.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
};
use gridveil_protocol::{operation::Kind, settlement::apply};
use halo2curves::ff::Field;

use crate::{
    common::{clauses, falsified, in_full_use, refusals, refusals_for, tampered, tiny, value_of},
    mutants::fixtures::honest,
};

#[test]
fn every_computed_value_is_guarded_by_its_own_clause() {
    let t = apply(in_full_use(&[Kind::Receive, Kind::Rotate, Kind::Terms])).unwrap();
    let counts: BTreeMap<&'static str, usize> = build(&t, table(&tiny())).computed_counts().clone();
    let mut failed = Vec::new();
    for (clause, count) in counts {
        // Each clause at about four places, spread evenly.
        for nth in (0..count).step_by((count / 4).max(1)) {
            let found = clauses(refusals(tiny(), &falsified(&t, clause, nth, Fr::from(3))));
            if !found.contains(clause) {
                failed.push(format!("{clause} value {nth}: {found:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Free cells that may take another value without a refusal and without another statement, and why that harms nobody.
const HARMLESS: [(&str, &str); 3] = [
    ("SETTLE.2", "started"), // a window may be claimed shorter than it is; a reading outside the claim is refused
    ("SETTLE.2", "ended"),
    ("SETTLE.2", "idle"),
];

/// Free cells that may take another value in another statement: L1 sees the difference.
const VISIBLE: [(&str, &str); 5] = [
    ("SETTLE.7", "tariff"),       // its commitment is a public input
    ("HEADER.1", "supplier_out"), // no transfer: no record
    ("HEADER.1", "units"),        // in the record
    ("ADJUST.5", "tariff"),       // its commitment is in the record
    ("NOTES.1", "note"),          // in the record
];

/// Every kind of free cell, in a statement whose every part is in use.
#[test]
fn no_free_cell_changes_unnoticed() {
    let t = apply(in_full_use(&[Kind::Deposit, Kind::Withdraw, Kind::Send])).unwrap();
    let mut trace = table(&tiny());
    trace.record_names();
    let honest = build(&t, trace);
    let statement = honest.instance().to_vec();
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut unnoticed, mut elsewhere) = (Vec::new(), BTreeSet::new());
    for name in honest.names() {
        // Two of each kind.
        let count = seen.entry((name.0, name.1)).or_default();
        *count += 1;
        if *count > 2 {
            continue;
        }
        let value = value_of(&t, *name);
        for edit in [value + Fr::ONE, Fr::ONE - value] {
            let trace = tampered(&t, &[(*name, edit)]);
            if edit != value && refusals(tiny(), &trace).is_empty() {
                if trace.instance() == statement {
                    unnoticed.push(*name);
                } else {
                    elsewhere.insert((name.0, name.1));
                }
            }
        }
    }
    // The "inverse" of a zero is multiplied by that zero.
    unnoticed.retain(|n| !HARMLESS.contains(&(n.0, n.1)) && !n.1.ends_with("_inverse"));
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
    assert_eq!(elsewhere, BTreeSet::from(VISIBLE));
    println!("{} kinds of free cells", seen.len());
}

#[test]
fn every_public_input_is_bound() {
    let t = apply(honest(2)).unwrap();
    let trace = build(&t, table(&tiny()));
    for (row, name) in gridveil_protocol::instance::ROWS.iter().enumerate() {
        let mut instance = trace.instance().to_vec();
        instance[row] += Fr::ONE;
        assert!(!refusals_for(tiny(), &trace, instance).is_empty(), "{name}");
    }
}
