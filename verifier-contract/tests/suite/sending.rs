//! How transactions get mined, and what they offer for it.

use std::time::Duration;

use ethers::providers::{Http, Middleware, Provider};
use ethers::types::H256;
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil};
use gridveil_verifier_contract::ethers_client::{FeePolicy, MOST_AT_ONCE};
use gridveil_verifier_contract::{ChainL1, EthersClient, OperatorL1, RollupConfig};

const M: u16 = 24;

/// A transaction that nobody mines is in the way of the next one of its account, also after a restart: the next one takes
/// its place, for more. On a quiet chain nobody is tipped for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_transaction_is_replaced() {
    let anvil = Anvil::spawn().unwrap();
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], true), &[]).await.unwrap();
    let node = Provider::<Http>::try_from(anvil.url()).unwrap();
    let mined = async |on: bool| {
        let _: serde_json::Value = node.request("evm_setAutomine", [on]).await.unwrap();
    };
    mined(false).await;
    let waits = Duration::from_secs(3);
    assert!(tokio::time::timeout(waits, l1.open_tariff_set(1, 3600, M)).await.is_err(), "nobody mines it");
    // Another process knows nothing of it.
    let again = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), Some(l1.contract())).await.unwrap();
    let sends = again.open_tariff_set(2, 3600, M);
    let mines = async {
        tokio::time::sleep(waits).await;
        let _: serde_json::Value = node.request("evm_mine", ()).await.unwrap();
        mined(true).await;
    };
    let (receipt, ()) = tokio::join!(sends, mines);
    let mined = node.get_transaction(H256(receipt.unwrap().tx)).await.unwrap().unwrap();
    assert!(mined.max_priority_fee_per_gas.unwrap() < 3_000_000u64.into(), "raised from the least, not from gwei");
    again.open_tariff_set(1, 3600, M).await.expect("the first one was replaced");
    assert!(again.open_tariff_set(2, 3600, M).await.unwrap_err().is_revert("TariffSetAlreadyOpen"));
    // A price above the cap is waited for.
    let thrifty = again.with_fees(FeePolicy { cap_wei: 1 });
    let dear = thrifty.open_tariff_set(3, 3600, M).await.unwrap_err();
    assert!(dear.is_retryable() && dear.to_string().contains("may cost"), "{dear}");
}

/// Nothing that waits is mined any more after an account's numbers are taken: not only the first.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_waits_is_replaced_by_nothing() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = l1.account().unwrap();
    let node = Provider::<Http>::try_from(anvil.url()).unwrap();
    let asked = async |method: &str, params: serde_json::Value| {
        let _: serde_json::Value = node.request(method, params).await.unwrap();
    };
    let before = l1.mined_transactions(account).await.unwrap();
    asked("evm_setAutomine", serde_json::json!([false])).await;
    let mut waiting = Vec::new();
    for number in before..before + MOST_AT_ONCE as u64 {
        let (from, to) = (hex0(account), hex0([7; 20]));
        let tx = serde_json::json!({ "from": from, "to": to, "value": "0x1", "nonce": format!("{number:#x}") });
        waiting.push(node.request::<_, H256>("eth_sendTransaction", [tx]).await.unwrap());
    }
    let mines = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        asked("evm_setIntervalMining", serde_json::json!([1])).await;
    };
    let (done, ()) = tokio::join!(l1.void_waiting(|_| {}), mines);
    done.unwrap();
    assert_eq!(l1.mined_transactions(account).await.unwrap(), before + MOST_AT_ONCE as u64);
    assert_eq!(l1.balance_wei([7; 20]).await.unwrap(), 0);
    for hash in waiting {
        assert!(node.get_transaction_receipt(hash).await.unwrap().is_none());
    }
}
