//! `gridveil sequencer`: the operator's process, with a prover in it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use gridveil_protocol::{
    community::Community,
    params::{CIRCUIT_VERSION, Shape},
};
use gridveil_prover::{
    pool::{PoolConfig, ProverPool},
    progress::Reporter,
    prover::{Prover, ProverConfig},
};
use gridveil_sequencer::{AdminToken, Config, GenesisState};
use gridveil_verifier_contract::{EthersClient, L1Client};

use crate::{audit::source, proofs::PoolProofs};

/// Options of `gridveil sequencer`. Secrets are files, never arguments.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example (the first start creates the log from the genesis file; later starts leave it out):\n  gridveil sequencer --data /var/lib/gridveil --master-key master.key --rpc http://127.0.0.1:8545 \\\n    --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --operator-key operator.key --admin-token admin.token --genesis communities.json"
)]
pub struct Args {
    /// Directory of the log.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log; made if it is not there. Mode 0600.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    /// L1 node, http://…
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS")]
    contract: String,
    /// The operator's L1 key, hex.
    #[arg(long, value_name = "FILE")]
    operator_key: PathBuf,
    /// Token of the admin listener, at least 16 bytes.
    #[arg(long, value_name = "FILE")]
    admin_token: PathBuf,
    /// Openings of the communities at the start, JSON. Secret: it holds balances and salts.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Public listener: put TLS in front of it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Admin listener, loopback only.
    #[arg(long, default_value = "127.0.0.1:8081")]
    admin_bind: SocketAddr,
    /// Closes a period by itself once it is over and every used slot has a packet.
    #[arg(long)]
    auto_close: bool,
    /// Shapes to prove; may be repeated.
    #[arg(long = "shape", value_name = "NAME", default_value = "home-32x24")]
    shapes: Vec<String>,
    /// Where proving parameters and keys are kept between runs.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/keys")]
    cache: PathBuf,
    /// Powers-of-tau ceremony file, one whose hash is published; without it only a local chain is served.
    #[arg(long, value_name = "FILE")]
    ptau: Option<PathBuf>,
}

/// Content of a one-line secret file.
fn secret(path: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(path).with_context(|| path.display().to_string())?.trim().to_owned())
}

fn address(text: &str) -> anyhow::Result<[u8; 20]> {
    gridveil_meter_client::submit::address(text).context("--contract: not 0x and 40 hex digits")
}

fn communities(path: &Path) -> anyhow::Result<Vec<Community>> {
    let name = || path.display().to_string();
    let json = std::fs::read(path).with_context(name)?;
    // The message of a JSON error could repeat a balance: only its place is told.
    serde_json::from_slice(&json).map_err(|e| anyhow::anyhow!("{}:{}:{}: not a list of communities", name(), e.line(), e.column()))
}

/// Runs until it is interrupted.
///
/// # Errors
/// Configuration, keys, store, or no answer from L1 at the start.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shapes: Vec<Shape> =
        args.shapes.iter().map(|name| Shape::by_name(name).with_context(|| format!("--shape: no shape {name}"))).collect::<Result<_, _>>()?;
    let (contract, key) = (address(&args.contract)?, secret(&args.operator_key)?);
    if !args.master_key.exists() {
        gridveil_sequencer::create_master_key(&args.master_key)?;
    }
    let mut config = Config::new(args.data.clone(), args.master_key.clone(), AdminToken::new(&secret(&args.admin_token)?)?);
    (config.bind, config.admin_bind, config.auto_close) = (args.bind, args.admin_bind, args.auto_close);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let l1 = runtime.block_on(EthersClient::connect(&args.rpc, Some(&key), Some(contract)))?;
    let chain_id = runtime.block_on(l1.chain_id())?;
    if let Some(path) = &args.genesis {
        let communities = communities(path)?;
        config.genesis = Some(GenesisState { chain_id, contract, circuit_version: CIRCUIT_VERSION, communities, other_leaves: Vec::new() });
    }
    let srs = source(args.ptau.as_deref()).map_err(anyhow::Error::msg)?;
    let prover = ProverConfig { cache_dir: args.cache.clone(), srs, chain_id, shapes, threads: None, domain: None };
    let prover: Prover = Prover::open(&prover, &Reporter::stderr())?;
    let pool = ProverPool::start(Arc::new(prover), PoolConfig::default())?;
    runtime.block_on(async {
        let handle = gridveil_sequencer::serve(config, Arc::new(l1), Arc::new(PoolProofs::new(pool))).await?;
        eprintln!("public http://{}, admin http://{}", handle.public_address(), handle.admin_address());
        tokio::signal::ctrl_c().await?;
        handle.shutdown().await;
        anyhow::Ok(())
    })
}
