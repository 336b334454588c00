//! `gridveil operator community`: what the meter data manager registers on L1.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_api::beginning::{Beginning, Registered};
use gridveil_meter_client::cli::utc;
use gridveil_protocol::{field::to_bytes, hex::hex0, init, params::Shape};
use gridveil_verifier_contract::{
    AuditorL1 as _, ChainL1 as _, CommunityEnd, CommunityParams, EthersClient, L1Error, QueuesL1 as _, Stage,
    ethers_client::Act,
};

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
  gridveil operator community close 0 --key-file mdm.key --rpc https://rpc.example --deployment deployment.json
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
    /// Ends a community, for ever: announces it; once the notice is over, closes it (meter data manager).
    #[command(after_help = EXAMPLE)]
    Close(Close),
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

#[derive(Debug, clap::Args)]
struct Close {
    /// Community index.
    community: u32,
    /// Also if the last period of the notice is not settled yet: its readings are lost.
    #[arg(long)]
    unsettled: bool,
    #[command(flatten)]
    sender: Sender,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Serve(args) => serve(args),
        Command::Close(args) => close(args),
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

/// A time on L1, UTC.
fn day(unix_s: u64) -> String {
    if i64::try_from(unix_s).is_ok_and(|s| jiff::Timestamp::from_second(s).is_ok()) {
        text::time(unix_s)
    } else {
        "never".to_owned()
    }
}

fn settled(through_s: u64) -> String {
    if through_s == 0 { "nothing yet".to_owned() } else { day(through_s) }
}

/// What is to be known before a community's end goes on.
struct Ends {
    params: CommunityParams,
    end: CommunityEnd,
    now_s: u64,
    notice_s: u64,
    settled_through_s: u64,
    waiting: usize,
}

impl Ends {
    async fn of(client: &EthersClient, community: u32) -> Result<Option<Self>, L1Error> {
        let Some(params) = client.community(community).await? else { return Ok(None) };
        Ok(Some(Self {
            params,
            end: client.end_of(community).await?,
            now_s: client.timestamp().await?,
            notice_s: client.closing_notice_s().await?,
            settled_through_s: client.settled_through(community).await?,
            waiting: client.forced_queue(community).await?.len(),
        }))
    }

    /// Is a period that ended within the notice not settled?
    fn is_unsettled(&self) -> bool {
        let period_s = u64::from(self.params.m) * u64::from(self.params.interval_length_s);
        self.settled_through_s != 0 && self.settled_through_s + period_s <= self.end.closes_at_s
    }
}

fn close(args: &Close) -> anyhow::Result<()> {
    let community = args.community;
    let connection = args.sender.connect()?;
    let ends = connection.runtime.block_on(Ends::of(&connection.client, community))?;
    let ends = ends.with_context(|| format!("community {community} is not registered"))?;
    let closes_at_s = ends.end.closes_at_s;
    let (title, act, from_s) = match ends.end.stage {
        Stage::Open => {
            ("Announces a community's end, for ever", Act::AnnounceClosing(community), ends.now_s + ends.notice_s)
        }
        Stage::Closing if ends.now_s < closes_at_s => {
            bail!("the end of community {community} is announced: it can be closed from {} on", day(closes_at_s))
        }
        Stage::Closing | Stage::Ending => {
            ensure!(
                args.unsettled || !ends.is_unsettled(),
                "community {community} is settled through {}, and a period that ended before {} is not: wait for its \
                 batch, or give --unsettled",
                day(ends.settled_through_s),
                day(closes_at_s)
            );
            ensure!(
                ends.end.stage == Stage::Closing || ends.waiting == 0,
                "{} forced requests of community {community} wait: the operator serves them first",
                ends.waiting
            );
            ("Closes a community, for ever; its members exit", Act::CloseCommunity(community), closes_at_s)
        }
        Stage::Closed => bail!("community {community} is closed since batch {}", ends.end.closed_after),
    };
    let details = shown(&ends.params, title)
        .row("stage", ends.end.stage.name(), ends.end.stage.name())
        .row("can be closed from", day(from_s), from_s)
        .row("settled through", settled(ends.settled_through_s), ends.settled_through_s)
        .row("forced requests", ends.waiting.to_string(), ends.waiting);
    let details = if act == Act::CloseCommunity(community) && ends.waiting != 0 {
        let note = "takes no more requests; run this again when those that wait are served";
        details.row("note", note, note)
    } else {
        details
    };
    args.sender.perform(&connection, details, act)
}

/// How a community ends, for people.
fn ending(end: &CommunityEnd) -> String {
    match end.stage {
        Stage::Open => String::new(),
        Stage::Closing => format!("can be closed from {}", day(end.closes_at_s)),
        Stage::Ending => "takes no more forced requests".to_owned(),
        Stage::Closed => format!("closed after batch {}", end.closed_after),
    }
}

fn list(l1: &L1) -> anyhow::Result<()> {
    let Connection { runtime, client } = l1.connect(None)?;
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        for params in client.communities(0).await? {
            all.push((params, client.end_of(params.community).await?));
        }
        Ok::<_, L1Error>(all)
    })?;
    if l1.json {
        let one = |(params, end): &(CommunityParams, CommunityEnd)| {
            serde_json::json!({
                "community": params.community,
                "shape": Shape::by_id(params.shape).map(|shape| shape.name),
                "shape_id": params.shape,
                "interval_length_s": params.interval_length_s,
                "m": params.m,
                "tariff_set": params.tariff_set,
                "genesis_terms": hex0(params.genesis_terms),
                "stage": end.stage,
                "closes_at_s": end.closes_at_s,
                "closed_after": end.closed_after,
            })
        };
        let all: Vec<_> = all.iter().map(one).collect();
        return Ok(text::print(&format!("{}\n", serde_json::to_string(&all)?))?);
    }
    let mut table = text::table(&["community", "shape", "interval, s", "intervals", "tariff set", "stage", "end"]);
    for (params, end) in &all {
        let shape = Shape::by_id(params.shape).map_or_else(|| params.shape.to_string(), |shape| shape.name.to_owned());
        table.add_row([
            text::grouped(params.community.into()),
            shape,
            params.interval_length_s.to_string(),
            params.m.to_string(),
            params.tariff_set.to_string(),
            end.stage.name().to_owned(),
            ending(end),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}
