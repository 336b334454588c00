//! The same rules on another EVM client, and on a chain whose blocks come by the clock.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, AnvilOptions, LOCAL_CHAIN_ID};
use gridveil_verifier_contract::{AuditorL1, EthersClient, SettlementL1, address_of};

use crate::l1::{START, deployed, scenario};

/// EDR, Hardhat's client, as `npm ci` installs it: ended on drop.
struct Edr {
    child: Child,
    url: String,
}

impl Edr {
    fn spawn() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let account = hex::encode(address_of(ANVIL_KEYS[0]).unwrap());
        let mut command = Command::new("node");
        command.arg("script/edr.js").args([LOCAL_CHAIN_ID.to_string(), START.to_string(), account]);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "run `npm ci` in {}", folder.display());
        Self { child, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Edr {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn the_same_rules(url: &str) {
    let deployer = EthersClient::connect(url, Some(ANVIL_KEYS[0]), None).await.unwrap();
    let (l1, _) = deployed(&deployer).await;
    scenario(&l1, async |timestamp| l1.set_local_time(timestamp).await.unwrap()).await;
    let batches = l1.settled_batches(0).await.unwrap();
    assert!(!batches.is_empty() && l1.batch_count().await.unwrap() == batches.len() as u64);
    let last = batches.last().unwrap();
    assert_eq!(l1.settlement_of(last.call.new_root).await.unwrap().unwrap().batch, last.batch);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_has_the_same_rules() {
    the_same_rules(&Edr::spawn().url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_come_by_the_clock_have_the_same_rules() {
    let options = AnvilOptions { timestamp: Some(START), block_time_s: Some(1), ..AnvilOptions::default() };
    the_same_rules(&Anvil::spawn_with(&options).unwrap().url()).await;
}
