//! A real node, an emptied vault, and nodes that lie: each lie is a finding, or a refusal that names it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use gridveil_auditor::{
    Audit, Checkpoint, CheckpointError,
    deployment::{DeploymentReport, Outcome, check_found},
};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{AuditorL1 as _, L1Error, MemberL1 as _, ethers_client::Confirmations};
use serde_json::{Value, json};

use super::*;

/// One request over plain HTTP: its body.
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

/// What the node on this port answers.
pub(super) fn asked(port: u16, request: &Value) -> Value {
    let body = request.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json = &answer[answer.find("\r\n\r\n").unwrap() + 4..];
    serde_json::from_str(&json[json.find('{').unwrap()..=json.rfind('}').unwrap()]).unwrap()
}

pub(super) fn call(port: u16, method: &str, params: Value) -> Value {
    let answer = asked(port, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// What a lie does with a request and the true answer.
type Lie = fn(&Value, &mut Value);

/// A node in front of a node, which tells one lie.
fn lying(port: u16, lie: Lie) -> String {
    serving(move |request| {
        let mut answer = asked(port, request);
        lie(request, &mut answer);
        answer
    })
}

/// A node that answers so.
pub(super) fn serving(answer: impl Fn(&Value) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request: Value = serde_json::from_slice(&body(&stream)).unwrap();
            let text = answer(&request).to_string();
            let head = format!("content-type: application/json\r\ncontent-length: {}", text.len());
            write!(stream, "HTTP/1.1 200 x\r\n{head}\r\nconnection: close\r\n\r\n{text}").unwrap();
        }
    });
    url
}

pub(super) fn of(request: &Value, method: &str) -> bool {
    request["method"] == method
}

/// The logs of an answer, where all of one contract or more are asked for and not one event.
fn logs<'a>(request: &Value, answer: &'a mut Value) -> Option<&'a mut Vec<Value>> {
    if of(request, "eth_getLogs") { answer["result"].as_array_mut() } else { None }
}

/// A rollup of one batch and one deposit on a node of its own.
pub(super) struct World {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) anvil: Anvil,
    pub(super) rollup: Rollup,
    pub(super) nodes: Vec<(u32, Fr)>,
    pub(super) verifier: NativeVerifier,
}

impl World {
    pub(super) fn new() -> Self {
        let genesis = genesis();
        let nodes = vec![(COMMUNITY, genesis.community.node())];
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let anvil = Anvil::spawn().unwrap();
        let version = Version::new(V2, v2());
        let rollup = runtime.block_on(async {
            let client = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
            let mut rollup = Rollup::new(&client, &version, genesis).await;
            rollup.publish().await;
            rollup.settle(&version).await;
            rollup.l1.deposit(to_bytes(&Fr::from(5u64)), 500).await.unwrap();
            rollup
        });
        let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, CACHE.as_ref()).unwrap();
        let verifier = keys(&[V2], &srs.params(shape().k, &Silent).unwrap());
        Self { runtime, anvil, rollup, nodes, verifier }
    }

    pub(super) fn client(&self, url: &str) -> EthersClient {
        self.runtime.block_on(async {
            let client = EthersClient::connect(url, None, Some(self.rollup.l1.contract())).await.unwrap();
            client.with_confirmations(Confirmations::Blocks(0)).pinned(None).await.unwrap()
        })
    }

    fn audited(&self, url: &str, past: Option<Checkpoint>) -> Result<(AuditReport, Checkpoint), L1Error> {
        let l1 = self.client(url);
        let (verifier, genesis) = (&self.verifier, self.nodes.as_slice());
        self.runtime.block_on(Audit { l1: &l1, verifier, genesis, from_block: 0, past, progress: &|_| {} }.run())
    }

    fn found(&self, url: &str) -> DeploymentReport {
        check_found(&self.runtime.block_on(self.client(url).inspect(None)).unwrap(), "no file")
    }
}

fn failures(report: &DeploymentReport) -> String {
    report.failures().map(|check| format!("{}: {:?}\n", check.subject, check.outcome)).collect()
}

#[test]
fn a_real_nodes_chain_is_audited_at_one_block_and_a_lie_of_the_node_is_named() {
    let world = World::new();
    let url = world.anvil.url();
    let (report, checkpoint) = world.audited(&url, None).unwrap();
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 1));
    assert!(report.books.solvency_compared && report.books.held == 5_000_000 && report.books.owed == report.books.held);
    let about: Vec<&str> = report.timeline.iter().map(|decision| decision.about).collect();
    for expected in ["rollup", "verifier", "role", "tariff", "community"] {
        assert!(about.contains(&expected), "{expected}: {about:?}");
    }
    // Asked again about the same block, a node says the same.
    assert_eq!(world.audited(&url, None).unwrap().0.read_blake3, report.read_blake3);
    let deployed = world.runtime.block_on(async {
        let latest = world.rollup.l1.block(None).await.unwrap().number;
        world.rollup.l1.first_with_code(latest).await.unwrap()
    });
    assert_eq!(deployed, report.timeline[0].block, "found by halving");

    type Case = (&'static str, Lie, &'static str, &'static str);
    let cases: [Case; 8] = [
        (
            "other chain",
            |q, a| {
                if of(q, "eth_chainId") {
                    a["result"] = json!("0x1")
                }
            },
            "PROOF",
            "does not hold",
        ),
        (
            "missing logs",
            |q, a| {
                if let Some(logs) = logs(q, a) {
                    _ = logs.pop()
                }
            },
            "VAULT.5",
            "open deposits",
        ),
        (
            "missing batches",
            |q, a| {
                if let Some(logs) = logs(q, a) {
                    let settled = |log: &Value| {
                        log["topics"].as_array().unwrap().len() == 4 && log["data"].as_str().unwrap().len() > 300
                    };
                    logs.retain(|log| !settled(log));
                }
            },
            "L1.SEQUENCE",
            "the contract counts 1",
        ),
        (
            "reordered logs",
            |q, a| {
                if let Some(logs) = logs(q, a) {
                    logs.reverse()
                }
            },
            "L1.SEQUENCE",
            "comes late",
        ),
        (
            "foreign logs",
            |q, a| {
                if let Some(log) = logs(q, a).and_then(|logs| logs.last_mut()) {
                    log["address"] = json!("0x9999999999999999999999999999999999999999");
                }
            },
            "L1.CALLDATA",
            "a log that was not asked for",
        ),
        (
            "altered calldata",
            |q, a| {
                if of(q, "eth_getTransactionByHash") {
                    let input = a["result"]["input"].as_str().unwrap().to_owned();
                    let last = if input.ends_with('0') { "1" } else { "0" };
                    a["result"]["input"] = json!(format!("{}{last}", &input[..input.len() - 1]));
                }
            },
            "L1.CALLDATA",
            "other contents than its hash says",
        ),
        (
            "another block",
            |q, a| {
                if of(q, "eth_getBlockByNumber") {
                    a["result"]["number"] = json!("0x1")
                }
            },
            "L1.CALLDATA",
            "another block than was asked for",
        ),
        (
            "an emptied vault, told",
            |q, a| {
                // balanceOf
                if of(q, "eth_call") && q["params"][0].to_string().contains("0x70a08231") {
                    a["result"] = json!(format!("0x{:064x}", 0));
                }
            },
            "VAULT.11",
            "are missing",
        ),
    ];
    for (name, lie, clause, text) in cases {
        let (report, _) =
            world.audited(&lying(world.anvil.port(), lie), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = |failure: &&Failure| failure.clause == clause && failure.what.contains(text);
        assert!(report.failures.iter().any(|failure| found(&failure)), "{name}: {:#?}", report.failures);
    }

    // Code.
    let honest = world.found(&url);
    assert_eq!(failures(&honest), "");
    let rollup = honest.checks.iter().find(|check| check.subject == "rollup").unwrap();
    assert!(matches!(rollup.outcome, Outcome::Ok(_)), "{rollup:?}");
    // A byte of it.
    let altered: Lie = |q, a| {
        if of(q, "eth_getCode") && a["result"].as_str().unwrap().len() > 20_000 {
            let code = a["result"].as_str().unwrap().to_owned();
            let other = if &code[30..32] == "00" { "01" } else { "00" };
            a["result"] = json!(format!("{}{other}{}", &code[..30], &code[32..]));
        }
    };
    let said = failures(&world.found(&lying(world.anvil.port(), altered)));
    assert!(said.contains("rollup: ") && said.contains("is not this program's rollup"), "{said}");
    let no_token: Lie = |q, a| {
        if of(q, "eth_getCode") && a["result"].as_str().unwrap().len() < 8_000 {
            a["result"] = json!("0x");
        }
    };
    assert!(failures(&world.found(&lying(world.anvil.port(), no_token))).contains("token's code"));

    // A checkpoint is left where it does not lie on the chain any more, and by a node that is behind it.
    let behind: Lie = |q, a| {
        if of(q, "eth_blockNumber") {
            a["result"] = json!("0x1")
        }
    };
    let lies_on = |url: &str| world.runtime.block_on(checkpoint.lies_on(&world.client(url)));
    assert!(lies_on(&url).is_ok());
    assert!(matches!(lies_on(&lying(world.anvil.port(), behind)), Err(CheckpointError::Behind { head: 1, .. })));
    call(world.anvil.port(), "anvil_mine", json!([]));
    let (next, _) = world.audited(&url, Some(checkpoint.clone())).unwrap();
    assert_eq!((next.failures.as_slice(), next.proofs_verified), (&[][..], 1));
    call(world.anvil.port(), "anvil_reorg", json!([2, []]));
    assert!(matches!(lies_on(&url), Err(CheckpointError::OffChain { .. })));
}

impl World {
    /// Takes all tokens out of the vault, as a stolen key of the token's issuer would.
    pub(super) fn empty(&self) {
        let port = self.anvil.port();
        let (contract, thief) = (hex0(self.rollup.l1.contract()), "0x9000000000000000000000000000000000000009");
        let token = self.runtime.block_on(self.rollup.l1.terms()).unwrap().token.to_string();
        let transfer = format!("0xa9059cbb{:0>64}{:064x}", &thief[2..], 5_000_000);
        call(port, "anvil_setBalance", json!([contract, "0xde0b6b3a7640000"]));
        call(port, "anvil_impersonateAccount", json!([contract]));
        let hash = call(port, "eth_sendTransaction", json!([{ "from": contract, "to": token, "data": transfer }]));
        // It is answered before its block is there.
        while call(port, "eth_getTransactionReceipt", json!([hash])).is_null() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// The books look right, and the money is gone: what a stolen token balance looks like.
#[test]
fn an_emptied_vault_is_a_finding() {
    let world = World::new();
    world.empty();
    let (report, _) = world.audited(&world.anvil.url(), None).unwrap();
    let [Failure { clause, what, .. }] = &report.failures[..] else { panic!("{:?}", report.failures) };
    assert_eq!((*clause, report.books.pool_compared), ("VAULT.11", true));
    assert_eq!(what, "the vault has 0 parts of the token and owes 5000000: 5000000 are missing");
    assert!(report.table().contains("FAILED"));
}
