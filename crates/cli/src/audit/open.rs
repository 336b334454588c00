//! `gridveil audit open-header`: the operator opens a period's headers.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_meter_client::wallet::write_file;
use gridveil_protocol::units::Interval;

use crate::common::text;

/// Example for the help.
pub const EXAMPLE: &str = "Example:\n  gridveil audit open-header --admin http://127.0.0.1:8081 --admin-token admin.token --community 0 --period 415224 --out totals-415224.json";

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
    #[arg(long)]
    community: u32,
    /// First interval of the period, which must be final on L1.
    #[arg(long, value_name = "FIRST")]
    period: Interval,
    /// The opening's file. Who has it knows the community's totals, supplier account and fee account before and after the period.
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
    let opening = admin.period_opening(args.community, args.period)?;
    let out = args.out.display().to_string();
    write_file(&args.out, &opening).with_context(|| out.clone())?;
    let shown = if args.json {
        format!("{}\n", serde_json::json!({"community": args.community, "first_interval": args.period, "file": out}))
    } else {
        format!("community  {}\nperiod     from interval {}\nfile       {out}\n", args.community, args.period)
    };
    Ok(text::print(&shown)?)
}
