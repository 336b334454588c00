//! What is asked of a node for logs: nothing from before the deployment, no more blocks than it takes, and what is final
//! only once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ethers::providers::{Http, Provider};
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil};
use gridveil_verifier_contract::{AuditorL1, ChainL1, EthersClient, L1Error, OperatorL1, RollupConfig};
use serde_json::{Value, json};

/// Most blocks that the node below gives logs of in one query.
const RANGE: u64 = 40;

/// Ranges of `eth_getLogs` that were asked for, first and last block.
type Asked = Arc<Mutex<Vec<(u64, u64)>>>;

/// One request: its body.
fn body(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

/// The node's answer to a body.
fn forwarded(node: &str, body: &[u8]) -> Value {
    let mut stream = TcpStream::connect(node).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json = &answer[answer.find("\r\n\r\n").unwrap() + 4..];
    serde_json::from_str(&json[json.find('{').unwrap()..=json.rfind('}').unwrap()]).unwrap()
}

/// A node in front of a node, which keeps to a range, writes down what it is asked, and edits the logs that it gives.
fn node(anvil: &Anvil, asked: Asked, edit: impl Fn(&mut Value) + Send + 'static) -> String {
    let (listener, behind) = (TcpListener::bind("127.0.0.1:0").unwrap(), anvil.url().replace("http://", ""));
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body = body(&stream);
            let request: Value = serde_json::from_slice(&body).unwrap();
            let block = |name: &str| {
                let hex = request["params"][0][name].as_str().unwrap_or("0x0").trim_start_matches("0x");
                u64::from_str_radix(hex, 16).unwrap()
            };
            let (from, to) = (block("fromBlock"), block("toBlock"));
            let logs = request["method"] == "eth_getLogs";
            let answer = if logs && to - from + 1 > RANGE {
                let error = json!({"code": -32_005, "message": "query returned more than 10000 results"});
                json!({"jsonrpc": "2.0", "id": request["id"], "error": error})
            } else {
                let mut answer = forwarded(&behind, &body);
                if logs {
                    asked.lock().unwrap().push((from, to));
                    answer["result"].as_array_mut().unwrap().iter_mut().for_each(&edit);
                }
                answer
            };
            let text = answer.to_string();
            let head = format!("content-type: application/json\r\ncontent-length: {}", text.len());
            write!(stream, "HTTP/1.1 200 x\r\n{head}\r\nconnection: close\r\n\r\n{text}").unwrap();
        }
    });
    url
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
