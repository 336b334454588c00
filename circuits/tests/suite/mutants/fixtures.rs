//! Honest statements that mutants begin with, and edits of them.

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{
        Extras, Recipe, mdm_key, next_owner_key, owner_key, resign, resign_operation, settlement, with_operations,
    },
    header_operation::Pool,
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation},
    poseidon::{DomainTag, sponge},
    settlement::{SettlementInput, apply, compute},
    tree::SparseTree,
};

use crate::common::{falsified, input, tiny};

pub fn honest(seed: u64) -> SettlementInput {
    input(tiny(), seed, Mechanism::Auction)
}

pub fn repaired(mut input: SettlementInput, slot: usize) -> SettlementInput {
    resign(&mut input, slot).unwrap();
    let mut state = SparseTree::new(8);
    state.set(5, input.community.node());
    input.state_path = state.path(5);
    input
}

pub fn with_empty_slot() -> SettlementInput {
    settlement(&recipe(1, 3)).unwrap()
}

fn recipe(seed: u64, used: usize) -> Recipe {
    Recipe { shape: tiny(), seed, mechanism: Mechanism::Auction, used }
}

/// Honest, with operations; slot 3 is empty, slot 1 in debt.
pub fn operated(kinds: &[Kind]) -> SettlementInput {
    with_operations(&recipe(7, 3), kinds, Extras::default()).unwrap()
}

pub fn with_extras(extras: Extras) -> SettlementInput {
    with_operations(&recipe(7, 3), &[], extras).unwrap()
}

pub fn corrected() -> SettlementInput {
    with_extras(Extras { correction: true, ..Extras::default() })
}

pub fn managed() -> SettlementInput {
    with_extras(Extras { management: true, ..Extras::default() })
}

pub fn moved(pool: Pool) -> SettlementInput {
    with_extras(Extras { header: Some(pool), ..Extras::default() })
}

pub fn traced(input: SettlementInput) -> Trace {
    build(&compute(input), table(&tiny()))
}

/// The first operation changed before it is signed.
pub fn asked(kind: Kind, change: impl Fn(&mut Operation)) -> SettlementInput {
    let mut i = operated(&[kind]);
    change(&mut i.operations.slots[0].operation);
    resign_operation(&mut i, 0).unwrap();
    i
}

/// The first operation changed after it was signed.
pub fn altered(kind: Kind, change: impl Fn(&mut SignedOperation)) -> Trace {
    let mut i = operated(&[kind]);
    change(&mut i.operations.slots[0]);
    traced(i)
}

/// A value that operation slot 0 computes is off.
pub fn off(kind: Kind, clause: &'static str, nth: usize, by: u64) -> Trace {
    falsified(&apply(operated(&[kind])).unwrap(), clause, nth, Fr::from(by))
}

/// Signs other elements than a well-formed operation has, by everybody who has to sign the first operation slot.
pub fn sign_elements(i: &mut SettlementInput, change: impl Fn(&mut [field::Fr])) {
    let signed = &mut i.operations.slots[0];
    let mut elements = signed.operation.elements(i.domain);
    change(&mut elements);
    let message = [sponge(DomainTag::Operation, &elements)];
    let key = (0..8)
        .flat_map(|slot| [owner_key(slot), next_owner_key(slot)])
        .find(|key| key.public() == signed.owner.key)
        .unwrap();
    signed.signature = key.sign(DomainTag::Operation, &message).unwrap();
    signed.mdm = signed.mdm.map(|_| mdm_key().sign(DomainTag::Operation, &message).unwrap());
}
