//! One account's balance, reading and bill: an honest opening, and every false one with its refusal.

use gridveil_auditor::AccountError;
use gridveil_protocol::{
    account::Account,
    fixture::Stream,
    opening::{BalanceOpening, BillOpening, ReadingOpening},
    operation::Kind as Operation,
    receipt::Receipt,
    units::Nano,
};

use super::*;

/// Two periods of one community; in the second, members withdraw and send.
fn played() -> (Told, Transition) {
    let first = fixture::settlement(&recipe(3)).unwrap();
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(u64::from(OLD), first.community.node());
    let l1 = chain_from(to_bytes(&state.root()), 1_000, false);
    wait(l1.open_tariff_set(OLD, 3600, 2));
    wait(l1.register_community(CommunityParams {
        community: OLD,
        shape: 1,
        interval_length_s: 3600,
        m: 2,
        tariff_set: OLD,
        genesis_terms: ZERO,
    }));
    l1.put_pool(1 << 60);
    l1.set_timestamp(4_000_000_000);
    let one = settle(&l1, &mut state, first);
    let mut input = fixture::following(&one, 7, |_| false).unwrap();
    let kinds = [Operation::Withdraw, Operation::Send];
    fixture::operate(&mut input, &mut Stream::new(3), &kinds, fixture::Extras::default()).unwrap();
    let two = settle(&l1, &mut state, input);
    (wait(Told::by(&l1)), two)
}

fn receipts(t: &Transition) -> Vec<Receipt> {
    (0..4).map(|slot| Receipt::of(t, slot).unwrap()).collect()
}

#[test]
fn a_balance_is_opened_and_nothing_else() {
    let (told, t) = played();
    let published = ask(Published::read(&told, 0)).unwrap();
    for receipt in receipts(&t) {
        let opening = BalanceOpening::of(CHAIN, CONTRACT, &receipt);
        let opened = published.balance(&opening).unwrap();
        assert_eq!((opened.batch, opened.balance_nano), (2, receipt.after.balance));
        let json = serde_json::to_string(&opening).unwrap();
        assert_eq!(serde_json::from_str::<BalanceOpening>(&json).unwrap(), opening);
        // Neither the meter's key nor the private salts are in the file.
        let private = serde_json::to_value(&receipt.after).unwrap();
        for hidden in [&private["meter"], &private["owner"], &private["salts"]["private"][0]] {
            assert!(!json.contains(hidden.to_string().trim_matches('"')), "{hidden}");
        }
        let refused = |edit: &dyn Fn(&mut BalanceOpening)| {
            let mut opening = opening.clone();
            edit(&mut opening);
            published.balance(&opening).unwrap_err()
        };
        let leaf = AccountError::Leaf(Which::After);
        assert_eq!(refused(&|o| o.balance += 1), leaf);
        assert_eq!(refused(&|o| o.payout[0] ^= 1), leaf);
        assert_eq!(refused(&|o| o.salts[1] += Fr::from(1u64)), leaf);
        assert_eq!(refused(&|o| o.slot = (o.slot + 1) % 4), leaf);
        assert_eq!(refused(&|o| o.slot = 4), AccountError::Slot { slot: 4, slots: 4 });
        assert_eq!(refused(&|o| o.chain_id = 1), AccountError::Totals(TotalsError::OtherDeployment));
        assert!(matches!(refused(&|o| o.first_interval.0 += 1), AccountError::Totals(TotalsError::NotSettled { .. })));
        assert_eq!(refused(&|o| o.community = 77), AccountError::Totals(TotalsError::Community(77)));
    }
}

#[test]
fn a_reading_is_opened_without_the_money() {
    let (told, t) = played();
    let published = ask(Published::read(&told, 0)).unwrap();
    for receipt in receipts(&t) {
        let bill = receipt.verify(None, &t.input.tariff, t.instance.new_root).unwrap();
        let opening = ReadingOpening::of(CHAIN, CONTRACT, &receipt);
        let opened = published.reading(&opening).unwrap();
        assert_eq!((opened.import_wh, opened.export_wh), (bill.energy.import, bill.energy.export));
        assert_eq!(opened.import_register_wh, receipt.after.registers.import);
        let json = serde_json::to_string(&opening).unwrap();
        assert_eq!(serde_json::from_str::<ReadingOpening>(&json).unwrap(), opening);
        // Balance, payout address and the salts that open them are not in the file.
        let account = serde_json::to_value(&receipt.after).unwrap();
        assert!(!json.contains("\"balance\""), "{json}");
        for hidden in [&account["payout"], &account["salts"]["exit"][0], &account["salts"]["exit"][1]] {
            assert!(!json.contains(hidden.to_string().trim_matches('"')), "{hidden}");
        }
        let refused = |edit: &dyn Fn(&mut ReadingOpening)| {
            let mut opening = opening.clone();
            edit(&mut opening);
            published.reading(&opening).unwrap_err()
        };
        let (before, after) = (AccountError::Leaf(Which::Before), AccountError::Leaf(Which::After));
        assert_eq!(refused(&|o| o.after.registers.import.0 += 1), after);
        assert_eq!(refused(&|o| o.before.registers.import.0 ^= 1), before);
        assert_eq!(refused(&|o| o.before.registers.bought.0 ^= 1), before);
        assert_eq!(refused(&|o| o.before.salts[1] += Fr::from(1u64)), before);
        assert_eq!(refused(&|o| o.after.exit_commitment += Fr::from(1u64)), after);
        assert_eq!(refused(&|o| o.after.pending_substitute += Fr::from(1u64)), after);
        assert_eq!(refused(&|o| o.after.terms.cap_import ^= 1), after);
        assert_eq!(refused(&|o| o.after.debt += 1), after);
        assert_eq!(refused(&|o| o.slot = (o.slot + 1) % 4), after);
        assert_eq!(refused(&|o| o.chain_id = 1), AccountError::Totals(TotalsError::OtherDeployment));
        // Two periods' readings as one: each leaf is of its own batch.
        assert_eq!(refused(&|o| o.before = o.after.clone()), before);
    }
}

#[test]
fn a_bill_is_the_difference_of_two_leaves_less_what_operations_moved() {
    let (told, t) = played();
    let published = ask(Published::read(&told, 0)).unwrap();
    let mut operations = 0;
    for receipt in receipts(&t) {
        let bill = receipt.verify(None, &t.input.tariff, t.instance.new_root).unwrap();
        let opening = BillOpening::of(CHAIN, CONTRACT, &receipt);
        let opened = published.bill(&opening).unwrap();
        assert_eq!(
            (opened.bill_nano, opened.import_wh, opened.sold_wh),
            (bill.delta_nano(), bill.energy.import, bill.energy.sold)
        );
        assert_eq!((opened.before_nano, opened.after_nano), (receipt.before.value(), receipt.after.value()));
        operations += opened.operations;
        let json = serde_json::to_string(&opening).unwrap();
        assert_eq!(serde_json::from_str::<BillOpening>(&json).unwrap(), opening);
    }
    assert_eq!(operations, 2);
}

#[test]
fn every_false_bill_is_refused() {
    let (told, t) = played();
    let published = ask(Published::read(&told, 0)).unwrap();
    let all = receipts(&t);
    let refused = |receipt: &Receipt, edit: &dyn Fn(&mut BillOpening)| {
        let mut opening = BillOpening::of(CHAIN, CONTRACT, receipt);
        edit(&mut opening);
        published.bill(&opening).unwrap_err()
    };
    for receipt in &all {
        assert_eq!(refused(receipt, &|o| o.after.balance += 1), AccountError::Leaf(Which::After));
        assert_eq!(refused(receipt, &|o| o.before.balance += 1), AccountError::Leaf(Which::Before));
        // The settled account is on L1 only by what became of it.
        let cheaper = refused(receipt, &|o| o.settled.set_value(o.settled.value() + Nano(1)));
        assert_eq!(cheaper, AccountError::Operations);
        assert_eq!(refused(receipt, &|o| o.settled.registers.import.0 += 1), AccountError::Operations);
        assert_eq!(refused(receipt, &|o| o.settled.nonce += 1), AccountError::Follows);
        assert_eq!(refused(receipt, &|o| o.settled.registers = Default::default()), AccountError::Follows);
    }
    let with = |kind: Operation| all.iter().find(|r| r.operations.iter().any(|o| o.operation.kind == kind)).unwrap();
    let (withdraws, sends) = (with(Operation::Withdraw), with(Operation::Send));
    for receipt in [withdraws, sends] {
        // As if the money that left had been part of the bill: the nonce counts what is left out.
        let hidden = refused(receipt, &|o| {
            o.operations.clear();
            o.settled = o.after.clone();
        });
        assert_eq!(hidden, AccountError::Follows);
        let more = refused(receipt, &|o| {
            o.operations[0].operation.amount += 1;
            o.settled.set_value(o.settled.value() + Nano(1));
        });
        assert_eq!(more, AccountError::Record(0), "an amount that its record does not have");
    }
    // One more that L1 knows nothing of.
    let made_up = refused(withdraws, &|o| {
        let again = o.operations[0].clone();
        o.settled.set_value(o.settled.value() + Nano::from(again.operation.amount));
        o.operations.push(again);
    });
    assert_eq!(made_up, AccountError::Record(withdraws.operations.len()));
    // A forced withdrawal is nobody's operation but L1's: its record has the slot.
    let slot = withdraws.slot;
    let mut forced = told.clone();
    let record = gridveil_protocol::record::Record::new(
        gridveil_protocol::record::RecordKind::Forced,
        7,
        slot.into(),
        Fr::from(5u64),
    );
    forced.batches[1].call.data.extend([to_bytes(&record.w0), to_bytes(&record.w1)]);
    let published = ask(Published::read(&forced, 0)).unwrap();
    assert_eq!(published.bill(&BillOpening::of(CHAIN, CONTRACT, withdraws)), Err(AccountError::Forced));
    let other = all.iter().find(|receipt| receipt.slot != slot).unwrap();
    assert!(published.bill(&BillOpening::of(CHAIN, CONTRACT, other)).is_ok());
    // The first batch's account before it is in no batch.
    let mut first = told.clone();
    first.batches.remove(0);
    for (number, batch) in (1..).zip(&mut first.batches) {
        batch.batch = number;
    }
    first.roots.remove(0);
    let published = ask(Published::read(&first, 0)).unwrap();
    assert_eq!(published.bill(&BillOpening::of(CHAIN, CONTRACT, withdraws)), Err(AccountError::First));
    assert_eq!(published.reading(&ReadingOpening::of(CHAIN, CONTRACT, withdraws)), Err(AccountError::First));
}

/// What was told, with another account before the second batch, whose leaf is in the first one's.
fn with_before(edit: impl FnOnce(&mut Account)) -> (Published, Receipt) {
    let (mut told, t) = played();
    let mut receipt = receipts(&t).remove(0);
    edit(&mut receipt.before);
    told.batches[0].call.data[usize::from(receipt.slot)] = to_bytes(&receipt.before.leaf());
    let elements: Vec<Fr> = told.batches[0].call.data[..6].iter().map(|word| from_bytes(word).unwrap()).collect();
    told.batches[0].call.community_new =
        to_bytes(&community::node(elements[4], dense_root(&elements[..4]), elements[5]));
    (ask(Published::read(&told, 0)).unwrap(), receipt)
}

/// The correction of an old substitute and the bill of the period are one sum in the leaf.
#[test]
fn a_bill_with_a_correction_is_refused_and_the_balance_is_not() {
    let (published, receipt) = with_before(|account| account.pending_substitute = Fr::from(77u64));
    assert_eq!(published.bill(&BillOpening::of(CHAIN, CONTRACT, &receipt)), Err(AccountError::Corrected));
    assert_eq!(published.reading(&ReadingOpening::of(CHAIN, CONTRACT, &receipt)), Err(AccountError::Corrected));
    assert!(published.balance(&BalanceOpening::of(CHAIN, CONTRACT, &receipt)).is_ok());
}

/// A slot that somebody else had before, or nobody, or whose registers were higher, has no reading of the period.
#[test]
fn a_reading_of_two_accounts_is_refused() {
    let edits: [fn(&mut Account); 4] = [
        |account| account.owner += Fr::from(1u64),
        |account| account.meter = None,
        |account| account.registers.import.0 += 1 << 40,
        |account| account.registers.export.0 += 1 << 40,
    ];
    for edit in edits {
        let (published, receipt) = with_before(edit);
        assert_eq!(published.reading(&ReadingOpening::of(CHAIN, CONTRACT, &receipt)), Err(AccountError::Follows));
    }
}
