//! `gridveil audit`: the auditor's command, with the prover's store of parameters behind it.

use std::path::{Path, PathBuf};

use gridveil_auditor::cli;
use gridveil_prover::{
    progress::Reporter,
    srs::{Srs, SrsSource, ptau},
};

/// Example for the help: it belongs to the command, not to the flattened options.
pub const EXAMPLE: &str = "Example:\n  gridveil audit --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --genesis genesis.json --json";

/// Options of `gridveil audit`.
#[derive(clap::Args, Debug)]
pub struct AuditArgs {
    #[command(flatten)]
    audit: cli::Args,
    /// Where proving parameters are kept between runs.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/keys")]
    cache: PathBuf,
    /// Powers-of-tau ceremony file, one whose hash is published; without it only a local chain can be audited.
    #[arg(long, value_name = "FILE")]
    ptau: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// No answer from L1, no parameters, or findings.
pub fn run(args: &AuditArgs) -> anyhow::Result<()> {
    let params = |chain_id: u64, k: u32| {
        let source = source(args.ptau.as_deref())?;
        let srs = Srs::for_chain(chain_id, source, &args.cache).map_err(|e| e.to_string())?;
        srs.params(k, &Reporter::stderr()).map_err(|e| e.to_string())
    };
    Ok(cli::run(&args.audit, &params)?)
}

pub(crate) fn source(ptau: Option<&Path>) -> Result<SrsSource, String> {
    let Some(path) = ptau else { return Ok(SrsSource::InsecureDev) };
    let name = path.display();
    let published = ptau::published_for(path).map_err(|e| format!("{name}: {e}"))?;
    let blake2b_512 = published.ok_or_else(|| format!("{name}: no published hash of a ceremony of this power"))?;
    Ok(SrsSource::Ptau { path: path.to_path_buf(), blake2b_512 })
}
