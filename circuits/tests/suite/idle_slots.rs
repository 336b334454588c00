//! What nobody signs: fields of unused and forced operation slots, of an unused correction and header slot. They are free by
//! design, since an operation slot that is not used must look like one that is; here is the list, and the proof that they reach
//! nothing public: neither records, leaves nor header.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{refusals, tampered, tiny, trace, value_of};
use gridveil_circuits::{
    Fr,
    settlement::{build, table},
};
use gridveil_protocol::{
    field,
    fixture::{Extras, Recipe, meter_key, resign_operation, with_operations},
    market::Mechanism,
    operation::{EFFECTS, Flow, Kind},
    settlement::{Transition, apply, compute},
};
use halo2curves::ff::Field;

fn statement(kinds: &[Kind]) -> Transition {
    let recipe = Recipe { shape: tiny(), seed: 7, mechanism: Mechanism::Auction, used: 3 };
    apply(with_operations(&recipe, kinds, Extras::default()).unwrap()).unwrap()
}

/// Clause and name of a free cell.
type CellName = (&'static str, &'static str);

/// An operation slot that is not used: its message, and the nullifier half of the key that signs.
const IDLE_OPERATION_SLOT: [CellName; 11] = [
    ("OP.1", "key_n"),
    ("OP.1", "meter_x"),
    ("OP.1", "meter_y"),
    ("OP.1", "party"),
    ("OP.1", "payout"),
    ("OP.1", "sa"),
    ("OP.1", "sb"),
    ("OP.1", "sc"),
    ("OP.1", "sd"),
    ("OP.1", "terms"),
    ("OP.4", "amount"),
];

/// A forced operation slot: the same, but for the requester and the amount.
const FORCED_OPERATION_SLOT: [CellName; 9] = [
    ("OP.1", "key_n"),
    ("OP.1", "meter_x"),
    ("OP.1", "meter_y"),
    ("OP.1", "party"),
    ("OP.1", "sa"),
    ("OP.1", "sb"),
    ("OP.1", "sc"),
    ("OP.1", "sd"),
    ("OP.1", "terms"),
];

/// An unused correction and header slot.
const OTHERS: [CellName; 16] = [
    ("ADJUST.1", "buy_limit"),
    ("ADJUST.1", "previous_substitute"),
    ("ADJUST.1", "group"),
    ("ADJUST.1", "sell_limit"),
    ("ADJUST.1", "signer"),
    ("ADJUST.2", "buy_limit"),
    ("ADJUST.2", "inside"),
    ("ADJUST.2", "sell_limit"),
    ("ADJUST.5", "first_interval"),
    ("ADJUST.5", "tariff"),
    ("HEADER.1", "units"),
    ("HEADER.3", "mdm_x"),
    ("HEADER.3", "mdm_y"),
    ("HEADER.3", "mechanism"),
    ("HEADER.3", "reserve"),
    ("HEADER.3", "skip"),
];

/// Free cells outside settling that may change in an accepted statement, and whether the statement is another one then.
fn changeable(t: &Transition, of: impl Fn(&str) -> bool) -> (BTreeSet<CellName>, BTreeSet<CellName>) {
    let mut empty = table(&tiny());
    empty.record_names();
    let honest = build(t, empty);
    let mut first: BTreeMap<CellName, usize> = BTreeMap::new();
    let (mut same, mut another) = (BTreeSet::new(), BTreeSet::new());
    for name in honest.names().iter().filter(|name| of(name.0)) {
        // The first cell of each kind: that of operation slot 0.
        if first.insert((name.0, name.1), name.2).is_some() {
            continue;
        }
        let value = value_of(t, *name);
        for edit in [value + Fr::ONE, Fr::ONE - value].into_iter().filter(|edit| *edit != value) {
            let edited = tampered(t, &[(*name, edit)]);
            if refusals(tiny(), &edited).is_empty() {
                let set = if edited.instance() == honest.instance() { &mut same } else { &mut another };
                set.insert((name.0, name.1));
            }
        }
    }
    same.retain(|(_, name)| !name.ends_with("_inverse"));
    (same, another)
}

#[test]
fn an_unused_operation_slot_is_free_and_changes_nothing() {
    let found = changeable(&statement(&[]), |clause| clause.starts_with("OP."));
    assert_eq!(found, (BTreeSet::from(IDLE_OPERATION_SLOT), BTreeSet::new()));
}

#[test]
fn a_forced_operation_slot_has_nothing_of_the_operators() {
    let t = statement(&[Kind::Forced]);
    assert!(t.input.operations.slots[0].operation.amount > 0);
    let found = changeable(&t, |clause| clause.starts_with("OP."));
    assert_eq!(found, (BTreeSet::from(FORCED_OPERATION_SLOT), BTreeSet::new()));
}

#[test]
fn an_unused_correction_and_header_operation_slot_change_nothing() {
    let of = |clause: &str| ["ADJUST.", "HEADER.", "STATE."].iter().any(|family| clause.starts_with(family));
    let (same, another) = changeable(&statement(&[]), of);
    assert_eq!(same, BTreeSet::from(OTHERS));
    // A transfer of no units: a record, and the header's nonce.
    assert_eq!(
        another,
        BTreeSet::from([("HEADER.1", "supplier_in"), ("HEADER.1", "supplier_out"), ("HEADER.2", "fee_out")])
    );
}

/// All of them at once, with other values than one more.
#[test]
fn all_free_fields_at_once_reach_nothing() {
    let t = statement(&[]);
    let honest = trace(&t);
    let odd = |i: usize| Fr::from(1000 + i as u64);
    let operation_slots = (0..3).flat_map(|operation_slot| {
        IDLE_OPERATION_SLOT.iter().map(move |(clause, name)| (*clause, *name, operation_slot))
    });
    let others = [
        ("ADJUST.5", "first_interval", 0),
        ("ADJUST.1", "buy_limit", 0),
        ("ADJUST.1", "previous_substitute", 0),
        ("HEADER.1", "units", 0),
        ("HEADER.3", "reserve", 0),
        ("HEADER.3", "mdm_x", 0),
    ];
    let edits: Vec<_> = operation_slots.chain(others).enumerate().map(|(i, name)| (name, odd(i))).collect();
    let edited = tampered(&t, &edits);
    assert_eq!(refusals(tiny(), &edited), BTreeSet::new());
    assert_eq!(edited.instance(), honest.instance());
}

/// Fields of a message that the kind does not use: natively refused, and without effect in the circuit.
#[test]
fn fields_that_a_kind_does_not_use_change_nothing() {
    for effect in &EFFECTS {
        let plain = statement(&[effect.kind]);
        let used = plain.input.operations.slots[0].operation;
        let mut i = plain.input.clone();
        let op = &mut i.operations.slots[0].operation;
        for salt in op.salts.iter_mut().rev().take_while(|salt| **salt == field::Fr::from(0u64)) {
            *salt = 9u64.into();
        }
        if effect.flow == Flow::None {
            op.amount = 12345;
        }
        if used.party == field::Fr::from(0u64) {
            op.party = 99u64.into();
        }
        if used.payout == [0; 20] {
            op.payout = [0xee; 20];
        }
        op.meter = op.meter.or(Some(meter_key(2).public()));
        op.terms = op.terms.or(Some(plain.input.community.accounts[0].terms));
        resign_operation(&mut i, 0).unwrap();
        assert!(apply(i.clone()).is_err(), "{:?}", effect.kind);
        let edited = trace(&compute(i));
        assert_eq!(refusals(tiny(), &edited), BTreeSet::new(), "{:?}", effect.kind);
        // All but the data challenge and what it is asked of: leaves, header, roots, records.
        assert_eq!(edited.instance()[..8], trace(&plain).instance()[..8], "{:?}", effect.kind);
    }
}
