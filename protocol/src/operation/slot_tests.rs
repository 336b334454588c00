//! One refusal for each fact, in the order of the clauses; then what each operation does, and what it does not.

use std::collections::HashSet;

use super::*;
use crate::{
    fixture::{
        Extras, Recipe, mdm_key, meter_key, next_owner_key, owner_key, reroot, resign_operation, with_operations,
    },
    market::Mechanism,
    operation::{EFFECTS, Operation},
    operation_slots::OperationsError,
    owner::owner_of,
    params::Shape,
    receipt::Receipt,
    record::RecordKind,
    settlement::{SettlementError, SettlementInput, Transition, apply},
};

fn with(kinds: &[Kind]) -> SettlementInput {
    let shape = Shape { operations: 6, ..Shape::by_name("tiny-4x2").unwrap() };
    let recipe = Recipe { shape, seed: 5, mechanism: Mechanism::Auction, used: 3 };
    with_operations(&recipe, kinds, Extras::default()).unwrap()
}

fn refusal(input: SettlementInput) -> OperationError {
    let refused = apply(input).unwrap_err();
    let SettlementError::Operations(OperationsError::Operation { source, .. }) = refused.clone() else {
        panic!("{refused}")
    };
    source
}

/// What a kind is refused for after an edit of its operation, signed again.
fn edited(kind: Kind, edit: impl FnOnce(&mut SettlementInput)) -> OperationError {
    let mut input = with(&[kind]);
    edit(&mut input);
    resign_operation(&mut input, 0).unwrap();
    reroot(&mut input);
    refusal(input)
}

fn changed(kind: Kind, edit: impl FnOnce(&mut Operation)) -> OperationError {
    edited(kind, |input| edit(&mut input.operations.slots[0].operation))
}

fn accepted(kinds: &[Kind]) -> Transition {
    apply(with(kinds)).unwrap()
}

#[test]
fn every_refusal_is_reached() {
    let one = Fr::from(1u64);
    let mut unsigned = with(&[Kind::Withdraw]);
    unsigned.operations.slots[0].operation.amount += UNIT_NANO;
    let mut late = with(&[Kind::Enrol]);
    late.community.accounts[3].nonce = 4;
    reroot(&mut late);
    let cases = [
        (refusal(unsigned), OperationError::Signature(SchnorrError::Mismatch)),
        (edited(Kind::Withdraw, |i| i.operations.slots[0].owner = owner_of(&owner_key(3))), OperationError::NotOwner),
        (refusal(late), OperationError::Nonce { expected: 4, got: 0 }),
        (
            edited(Kind::Rotate, |i| {
                i.community.accounts[0].nonce = u32::MAX;
                i.operations.slots[0].operation.nonce = u32::MAX;
            }),
            OperationError::NonceOverflow,
        ),
        (changed(Kind::Deposit, |o| o.community += 1), OperationError::Slot),
        (changed(Kind::Deposit, |o| o.slot = 9), OperationError::Slot),
        (changed(Kind::Deposit, |o| o.party = one), OperationError::Field("party")),
        (changed(Kind::Withdraw, |o| o.amount += 1), OperationError::Units),
        (changed(Kind::Deposit, |o| o.amount += 1), OperationError::Units),
        (changed(Kind::Withdraw, |o| o.amount += 1_000_000 * UNIT_NANO), OperationError::Insufficient),
        (changed(Kind::Send, |o| o.amount = u64::MAX), OperationError::Insufficient),
        (in_debt(Kind::Withdraw, UNIT_NANO), OperationError::InDebt),
        (in_debt(Kind::Send, 1), OperationError::InDebt),
        (in_debt(Kind::Close, 0), OperationError::InDebt),
        (in_debt(Kind::Withdraw, 0), OperationError::InDebt),
        (changed(Kind::Receive, |o| o.amount = u64::MAX), OperationError::Overflow),
        (changed(Kind::Close, |o| o.amount -= UNIT_NANO), OperationError::NotAll),
        (changed(Kind::Close, |o| o.amount += UNIT_NANO), OperationError::NotAll),
        (changed(Kind::Forced, |o| o.amount -= UNIT_NANO), OperationError::Forced),
        (changed(Kind::Forced, |o| o.payout = [1; 20]), OperationError::Forced),
        (
            edited(Kind::Enrol, |i| {
                let operation = &mut i.operations.slots[0].operation;
                (operation.slot, operation.nonce) = (0, i.community.accounts[0].nonce);
            }),
            OperationError::NotEmpty,
        ),
        (changed(Kind::Enrol, |o| o.terms.as_mut().unwrap().scale = 7), OperationError::Terms),
        (changed(Kind::Terms, |o| o.terms.as_mut().unwrap().class = 2), OperationError::Terms),
        (foreign_mdm(), OperationError::Mdm),
    ];
    let mut reached = HashSet::new();
    for (got, expected) in cases {
        assert_eq!(got, expected);
        assert!(got.clause().starts_with("OP.") && got.to_string().starts_with(got.clause()));
        reached.insert(std::mem::discriminant(&got));
    }
    assert_eq!(reached.len(), 15);
}

/// The owner signs in the meter data manager's place.
fn foreign_mdm() -> OperationError {
    let mut input = with(&[Kind::Replace]);
    let signed = input.operations.slots[0].clone();
    input.operations.slots[0] = signed.countersign(input.domain, &owner_key(0)).unwrap();
    refusal(input)
}

/// The debtor of slot 1 wants to pay out.
fn in_debt(kind: Kind, amount: u64) -> OperationError {
    let mut input = with(&[]);
    let mut operation = Operation::new(kind, 5, 1, input.community.accounts[1].nonce);
    operation.amount = amount;
    if kind == Kind::Send {
        operation.party = Fr::from(1u64);
    }
    input.operations.slots = vec![operation.sign(input.domain, &owner_key(1), owner_of(&owner_key(1))).unwrap()];
    refusal(input)
}

#[test]
fn a_message_says_nothing_that_the_operation_does_not_do() {
    let key = meter_key(9).public();
    for kind in EFFECTS.map(|effect| effect.kind) {
        let effect = kind.effect();
        if effect.flow == Flow::None {
            assert_eq!(changed(kind, |o| o.amount = UNIT_NANO), OperationError::Field("amount"));
        }
        assert_eq!(
            changed(kind, |o| o.party = if o.party == Fr::ZERO { Fr::from(1u64) } else { Fr::ZERO }),
            OperationError::Field("party")
        );
        if matches!(kind, Kind::Withdraw | Kind::Close | Kind::Replace | Kind::Terms) {
            assert_eq!(changed(kind, |o| o.payout = [1; 20]), OperationError::Field("payout"));
        }
        assert_eq!(
            changed(kind, |o| o.meter = if o.meter.is_some() { None } else { Some(key) }),
            OperationError::Field("meter")
        );
        let terms = Some(Terms::EMPTY);
        assert_eq!(
            changed(kind, |o| o.terms = if o.terms.is_some() { None } else { terms }),
            OperationError::Field("terms")
        );
        if kind != Kind::Enrol {
            assert_eq!(changed(kind, |o| o.salts[3] = Fr::from(1u64)), OperationError::Field("salts"));
        }
        let mut input = with(&[kind]);
        let signed = input.operations.slots[0].clone();
        input.operations.slots[0] = if effect.mdm {
            SignedOperation { mdm: None, ..signed }
        } else {
            signed.countersign(input.domain, &mdm_key()).unwrap()
        };
        assert_eq!(refusal(input), OperationError::Field("the meter data manager's signature"));
    }
}

#[test]
fn a_replay_is_refused_in_this_period_and_the_next() {
    for kind in EFFECTS.map(|effect| effect.kind).into_iter().filter(|kind| *kind != Kind::Forced) {
        let mut input = with(&[kind]);
        let again = input.operations.slots[0].clone();
        let nonce = again.operation.nonce;
        let t = apply(input.clone()).unwrap();
        input.operations.slots.push(again.clone());
        let expected = match kind {
            // The owner is another one, or nobody, before the nonce is looked at.
            Kind::Rotate | Kind::Close => OperationError::NotOwner,
            _ => OperationError::Nonce { expected: nonce + 1, got: nonce },
        };
        assert_eq!(refusal(input), expected, "{kind:?}");
        let mut next = crate::fixture::following(&t, 1, |_| false).unwrap();
        next.operations.slots = vec![again];
        assert_eq!(refusal(next), expected, "{kind:?}");
    }
}

#[test]
fn nobody_else_signs() {
    for kind in EFFECTS.map(|effect| effect.kind).into_iter().filter(|kind| *kind != Kind::Forced) {
        let mut input = with(&[kind]);
        let signed = &mut input.operations.slots[0];
        // The right key is named, another one has signed.
        signed.signature = signed.operation.sign(input.domain, &owner_key(77), signed.owner).unwrap().signature;
        assert!(matches!(refusal(input), OperationError::Signature(_)), "{kind:?}");
        assert_eq!(
            edited(kind, |i| i.operations.slots[0].owner = owner_of(&owner_key(77))),
            OperationError::NotOwner,
            "{kind:?}"
        );
        // Signed for another deployment.
        let mut input = with(&[kind]);
        let (operation, owner) = (input.operations.slots[0].operation, input.operations.slots[0].owner);
        let keys = [owner_key(usize::from(operation.slot)), schnorr::empty_slot_key()];
        let key = keys.into_iter().find(|key| key.public() == owner.key).unwrap();
        input.operations.slots[0].signature =
            operation.sign(input.domain + Fr::from(1u64), &key, owner).unwrap().signature;
        assert!(matches!(refusal(input), OperationError::Signature(_)), "{kind:?}");
    }
}

#[test]
fn an_empty_slot_has_no_owner_to_act() {
    for kind in [Kind::Deposit, Kind::Withdraw, Kind::Rotate, Kind::Replace, Kind::Terms, Kind::Close] {
        let error = changed(kind, |o| (o.slot, o.nonce) = (3, 0));
        assert_eq!(error, OperationError::NotOwner, "{kind:?}");
    }
}

#[test]
fn a_deposit_pays_debts_first_and_the_supplier_gets_them_back() {
    let without = apply(with(&[])).unwrap();
    let debt = without.settled[1].debt;
    assert!(debt > 2 * UNIT_NANO);
    for units in [1, debt / UNIT_NANO + 3] {
        let mut input = with(&[Kind::Deposit]);
        input.operations.slots[0].operation.amount = units * UNIT_NANO;
        resign_operation(&mut input, 0).unwrap();
        let t = apply(input).unwrap();
        let (amount, account) = (units * UNIT_NANO, &t.after.accounts[1]);
        assert_eq!((account.balance, account.debt), (amount.saturating_sub(debt), debt.saturating_sub(amount)));
        assert_eq!(t.supplier_after - without.supplier_after, Nano::from(amount.min(debt)));
        assert_eq!(t.after.header.totals.debt, account.debt);
        let claim = t.input.operations.slots[0].operation.claim(account.owner);
        assert_eq!(t.applied.records, [Record::new(RecordKind::Deposit, units, 0, claim)]);
    }
}

#[test]
fn a_closed_account_leaves_an_empty_slot_and_its_cents_to_the_supplier() {
    let without = accepted(&[]);
    let t = accepted(&[Kind::Close]);
    let slot = usize::from(t.input.operations.slots[0].operation.slot);
    let (settled, after) = (&t.settled[slot], &t.after.accounts[slot]);
    let cents = settled.balance % UNIT_NANO;
    assert!(cents > 0);
    assert_eq!(t.supplier_after - without.supplier_after, Nano::from(cents));
    assert_eq!(*after, Account { nonce: settled.nonce + 1, ..Account::empty(settled.salts) });
    assert_eq!(
        t.applied.records,
        [Record::new(RecordKind::Withdraw, settled.balance / UNIT_NANO, 0, reduce(&settled.payout))]
    );
    // The next period settles it as an empty slot, and it may be enrolled again: its nonce goes on.
    let t = accepted(&[Kind::Close, Kind::Enrol, Kind::Enrol]);
    assert!(t.after.accounts.iter().all(|a| a.meter.is_some()));
    assert_eq!(t.after.accounts[slot].nonce, settled.nonce + 2);
    assert_eq!(t.after.accounts[slot].registers, Registers::default());
    apply(crate::fixture::following(&t, 3, |_| false).unwrap()).unwrap();
}

#[test]
fn a_forced_withdrawal_pays_the_payout_address_and_nobody_else() {
    let t = accepted(&[Kind::Forced, Kind::Forced]);
    let [paid, stranger] = [0, 1].map(|operation_slot| t.applied.slots[operation_slot].clone());
    let (_, operation_slot) = paid.used.unwrap();
    assert_eq!(operation_slot.after, Account { balance: paid.before.balance % UNIT_NANO, ..paid.before.clone() });
    let slot = u32::try_from(paid.slot).unwrap();
    assert_eq!(
        operation_slot.record,
        Some(Record::new(RecordKind::Forced, paid.before.balance / UNIT_NANO, slot, reduce(&paid.before.payout)))
    );
    let (_, operation_slot) = stranger.used.unwrap();
    assert_eq!(operation_slot.after, stranger.before);
    let slot = u32::try_from(stranger.slot).unwrap();
    assert_eq!(operation_slot.record, Some(Record::new(RecordKind::Forced, 0, slot, reduce(&[0xee; 20]))));
    // A debtor is owed nothing, but its entry is served all the same.
    let mut input = with(&[Kind::Forced]);
    let debtor = input.community.accounts[1].clone();
    let operation = Operation { payout: debtor.payout, ..Operation::new(Kind::Forced, 5, 1, debtor.nonce) };
    input.operations.slots = vec![SignedOperation::forced(input.domain, operation).unwrap()];
    let t = apply(input).unwrap();
    assert_eq!(t.after.accounts[1], t.settled[1]);
}

#[test]
fn each_kind_changes_only_what_it_names() {
    for kind in EFFECTS.map(|effect| effect.kind) {
        let t = accepted(&[kind]);
        let (operation, applied) = (t.input.operations.slots[0].operation, &t.applied.slots[0]);
        let (before, operation_slot) = (&applied.before, &applied.used.as_ref().unwrap().1);
        let nonce = before.nonce + u32::from(kind != Kind::Forced);
        let mut expected =
            Account { nonce, balance: operation_slot.after.balance, debt: operation_slot.after.debt, ..before.clone() };
        match kind {
            Kind::Rotate => (expected.owner, expected.payout) = (operation.party, operation.payout),
            Kind::Close => expected = Account { nonce, ..Account::empty(before.salts) },
            Kind::Enrol => {
                expected = Account::empty(operation.leaf_salts());
                (expected.owner, expected.payout, expected.meter) =
                    (operation.party, operation.payout, operation.meter);
                expected.nonce = nonce;
                expected.terms = operation.terms.unwrap();
            }
            Kind::Replace => expected.meter = operation.meter,
            Kind::Terms => expected.terms = operation.terms.unwrap(),
            // Money and nonce at most.
            _ => {}
        }
        assert_eq!(operation_slot.after, expected, "{kind:?}");
        for (slot, (settled, after)) in t.settled.iter().zip(&t.after.accounts).enumerate() {
            assert!(slot == applied.slot || settled == after, "{kind:?}, slot {slot}");
        }
    }
}

#[test]
fn a_slot_acts_several_times_and_its_owner_changes_between() {
    let t = accepted(&[Kind::Withdraw, Kind::Rotate, Kind::Send]);
    let mut input = t.input.clone();
    let slots: Vec<u16> = input.operations.slots.iter().map(|o| o.operation.slot).collect();
    assert_eq!(slots, [0, 0, 2]);
    let rotated = &t.after.accounts[0];
    assert_ne!(rotated.owner, t.settled[0].owner);
    assert_eq!(rotated.nonce, t.settled[0].nonce + 2);
    let operation = Operation { amount: UNIT_NANO, ..Operation::new(Kind::Withdraw, 5, 0, rotated.nonce) };
    // The old owner has no say any more, the new one has.
    for (secret, expected) in [(owner_key(0), Some(OperationError::NotOwner)), (next_owner_key(0), None)] {
        input.operations.slots.truncate(3);
        input.operations.slots.push(operation.sign(input.domain, &secret, owner_of(&secret)).unwrap());
        match expected {
            Some(error) => assert_eq!(refusal(input.clone()), error),
            None => assert_eq!(apply(input.clone()).unwrap().applied.records.len(), 3),
        }
    }
}

#[test]
fn what_the_operator_writes_is_noticed() {
    for kind in EFFECTS.map(|effect| effect.kind) {
        let t = accepted(&[kind]);
        let slot = t.applied.slots[0].slot;
        let receipt = Receipt::of(&t, slot).unwrap();
        let verified = |r: &Receipt| r.verify(None, &t.input.tariff, t.instance.new_root).is_ok();
        assert!(verified(&receipt), "{kind:?}");
        type Edit = fn(&mut Account);
        let edits: [Edit; 8] = [
            |a| a.salts.exit[0] += Fr::from(1u64),
            |a| a.salts.private[1] += Fr::from(1u64),
            |a| a.owner += Fr::from(1u64),
            |a| a.meter = Some(meter_key(9).public()),
            |a| a.payout[0] ^= 1,
            |a| a.nonce += 1,
            |a| a.balance += 1,
            |a| a.pending_substitute += Fr::from(1u64),
        ];
        for (index, edit) in edits.into_iter().enumerate() {
            let mut r = receipt.clone();
            edit(&mut r.after);
            assert!(!verified(&r), "{kind:?} after, edit {index}");
        }
        let mut r = receipt.clone();
        r.operations.clear();
        assert_eq!(verified(&r), r.settled == r.after, "{kind:?} hidden");
        // A settlement that writes other salts into the leaf leads to another root than the receipt's operations.
        let mut r = receipt.clone();
        r.settled.salts.exit[1] += Fr::from(1u64);
        assert_eq!(verified(&r), kind == Kind::Enrol, "{kind:?} settled salts");
    }
}
