//! The deployment file instead of single options: `--deployment FILE` or GRIDVEIL_DEPLOYMENT, in every command.
//!
//! The file's values become the options' defaults, so an option or its own variable goes first.

use std::{ffi::OsString, path::Path};

use clap::Command;
use gridveil_meter_client::cli::defaults::{Defaults, kept, named, nodes};
use gridveil_verifier_contract::deployment::DeploymentFile;

/// Names the file where no option does.
const VARIABLE: &str = "GRIDVEIL_DEPLOYMENT";
/// They make deployments of their own, or have none.
const WITHOUT: [&str; 6] = ["demo", "devnet", "simulate", "market", "bench", "operator deploy"];

/// The command line with the defaults of the deployment file that these words, or the environment, name.
///
/// # Errors
/// There is no such file, or it is no deployment file.
pub fn command(command: Command, words: &[OsString]) -> anyhow::Result<Command> {
    match named("--deployment", VARIABLE, words) {
        None => Ok(command),
        Some(path) => Ok(defaults(&DeploymentFile::read(&path)?, &path).below(command, &WITHOUT)),
    }
}

fn defaults(file: &DeploymentFile, path: &Path) -> Defaults {
    let mut all = vec![
        ("contract", vec![kept(file.contracts.rollup.address.to_string())]),
        ("from_block", vec![kept(file.created_block.to_string())]),
        ("chain_id", vec![kept(file.chain_id.to_string())]),
        ("deployment_file", vec![kept(path.display().to_string())]),
        ("shapes", file.settlement.iter().map(|verifier| kept(verifier.shape.clone())).collect()),
    ];
    if let Some(heads) = &file.contracts.audit_heads {
        all.push(("audit_heads", vec![kept(heads.address.to_string())]));
    }
    if let Some(rpc) = &file.rpc {
        all.push(("rpc", nodes(rpc).into_iter().map(kept).collect()));
    }
    // The ceremony file is looked for beside the deployment file.
    let ceremony = file.setup.file.as_ref().map(|name| path.with_file_name(name)).filter(|path| path.is_file());
    if let (Some(ceremony), Some(hash)) = (ceremony, file.setup.blake2b) {
        all.push(("ptau", vec![kept(ceremony.display().to_string())]));
        all.push(("ptau_blake2b", vec![kept(hash.to_string())]));
    }
    Defaults::new(all)
}
