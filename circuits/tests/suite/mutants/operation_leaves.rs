//! Mutants of the leaf that an operation writes and of the record that L1 sees (OP.8 to OP.11).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    account::Terms,
    field,
    fixture::{owner_key, resign_operation},
    operation::Kind,
    owner::owner_of,
    settlement::{SettlementInput, apply, compute},
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{asked, off, operated, sign_elements, traced},
};
use crate::common::{falsified, lifted, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("OP.8", "enrolment in a used slot", || traced(enrolled_over()));
    mutants.add("OP.9", "an account without a meter is enrolled", || without_meter(Kind::Enrol));
    mutants.add("OP.9", "a meter is replaced by none", || without_meter(Kind::Replace));
    mutants.add("OP.9", "terms with a scale that does not exist", || traced(terms_of(2, |terms| terms.scale = 7)));
    mutants.add("OP.9", "terms with a class that does not exist", || traced(terms_of(2, |terms| terms.class = 2)));
    for (theft, slot, field, bit) in
        [("new terms forgive a debt", 1, 5, 0), ("new terms wind the nonce back", 2, 1, 64)]
    {
        mutants.add("OP.9", theft, move || {
            let mut i = terms_of(slot, |_| ());
            let less = field::shifted(field, bit);
            sign_elements(&mut i, |elements| elements[11] -= less);
            let terms = i.operations.slots[0].operation.terms.unwrap().packed() - less;
            tampered(&compute(i), &[(("OP.1", "terms", 0), lifted(&terms))])
        });
    }
    mutants.add("OP.9", "an operation that may be replayed: the nonce stays", || {
        falsified(&apply(operated(&[Kind::Withdraw])).unwrap(), "OP.9", 4, -Fr::ONE)
    });
    for (theft, nth) in [
        ("operator takes the payout", 26),
        ("operator changing a member's keys: the owner", 30),
        ("operator changing a member's keys: the meter", 34),
        ("registers forgotten", 41),
        ("a substitute put in the place of the pending one", 44),
        ("operator changing a member's salts: s1", 46),
        ("operator changing a member's salts: s4", 52),
    ] {
        mutants.add("OP.9", theft, move || off(Kind::Withdraw, "OP.9", nth, 1));
    }
    mutants.add("OP.9", "a pending substitute of the meter before", || {
        let t = apply(operated(&[Kind::Replace])).unwrap();
        falsified(&t, "OP.9", 44, Fr::from(99))
    });
    // Two values serve OP.10 before the first operation slot: the record of a beginning.
    for (theft, nth) in [
        ("a withdrawal as another kind of record", 2),
        ("more units in the record", 6),
        ("paid to another address", 11),
        ("withdrawal that L1 does not see", 14),
    ] {
        mutants.add("OP.10", theft, move || {
            falsified(&apply(operated(&[Kind::Withdraw])).unwrap(), "OP.10", nth, -Fr::ONE)
        });
    }
    mutants.add("OP.11", "L1 is told other words than the chain has", || {
        let t = apply(operated(&[Kind::Withdraw])).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("OP.11").unwrap() - 1;
        falsified(&t, "OP.11", last, Fr::ONE)
    });
}

/// A used slot that passes for an empty one: its owner has no meter.
fn without_meter(kind: Kind) -> Trace {
    let mut i = asked(kind, |o| o.meter = None);
    assert!(apply(i.clone()).is_err());
    i.operations.slots[0].operation.meter = None;
    traced(i)
}

/// Other terms for `slot`.
fn terms_of(slot: u16, change: impl Fn(&mut Terms)) -> SettlementInput {
    let mut i = operated(&[Kind::Terms]);
    let account = &i.community.accounts[usize::from(slot)];
    let signed = &mut i.operations.slots[0];
    (signed.operation.slot, signed.operation.nonce, signed.owner) =
        (slot, account.nonce, owner_of(&owner_key(usize::from(slot))));
    change(signed.operation.terms.as_mut().unwrap());
    resign_operation(&mut i, 0).unwrap();
    i
}

/// The honest enrolment of slot 3, in slot 2.
fn enrolled_over() -> SettlementInput {
    let mut i = operated(&[Kind::Enrol]);
    let nonce = i.community.accounts[2].nonce;
    let op = &mut i.operations.slots[0].operation;
    (op.slot, op.nonce) = (2, nonce);
    resign_operation(&mut i, 0).unwrap();
    i
}
