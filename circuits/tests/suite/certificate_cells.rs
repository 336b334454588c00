//! Nothing that a spending's witness chooses goes unnoticed: computed values, free cells, public inputs.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_circuits::{
    Fr,
    certificate::{CertificateCircuit, build, table},
    gadgets::power,
    trace::Cell,
};
use gridveil_protocol::{
    certificate::ROWS,
    fixture::certificate::{plan, spend},
};
use halo2_proofs::plonk::Circuit;
use halo2curves::ff::Field;

use crate::{
    common::{
        certificate::{honest, refusals, refusals_for},
        clauses,
        underconstrained::{Given, Subject, Without, free_cell, movable, report},
    },
    mutants::certificates::{Edits, computed, falsified},
};

#[test]
fn every_computed_value_is_guarded_by_its_own_clause() {
    let mut failed = Vec::new();
    for seed in [2, 4] {
        for (clause, count) in computed(seed) {
            for nth in 0..count {
                let trace = falsified(seed, clause, nth, Fr::from(3));
                let found = clauses(refusals(&trace));
                if !found.contains(clause) {
                    failed.push(format!("seed {seed}, {clause} value {nth}: {found:?}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn no_free_cell_changes_unnoticed() {
    // All levels and a retirement; a note that is its notes root, and no retirement.
    let mut harmless = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for seed in [4, 2, 0] {
        let spend = spend(seed).unwrap();
        let mut trace = table();
        trace.record_names();
        let honest = build(&spend, trace);
        let statement = honest.instance().to_vec();
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for name in honest.names() {
            kinds.insert((name.0, name.1));
            // Of a chain's 64 steps, two.
            let count = seen.entry((name.0, name.1)).or_default();
            *count += 1;
            if *count > 2 && name.1 != "child" {
                continue;
            }
            let mut trace = table();
            trace.remember(*name);
            let value = build(&spend, trace).remembered().unwrap();
            for edit in [value + Fr::ONE, Fr::ONE - value] {
                let trace = Edits::cells(&[(*name, edit)]).build(&spend);
                let mut other = trace.instance().to_vec();
                // Another anchor is another root, which was not final.
                let elsewhere = other[1] != statement[1];
                other[1] = statement[1];
                if edit != value && (!elsewhere || other != statement) && refusals(&trace).is_empty() {
                    harmless.insert((seed, *name));
                }
            }
        }
    }
    println!("{} kinds of free cells", kinds.len());
    // What a level holds beside the node where there is none, and the opening of a retirement where there is none.
    harmless.retain(|(seed, (clause, name, index))| {
        let levels = plan(*seed).path.dense.len();
        let no_level = *clause == "CERT.1" && *name == "child" && index / 4 >= levels && *index < 20;
        let no_retirement =
            *clause == "CERT.5" && ["salt", "beneficiary"].contains(name) && plan(*seed).retirement.is_none();
        !(no_level || no_retirement)
    });
    assert!(harmless.is_empty(), "{harmless:?}");
}

pub const CERTIFICATE: Subject =
    Subject { configure: CertificateCircuit::configure, market: false, asked: &[1, 2, 3, 4, 5, 6, 7, 8] };

#[test]
fn no_cell_is_free() {
    for seed in [0, 2, 4] {
        let t = build(&honest(seed), table());
        let cells = movable(
            &CERTIFICATE,
            &t,
            &Given { cells: Vec::new(), entries: true, absorbed: true, without: Without::Nothing },
        );
        report(&t, &cells);
        assert!(cells.is_empty());
    }
}

/// Given the path, the owner and what the spender chooses, all public inputs and all that lies between follow. (The
/// path fixes the note, and so its key; how the note's info is split is fixed by ranges, which this analysis leaves
/// out.)
#[test]
fn the_public_inputs_follow_from_the_openings() {
    for seed in [0, 2, 4] {
        let spend = honest(seed);
        let t = build(&spend, table());
        let names =
            [("CERT.1", "amount", 0), ("CERT.4", "amount", 0), ("CERT.4", "amount", 1), ("CERT.5", "beneficiary", 0)];
        let chosen: Vec<Cell> =
            names.into_iter().map(|name| free_cell(name, |trace| build(&spend, trace), table())).collect();
        let free = |cells: Vec<Cell>| {
            movable(&CERTIFICATE, &t, &Given { cells, entries: false, absorbed: false, without: Without::Nothing })
        };
        let cells = free(chosen.clone());
        report(&t, &cells);
        assert!(cells.is_empty());
        // The analysis is not blind: each choice is one. (Where nothing is retired, each amount follows from the
        // others.)
        let choices = if spend.plan.retirement.is_some() { 0..chosen.len() } else { 0..0 };
        for left_out in choices {
            let mut some = chosen.clone();
            some.remove(left_out);
            assert!(!free(some).is_empty(), "{:?}", names[left_out]);
        }
    }
}

#[test]
fn every_public_input_is_bound() {
    for seed in 0..5 {
        let trace = build(&honest(seed), table());
        for (row, name) in ROWS.iter().enumerate() {
            for by in [Fr::ONE, -Fr::ONE, power(48)] {
                let mut instance = trace.instance().to_vec();
                instance[row] += by;
                assert!(!refusals_for(&trace, instance).is_empty(), "seed {seed}, {name}");
            }
        }
    }
}
