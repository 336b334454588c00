//! `gridveil audit open-header`: the operator opens a period's headers.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_auditor::Published;
use gridveil_meter_client::{
    calendar::When,
    cli::LocalArgs,
    submit::{Admin, address},
    wallet::write_file,
};
use jiff::civil::Date;

use super::{archive, totals::Days};
use crate::common::{chain::Chain, text};

/// Example for the help.
pub const EXAMPLE: &str = "Examples:\n  gridveil audit open-header --admin http://127.0.0.1:8081 --admin-token admin.token --community 0 --period 2026-11-03 --zone Europe/Vienna --out totals.json\n  gridveil audit open-header --admin-token admin.token --all --from 2026-01-01 --to 2027-01-01 --out openings --zip 2026.zip \\\n    \
                           --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";

/// Options of `gridveil audit open-header`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Admin listener of the sequencer, https://… or http://…
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "GRIDVEIL_ADMIN")]
    admin: String,
    /// Token of the admin listener.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_ADMIN_TOKEN")]
    admin_token: PathBuf,
    /// Community index.
    #[arg(long, required_unless_present = "all", requires = "period")]
    community: Option<u32>,
    /// The period, which must be final on L1: its local day, such as 2017-05-03, or the time at which it begins, such as
    /// 2017-05-03T00:00+02:00.
    #[arg(long, value_name = "DATE", requires = "community")]
    period: Option<When>,
    #[command(flatten)]
    local: LocalArgs,
    /// Every settled period of every community, a file each in the folder --out: those that are not there yet.
    #[arg(long, conflicts_with = "community")]
    all: bool,
    /// With --all: all of them in one ZIP archive too, to hand over; made anew from the folder.
    #[arg(long, value_name = "FILE", requires = "all")]
    zip: Option<PathBuf>,
    /// With --all: periods that begin on this day or later, UTC.
    #[arg(long, value_name = "DATE", requires = "all")]
    from: Option<Date>,
    /// With --all: periods that begin before this day, UTC.
    #[arg(long, value_name = "DATE", requires = "all")]
    to: Option<Date>,
    /// With --all: L1 node, which says what was settled.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',')]
    rpc: Vec<String>,
    /// With --all: rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: Option<String>,
    /// With --all: block of the deployment, or an earlier one.
    #[arg(long, default_value_t = 0)]
    from_block: u64,
    /// The opening's file, or the folder. Who has one knows the community's totals, supplier account and fee account before and after the period.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// No token, no answer, a refusal, or the file.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let admin = crate::operator::connect(&args.admin, &args.admin_token)?;
    let (Some(community), Some(period)) = (args.community, args.period) else { return all(args, &admin) };
    let (periods, _) = crate::operator::periods(&admin, community, &args.local)?;
    let period = periods.find(&period).context("--period")?;
    let opening = admin.period_opening(community, period)?;
    let out = args.out.display().to_string();
    write_file(&args.out, &opening).with_context(|| out.clone())?;
    let shown = if args.json {
        format!("{}\n", serde_json::json!({"community": community, "first_interval": period, "file": out}))
    } else {
        let period = periods.span(period);
        format!("community  {community}\nperiod     {period}\nfile       {out}\n")
    };
    Ok(text::print(&shown)?)
}

/// A file for every period that has none yet.
fn all(args: &Args, admin: &Admin) -> anyhow::Result<()> {
    anyhow::ensure!(!args.rpc.is_empty(), "--all needs --rpc");
    let contract = args.contract.as_deref().context("--all needs --contract")?;
    let contract = address(contract).context("contract address must be 0x and 40 hex digits")?;
    let chain = Chain::connect(&args.rpc, contract, None)?;
    let published = chain.wait_for(Published::read(chain.client(), args.from_block))?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let days = Days { from: args.from, to: args.to };
    if let Some(zip) = &args.zip {
        anyhow::ensure!(archive::is_archive(zip), "{}: an archive's name ends with .zip", zip.display());
    }
    let (mut written, mut there) = (0u64, 0u64);
    let mut files = Vec::new();
    for period in published.periods() {
        if !days.have(&period)? {
            continue;
        }
        let path = args.out.join(format!("{}-{}.json", period.community, period.first_interval));
        if path.exists() {
            there += 1;
        } else {
            let opening = admin.period_opening(period.community, period.first_interval)?;
            write_file(&path, &opening).with_context(|| path.display().to_string())?;
            written += 1;
        }
        files.push(path);
    }
    if let Some(zip) = &args.zip {
        archive::write(zip, &files)?;
    }
    let folder = args.out.display().to_string();
    Ok(text::print(&if args.json {
        format!("{}\n", serde_json::json!({"written": written, "there": there, "folder": folder, "archive": args.zip}))
    } else {
        let archive = args.zip.as_ref().map_or_else(String::new, |zip| format!("archive  {}\n", zip.display()));
        format!("folder   {folder}\nwritten  {written}\nthere    {there}\n{archive}")
    })?)
}
