//! The roles of a deployment use it, with what the deployment file says.

use gridveil_circuits::version::ONE_MORE;
use gridveil_meter_client::{
    cli::utc,
    key_store::{Cost, Keys},
};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{
    ChainL1 as _, ForcedRequest, QueuesL1 as _, Role, address_of, anvil::ANVIL_KEYS, ethers_client::Key,
};
use serde_json::{Value, json};

use super::{CHAIN_ID, DEPLOYER, World};

pub const ADMIN: &str = "0x1000000000000000000000000000000000000001";
const MDM_PASSPHRASE: &str = "of the meter data manager";
const REGULATOR: &str = "0x1000000000000000000000000000000000000005";
const STRANGER: &str = "0x9000000000000000000000000000000000000009";

pub fn words<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["operator"], command, more, &["--deployment", "deployment.json", "--json"]].concat()
}

pub fn the_roles_use_it(world: &World) {
    let (runtime, client) = world.client(None);
    let ask = |command: &[&str], more: &[&str]| -> Value { world.json(&words(command, more)) };
    let refused = |command: &[&str], more: &[&str]| world.refused(&words(command, more));
    world.write_key("mdm.key", ANVIL_KEYS[1]);
    world.write_key("tariffs.key", ANVIL_KEYS[2]);
    let prices = include_str!("../../../data/tou-two-season.json");
    let split = r#"{"split":{"network_permille":400,"local_permille":400,"feed_in":0.06},"#;
    std::fs::write(world.path("prices.json"), prices.replacen('{', split, 1)).unwrap();

    let now = runtime.block_on(client.timestamp()).unwrap();
    let at = |hours: u64| utc(i64::try_from((now / 7200 + 1) * 7200 + hours * 3600).unwrap());
    let later = at(4);
    let (tariffs, mdm) = (["--key-file", "tariffs.key", "--yes"], ["--key-file", "mdm.key", "--yes"]);
    let set = ["0", "--interval-length", "3600", "--intervals", "2"];
    let said = refused(&["tariff", "open"], &[&set[..], &mdm].concat());
    assert!(said.contains("has not the role tariff-authority"), "{said}");
    assert!(
        refused(&["tariff", "publish", "prices.json", "--tariff-set", "0", "--from", &later], &tariffs)
            .contains("is not open")
    );
    ask(&["tariff", "open"], &[&set[..], &tariffs].concat());
    assert!(refused(&["tariff", "open"], &[&set[..], &tariffs].concat()).contains("is open already"));

    // L1 first: what it refuses is refused here, and the sequencer gets only what it has.
    let begun = utc(i64::try_from(now / 3600 * 3600).unwrap());
    let of = ["prices.json", "--tariff-set", "0", "--from"];
    let said = refused(&["tariff", "publish"], &[&of[..], &[begun.as_str()], &tariffs].concat());
    assert!(said.contains("TariffAlreadyStarted"), "{said}");
    let good = [&of[..], &[later.as_str()]].concat();
    world.write_key("admin.token", "a token of the test, long enough");
    let hand_in = [&good[..], &["--community", "0", "--admin-token", "admin.token", "--yes"]].concat();
    assert!(refused(&["tariff", "hand-in"], &hand_in).contains("publish it first"));
    let dry = ask(&["tariff", "publish"], &[&good[..], &["--key-file", "tariffs.key", "--dry-run"]].concat());
    assert!(dry["dry_run"] == true && ask(&["tariff", "list"], &[]).as_array().unwrap().is_empty(), "{dry}");
    let done = ask(&["tariff", "publish"], &[&good[..], &tariffs].concat());
    let listed = ask(&["tariff", "list"], &[]);
    assert_eq!((&listed[0]["commitment"], &listed[0]["begins"]), (&done["commitment"], &json!(later)), "{listed}");
    assert!(refused(&["tariff", "publish"], &[&good[..], &tariffs].concat()).contains("the same tariff is on L1"));
    assert!(refused(&["tariff", "hand-in"], &hand_in).contains("community 0 does not follow"));

    let manager = Keys::generate().unwrap();
    manager.create(&world.path("mdm.keys"), MDM_PASSPHRASE, Cost { memory_kib: 64, passes: 1, lanes: 1 }).unwrap();
    world.write_key("mdm.passphrase", MDM_PASSPHRASE);
    let key = hex0(manager.owner.public().to_bytes());
    let first = (now / 7200 + 1) * 2 + 4;
    let community = json!([{ "community": 0, "shape": "tiny-4x2", "mechanism": "auction", "interval_length": 3600,
        "first_interval": first, "mdm": key }]);
    std::fs::write(world.path("communities.json"), community.to_string()).unwrap();
    let add = ["communities.json", "--community", "0", "--tariff-set"];
    assert!(refused(&["community", "add"], &[&add[..], &["1"], &mdm].concat()).contains("UnknownTariffSet"));
    ask(&["community", "add"], &[&add[..], &["0"], &mdm].concat());
    assert!(
        refused(&["community", "add"], &[&add[..], &["0"], &mdm].concat())
            .contains("registered already, with the same")
    );
    assert_eq!(ask(&["community", "list"], &[])[0]["shape"], "tiny-4x2");

    multisignatures(world, &ask, &refused);
    audits(world);
}

/// An audit with everything: code against circuit and ceremony, a report that is filed and signed, a checkpoint.
fn audits(world: &World) {
    let url = world.anvil.url();
    let words =
        ["audit", "--deployment", "deployment.json", "--rpc", &url, "--json", "--checkpoint", "audit.checkpoint"];
    let filed = [&words[..], &["--report", "audit", "--key", "tariffs.key"]].concat();
    let audit: Value = world.json(&filed);
    assert_eq!((audit["auditor"].as_str(), audit["batches"].as_u64()), (Some("ok"), Some(0)), "{audit}");
    assert_eq!((audit["verdict"].as_str(), audit["subject"]["chain_id"].as_u64()), (Some("ok"), Some(11_155_111)));
    assert!(audit["subject"]["setup"].as_str().unwrap().starts_with("ptau-"), "{}", audit["subject"]);
    let checks = audit["deployment"]["checks"].as_array().unwrap();
    let open: Vec<_> = checks.iter().filter(|check| check["outcome"] != "ok").map(|check| &check["subject"]).collect();
    assert!(open.is_empty(), "nothing is left to believe: {open:?}");
    let about: Vec<_> = audit["timeline"].as_array().unwrap().iter().map(|decision| &decision["about"]).collect();
    for expected in ["rollup", "verifier", "role", "tariff", "community"] {
        assert!(about.iter().any(|about| *about == expected), "{expected}: {about:?}");
    }

    let signer = hex0(address_of(ANVIL_KEYS[2]).unwrap());
    let check = ["audit", "check-report", "audit", "--json"];
    let told: Value = world.json(&[&check[..], &["--account", &signer]].concat());
    assert_eq!((&told["report"], &told["signed_by"]), (&json!("ok"), &json!(signer)));
    assert!(world.refused(&[&check[..], &["--account", STRANGER]].concat()).contains("signed by"));
    let page = std::fs::read_to_string(world.path("audit/report.html")).unwrap();
    assert!(page.contains("<p class=\"verdict ok\">ok</p>") && page.contains("Decisions, in order"), "{page}");
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
    assert!(world.refused(&filed).contains("there is a report already"));
    let json = world.path("audit/report.json");
    let edited = std::fs::read_to_string(&json).unwrap().replacen("\"ok\"", "\"OK\"", 1);
    std::fs::write(&json, edited).unwrap();
    assert!(world.refused(&check).contains("not the report whose hashes"));

    // Tomorrow's audit goes on from there, and refuses a file that somebody touched.
    let next: Value = world.json(&words);
    assert_eq!((next["auditor"].as_str(), &next["continued_from"]), (Some("ok"), &audit["subject"]["block"]), "{next}");
    let kept = world.path("audit.checkpoint");
    let mut bytes = std::fs::read(&kept).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    assert!(world.refused(&words).contains("not the contents that its hash is of"));
}

type Ask<'a> = dyn Fn(&[&str], &[&str]) -> Value + 'a;
type Refused<'a> = dyn Fn(&[&str], &[&str]) -> String + 'a;

/// A community is announced to end, and closed weeks later, by the same command.
pub fn a_community_ends(world: &World) {
    let (runtime, client) = world.client(None);
    let ask = |command: &[&str], more: &[&str]| -> Value { world.json(&words(command, more)) };
    let key = ["--key-file", "mdm.key", "--yes"];
    let close = |community: &str| ask(&["community", "close", community], &key);
    let refused = |community: &str| world.refused(&words(&["community", "close", community], &key));
    assert!(refused("7").contains("community 7 is not registered"));
    let announced = close("1");
    let from_s = announced["can_be_closed_from"].as_u64().unwrap();
    let listed = ask(&["community", "list"], &[]);
    assert_eq!(listed[1]["stage"], "closing");
    let closes_at_s = listed[1]["closes_at_s"].as_u64().unwrap();
    assert!((from_s..from_s + 600).contains(&closes_at_s), "{from_s} {closes_at_s}");
    assert!(refused("1").contains("the end of community 1 is announced: it can be closed from 20"));
    world.node("evm_setNextBlockTimestamp", json!([closes_at_s]));
    world.node("anvil_mine", json!([]));
    assert_eq!(runtime.block_on(client.timestamp()).unwrap(), closes_at_s);
    close("1");
    let listed = ask(&["community", "list"], &[]);
    assert_eq!((&listed[1]["stage"], &listed[1]["closed_after"]), (&json!("closed"), &json!(1)));
    assert!(refused("1").contains("community 1 is closed since batch 1"));
}

/// FORCED.7: who sends another's request needs L1 and a key that pays, and neither keys nor a wallet.
pub fn somebody_else_pays_the_bond(world: &World) {
    let (runtime, client) = world.client(None);
    let key = Key::of_hex(ANVIL_KEYS[2]).unwrap();
    let now = runtime.block_on(client.timestamp()).unwrap();
    let request = ForcedRequest {
        chain_id: CHAIN_ID,
        contract: client.contract(),
        community: 0,
        slot: 1,
        requester: key.account(),
        nonce: 0,
        deadline_s: now + 24 * 3600,
        signature: Vec::new(),
    };
    let signed = request.sign(&key).unwrap();
    let file = json!({
        "deployment": { "chain_id": CHAIN_ID, "contract": hex0(signed.contract) }, "community": 0, "slot": 1,
        "requester": hex0(signed.requester), "nonce": 0, "deadline_s": signed.deadline_s,
        "signature": hex0(&signed.signature),
    });
    std::fs::write(world.path("request.json"), file.to_string()).unwrap();
    let sends = ["member", "force", "--for", "request.json", "--deployment", "deployment.json", "--json"];
    assert!(world.refused(&[&sends[..], &["--yes"]].concat()).contains("no L1 key"));
    let dry: Value = world.json(&[&sends[..], &["--dry-run"]].concat());
    assert_eq!((&dry["paid_to"], &dry["dry_run"]), (&json!(hex0(signed.requester)), &json!(true)));
    let pays = [&sends[..], &["--l1-key", "deployer.key", "--yes"]].concat();
    world.said(&pays);
    let queue = runtime.block_on(client.forced_queue(0)).unwrap();
    let deployer = address_of(DEPLOYER).unwrap();
    assert_eq!(
        queue.iter().map(|entry| (entry.requester, entry.payer)).collect::<Vec<_>>(),
        [(signed.requester, deployer)]
    );
    assert!(world.refused(&pays).contains("was sent before"));
    let bonds = [
        "member",
        "force",
        "--bonds",
        "--community",
        "0",
        "--l1-key",
        "deployer.key",
        "--deployment",
        "deployment.json",
    ];
    let owed: Value = world.json(&[&bonds[..], &["--json", "--yes"]].concat());
    assert_eq!((&owed["owed"], &owed["paid_to"]), (&json!("0"), &json!(hex0(deployer))), "it waits, and all goes on");
    // For one's own account the rest is needed as before.
    let own = world.refused(&["member", "force", "--deployment", "deployment.json", "--l1-key", "deployer.key"]);
    assert!(own.contains("--community") && own.contains("--wallet"), "{own}");
}

/// Accounts without a key here: the call is tried and shown, and whoever has the key sends it.
fn multisignatures(world: &World, ask: &Ask<'_>, refused: &Refused<'_>) {
    let (runtime, client) = world.client(None);
    assert!(refused(&["pause"], &["--as", STRANGER]).contains("has not the role regulator"));
    let pause = ask(&["pause"], &["--as", REGULATOR]);
    assert_eq!(pause["note"], "nothing was sent: propose this call");
    let has = |account: &str| {
        let holders = runtime.block_on(client.role_holders()).unwrap();
        holders[&Role::Regulator].iter().any(|holder| hex0(holder) == account)
    };
    let grant = ask(&["role", "grant", "regulator", STRANGER], &["--as", ADMIN]);
    assert!(!has(STRANGER));
    world.send_as(ADMIN, &grant);
    assert!(has(STRANGER) && has(REGULATOR));
    assert!(
        refused(&["role", "grant", "regulator", STRANGER], &["--as", ADMIN]).contains("has the role regulator already")
    );
    assert!(refused(&["role", "revoke", "admin", ADMIN], &["--as", ADMIN]).contains("the last admin"));
    let contract = ask(&["role", "list"], &[]);
    let timelock = contract["upgrader"][0].as_str().unwrap().to_owned();
    assert!(
        refused(&["role", "grant", "operator", &timelock], &["--as", ADMIN])
            .contains("only an account with a key settles")
    );
    // Until the file says so, the deployment is not what it says.
    std::fs::rename(world.path("rehearsal.ptau"), world.path("away.ptau")).unwrap();
    assert!(world.refused(&["verify-deployment", "deployment.json"]).contains("does not hold: role regulator"));
    world.send_as(ADMIN, &ask(&["role", "revoke", "regulator", STRANGER], &["--as", ADMIN]));
    assert!(!has(STRANGER));
    world.said(&["verify-deployment", "deployment.json"]);
    std::fs::rename(world.path("away.ptau"), world.path("rehearsal.ptau")).unwrap();
}

/// Another circuit version, by its six steps; what L1 would refuse, or take for nothing, is refused in words.
pub fn the_upgrader_brings_another_version(world: &World) {
    let ask = |command: &[&str], more: &[&str]| -> Value { world.json(&words(command, more)) };
    let refused = |command: &[&str], more: &[&str]| world.refused(&words(command, more));
    let timelock = ask(&["role", "list"], &[])["upgrader"][0].as_str().unwrap().to_owned();
    let number = ONE_MORE.number().to_string();
    let (upgrader, version) = (["--as", timelock.as_str()], ["--circuit-version", number.as_str()]);
    let shape = ["--shape", "tiny-4x2"];
    let verifiers = |ask: &Value| ask["verifiers"].as_array().unwrap().len();
    let first = ask(&["upgrade", "status"], &[]);
    assert!(verifiers(&first) == 2 && first["verifiers"][0]["next"] == "in use", "{first}");

    assert!(refused(&["upgrade", "announce"], &[&version[..], &upgrader].concat()).contains("register it first"));
    let old = ["--circuit-version", "2"];
    assert!(refused(&["upgrade", "announce"], &[&old[..], &upgrader].concat()).contains("nothing to announce"));
    let there = first["verifiers"][0]["verifier"].as_str().unwrap();
    let again = [&old[..], &shape, &["--verifier", there], &upgrader].concat();
    assert!(refused(&["upgrade", "register"], &again).contains("for ever"));
    let nothing = [&version[..], &shape, &["--verifier", STRANGER], &upgrader].concat();
    assert!(refused(&["upgrade", "register"], &nothing).contains("has no code"));
    let other = [&version[..], &shape, &["--verifier", there], &upgrader].concat();
    assert!(refused(&["upgrade", "register"], &other).contains("is not what circuit"));

    let deploy = [&version[..], &shape].concat();
    assert!(refused(&["upgrade", "deploy"], &[&deploy[..], &upgrader].concat()).contains("any account does"));
    let made = ask(&["upgrade", "deploy"], &[&deploy[..], &["--key-file", "deployer.key", "--yes"]].concat());
    let register = [&deploy[..], &["--verifier", made["at"].as_str().unwrap()]].concat();
    world.send_as(&timelock, &ask(&["upgrade", "register"], &[&register[..], &upgrader].concat()));
    let waits = ask(&["upgrade", "status"], &[]);
    assert!(waits["verifiers"][2]["next"].as_str().unwrap().starts_with("may be announced 2"), "{waits}");
    let early = refused(&["upgrade", "announce"], &[&version[..], &upgrader].concat());
    assert!(early.contains("counts for nothing"), "{early}");

    world.node("evm_increaseTime", json!([14 * 24 * 3600]));
    world.node("anvil_mine", json!([]));
    world.send_as(&timelock, &ask(&["upgrade", "announce"], &[&version[..], &upgrader].concat()));
    let done = ask(&["upgrade", "status"], &[]);
    assert!(done["verifiers"][2]["next"] == "may be used" && done["announced"] == ONE_MORE.number(), "{done}");

    let lost = ask(&["upgrade", "retire"], &[&old[..], &upgrader].concat());
    assert!(lost["afterwards"].as_str().unwrap().contains("of tiny-4x2"), "{lost}");
    let shown = ask(&["upgrade", "retire"], &[&version[..], &upgrader].concat());
    assert!(shown["afterwards"].as_str().unwrap().starts_with("every shape"), "{shown}");
    world.send_as(&timelock, &shown);
    assert!(refused(&["upgrade", "retire"], &[&version[..], &upgrader].concat()).contains("retired already"));
}
