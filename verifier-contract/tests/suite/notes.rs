//! The queue of notes through both L1 clients: the contract on a local chain, and the fake.

use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, AnvilOptions};
use gridveil_verifier_contract::{
    Address, CertificateCall, EthersClient, L1Error, RollupConfig, RollupEffect, TxReceipt, VerifierInit, WaitingPair,
    Word,
};

use super::l1::{
    ACCEPT_ALL, M, PROOF_LENGTH, Roles, SLOTS, START, TREASURY, certificate, memory, record, refused, scenario,
    with_records, word,
};

const CERTIFICATE_VERSION: u32 = 1_000_001;
const LATER: u32 = CERTIFICATE_VERSION + 1;
const DEADLINE_S: u64 = 7 * 24 * 3600;
/// A 32nd of the bond.
const FEE: u128 = 10_000_000_000_000_000 / 32;

/// What the upgrader does.
trait Upgrader {
    async fn register(&self) -> Result<TxReceipt, L1Error>;
    async fn announce(&self) -> Result<TxReceipt, L1Error>;
    async fn retire(&self) -> Result<TxReceipt, L1Error>;
}

/// The rules as both sides must have them, after [`scenario`].
async fn queue<W: AsyncFn(u64)>(l1: &impl Roles, upgrader: &impl Upgrader, me: Address, warp: W) {
    let later = async |seconds: u64| warp(l1.timestamp().await.unwrap() + seconds).await;
    assert_eq!(l1.certificate_fee().await.unwrap(), FEE);
    assert_eq!(l1.drop_retired_notes().await.unwrap(), 0);
    refused(l1.drop_notes(9).await.unwrap_err(), "NothingToDrop");
    refused(l1.freeze_for_notes(0).await.unwrap_err(), "NotOverdue");
    let numbers = [0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x4c, 0x50];
    for number in numbers {
        // Each with the same commitment: who knows the salts of a retirement is in nobody's way.
        l1.certify(CertificateCall { retirement: word(0x77), ..certificate(number, 258) }).await.unwrap();
    }
    assert_eq!(l1.certificate_fee().await.unwrap(), 2 * FEE);
    let pairs = l1.waiting_pairs(99).await.unwrap();
    assert_eq!(pairs.iter().map(|pair| pair.nullifier).collect::<Vec<_>>(), numbers.map(word));
    let WaitingPair { number, half, notes, circuit_version, due_s, .. } = pairs[8];
    assert_eq!((number, half, notes, circuit_version), (8, false, [word(0x51), word(0x52)], CERTIFICATE_VERSION));
    // Eight pairs ahead are a batch, and one more deadline.
    assert!(due_s > pairs[7].due_s + DEADLINE_S - 60 && due_s < pairs[7].due_s + DEADLINE_S + 60);
    assert_eq!(l1.waiting_pairs(3).await.unwrap(), pairs[..3]);

    // The first note of a pair is in the state: the second follows, whatever becomes of the version.
    let taken = l1.settle(with_records(0x10, &[record(20, 0, 0, word(0x31))])).await.unwrap();
    assert!(l1.waiting_pairs(1).await.unwrap()[0].half);
    assert_eq!(l1.fee_owed(TREASURY).await.unwrap(), 0);
    upgrader.register().await.unwrap();
    later(14 * 24 * 3600 + 10).await;
    upgrader.announce().await.unwrap();
    let next = |number| CertificateCall { circuit_version: LATER, ..certificate(number, 0) };
    l1.certify(next(0x60)).await.unwrap();
    upgrader.retire().await.unwrap();
    refused(l1.certify(certificate(0x64, 0)).await.unwrap_err(), "VersionRetired");
    assert_eq!(l1.pending_notes(99).await.unwrap(), [word(0x32)]);
    assert_eq!(l1.drop_retired_notes().await.unwrap(), 0);
    let bad = [record(20, 0, 0, word(0x32)), record(20, 0, 0, word(0x35))];
    refused(l1.settle(with_records(0x12, &bad)).await.unwrap_err(), "NoteRetired");
    l1.settle(with_records(0x12, &bad[..1])).await.unwrap();
    assert_eq!(l1.fee_owed(TREASURY).await.unwrap(), FEE);

    // No batch takes in what was spent under it: it can be spent again, under another.
    assert!(l1.pending_notes(99).await.unwrap().is_empty());
    refused(l1.freeze_for_notes(1).await.unwrap_err(), "NotOverdue");
    let dropped = l1.drop_notes(3).await.unwrap();
    let effects: Vec<_> = l1.events(dropped.block).await.unwrap().into_iter().map(|event| event.effect).collect();
    let undone = |number| RollupEffect::NotesDropped {
        nullifier: word(number),
        circuit_version: CERTIFICATE_VERSION,
        undone: true,
    };
    assert_eq!(effects, [undone(0x34), undone(0x38), undone(0x3c)]);
    assert_eq!(l1.drop_retired_notes().await.unwrap(), 5);
    assert_eq!(l1.pending_notes(99).await.unwrap(), [word(0x61), word(0x62)]);
    assert!(l1.nullifier_used(word(0x30)).await.unwrap() && !l1.nullifier_used(word(0x34)).await.unwrap());
    assert_eq!(l1.fee_owed(me).await.unwrap(), (7 + 2) * FEE);
    l1.withdraw_fee(me).await.unwrap();
    refused(l1.withdraw_fee(me).await.unwrap_err(), "NothingToWithdraw");
    l1.certify(next(0x34)).await.unwrap();
    refused(l1.certify(next(0x34)).await.unwrap_err(), "NullifierUsed");

    // The operator is gone: anybody freezes.
    let first = l1.waiting_pairs(1).await.unwrap()[0];
    warp(first.due_s - 10).await;
    refused(l1.freeze_for_notes(first.number).await.unwrap_err(), "NotOverdue");
    later(20).await;
    let frozen = l1.freeze_for_notes(first.number).await.unwrap();
    assert!(l1.is_frozen().await.unwrap());
    let effects: Vec<_> = l1.events(frozen.block).await.unwrap().into_iter().map(|event| event.effect).collect();
    assert_eq!(effects, [RollupEffect::FrozenForNotes { number: first.number, root: word(0x12) }]);
    refused(l1.freeze_for_notes(first.number).await.unwrap_err(), "IsFrozen");
    assert_eq!(l1.certificate_fee().await.unwrap(), 0);
    let dropped = l1.drop_notes(9).await.unwrap();
    let stands = |number| RollupEffect::NotesDropped { nullifier: word(number), circuit_version: LATER, undone: false };
    let effects: Vec<_> = l1.events(dropped.block).await.unwrap().into_iter().map(|event| event.effect).collect();
    assert_eq!(effects, [stands(0x60), stands(0x34)]);
    assert!(l1.nullifier_used(word(0x60)).await.unwrap());
    let events: Vec<RollupEffect> = l1.events(0).await.unwrap().into_iter().map(|event| event.effect).collect();
    let spent = events.iter().find(|effect| matches!(effect, RollupEffect::CertificateSpent { .. }));
    let expected = RollupEffect::CertificateSpent {
        nullifier: word(0x30),
        circuit_version: CERTIFICATE_VERSION,
        anchor: word(2),
        note_1: word(0x31),
        note_2: word(0x32),
        retirement: word(0x77),
        disclosed: Word::default(),
        beneficiary: Word::default(),
        kind: 258,
    };
    assert_eq!(spent, Some(&expected));
    assert!(taken.block < frozen.block);
}

impl Upgrader for gridveil_verifier_contract::memory::MemoryL1 {
    async fn register(&self) -> Result<TxReceipt, L1Error> {
        self.register_verifier(LATER, 0)
    }

    async fn announce(&self) -> Result<TxReceipt, L1Error> {
        self.announce_upgrade(LATER)
    }

    async fn retire(&self) -> Result<TxReceipt, L1Error> {
        Ok(self.retire_version(CERTIFICATE_VERSION))
    }
}

#[tokio::test]
async fn memory_l1_has_the_queues_rules() {
    let (l1, me) = (memory(), [0x42; 20]);
    l1.set_caller(me);
    let warp = async |timestamp| l1.set_timestamp(timestamp);
    scenario(&l1, &warp).await;
    queue(&l1, &l1, me, &warp).await;
}

/// The contract's upgrader, and a verifier of certificates.
struct OnChain<'a>(&'a EthersClient, VerifierInit);

impl Upgrader for OnChain<'_> {
    async fn register(&self) -> Result<TxReceipt, L1Error> {
        self.0.register_verifier(LATER, VerifierInit { shape: 0, slots: 0, m: 0, ..self.1 }).await
    }

    async fn announce(&self) -> Result<TxReceipt, L1Error> {
        self.0.announce_upgrade(LATER).await
    }

    async fn retire(&self) -> Result<TxReceipt, L1Error> {
        self.0.act(gridveil_verifier_contract::ethers_client::Act::RetireVersion(CERTIFICATE_VERSION)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_has_the_same_queue() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let verifier = deployer.deploy_code(&hex::decode(ACCEPT_ALL).unwrap()).await.unwrap();
    let init = VerifierInit { shape: 3, slots: SLOTS, m: M, verifier, proof_length: PROOF_LENGTH as u32 };
    let config = RollupConfig {
        certificate_verifier: Some((verifier, PROOF_LENGTH as u32)),
        treasury: TREASURY,
        ..RollupConfig::single_account(account, word(1), true)
    };
    let l1 = deployer.deploy_rollup(&config, &[init]).await.unwrap();
    let warp = async |timestamp| l1.set_local_time(timestamp).await.unwrap();
    scenario(&l1, &warp).await;
    queue(&l1, &OnChain(&l1, init), account, &warp).await;
}
