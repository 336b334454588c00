//! Soundness of everything beside settling: what each clause of `docs/spec/operations.md` refuses.
//!
//! As in `mutants.rs`: an honest statement with one edit that everything downstream follows, so that only the clause
//! that guards it can refuse.

mod others;

use std::collections::BTreeSet;

use crate::common::{clauses, falsified, lifted, only, refusals, tampered, tiny};
use gridveil_circuits::{Fr, settlement::build, settlement::table, trace::Trace};
use gridveil_protocol::{
    account::Terms,
    field,
    fixture::{
        Extras, Recipe, beginning, mdm_key, meter_key, next_mdm_key, next_owner_key, owner_key, reroot, resign,
        resign_correction, resign_management, resign_operation, with_operations,
    },
    header_operation::{Place, Pool, SignedManagement, Transfer},
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation, claim, nobody},
    owner::owner_of,
    packet::{Packet, Reading},
    params::UNIT_NANO,
    poseidon::{DomainTag, sponge},
    record::{Record, RecordKind, digest},
    settlement::{SettlementInput, Transition, apply, compute},
    tree::SparseTree,
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

fn corrected() -> SettlementInput {
    with_extras(Extras { correction: true, ..Extras::default() })
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
    change(&mut i.operations.slots[0].operation);
    resign_operation(&mut i, 0).unwrap();
    i
}

/// The first operation changed after it was signed.
fn altered(kind: Kind, change: impl Fn(&mut SignedOperation)) -> Trace {
    let mut i = operated(&[kind]);
    change(&mut i.operations.slots[0]);
    traced(i)
}

/// A value that operation slot 0 computes is off.
fn off(kind: Kind, clause: &'static str, nth: usize, by: u64) -> Trace {
    falsified(&apply(operated(&[kind])).unwrap(), clause, nth, Fr::from(by))
}

/// Signs other elements than a well-formed operation has, by everybody who has to sign the first operation slot.
fn sign_elements(i: &mut SettlementInput, change: impl Fn(&mut [field::Fr])) {
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

/// A used slot that passes for an empty one: its owner has no meter.
fn without_meter(kind: Kind) -> Trace {
    let mut i = asked(kind, |o| o.meter = None);
    assert!(apply(i.clone()).is_err());
    i.operations.slots[0].operation.meter = None;
    traced(i)
}

/// Clause that refuses alone, theft, how.
type Mutant = (&'static str, &'static str, Box<dyn Fn() -> Trace>);

fn operation_mutants() -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut add = |clause, theft, make: Box<dyn Fn() -> Trace>| mutants.push((clause, theft, make));
    add(
        "OP.1",
        "forged owner signature: another amount than the owner signed",
        Box::new(|| altered(Kind::Withdraw, |s| s.operation.amount += UNIT_NANO)),
    );
    add(
        "OP.1",
        "forged owner signature: the operator signs with its own key",
        Box::new(|| {
            let mut i = operated(&[Kind::Withdraw]);
            i.operations.slots[0].owner = owner_of(&next_owner_key(0));
            resign_operation(&mut i, 0).unwrap();
            traced(i)
        }),
    );
    add(
        "OP.1",
        "forged owner signature: nobody's",
        Box::new(|| {
            let mut i = operated(&[Kind::Send]);
            i.operations.slots[0].owner = nobody();
            resign_operation(&mut i, 0).unwrap();
            traced(i)
        }),
    );
    add(
        "OP.1",
        "forged owner signature: the owner's key with another nullifier key",
        Box::new(|| altered(Kind::Withdraw, |s| s.owner.nullifier += field::Fr::from(1u64))),
    );
    add(
        "OP.1",
        "replayed nonce: the operation of a period before",
        Box::new(|| traced(asked(Kind::Withdraw, |o| o.nonce = o.nonce.wrapping_sub(1)))),
    );
    add(
        "OP.1",
        "an operation for another community",
        Box::new(|| {
            let mut i = asked(Kind::Withdraw, |o| o.community += 1);
            i.operations.slots[0].operation.community -= 1;
            traced(i)
        }),
    );
    add(
        "OP.1",
        "an operation for another deployment",
        Box::new(|| {
            let mut i = operated(&[Kind::Withdraw]);
            let op = i.operations.slots[0].operation;
            let key = owner_key(usize::from(op.slot));
            i.operations.slots[0] = op.sign(i.domain + field::Fr::from(1u64), &key, owner_of(&key)).unwrap();
            traced(i)
        }),
    );
    add(
        "OP.1",
        "an operation signed as another kind",
        Box::new(|| {
            let mut i = asked(Kind::Withdraw, |o| o.kind = Kind::Rotate);
            i.operations.slots[0].operation.kind = Kind::Withdraw;
            traced(i)
        }),
    );
    add(
        "OP.1",
        "a packet's signature on an operation",
        Box::new(|| {
            let mut i = operated(&[Kind::Withdraw]);
            let op = i.operations.slots[0].operation;
            i.operations.slots[0].signature =
                owner_key(usize::from(op.slot)).sign(DomainTag::Packet, &[op.message(i.domain)]).unwrap();
            traced(i)
        }),
    );
    add(
        "OP.1",
        "operator changes the payout of a new owner",
        Box::new(|| altered(Kind::Rotate, |s| s.operation.payout = [0xee; 20])),
    );
    add(
        "OP.1",
        "operator changing a member's keys: another new owner than the message's",
        Box::new(|| altered(Kind::Rotate, |s| s.operation.party = owner_of(&next_owner_key(3)).commitment())),
    );
    add("OP.2", "enrolment without the meter data manager", Box::new(|| by_another_mdm(Kind::Enrol)));
    add("OP.2", "another meter without the meter data manager", Box::new(|| by_another_mdm(Kind::Replace)));
    add("OP.2", "other terms without the meter data manager", Box::new(|| by_another_mdm(Kind::Terms)));
    add(
        "OP.2",
        "the meter data manager signed a management, not an enrolment",
        Box::new(|| {
            let mut i = operated(&[Kind::Enrol]);
            let message = i.operations.slots[0].operation.message(i.domain);
            i.operations.slots[0].mdm = Some(mdm_key().sign(DomainTag::HeaderOperation, &[message]).unwrap());
            traced(i)
        }),
    );
    add(
        "OP.3",
        "a withdrawal from a balance that the leaf does not have",
        Box::new(|| {
            let t = apply(operated(&[Kind::Withdraw])).unwrap();
            let balance = t.applied.slots[0].before.balance;
            tampered(&t, &[(("OP.3", "balance", 0), Fr::from(balance + 77))])
        }),
    );
    add(
        "OP.3",
        "L1's queue names one slot, another is debited",
        Box::new(|| {
            let t = apply(operated(&[Kind::Forced])).unwrap();
            tampered(&t, &[(("OP.3", "slot", 0), Fr::from(t.applied.slots[0].slot as u64 + 1))])
        }),
    );
    // Nobody signs: the weights of -1 and 1 cancel in what asks for a signature, a record and an exclusive kind, but
    // not in the direction of money.
    add(
        "OP.3",
        "money out of nothing by half of a send and half of a receive",
        Box::new(|| {
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
        }),
    );
    add(
        "OP.4",
        "withdraw more than the balance",
        Box::new(|| traced(rich(asked_of(Kind::Withdraw, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO)))),
    );
    add("OP.4", "send more than the balance", Box::new(|| traced(rich(asked_of(Kind::Send, |balance| balance + 1)))));
    add("OP.4", "withdraw while in debt", Box::new(|| in_debt(Kind::Withdraw)));
    add("OP.4", "send while in debt", Box::new(|| in_debt(Kind::Send)));
    add("OP.4", "close while in debt", Box::new(|| in_debt(Kind::Close)));
    add(
        "OP.4",
        "a fraction of a unit is withdrawn and a whole one paid",
        Box::new(|| traced(asked_of(Kind::Withdraw, |_| UNIT_NANO - 1))),
    );
    add(
        "OP.4",
        "more units paid on L1 than leave the balance",
        Box::new(|| {
            let t = apply(operated(&[Kind::Withdraw])).unwrap();
            let units = t.input.operations.slots[0].operation.units();
            tampered(&t, &[(("OP.4", "units", 0), Fr::from(units + 1))])
        }),
    );
    add(
        "OP.4",
        "2^48 units and more: a record that reads as a slot",
        Box::new(|| {
            let mut i = operated(&[Kind::Withdraw]);
            let unit = Fr::from(UNIT_NANO);
            let units = (Fr::from(5) * unit.invert().unwrap(), 5);
            i.operations.slots[0].operation.amount = units.1;
            resign_operation(&mut i, 0).unwrap();
            tampered(&compute(i), &[(("OP.4", "units", 0), units.0)])
        }),
    );
    add(
        "OP.4",
        "send that does not debit",
        Box::new(|| {
            let t = apply(operated(&[Kind::Send])).unwrap();
            falsified(&t, "OP.4", 9, Fr::from(t.input.operations.slots[0].operation.amount))
        }),
    );
    add(
        "OP.4",
        "operator crediting itself in an operation slot",
        Box::new(|| {
            let t = apply(operated(&[Kind::Rotate])).unwrap();
            tampered(&t, &[(("OP.4", "balance_after", 0), Fr::from(t.after.accounts[0].balance + 1))])
        }),
    );
    add(
        "OP.4",
        "balance and debt inflated together",
        Box::new(|| {
            let t = apply(operated(&[Kind::Withdraw])).unwrap();
            let after = &t.applied.slots[0].used.as_ref().unwrap().1.after;
            let edits = [("balance_after", after.balance), ("debt_after", after.debt)]
                .map(|(name, value)| (("OP.4", name, 0), Fr::from(value + 1000)));
            tampered(&t, &edits)
        }),
    );
    add("OP.5", "receive without opening: a claim of one nano as 2^40", Box::new(|| overstated_claim(Kind::Receive)));
    add("OP.5", "a claim that is worth more than was sent", Box::new(|| overstated_claim(Kind::Send)));
    add("OP.5", "claim of another's deposit", Box::new(|| off(Kind::Deposit, "OP.5", 1, 1)));
    add("OP.5", "receive without opening: a claim of another amount", Box::new(|| off(Kind::Receive, "OP.5", 2, 1)));
    add(
        "OP.6",
        "closing leaves units to the supplier account",
        Box::new(|| traced(asked_of(Kind::Close, |balance| (balance / UNIT_NANO - 1) * UNIT_NANO))),
    );
    add(
        "OP.6",
        "closing pays more than the balance",
        Box::new(|| traced(asked_of(Kind::Close, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO))),
    );
    add(
        "OP.6",
        "forced entry that pays less",
        Box::new(|| traced(asked_of(Kind::Forced, |balance| (balance / UNIT_NANO - 1) * UNIT_NANO))),
    );
    add("OP.6", "forced entry that pays nothing", Box::new(|| traced(asked_of(Kind::Forced, |_| 0))));
    add(
        "OP.6",
        "forced entry that pays more",
        Box::new(|| traced(rich(asked_of(Kind::Forced, |balance| (balance / UNIT_NANO + 1) * UNIT_NANO)))),
    );
    add(
        "OP.6",
        "a closed slot keeps a rest",
        Box::new(|| falsified(&apply(operated(&[Kind::Close])).unwrap(), "OP.6", 4, -Fr::ONE)),
    );
    add(
        "OP.7",
        "forced entry that pays somebody else",
        Box::new(|| traced(asked(Kind::Forced, |o| o.payout = [0xee; 20]))),
    );
    add(
        "OP.7",
        "a payout address is treated as a stranger",
        Box::new(|| {
            let t = compute(asked_of(Kind::Forced, |_| 0));
            falsified(&t, "OP.7", 1, -Fr::ONE)
        }),
    );
    add("OP.8", "enrolment in a used slot", Box::new(|| traced(enrolled_over())));
    add("OP.9", "an account without a meter is enrolled", Box::new(|| without_meter(Kind::Enrol)));
    add("OP.9", "a meter is replaced by none", Box::new(|| without_meter(Kind::Replace)));
    add("OP.9", "terms with a scale that does not exist", Box::new(|| traced(terms_of(2, |terms| terms.scale = 7))));
    add("OP.9", "terms with a class that does not exist", Box::new(|| traced(terms_of(2, |terms| terms.class = 2))));
    for (theft, slot, field, bit) in
        [("new terms forgive a debt", 1, 5, 0), ("new terms wind the nonce back", 2, 1, 64)]
    {
        add(
            "OP.9",
            theft,
            Box::new(move || {
                let mut i = terms_of(slot, |_| ());
                let less = field::shifted(field, bit);
                sign_elements(&mut i, |elements| elements[11] -= less);
                let terms = i.operations.slots[0].operation.terms.unwrap().packed() - less;
                tampered(&compute(i), &[(("OP.1", "terms", 0), lifted(&terms))])
            }),
        );
    }
    add(
        "OP.9",
        "an operation that may be replayed: the nonce stays",
        Box::new(|| falsified(&apply(operated(&[Kind::Withdraw])).unwrap(), "OP.9", 4, -Fr::ONE)),
    );
    for (theft, nth) in [
        ("operator takes the payout", 26),
        ("operator changing a member's keys: the owner", 30),
        ("operator changing a member's keys: the meter", 34),
        ("registers forgotten", 41),
        ("a substitute put in the place of the pending one", 44),
        ("operator changing a member's salts: s1", 46),
        ("operator changing a member's salts: s4", 52),
    ] {
        add("OP.9", theft, Box::new(move || off(Kind::Withdraw, "OP.9", nth, 1)));
    }
    add(
        "OP.9",
        "a pending substitute of the meter before",
        Box::new(|| {
            let t = apply(operated(&[Kind::Replace])).unwrap();
            falsified(&t, "OP.9", 44, Fr::from(99))
        }),
    );
    // Two values serve OP.10 before the first operation slot: the record of a beginning.
    for (theft, nth) in [
        ("a withdrawal as another kind of record", 2),
        ("more units in the record", 6),
        ("paid to another address", 11),
        ("withdrawal that L1 does not see", 14),
    ] {
        add(
            "OP.10",
            theft,
            Box::new(move || falsified(&apply(operated(&[Kind::Withdraw])).unwrap(), "OP.10", nth, -Fr::ONE)),
        );
    }
    add(
        "OP.11",
        "L1 is told other words than the chain has",
        Box::new(|| {
            let t = apply(operated(&[Kind::Withdraw])).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("OP.11").unwrap() - 1;
            falsified(&t, "OP.11", last, Fr::ONE)
        }),
    );
    mutants
}

fn by_another_mdm(kind: Kind) -> Trace {
    altered(kind, |s| s.mdm = s.operation.sign(domain(), &next_mdm_key(), nobody()).ok().map(|s| s.signature))
}

fn domain() -> field::Fr {
    operated(&[]).domain
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

fn all_mutants() -> Vec<Mutant> {
    operation_mutants().into_iter().chain(others::other_mutants()).collect()
}

#[test]
fn every_mutant_is_refused_by_its_clause_alone() {
    let mut failed = Vec::new();
    for (clause, theft, make) in all_mutants() {
        let found = clauses(refusals(tiny(), &make()));
        if found != only(clause) {
            failed.push(format!("{clause} ({theft}): {found:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Ids of the specification: what stands first between two asterisks.
#[test]
fn no_clause_is_without_a_mutant() {
    let specification = include_str!("../../../docs/spec/operations.md");
    let is_id =
        |word: &&str| ["OP.", "ADJUST.", "HEADER.", "STATE.", "NOTES."].iter().any(|family| word.starts_with(family));
    let bold = specification.split("**").skip(1).step_by(2);
    let named: BTreeSet<&str> =
        bold.filter_map(|text| text.split([' ', '.']).next().and(text.split(' ').next())).filter(is_id).collect();
    let table = all_mutants();
    let covered: BTreeSet<&str> = table.iter().map(|(clause, ..)| *clause).collect();
    assert_eq!(named, covered);
    assert_eq!(named.len(), 24);
}

/// Ways to cheat, and the clause that refuses each: a mutant's theft begins with these words. The last three are of
/// `mutants.rs`.
const CHEATS: [(&str, &str); 23] = [
    ("forged owner signature", "OP.1"),
    ("replayed nonce", "OP.1"),
    ("enrolment without the meter data manager", "OP.2"),
    ("withdraw more than the balance", "OP.4"),
    ("withdraw while in debt", "OP.4"),
    ("send that does not debit", "OP.4"),
    ("operator crediting itself", "OP.4"),
    ("claim of another's deposit", "OP.5"),
    ("receive without opening", "OP.5"),
    ("forced entry that pays less", "OP.6"),
    ("forced entry that pays more", "OP.6"),
    ("forced entry that pays somebody else", "OP.7"),
    ("enrolment in a used slot", "OP.8"),
    ("operator changing a member's salts", "OP.9"),
    ("operator changing a member's keys", "OP.9"),
    ("correct twice", "ADJUST.1"),
    ("supplier account below reserve", "HEADER.1"),
    ("meter data manager change without the meter data manager", "HEADER.3"),
    ("skip unsigned", "HEADER.5"),
    ("a community begins with a balance", "STATE.INIT"),
    ("certificates for substituted readings", "SETTLE.10"),
    ("operator puts its own salts under a signed packet", "SETTLE.1"),
    ("operator credits an account", "SETTLE.8"),
];

#[test]
fn every_cheat_has_a_mutant() {
    let table = all_mutants();
    let settlement = include_str!("mutants.rs");
    for (cheat, clause) in CHEATS {
        let here = table.iter().any(|(by, theft, _)| *by == clause && theft.starts_with(cheat));
        assert!(here || settlement.contains(&format!("add(\"{clause}\", \"{cheat}\"")), "{clause}: {cheat}");
    }
}

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
