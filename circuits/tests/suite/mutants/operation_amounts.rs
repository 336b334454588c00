//! Mutants of an operation's money: whose, how much, to whom (OP.3 to OP.7).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{owner_key, reroot, resign_operation},
    operation::{Kind, Operation, claim},
    owner::owner_of,
    params::UNIT_NANO,
    record::{Record, RecordKind, digest},
    settlement::{SettlementInput, apply, compute},
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{asked, off, operated, sign_elements, traced},
};
use crate::common::{falsified, lifted, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("OP.3", "a withdrawal from a balance that the leaf does not have", || {
        let t = apply(operated(&[Kind::Withdraw])).unwrap();
        let balance = t.applied.slots[0].before.balance;
        tampered(&t, &[(("OP.3", "balance", 0), Fr::from(balance + 77))])
    });
    mutants.add("OP.3", "L1's queue names one slot, another is debited", || {
        let t = apply(operated(&[Kind::Forced])).unwrap();
        tampered(&t, &[(("OP.3", "slot", 0), Fr::from(t.applied.slots[0].slot as u64 + 1))])
    });
    // Nobody signs: the weights of -1 and 1 cancel in what asks for a signature, a record and an exclusive kind, but
    // not in the direction of money.
    mutants.add("OP.3", "money out of nothing by half of a send and half of a receive", || {
        let t = apply(operated(&[])).unwrap();
        let kind = |kind: Kind| ("OP.3", "kind", kind as usize - 1);
        tampered(
            &t,
            &[
                (kind(Kind::Send), -Fr::ONE),
                (kind(Kind::Receive), Fr::ONE),
                (("OP.4", "amount", 0), Fr::from(1_000_000)),
            ],
        )
    });
    // Six is a close's number, and a deposit's plus a rotation's: the owner's signature is over their sum.
    mutants.add("OP.3", "a close that its owner signed is carried out as a deposit and a rotation", || {
        let t = apply(operated(&[Kind::Close])).unwrap();
        let kind = |kind: Kind| ("OP.3", "kind", kind as usize - 1);
        assert_eq!(Kind::Deposit as u8 + Kind::Rotate as u8, Kind::Close as u8);
        let bits = [(Kind::Close, Fr::ZERO), (Kind::Deposit, Fr::ONE), (Kind::Rotate, Fr::ONE)];
        tampered(&t, &bits.map(|(of, bit)| (kind(of), bit)))
    });
    mutants.add("OP.4", "withdraw more than the balance", || {
        traced(rich(asked_of(Kind::Withdraw, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO)))
    });
    mutants.add("OP.4", "send more than the balance", || traced(rich(asked_of(Kind::Send, |balance| balance + 1))));
    mutants.add("OP.4", "withdraw while in debt", || in_debt(Kind::Withdraw));
    mutants.add("OP.4", "send while in debt", || in_debt(Kind::Send));
    mutants.add("OP.4", "close while in debt", || in_debt(Kind::Close));
    mutants.add("OP.4", "a fraction of a unit is withdrawn and a whole one paid", || {
        traced(asked_of(Kind::Withdraw, |_| UNIT_NANO - 1))
    });
    mutants.add("OP.4", "more units paid on L1 than leave the balance", || {
        let t = apply(operated(&[Kind::Withdraw])).unwrap();
        let units = t.input.operations.slots[0].operation.units();
        tampered(&t, &[(("OP.4", "units", 0), Fr::from(units + 1))])
    });
    mutants.add("OP.4", "2^48 units and more: a record that reads as a slot", || {
        let mut i = operated(&[Kind::Withdraw]);
        let unit = Fr::from(UNIT_NANO);
        let units = (Fr::from(5) * unit.invert().unwrap(), 5);
        i.operations.slots[0].operation.amount = units.1;
        resign_operation(&mut i, 0).unwrap();
        tampered(&compute(i), &[(("OP.4", "units", 0), units.0)])
    });
    mutants.add("OP.4", "send that does not debit", || {
        let t = apply(operated(&[Kind::Send])).unwrap();
        falsified(&t, "OP.4", 9, Fr::from(t.input.operations.slots[0].operation.amount))
    });
    mutants.add("OP.4", "operator crediting itself in an operation slot", || {
        let t = apply(operated(&[Kind::Rotate])).unwrap();
        tampered(&t, &[(("OP.4", "balance_after", 0), Fr::from(t.after.accounts[0].balance + 1))])
    });
    mutants.add("OP.4", "balance and debt inflated together", || {
        let t = apply(operated(&[Kind::Withdraw])).unwrap();
        let after = &t.applied.slots[0].used.as_ref().unwrap().1.after;
        let edits = [("balance_after", after.balance), ("debt_after", after.debt)]
            .map(|(name, value)| (("OP.4", name, 0), Fr::from(value + 1000)));
        tampered(&t, &edits)
    });
    mutants.add("OP.5", "receive without opening: a claim of one nano as 2^40", || overstated_claim(Kind::Receive));
    mutants.add("OP.5", "a claim that is worth more than was sent", || overstated_claim(Kind::Send));
    mutants.add("OP.5", "claim of another's deposit", || off(Kind::Deposit, "OP.5", 1, 1));
    mutants.add("OP.5", "receive without opening: a claim of another amount", || off(Kind::Receive, "OP.5", 2, 1));
    mutants.add("OP.6", "closing leaves units to the supplier account", || {
        traced(asked_of(Kind::Close, |balance| (balance / UNIT_NANO - 1) * UNIT_NANO))
    });
    mutants.add("OP.6", "closing pays more than the balance", || {
        traced(asked_of(Kind::Close, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO))
    });
    mutants.add("OP.6", "forced entry that pays less", || {
        traced(asked_of(Kind::Forced, |balance| (balance / UNIT_NANO - 1) * UNIT_NANO))
    });
    mutants.add("OP.6", "forced entry that pays nothing", || traced(asked_of(Kind::Forced, |_| 0)));
    mutants.add("OP.6", "forced entry that pays more", || {
        traced(rich(asked_of(Kind::Forced, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO)))
    });
    mutants.add("OP.6", "a closed slot keeps a rest", || {
        falsified(&apply(operated(&[Kind::Close])).unwrap(), "OP.6", 4, -Fr::ONE)
    });
    mutants
        .add("OP.7", "forced entry that pays somebody else", || traced(asked(Kind::Forced, |o| o.payout = [0xee; 20])));
    mutants.add("OP.7", "a payout address is treated as a stranger", || {
        let t = compute(asked_of(Kind::Forced, |_| 0));
        falsified(&t, "OP.7", 1, -Fr::ONE)
    });
}

/// Takes in a claim of one nano as 2^40: the payout it names is no address but whatever keeps `amount + payout 2^64` as
/// it was.
fn overstated_claim(kind: Kind) -> Trace {
    let two = |n: u32| field::shifted(1, n);
    let mut i = operated(&[kind]);
    let op = i.operations.slots[0].operation;
    let owner = i.operations.slots[0].owner.commitment();
    let (recipient, amount) = if kind == Kind::Send { (op.party, 0) } else { (owner, 1 << 40) };
    let told = 1u64;
    let opened = claim(recipient, told, &op.payout, [op.salts[0], op.salts[1]]);
    let payout =
        (field::Fr::from(told) + field::reduce::<field::Fr>(&op.payout) * two(64) - field::Fr::from(amount)) / two(64);
    i.operations.slots[0].operation.amount = amount;
    sign_elements(&mut i, |elements| elements[4] = payout);
    let trace = tampered(&compute(i), &[(("OP.1", "payout", 0), lifted(&payout))]);
    let record_kind = if kind == Kind::Send { RecordKind::Send } else { RecordKind::Receive };
    assert_eq!(
        trace.instance()[7],
        lifted(&digest(&[Record::new(record_kind, 0, 0, opened)])),
        "L1 sees the claim of one nano"
    );
    trace
}

/// The first operation asks for this amount of its balance.
fn asked_of(kind: Kind, amount: impl Fn(u64) -> u64) -> SettlementInput {
    let balance = compute(operated(&[kind])).applied.slots[0].before.balance;
    asked(kind, |o| o.amount = amount(balance))
}

/// A supplier account that can pay for anything.
fn rich(mut i: SettlementInput) -> SettlementInput {
    i.community.header.supplier_account = 1 << 60;
    reroot(&mut i);
    i
}

/// The debtor of slot 1 pays out one unit, or nothing if it closes.
fn in_debt(kind: Kind) -> Trace {
    let mut i = rich(operated(&[]));
    let mut op = Operation::new(kind, i.community.index, 1, i.community.accounts[1].nonce);
    op.amount = if kind == Kind::Close { 0 } else { UNIT_NANO };
    if kind == Kind::Send {
        op.party = owner_of(&owner_key(2)).commitment();
    }
    i.operations.slots = vec![op.sign(i.domain, &owner_key(1), owner_of(&owner_key(1))).unwrap()];
    let t = compute(i);
    assert!(t.settled[1].debt > 0);
    build(&t, table(&tiny()))
}
