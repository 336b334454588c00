//! One scenario through both L1 clients: the contract on a local chain, and the fake. They must give the same answers.

use gridveil_protocol::field::{Fr, from_bytes, to_bytes};
use gridveil_protocol::params::CIRCUIT_VERSION;
use gridveil_protocol::poseidon::hash4;
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, AnvilOptions};
use gridveil_verifier_contract::ethers_client::address_of;
use gridveil_verifier_contract::memory::{MemoryL1, MemoryL1Config, MemoryTerms};
use gridveil_verifier_contract::types::tariff_in_force;
use gridveil_verifier_contract::{
    Address, AuditorL1, CertificateCall, ChainL1, CommunityParams, DepositState, EthersClient, ExitCall, ExitClaimCall,
    L1Error, MemberL1, OperatorL1, QueuesL1, RollupConfig, RollupEffect, SettleCall, SettlementL1, TransferState,
    TxReceipt, VerifierInit, Word,
};

/// Deploys ten bytes that return the word 1: a verifier that accepts everything.
pub const ACCEPT_ALL: &str = "69600160005260206000f35f52600a6016f3";
pub const START: u64 = 1_800_000_000;
pub const SLOTS: u32 = 4;
pub const M: u16 = 24;
pub const FIRST: u32 = (START / 3600) as u32 + 10;
pub const PROOF_LENGTH: usize = 96;
const VERSION: u32 = CIRCUIT_VERSION as u32;
const CERTIFICATE_VERSION: u32 = 1_000_001;
pub const TREASURY: Address = [0x77; 20];

pub fn word(value: u8) -> Word {
    let mut word = [0; 32];
    word[31] = value;
    word
}

fn community() -> CommunityParams {
    CommunityParams { community: 7, shape: 3, interval_length_s: 3600, m: M, tariff_set: 5, genesis_terms: word(0x6e) }
}

pub fn call(root: u8, first_interval: u32, tariff_index: u32) -> SettleCall {
    SettleCall {
        circuit_version: VERSION,
        community: 7,
        first_interval,
        tariff_index,
        new_root: word(root),
        community_new: word(root + 1),
        ops_digest: [0; 32],
        data: (0..SLOTS as u8 + 2).map(word).collect(),
        proof: vec![root; PROOF_LENGTH],
    }
}

/// Everything that both clients do.
pub trait Roles: SettlementL1 + MemberL1 + OperatorL1 {}

impl<T: SettlementL1 + MemberL1 + OperatorL1> Roles for T {}

pub fn refused(error: L1Error, name: &str) {
    assert!(error.is_revert(name), "expected {name}, got {error:?}");
    assert!(!error.is_retryable());
}

/// The rules as both sides must have them. `warp` moves the chain's clock.
pub async fn scenario<W: AsyncFn(u64)>(l1: &impl Roles, warp: W) {
    assert_eq!(l1.chain_id().await.unwrap(), 31_337);
    assert_eq!(l1.state_root().await.unwrap(), word(1));
    assert!(l1.is_finalised(word(1)).await.unwrap());
    assert_eq!(l1.community(7).await.unwrap(), None);
    refused(l1.settle(call(2, FIRST, 0)).await.unwrap_err(), "UnknownCommunity");

    refused(l1.register_community(community()).await.unwrap_err(), "UnknownTariffSet");
    l1.open_tariff_set(5, 3600, M).await.unwrap();
    refused(l1.open_tariff_set(5, 3600, M).await.unwrap_err(), "TariffSetAlreadyOpen");
    l1.register_community(community()).await.unwrap();
    assert_eq!(l1.community(7).await.unwrap(), Some(community()));
    refused(l1.register_community(community()).await.unwrap_err(), "CommunityAlreadyRegistered");
    refused(l1.register_tariff(5, FIRST - 12, word(9)).await.unwrap_err(), "TariffAlreadyStarted");
    refused(l1.register_tariff(6, FIRST, word(9)).await.unwrap_err(), "UnknownTariffSet");
    refused(l1.register_tariff(5, FIRST, [0xff; 32]).await.unwrap_err(), "NotCanonical");
    l1.register_tariff(5, FIRST, word(8)).await.unwrap();
    refused(l1.register_tariff(5, FIRST, word(9)).await.unwrap_err(), "TariffNotLater");
    l1.register_tariff(5, FIRST + 24, word(9)).await.unwrap();
    let tariffs = l1.tariffs(0).await.unwrap();
    assert_eq!(
        tariffs.iter().map(|t| (t.index, t.first_interval, t.commitment)).collect::<Vec<_>>(),
        [(0, FIRST, word(8)), (1, FIRST + 24, word(9))]
    );
    assert_eq!(
        [FIRST - 1, FIRST, FIRST + 23, FIRST + 24].map(|first| tariff_in_force(&tariffs, first)),
        [None, Some(0), Some(0), Some(1)]
    );
    assert_eq!(l1.communities(0).await.unwrap(), [community()]);

    refused(l1.settle(call(2, FIRST, 0)).await.unwrap_err(), "PeriodNotOver");
    warp(u64::from(FIRST + 48) * 3600).await;
    assert!(l1.timestamp().await.unwrap() >= u64::from(FIRST + 48) * 3600);
    refused(l1.settle(call(2, FIRST, 1)).await.unwrap_err(), "TariffNotInForce");
    refused(l1.settle(SettleCall { circuit_version: 99, ..call(2, FIRST, 0) }).await.unwrap_err(), "UnknownVerifier");
    refused(l1.settle(SettleCall { data: vec![word(1)], ..call(2, FIRST, 0) }).await.unwrap_err(), "DataLength");
    refused(l1.settle(SettleCall { proof: vec![1; 32], ..call(2, FIRST, 0) }).await.unwrap_err(), "ProofLength");
    refused(l1.settle(SettleCall { new_root: [0xff; 32], ..call(2, FIRST, 0) }).await.unwrap_err(), "NotCanonical");
    let first = l1.settle(call(2, FIRST, 0)).await.unwrap();
    assert_eq!(first.batch, 1);
    // A retry, also with another proof of the same batch, gives the same receipt.
    let again = l1.settle(SettleCall { proof: vec![0xab; PROOF_LENGTH], ..call(2, FIRST, 0) }).await.unwrap();
    assert_eq!((again.batch, again.tx, again.block), (first.batch, first.tx, first.block));
    let second = l1.settle(call(4, FIRST + 24, 1)).await.unwrap();
    assert_eq!(second.batch, 2);
    refused(
        l1.settle(SettleCall { first_interval: FIRST + 1, ..call(2, FIRST, 0) }).await.unwrap_err(),
        "RootAlreadyFinalised",
    );

    assert_eq!(l1.batch_count().await.unwrap(), 2);
    assert_eq!(l1.root_at(0).await.unwrap(), word(1));
    assert_eq!(l1.root_at(1).await.unwrap(), word(2));
    assert_eq!(l1.root_at(2).await.unwrap(), word(4));
    assert_eq!(l1.root_at(3).await.unwrap(), [0; 32]);
    assert!(l1.is_finalised(word(2)).await.unwrap());
    let batches = l1.settled_batches(0).await.unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[0].call, call(2, FIRST, 0));
    assert_eq!((batches[0].old_root, batches[0].tariff_commitment, batches[0].tx), (word(1), word(8), first.tx));
    assert_eq!(batches[1].call, call(4, FIRST + 24, 1));
    assert_eq!((batches[1].old_root, batches[1].tariff_commitment, batches[1].block), (word(2), word(9), second.block));
    assert_eq!(l1.settled_batches(second.block).await.unwrap().len(), 1);
}

/// A record's two words.
pub fn record(kind: u8, units: u8, x: u32, w1: Word) -> [Word; 2] {
    let mut w0 = word(kind);
    w0[30] = units;
    w0[21..25].copy_from_slice(&x.to_be_bytes());
    [w0, w1]
}

pub fn with_records(root: u8, records: &[[Word; 2]]) -> SettleCall {
    let mut call = call(root, FIRST + 24, 1);
    call.ops_digest = word(0xd1);
    call.data.extend(records.iter().flatten());
    call
}

pub fn address_word(address: Address) -> Word {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&address);
    word
}

fn exit_of(payout: Address, slot: u32) -> ExitCall {
    ExitCall {
        community: 7,
        slot,
        balance: 0,
        payout,
        s1: word(1),
        s2: word(2),
        private_commitment: word(3),
        header_leaf: word(4),
        certificates_root: word(5),
        siblings: vec![word(6); 3 * 9],
    }
}

pub fn certificate(nullifier: u8, kind: u16) -> CertificateCall {
    CertificateCall {
        circuit_version: CERTIFICATE_VERSION,
        anchor: word(2),
        nullifier: word(nullifier),
        note_1: word(nullifier + 1),
        note_2: word(nullifier + 2),
        retirement: if kind == 0 { word(0) } else { word(nullifier + 3) },
        disclosed: word(0),
        beneficiary: word(0),
        kind,
        proof: vec![9; PROOF_LENGTH],
    }
}

/// Deposits, records, the forced queue, the freeze and what comes after, with the same answers from both. `me` sends
/// the transactions.
async fn money<W: AsyncFn(u64)>(l1: &impl Roles, me: Address, warp: W) {
    let from = l1.settled_batches(0).await.unwrap()[1].block + 1;
    refused(l1.deposit([0xff; 32], 1).await.unwrap_err(), "NotCanonical");
    refused(l1.deposit(word(0xa1), 0).await.unwrap_err(), "ZeroUnits");
    l1.deposit(word(0xa1), 20).await.unwrap();
    l1.deposit(word(0xa2), 5).await.unwrap();
    l1.deposit(word(0xa3), 5).await.unwrap();
    refused(l1.deposit(word(0xa1), 1).await.unwrap_err(), "ClaimUsed");
    l1.request_refund(word(0xa2)).await.unwrap();
    refused(l1.request_refund(word(0xa2)).await.unwrap_err(), "RefundAlreadyRequested");
    refused(l1.refund(word(0xa2)).await.unwrap_err(), "NotRefundable");
    warp(l1.timestamp().await.unwrap() + 6 * 3600 + 10).await;
    l1.refund(word(0xa2)).await.unwrap();
    refused(l1.refund(word(0xa2)).await.unwrap_err(), "NotOpen");
    l1.fund_supplier_account(10).await.unwrap();
    assert_eq!(l1.supplier_funds().await.unwrap(), 10);

    // A claim of 2 units, for exits.
    let mut packed = address_word(me);
    packed.copy_within(12..32, 4);
    packed[24..].copy_from_slice(&20_000_000_u64.to_be_bytes());
    let field = |word: Word| from_bytes::<Fr>(&word).unwrap();
    let claim = to_bytes(&hash4([field(word(0xb1)), field(packed), field(word(0xb2)), field(word(0xb3))]));

    l1.certify(certificate(0x30, 0)).await.unwrap();
    refused(l1.certify(certificate(0x30, 0)).await.unwrap_err(), "NullifierUsed");
    refused(l1.certify(certificate(0x34, 1)).await.unwrap_err(), "BadKind");
    assert!(l1.nullifier_used(word(0x30)).await.unwrap());
    assert_eq!(l1.pending_notes(9).await.unwrap(), [word(0x31), word(0x32)]);

    refused(l1.force_withdraw(7, SLOTS).await.unwrap_err(), "SlotOutOfRange");
    l1.force_withdraw(7, 2).await.unwrap();
    refused(l1.force_withdraw(7, 2).await.unwrap_err(), "AlreadyQueued");
    let queue = l1.forced_queue(7).await.unwrap();
    assert_eq!(
        queue.iter().map(|entry| (entry.slot, entry.requester, entry.bond)).collect::<Vec<_>>(),
        [(2, me, 10_000_000_000_000_000)]
    );

    for (bad, error) in [
        (record(0, 0, 0, word(0)), "BadRecord"),
        (record(1, 19, 0, word(0xa1)), "DepositUnits"),
        (record(1, 5, 0, word(0xa2)), "DepositNotOpen"),
        (record(2, 200, 0, address_word(me)), "Insolvent"),
        (record(4, 0, 0, claim), "TransferNotOpen"),
        (record(10, 1, 3, address_word(me)), "ForcedNotHead"),
        (record(11, 0, FIRST, word(9)), "CorrectionTariff"),
        (record(16, 11, 0, word(0)), "SupplierShort"),
        (record(20, 0, 0, word(0x32)), "NotHeadNote"),
        (record(21, 0, 0, word(0x6e)), "AlreadyInitialised"),
    ] {
        refused(l1.settle(with_records(0x10, &[bad])).await.unwrap_err(), error);
    }
    let records = [
        record(1, 20, 0, word(0xa1)),
        record(2, 7, 0, address_word(me)),
        record(3, 0, 0, claim),
        record(3, 0, 0, word(0xc2)),
        record(4, 0, 0, word(0xc2)),
        record(10, 3, 2, address_word(me)),
        record(11, 0, FIRST, word(8)),
        record(16, 4, 0, word(0)),
        record(17, 1, 0, word(0)),
        record(20, 0, 0, word(0x31)),
    ];
    let batch = l1.settle(with_records(0x10, &records)).await.unwrap();
    assert_eq!(l1.settled_batches(batch.block).await.unwrap()[0].call, with_records(0x10, &records));
    let states: Vec<_> = l1
        .deposits(0)
        .await
        .unwrap()
        .iter()
        .map(|deposit| (deposit.claim, deposit.units, deposit.depositor, deposit.state))
        .collect();
    assert_eq!(
        states,
        [
            (word(0xa1), 20, me, DepositState::Consumed),
            (word(0xa2), 5, me, DepositState::Refunded),
            (word(0xa3), 5, me, DepositState::Open)
        ]
    );
    for (claim, _, _, state) in states {
        assert_eq!(l1.deposit_state(claim).await.unwrap(), Some(state));
    }
    assert_eq!(l1.deposit_state(word(0xa4)).await.unwrap(), None);
    assert_eq!(l1.withdrawable(me).await.unwrap(), 10 * 10_000);
    assert_eq!(l1.withdrawable(TREASURY).await.unwrap(), 10_000);
    assert_eq!(l1.claim_state(claim).await.unwrap(), TransferState::Open);
    assert_eq!(l1.claim_state(word(0xc2)).await.unwrap(), TransferState::Received);
    assert_eq!(l1.claim_state(word(0xc3)).await.unwrap(), TransferState::Unknown);
    assert_eq!(l1.supplier_funds().await.unwrap(), 6);
    l1.withdraw(me).await.unwrap();
    refused(l1.withdraw(me).await.unwrap_err(), "NothingToWithdraw");
    l1.withdraw_eth(me).await.unwrap();
    refused(l1.force_withdraw(7, 2).await.unwrap_err(), "SlotPaidLately");

    // A request without effect, then one that nobody serves.
    l1.force_withdraw(7, 1).await.unwrap();
    l1.settle(with_records(0x20, &[record(10, 0, 1, address_word(me))])).await.unwrap();
    refused(l1.withdraw_eth(me).await.unwrap_err(), "NothingToWithdraw");
    l1.force_withdraw(7, 1).await.unwrap();
    refused(l1.freeze(7).await.unwrap_err(), "DeadlineNotOver");
    refused(l1.exit(exit_of(me, 2)).await.unwrap_err(), "NotFrozen");
    warp(l1.timestamp().await.unwrap() + 7 * 24 * 3600 + 10).await;
    l1.freeze(7).await.unwrap();
    assert!(l1.is_frozen().await.unwrap());
    for refusal in [
        l1.freeze(7).await.unwrap_err(),
        l1.deposit(word(0xa9), 1).await.unwrap_err(),
        l1.force_withdraw(7, 3).await.unwrap_err(),
        l1.certify(certificate(0x40, 0)).await.unwrap_err(),
        l1.settle(with_records(0x22, &[])).await.unwrap_err(),
    ] {
        refused(refusal, "IsFrozen");
    }
    l1.certify(certificate(0x40, 2 | 1 << 8)).await.unwrap();
    assert_eq!(l1.pending_notes(9).await.unwrap(), [word(0x32)]);
    let opening =
        ExitClaimCall { recipient: word(0xb1), amount: 20_000_000, payout: me, sa: word(0xb2), sb: word(0xb3) };
    refused(l1.exit_claim(ExitClaimCall { amount: 20_000_001, ..opening }).await.unwrap_err(), "ClaimNotOpen");
    l1.exit_claim(opening).await.unwrap();
    refused(l1.exit_claim(opening).await.unwrap_err(), "ClaimNotOpen");
    assert_eq!(l1.claim_state(claim).await.unwrap(), TransferState::Exited);
    l1.withdraw(me).await.unwrap();

    let effects: Vec<RollupEffect> = l1.events(from).await.unwrap().into_iter().map(|event| event.effect).collect();
    let bond = 10_000_000_000_000_000;
    let of_batch =
        effects.iter().position(|effect| matches!(effect, RollupEffect::BatchSettled { batch: 3, .. })).unwrap();
    assert_eq!(effects[0], RollupEffect::DepositMade { claim: word(0xa1), depositor: me, units: 20 });
    assert_eq!(
        effects[of_batch + 1..of_batch + 11],
        [
            RollupEffect::DepositConsumed { claim: word(0xa1), units: 20 },
            RollupEffect::WithdrawalCredited { account: me, units: 7 },
            RollupEffect::TransferOpened { claim },
            RollupEffect::TransferOpened { claim: word(0xc2) },
            RollupEffect::TransferReceived { claim: word(0xc2) },
            RollupEffect::ForcedServed { community: 7, slot: 2, requester: me, units: 3, bond },
            RollupEffect::Corrected { community: 7, first_interval: FIRST, tariff_commitment: word(8) },
            RollupEffect::SupplierMoved { community: 7, kind: 16, units: 4 },
            RollupEffect::SupplierMoved { community: 7, kind: 17, units: 1 },
            RollupEffect::NoteAppended { note: word(0x31), community: 7 },
        ]
    );
    let frozen =
        effects.iter().position(|effect| *effect == RollupEffect::Frozen { community: 7, root: word(0x20) }).unwrap();
    assert!(matches!(effects[frozen + 1], RollupEffect::CertificateSpent { kind: 258, .. }));
    assert_eq!(
        effects[frozen + 2],
        RollupEffect::ClaimExited { claim, payout: me, balance: 20_000_000, amount: 20_000 }
    );
    assert_eq!(effects[frozen + 3], RollupEffect::Withdrawn { account: me, amount: 20_000 });
    assert_eq!(effects.len(), frozen + 4);
}

/// A verifier that nobody trusts yet waits until everybody has left who asked before its first use was announced. After
/// [`scenario`]; `register` registers one of the next circuit version, `announce` announces it.
async fn upgrade<R: AsyncFn(), A: AsyncFn() -> Result<TxReceipt, L1Error>, W: AsyncFn(u64)>(
    l1: &impl Roles,
    me: Address,
    register: R,
    announce: A,
    warp: W,
) {
    let next = |root| SettleCall { circuit_version: VERSION + 1, ..call(root, FIRST + 24, 1) };
    let later = async |seconds: u64| warp(l1.timestamp().await.unwrap() + seconds).await;
    refused(l1.settle(next(0x50)).await.unwrap_err(), "UnknownVerifier");
    register().await;
    refused(l1.settle(next(0x50)).await.unwrap_err(), "VerifierNotActive");
    // Announced before everybody had the time to ask: it does not count.
    announce().await.unwrap();
    later(14 * 24 * 3600 + 10).await;
    refused(l1.settle(next(0x50)).await.unwrap_err(), "UpgradeNotAnnounced");
    // Who waits at the announcement holds it off, whatever the batch would do; who comes later does not.
    l1.force_withdraw(7, 2).await.unwrap();
    announce().await.unwrap();
    l1.force_withdraw(7, 1).await.unwrap();
    let verifier = l1.verifier(VERSION + 1, 3).await.unwrap().unwrap();
    let announced = l1.announcement().await.unwrap();
    assert!(announced.is_of(VERSION + 1, &verifier) && !announced.is_of(VERSION, &verifier) && announced.waiting == 1);
    refused(l1.settle(next(0x50)).await.unwrap_err(), "UpgradeWaits");
    l1.settle(with_records(0x52, &[record(10, 0, 2, address_word(me))])).await.unwrap();
    assert_eq!(l1.announcement().await.unwrap().waiting, 0);
    let first = l1.settle(next(0x54)).await.unwrap();
    let effects: Vec<RollupEffect> = l1.events(first.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    let [RollupEffect::VerifierFirstUsed { circuit_version, shape: 3, .. }, RollupEffect::BatchSettled { .. }] =
        effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(circuit_version, VERSION + 1);
    // Once used, requests hold up nothing, and the old one still settles.
    l1.force_withdraw(7, 3).await.unwrap();
    let second = l1.settle(next(0x56)).await.unwrap();
    assert_eq!(l1.events(second.block).await.unwrap().len(), 1);
    l1.settle(call(0x58, FIRST + 24, 1)).await.unwrap();
}

pub fn memory() -> MemoryL1 {
    MemoryL1::new(MemoryL1Config {
        chain_id: 31_337,
        contract: [0x11; 20],
        genesis_root: word(1),
        timestamp: START,
        shapes: vec![(3, SLOTS, M)],
        circuit_version: VERSION,
        proof_length: Some(PROOF_LENGTH),
        proofs_name_their_root: false,
        enforce_future_tariffs: true,
        terms: MemoryTerms { treasury: TREASURY, ..MemoryTerms::default() },
        balance_wei: 0,
    })
}

#[tokio::test]
async fn memory_l1_has_the_rules() {
    let l1 = memory();
    let me = [0x42; 20];
    l1.set_caller(me);
    scenario(&l1, async |timestamp| l1.set_timestamp(timestamp)).await;
    money(&l1, me, async |timestamp| l1.set_timestamp(timestamp)).await;
    l1.fail_next(1);
    assert!(l1.state_root().await.unwrap_err().is_retryable());
    l1.state_root().await.unwrap();
}

#[tokio::test]
async fn memory_l1_waits_with_an_upgrade() {
    let (l1, me) = (memory(), [0x42; 20]);
    l1.set_caller(me);
    let warp = async |timestamp| l1.set_timestamp(timestamp);
    scenario(&l1, &warp).await;
    let register = async || _ = l1.register_verifier(VERSION + 1, 3).unwrap();
    upgrade(&l1, me, register, async || l1.announce_upgrade(VERSION + 1), &warp).await;
    // While a queue is full, and for a day afterwards, nobody announces: somebody may have found no place.
    let waiting = l1.forced_queue(7).await.unwrap().len() as u32;
    l1.put_forced(7, &Vec::from_iter((waiting..8).map(|slot| (slot, [0x43; 20]))));
    refused(l1.announce_upgrade(VERSION).unwrap_err(), "QueueWasFull");
    let head = l1.forced_queue(7).await.unwrap()[0];
    let served = [record(10, 0, head.slot, address_word(head.requester))];
    l1.settle(with_records(0x60, &served)).await.unwrap();
    refused(l1.announce_upgrade(VERSION).unwrap_err(), "QueueWasFull");
    l1.set_timestamp(l1.timestamp().await.unwrap() + 24 * 3600);
    assert_eq!(l1.announcement().await.unwrap().circuit_version, VERSION + 1, "a refused one changes nothing");
    l1.announce_upgrade(VERSION).unwrap();
    assert_eq!(l1.announcement().await.unwrap().waiting, 7);
    refused(l1.register_verifier(VERSION + 1, 3).unwrap_err(), "VerifierAlreadyRegistered");
    l1.retire_version(VERSION);
    refused(l1.settle(call(0x5a, FIRST + 24, 1)).await.unwrap_err(), "VersionRetired");
    refused(l1.register_verifier(VERSION, 3).unwrap_err(), "VersionRetired");
}

/// The rollup that the scenario begins with, and its verifier.
pub async fn deployed(deployer: &EthersClient) -> (EthersClient, VerifierInit) {
    let verifier = deployer.deploy_code(&hex::decode(ACCEPT_ALL).unwrap()).await.unwrap();
    let init = VerifierInit { shape: 3, slots: SLOTS, m: M, verifier, proof_length: PROOF_LENGTH as u32 };
    let config = RollupConfig {
        certificate_verifier: Some((verifier, PROOF_LENGTH as u32)),
        treasury: TREASURY,
        ..RollupConfig::single_account(deployer.account().unwrap(), word(1), true)
    };
    (deployer.deploy_rollup(&config, &[init]).await.unwrap(), init)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_has_the_same_rules() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    assert_eq!(account, address_of(ANVIL_KEYS[0]).unwrap());
    let (l1, _) = deployed(&deployer).await;
    scenario(&l1, async |timestamp| l1.set_local_time(timestamp).await.unwrap()).await;
    let before = l1.token_balance(account).await.unwrap();
    money(&l1, account, async |timestamp| l1.set_local_time(timestamp).await.unwrap()).await;
    // 30 deposited and 10 for the supplier account; 5 of a refund, 7 + 3 withdrawn, 2 exited came back.
    assert_eq!(l1.token_balance(account).await.unwrap(), before - (40 - 5 - 10 - 2) * 10_000);
    // The fake takes openings on trust, the contract does not.
    refused(l1.exit(ExitCall { siblings: Vec::new(), ..exit_of(account, 1) }).await.unwrap_err(), "SiblingCount");
    refused(l1.exit(exit_of(account, 1)).await.unwrap_err(), "NotInState");

    let stranger = l1.with_key(ANVIL_KEYS[1]).unwrap();
    refused(stranger.settle(call(6, FIRST, 0)).await.unwrap_err(), "IsFrozen");
    let reader = EthersClient::connect(&anvil.url(), None, Some(l1.contract())).await.unwrap();
    // Roots by batch with nothing seen before, then with the batches' blocks known.
    for _ in 0..2 {
        for (batch, root) in [word(1), word(2), word(4), word(0x10)].into_iter().enumerate() {
            assert_eq!(reader.root_at(batch as u64).await.unwrap(), root);
        }
        assert_eq!(reader.settled_batches(0).await.unwrap().len(), 4);
    }
    assert_eq!(reader.open_tariff_set(9, 900, M).await.unwrap_err(), L1Error::Config("the client has no key"));
    let nowhere = EthersClient::connect(&anvil.url(), None, Some([9; 20])).await.unwrap();
    assert!(matches!(nowhere.state_root().await, Err(L1Error::Malformed(_))));
    for batch in 0..2 {
        assert!(matches!(nowhere.root_at(batch).await, Err(L1Error::Malformed(_))));
    }
    drop(anvil);
    assert!(reader.state_root().await.unwrap_err().is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_waits_with_an_upgrade() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let (l1, init) = deployed(&deployer).await;
    let warp = async |timestamp| l1.set_local_time(timestamp).await.unwrap();
    scenario(&l1, &warp).await;
    let register = async || _ = l1.register_verifier(VERSION + 1, init).await.unwrap();
    upgrade(&l1, account, register, async || l1.announce_upgrade(VERSION + 1).await, &warp).await;
    let stranger = l1.with_key(ANVIL_KEYS[1]).unwrap();
    refused(stranger.settle(call(0x5a, FIRST + 24, 1)).await.unwrap_err(), "AccessControlUnauthorizedAccount");
    refused(stranger.announce_upgrade(VERSION).await.unwrap_err(), "AccessControlUnauthorizedAccount");
}

#[test]
fn a_bad_key_is_not_quoted() {
    let error = address_of("0xnotakeynotakey").unwrap_err();
    assert!(!error.to_string().contains("notakey"));
}
