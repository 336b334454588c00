//! `gridveil devnet`: a local chain with the contract and a sequencer on it, for trying the members', the meter data
//! manager's and the operator's commands.
//!
//! Three things differ from a real deployment: one account has every role on L1, the meter data manager's key is in the
//! directory, and time passes as `devnet settle` and `devnet clock` say. The proving
//! parameters are the insecure development ones.

mod meter;
mod setting;
mod settle;
mod sml;
mod up;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use gridveil_cli::{common::keys::secret_text, operator::connect, sequencer};
use gridveil_meter_client::{cli::LocalArgs, submit::Admin};
use gridveil_protocol::units::Interval;
use gridveil_prover::cli::CacheArgs;
use gridveil_verifier_contract::{ChainL1, EthersClient};
use serde::{Deserialize, Serialize};

use crate::simulate::SHAPE;

const EXAMPLE: &str =
    "Example, in two terminals:\n  gridveil devnet up --dir devnet\n  . ./devnet/env && gridveil devnet settle";

/// Options of `gridveil devnet`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts chain, contract and sequencer, with two empty communities, and runs until it is interrupted. Started
    /// again in the same directory, it goes on where it ended.
    #[command(after_help = "Example:\n  gridveil devnet up --dir devnet --members 4")]
    Up(UpArgs),
    /// Lets a period pass: closes it, with the meter data manager's substitutes (no energy) for silent meters, and
    /// waits until it is final.
    #[command(after_help = "Example:\n  gridveil devnet settle --dir devnet --community 0")]
    Settle(SettleArgs),
    /// Moves the chain's clock on.
    #[command(after_help = "Example:\n  gridveil devnet clock --dir devnet --hours 200")]
    Clock(ClockArgs),
    /// A meter that is none: sends telegrams of a P1 port, or SML, to whoever connects, for `gridveil meter watch`.
    #[command(
        after_help = "Examples:\n  gridveil devnet meter --listen 127.0.0.1:8088 --watts 480\n  gridveil devnet meter \
                            --protocol sml"
    )]
    Meter(meter::MeterArgs),
}

#[derive(Debug, clap::Args)]
struct UpArgs {
    /// Directory for everything: keys, log, chain, addresses. A new one, or that of an earlier `devnet up`.
    #[arg(long, value_name = "DIRECTORY", default_value = "devnet")]
    dir: PathBuf,
    /// Shape of the communities of a new one: a smaller one proves faster.
    #[arg(long, value_name = "NAME", default_value = SHAPE)]
    shape: String,
    /// Hours of the chain's clock before the first period of a new one: time to register what L1 lets wait.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(6..=10_000))]
    lead_hours: u64,
    /// L1 accounts with some ether and tokens, for members.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=64))]
    members: u16,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Debug, clap::Args)]
struct SettleArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Directory of `devnet up`.
    #[arg(long, value_name = "DIRECTORY", env = "GRIDVEIL_DEVNET", default_value = "devnet")]
    dir: PathBuf,
    /// Only this community; all of them if absent.
    #[arg(long)]
    community: Option<u32>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ClockArgs {
    /// Directory of `devnet up`.
    #[arg(long, value_name = "DIRECTORY", env = "GRIDVEIL_DEVNET", default_value = "devnet")]
    dir: PathBuf,
    /// How far.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    hours: u64,
}

/// Where everything is: `devnet.json` while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Devnet {
    /// L1 node.
    pub rpc: String,
    /// Rollup contract.
    pub contract: String,
    /// Sequencer's public listener.
    pub url: String,
    /// Its admin listener.
    pub admin: String,
    /// Shape of the communities.
    #[serde(default = "homes")]
    pub shape: String,
    /// Communities served.
    pub communities: Vec<u32>,
    /// First interval in which accounts may have readings.
    pub active_from: Interval,
    /// L1 addresses of the members' accounts; the key of number `n` is in `l1-n.key`.
    pub members: Vec<String>,
}

fn homes() -> String {
    SHAPE.to_owned()
}

impl Devnet {
    /// Of a running one.
    ///
    /// # Errors
    /// None runs there.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("devnet.json");
        let json = std::fs::read(&path)
            .with_context(|| format!("{}: no devnet runs here (gridveil devnet up)", path.display()))?;
        serde_json::from_slice(&json).with_context(|| path.display().to_string())
    }

    fn admin(&self, dir: &Path) -> anyhow::Result<Admin> {
        connect(&self.admin, &dir.join("admin.token"))
    }
}

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Up(args) => up::up(args),
        Command::Settle(args) => settle::settle(args),
        Command::Clock(args) => clock(args),
        Command::Meter(args) => meter::meter(args),
    }
}

/// The chain, with the operator's key.
async fn local(devnet: &Devnet, dir: &Path) -> anyhow::Result<EthersClient> {
    let contract = sequencer::address(&devnet.contract)?;
    Ok(EthersClient::connect(&devnet.rpc, Some(&secret_text(&dir.join("operator.key"))?), Some(contract)).await?)
}

fn clock(args: &ClockArgs) -> anyhow::Result<()> {
    let devnet = Devnet::read(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let l1 = local(&devnet, &args.dir).await?;
        l1.set_local_time(l1.timestamp().await? + args.hours * 3600).await?;
        anyhow::Ok(())
    })
}
