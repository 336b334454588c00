//! A rollup on a chain that is not the local one, as the page says, with a ceremony of its own; and what is said of
//! deployments that are not what they should be.

mod council;
mod lies;
mod living;
mod staff;
mod using;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use gridveil_verifier_contract::{
    EthersClient,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    deployment::DeploymentFile,
};
use serde_json::{Value, json};

use crate::common::{self, gridveil};

/// Not the local chain: nothing is made easier there.
const CHAIN_ID: u64 = 11_155_111;
const PAGE: &str = include_str!("../../docs/how-to/deploy.md");
/// Deploys; the other keys of anvil are the meter data manager's and the tariff authority's, as the page says.
const DEPLOYER: &str = ANVIL_KEYS[0];

/// A folder with a ceremony, a key and a configuration for a chain that runs.
struct World {
    folder: tempfile::TempDir,
    anvil: Anvil,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = AnvilOptions { chain_id: Some(CHAIN_ID), ..AnvilOptions::default() };
        let world = Self { folder, anvil: Anvil::spawn_with(&options).unwrap() };
        let packages = Path::new(common::ROOT).join("verifier-contract/node_modules");
        std::os::unix::fs::symlink(packages, world.path("node_modules")).unwrap();
        world.page("prepare");
        council::appointed_in_the_configuration(&world);
        world
    }

    /// A block of the page, but for what the test has already: the node's address, the packages.
    fn page(&self, block: &str) -> String {
        let fence = format!("```sh {block}\n");
        let text = PAGE.split(&fence).nth(1).unwrap().split("```").next().unwrap();
        let here = |line: &&str| !line.starts_with("export GRIDVEIL_RPC") && !line.starts_with("npm install");
        let script = text.lines().filter(here).map(|line| format!("{line}\n")).collect::<String>();
        let binary = Path::new(env!("CARGO_BIN_EXE_gridveil")).parent().unwrap().to_path_buf();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new("sh");
        command.args(["-euc", &script]).env("PATH", path).env("GRIDVEIL_SOURCE", common::ROOT);
        said(self.within(&mut command).output().unwrap())
    }

    /// In the folder, with the chain.
    fn within<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.path("cache")).env("GRIDVEIL_RPC", self.anvil.url());
        command.env_remove("GRIDVEIL_DEPLOYMENT")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_key(&self, name: &str, key: &str) {
        common::write_secret(self.path(name), key);
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = gridveil();
        self.within(command.args(words)).output().unwrap()
    }

    fn said(&self, words: &[&str]) -> String {
        said(self.run(words))
    }

    /// What a command with --json says.
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.said(words)).unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let error = String::from_utf8(output.stderr).unwrap();
        // What is made before is told line by line; the error is the last one.
        let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("gridveil: ")).collect();
        assert!(
            !output.status.success() && lines.len() == 1 && error.lines().last() == lines.first().copied(),
            "{error}"
        );
        lines[0].to_owned()
    }

    /// A client with one of anvil's keys.
    fn client(&self, key: Option<&str>) -> (tokio::runtime::Runtime, EthersClient) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let contract =
            DeploymentFile::read(&self.path("deployment.json")).ok().map(|file| file.contracts.rollup.address.0);
        let client = runtime.block_on(EthersClient::connect(&self.anvil.url(), key, contract)).unwrap();
        (runtime, client)
    }

    /// A call that was shown, sent by who has the key elsewhere; it is mined.
    fn send_as(&self, from: &str, shown: &Value) {
        self.node("anvil_setBalance", json!([from, "0xde0b6b3a7640000"]));
        self.node("anvil_impersonateAccount", json!([from]));
        self.node("eth_sendTransaction", json!([{ "from": from, "to": shown["to"], "data": shown["data"] }]));
        // The answer to the transaction comes before its block.
        self.node("anvil_mine", json!([]));
    }

    /// Anvil's own calls.
    fn node(&self, method: &str, params: Value) {
        common::node(&self.anvil.url(), method, params);
    }
}

fn said(output: Output) -> String {
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_rollup_is_deployed_verified_and_used_on_a_chain_that_is_not_local() {
    if common::chain_is_missing() {
        return;
    }
    let _turn = common::turn();
    let world = World::new();
    refusals_before_anything_is_sent(&world);

    // A dry run sends nothing, and writes nothing.
    let shown = world.page("look");
    assert!(shown.contains("11155111") && shown.contains("6 transactions"), "{shown}");
    let (runtime, client) = world.client(Some(DEPLOYER));
    let deployer = client.account().unwrap();
    assert_eq!(runtime.block_on(client.mined_transactions(deployer)).unwrap(), 0);
    assert!(!world.path("deployment.json").exists() && !world.path("deployment.json.state").exists());

    // A keystore's account is told when it is made, and when it is asked for.
    let keys = world.page("keys");
    let accounts: Vec<&str> = keys.lines().filter(|line| line.starts_with("account")).collect();
    assert!(accounts.len() == 2 && accounts[0] == accounts[1], "{keys}");
    crash_between_sending_and_recording(&world);
    let said = world.page("deploy");
    assert_eq!(said.matches("deployment: ok\n").count(), 2, "deployed, and verified: {said}");
    assert!(!said.contains("INSECURE") && !said.contains("not checked"), "{said}");
    // Timelock, parts, hasher, two verifiers, rollup: the one that had been sent was not sent again.
    assert_eq!(runtime.block_on(client.mined_transactions(deployer)).unwrap(), 6);
    let file = DeploymentFile::read(&world.path("deployment.json")).unwrap();
    assert!(shown.contains(&file.contracts.rollup.address.to_string()), "where the dry run said: {shown}");
    assert!(file.setup.name.starts_with("ptau-") && file.chain_id == CHAIN_ID);
    assert_eq!(file.council.unwrap().to_string(), council::COUNCIL);
    let again =
        world.refused(&["operator", "deploy", "--config", "deployment.toml", "--key-file", "deployer.key", "--yes"]);
    assert!(again.contains("that deployment is done"), "{again}");

    verifying(&world);
    using::the_roles_use_it(&world);
    living::it_settles_and_survives(&world);
    staff::who_may_read_reads(&world);
    using::a_community_ends(&world);
    council::a_sound_verifier_is_not_proven_unsound(&world);
    // The roles have changed.
    let file = DeploymentFile::read(&world.path("deployment.json")).unwrap();
    lies::every_lie_is_named(&world, &file);
    using::the_upgrader_brings_another_version(&world);
    council::the_worst_day(&world);
    using::somebody_else_pays_the_bond(&world);
}

/// Each before a transaction, and in one line.
fn refusals_before_anything_is_sent(world: &World) {
    let config = std::fs::read_to_string(world.path("deployment.toml")).unwrap();
    let ask = ["operator", "deploy", "--config", "other.toml", "--key-file", "deployer.key", "--yes"];
    let with = |from: &str, to: &str| {
        let other = config.replacen(from, to, 1);
        assert_ne!(other, config, "{from}");
        std::fs::write(world.path("other.toml"), other).unwrap();
        world.refused(&ask)
    };
    assert!(with("chain_id = 11155111", "chain_id = 1").contains("the node's chain is 11155111"));
    assert!(with("decimals = 6", "decimals = 18").contains("has 6"));
    let deployer = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let admin = "0x1000000000000000000000000000000000000001";
    assert!(with(admin, deployer).contains("the deployer's own account"));
    assert!(with(council::COUNCIL, "0x100000000000000000000000000000000000000a").contains("is no Safe"));
    assert!(with(council::COUNCIL, council::FEW).contains("5 of its 8 owners sign; a council has at least eight"));
    let pin = config.split("blake2b = \"").nth(1).unwrap()[..128].to_owned();
    assert!(with(&pin, &"ab".repeat(64)).contains("pinned is abab"));
    assert!(
        with("refund_delay_days = 7", "refund_delay_days = 3").contains("BadConfig"),
        "the constructor's own check"
    );
    let start = config.find("[setup]").unwrap();
    let section = &config[start..config.find("# A verifier for each shape").unwrap()];
    assert!(with(section, "").contains("off the local chain"));
    world.write_key("shared.key", DEPLOYER);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(world.path("shared.key"), mode).unwrap();
    let shared = ["operator", "deploy", "--config", "deployment.toml", "--key-file", "shared.key", "--yes"];
    assert!(world.refused(&shared).contains("chmod 600"));
}

/// What a process leaves that ends after its transaction was sent: the state knows the number alone.
fn crash_between_sending_and_recording(world: &World) {
    let (runtime, client) = world.client(Some(DEPLOYER));
    let deployer = client.account().unwrap();
    // A process is killed as soon as its first contract is on chain.
    let words = ["operator", "deploy", "--config", "deployment.toml", "--key-file", "deployer.key", "--yes"];
    let mut command = gridveil();
    let command = world.within(command.args(words)).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while runtime.block_on(client.mined_transactions(deployer)).unwrap() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let state = std::fs::read_to_string(world.path("deployment.json.state")).unwrap();
    let mut state: Value = serde_json::from_str(&state).unwrap();
    assert!(state["steps"]["timelock"]["nonce"] == 0, "{state}");
    // At the worst moment: sent and mined, and not recorded as done.
    state["steps"]["timelock"]["address"] = Value::Null;
    std::fs::write(world.path("deployment.json.state"), state.to_string()).unwrap();
}

fn verifying(world: &World) {
    // Without the ceremony file the verifiers are not checked, which is said.
    std::fs::rename(world.path("rehearsal.ptau"), world.path("away.ptau")).unwrap();
    let report: Value = world.json(&["verify-deployment", "deployment.json", "--json"]);
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.iter().filter(|check| check["outcome"] == "not-checked").count(), 2, "{report}");
    let said = world.said(&["verify-deployment", "deployment.json", "--ptau", "away.ptau", "--l1", &world.anvil.url()]);
    assert!(!said.contains("not checked"), "{said}");
    std::fs::rename(world.path("away.ptau"), world.path("rehearsal.ptau")).unwrap();
}
