//! Mutants of who signed an operation, and for what (OP.1, OP.2).

use gridveil_circuits::trace::Trace;
use gridveil_protocol::{
    field,
    fixture::{mdm_key, next_mdm_key, next_owner_key, owner_key, resign_operation},
    operation::{Kind, nobody},
    owner::owner_of,
    params::UNIT_NANO,
    poseidon::DomainTag,
};

use super::{
    Mutants,
    fixtures::{altered, asked, operated, traced},
};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("OP.1", "forged owner signature: another amount than the owner signed", || {
        altered(Kind::Withdraw, |s| s.operation.amount += UNIT_NANO)
    });
    mutants.add("OP.1", "forged owner signature: the operator signs with its own key", || {
        let mut i = operated(&[Kind::Withdraw]);
        i.operations.slots[0].owner = owner_of(&next_owner_key(0));
        resign_operation(&mut i, 0).unwrap();
        traced(i)
    });
    mutants.add("OP.1", "forged owner signature: nobody's", || {
        let mut i = operated(&[Kind::Send]);
        i.operations.slots[0].owner = nobody();
        resign_operation(&mut i, 0).unwrap();
        traced(i)
    });
    mutants.add("OP.1", "forged owner signature: the owner's key with another nullifier key", || {
        altered(Kind::Withdraw, |s| s.owner.nullifier += field::Fr::from(1u64))
    });
    mutants.add("OP.1", "replayed nonce: the operation of a period before", || {
        traced(asked(Kind::Withdraw, |o| o.nonce = o.nonce.wrapping_sub(1)))
    });
    mutants.add("OP.1", "an operation for another community", || {
        let mut i = asked(Kind::Withdraw, |o| o.community += 1);
        i.operations.slots[0].operation.community -= 1;
        traced(i)
    });
    mutants.add("OP.1", "an operation for another deployment", || {
        let mut i = operated(&[Kind::Withdraw]);
        let op = i.operations.slots[0].operation;
        let key = owner_key(usize::from(op.slot));
        i.operations.slots[0] = op.sign(i.domain + field::Fr::from(1u64), &key, owner_of(&key)).unwrap();
        traced(i)
    });
    mutants.add("OP.1", "an operation signed as another kind", || {
        let mut i = asked(Kind::Withdraw, |o| o.kind = Kind::Rotate);
        i.operations.slots[0].operation.kind = Kind::Withdraw;
        traced(i)
    });
    mutants.add("OP.1", "a packet's signature on an operation", || {
        let mut i = operated(&[Kind::Withdraw]);
        let op = i.operations.slots[0].operation;
        i.operations.slots[0].signature =
            owner_key(usize::from(op.slot)).sign(DomainTag::Packet, &[op.message(i.domain)]).unwrap();
        traced(i)
    });
    mutants.add("OP.1", "operator changes the payout of a new owner", || {
        altered(Kind::Rotate, |s| s.operation.payout = [0xee; 20])
    });
    mutants.add("OP.1", "operator changing a member's keys: another new owner than the message's", || {
        altered(Kind::Rotate, |s| s.operation.party = owner_of(&next_owner_key(3)).commitment())
    });
    mutants.add("OP.2", "enrolment without the meter data manager", || by_another_mdm(Kind::Enrol));
    mutants.add("OP.2", "another meter without the meter data manager", || by_another_mdm(Kind::Replace));
    mutants.add("OP.2", "other terms without the meter data manager", || by_another_mdm(Kind::Terms));
    mutants.add("OP.2", "the meter data manager signed a management, not an enrolment", || {
        let mut i = operated(&[Kind::Enrol]);
        let message = i.operations.slots[0].operation.message(i.domain);
        i.operations.slots[0].mdm = Some(mdm_key().sign(DomainTag::HeaderOperation, &[message]).unwrap());
        traced(i)
    });
}

fn by_another_mdm(kind: Kind) -> Trace {
    altered(kind, |s| s.mdm = s.operation.sign(domain(), &next_mdm_key(), nobody()).ok().map(|s| s.signature))
}

fn domain() -> field::Fr {
    operated(&[]).domain
}
