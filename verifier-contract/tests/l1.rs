//! One scenario through both L1 clients: the contract on a local chain, and the fake. They must give the same answers.
#![allow(clippy::unwrap_used, clippy::panic)]

use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, AnvilOptions};
use gridveil_verifier_contract::ethers_client::{address_of, decode_settle_calldata, encode_settle_calldata};
use gridveil_verifier_contract::memory::{MemoryL1, MemoryL1Config};
use gridveil_verifier_contract::types::tariff_in_force;
use gridveil_verifier_contract::{CommunityParams, EthersClient, L1Client, L1Error, RollupConfig, SettleCall, VerifierInit, Word};

/// Deploys ten bytes that return the word 1: a verifier that accepts everything.
const ACCEPT_ALL: &str = "69600160005260206000f35f52600a6016f3";
const START: u64 = 1_800_000_000;
const SLOTS: u32 = 4;
const M: u16 = 24;
const FIRST: u32 = (START / 3600) as u32 + 10;
const PROOF_LENGTH: usize = 77;

fn word(value: u8) -> Word {
    let mut word = [0; 32];
    word[31] = value;
    word
}

fn community() -> CommunityParams {
    CommunityParams { community: 7, shape: 3, interval_length_s: 3600, m: M, tariff_set: 5 }
}

fn call(root: u8, first_interval: u32, tariff_index: u32) -> SettleCall {
    SettleCall {
        circuit_version: 1,
        community: 7,
        first_interval,
        tariff_index,
        new_root: word(root),
        community_new: word(root + 1),
        data: (0..SLOTS as u8 + 2).map(word).collect(),
        proof: vec![root; PROOF_LENGTH],
    }
}

fn refused(error: L1Error, name: &str) {
    assert!(error.is_revert(name), "expected {name}, got {error:?}");
    assert!(!error.is_retryable());
}

/// The rules as both sides must have them. `warp` moves the chain's clock.
async fn scenario<W: AsyncFn(u64)>(l1: &dyn L1Client, warp: W) {
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
    assert_eq!(tariffs.iter().map(|t| (t.index, t.first_interval, t.commitment)).collect::<Vec<_>>(), [(0, FIRST, word(8)), (1, FIRST + 24, word(9))]);
    assert_eq!([FIRST - 1, FIRST, FIRST + 23, FIRST + 24].map(|first| tariff_in_force(&tariffs, first)), [None, Some(0), Some(0), Some(1)]);
    assert_eq!(l1.communities(0).await.unwrap(), [community()]);

    refused(l1.settle(call(2, FIRST, 0)).await.unwrap_err(), "PeriodNotOver");
    warp(u64::from(FIRST + 48) * 3600).await;
    assert!(l1.timestamp().await.unwrap() >= u64::from(FIRST + 48) * 3600);
    refused(l1.settle(call(2, FIRST, 1)).await.unwrap_err(), "TariffNotInForce");
    refused(l1.settle(SettleCall { circuit_version: 2, ..call(2, FIRST, 0) }).await.unwrap_err(), "UnknownVerifier");
    refused(l1.settle(SettleCall { data: vec![word(1)], ..call(2, FIRST, 0) }).await.unwrap_err(), "DataLength");
    refused(l1.settle(SettleCall { proof: vec![1], ..call(2, FIRST, 0) }).await.unwrap_err(), "ProofLength");
    refused(l1.settle(SettleCall { new_root: [0xff; 32], ..call(2, FIRST, 0) }).await.unwrap_err(), "NotCanonical");
    let first = l1.settle(call(2, FIRST, 0)).await.unwrap();
    assert_eq!(first.batch, 1);
    // A retry, also with another proof of the same batch, gives the same receipt.
    let again = l1.settle(SettleCall { proof: vec![0xab; PROOF_LENGTH], ..call(2, FIRST, 0) }).await.unwrap();
    assert_eq!((again.batch, again.tx, again.block), (first.batch, first.tx, first.block));
    let second = l1.settle(call(4, FIRST + 24, 1)).await.unwrap();
    assert_eq!(second.batch, 2);
    refused(l1.settle(SettleCall { first_interval: FIRST + 1, ..call(2, FIRST, 0) }).await.unwrap_err(), "RootAlreadyFinalised");

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

#[tokio::test]
async fn memory_l1_has_the_rules() {
    let l1 = MemoryL1::new(MemoryL1Config {
        chain_id: 31_337,
        contract: [0x11; 20],
        genesis_root: word(1),
        timestamp: START,
        shapes: vec![(3, SLOTS, M)],
        circuit_version: 1,
        proof_length: Some(PROOF_LENGTH),
        enforce_future_tariffs: true,
    });
    scenario(&l1, async |timestamp| l1.set_timestamp(timestamp)).await;
    l1.fail_next(1);
    assert!(l1.state_root().await.unwrap_err().is_retryable());
    l1.state_root().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_has_the_same_rules() {
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(START), ..AnvilOptions::default() }).unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    assert_eq!(account, address_of(ANVIL_KEYS[0]).unwrap());
    let verifier = deployer.deploy_code(&hex::decode(ACCEPT_ALL).unwrap()).await.unwrap();
    let init = VerifierInit { shape: 3, slots: SLOTS, m: M, verifier, proof_length: PROOF_LENGTH as u32 };
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, word(1), true), &[init]).await.unwrap();
    scenario(&l1, async |timestamp| l1.set_local_time(timestamp).await.unwrap()).await;

    let stranger = l1.with_key(ANVIL_KEYS[1]).unwrap();
    refused(stranger.settle(call(6, FIRST, 0)).await.unwrap_err(), "AccessControlUnauthorizedAccount");
    let reader = EthersClient::connect(&anvil.url(), None, Some(l1.contract())).await.unwrap();
    // Roots by batch with nothing seen before, then with the batches' blocks known.
    for _ in 0..2 {
        for (batch, root) in [word(1), word(2), word(4), word(0)].into_iter().enumerate() {
            assert_eq!(reader.root_at(batch as u64).await.unwrap(), root);
        }
        assert_eq!(reader.settled_batches(0).await.unwrap().len(), 2);
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

#[test]
fn calldata_round_trips_and_nothing_else_decodes() {
    let call = call(2, FIRST, 0);
    let encoded = encode_settle_calldata(&call);
    assert_eq!(decode_settle_calldata(&encoded).unwrap(), call);
    for len in 0..encoded.len() {
        assert!(decode_settle_calldata(&encoded[..len]).is_err(), "{len}");
    }
    let mut longer = encoded.clone();
    longer.push(0);
    assert!(decode_settle_calldata(&longer).is_err());
}

#[test]
fn a_bad_key_is_not_quoted() {
    let error = address_of("0xnotakeynotakey").unwrap_err();
    assert!(!error.to_string().contains("notakey"));
}
