//! A request that another account sends, and a community's end, through both L1 clients: they must give the same answers.

use gridveil_verifier_contract::ethers_client::Key;
use gridveil_verifier_contract::{
    Address, CommunityEnd, EthersClient, ForcedRequest, L1Error, RollupConfig, RollupEffect, Stage, TxReceipt,
    VerifierInit,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    ethers_client::{Act, address_of},
};

use crate::l1::{
    ACCEPT_ALL, FIRST, M, PROOF_LENGTH, Roles, SLOTS, START, address_word, call, memory, record, refused, scenario,
    with_records,
};

const DAY_S: u64 = 24 * 3600;
const NOTICE_S: u64 = 14 * DAY_S;

/// FORCED.7. After [`scenario`]; `me` sends and pays, the member has [`ANVIL_KEYS`]\[3\].
async fn signed_request(l1: &impl Roles, me: Address) {
    let now = l1.timestamp().await.unwrap();
    let member = address_of(ANVIL_KEYS[3]).unwrap();
    let request = |nonce, deadline_s| ForcedRequest {
        chain_id: 31_337,
        contract: l1.contract(),
        community: 7,
        slot: 2,
        requester: member,
        nonce,
        deadline_s,
        signature: Vec::new(),
    };
    let signed = request(0, now + DAY_S).sign(&Key::of_hex(ANVIL_KEYS[3]).unwrap()).unwrap();
    refused(l1.force_withdraw_for(ForcedRequest { slot: 1, ..signed.clone() }).await.unwrap_err(), "NotSigned");
    let late = request(0, now - 1).sign(&Key::of_hex(ANVIL_KEYS[3]).unwrap()).unwrap();
    refused(l1.force_withdraw_for(late).await.unwrap_err(), "RequestExpired");
    assert_eq!(l1.forced_nonce(member).await.unwrap(), 0);
    let sent = l1.force_withdraw_for(signed.clone()).await.unwrap();
    assert_eq!(l1.forced_nonce(member).await.unwrap(), 1);
    refused(l1.force_withdraw_for(signed).await.unwrap_err(), "NotSigned");
    let queue = l1.forced_queue(7).await.unwrap();
    let [entry] = queue[..] else { panic!("{queue:?}") };
    assert_eq!((entry.slot, entry.requester, entry.payer), (2, member, me));
    let told: Vec<RollupEffect> = l1.events(sent.block).await.unwrap().into_iter().map(|event| event.effect).collect();
    let bond = entry.bond;
    assert_eq!(
        told,
        [RollupEffect::ForcedRequested { community: 7, slot: 2, requester: member, position: 0, payer: me, bond }]
    );
}

/// CLOSE.1 to CLOSE.4. After [`signed_request`], whose request waits.
async fn ending<A, C, W>(l1: &impl Roles, announce: A, close: C, warp: W)
where
    A: AsyncFn() -> Result<TxReceipt, L1Error>,
    C: AsyncFn() -> Result<TxReceipt, L1Error>,
    W: AsyncFn(u64),
{
    assert_eq!(l1.end_of(7).await.unwrap(), CommunityEnd::default());
    refused(close().await.unwrap_err(), "NoticeNotOver");
    let announced = announce().await.unwrap();
    let end = l1.end_of(7).await.unwrap();
    assert_eq!((end.stage, end.closed_after), (Stage::Closing, 0));
    assert!(end.closes_at_s >= l1.timestamp().await.unwrap() + NOTICE_S - 60);
    refused(announce().await.unwrap_err(), "AlreadyClosing");
    refused(close().await.unwrap_err(), "NoticeNotOver");
    l1.settle(call(0x50, FIRST + 24, 1)).await.unwrap();
    warp(end.closes_at_s + 1).await;
    close().await.unwrap();
    assert_eq!(l1.end_of(7).await.unwrap().stage, Stage::Ending);
    refused(close().await.unwrap_err(), "RequestsWait");
    refused(l1.force_withdraw(7, 1).await.unwrap_err(), "CommunityIsClosed");
    let head = l1.forced_queue(7).await.unwrap()[0];
    let served = [record(10, 0, head.slot, address_word(head.requester))];
    l1.settle(with_records(0x52, &served)).await.unwrap();
    close().await.unwrap();
    let count = l1.batch_count().await.unwrap();
    assert_eq!(l1.end_of(7).await.unwrap(), CommunityEnd { stage: Stage::Closed, closed_after: count, ..end });
    for refusal in [
        close().await.unwrap_err(),
        l1.force_withdraw(7, 1).await.unwrap_err(),
        l1.settle(call(0x54, FIRST + 24, 1)).await.unwrap_err(),
        l1.freeze(7).await.unwrap_err(),
    ] {
        refused(refusal, "CommunityIsClosed");
    }
    let told: Vec<RollupEffect> = l1.events(announced.block).await.unwrap().into_iter().map(|e| e.effect).collect();
    let ends = |effect: &&RollupEffect| {
        matches!(
            effect,
            RollupEffect::CommunityClosing { .. }
                | RollupEffect::CommunityEnding { .. }
                | RollupEffect::CommunityClosed { .. }
        )
    };
    let ends: Vec<RollupEffect> = told.iter().filter(ends).copied().collect();
    assert_eq!(
        ends,
        [
            RollupEffect::CommunityClosing { community: 7, closes_at: end.closes_at_s },
            RollupEffect::CommunityEnding { community: 7 },
            RollupEffect::CommunityClosed { community: 7, last_batch: count },
        ]
    );
}

#[tokio::test]
async fn memory_l1_ends_a_community() {
    let (l1, me) = (memory(), [0x42; 20]);
    l1.set_caller(me);
    let warp = async |timestamp| l1.set_timestamp(timestamp);
    scenario(&l1, &warp).await;
    signed_request(&l1, me).await;
    ending(&l1, async || l1.announce_closing(7), async || l1.close_community(7), &warp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_ends_a_community() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let verifier = deployer.deploy_code(&hex::decode(ACCEPT_ALL).unwrap()).await.unwrap();
    let init = VerifierInit { shape: 3, slots: SLOTS, m: M, verifier, proof_length: PROOF_LENGTH as u32 };
    let config = RollupConfig::single_account(account, [&[0; 31][..], &[1]].concat().try_into().unwrap(), true);
    let l1 = deployer.deploy_rollup(&config, &[init]).await.unwrap();
    let warp = async |timestamp| l1.set_local_time(timestamp).await.unwrap();
    scenario(&l1, &warp).await;
    signed_request(&l1, account).await;
    let announce = async || l1.act(Act::AnnounceClosing(7)).await;
    ending(&l1, announce, async || l1.act(Act::CloseCommunity(7)).await, &warp).await;
    assert_eq!(l1.closing_notice_s().await.unwrap(), NOTICE_S);
    assert_eq!(l1.settled_through(7).await.unwrap(), u64::from(FIRST + 48) * 3600);
}
