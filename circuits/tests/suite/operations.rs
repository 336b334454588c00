//! What operations lead to beside the clauses that refuse them: what L1 must tell apart, and what late energy earns.

use std::collections::BTreeSet;

use gridveil_circuits::settlement::{build, table};
use gridveil_protocol::{
    field,
    fixture::{beginning, resign_operation},
    operation::Kind,
    params::UNIT_NANO,
    settlement::{Transition, apply},
    tree::SparseTree,
};

use crate::{
    common::{clauses, only, refusals, tiny},
    mutants::fixtures::{corrected, operated, traced},
};

/// The double claim is L1's to refuse: the statement shows the same claim twice.
#[test]
fn a_claim_taken_in_twice_shows_twice() {
    let mut i = operated(&[Kind::Receive]);
    let first = i.operations.slots[0].clone();
    let mut again = first.clone();
    again.operation.nonce += 1;
    i.operations.slots.push(again);
    resign_operation(&mut i, 1).unwrap();
    let t = apply(i).unwrap();
    assert_eq!(t.applied.records[0], t.applied.records[1]);
    assert_eq!(refusals(tiny(), &build(&t, table(&tiny()))), BTreeSet::new());
}

/// A claim is the same for deposits and transfers, but the record says which: L1 must keep them apart, as only a
/// deposit's units are checked there.
#[test]
fn a_deposit_and_a_receipt_of_one_claim_differ_in_their_record() {
    let of = |kind| {
        let mut i = operated(&[Kind::Receive]);
        let op = &mut i.operations.slots[0].operation;
        (op.kind, op.amount) = (kind, 3 * UNIT_NANO);
        resign_operation(&mut i, 0).unwrap();
        apply(i).unwrap().applied.records[0]
    };
    let (deposit, receipt) = (of(Kind::Deposit), of(Kind::Receive));
    assert_eq!(deposit.w1, receipt.w1);
    assert_ne!(deposit.w0, receipt.w0);
}

#[test]
fn a_community_begins_once() {
    let mut i = beginning(tiny(), 3).unwrap();
    let mut state = SparseTree::new(8);
    state.set(9, field::Fr::from(77u64));
    i.state_path = state.path(9);
    assert!(apply(i.clone()).is_err());
    assert_eq!(clauses(refusals(tiny(), &traced(i))), only("SETTLE.13"));
}

/// Late energy earns nothing: neither certificates nor notes depend on a correction.
#[test]
fn late_energy_earns_no_certificates() {
    let with = apply(corrected()).unwrap();
    let mut i = with.input.clone();
    i.operations.correction = None;
    let without = apply(i).unwrap();
    assert_eq!(
        (with.notes_root, with.after.certificates.root()),
        (without.notes_root, without.after.certificates.root())
    );
    let earned = |t: &Transition| {
        (t.after.header.totals.issued, t.after.header.totals.retired, t.after.header.totals.outstanding)
    };
    assert_eq!(earned(&with), earned(&without));
    assert_ne!(with.after.header.totals.export, without.after.header.totals.export);
}
