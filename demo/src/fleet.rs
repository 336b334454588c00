//! `gridveil fleet`: many simulated members against a real sequencer, with everything that goes wrong in a year of days.
//!
//! Each home has its key file, its meter file and its folder, and does what `gridveil meter sync` does; nothing here goes
//! around the meter client. The sequencer is a process of its own with its log on disk, and is killed. Between the two is a
//! line that loses and repeats. `script` says what happens to whom, `home` and `operator` do it, `expected` computes
//! on its own what must come of it, `checks` compares.
//!
//! What differs from a real deployment: the accounts are there from the beginning, their keys are public, and, if proofs are
//! not asked for, L1's verifier takes a stand-in in their place.

mod checks;
mod days;
mod expected;
mod home;
mod line;
mod operator;
mod process;
mod script;
mod shown;
mod town;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};
use gridveil_cli::common::text;
use gridveil_prover::{cli::CacheArgs, measure::peak_rss_bytes};

use crate::{data, demo::progress::Progress, time_of_use::TimeOfUse};
use operator::{Operator, Proofs};
use town::Town;

/// Most homes: more than 300 communities settle one after the other.
const MOST_HOMES: u16 = 10_000;
/// Fewest days in which everything happens: sent, late, corrected.
const FEWEST_DAYS: u16 = 3;
/// Most days: those of the built-in month whose following day is there too.
const MOST_DAYS: u16 = 28;

const EXAMPLE: &str = "\
Examples:
  gridveil fleet --homes 40 --days 3
  gridveil fleet --homes 1000 --json

What happens to whom follows from --seed. Which request the line loses also depends on who is first.
Exit status: 0 if every check holds.";

/// Options of `gridveil fleet`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Homes, in communities of up to 32.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_HOMES)))]
    homes: u16,
    /// Days to settle.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(i64::from(FEWEST_DAYS)..=i64::from(MOST_DAYS)))]
    days: u16,
    /// What happens to whom.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Of 100 requests, so many are lost on their way: half before the sequencer has them, of the others the answer. Half as
    /// many arrive twice.
    #[arg(long, value_name = "PERCENT", default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=50))]
    loss: u8,
    /// Has every batch proven, by a process beside the sequencer, and every proof checked by L1 and by the auditor. Otherwise
    /// L1 has a verifier that takes anything; the rules are checked natively all the same.
    #[arg(long)]
    with_proofs: bool,
    #[command(flatten)]
    cache: CacheArgs,
    /// Keeps everything in this new directory: key files, folders, log. If absent, a temporary one.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Prints the result as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// For tests of the checks: what is expected is wrong in this way.
    #[arg(long, value_enum, hide = true)]
    miscount: Option<expected::Miscount>,
}

/// Runs the command.
///
/// # Errors
/// What does not start, or how many checks do not hold; the table is printed before.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let began = Instant::now();
    let time_of_use = TimeOfUse::parse(data::TARIFF).context(data::TARIFF_NAME)?;
    let town = Town::new(args.homes.into(), args.days.into(), args.seed, &time_of_use)?;
    let temporary = tempfile::tempdir()?;
    let dir = match &args.dir {
        None => temporary.path().to_owned(),
        Some(dir) => {
            std::fs::create_dir(dir).with_context(|| format!("--dir {}: give a new one", dir.display()))?;
            std::path::absolute(dir)?
        }
    };
    let proofs = if args.with_proofs { Proofs::Real(args.cache.directory()) } else { Proofs::StandIn };
    let progress = Progress::stderr(town.steps());
    progress.say("starting chain and sequencer");
    let operator = Operator::start(&town, &dir, proofs)?;
    let mut result = days::live(&town, &operator, &dir, args.loss, &progress)?;
    progress.say("checking");
    let checks = checks::all(&town, &operator, &result, args.miscount)?;
    result.peak_bytes = [peak_rss_bytes(), operator.peak_bytes()];
    progress.finish();
    let report = shown::Report::of(&town, args, &result, (checks, operator.kills()), began.elapsed());
    text::print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.table() })?;
    drop(operator);
    // A home has hundreds of files. They take a while to remove, with the result in sight.
    temporary.close().context("the temporary directory")?;
    match report.failed() {
        0 => Ok(()),
        failed => bail!("{failed} of {} checks do not hold", report.checks.len()),
    }
}
