//! An audit that is pinned to a block's hash: what it reads is what the node says where the node is honest, and each
//! lie is named where it is not, also a consistent one.

use std::sync::{Arc, Mutex};

use clap::Parser as _;
use gridveil_auditor::{
    Audit, Checkpoint,
    cli::{Args, AuditError, Tools, run},
    genesis::{Genesis, Node},
};
use gridveil_protocol::hex::{hex0, parse0};
use gridveil_verifier_contract::{L1Error, Lie, Word};
use serde_json::{Value, json};

use super::{
    nodes::{World, asked, call, of, serving},
    *,
};

/// The last block's number and hash, as the honest node has them.
fn last(world: &World) -> (u64, Word) {
    let block = call(world.anvil.port(), "eth_getBlockByNumber", json!(["latest", false]));
    let number = u64::from_str_radix(&block["number"].as_str().unwrap()[2..], 16).unwrap();
    (number, parse0(block["hash"].as_str().unwrap()).unwrap())
}

/// A client that is pinned to a hash.
fn pinned(world: &World, url: &str, hash: Word, from: Option<u64>) -> Result<EthersClient, L1Error> {
    world.runtime.block_on(async {
        let client = EthersClient::connect(url, None, Some(world.rollup.l1.contract())).await?;
        let client = client.pinned_to(hash).await?;
        client.read_chain(from, None, &|_| {}).await?;
        Ok(client)
    })
}

/// The audit of a block's hash, and the deployment as it is found.
fn audited(
    world: &World,
    url: &str,
    hash: Word,
    past: Option<Checkpoint>,
) -> Result<(AuditReport, Checkpoint), L1Error> {
    let l1 = pinned(world, url, hash, past.as_ref().map(|past| past.block.number))?;
    let (verifier, genesis) = (&world.verifier, world.nodes.as_slice());
    world.runtime.block_on(async {
        let audit = Audit { l1: &l1, verifier, genesis, from_block: 0, past, progress: &|_| {} };
        let (report, checkpoint) = audit.run().await?;
        l1.inspect_after(None, checkpoint.events(), checkpoint.block.number + 1).await?;
        Ok((report, checkpoint))
    })
}

/// Every question of an audit, its deployment and its verifiers' probes included, has the answer of an honest node.
#[test]
fn what_is_computed_is_what_an_honest_node_says() {
    let world = World::new();
    let url = world.anvil.url();
    let (number, hash) = last(&world);
    let (report, checkpoint) = audited(&world, &url, hash, None).unwrap();
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 1));
    assert_eq!((report.subject.block, report.subject.block_hash.as_str()), (number, hex0(hash).as_str()));
    let believed = world.client(&url);
    let (verifier, genesis) = (&world.verifier, world.nodes.as_slice());
    let audit = Audit { l1: &believed, verifier, genesis, from_block: 0, past: None, progress: &|_| {} };
    assert_eq!(report.read_blake3, world.runtime.block_on(audit.run()).unwrap().0.read_blake3);
    let proven = pinned(&world, &url, hash, None).unwrap();
    world.runtime.block_on(async {
        assert_eq!(proven.inspect(None).await.unwrap(), believed.inspect(None).await.unwrap());
        // Nothing is sent, and nothing is said of another block's state.
        let sent = proven.with_key(ANVIL_KEYS[0]).unwrap().set_local_time(1).await;
        assert!(matches!(sent, Err(L1Error::Unproven(_))), "{sent:?}");
    });

    // The next audit asks for no header before the checkpoint's.
    call(world.anvil.port(), "anvil_mine", json!(["0x3"]));
    let (port, heard) = (world.anvil.port(), Arc::new(Mutex::new(Vec::new())));
    let listening = Arc::clone(&heard);
    let url = serving(move |request| {
        listening.lock().unwrap().push((request["method"].clone(), request["params"].clone()));
        asked(port, request)
    });
    let (next, _) = audited(&world, &url, last(&world).1, Some(checkpoint)).unwrap();
    assert_eq!((next.failures.as_slice(), next.continued_from), (&[][..], Some(number)));
    for (method, params) in heard.lock().unwrap().iter().filter(|(method, _)| method == "eth_getBlockByNumber") {
        let asked = u64::from_str_radix(&params[0].as_str().unwrap()[2..], 16).unwrap();
        assert!(asked >= number, "{method} of {asked}");
    }
}

/// Changes the last hex digit of a text.
fn altered(value: &mut Value) {
    let text = value.as_str().unwrap().to_owned();
    let last = if text.ends_with('0') { "1" } else { "0" };
    *value = json!(format!("{}{last}", &text[..text.len() - 1]));
}

/// The first receipt with a log.
fn with_log(answer: &mut Value) -> Option<&mut Value> {
    answer["result"]
        .as_array_mut()?
        .iter_mut()
        .find(|receipt| receipt["logs"].as_array().is_some_and(|l| !l.is_empty()))
}

#[test]
fn each_lie_about_a_pinned_block_is_named() {
    let world = World::new();
    let port = world.anvil.port();
    let (_, hash) = last(&world);
    type Change = fn(&Value, &mut Value);
    type Case = (&'static str, Change, fn(&Lie) -> bool);
    let cases: [Case; 10] = [
        (
            "another header",
            |q, a| {
                if of(q, "eth_getBlockByHash") {
                    a["result"]["timestamp"] = json!("0x1")
                }
            },
            |lie| matches!(lie, Lie::Header { .. }),
        ),
        (
            "another header before",
            |q, a| {
                if of(q, "eth_getBlockByNumber") {
                    altered(&mut a["result"]["stateRoot"])
                }
            },
            |lie| matches!(lie, Lie::Chain { .. }),
        ),
        (
            "an altered log",
            |q, a| {
                if let Some(receipt) = with_log(a).filter(|_| of(q, "eth_getBlockReceipts")) {
                    altered(&mut receipt["logs"][0]["topics"][0])
                }
            },
            |lie| matches!(lie, Lie::Receipts { .. }),
        ),
        (
            "a log left out",
            |q, a| {
                if let Some(receipt) = with_log(a).filter(|_| of(q, "eth_getBlockReceipts")) {
                    receipt["logs"].as_array_mut().unwrap().pop();
                }
            },
            |lie| matches!(lie, Lie::Receipts { .. }),
        ),
        (
            "receipts left out",
            |q, a| {
                if of(q, "eth_getBlockReceipts") {
                    a["result"] = json!([])
                }
            },
            |lie| matches!(lie, Lie::Receipts { .. }),
        ),
        (
            "altered calldata, and the hash of it",
            |q, a| {
                if of(q, "eth_getBlockByNumber") && q["params"][1] == true {
                    altered(&mut a["result"]["transactions"][0]["input"])
                }
            },
            |lie| matches!(lie, Lie::Transactions { .. }),
        ),
        (
            "other code",
            |q, a| {
                if of(q, "eth_getCode") {
                    altered(&mut a["result"])
                }
            },
            |lie| matches!(lie, Lie::Code { .. }),
        ),
        (
            "another balance of the chain's coin",
            |q, a| {
                if of(q, "eth_getProof") {
                    a["result"]["balance"] = json!("0x77")
                }
            },
            |lie| matches!(lie, Lie::Balance { said: 0x77, .. }),
        ),
        (
            "another word of storage",
            |q, a| {
                if of(q, "eth_getProof")
                    && let Some(word) = a["result"]["storageProof"].get_mut(0)
                {
                    word["value"] = json!("0x4c4b40")
                }
            },
            |lie| matches!(lie, Lie::Storage { .. }),
        ),
        (
            "no proof",
            |q, a| {
                if of(q, "eth_getProof") {
                    a["result"]["accountProof"] = json!([])
                }
            },
            |lie| matches!(lie, Lie::Account { .. }),
        ),
    ];
    for (name, lie, expected) in cases {
        let url = serving(move |request| {
            let mut answer = asked(port, request);
            lie(request, &mut answer);
            answer
        });
        match audited(&world, &url, hash, None).map(drop) {
            Err(L1Error::Lie(lie)) => assert!(expected(&lie), "{name}: {lie}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // A node that does not have what is needed is not one that lies.
    let url = serving(move |request| {
        if of(request, "eth_getBlockReceipts") {
            return json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "the method does not exist"}});
        }
        asked(port, request)
    });
    let error = audited(&world, &url, hash, None).unwrap_err();
    assert!(matches!(&error, L1Error::Unproven(what) if what.contains("eth_getBlockReceipts")), "{error}");
    let error = audited(&world, &world.anvil.url(), [7; 32], None).unwrap_err();
    assert!(error.to_string().contains("does not have the block with the hash 0x0707"), "{error}");
}

/// Questions about a block's state, and where in their parameters the block stands.
const OF_STATE: [(&str, usize); 4] = [("eth_call", 1), ("eth_getBalance", 1), ("eth_getCode", 1), ("eth_getProof", 2)];

/// The command, as it is typed.
fn command(world: &World, url: &str, more: &[&str]) -> Result<AuditReport, AuditError> {
    let communities = world.nodes.iter().map(|(community, node)| Node { community: *community, node: *node });
    let genesis = serde_json::to_string(&Genesis { communities: communities.collect() }).unwrap();
    let path = std::env::temp_dir().join(format!("gridveil-genesis-{}", std::process::id()));
    std::fs::write(&path, genesis).unwrap();
    let contract = hex0(world.rollup.l1.contract());
    let words = ["audit", "--rpc", url, "--contract", &contract, "--genesis", path.to_str().unwrap()];
    let args = Args::try_parse_from(words.iter().chain(more)).unwrap();
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, CACHE.as_ref()).unwrap();
    let filed = Mutex::new(None);
    let tools = Tools {
        params: &|_: u64, k: u32| srs.params(k, &Silent).map_err(|error| error.to_string()),
        setup: &|_: u64| Ok(srs.id().to_string()),
        deployment: None,
        file: &|report: &AuditReport| {
            *filed.lock().unwrap() = Some(report.clone());
            Ok(())
        },
        progress: &|_: &str| {},
    };
    run(&args, &tools)?;
    Ok(filed.into_inner().unwrap().unwrap())
}

/// The vault is emptied. The node says of everything what was there before, so that calls, balances, code, logs and even
/// proofs fit one another.
#[test]
fn a_consistent_liar_about_an_emptied_vault_is_found_by_the_blocks_hash_alone() {
    let world = World::new();
    let port = world.anvil.port();
    let (before, hash) = last(&world);
    let report = command(&world, &world.anvil.url(), &["--block-hash", &hex0(hash)]).unwrap();
    assert!(report.is_ok() && report.books.held == 5_000_000 && report.subject.proven);
    assert!(report.table().contains("not believed: everything follows from the block hash"));
    // anvil's state of the block before is now one with this and other cheats: good enough to lie with.
    world.empty();
    let (_, hash) = last(&world);
    let before = format!("{before:#x}");
    let liar = |proofs_too: bool| {
        let before = before.clone();
        serving(move |request| {
            let mut request = request.clone();
            for (method, place) in OF_STATE {
                if of(&request, method) && (proofs_too || method != "eth_getProof") {
                    request["params"][place] = json!(before);
                }
            }
            asked(port, &request)
        })
    };
    // Without the hash, the audit says ok.
    let report = command(&world, &liar(true), &[]).unwrap();
    assert!(report.is_ok() && report.books.held == 5_000_000 && !report.subject.proven, "{:?}", report.failures);
    assert!(report.table().contains("believed as to what the chain is"));
    // With it, the lie is named: the state that it proves is not the block's.
    let hash = hex0(hash);
    let error = command(&world, &liar(true), &["--block-hash", &hash]).unwrap_err();
    assert!(matches!(&error, AuditError::L1(L1Error::Lie(Lie::Account { .. }))), "{error}");
    assert!(error.to_string().contains("the node lies: its proof of account 0x"), "{error}");
    // Or the truth comes out, where its proofs are the block's and only its answers are not.
    for url in [liar(false), world.anvil.url()] {
        match command(&world, &url, &["--block-hash", &hash]) {
            Err(AuditError::Failed { failures: 1 }) => {}
            other => panic!("{other:?}"),
        }
    }
    for bad in ["0x12", "latest", &hash[2..]] {
        assert!(matches!(command(&world, "http://127.0.0.1:1", &["--block-hash", bad]), Err(AuditError::BlockHash)));
    }
}
