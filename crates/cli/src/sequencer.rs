//! `gridveil sequencer`: the operator's process, with a prover in it or beside it.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use gridveil_api::beginning::Beginning;
use gridveil_protocol::{
    community::Community,
    field::to_bytes,
    params::{CIRCUIT_VERSION, STATE_DEPTH, Shape},
    tree::SparseTree,
    version::CircuitVersion,
};
use gridveil_prover::{
    check::Checker,
    cli::{CacheArgs, CeremonyArgs, default_queue_key},
    pool::{PoolConfig, ProverPool},
    progress::Reporter,
    prover::ProverConfig,
    queue::{Queue, QueueUrl, URL_VARIABLE},
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::Srs,
};
use gridveil_proving_api::ProofSource;
use gridveil_sequencer::{AdminToken, Config, GenesisState, Handle, Proxies, ProxyHeader, deployment_in};
use gridveil_sequencer::{audit_log::publish::Heads, staff::token::Staff};
use gridveil_telemetry::{LogFormat, TelemetryArgs};
use gridveil_verifier_contract::{
    ChainL1, EthersClient,
    anvil::LOCAL_CHAIN_ID,
    ethers_client::{AuditHeads, Confirmations, FeePolicy, Key, MOST_AT_ONCE},
};
use ipnet::IpNet;
use tokio::runtime::Runtime;

use crate::{
    common::{
        keys::{OperatorKey, secret_text},
        stop,
    },
    config::settings::{Found, Settings},
    proofs::{PoolProofs, SpoolProofs},
    provers::Provers,
    queue::QueueProofs,
};

const EXAMPLES: &str = "\
Examples:
  # The first start creates the log with the communities that begin; later starts may leave them out:
  gridveil sequencer --data /var/lib/gridveil --master-key master.key --rpc http://127.0.0.1:8545 \\
    --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --operator-key operator.key --admin-token admin.token --begin communities.json
  # Proofs by processes of their own; any number, killed and started at any time:
  gridveil sequencer --data /var/lib/gridveil --master-key master.key --rpc http://127.0.0.1:8545 \\
    --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --operator-key operator.key --admin-token admin.token \\
    --spool /var/spool/gridveil --spool-key spool.key
  gridveil prover run --dir /var/spool/gridveil --key spool.key --shape home-32x24
  # Proofs by processes on other machines, which have a copy of the key file (address also in GRIDVEIL_QUEUE, see docs/spec/queue.md):
  gridveil sequencer --data /var/lib/gridveil --master-key master.key --rpc http://127.0.0.1:8545 \\
    --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --operator-key operator.key --admin-token admin.token \\
    --queue postgres://gridveil@db.example/gridveil --queue-key queue.key
  gridveil prover run --queue postgres://gridveil@db.example/gridveil --key queue.key --shape home-32x24";

/// Options of `gridveil sequencer`. Secrets are files, never arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// File with what these options say, and with limits and pace: `gridveil config example` writes one. A variable such as
    /// GRIDVEIL__LIMITS__BODY_BYTES goes before it, an option before both.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the log.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log; made if it is not there. Mode 0600.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    /// L1 node, https://… or http://…; several of one chain: the next is asked when one does not answer or lags, and all get
    /// what is sent. One with a key in it is written into a file: --rpc-file.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: String,
    #[command(flatten)]
    operator: OperatorKey,
    /// Most that a unit of gas may cost, gwei, base fee and tip together. Above it the sequencer waits.
    #[arg(long, value_name = "GWEI", env = "GRIDVEIL_MAX_GAS_GWEI", default_value_t = 200)]
    max_gas_gwei: u32,
    /// Which blocks of L1 count as final: a number of blocks after them, or `finalized`, as the node says. What a batch takes
    /// in is chosen from final blocks, and a batch is settled in one [default: finalized; on the local chain 0].
    #[arg(long, value_name = "BLOCKS", env = "GRIDVEIL_CONFIRMATIONS")]
    confirmations: Option<Confirmations>,
    /// Most proofs asked for at once of provers in other processes. Within it the number follows the provers that serve: a
    /// job each and half as many more, and never fewer than 8.
    #[arg(long, value_name = "NUMBER", default_value_t = PROOFS_AT_ONCE, value_parser = clap::value_parser!(u16).range(1..=256))]
    proofs_at_once: u16,
    /// Settlements on their way to L1 at once: each builds on the one before.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::try_from(MOST_AT_ONCE).unwrap_or(1)))]
    settlements_at_once: u8,
    /// Token of the admin listener, at least 16 bytes.
    #[arg(long, value_name = "FILE")]
    admin_token: PathBuf,
    /// Openings of the communities at the start, JSON. Secret: it holds balances and salts.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Communities that begin with their first batch, empty (STATE.INIT), as they were registered on L1, JSON; who joins
    /// later is added by `gridveil operator community serve`:
    /// [{"community":0,"shape":"home-32x24","mechanism":"auction","interval_length":3600,"first_interval":413856,"mdm":"0x.."}].
    #[arg(long, value_name = "FILE")]
    begin: Option<PathBuf>,
    /// Public listener: put TLS in front of it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Admin listener, loopback only; with staff by tokens (section staff of the file) any, with TLS in front of it.
    #[arg(long, default_value = "127.0.0.1:8081")]
    admin_bind: SocketAddr,
    /// Listener for liveness, readiness and metrics (/livez, /readyz, /metrics): loopback, or an address that only the
    /// operator's own machines reach.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    health_bind: SocketAddr,
    /// A proxy in front of the public listener, an address or a network such as 10.0.0.0/8: it is believed when it says whom
    /// it asks for, so that limits are each client's. May be repeated.
    #[arg(long = "trusted-proxy", value_name = "CIDR", value_parser = network)]
    trusted_proxies: Vec<IpNet>,
    /// The header in which it says so: x-forwarded-for or forwarded. No other is looked at.
    #[arg(long, value_name = "NAME", default_value = "x-forwarded-for", requires = "trusted_proxies")]
    proxy_header: ProxyHeader,
    /// Contract of the audit log's heads (`gridveil operator audit-log deploy`): without it no head is published.
    #[arg(long, value_name = "ADDRESS")]
    audit_heads: Option<String>,
    /// Closes a period by itself once it is over and every used slot has a packet.
    #[arg(long)]
    auto_close: bool,
    /// Has proofs made by prover processes (`gridveil prover run`) that share this directory, instead of in this
    /// process.
    #[arg(long, value_name = "DIRECTORY", requires = "spool_key", conflicts_with_all = ["shapes", "cache", "ptau"])]
    spool: Option<PathBuf>,
    /// Key shared with the prover processes; made if it is not there. Mode 0600.
    #[arg(long, value_name = "FILE", requires = "spool")]
    spool_key: Option<PathBuf>,
    /// Has proofs made by prover processes on any machine that share this PostgreSQL database,
    /// postgres://USER@HOST/DATABASE, and checks them. Better in the environment variable GRIDVEIL_QUEUE if it holds a
    /// password.
    #[arg(long, value_name = "URL", conflicts_with_all = ["shapes", "spool"])]
    queue: Option<QueueUrl>,
    /// Key shared with those prover processes; made if it is not there. Mode 0600 [default:
    /// ~/.config/gridveil/queue.key]
    #[arg(long, value_name = "FILE", conflicts_with = "spool")]
    queue_key: Option<PathBuf>,
    /// Shapes to prove; may be repeated.
    #[arg(long = "shape", value_name = "NAME", default_value = "home-32x24")]
    shapes: Vec<String>,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ceremony: CeremonyArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Jobs with provers at once, unless told otherwise: a witness of at most 0.6 MB of memory each.
const PROOFS_AT_ONCE: u16 = 64;

/// A local deployment with everything in one directory.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// The directory.
    pub dir: &'a Path,
    /// Parameters and keys.
    pub cache: &'a Path,
    /// L1 node.
    pub rpc: &'a str,
    /// Rollup contract.
    pub contract: &'a str,
    /// Shape to prove.
    pub shape: &'a str,
    /// Public listener.
    pub bind: SocketAddr,
    /// Admin listener.
    pub admin_bind: SocketAddr,
}

impl Args {
    /// How it logs and traces.
    #[must_use]
    pub const fn telemetry(&self) -> &TelemetryArgs {
        &self.telemetry
    }

    /// The options of a local deployment.
    #[must_use]
    pub fn local(local: &Local<'_>) -> Self {
        let Local { dir, cache, rpc, contract, shape, bind, admin_bind } = *local;
        Self {
            config: None,
            data: dir.join("log"),
            master_key: dir.join("master.key"),
            rpc: vec![rpc.to_owned()],
            contract: contract.to_owned(),
            operator: OperatorKey { operator_key: Some(dir.join("operator.key")), ..OperatorKey::default() },
            max_gas_gwei: 200,
            confirmations: None,
            proofs_at_once: PROOFS_AT_ONCE,
            settlements_at_once: 3,
            admin_token: dir.join("admin.token"),
            genesis: None,
            begin: Some(dir.join("begin.json")),
            bind,
            admin_bind,
            health_bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            audit_heads: None,
            auto_close: false,
            spool: None,
            spool_key: None,
            queue: None,
            queue_key: None,
            shapes: vec![shape.to_owned()],
            cache: CacheArgs::new(cache.to_path_buf()),
            ceremony: CeremonyArgs::default(),
            telemetry: TelemetryArgs::default(),
        }
    }
}

fn beginnings(path: &Path) -> anyhow::Result<Vec<Community>> {
    let name = || path.display().to_string();
    let json = std::fs::read(path).with_context(name)?;
    let listed: Vec<Beginning> = serde_json::from_slice(&json).with_context(name)?;
    listed.iter().map(|one| Ok(one.registered().with_context(name)?.empty())).collect()
}

/// An address, or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "not an address, nor a network such as 10.0.0.0/8".to_owned())
}

/// Balances and salts are in it: only its owner may read it.
fn own(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let name = path.display();
    let mode = std::fs::metadata(path).with_context(|| name.to_string())?.mode();
    anyhow::ensure!(mode & 0o077 == 0, "--genesis: others may read balances and salts in {name}: chmod 600 {name}");
    Ok(())
}

/// The contract's address.
///
/// # Errors
/// Another text than `0x` and 40 hex digits.
pub fn address(text: &str) -> anyhow::Result<[u8; 20]> {
    gridveil_meter_client::submit::address(text).context("--contract: not 0x and 40 hex digits")
}

fn communities(path: &Path) -> anyhow::Result<Vec<Community>> {
    let name = || path.display().to_string();
    own(path)?;
    let json = std::fs::read(path).with_context(name)?;
    // The message of a JSON error could repeat a balance: only its place is told.
    serde_json::from_slice(&json)
        .map_err(|e| anyhow::anyhow!("{}:{}:{}: not a list of communities", name(), e.line(), e.column()))
}

fn in_this_process(args: &Args, shapes: Vec<Shape>, chain_id: u64) -> anyhow::Result<PoolProofs> {
    let srs = args.ceremony.source()?;
    let config = PoolConfig::for_shapes(&shapes);
    let prover = ProverConfig {
        cache_dir: args.cache.directory(),
        srs,
        chain_id,
        version: CircuitVersion::CURRENT,
        shapes,
        threads: None,
        domain: None,
    };
    let provers = Provers::open(prover, &Reporter::of_service(args.telemetry.log_format))?;
    Ok(PoolProofs::new(ProverPool::start(Arc::new(provers), config)?))
}

fn in_other_processes(args: &Args) -> anyhow::Result<Option<SpoolProofs>> {
    let Some((directory, key)) = args.spool.as_deref().zip(args.spool_key.as_deref()) else { return Ok(None) };
    let key = SpoolKey::open_or_create(key).context("--spool-key")?;
    // Leases and attempts are the provers' business.
    Ok(Some(SpoolProofs::new(Spool::open(directory, key, SpoolConfig::default()).context("--spool")?)))
}

/// The queue to ask, if there is one; nothing is connected to yet.
fn on_other_machines(args: &Args) -> anyhow::Result<Option<Queue>> {
    let from_env = || if args.spool.is_none() { QueueUrl::from_env() } else { None };
    let Some(url) = args.queue.clone().or_else(from_env) else {
        anyhow::ensure!(args.queue_key.is_none(), "--queue-key: no --queue, nor {URL_VARIABLE}");
        return Ok(None);
    };
    let path = args.queue_key.clone().unwrap_or_else(default_queue_key);
    if let (None, Some(directory)) = (&args.queue_key, path.parent()) {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let key = SpoolKey::open_or_create(&path).context("--queue-key")?;
    Ok(Some(Queue::new(&url, key).context("--queue")?))
}

/// The contract answers, and a log made from these openings would be the one it settles.
async fn check_contract(l1: &EthersClient, communities: Option<&Vec<Community>>) -> anyhow::Result<()> {
    let start = l1.root_at(0).await.context("--contract")?;
    if let Some(communities) = communities {
        let mut state = SparseTree::new(STATE_DEPTH);
        for community in communities {
            state.set(community.index.into(), community.node());
        }
        anyhow::ensure!(to_bytes(&state.root()) == start, "--genesis: not the state the contract started from");
    }
    Ok(())
}

/// L1 as the log knows it, which need not answer now. Without a log it says itself which chain it is.
async fn l1_of(args: &Args, key: Key, contract: [u8; 20], logged: Option<u64>) -> anyhow::Result<EthersClient> {
    let l1 = match logged {
        Some(chain_id) => EthersClient::of_chain(&args.rpc, Some(key), Some(contract), chain_id),
        None => EthersClient::through(&args.rpc, Some(key), Some(contract)).await,
    };
    let l1 = l1.context("--rpc")?.with_fees(FeePolicy::gwei(args.max_gas_gwei));
    Ok(match args.confirmations {
        Some(confirmations) => l1.with_confirmations(confirmations),
        None => l1,
    })
}

/// Longest that computations in work are waited for at the end: nothing of theirs is needed.
const END: Duration = Duration::from_secs(5);

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// Configuration, keys, store, or no answer from L1 at the first start.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (runtime, handle) = start(args)?;
    runtime.block_on(async {
        stop::asked().await?;
        handle.shutdown().await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_timeout(END);
    Ok(())
}

/// What can be read without a network, a log or a prover.
struct Read {
    shapes: Vec<Shape>,
    contract: [u8; 20],
    key: Key,
    token: AdminToken,
    communities: Option<Vec<Community>>,
    begun: Option<Vec<Community>>,
    audit_heads: Option<[u8; 20]>,
    settings: Settings,
}

fn read(args: &Args) -> anyhow::Result<Read> {
    let shape = |name: &String| Shape::by_name(name).with_context(|| format!("--shape: no shape {name}"));
    let settings = Found::read(args.config.as_deref())?.settings;
    Staff::of(&settings.staff)?;
    let heads =
        |text: &String| gridveil_meter_client::submit::address(text).context("--audit-heads: not 0x and 40 hex digits");
    Ok(Read {
        audit_heads: args.audit_heads.as_ref().map(heads).transpose()?,
        shapes: args.shapes.iter().map(shape).collect::<Result<_, _>>()?,
        contract: address(&args.contract)?,
        key: args.operator.open()?,
        token: AdminToken::new(&secret_text(&args.admin_token)?)?,
        communities: args.genesis.as_deref().map(communities).transpose()?,
        begun: args.begin.as_deref().map(beginnings).transpose()?,
        settings,
    })
}

/// Reads every file that the options name, and starts and makes nothing.
///
/// # Errors
/// A file that is not there, that others may read, or that is not what it should be.
pub fn check(args: &Args) -> anyhow::Result<()> {
    read(args)?;
    if args.master_key.exists() {
        gridveil_keystore::secret_file::read(&args.master_key)
            .with_context(|| format!("--master-key: {}", args.master_key.display()))?;
    }
    args.ceremony.source()?;
    Ok(())
}

/// Starts it, and says where it listens.
///
/// # Errors
/// Configuration, keys, store, or no answer from L1 at the first start.
pub fn start(args: &Args) -> anyhow::Result<(Runtime, Handle)> {
    // What needs no network is refused first.
    let Read { shapes, contract, key, token, communities, begun, audit_heads, settings } = read(args)?;
    let (spooled, queue) = (in_other_processes(args)?, on_other_machines(args)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let logged = deployment_in(&args.data, &args.master_key).context("--data")?.map(|there| there.chain_id);
    let l1 = runtime.block_on(l1_of(args, key, contract, logged))?;
    let chain_id = runtime.block_on(l1.chain_id())?;
    let given = communities.is_some() || begun.is_some();
    let (communities, begun) = (communities.unwrap_or_default(), begun.unwrap_or_default());
    if logged.is_none() {
        runtime.block_on(check_contract(&l1, given.then_some(&communities)))?;
    }
    gridveil_sequencer::ensure_master_key(&args.data, &args.master_key).context("--master-key")?;
    let mut config = Config::new(args.data.clone(), args.master_key.clone(), token).at(&settings.pace);
    config.limits = settings.limits;
    config.retention = settings.retention;
    config.staff = settings.staff;
    config.audit_heads = audit_heads.map(|address| Heads(Arc::new(AuditHeads::new(l1.clone(), address))));
    (config.bind, config.admin_bind, config.auto_close) = (args.bind, args.admin_bind, args.auto_close);
    config.health_bind = args.health_bind;
    config.proxies = Proxies { trusted: args.trusted_proxies.clone(), header: args.proxy_header };
    // The local chain makes a block when it has a transaction.
    config.l1_head_age = config.l1_head_age.filter(|_| chain_id != LOCAL_CHAIN_ID);
    // The prover in this process proves one after the other.
    config.proving = if spooled.is_some() || queue.is_some() { args.proofs_at_once.into() } else { 1 };
    config.settling = args.settlements_at_once.into();
    config.versions = gridveil_circuits::version::known().to_vec();
    config.genesis = given.then(|| {
        let begins = begun.iter().map(|community| community.index).collect();
        let communities = communities.into_iter().chain(begun).collect();
        GenesisState {
            chain_id,
            contract,
            circuit_version: CIRCUIT_VERSION,
            communities,
            other_leaves: Vec::new(),
            begins,
        }
    });
    let proofs: Arc<dyn ProofSource> = match (spooled, queue) {
        (Some(spooled), _) => {
            runtime.spawn(spooled.keep_for(config.retention));
            Arc::new(spooled)
        }
        (None, Some(queue)) => {
            let srs = args.ceremony.source()?;
            Arc::new(QueueProofs::new(queue, Checker::new(Srs::for_chain(chain_id, srs, &args.cache.directory())?)))
        }
        (None, None) => Arc::new(in_this_process(args, shapes, chain_id)?),
    };
    let handle = runtime.block_on(gridveil_sequencer::serve(config, Arc::new(l1), proofs))?;
    let (public, admin, health) = (handle.public_address(), handle.admin_address(), handle.health_address());
    let listens = format!("public http://{public}, admin http://{admin}, health http://{health}");
    match args.telemetry.log_format {
        LogFormat::Text => eprintln!("{listens}"),
        LogFormat::Json => tracing::info!("{listens}"),
    }
    Ok((runtime, handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Top {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Top::try_parse_from(line.split_whitespace().skip(1)).map(|top| top.args)
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let lines = EXAMPLES.replace("\\\n", " ");
        let examples: Vec<_> =
            lines.lines().map(str::trim).filter(|line| line.starts_with("gridveil sequencer")).collect();
        let spools: Vec<_> = examples.iter().map(|line| parse(line).unwrap().spool.is_some()).collect();
        assert_eq!(spools, [false, true, false]);
        let queues: Vec<_> = examples.iter().map(|line| parse(line).unwrap().queue.is_some()).collect();
        assert_eq!(queues, [false, false, true]);
        assert!(parse(&format!("{} --spool s --spool-key k", examples[2])).is_err(), "one or the other");
        assert!(!format!("{:?}", parse(examples[2])).contains("db.example"));
        assert!(parse(&format!("{} --shape home-32x24", examples[1])).is_err(), "the provers have the shapes");
        assert!(parse(&examples[1].replace("--spool-key spool.key", "")).is_err());
    }
}
