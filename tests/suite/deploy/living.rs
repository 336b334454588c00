//! The deployment lives: a period settles, L1 goes back on it, an old backup is refused, an auditor agrees.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use gridveil_meter_client::cli::utc;
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{ChainL1 as _, address_of, anvil::ANVIL_KEYS};
use serde_json::{Value, json};

use super::{
    World,
    using::{ADMIN, words},
};
use crate::common::{
    gridveil,
    process::{Process, wait},
};

/// Blocks after one that is final.
const DEEP: u64 = 2;
/// A proof with keys that are made for it, or a transaction that is replaced: on a busy machine.
const WITHIN: Duration = Duration::from_secs(300);

/// The sequencer of the deployment.
pub struct Sequencer<'a> {
    world: &'a World,
    pub process: Process,
    pub public: String,
    pub admin: String,
}

impl<'a> Sequencer<'a> {
    fn command(world: &World, data: &str) -> Command {
        let mut command = gridveil();
        let files = ["--data", data, "--master-key", "master.key", "--operator-key", "operator.key"];
        let begin = ["--admin-token", "admin.token", "--begin", "communities.json"];
        let any = "127.0.0.1:0";
        let listen = ["--bind", any, "--admin-bind", any, "--health-bind", any, "--deployment", "deployment.json"];
        command.arg("sequencer").args(files).args(begin).args(listen).args(["--confirmations", &DEEP.to_string()]);
        world.within(&mut command);
        command
    }

    fn start(world: &'a World) -> Self {
        Self::start_with(world, &[])
    }

    pub fn start_with(world: &'a World, more: &[&str]) -> Self {
        let mut process = Process::of(Self::command(world, "data").args(more));
        let (public, admin) = process.addresses();
        Self { world, process, public, admin: format!("http://{admin}") }
    }

    pub fn operator(&self, command: &[&str], more: &[&str]) -> Value {
        let listener = ["--admin", &self.admin, "--admin-token", "admin.token"];
        self.world.json(&words(command, &[more, &listener].concat()))
    }

    /// How far the first batch is: applied, proven, settled.
    fn step(&self) -> String {
        let status = self.operator(&["status"], &[]);
        assert!(status["stopped"].is_null(), "{status}");
        status["communities"][0]["batches"][0]["step"].as_str().unwrap().to_owned()
    }
}

fn copy(world: &World, from: &str, to: &str) {
    assert!(Command::new("cp").arg("-r").args([world.path(from), world.path(to)]).status().unwrap().success());
}

/// The account that settles gets a key, and the deployment file says so.
fn an_operator_with_a_key(world: &World) {
    world.write_key("operator.key", ANVIL_KEYS[3]);
    let account = format!("0x{}", hex::encode(address_of(ANVIL_KEYS[3]).unwrap()));
    let shown = world.said(&words(&["role", "grant", "operator", &account], &["--as", ADMIN]));
    world.send_as(ADMIN, &serde_json::from_str(&shown).unwrap());
    let path = world.path("deployment.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let roles = file["roles"].as_array_mut().unwrap();
    let holders = roles.iter_mut().find(|holders| holders["role"] == "operator").unwrap();
    holders["accounts"].as_array_mut().unwrap().push(json!(account));
    std::fs::write(&path, file.to_string()).unwrap();
}

pub fn it_settles_and_survives(world: &World) {
    let (runtime, client) = world.client(None);
    let on_l1 = || json!(hex0(runtime.block_on(client.state_root()).unwrap()));
    an_operator_with_a_key(world);
    let begin: Value = serde_json::from_slice(&std::fs::read(world.path("communities.json")).unwrap()).unwrap();
    let first = begin[0]["first_interval"].as_u64().unwrap();
    let [starts, ends] = [first, first + 2].map(|interval| interval * 3600);

    // It begins with its tariff, and is stopped; what it has then is kept as a backup.
    let sequencer = Sequencer::start(world);
    let from = utc(i64::try_from(starts).unwrap());
    let handed = ["prices.json", "--tariff-set", "0", "--from", &from, "--community", "0", "--yes"];
    sequencer.operator(&["tariff", "hand-in"], &handed);
    sequencer.process.stop();
    copy(world, "data", "backup");

    // A period is over. Its batch reaches L1, which goes back on it: it is sent again, and final only when it is deep enough.
    let mut sequencer = Sequencer::start(world);
    let before = on_l1();
    world.node("evm_setNextBlockTimestamp", json!([ends]));
    world.node("anvil_mine", json!([]));
    sequencer.operator(&["close"], &["--community", "0", "--yes"]);
    let root = sequencer.operator(&["status"], &[])["state_root"].clone();
    sequencer.process.wait("the batch is on L1", WITHIN, |_| (on_l1() == root).then_some(()));
    assert_ne!(sequencer.step(), "settled", "the next block can still take it back");
    world.node("anvil_reorg", json!([1, []]));
    assert_eq!(on_l1(), before);
    sequencer.process.wait("the same batch is sent again", WITHIN, |_| (on_l1() == root).then_some(()));
    world.node("anvil_mine", json!([DEEP]));
    wait("it is final", WITHIN, String::new, || (sequencer.step() == "settled").then_some(()));
    sequencer.process.stop();

    // A backup from before does not know the batch. It must not sign a second one for the period.
    let output = Sequencer::command(world, "backup").stdout(Stdio::null()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let line = error.lines().last().unwrap_or_default();
    assert!(!output.status.success() && line.contains("is of no batch in this log"), "{error}");
    let sequencer = Sequencer::start(world);
    assert_eq!(sequencer.step(), "settled", "the log that was stopped goes on");
    another_community_joins(world, &sequencer, begin);
    sequencer.process.stop();

    audited(world, 1);
}

/// While the sequencer runs: first on L1, then here.
fn another_community_joins(world: &World, sequencer: &Sequencer<'_>, mut begin: Value) {
    begin[0]["community"] = json!(1);
    std::fs::write(world.path("more.json"), begin.to_string()).unwrap();
    let listener = ["--admin", &sequencer.admin, "--admin-token", "admin.token"];
    let serve = ["more.json", "--community", "1", "--yes"];
    let refused = world.refused(&words(&["community", "serve"], &[&serve[..], &listener].concat()));
    assert!(refused.contains("not registered on L1"), "{refused}");
    let add = ["more.json", "--community", "1", "--tariff-set", "0", "--key-file", "mdm.key", "--yes"];
    world.said(&words(&["community", "add"], &add));
    world.node("anvil_mine", json!([DEEP]));
    sequencer.operator(&["community", "serve"], &serve);
    let status = sequencer.operator(&["status"], &[]);
    assert_eq!(status["communities"].as_array().unwrap().len(), 2, "{status}");
}

/// From L1 and the deployment file alone.
fn audited(world: &World, batches: u64) {
    assert!(Path::new(&world.path("deployment.json")).exists());
    let audit = world.json(&["audit", "--deployment", "deployment.json", "--rpc", &world.anvil.url(), "--json"]);
    assert_eq!((audit["auditor"].as_str(), audit["batches"].as_u64()), (Some("ok"), Some(batches)), "{audit}");
    let verified = world.said(&["verify-deployment", "deployment.json"]);
    assert!(verified.contains("deployment: ok"), "{verified}");
}
