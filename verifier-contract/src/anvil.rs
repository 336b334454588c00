//! A local development chain for tests and the demo.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Chain id of [`Anvil`], and the one on which development shortcuts are allowed.
pub const LOCAL_CHAIN_ID: u64 = 31_337;

/// Private keys of anvil's first accounts: public knowledge, funded on the local chain only.
pub const ANVIL_KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// How to start [`Anvil`].
#[derive(Clone, Debug, Default)]
pub struct AnvilOptions {
    /// Hardfork name; anvil's latest stable if `None`.
    pub hardfork: Option<String>,
    /// Unix seconds of the genesis block; now if `None`.
    pub timestamp: Option<u64>,
    /// Seconds between blocks; a block a transaction if `None`.
    pub block_time_s: Option<u64>,
    /// Directory with `node_modules`; this crate's folder if `None`.
    pub root: Option<PathBuf>,
}

/// Why the local chain did not start.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// npm's packages are not installed.
    #[error("no anvil under {0}: run `npm ci` in verifier-contract")]
    NotInstalled(PathBuf),
    /// The process could not be started.
    #[error("anvil did not start: {0}")]
    Start(std::io::Error),
    /// It did not listen in time, or ended.
    #[error("anvil did not answer within {0} s")]
    Silent(u64),
}

/// A running anvil, killed on drop.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
}

const START_TIMEOUT_S: u64 = 20;

fn binary(root: &Path) -> Result<PathBuf, AnvilError> {
    let packages = root.join("node_modules").join("@foundry-rs");
    // The platform package's binary itself: the script in `.bin` would leave it running when killed.
    let found = std::fs::read_dir(&packages).ok().and_then(|entries| {
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("anvil-"))
            .flat_map(|entry| ["anvil", "anvil.exe"].map(|name| entry.path().join("bin").join(name)))
            .find(|path| path.is_file())
    });
    found.ok_or(AnvilError::NotInstalled(packages))
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
            let port = free_port()?;
            let mut command = Command::new(&binary);
            command.args(["--silent", "--host", "127.0.0.1", "--chain-id"]).arg(LOCAL_CHAIN_ID.to_string());
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
            let child = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(AnvilError::Start)?;
            let mut anvil = Self { child, port };
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

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
