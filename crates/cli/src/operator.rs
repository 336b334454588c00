//! `gridveil operator`: the operator's side of a running sequencer, through its admin listener (`docs/spec/api.md`).

mod abandon;
pub mod acts;
mod audit_log;
pub mod communities;
pub mod council;
pub mod deploy;
mod export;
mod key;
mod log;
mod member;
mod staff;
pub mod tariffs;
mod treasury;
mod upgrade;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use gridveil_api::admin::{CommunityStatus, Step};
use gridveil_meter_client::{
    calendar::{Periods, When},
    cli::LocalArgs,
    submit::{Admin, Retry, Sequencer},
    wallet::{DecisionFile, Deployment, read_file},
};
use gridveil_protocol::{
    field::to_bytes,
    header_operation::{HeaderOperation, Pool, Transfer},
    params::UNIT_NANO,
    units::Interval,
    version::VersionFrom,
};
use gridveil_verifier_contract::OperatorL1 as _;

use crate::{
    common::{
        keys::{OperatorKey, secret_text},
        text,
    },
    member::{Acting, Details, Money, agreed, hex0},
};

const EXAMPLE: &str = "Example:\n  gridveil operator status --admin http://127.0.0.1:8081 --admin-token admin.token";

const PAUSE_EXAMPLE: &str = "Examples:
  gridveil operator pause --key-file regulator.key --rpc https://rpc.example --deployment deployment.json
  gridveil operator unpause --key-file regulator.key --rpc https://rpc.example --deployment deployment.json";

/// Options of `gridveil operator`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploys a rollup on any chain, from a configuration.
    #[command(after_help = deploy::EXAMPLE)]
    Deploy(deploy::Args),
    /// Communities on L1.
    Community(communities::Args),
    /// Tariffs: from prices onto L1, then to the sequencer.
    Tariff(tariffs::Args),
    /// Encrypted keys for L1.
    Key(key::Args),
    /// The sequencer's log and its keys, while no sequencer runs.
    Log(log::Args),
    /// The audit log's heads on L1.
    AuditLog(audit_log::Args),
    /// An issuer of tokens for staff, for development and for operators without one.
    Staff(staff::Args),
    /// What a member may ask of the operator about its own data.
    Member(member::Args),
    /// Who may do what on L1.
    Role(acts::RoleArgs),
    /// The council, and what L1 can prove against a verifier.
    Council(council::Args),
    /// Refuses deposits from now on, and nothing else (regulator).
    #[command(after_help = PAUSE_EXAMPLE)]
    Pause(acts::Sender),
    /// Takes deposits again (regulator).
    #[command(after_help = PAUSE_EXAMPLE)]
    Unpause(acts::Sender),
    /// Open periods, what waits, and how far each batch came.
    #[command(after_help = EXAMPLE)]
    Status(StatusArgs),
    /// Closes a community's open period: it is settled natively at once, then proven and brought to L1.
    #[command(
        after_help = "Example:\n  gridveil operator close --community 0 --admin http://127.0.0.1:8081 --admin-token admin.token"
    )]
    Close(CloseArgs),
    /// Hands in what the next settlement does to the header: money of supplier account and fee account, and what the meter data manager decided.
    #[command(
        after_help = "Examples:\n  gridveil operator header --community 0 --supplier-in 500 --admin http://127.0.0.1:8081 --admin-token admin.token\n  \
                            gridveil operator header --community 0 --decision header.json --admin http://127.0.0.1:8081 --admin-token admin.token"
    )]
    Header(HeaderArgs),
    /// Another circuit version: on L1, then in the sequencer.
    Upgrade(upgrade::Args),
    /// Pays into the operator's supplier funds on L1, from which `header --supplier-in` takes.
    #[command(
        after_help = "Example:\n  gridveil operator fund 500 --operator-key operator.key --rpc http://127.0.0.1:8545 \\\n    \
                            --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3"
    )]
    Fund(FundArgs),
    /// Pays the treasury what L1 owes it.
    #[command(after_help = treasury::EXAMPLE)]
    PayTreasury(treasury::Args),
    /// Gives up batches that L1 will never have, because an input of theirs is gone from L1 for good.
    #[command(after_help = abandon::EXAMPLE)]
    Abandon(abandon::Args),
}

/// The admin listener.
#[derive(Debug, clap::Args)]
struct Listener {
    /// Admin listener of the sequencer, loopback.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "GRIDVEIL_ADMIN")]
    admin: String,
    /// Its token's file.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_ADMIN_TOKEN")]
    admin_token: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    listener: Listener,
}

#[derive(Debug, clap::Args)]
struct CloseArgs {
    /// Community index.
    #[arg(long)]
    community: u32,
    /// The period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00;
    /// the open one if absent.
    #[arg(long, value_name = "DATE", alias = "first-interval")]
    period: Option<When>,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    listener: Listener,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
struct HeaderArgs {
    /// Community index.
    #[arg(long)]
    community: u32,
    /// From the operator's funds on L1 into the supplier account, currency units.
    #[arg(long, value_name = "AMOUNT")]
    supplier_in: Option<Money>,
    /// From the supplier account to the treasury: what is above the reserve.
    #[arg(long, value_name = "AMOUNT", conflicts_with = "supplier_in")]
    supplier_out: Option<Money>,
    /// From the fee account to the treasury.
    #[arg(long, value_name = "AMOUNT", conflicts_with_all = ["supplier_in", "supplier_out"])]
    fee_out: Option<Money>,
    /// File of the meter data manager's decision (`gridveil mdm header`).
    #[arg(long, value_name = "FILE")]
    decision: Option<PathBuf>,
    /// Sequencer's public listener, to check the decision's deployment with.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "GRIDVEIL_URL")]
    url: String,
    #[command(flatten)]
    listener: Listener,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
struct FundArgs {
    /// Currency units, whole hundredths.
    amount: Money,
    #[command(flatten)]
    l1: acts::L1,
    #[command(flatten)]
    operator: OperatorKey,
    #[command(flatten)]
    acting: Acting,
}

/// A closing computes for seconds.
fn retry() -> Retry {
    Retry { timeout: Duration::from_secs(150), ..Retry::default() }
}

/// The admin listener with the token of a file.
///
/// # Errors
/// No such file, or another address than http://.
pub fn connect(url: &str, token: &Path) -> anyhow::Result<Admin> {
    Admin::new(url, &secret_text(token)?, retry()).context("--admin")
}

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Deploy(args) => deploy::run(args),
        Command::Community(args) => communities::run(args),
        Command::Tariff(args) => tariffs::run(args),
        Command::Key(args) => key::run(args),
        Command::Log(args) => log::run(args),
        Command::AuditLog(args) => audit_log::run(args),
        Command::Staff(args) => staff::run(args),
        Command::Member(args) => member::run(args),
        Command::Role(args) => acts::role_command(args),
        Command::Council(args) => council::run(args),
        Command::Pause(sender) => acts::pause(sender, true),
        Command::Unpause(sender) => acts::pause(sender, false),
        Command::Status(args) => status(args),
        Command::Close(args) => close(args),
        Command::Header(args) => header(args),
        Command::Upgrade(args) => upgrade::run(args),
        Command::Fund(args) => fund(args),
        Command::PayTreasury(args) => treasury::run(args),
        Command::Abandon(args) => abandon::run(args),
    }
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let status = connect(&args.listener.admin, &args.listener.admin_token)?.status()?;
    if args.listener.json {
        return Ok(text::print(&format!("{}\n", serde_json::to_string(&status)?))?);
    }
    let mut table = text::table(&[
        "community",
        "open period from",
        "nonce",
        "packets",
        "operations",
        "late",
        "last batch",
        "step",
        "proof",
        "gas",
    ]);
    status.communities.iter().for_each(|community| {
        table.add_row(status_row(community, &args.local));
    });
    let stopped = status.stopped.iter().map(|why| format!("stopped: {why}\n"));
    let retrying = status.retrying.iter().map(|what| format!("retrying: {what}\n"));
    let version = |one: &VersionFrom| {
        let from = if one.from_s == 0 { String::new() } else { format!(" from {}", upgrade::time(one.from_s)) };
        format!("{}{from}", one.circuit_version)
    };
    Ok(text::print(&format!(
        "state root {}, log height {}\ncircuit version {}\n{}{table}\n",
        hex0(to_bytes(&status.state_root)),
        status.log_height,
        status.versions.iter().map(version).collect::<Vec<_>>().join(", "),
        stopped.chain(retrying).collect::<String>(),
    ))?)
}

/// The periods of a community that is served, and the first interval of the open one.
///
/// # Errors
/// No answer, or the community is not served.
pub fn periods(admin: &Admin, community: u32, local: &LocalArgs) -> anyhow::Result<(Periods, Interval)> {
    let status = admin.status()?;
    let status = status.community(community).with_context(|| format!("community {community} is not served"))?;
    Ok((periods_of(status, local), status.next_interval))
}

fn periods_of(status: &CommunityStatus, local: &LocalArgs) -> Periods {
    Periods::new(Some(status.next_interval), status.intervals, status.interval_length, local.zone.clone())
}

/// A community with its last batch.
fn status_row(community: &CommunityStatus, local: &LocalArgs) -> [String; 10] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| text::grouped(n.into()));
    let count = |count: usize| number(u64::try_from(count).ok());
    let batch = community.batches.last();
    let gas = batch.and_then(|batch| match batch.step {
        Step::Settled { gas_used, .. } => gas_used,
        Step::Applied | Step::Proven => None,
    });
    [
        number(Some(community.community.into())),
        periods_of(community, local).begins(community.next_interval),
        number(community.header_nonce),
        count(community.packets),
        count(community.operations),
        count(community.late),
        number(batch.map(|batch| batch.batch)),
        batch.map_or("-", |batch| batch.step.as_str()).to_owned(),
        batch.and_then(|batch| batch.prove_ms).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
        number(gas),
    ]
}

fn close(args: &CloseArgs) -> anyhow::Result<()> {
    let admin = connect(&args.listener.admin, &args.listener.admin_token)?;
    let (periods, open) = periods(&admin, args.community, &args.local)?;
    let first_interval = args.period.map_or(Ok(open), |when| periods.find(&when)).context("--period")?;
    ensure!(
        first_interval <= open,
        "--period: the open period is {}: later ones cannot be closed yet",
        periods.span(open)
    );
    let details = || {
        Details::new("").row("community", args.community.to_string(), args.community).row(
            "period",
            periods.span(first_interval),
            first_interval.0,
        )
    };
    if !agreed(details(), args.acting, args.listener.json)? {
        return Ok(());
    }
    let closed = admin.close(args.community, first_interval)?;
    let root = hex0(to_bytes(&closed.new_root));
    details()
        .row("batch", closed.batch.to_string(), closed.batch)
        .row("new root", root.clone(), root)
        .print(args.listener.json)
}

/// Whole units of an amount.
fn units(money: Money) -> anyhow::Result<u64> {
    ensure!(money.nano.is_multiple_of(UNIT_NANO), "only whole hundredths cross L1");
    Ok(money.nano / UNIT_NANO)
}

fn header(args: &HeaderArgs) -> anyhow::Result<()> {
    let moves = [
        (Pool::SupplierIn, args.supplier_in, "supplier account in"),
        (Pool::SupplierOut, args.supplier_out, "supplier account out"),
        (Pool::FeeOut, args.fee_out, "fee account out"),
    ];
    let moved = moves.into_iter().find_map(|(pool, money, name)| money.map(|money| (pool, money, name)));
    let transfer = moved.map(|(pool, money, _)| units(money).map(|units| Transfer { pool, units })).transpose()?;
    let management = match &args.decision {
        None => None,
        Some(path) => {
            let info = Sequencer::new(&args.url, Retry::default())?.info()?;
            let deployment = Deployment { chain_id: info.chain_id, contract: info.contract };
            let file: DecisionFile = read_file(path, &deployment).with_context(|| path.display().to_string())?;
            ensure!(
                file.community == args.community,
                "{}: the decision is over community {}",
                path.display(),
                file.community
            );
            file.decision.management
        }
    };
    ensure!(
        transfer.is_some() || management.is_some(),
        "nothing to hand in: --supplier-in, --supplier-out, --fee-out or --decision"
    );
    let details = || {
        let details = Details::new("").row("community", args.community.to_string(), args.community);
        let details = moved
            .iter()
            .fold(details, |details, (_, money, name)| details.row(name, text::money(money.nano.into()), money.nano));
        if management.is_some() { details.row("decision", "the meter data manager's", true) } else { details }
    };
    if !agreed(details(), args.acting, args.listener.json)? {
        return Ok(());
    }
    let operation = HeaderOperation { transfer, management: management.clone() };
    let admin = connect(&args.listener.admin, &args.listener.admin_token)?;
    let status = admin.operate_header(args.community, &operation)?.as_str();
    details().row("sequencer", status, status).print(args.listener.json)
}

fn fund(args: &FundArgs) -> anyhow::Result<()> {
    let units = units(args.amount)?;
    let details = || {
        Details::new("Into the operator's funds for supplier accounts").row(
            "amount",
            text::money(args.amount.nano.into()),
            args.amount.nano,
        )
    };
    if !agreed(details(), args.acting, args.l1.json)? {
        return Ok(());
    }
    let acts::Connection { runtime, client } = args.l1.connect(Some(args.operator.open()?))?;
    let gas = runtime.block_on(client.fund_supplier_account(units))?.gas_used;
    details().row("gas", text::grouped(gas.into()), gas).print(args.l1.json)
}
