//! How transactions get mined, and what they offer for it.

use std::time::Duration;

use ethers::providers::{Http, Middleware, Provider};
use ethers::types::H256;
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil};
use gridveil_verifier_contract::ethers_client::FeePolicy;
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
