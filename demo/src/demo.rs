//! `gridveil demo`: a month of 17 real homes, from meter to L1 and back to an auditor who has L1 alone, and everybody's
//! way out.
//!
//! [`scenario`] says what happens, [`runner`] carries it out through the [`backend::Backend`], [`summary`] reports it.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;

pub mod backend;
pub mod deploy;
pub mod native;
pub mod onchain;
pub mod progress;
pub mod runner;
pub mod scenario;
pub mod summary;

use crate::{data, time_of_use::TimeOfUse};
use gridveil_cli::common::text;
use gridveil_prover::cli::CacheArgs;
use scenario::Scenario;

/// Options of `gridveil demo`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gridveil demo\n  gridveil demo --days 8\n  gridveil demo --without-proofs --json")]
pub struct Args {
    /// Hourly net readings, of which the days from 2017-05-01 are used; the built-in month of 17 homes if absent.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Days to settle, 8 to 31.
    #[arg(long, value_name = "DAYS", default_value_t = scenario::DAYS)]
    days: usize,
    /// Writes the summary into this directory too, as summary.json.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
    /// Settles natively: no chain, no proofs, no auditor.
    #[arg(long)]
    without_proofs: bool,
    /// Prints the summary as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// The first step that fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let time_of_use = TimeOfUse::parse(data::TARIFF).context(data::TARIFF_NAME)?;
    let (readings, name) = data::readings(args.data.as_deref())?;
    let scenario = Scenario::parse(&readings, &time_of_use, args.days).context(name)?;
    let progress = Arc::new(progress::Progress::stderr(scenario.steps()));
    let mut backend: Box<dyn backend::Backend> = if args.without_proofs {
        Box::new(native::Native::default())
    } else {
        Box::new(onchain::OnChain::new(&args.cache.directory(), Arc::clone(&progress))?)
    };
    let summary = runner::run(&scenario, backend.as_mut(), &progress)?;
    drop(backend);
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        let file = out.join("summary.json");
        std::fs::write(&file, &json).with_context(|| file.display().to_string())?;
    }
    text::print(&if args.json { json } else { summary::render(&summary) })?;
    Ok(())
}
