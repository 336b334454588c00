//! A local development chain for tests and the demo.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

/// Chain id of [`Anvil`] unless it is told another, and the one on which development shortcuts are allowed.
pub const LOCAL_CHAIN_ID: u64 = 31_337;

/// Private keys of anvil's first accounts: public knowledge, funded on the local chain only.
pub const ANVIL_KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// Variable with the path of an anvil, which is then the one that is started.
pub const ANVIL_VARIABLE: &str = "GRIDVEIL_ANVIL";

/// How to start [`Anvil`].
#[derive(Clone, Debug, Default)]
pub struct AnvilOptions {
    /// Hardfork name; anvil's latest stable if `None`.
    pub hardfork: Option<String>,
    /// Unix seconds of the genesis block, or of the next block of a loaded chain; now if `None`.
    pub timestamp: Option<u64>,
    /// Chain id; [`LOCAL_CHAIN_ID`] if `None`.
    pub chain_id: Option<u64>,
    /// Seconds between blocks; a block a transaction if `None`.
    pub block_time_s: Option<u64>,
    /// Directory with `node_modules`; this crate's folder if `None`.
    pub root: Option<PathBuf>,
    /// TCP port; a free one if `None`.
    pub port: Option<u16>,
    /// A chain to go on with, as an earlier [`AnvilOptions::dump_state`] has left it.
    pub load_state: Option<PathBuf>,
    /// Where the chain is written when it ends: anvil is then asked to end, and not killed.
    pub dump_state: Option<PathBuf>,
}

/// Why the local chain did not start.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// There is no anvil on this machine.
    #[error(
        "no anvil: put Foundry's on PATH (https://getfoundry.sh), name one in {ANVIL_VARIABLE}, or run `npm ci` in {0}"
    )]
    NotInstalled(PathBuf),
    /// [`ANVIL_VARIABLE`] names something else.
    #[error("{ANVIL_VARIABLE}: no file {0}")]
    NoFile(PathBuf),
    /// The process could not be started.
    #[error("anvil did not start: {0}")]
    Start(std::io::Error),
    /// It did not listen in time, or ended.
    #[error("anvil did not answer within {0} s")]
    Silent(u64),
    /// The saved chain cannot be read.
    #[error("{0}: not a chain that anvil has saved")]
    State(PathBuf),
}

/// A running anvil, ended on drop.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
    saves: bool,
}

const START_TIMEOUT_S: u64 = 20;
/// Longest wait for the chain to be written.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// The anvil to start: the variable's, else the one that npm has installed (its version is pinned), else one on `PATH`.
fn binary(root: &Path) -> Result<PathBuf, AnvilError> {
    if let Some(named) = std::env::var_os(ANVIL_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from) {
        return if named.is_file() { Ok(named) } else { Err(AnvilError::NoFile(named)) };
    }
    installed(root).or_else(on_path).ok_or_else(|| AnvilError::NotInstalled(root.to_path_buf()))
}

fn installed(root: &Path) -> Option<PathBuf> {
    // The platform package's binary itself: the script in `.bin` would leave it running when killed.
    let entries = std::fs::read_dir(root.join("node_modules").join("@foundry-rs")).ok()?;
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("anvil-"))
        .flat_map(|entry| ["anvil", "anvil.exe"].map(|name| entry.path().join("bin").join(name)))
        .find(|path| path.is_file())
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("anvil")).find(|path| path.is_file())
}

/// Time of the last block of a saved chain, Unix seconds.
///
/// # Errors
/// [`AnvilError::State`].
pub fn saved_time(state: &Path) -> Result<u64, AnvilError> {
    #[derive(serde::Deserialize)]
    struct Saved {
        block: Block,
    }
    #[derive(serde::Deserialize)]
    struct Block {
        timestamp: String,
    }
    let read = || {
        let saved: Saved = serde_json::from_slice(&std::fs::read(state).ok()?).ok()?;
        u64::from_str_radix(saved.block.timestamp.strip_prefix("0x")?, 16).ok()
    };
    read().ok_or_else(|| AnvilError::State(state.to_path_buf()))
}

fn command(binary: &Path, port: u16, options: &AnvilOptions) -> Command {
    let mut command = Command::new(binary);
    command.args(["--silent", "--host", "127.0.0.1", "--chain-id"]);
    command.arg(options.chain_id.unwrap_or(LOCAL_CHAIN_ID).to_string());
    command.arg("--port").arg(port.to_string());
    if let Some(hardfork) = &options.hardfork {
        command.arg("--hardfork").arg(hardfork);
    }
    if let Some(timestamp) = options.timestamp {
        command.arg("--timestamp").arg(timestamp.to_string());
    }
    if let Some(block_time) = options.block_time_s {
        command.arg("--block-time").arg(block_time.to_string());
    }
    if let Some(state) = &options.load_state {
        command.arg("--load-state").arg(state);
    }
    if let Some(state) = &options.dump_state {
        command.arg("--preserve-historical-states").arg("--dump-state").arg(state);
    }
    command
}

fn free_port() -> Result<u16, AnvilError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(AnvilError::Start)?;
    Ok(listener.local_addr().map_err(AnvilError::Start)?.port())
}

impl Anvil {
    /// Starts a local chain on a free port.
    ///
    /// # Errors
    /// [`AnvilError`].
    pub fn spawn() -> Result<Self, AnvilError> {
        Self::spawn_with(&AnvilOptions::default())
    }

    /// Starts a local chain with options.
    ///
    /// # Errors
    /// [`AnvilError`].
    pub fn spawn_with(options: &AnvilOptions) -> Result<Self, AnvilError> {
        let root = options.root.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let binary = binary(&root)?;
        // Another process may take the port between its choice and its use: then anvil ends at once, and another port
        // is tried.
        for _ in 0..4 {
            let port = options.port.map_or_else(free_port, Ok)?;
            let child = command(&binary, port, options)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(AnvilError::Start)?;
            let mut anvil = Self { child, port, saves: options.dump_state.is_some() };
            if anvil.wait_until_listening() {
                return Ok(anvil);
            }
        }
        Err(AnvilError::Silent(START_TIMEOUT_S))
    }

    fn wait_until_listening(&mut self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(START_TIMEOUT_S) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// JSON-RPC address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Anvil {
    /// Asks it to write the chain and to end; `false` if it does not in time.
    fn end(&mut self) -> bool {
        let asked = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < END_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        if self.saves && self.end() {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
