//! The tutorial's commands, as they are printed: from an empty folder to money in the hand, and on after Ctrl-C.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common;
use gridveil_demo::devnet::Devnet;
use gridveil_meter_client::submit::address;
use gridveil_verifier_contract::EthersClient;

const PAGE: &str = include_str!("../../docs/tutorial/first-settlement.md");
/// Keys are made where there are none yet: on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(600);
/// What an account of a devnet starts with, less the deposit of 50, and with the withdrawal of 5: smallest parts.
const IN_HAND: u128 = 1_000_000_000 - 50_000_000 + 5_000_000;

/// The code blocks of the page for one terminal, in order.
fn commands(terminal: &str) -> String {
    let fence = format!("```sh {terminal}\n");
    let blocks = PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let all: String = blocks.collect();
    assert!(!all.is_empty(), "{terminal}");
    all
}

/// A shell in the reader's folder, with the binary on its path and a cache folder that is not the user's.
fn shell(folder: &Path, script: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_gridveil")).parent().unwrap().to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    command.env("XDG_CACHE_HOME", common::cache().parent().unwrap());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GRIDVEIL_")) {
        if name != "GRIDVEIL_ANVIL" {
            command.env_remove(name);
        }
    }
    command
}

/// Terminal 1: its process is the devnet itself.
struct Up {
    child: Child,
    folder: PathBuf,
}

impl Up {
    fn start(folder: &Path) -> Self {
        let script = format!("exec {}", commands("terminal-1"));
        let child = shell(folder, &script).stdout(Stdio::null()).spawn().unwrap();
        let mut up = Self { child, folder: folder.to_path_buf() };
        let start = Instant::now();
        while !folder.join("devnet/devnet.json").exists() {
            assert!(up.child.try_wait().unwrap().is_none(), "the devnet ended");
            assert!(start.elapsed() < UP_WITHIN, "the devnet is not up");
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("up in {} ms", start.elapsed().as_millis());
        up
    }

    fn devnet(&self) -> Devnet {
        Devnet::read(&self.folder.join("devnet")).unwrap()
    }

    /// Ctrl-C.
    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
            let _ = self.child.wait();
        }
    }
}

fn run(folder: &Path, script: &str) -> String {
    let output = shell(folder, script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Money of an L1 account, smallest parts of the token.
fn in_hand(devnet: &Devnet, account: &str) -> u128 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let contract = address(&devnet.contract).unwrap();
        let l1 = EthersClient::connect(&devnet.rpc, None, Some(contract)).await.unwrap();
        l1.token_balance(address(account).unwrap()).await.unwrap()
    })
}

#[test]
fn the_walk_works_as_printed_and_goes_on_after_an_interruption() {
    let _turn = common::turn();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder);
    let said = run(folder, &commands("terminal-2"));
    let before = up.devnet();
    assert_eq!(in_hand(&before, &before.members[0]), IN_HAND, "{said}");
    up.interrupt();
    assert!(Devnet::read(&folder.join("devnet")).is_err(), "it has ended");

    let up = Up::start(folder);
    let after = up.devnet();
    assert_eq!((&before.rpc, &before.contract, &before.url), (&after.rpc, &after.contract, &after.url));
    assert_eq!(in_hand(&after, &after.members[0]), IN_HAND, "the chain has been kept");
    // The second terminal is still open: Anna's variables are those of before.
    let hers: String = commands("terminal-2")
        .lines()
        .filter(|line| line.starts_with("export "))
        .map(|line| format!("{line}\n"))
        .collect();
    let said = run(folder, &format!(". ./devnet/env\n{hers}{}", commands("terminal-2-again")));
    assert!(said.contains("balance"), "{said}");
    up.interrupt();
}
