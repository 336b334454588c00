//! `gridveil operator community`: what the meter data manager registers on L1.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_api::beginning::{Beginning, Registered};
use gridveil_meter_client::cli::utc;
use gridveil_protocol::{field::to_bytes, hex::hex0, init, params::Shape};
use gridveil_verifier_contract::{AuditorL1 as _, ChainL1 as _, CommunityParams, ethers_client::Act};

use super::{
    Listener,
    acts::{Connection, L1, Sender},
    connect,
};
use crate::{
    common::text,
    member::{Acting, Details, agreed},
};

/// Largest file of communities, bytes.
const MAX_BYTES: u64 = 4 << 20;

const EXAMPLE: &str = "Examples:
  gridveil operator community add communities.json --community 0 --tariff-set 0 --key-file mdm.key --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator community list --rpc https://rpc.example --deployment deployment.json

The file is the one that `gridveil sequencer --begin` takes:
  [{\"community\":0,\"shape\":\"home-32x24\",\"mechanism\":\"auction\",\"interval_length\":3600,\"first_interval\":413856,\"mdm\":\"0x..\"}]";

const SERVE_EXAMPLE: &str = "Example:
  gridveil operator community serve communities.json --community 0 --admin http://127.0.0.1:8081 --admin-token admin.token";

/// Options of `gridveil operator community`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Registers a community of a file, once and for ever (meter data manager).
    #[command(after_help = EXAMPLE)]
    Add(Add),
    /// Has the running sequencer serve a community that is registered on L1. It begins with its first batch.
    #[command(after_help = SERVE_EXAMPLE)]
    Serve(Serve),
    /// Communities on L1, with what they are registered with.
    #[command(after_help = EXAMPLE)]
    List(L1),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Communities that are to begin, JSON.
    file: PathBuf,
    /// Which of them.
    #[arg(long)]
    community: u32,
    /// Tariff set that it follows.
    #[arg(long, value_name = "N")]
    tariff_set: u32,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Communities that are to begin, JSON.
    file: PathBuf,
    /// Which of them.
    #[arg(long)]
    community: u32,
    #[command(flatten)]
    listener: Listener,
    #[command(flatten)]
    acting: Acting,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Serve(args) => serve(args),
        Command::List(l1) => list(l1),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<Beginning>> {
    let name = path.display().to_string();
    let json = gridveil_keystore::durable::read_bounded(path, MAX_BYTES).with_context(|| name.clone())?;
    serde_json::from_slice(&json).with_context(|| format!("{name}: not a list of communities that begin"))
}

/// The one of a file, and what it is registered with.
fn of_file(path: &Path, community: u32) -> anyhow::Result<(Beginning, Registered)> {
    let name = path.display().to_string();
    let mut those = read(path)?.into_iter().filter(|one| one.community == community);
    let beginning = those.next().with_context(|| format!("{name}: has no community {community}"))?;
    ensure!(those.next().is_none(), "{name}: has community {community} twice");
    let registered = beginning.registered().with_context(|| name.clone())?;
    Ok((beginning, registered))
}

fn serve(args: &Serve) -> anyhow::Result<()> {
    let (beginning, registered) = of_file(&args.file, args.community)?;
    let begins = utc(i64::try_from(registered.first_interval.start(registered.interval_length))?);
    let details = || {
        Details::new("Serves a community from now on")
            .row("community", args.community.to_string(), args.community)
            .row("shape", registered.shape.name, registered.shape.name)
            .row("begins", begins.clone(), begins.clone())
    };
    if !agreed(details(), args.acting, args.listener.json)? {
        return Ok(());
    }
    connect(&args.listener.admin, &args.listener.admin_token)?.serve(&beginning)?;
    details().row("sequencer", "serves it", "serves it").print(args.listener.json)
}

fn add(args: &Add) -> anyhow::Result<()> {
    let (_, registered) = of_file(&args.file, args.community)?;
    let header = registered.empty().header;
    let params = CommunityParams {
        community: args.community,
        shape: registered.shape.id,
        interval_length_s: registered.interval_length,
        m: u16::try_from(registered.shape.intervals)?,
        tariff_set: args.tariff_set,
        genesis_terms: to_bytes(&init::genesis_terms(&header)),
    };
    let connection = args.sender.connect()?;
    let there = connection.runtime.block_on(connection.client.community(args.community))?;
    ensure!(
        there.is_none(),
        "community {} is registered already{}",
        args.community,
        if there.as_ref() == Some(&params) { ", with the same" } else { ", with something else, and for ever" }
    );
    args.sender.perform(&connection, shown(&params, "Registers a community for ever"), Act::RegisterCommunity(params))
}

fn shown(params: &CommunityParams, title: &str) -> Details {
    let shape = Shape::by_id(params.shape).map_or_else(|| params.shape.to_string(), |shape| shape.name.to_owned());
    let terms = hex0(params.genesis_terms);
    Details::new(title)
        .row("community", params.community.to_string(), params.community)
        .row("shape", shape.clone(), shape)
        .row("interval", format!("{} s, {} a period", params.interval_length_s, params.m), params.interval_length_s)
        .row("tariff set", params.tariff_set.to_string(), params.tariff_set)
        .row("genesis terms", terms.clone(), terms)
}

fn list(l1: &L1) -> anyhow::Result<()> {
    let Connection { runtime, client } = l1.connect(None)?;
    let all = runtime.block_on(client.communities(0))?;
    if l1.json {
        let one = |params: &CommunityParams| {
            serde_json::json!({
                "community": params.community,
                "shape": Shape::by_id(params.shape).map(|shape| shape.name),
                "shape_id": params.shape,
                "interval_length_s": params.interval_length_s,
                "m": params.m,
                "tariff_set": params.tariff_set,
                "genesis_terms": hex0(params.genesis_terms),
            })
        };
        let all: Vec<_> = all.iter().map(one).collect();
        return Ok(text::print(&format!("{}\n", serde_json::to_string(&all)?))?);
    }
    let mut table = text::table(&["community", "shape", "interval, s", "intervals", "tariff set"]);
    for params in &all {
        let shape = Shape::by_id(params.shape).map_or_else(|| params.shape.to_string(), |shape| shape.name.to_owned());
        table.add_row([
            text::grouped(params.community.into()),
            shape,
            params.interval_length_s.to_string(),
            params.m.to_string(),
            params.tariff_set.to_string(),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}
