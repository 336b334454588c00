//! Rows: what a layout asks for is what it comes to, and each k is the smallest that holds its circuit.

use std::collections::BTreeSet;

use gridveil_circuits::{
    Fr,
    certificate::{self, CertificateCircuit, build as build_certificate},
    chips::{market::Geometry, poseidon, schnorr},
    settlement::{self, SettlementCircuit, build, table},
    trace::Trace,
    version::SettlementSize,
};
use gridveil_protocol::{
    market::Mechanism,
    operation::Kind,
    params::{SHAPES, Shape},
    settlement::apply,
};
use halo2_proofs::plonk::{Circuit, ConstraintSystem};

use crate::common::{certificate::honest, in_full_use, input, tiny};

/// Blocks of which version 2 leaves rows empty, by the clause of their first cell: rows that are asked for, and rows in
/// use. The numbers are part of its keys; a later version asks for what it uses.
const SPARE: [(&str, usize, usize); 13] = [
    ("ADJUST.1", 15, 5),
    ("ADJUST.1", 15, 7),
    ("ADJUST.1", 15, 11),
    ("ADJUST.2", 6, 5),
    ("ADJUST.2", 15, 5),
    ("ADJUST.2", 15, 7),
    ("ADJUST.2", 15, 11),
    ("CERT.1", 64, 45),
    ("SETTLE.11", 65, 63),
    ("SETTLE.11", 248, 218),
    ("SETTLE.11", 808, 778),
    ("SETTLE.11", 2868, 2838),
    ("STATE.INIT", 4, 3),
];

fn spare(trace: &Trace) -> BTreeSet<(&'static str, usize, usize)> {
    let blocks = trace.blocks().iter().filter(|block| block.used < block.rows);
    blocks.map(|block| (block.clause, block.rows, block.used)).collect()
}

#[test]
fn blocks_are_as_long_as_what_is_in_them() {
    let mut found = spare(CertificateCircuit::template().trace());
    for shape in SHAPES {
        found.extend(spare(SettlementCircuit::template(SettlementSize::current(shape)).trace()));
    }
    assert_eq!(found, BTreeSet::from(SPARE));
}

/// The smallest k that holds the rows of a circuit, those that halo2 keeps, and the range table.
fn smallest_k(meta: &ConstraintSystem<Fr>, rows: usize, table_bits: u32) -> u32 {
    let kept = meta.blinding_factors() + 1;
    (1..).find(|k| rows.max(1 << table_bits) + kept <= 1 << k).unwrap()
}

fn settlement_meta(shape: Shape) -> ConstraintSystem<Fr> {
    let mut meta = ConstraintSystem::default();
    SettlementCircuit::configure_with_params(&mut meta, SettlementSize::current(shape));
    meta
}

fn certificate_meta() -> ConstraintSystem<Fr> {
    let mut meta = ConstraintSystem::default();
    CertificateCircuit::configure(&mut meta);
    meta
}

#[test]
fn each_k_is_the_smallest_that_holds_its_circuit() {
    for shape in SHAPES {
        let rows = SettlementCircuit::template(SettlementSize::current(shape)).trace().next_row();
        assert_eq!(shape.k, smallest_k(&settlement_meta(shape), rows, shape.table_bits), "{}", shape.name);
    }
    let rows = CertificateCircuit::template().trace().next_row();
    assert_eq!(certificate::K, smallest_k(&certificate_meta(), rows, certificate::TABLE_BITS));
}

/// What tables leave to halo2 is at least what it keeps.
#[test]
fn tables_leave_room_for_what_halo2_keeps() {
    for shape in SHAPES {
        assert!(settlement::RESERVED_ROWS > settlement_meta(shape).blinding_factors());
    }
    assert!(certificate::RESERVED_ROWS > certificate_meta().blinding_factors());
}

/// A statement in full use takes the rows of an empty one.
#[test]
fn rows_do_not_depend_on_what_is_used() {
    let used = |trace: &Trace| (trace.next_row(), trace.blocks().to_vec());
    let template = SettlementCircuit::template(SettlementSize::current(tiny()));
    let inputs = [input(tiny(), 1, Mechanism::Auction), in_full_use(&[Kind::Close, Kind::Enrol, Kind::Forced])];
    for input in inputs {
        let t = apply(input).unwrap();
        assert_eq!(used(&build(&t, table(&tiny()))), used(template.trace()));
    }
    let template = CertificateCircuit::template();
    assert_eq!(used(&build_certificate(&honest(0), certificate::table())), used(template.trace()));
}

/// The page that lists the chips counts as they do.
#[test]
fn the_architecture_page_has_the_rows_of_the_chips() {
    let page = include_str!("../../../ARCHITECTURE.md");
    let [narrow, wide] = [16, 8].map(|table_bits| Geometry { table_bits, intervals: 1 }.rows());
    for line in [
        format!("| one permutation | {} |", poseidon::ROWS),
        format!("| one signature | {} |", schnorr::ROWS),
        format!("| one reading's part of the clearing | {narrow} or {wide} |"),
    ] {
        assert!(page.contains(&line), "{line}");
    }
}
