use gridveil_keystore::sealed::NONCE_BYTES;
use gridveil_protocol::{
    certificate::Purpose,
    community::Community,
    fixture::{self, Extras, Recipe, Stream},
    market::Mechanism,
    operation::Kind,
    owner::{NullifierKey, owner_of},
    params::{STATE_DEPTH, Shape, UNIT_NANO},
    settlement::{Transition, apply},
    tree::SparseTree,
    units::Wh,
};

use super::*;
use crate::operation::{Claim, receive, send, withdraw};

fn keys() -> Keys {
    Keys::generate().unwrap()
}

/// Slot 0 of a tiny community is this owner's, with money.
fn settled(keys: &Keys, seed: u64) -> Transition {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 4 };
    let mut input = fixture::settlement(&recipe).unwrap();
    let account = &mut input.community.accounts[0];
    (account.owner, account.balance) = (owner_of(&keys.owner).commitment(), 1_000 * UNIT_NANO);
    fixture::reroot(&mut input);
    apply(input).unwrap()
}

fn opened(dir: &Path, keys: &Keys, t: &Transition) -> Wallet {
    Wallet::open(dir, keys, t.input.domain, t.after.index, 0).unwrap()
}

const DEPLOYMENT: Deployment = Deployment { chain_id: 31_337, contract: [0x11; 20] };

#[test]
fn a_wallet_is_sealed_locked_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let t = settled(&keys, 3);
    let receipt = Receipt::of(&t, 0).unwrap();
    let mut wallet = opened(dir.path(), &keys, &t);
    assert!(matches!(wallet.state().actor(&keys.owner), Err(WalletError::NoReceipt)));
    wallet.take_receipt(&receipt).unwrap();
    let busy = Wallet::open(dir.path(), &keys, t.input.domain, t.after.index, 0);
    assert!(matches!(busy, Err(WalletError::Busy { .. })));
    let state = wallet.state().clone();
    let path = wallet.path().to_owned();
    drop(wallet);
    assert_eq!(opened(dir.path(), &keys, &t).state(), &state);
    let bytes = std::fs::read(&path).unwrap();
    let salt = hex::encode(to_bytes(&receipt.after.salts.exit[0]));
    assert!(!bytes.windows(salt.len()).any(|w| w == salt.as_bytes()));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
    let stranger = Wallet::open(dir.path(), &super::tests::keys(), t.input.domain, t.after.index, 0);
    assert!(matches!(stranger, Err(WalletError::Damaged { .. })));
    // Another slot's file under this name.
    std::fs::copy(&path, dir.path().join(file_name(t.input.domain, t.after.index, 1))).unwrap();
    assert!(matches!(
        Wallet::open(dir.path(), &keys, t.input.domain, t.after.index, 1),
        Err(WalletError::Damaged { .. })
    ));
    assert!(!format!("{state:?}").contains(&salt));
    // Another meter's key.
    let next = keys.with_new_meter().unwrap();
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.reseal(&next).unwrap();
    drop(wallet);
    assert!(matches!(
        Wallet::open(dir.path(), &keys, t.input.domain, t.after.index, 0),
        Err(WalletError::Damaged { .. })
    ));
    assert_eq!(opened(dir.path(), &next, &t).state().receipt, state.receipt);
    // A new owner's key opens what the old one has.
    let rotated = next.with_new_owner().unwrap();
    assert_eq!(opened(dir.path(), &rotated, &t).state().receipt, state.receipt);
}

/// A crash at each step of a write: what is found afterwards is the old state or the new one, and the next write goes
/// through.
#[test]
fn a_crash_at_any_write_leaves_a_whole_wallet() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let t = settled(&keys, 3);
    let mut wallet = opened(dir.path(), &keys, &t);
    let path = wallet.path().to_owned();
    // Before the first write ever: no file, or a torn temporary one.
    drop(wallet);
    for torn in [&b""[..], b"half of it"] {
        std::fs::write(dir.path().join(format!(".{}.00ff.tmp", path.file_name().unwrap().to_str().unwrap())), torn)
            .unwrap();
        wallet = opened(dir.path(), &keys, &t);
        assert_eq!(wallet.state().revision, 0);
        drop(wallet);
        assert!(temporaries(dir.path()).is_empty());
    }
    wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&Receipt::of(&t, 0).unwrap()).unwrap();
    drop(wallet);
    let before = std::fs::read(&path).unwrap();
    wallet = opened(dir.path(), &keys, &t);
    let signed = withdraw::build(&wallet.state().actor(&keys.owner).unwrap(), UNIT_NANO).unwrap();
    wallet.keep_operation(&signed).unwrap();
    let (state, after) = (wallet.state().clone(), std::fs::read(&path).unwrap());
    drop(wallet);
    for cut in [0, 1, NONCE_BYTES - 1, NONCE_BYTES, NONCE_BYTES + 1, after.len() / 2, after.len() - 1, after.len()] {
        // The rename did not happen: the temporary file is torn, or whole.
        std::fs::write(&path, &before).unwrap();
        durable::stage(&path, &after[..cut]).unwrap();
        let found = opened(dir.path(), &keys, &t);
        assert_eq!(found.state().operations.len(), 0, "cut at {cut}");
        assert!(temporaries(dir.path()).is_empty());
        drop(found);
        // The rename did: the new state, whole.
        std::fs::rename(durable::stage(&path, &after).unwrap(), &path).unwrap();
        assert_eq!(opened(dir.path(), &keys, &t).state(), &state);
        // A file torn by the disk itself is never taken for an empty wallet.
        if cut < after.len() {
            std::fs::write(&path, &after[..cut]).unwrap();
            assert!(
                matches!(
                    Wallet::open(dir.path(), &keys, t.input.domain, t.after.index, 0),
                    Err(WalletError::Damaged { .. })
                ),
                "cut at {cut}"
            );
        }
    }
    // A directory that cannot be written: nothing changes, in memory neither.
    std::fs::write(&path, &before).unwrap();
    let mut found = opened(dir.path(), &keys, &t);
    let kept = found.state().clone();
    found.path = dir.path().join("missing").join("x.wallet");
    assert!(matches!(found.keep_operation(&signed), Err(WalletError::Io { .. })));
    assert_eq!(found.state(), &kept);
}

fn temporaries(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|e| e == "tmp")).collect()
}

#[test]
fn operations_are_kept_and_nonces_counted() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let t = settled(&keys, 5);
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&Receipt::of(&t, 0).unwrap()).unwrap();
    let nonce = t.after.accounts[0].nonce;
    let sign = |wallet: &Wallet, units: u64| {
        withdraw::build(&wallet.state().actor(&keys.owner).unwrap(), units * UNIT_NANO).unwrap()
    };
    let first = sign(&wallet, 100);
    wallet.keep_operation(&first).unwrap();
    wallet.keep_operation(&first).unwrap();
    let revision = wallet.state().revision;
    wallet.keep_operation(&first).unwrap();
    assert_eq!(wallet.state().revision, revision, "nothing changed, nothing written");
    let second = sign(&wallet, 200);
    assert_eq!((first.operation.nonce, second.operation.nonce), (nonce, nonce + 1));
    let mut rival = sign(&wallet, 7);
    rival.operation.nonce = nonce;
    assert!(matches!(wallet.keep_operation(&rival), Err(WalletError::NonceTaken { .. })));
    let mut elsewhere = second.clone();
    elsewhere.operation.slot = 3;
    assert!(matches!(wallet.keep_operation(&elsewhere), Err(WalletError::OtherSlot)));
    wallet.keep_operation(&second).unwrap();
    // The balance that waits for is what the next one sees.
    let balance = wallet.state().actor(&keys.owner).unwrap().account.balance;
    assert_eq!(balance, t.after.accounts[0].balance - 300 * UNIT_NANO);
    assert_eq!(
        signed_operations(dir.path(), &keys, t.input.domain, t.after.index, 0).unwrap(),
        [first.clone(), second.clone()]
    );
    // A refusal takes the later nonces with it; the next operation takes the refused nonce.
    let id = wallet.state().operations[0].id();
    wallet.note_progress(&id, &Progress::Refused("operation.insufficient".into())).unwrap();
    assert_eq!(wallet.state().waiting().count(), 0);
    let third = sign(&wallet, 3);
    assert_eq!(third.operation.nonce, nonce);
    wallet.keep_operation(&third).unwrap();
    // The receipt of a period that applied the first one after all.
    let mut receipt = Receipt::of(&t, 0).unwrap();
    receipt.first_interval += 2;
    receipt.operations = vec![first];
    receipt.after.nonce = nonce + 1;
    wallet.take_receipt(&receipt).unwrap();
    let progress: Vec<_> = wallet.state().operations.iter().map(|kept| kept.progress.clone()).collect();
    assert_eq!(progress[0], Progress::Applied(receipt.first_interval));
    assert_eq!(progress[2], Progress::Superseded);
    wallet.take_receipt(&Receipt::of(&t, 0).unwrap()).unwrap();
    assert_eq!(wallet.state().receipt.as_ref(), Some(&receipt), "an older receipt changes nothing");
}

#[test]
fn claims_are_kept_before_and_taken_after() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let t = settled(&keys, 5);
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&Receipt::of(&t, 0).unwrap()).unwrap();
    let actor = wallet.state().actor(&keys.owner).unwrap();
    let (signed, out) = send::build(&actor, Fr::from(9u64), [4; 20], 77).unwrap();
    wallet.keep_send(&signed, &out).unwrap();
    wallet.keep_send(&signed, &out).unwrap();
    assert_eq!(wallet.state().outgoing, [out]);
    let claim = Claim::new(owner_of(&keys.owner).commitment(), 77, [4; 20]).unwrap();
    let incoming = Incoming { claim, source: Source::Transfer, on_l1: false, taken: false, dropped: false };
    wallet.keep_incoming(&incoming).unwrap();
    wallet.keep_incoming(&Incoming { on_l1: true, ..incoming }).unwrap();
    assert_eq!((wallet.state().open_claims(), wallet.state().incoming[0].on_l1), (1, true));
    let taken = receive::build(&wallet.state().actor(&keys.owner).unwrap(), &claim).unwrap();
    let mut receipt = Receipt::of(&t, 0).unwrap();
    receipt.first_interval += 2;
    receipt.operations = vec![signed, taken];
    wallet.take_receipt(&receipt).unwrap();
    assert_eq!(wallet.state().open_claims(), 0);
    // Handed files come back, and only for this deployment.
    let path = dir.path().join("claim.json");
    let file = ClaimFile { deployment: DEPLOYMENT, claim };
    write_file(&path, &file).unwrap();
    write_file(&path, &file).unwrap();
    assert_eq!(read_file::<ClaimFile>(&path, &DEPLOYMENT), Ok(file.clone()));
    assert_eq!(
        read_file::<ClaimFile>(&path, &Deployment { chain_id: 1, ..DEPLOYMENT }),
        Err(FileError::OtherDeployment)
    );
    let mut other = file;
    other.claim.amount += 1;
    assert_eq!(write_file(&path, &other), Err(FileError::Exists));
    assert!(matches!(
        read_file::<NoteFile>(&path, &DEPLOYMENT),
        Err(FileError::Format { what: "a certificate note", .. })
    ));
}

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

mod instance {
    use gridveil_protocol::{certificate::CERTIFICATE_VERSION, field::Fr};

    pub fn domain_of() -> Fr {
        gridveil_protocol::instance::domain(
            super::DEPLOYMENT.chain_id,
            &super::DEPLOYMENT.contract,
            CERTIFICATE_VERSION,
        )
    }
}

/// Communities that settle in turn: the path from L1 alone is the tree's, for every slot of every one, and a false or
/// missing fact is found.
#[test]
fn exits_from_l1_alone_are_those_of_the_tree() {
    for (seed, name) in [(1u64, "tiny-4x2"), (2, "tiny-4x2"), (3, "home-32x24")] {
        let shape = Shape::by_name(name).unwrap();
        let mut state = SparseTree::new(STATE_DEPTH);
        let mut stream = Stream::new(seed);
        let genesis: Vec<(u32, Fr)> = (0..3).map(|i| (i * 7_000 + 11, stream.element())).collect();
        genesis.iter().for_each(|(index, node)| state.set(u64::from(*index), *node));
        let mut batches = Vec::new();
        let mut last: Vec<Transition> = Vec::new();
        for index in [5u32, 4, 21_845, 5, 65_535] {
            let recipe =
                Recipe { shape, seed: seed + u64::from(index), mechanism: Mechanism::Auction, used: shape.members - 1 };
            let earlier = last.iter().position(|t| t.after.index == index).map(|at| last.remove(at));
            let mut input = match &earlier {
                Some(t) => fixture::following(t, seed, |_| false).unwrap(),
                None => fixture::with_operations(&recipe, &[Kind::Withdraw, Kind::Send], Extras::default()).unwrap(),
            };
            let moved = Community { index, ..input.community.clone() };
            input.community = moved;
            input.operations.slots.clear();
            let context = input.context();
            for slot in 0..shape.members {
                input.packets[slot].packet.context = context;
                fixture::resign(&mut input, slot).unwrap();
            }
            state.set(u64::from(index), input.community.node());
            if earlier.is_none() && !batches.iter().any(|b: &PublishedBatch| b.community == index) {
                // It was there before its first batch here.
                state.set(u64::from(index), input.community.node());
            }
            input.state_path = state.path(u64::from(index));
            let first_interval = input.community.header.next_interval;
            let t = apply(input).unwrap();
            state.set(u64::from(index), t.instance.community_new);
            batches.push(PublishedBatch {
                community: index,
                first_interval,
                community_new: t.instance.community_new,
                data: t.data.clone(),
            });
            last.push(t);
        }
        let root = state.root();
        for t in &last {
            for slot in 0..shape.members {
                let receipt = Receipt::of(t, slot).unwrap();
                let exit = Exit::from_l1(&receipt, shape.members, &genesis, &batches, root).unwrap();
                assert_eq!(exit.root, root);
                assert_eq!(exit.leaf(), t.after.accounts[slot].leaf());
                let levels = receipt.members_path.len();
                assert_eq!(exit.siblings.len(), levels + STATE_DEPTH);
                assert_eq!(exit.computed_root(levels), root);
                let mut richer = exit.clone();
                richer.balance += 1;
                assert_ne!(richer.computed_root(levels), root);
                // At the receipt's own root its own path is as good.
                let of_receipt = Exit::of_receipt(&receipt).unwrap();
                assert_eq!(of_receipt.root, receipt.root);
                assert_eq!(of_receipt == exit, receipt.root == root);
            }
        }
        let receipt = Receipt::of(&last[0], 0).unwrap();
        let check = |genesis: &[(u32, Fr)], batches: &[PublishedBatch]| {
            Exit::from_l1(&receipt, shape.members, genesis, batches, root).unwrap_err()
        };
        assert_eq!(check(&genesis[1..], &batches), ExitError::Root);
        assert_eq!(check(&genesis, &batches[..4]), ExitError::Root);
        let mut short = batches.clone();
        short.iter_mut().for_each(|b| b.data.truncate(3));
        assert_eq!(check(&genesis, &short), ExitError::Data { members: shape.members });
        assert_eq!(check(&genesis, &[]), ExitError::NotSettled);
        let mut stale = receipt.clone();
        stale.after.balance += 1;
        let found = Exit::from_l1(&stale, shape.members, &genesis, &batches, root).unwrap_err();
        assert!(matches!(found, ExitError::Stale { .. }));
        assert_eq!(Exit::of_receipt(&stale).unwrap_err(), ExitError::Receipt);
    }
}

/// A consent waits for nobody: the account acts on, and what a settlement took is known by its receipt alone.
#[test]
fn a_consent_does_not_hold_up_the_account() {
    use crate::operation::terms;
    use gridveil_protocol::account::Terms;

    let dir = tempfile::tempdir().unwrap();
    let keys = keys();
    let t = settled(&keys, 3);
    let mut wallet = opened(dir.path(), &keys, &t);
    wallet.take_receipt(&Receipt::of(&t, 0).unwrap()).unwrap();
    let actor = wallet.state().actor(&keys.owner).unwrap();
    let nonce = actor.account.nonce;
    let consent = terms::build(&actor, Terms { technology: 2, ..Terms::EMPTY }).unwrap();
    wallet.keep_consent(&consent).unwrap();
    wallet.keep_consent(&consent).unwrap();
    assert_eq!(wallet.state().operations.len(), 1);
    assert_eq!(wallet.state().operations[0].progress, Progress::Consented);
    assert_eq!(wallet.state().waiting().count(), 0);
    assert!(wallet.state().signed().contains(&consent), "a statement must know it");
    // Another offer, and an operation for the same nonce, may stand beside it.
    let other = terms::build(&wallet.state().actor(&keys.owner).unwrap(), Terms::EMPTY).unwrap();
    wallet.keep_consent(&other).unwrap();
    let signed = withdraw::build(&wallet.state().actor(&keys.owner).unwrap(), UNIT_NANO).unwrap();
    assert_eq!(signed.operation.nonce, nonce);
    wallet.keep_operation(&signed).unwrap();
    // The receipt of the next period says which one it was: the first consent, countersigned.
    let mut receipt = Receipt::of(&t, 0).unwrap();
    receipt.first_interval += 2;
    receipt.after.nonce = nonce + 1;
    receipt.operations = vec![consent.clone().countersign(t.input.domain, &keys.meter).unwrap()];
    wallet.take_receipt(&receipt).unwrap();
    let progress: Vec<_> = wallet.state().operations.iter().map(|kept| kept.progress.clone()).collect();
    assert_eq!(progress, [Progress::Applied(receipt.first_interval), Progress::Superseded, Progress::Superseded]);
    // Another slot's is refused.
    let mut elsewhere = consent;
    elsewhere.operation.slot += 1;
    assert!(matches!(wallet.keep_consent(&elsewhere), Err(WalletError::OtherSlot)));
}
