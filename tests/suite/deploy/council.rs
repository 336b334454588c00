//! The council of a deployment, and the day on which it is needed.

use gridveil_protocol::{field::to_bytes, hex::hex0, instance::domain};
use gridveil_verifier_contract::{
    Address, AuditorL1 as _, ChainL1 as _, RollupConfig, VerifierInit, Word,
    deployment::{DeploymentFile, account},
};
use serde_json::{Value, json};

use super::{CHAIN_ID, DEPLOYER, World, using::words};

pub const COUNCIL: &str = "0x1000000000000000000000000000000000000008";
pub const FEW: &str = "0x1000000000000000000000000000000000000009";
/// Deploys ten bytes that return the word 1: a verifier that accepts everything.
const ACCEPT_ALL: &str = "69600160005260206000f35f52600a6016f3";
const PROOF_BYTES: usize = 96;

/// Answers as a Safe of eight owners: `getThreshold` with one byte, `getOwners` with eight empty words.
fn safe_code(threshold: u8) -> String {
    format!("0x5f3560e01c63e75235b814601c5760205f5260086020526101405ff35b60{threshold:02x}5f5260205ff3")
}

/// The line of the example, with an account that is a Safe.
pub fn appointed_in_the_configuration(world: &World) {
    world.node("anvil_setCode", json!([COUNCIL, safe_code(6)]));
    world.node("anvil_setCode", json!([FEW, safe_code(5)]));
    let path = world.path("deployment.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let with = config.replacen("# council = \"0x...\"", &format!("council = \"{COUNCIL}\""), 1);
    assert_ne!(with, config);
    std::fs::write(path, with).unwrap();
}

/// A settlement's own statement contradicts nothing; a forged one is not accepted.
pub fn a_sound_verifier_is_not_proven_unsound(world: &World) {
    let (runtime, client) = world.client(None);
    let ask = |command: &[&str], more: &[&str]| -> Value { world.json(&words(command, more)) };
    let refused = |command: &[&str], more: &[&str]| world.refused(&words(command, more));
    let key = ["--key-file", "deployer.key", "--yes"];
    let tx = hex0(runtime.block_on(client.settled_batches(0)).unwrap()[0].tx);
    let stated = ask(&["council", "statement", &tx], &["--out", "settled.json"]);
    assert_eq!((&stated["circuit_version"], &stated["shape"]), (&json!(2), &json!("tiny-4x2")));
    let twice = refused(&["council", "prove-unsound", "settled.json", &tx], &key);
    assert!(twice.contains("the two statements may both be true"), "{twice}");
    let mut forged: Value = serde_json::from_slice(&std::fs::read(world.path("settled.json")).unwrap()).unwrap();
    forged["rows"]["new_root"] = json!(hex0([1; 32]));
    std::fs::write(world.path("forged.json"), forged.to_string()).unwrap();
    let said = refused(&["council", "prove-unsound", "settled.json", "forged.json"], &key);
    assert!(said.contains("the verifier does not accept both proofs"), "{said}");
    let elsewhere = refused(&["council", "statement", &hex0([1; 32])], &["--out", "never.json"]);
    assert!(elsewhere.contains("no such transaction") && !world.path("never.json").exists(), "{elsewhere}");
    assert!(refused(&["council", "prove-unsound", "missing.json", &tx], &key).contains("missing.json"));
    let council = ask(&["council", "show"], &[]);
    assert_eq!((&council["council"], &council["threshold"]), (&json!(COUNCIL), &json!(6)), "{council}");
    assert_eq!(council["shapes"][0]["emergency"], false, "{council}");
    let nobody = refused(&["council", "hasten", "--circuit-version", "3", "--shape", "tiny-4x2"], &[]);
    assert!(nobody.contains("no verifier in use of tiny-4x2 is proven unsound"), "{nobody}");
    let owed = ask(&["pay-treasury"], &["--operator-key", "operator.key", "--dry-run"]);
    assert_eq!((&owed["owed"], &owed["fees_of_certificates"]), (&json!("0"), &json!("0")), "{owed}");
}

/// A rollup whose verifier accepts everything, on the same chain.
fn another_rollup(world: &World) -> (String, VerifierInit) {
    let (runtime, client) = world.client(Some(DEPLOYER));
    runtime.block_on(async {
        let token = DeploymentFile::read(&world.path("deployment.json")).unwrap().terms.token.0;
        let verifier = client.deploy_code(&hex::decode(ACCEPT_ALL).unwrap()).await.unwrap();
        let proof_length = u32::try_from(PROOF_BYTES).unwrap();
        let init = VerifierInit { shape: 1, slots: 4, m: 2, verifier, proof_length };
        let config = RollupConfig {
            council: account(COUNCIL).unwrap().0,
            token: Some(token),
            refund_delay_s: 7 * 24 * 3600,
            ..RollupConfig::single_account(client.account().unwrap(), word(1), true)
        };
        let rollup = client.deploy_rollup(&config, &[init]).await.unwrap();
        (hex0(rollup.contract()), init)
    })
}

fn word(value: u8) -> Word {
    let mut word = [0; 32];
    word[31] = value;
    word
}

/// A statement from the genesis root that leads to this root, as a file.
fn statement(world: &World, contract: &str, name: &str, new_root: u8) {
    let contract: Address = account(contract).unwrap().0;
    let of = |value: u8| hex0(word(value));
    let rows = json!({
        "domain": hex0(to_bytes(&domain(CHAIN_ID, &contract, 2))), "old_root": of(1), "new_root": of(new_root),
        "community": of(0), "period": of(2), "tariff_commitment": of(3), "community_new": of(4), "ops_digest": of(0),
        "z": of(5), "y": of(6),
    });
    let file = json!({
        "chain_id": CHAIN_ID, "contract": hex0(contract), "circuit_version": 2, "shape": "tiny-4x2", "rows": rows,
        "proof": hex0([7; PROOF_BYTES]),
    });
    std::fs::write(world.path(name), file.to_string()).unwrap();
}

/// Who does what, command by command, as docs/how-to/council.md has it.
pub fn the_worst_day(world: &World) {
    let (contract, init) = another_rollup(world);
    let here = ["--contract", contract.as_str()];
    let ask = |command: &[&str], more: &[&str]| -> Value {
        world.json(&words(&[&["council"], command].concat(), &[more, &here].concat()))
    };
    let refused = |command: &[&str], more: &[&str]| {
        world.refused(&words(&[&["council"], command].concat(), &[more, &here].concat()))
    };
    let key = ["--key-file", "deployer.key", "--yes"];
    statement(world, &contract, "one.json", 0x77);
    statement(world, &contract, "two.json", 0x78);

    // Anybody proves it, once.
    assert!(refused(&["prove-unsound", "one.json", "one.json"], &key).contains("may both be true"));
    assert!(
        refused(&["prove-unsound", "one.json", "forged.json"], &key).contains("forged.json: of another deployment")
    );
    let proves = ["prove-unsound", "one.json", "two.json"];
    assert!(refused(&proves, &[]).contains("who acts?"));
    let dry = ask(&proves, &["--key-file", "deployer.key", "--dry-run"]);
    assert_eq!((&dry["because"], &dry["dry_run"]), (&json!("one node in one place leads to two roots"), &json!(true)));
    assert_eq!(ask(&["show"], &[])["shapes"][0]["emergency"], false);
    ask(&proves, &key);
    assert!(refused(&proves, &key).contains("proven unsound already"));
    let shown = ask(&["show"], &[]);
    let shape = &shown["shapes"][0];
    assert!(
        shape["emergency"] == true && shape["may_hasten"] == true && shown["verifiers"][0]["unsound"] == true,
        "{shown}"
    );

    // The council's owners sign what is shown, without anybody's key here.
    let (runtime, client) = world.client(Some(DEPLOYER));
    let hastens = ["hasten", "--circuit-version", "3", "--shape", "tiny-4x2"];
    assert!(refused(&hastens, &[]).contains("gridveil operator upgrade register"));
    let rollup = client.at_contract(account(&contract).unwrap().0);
    runtime.block_on(rollup.register_verifier(3, init)).unwrap();
    let call = ask(&hastens, &[]);
    assert_eq!(
        (&call["account"], &call["role"], &call["value"]),
        (&json!(COUNCIL), &json!("council"), &json!(0)),
        "{call}"
    );
    assert_eq!(ask(&hastens, &["--key-file", "deployer.key"])["data"], call["data"], "a key that is not the council's");
    world.send_as(COUNCIL, &call);
    assert!(refused(&hastens, &[]).contains("was hastened before: it may be used from 20"));
    let status = ask(&["show"], &[]);
    assert!(status["verifiers"][1]["next"].as_str().unwrap().starts_with("hastened: may be used 20"), "{status}");

    // Afterwards another council, or none.
    assert!(refused(&["appoint", FEW], &key).contains("5 of its 8 owners sign"));
    assert!(refused(&["appoint", COUNCIL], &key).contains("appointed already"));
    ask(&["appoint", "none"], &key);
    let later = ask(&["show"], &[]);
    assert!(later["council"] == COUNCIL && later["appointed"].is_null() && later["appointed_from"].is_u64(), "{later}");
    let text = world.said(&["operator", "council", "show", "--deployment", "deployment.json", "--contract", &contract]);
    assert!(text.contains("appointed: none from 20") && text.contains("the council may hasten until 20"), "{text}");
}
