//! Notes: spent in every way, given up, and found again.

use super::*;

/// A receipt of slot 0 with a certificate note.
fn with_note(keys: &Keys) -> (Transition, Receipt) {
    for seed in 0..40 {
        let t = settled(keys, seed);
        let receipt = Receipt::of(&t, 0).unwrap();
        if receipt.note_amount_wh > Wh(10) {
            return (t, receipt);
        }
    }
    unreachable!("a fixture exports")
}

#[test]
fn a_note_of_a_receipt_is_spent_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let (t, receipt) = with_note(&keys);
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&receipt).unwrap();
    let kept = wallet.state().notes[0].clone();
    let commitment = hex::encode(to_bytes(&kept.note.commitment()));
    assert_eq!(wallet.state().note(&commitment[..12]).unwrap(), &kept);
    assert_eq!(wallet.state().note("0x").unwrap_err(), CertificateError::Unknown);
    let amount = kept.note.amount;
    let retire =
        |wh, purpose, sealed| Spending::Retire { amount_wh: Wh(wh), beneficiary: Fr::from(0xbeefu64), purpose, sealed };
    let transfer = |to: u64, wh| Spending::Transfer(Transfer { to: Fr::from(to), amount_wh: Wh(wh) });
    let plan = |spending: &Spending| wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, spending);
    assert_eq!(plan(&transfer(0, 1)).unwrap_err(), CertificateError::NoRecipient);
    assert_eq!(plan(&transfer(9, 0)).unwrap_err(), CertificateError::ZeroAmount);
    assert_eq!(plan(&transfer(9, amount.0 + 1)).unwrap_err(), CertificateError::Amount { amount_wh: amount });
    assert_eq!(plan(&retire(1, Purpose::Export, true)).unwrap_err(), CertificateError::SealedPurpose);
    let stranger = super::tests::keys();
    assert_eq!(
        wallet.state().plan(&kept, &DEPLOYMENT, &stranger.owner, &transfer(9, 1)).unwrap_err(),
        CertificateError::NotOwner
    );
    let pathless = KeptNote { path: None, ..kept.clone() };
    assert_eq!(
        wallet.state().plan(&pathless, &DEPLOYMENT, &keys.owner, &transfer(9, 1)).unwrap_err(),
        CertificateError::NoPath
    );
    for spending in [
        transfer(9, 3),
        retire(4, Purpose::Consumption, false),
        retire(amount.0, Purpose::Consumption, true),
        retire(4, Purpose::Expiry, false),
    ] {
        let instance = plan(&spending).unwrap().sign(&keys.owner).unwrap().check().unwrap();
        assert_eq!((instance.anchor, instance.domain), (receipt.root, instance::domain_of()), "{spending:?}");
    }
    // Kept before it is sent: the same plan again, no other.
    let sealed = plan(&retire(4, Purpose::Consumption, true)).unwrap();
    let nullifier = wallet.keep_spend(&sealed, &keys.owner).unwrap();
    assert_eq!(nullifier, NullifierKey::of(&keys.owner).nullifier(kept.note.commitment()));
    assert_eq!(
        wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, &retire(4, Purpose::Consumption, true)).unwrap(),
        sealed
    );
    let rival = wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, &transfer(9, 3)).unwrap();
    assert!(matches!(wallet.keep_spend(&rival, &keys.owner), Err(WalletError::SpendKept)));
    let change = wallet.state().notes[1].clone();
    assert_eq!((change.note.amount, change.path), (amount - Wh(4), None));
    wallet.spent(nullifier, Some("0xabc")).unwrap();
    wallet.spent(nullifier, None).unwrap();
    assert_eq!(wallet.state().retirements.len(), 1);
    assert!(wallet.state().notes[0].spent && wallet.state().retirements[0].sealed);
    let spent = wallet.state().notes[0].clone();
    assert_eq!(
        wallet.state().plan(&spent, &DEPLOYMENT, &keys.owner, &transfer(9, 3)).unwrap_err(),
        CertificateError::Spent
    );
}

/// Given up, spent otherwise, and one of them lands: what L1 has is what the wallet keeps.
#[test]
fn an_abandoned_spending_is_found_if_it_lands() {
    let keys = keys();
    let (t, receipt) = with_note(&keys);
    let retire = Spending::Retire {
        amount_wh: Wh(4),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: true,
    };
    let transfer = Spending::Transfer(Transfer { to: Fr::from(9u64), amount_wh: Wh(3) });
    let outputs = |plan: &SpendPlan| plan.notes().map(|note| note.commitment());
    let retired = |plan: &SpendPlan| plan.statement().map(|statement| statement.commitment()).unwrap_or_default();
    // Which one lands: the abandoned one, the other, or one of an older copy of the wallet.
    for lands in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let mut wallet = opened(dir.path(), &keys, &t);
        wallet.take_receipt(&receipt).unwrap();
        let kept = wallet.state().notes[0].clone();
        let amount = kept.note.amount;
        let plan = |wallet: &Wallet, spending: &Spending| {
            wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, spending).unwrap()
        };
        let first = plan(&wallet, &transfer);
        let nullifier = wallet.keep_spend(&first, &keys.owner).unwrap();
        assert!(matches!(wallet.abandon(Fr::from(5u64)), Err(WalletError::NotSpending)));
        wallet.abandon(nullifier).unwrap();
        assert!(matches!(wallet.abandon(nullifier), Err(WalletError::NotSpending)));
        assert_eq!(wallet.state().notes, std::slice::from_ref(&kept), "no change is to come");
        let state = wallet.state().clone();
        drop(wallet);
        wallet = opened(dir.path(), &keys, &t);
        assert_eq!(wallet.state(), &state, "on disk");
        assert_ne!(plan(&wallet, &transfer), first, "not taken up again");
        let second = plan(&wallet, &retire);
        assert_eq!(wallet.keep_spend(&second, &keys.owner).unwrap(), nullifier);
        assert!(matches!(wallet.keep_spend(&first, &keys.owner), Err(WalletError::SpendKept)), "one at a time");
        assert_eq!(wallet.state().notes[1].note.amount, amount - Wh(4));
        let third = plan(&wallet, &transfer);
        let landed = [&first, &second, &third][lands];
        for _ in 0..2 {
            let known = wallet.landed(nullifier, outputs(landed), retired(landed), Some("0xabc")).unwrap();
            assert_eq!(known, lands < 2);
            let state = wallet.state();
            let left: Vec<_> = state.notes.iter().map(|kept| (kept.note.amount, kept.spent)).collect();
            let change = [Some((amount - Wh(3), false)), Some((amount - Wh(4), false)), None][lands];
            assert_eq!(left, [Some((amount, true)), change].into_iter().flatten().collect::<Vec<_>>());
            assert_eq!(state.retirements.len(), usize::from(lands == 1));
            assert!(state.spends.iter().all(|spend| !spend.is_open()));
            assert_eq!(state.finished(&state.notes[0], &transfer), (lands == 0).then(|| first.clone()));
            assert_eq!(state.finished(&state.notes[0], &retire), (lands == 1).then(|| second.clone()));
            assert_eq!(
                state.plan(&state.notes[0], &DEPLOYMENT, &keys.owner, &transfer).unwrap_err(),
                CertificateError::Spent
            );
            assert_eq!(state.holding(&state.notes[0], &DEPLOYMENT, &keys.owner).unwrap_err(), CertificateError::Spent);
        }
    }
}

/// A file of before there were abandoned spendings.
#[test]
fn spendings_without_the_mark_are_open() {
    let keys = keys();
    let (t, receipt) = with_note(&keys);
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&receipt).unwrap();
    let kept = wallet.state().notes[0].clone();
    let holding = wallet.state().holding(&kept, &DEPLOYMENT, &keys.owner).unwrap();
    let instance = holding.sign(&keys.owner).unwrap().check().unwrap();
    assert_eq!((instance.anchor, instance.disclosed), (receipt.root, kept.note.info()));
    let spending = Spending::Transfer(Transfer { to: Fr::from(9u64), amount_wh: Wh(3) });
    let plan = wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, &spending).unwrap();
    wallet.keep_spend(&plan, &keys.owner).unwrap();
    let mut json = serde_json::to_value(&wallet.state().spends[0]).unwrap();
    json.as_object_mut().unwrap().remove("abandoned");
    let old: KeptSpend = serde_json::from_value(json).unwrap();
    assert!(old.is_open() && old == wallet.state().spends[0]);
}

/// L1 undid it: the circuit version was retired before a batch took the notes in. Nothing is lost.
#[test]
fn an_undone_spending_makes_its_note_spendable_again() {
    let keys = keys();
    let (t, receipt) = with_note(&keys);
    let retire = Spending::Retire {
        amount_wh: Wh(4),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: false,
    };
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&receipt).unwrap();
    let kept = wallet.state().notes[0].clone();
    let plan = |wallet: &Wallet| wallet.state().plan(&kept, &DEPLOYMENT, &keys.owner, &retire).unwrap();
    let first = plan(&wallet);
    let nullifier = wallet.keep_spend(&first, &keys.owner).unwrap();
    // Not before L1 has it.
    wallet.decided(nullifier, true).unwrap();
    assert!(wallet.state().spends[0].is_open() && wallet.state().unsettled().next().is_none());
    wallet.spent(nullifier, None).unwrap();
    assert_eq!(wallet.state().unsettled().collect::<Vec<_>>(), [nullifier]);
    assert_eq!((wallet.state().notes.len(), wallet.state().retirements.len()), (2, 1));
    wallet.decided(nullifier, true).unwrap();
    drop(wallet);
    let mut wallet = opened(dir.path(), &keys, &t);
    let state = wallet.state();
    assert_eq!(state.notes, std::slice::from_ref(&kept), "spendable, and no change is to come");
    assert!(state.retirements.is_empty() && state.unsettled().next().is_none());
    assert_eq!(state.finished(&kept, &retire), None);
    // Spent again, with fresh salts, and settled: nothing undoes it any more.
    let second = plan(&wallet);
    assert_ne!(second, first);
    assert_eq!(wallet.keep_spend(&second, &keys.owner).unwrap(), nullifier);
    wallet.spent(nullifier, None).unwrap();
    wallet.decided(nullifier, false).unwrap();
    assert!(wallet.state().unsettled().next().is_none());
    assert!(wallet.state().notes[0].spent && wallet.state().retirements.len() == 1);
    // A file of before there was the mark.
    let mut json = serde_json::to_value(&wallet.state().spends[1]).unwrap();
    json.as_object_mut().unwrap().remove("settled");
    let old: KeptSpend = serde_json::from_value(json).unwrap();
    assert!(old.done && !old.settled);
}
