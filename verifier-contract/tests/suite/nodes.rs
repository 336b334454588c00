//! Several nodes of one chain: one that dies, one that lags, one of another chain, one of another branch.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ethers::providers::{Http, Provider};
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil};
use gridveil_verifier_contract::ethers_client::Key;
use gridveil_verifier_contract::{ChainL1, EthersClient, L1Error, OperatorL1, RollupConfig};
use serde_json::{Value, json};

use crate::fake::{ask, result, serve};

/// Neither what the transport says of a node, nor what the node says itself, is told with the key in its address.
#[tokio::test]
async fn no_error_shows_a_nodes_key() {
    let refuses = serve(|request| {
        let message = "PLANTED-key-0123 is not authorised, nor PLANTED-user";
        Some(json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": message}}))
    });
    let talks = serve(|_| Some(json!("PLANTED-key-0123: page not found")));
    let hangs_up = serve(|_| None);
    for node in [&refuses, &talks, &hangs_up, "http://127.0.0.1:1", "nonsense:PLANTED-key-0123"] {
        let rest = node.trim_start_matches("http://");
        let url = format!("http://PLANTED-user:PLANTED-pass@{rest}/v3/PLANTED-key-0123?k=PLANTED-query");
        let urls = if node.contains("nonsense") { vec![node.to_owned()] } else { vec![url.clone()] };
        let error = EthersClient::through(&urls, None, None).await.unwrap_err();
        let both = EthersClient::through(&[url.clone(), url], None, None).await.unwrap_err();
        for error in [error, both] {
            let said = format!("{error} {error:?}");
            assert!(!said.contains("PLANTED"), "{said}");
        }
        if let Ok(later) = EthersClient::of_chain(&urls, None, Some([1; 20]), 31_337) {
            let error = later.timestamp().await.unwrap_err();
            let said = format!("{error} {error:?} {later:?}");
            assert!(!said.contains("PLANTED"), "{said}");
        }
    }
}

/// A client that began without asking asks for the chain first, and a node of another one for nothing else.
#[tokio::test]
async fn a_client_of_a_known_chain_asks_a_node_for_it_first() {
    let anvil = Anvil::spawn().unwrap();
    let node = Node::new(&anvil);
    let (urls, contract) = ([node.url.clone()], Some([1; 20]));
    let client = EthersClient::of_chain(&urls, None, contract, 1).unwrap();
    assert!(node.asked().is_empty());
    for _ in 0..2 {
        let error = client.timestamp().await.unwrap_err();
        assert_eq!(error, L1Error::WrongChain { chain: 31_337, expected: 1 });
        assert_eq!(node.asked(), ["eth_chainId"]);
    }
    let client = EthersClient::of_chain(&urls, None, contract, 31_337).unwrap();
    client.timestamp().await.unwrap();
    client.timestamp().await.unwrap();
    let asked = node.asked();
    assert_eq!(asked.first().map(String::as_str), Some("eth_chainId"));
    assert_eq!(asked.iter().filter(|method| *method == "eth_chainId").count(), 1, "{asked:?}");
    // Of several the wrong one is not used.
    let (right, wrong) = (Node::new(&anvil), Node::new(&anvil));
    wrong.is(Mode::Chain(5));
    let client = EthersClient::of_chain(&[wrong.url.clone(), right.url.clone()], None, contract, 31_337).unwrap();
    client.timestamp().await.unwrap();
    assert!(wrong.asked().iter().all(|method| method == "eth_chainId" || method == "eth_blockNumber"));
}

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Up,
    Dead,
    /// It has not seen so many of the last blocks, and says of them what a node says that does not know better: nothing.
    Lags(u64),
    /// It says that it is of this chain.
    Chain(u64),
}

/// A node in front of a node.
#[derive(Clone)]
struct Node {
    url: String,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn new(anvil: &Anvil) -> Self {
        let (behind, mode, asked) = (anvil.url(), Arc::new(Mutex::new(Mode::Up)), Arc::new(Mutex::new(Vec::new())));
        let node = (Arc::clone(&mode), Arc::clone(&asked));
        let url = serve(move |request| {
            let method = request["method"].as_str().unwrap().to_owned();
            node.1.lock().unwrap().push(method.clone());
            let mode = *node.0.lock().unwrap();
            match mode {
                Mode::Dead => None,
                Mode::Up => Some(ask(&behind, request)),
                Mode::Chain(chain) if method == "eth_chainId" => Some(result(request, format!("{chain:#x}"))),
                Mode::Chain(_) => Some(ask(&behind, request)),
                Mode::Lags(blocks) => Some(lagging(&behind, request, &method, blocks)),
            }
        });
        Self { url, mode, asked }
    }

    fn is(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn lagging(behind: &str, request: &Value, method: &str, blocks: u64) -> Value {
    let head = ask(behind, &json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] }));
    let head = number(&head["result"]) - blocks;
    if method == "eth_blockNumber" {
        return result(request, format!("{head:#x}"));
    }
    let mut request = request.clone();
    if let Some(params) = request["params"].as_array_mut() {
        for param in params {
            if param == "latest" {
                *param = json!(format!("{head:#x}"));
            }
            if param.get("toBlock").is_some_and(|to| number(to) > head) {
                param["toBlock"] = json!(format!("{head:#x}"));
            }
        }
    }
    ask(behind, &request)
}

async fn mine(anvil: &Anvil, blocks: u64) {
    let node = Provider::<Http>::try_from(anvil.url()).unwrap();
    let _: Value = node.request("anvil_mine", [blocks]).await.unwrap();
}

/// A rollup with a tariff.
async fn deployed(anvil: &Anvil, commitment: [u8; 32]) -> EthersClient {
    let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let account = deployer.account().unwrap();
    let l1 = deployer.deploy_rollup(&RollupConfig::single_account(account, [0; 32], false), &[]).await.unwrap();
    l1.open_tariff_set(1, 3600, 24).await.unwrap();
    l1.register_tariff(1, 1, commitment).await.unwrap();
    l1
}

async fn commitments(l1: &EthersClient) -> Vec<[u8; 32]> {
    l1.tariffs(0).await.unwrap().iter().map(|tariff| tariff.commitment).collect()
}

async fn through(nodes: [&Node; 2], l1: &EthersClient) -> EthersClient {
    let key = Key::of_hex(ANVIL_KEYS[0]).unwrap();
    EthersClient::through(&nodes.map(|node| &node.url), Some(key), Some(l1.contract())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_followed_by_the_next_and_all_get_what_is_sent() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = deployed(&anvil, [1; 32]).await;
    let (first, second) = (Node::new(&anvil), Node::new(&anvil));
    let both = through([&first, &second], &l1).await;
    second.asked();
    assert_eq!(commitments(&both).await, [[1; 32]]);
    let only_looks = |asked: Vec<String>| asked.iter().all(|m| m == "eth_chainId" || m == "eth_blockNumber");
    assert!(only_looks(second.asked()), "the first answers");
    both.register_tariff(1, 25, [2; 32]).await.unwrap();
    for node in [&first, &second] {
        assert!(node.asked().contains(&"eth_sendRawTransaction".to_owned()));
    }
    first.is(Mode::Dead);
    assert_eq!(commitments(&both).await, [[1; 32], [2; 32]]);
    both.register_tariff(1, 49, [3; 32]).await.unwrap();
    // A start does not need the first one either.
    assert_eq!(commitments(&through([&first, &second], &l1).await).await.len(), 3);
    second.is(Mode::Dead);
    let error = both.state_root().await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("node 1 does not answer; node 2 does not"), "{error}");
    assert!(!error.to_string().contains("127.0.0.1"), "an address may hold a key: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_is_refused_at_the_start_and_never_used_later() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = deployed(&anvil, [1; 32]).await;
    let (first, second) = (Node::new(&anvil), Node::new(&anvil));
    second.is(Mode::Chain(5));
    let urls = [&first.url, &second.url];
    let refused = EthersClient::through(&urls, None, Some(l1.contract())).await.unwrap_err();
    assert!(matches!(refused, L1Error::OtherChain { node: 2, chain: 5, first: 1, expected: 31_337 }), "{refused}");
    // It was silent at the start, and tells its chain only when the other one is gone.
    second.is(Mode::Dead);
    let both = EthersClient::through(&urls, None, Some(l1.contract())).await.unwrap();
    second.is(Mode::Chain(5));
    first.is(Mode::Dead);
    second.asked();
    let error = both.state_root().await.unwrap_err().to_string();
    assert!(error.contains("node 2 is of another chain"), "{error}");
    let asked = second.asked();
    assert!(!asked.iter().any(|method| method == "eth_call"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_node_takes_nothing_back() {
    let anvil = Anvil::spawn().unwrap();
    let l1 = deployed(&anvil, [1; 32]).await;
    mine(&anvil, 5).await;
    l1.register_tariff(1, 25, [2; 32]).await.unwrap();
    let (first, second) = (Node::new(&anvil), Node::new(&anvil));
    second.is(Mode::Lags(4));
    let both = through([&first, &second], &l1).await;
    assert_eq!(commitments(&both).await, [[1; 32], [2; 32]]);
    first.is(Mode::Dead);
    // The node that is left has not seen the second tariff: it is waited for, and never believed.
    let error = both.tariffs(0).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("before block"), "{error}");
    let waits = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.is(Mode::Up);
    };
    let (read, ()) = tokio::join!(commitments(&both), waits);
    assert_eq!(read, [[1; 32], [2; 32]]);
    // The first one is back, and stays behind: it is asked no more.
    first.is(Mode::Lags(3));
    tokio::time::sleep(Duration::from_secs(5)).await;
    mine(&anvil, 3).await;
    l1.register_tariff(1, 49, [3; 32]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(commitments(&both).await.len(), 3);
}

/// Logs that were kept of one node are not mixed with those of another that has other blocks.
#[tokio::test(flavor = "multi_thread")]
async fn two_branches_are_not_mixed() {
    let (one, other) = (Anvil::spawn().unwrap(), Anvil::spawn().unwrap());
    // The same account deploys the same: the contracts are at the same places.
    let (l1, other_l1) = (deployed(&one, [1; 32]).await, deployed(&other, [9; 32]).await);
    assert_eq!(l1.contract(), other_l1.contract());
    mine(&one, 150).await;
    mine(&other, 151).await;
    let (first, second) = (Node::new(&one), Node::new(&other));
    let both = through([&first, &second], &l1).await;
    assert_eq!(commitments(&both).await, [[1; 32]]);
    first.is(Mode::Dead);
    assert_eq!(commitments(&both).await, [[9; 32]], "nothing of the branch that is gone");
}
