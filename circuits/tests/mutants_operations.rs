//! Soundness of everything beside settling: what each clause of `docs/spec/operations.md` refuses.
//!
//! As in `mutants.rs`: an honest statement with one edit that everything downstream follows, so that only the clause that guards it can refuse.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{clauses, falsified, lifted, only, refusals, tampered, tiny};
use gridveil_circuits::{Fr, settlement::build, settlement::table, trace::Trace};
use gridveil_protocol::{
    account::Terms,
    field,
    fixture::{
        Extras, Recipe, Stream, beginning, manager_key, meter_key, next_manager_key, next_owner_key, owner_key, reroot, resign,
        resign_adjustment, resign_management, resign_operation, with_operations,
    },
    header_operation::{Pool, SignedManagement},
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation, claim, nobody},
    owner::owner_of,
    packet::Reading,
    params::UNIT_NANO,
    poseidon::{Use, sponge},
    record::{Record, code, digest},
    settlement::{SettlementInput, Transition, apply, compute},
};
use halo2curves::ff::Field;

fn recipe(seed: u64, used: usize) -> Recipe {
    Recipe { shape: tiny(), seed, mechanism: Mechanism::Auction, used }
}

/// Honest, with operations; slot 3 is empty, slot 1 in debt.
fn operated(kinds: &[Kind]) -> SettlementInput {
    with_operations(&recipe(7, 3), kinds, Extras::default()).unwrap()
}

fn with_extras(extras: Extras) -> SettlementInput {
    with_operations(&recipe(7, 3), &[], extras).unwrap()
}

fn adjusted() -> SettlementInput {
    with_extras(Extras { adjustment: true, ..Extras::default() })
}

fn managed() -> SettlementInput {
    with_extras(Extras { management: true, ..Extras::default() })
}

fn moved(pool: Pool) -> SettlementInput {
    with_extras(Extras { header: Some(pool), ..Extras::default() })
}

fn traced(input: SettlementInput) -> Trace {
    build(&compute(input), table(&tiny()))
}

/// The first operation changed before it is signed.
fn asked(kind: Kind, change: impl Fn(&mut Operation)) -> SettlementInput {
    let mut i = operated(&[kind]);
    change(&mut i.operations.lanes[0].operation);
    resign_operation(&mut i, 0).unwrap();
    i
}

/// The first operation changed after it was signed.
fn altered(kind: Kind, change: impl Fn(&mut SignedOperation)) -> Trace {
    let mut i = operated(&[kind]);
    change(&mut i.operations.lanes[0]);
    traced(i)
}

/// A value that lane 0 computes is off.
fn off(kind: Kind, clause: &'static str, nth: usize, by: u64) -> Trace {
    falsified(&apply(operated(&[kind])).unwrap(), clause, nth, Fr::from(by))
}

/// Signs other elements than a well-formed operation has, by everybody who has to sign the first lane.
fn sign_elements(i: &mut SettlementInput, change: impl Fn(&mut [field::Fr])) {
    let signed = &mut i.operations.lanes[0];
    let mut elements = signed.operation.elements(i.domain);
    change(&mut elements);
    let message = [sponge(Use::Operation, &elements)];
    let key = (0..8).flat_map(|slot| [owner_key(slot), next_owner_key(slot)]).find(|key| key.public() == signed.owner.key).unwrap();
    signed.signature = key.sign(Use::Operation, &message).unwrap();
    signed.manager = signed.manager.map(|_| manager_key().sign(Use::Operation, &message).unwrap());
}

/// Takes in a claim of one nano as 2^40: the payout it names is no address but whatever keeps `amount + payout 2^64` as it was.
fn overstated_claim(kind: Kind) -> Trace {
    let two = |n: u32| field::shifted(1, n);
    let mut i = operated(&[kind]);
    let op = i.operations.lanes[0].operation;
    let owner = i.operations.lanes[0].owner.commitment();
    let (recipient, amount) = if kind == Kind::Send { (op.party, 0) } else { (owner, 1 << 40) };
    let told = 1u64;
    let opened = claim(recipient, told, &op.payout, [op.salts[0], op.salts[1]]);
    let payout = (field::Fr::from(told) + field::reduce::<field::Fr>(&op.payout) * two(64) - field::Fr::from(amount)) / two(64);
    i.operations.lanes[0].operation.amount = amount;
    sign_elements(&mut i, |elements| elements[4] = payout);
    let trace = tampered(&compute(i), &[(("OP.1", "payout", 0), lifted(&payout))]);
    let code = if kind == Kind::Send { code::SEND } else { code::RECEIVE };
    assert_eq!(trace.instance()[7], lifted(&digest(&[Record::new(code, 0, 0, opened)])), "L1 sees the claim of one nano");
    trace
}

#[test]
fn a_claim_opens_in_one_way() {
    for kind in [Kind::Receive, Kind::Send] {
        assert_eq!(clauses(refusals(tiny(), &overstated_claim(kind))), only("OP.5"), "{kind:?}");
    }
}

/// An account that no manager has enrolled, in a community that begins.
fn stowaway() -> Trace {
    let mut i = beginning(tiny(), 3).unwrap();
    i.community.accounts[3].owner = owner_of(&owner_key(3)).commitment();
    assert!(apply(i.clone()).is_err());
    traced(i)
}

#[test]
fn a_community_begins_without_owners() {
    assert_eq!(clauses(refusals(tiny(), &stowaway())), only("STATE.INIT"));
}

/// A used slot that passes for an empty one: its owner has no meter.
fn without_meter(kind: Kind) -> Trace {
    let mut i = asked(kind, |o| o.meter = None);
    assert!(apply(i.clone()).is_err());
    i.operations.lanes[0].operation.meter = None;
    traced(i)
}

#[test]
fn an_account_has_a_meter() {
    for kind in [Kind::Enrol, Kind::Replace] {
        assert_eq!(clauses(refusals(tiny(), &without_meter(kind))), only("OP.9"), "{kind:?}");
    }
}
