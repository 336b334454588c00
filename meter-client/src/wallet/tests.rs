mod exits;
mod spendings;

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
    // A new owner's key opens what the old one has.
    let rotated = keys.with_new_owner().unwrap();
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
    receipt.operations = vec![consent.clone().countersign(t.input.domain, &SecretKey::from_seed(&[7; 64])).unwrap()];
    wallet.take_receipt(&receipt).unwrap();
    let progress: Vec<_> = wallet.state().operations.iter().map(|kept| kept.progress.clone()).collect();
    assert_eq!(progress, [Progress::Applied(receipt.first_interval), Progress::Superseded, Progress::Superseded]);
    // Another slot's is refused.
    let mut elsewhere = consent;
    elsewhere.operation.slot += 1;
    assert!(matches!(wallet.keep_consent(&elsewhere), Err(WalletError::OtherSlot)));
}
