//! The roles of a deployment use it, with what the deployment file says.

use gridveil_meter_client::{cli::utc, key_store::Keys};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{ChainL1 as _, Role, anvil::ANVIL_KEYS};
use serde_json::{Value, json};

use super::World;

const ADMIN: &str = "0x1000000000000000000000000000000000000001";
const REGULATOR: &str = "0x1000000000000000000000000000000000000005";
const STRANGER: &str = "0x9000000000000000000000000000000000000009";

fn words<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["operator"], command, more, &["--deployment", "deployment.json", "--json"]].concat()
}

pub fn the_roles_use_it(world: &World) {
    let (runtime, client) = world.client(None);
    let ask = |command: &[&str], more: &[&str]| -> Value {
        serde_json::from_str(&world.said(&words(command, more))).unwrap()
    };
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
    std::fs::write(world.path("admin.token"), "a token of the test, long enough").unwrap();
    let hand_in = [&good[..], &["--community", "0", "--admin-token", "admin.token", "--yes"]].concat();
    assert!(refused(&["tariff", "hand-in"], &hand_in).contains("publish it first"));
    let dry = ask(&["tariff", "publish"], &[&good[..], &["--key-file", "tariffs.key", "--dry-run"]].concat());
    assert!(dry["dry_run"] == true && ask(&["tariff", "list"], &[]).as_array().unwrap().is_empty(), "{dry}");
    let done = ask(&["tariff", "publish"], &[&good[..], &tariffs].concat());
    let listed = ask(&["tariff", "list"], &[]);
    assert_eq!((&listed[0]["commitment"], &listed[0]["begins"]), (&done["commitment"], &json!(later)), "{listed}");
    assert!(refused(&["tariff", "publish"], &[&good[..], &tariffs].concat()).contains("the same tariff is on L1"));
    assert!(refused(&["tariff", "hand-in"], &hand_in).contains("community 0 does not follow"));

    let key = hex0(Keys::generate().unwrap().owner.public().to_bytes());
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
    ending(world, &ask, &refused);
    let said = world.said(&["audit", "--deployment", "deployment.json", "--rpc", &world.anvil.url(), "--json"]);
    let audit: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((audit["auditor"].as_str(), audit["batches"].as_u64()), (Some("ok"), Some(0)), "{audit}");
}

type Ask<'a> = dyn Fn(&[&str], &[&str]) -> Value + 'a;
type Refused<'a> = dyn Fn(&[&str], &[&str]) -> String + 'a;

/// A community is announced to end, and closed weeks later, by the same command.
fn ending(world: &World, ask: &Ask<'_>, refused: &Refused<'_>) {
    let (runtime, client) = world.client(None);
    let close = |community: &str| ask(&["community", "close", community], &["--key-file", "mdm.key", "--yes"]);
    let refused = |community: &str| refused(&["community", "close", community], &["--key-file", "mdm.key", "--yes"]);
    assert!(refused("7").contains("community 7 is not registered"));
    let announced = close("0");
    let from_s = announced["can_be_closed_from"].as_u64().unwrap();
    let listed = ask(&["community", "list"], &[]);
    assert_eq!(listed[0]["stage"], "closing");
    let closes_at_s = listed[0]["closes_at_s"].as_u64().unwrap();
    assert!((from_s..from_s + 600).contains(&closes_at_s), "{from_s} {closes_at_s}");
    assert!(refused("0").contains("the end of community 0 is announced: it can be closed from 20"));
    for (method, params) in [("evm_setNextBlockTimestamp", json!([closes_at_s])), ("anvil_mine", json!([]))] {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        runtime.block_on(world.ask(&call));
    }
    assert_eq!(runtime.block_on(client.timestamp()).unwrap(), closes_at_s);
    close("0");
    let listed = ask(&["community", "list"], &[]);
    assert_eq!((&listed[0]["stage"], &listed[0]["closed_after"]), (&json!("closed"), &json!(0)));
    assert!(refused("0").contains("community 0 is closed since batch 0"));
}

/// Accounts without a key here: the call is tried and shown, and whoever has the key sends it.
fn multisignatures(world: &World, ask: &Ask<'_>, refused: &Refused<'_>) {
    let (runtime, client) = world.client(None);
    let send = |from: &str, shown: &Value| {
        for (method, params) in [
            ("anvil_setBalance", json!([from, "0xde0b6b3a7640000"])),
            ("anvil_impersonateAccount", json!([from])),
            ("eth_sendTransaction", json!([{ "from": from, "to": shown["to"], "data": shown["data"] }])),
            // The answer to the transaction comes before its block.
            ("anvil_mine", json!([])),
        ] {
            let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            runtime.block_on(world.ask(&call));
        }
    };
    assert!(refused(&["pause"], &["--as", STRANGER]).contains("has not the role regulator"));
    let pause = ask(&["pause"], &["--as", REGULATOR]);
    assert_eq!(pause["note"], "nothing was sent: propose this call");
    let has = |account: &str| {
        let holders = runtime.block_on(client.role_holders()).unwrap();
        holders[&Role::Regulator].iter().any(|holder| hex0(holder) == account)
    };
    let grant = ask(&["role", "grant", "regulator", STRANGER], &["--as", ADMIN]);
    assert!(!has(STRANGER));
    send(ADMIN, &grant);
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
    send(ADMIN, &ask(&["role", "revoke", "regulator", STRANGER], &["--as", ADMIN]));
    assert!(!has(STRANGER));
    world.said(&["verify-deployment", "deployment.json"]);
    std::fs::rename(world.path("away.ptau"), world.path("rehearsal.ptau")).unwrap();
}
