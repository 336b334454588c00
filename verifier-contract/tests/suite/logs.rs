//! What is asked of a node for logs: nothing from before the deployment, no more blocks than it takes, and what is final
//! only once.

use std::sync::{Arc, Mutex};

use ethers::providers::{Http, Provider};
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil};
use gridveil_verifier_contract::{AuditorL1, ChainL1, EthersClient, L1Error, OperatorL1, RollupConfig};
use serde_json::{Value, json};

use crate::fake::{ask, refusal, serve};

/// Most blocks that the node below gives logs of in one query.
const RANGE: u64 = 40;

/// Ranges of `eth_getLogs` that were asked for, first and last block.
type Asked = Arc<Mutex<Vec<(u64, u64)>>>;

/// A node in front of a node, which keeps to a range, writes down what it is asked, and edits the logs that it gives.
fn node(anvil: &Anvil, asked: Asked, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> String {
    let behind = anvil.url();
    serve(move |request| {
        let block = |name: &str| {
            let hex = request["params"][0][name].as_str().unwrap_or("0x0").trim_start_matches("0x");
            u64::from_str_radix(hex, 16).unwrap()
        };
        let (from, to) = (block("fromBlock"), block("toBlock"));
        let logs = request["method"] == "eth_getLogs";
        if logs && to - from + 1 > RANGE {
            return Some(refusal(request, -32_005, "query returned more than 10000 results"));
        }
        let mut answer = ask(&behind, request);
        if logs {
            asked.lock().unwrap().push((from, to));
            answer["result"].as_array_mut().unwrap().iter_mut().for_each(&edit);
        }
        Some(answer)
    })
}

async fn mine(anvil: &Anvil, blocks: u64) {
    let node = Provider::<Http>::try_from(anvil.url()).unwrap();
    let _: Value = node.request("anvil_mine", [blocks]).await.unwrap();
}

/// A rollup that begins at block 500 or so, with a tariff set of so many tariffs.
async fn deployed(anvil: &Anvil) -> EthersClient {
    mine(anvil, 500).await;
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], false), &[]).await.unwrap();
    l1.open_tariff_set(1, 3600, 24).await.unwrap();
    l1.register_tariff(1, 1, [1; 32]).await.unwrap();
    l1
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_from_the_deployment_on_in_ranges_and_once() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = deployed(&anvil).await;
    mine(&anvil, 300).await;
    let asked = Asked::default();
    let url = node(&anvil, asked.clone(), |_| {});
    let reader = EthersClient::connect(&url, None, Some(l1.contract())).await.unwrap();
    let tariffs = reader.tariffs(0).await.unwrap();
    assert_eq!(tariffs.iter().map(|tariff| tariff.commitment).collect::<Vec<_>>(), [[1; 32]]);
    let first = std::mem::take(&mut *asked.lock().unwrap());
    let (start, genesis) =
        (first.iter().map(|(from, _)| *from).min().unwrap(), reader.events(0).await.unwrap()[0].block);
    assert!(start > 500 && start <= genesis, "nothing from before the deployment: {start}");
    // The blocks are covered, without holes, up to the latest one.
    let mut next = start;
    for (from, to) in &first[1..] {
        assert_eq!(*from, next);
        next = to + 1;
    }
    assert!(next > 800 && first.len() < 20, "{first:?}");

    l1.register_tariff(1, 25, [2; 32]).await.unwrap();
    asked.lock().unwrap().clear();
    assert_eq!(reader.tariffs(0).await.unwrap().len(), 2);
    let again = std::mem::take(&mut *asked.lock().unwrap());
    assert!(again.iter().all(|(from, _)| *from > start + 100), "what is final is not read again: {again:?}");
    assert_eq!(reader.tariffs(0).await.unwrap().len(), 2, "and nothing is told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_not_asked_for_is_refused() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = deployed(&anvil).await;
    let edits: [fn(&mut Value); 3] = [
        |log| log["address"] = json!(format!("0x{}", "7".repeat(40))),
        |log| log["topics"][0] = json!(format!("0x{}", "7".repeat(64))),
        |log| log["blockNumber"] = json!("0x1"),
    ];
    for edit in edits {
        let url = node(&anvil, Asked::default(), edit);
        let reader = EthersClient::connect(&url, None, Some(l1.contract())).await.unwrap();
        assert!(matches!(reader.tariffs(0).await, Err(L1Error::Malformed(_))));
    }
}
