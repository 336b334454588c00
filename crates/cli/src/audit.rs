//! `gridveil audit`: the auditor's command. It takes parameters from the prover's store.

mod account;
mod archive;
mod granted;
mod log;
mod open;
mod report;
mod rollup;
mod totals;

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_auditor::{AuditReport, cli, deployment::Generated};
use gridveil_meter_client::{calendar::Periods, cli::LocalArgs};
use gridveil_protocol::{certificate::ShownRetirement, field::to_bytes};
use gridveil_prover::{
    cli::{CacheArgs, CeremonyArgs},
    progress::{Progress as _, Reporter},
    srs::Srs,
};
use gridveil_verifier_contract::deployment::DeploymentFile;

use rollup::Rollup;

use crate::{common::text, member::hex0, verify_deployment::generated};

/// Examples for the help: they belong to the command, not to the flattened options.
pub const EXAMPLE: &str = cli::EXAMPLE;

/// Options of `gridveil audit`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    audit: cli::Args,
    /// Files the report in this folder: report.json, report.html, and their hashes.
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// Signs the filed report with this L1 key, hex: a file that only its owner reads.
    #[arg(long, value_name = "FILE", requires = "report")]
    key: Option<PathBuf>,
    /// The deployment file, by way of the global option.
    #[arg(long, hide = true)]
    deployment_file: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ceremony: CeremonyArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks a member's statement of retirement against L1 alone.
    #[command(
        after_help = "Example:\n  gridveil audit retirement statement.json --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3"
    )]
    Retirement(RetirementArgs),
    /// Checks that issued certificates are retired, outstanding or exported, for one community and period that the
    /// operator opens.
    #[command(after_help = totals::EXAMPLE)]
    Totals(totals::Args),
    /// Opens a period's headers, for an auditor: the operator's command.
    #[command(after_help = open::EXAMPLE)]
    OpenHeader(open::Args),
    /// Reads the totals of a period that a meter data manager granted: a regulator's or an auditor's command.
    #[command(after_help = granted::EXAMPLE)]
    Granted(granted::Args),
    /// Checks the operator's audit log: its chain, and the heads that L1 has.
    #[command(after_help = log::EXAMPLE)]
    Log(log::Args),
    /// Checks a balance that a member opens, against L1 alone.
    #[command(after_help = account::example!("balance"))]
    Balance(account::Args),
    /// Checks what a meter counted in a period, as a member opens it, against L1 alone.
    #[command(after_help = account::example!("reading"))]
    Reading(account::Args),
    /// Checks a bill that a member opens, against L1 alone.
    #[command(after_help = account::example!("bill"))]
    Bill(account::Args),
    /// Checks that a filed report is the one that was made, and who signed it.
    #[command(after_help = report::EXAMPLE)]
    CheckReport(report::CheckArgs),
}

#[derive(clap::Args, Debug)]
struct RetirementArgs {
    /// The statement's file, from its holder.
    file: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    rollup: Rollup,
    /// For machines.
    #[arg(long)]
    json: bool,
}

fn retirement(args: &RetirementArgs) -> anyhow::Result<()> {
    args.rollup.contract()?;
    let file = args.file.display();
    let bytes = std::fs::read(&args.file).with_context(|| file.to_string())?;
    let shown: ShownRetirement =
        serde_json::from_slice(&bytes).with_context(|| format!("{file}: not a statement of retirement"))?;
    let chain = args.rollup.connect()?;
    let retired = chain
        .wait_for(gridveil_auditor::retirement(chain.client(), &shown, args.rollup.from_block))
        .with_context(|| file.to_string())?;
    let (statement, origin) = (&shown.statement, &shown.statement.origin);
    if args.json {
        let value = serde_json::json!({"retirement": "ok", "block": retired.block, "tx": hex0(retired.tx), "sealed": retired.sealed, "settled": retired.settled, "statement": statement});
        return Ok(text::print(&format!("{value}\n"))?);
    }
    let params = chain.wait(chain.client().community(origin.community))?;
    // L1 has settled a period of it.
    let length = params.map_or(0, |params| params.interval_length_s);
    let periods = Periods::new(None, origin.intervals, length, args.local.zone.clone());
    let purpose = format!("{:?}", statement.purpose).to_lowercase();
    let stands = if retired.settled { "ok" } else { "ok, and its notes wait in L1's queue: it can still be undone" };
    let rows = [
        ("retirement", stands.to_owned()),
        ("amount", format!("{} kWh", text::kwh(statement.amount))),
        ("generated in", periods.span(origin.first_interval)),
        ("community", origin.community.to_string()),
        ("technology", origin.technology.to_string()),
        ("beneficiary", hex0(to_bytes(&statement.beneficiary))),
        ("purpose", purpose),
        ("published", if retired.sealed { "the commitment alone" } else { "all of this" }.to_owned()),
        ("block", retired.block.to_string()),
        ("transaction", hex0(retired.tx)),
    ];
    Ok(text::print(&rows.map(|(name, value)| format!("{name:<13} {value}\n")).concat())?)
}

/// Runs the command.
///
/// # Errors
/// No answer from L1, no parameters, or findings.
pub fn run(args: &AuditArgs) -> anyhow::Result<()> {
    match &args.command {
        Some(Command::Retirement(args)) => return retirement(args),
        Some(Command::Totals(args)) => return totals::run(args),
        Some(Command::OpenHeader(args)) => return open::run(args),
        Some(Command::Granted(args)) => return granted::run(args),
        Some(Command::Log(args)) => return log::run(args),
        Some(Command::Balance(args)) => return account::balance(args),
        Some(Command::Reading(args)) => return account::reading(args),
        Some(Command::Bill(args)) => return account::bill(args),
        Some(Command::CheckReport(args)) => return report::check(args),
        None => {}
    }
    let reporter = Reporter::stderr();
    let srs = |chain_id: u64| {
        let source = args.ceremony.source().map_err(|e| e.to_string())?;
        Srs::for_chain(chain_id, source, &args.cache.directory()).map_err(|e| e.to_string())
    };
    let deployment =
        args.deployment_file.as_ref().map(|path| Ok::<_, anyhow::Error>((path, DeploymentFile::read(path)?)));
    let deployment = deployment.transpose()?;
    let generated = || match &deployment {
        Some((path, file)) => generated(file, path, None, &args.cache).map_err(|e| text::one_line(&e)),
        None => Err("there is no deployment file".to_owned()),
    };
    let filed = |made: &AuditReport| match &args.report {
        Some(folder) => report::file(folder, args.key.as_deref(), made).map_err(|e| text::one_line(&e)),
        None => Ok(()),
    };
    let tools = cli::Tools {
        params: &|chain_id, k| srs(chain_id)?.params(k, &reporter).map_err(|e| e.to_string()),
        setup: &|chain_id| Ok(srs(chain_id)?.id().to_string()),
        deployment: deployment.as_ref().map(|(_, file)| (file, &generated as &dyn Fn() -> Result<Generated, String>)),
        file: &filed,
        progress: &|stage| reporter.stage(stage, ""),
    };
    let result = cli::run(&args.audit, &tools);
    reporter.finish();
    Ok(result?)
}
