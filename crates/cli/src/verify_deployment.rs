//! `gridveil verify-deployment`: is what stands on chain what the deployment file says, and what this program would deploy?

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_auditor::deployment::{DeploymentReport, Generated, Outcome, check};
use gridveil_protocol::{params::Shape, version::CircuitVersion};
use gridveil_prover::{
    cli::CacheArgs,
    progress::Reporter,
    srs::{Srs, SrsSource},
};
use gridveil_verifier_contract::{
    EthersClient, L1Error, artifact::Contract, deployment::DeploymentFile, ethers_client::AuditHeads,
    verifiers::code_hash,
};

use crate::{
    common::{options::named, text},
    verifiers::{Made, Workshop, by_key},
};

const EXAMPLE: &str = "Examples:
  gridveil verify-deployment deployment.json --rpc https://rpc.example
  gridveil verify-deployment deployment.json --rpc https://rpc.example --ptau powersOfTau28_hez_final_17.ptau

The verifiers' code is made again from circuit and ceremony, if the ceremony file is beside the deployment file or named; without
it they are compared with the file's hashes alone, and the report says so.";

/// Options of `gridveil verify-deployment`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Deployment file.
    file: PathBuf,
    /// L1 node, https://… or http://…: one you trust, best your own; several of one chain, of which the next is asked when
    /// one does not answer or lags [default: the file's].
    #[arg(long = "rpc", visible_alias = "l1", value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',')]
    node: Vec<String>,
    /// The ceremony file [default: the file of that name beside the deployment file].
    #[arg(long = "ptau", value_name = "FILE")]
    ceremony: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// No answer, no deployment file, or something does not hold; the report is printed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let file = DeploymentFile::read(&args.file)?;
    let nodes = named(&args.node, file.rpc.as_deref());
    ensure!(!nodes.is_empty(), "{}: names no node: give --rpc", args.file.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let contract = file.contracts.rollup.address.0;
    let l1 = runtime.block_on(EthersClient::through(&nodes, None, Some(contract))).context("--rpc")?;
    let generated = generated(&file, &args.file, args.ceremony.as_deref(), &args.cache)?;
    let report = runtime.block_on(look(&l1, &file, &generated))?;
    if args.json {
        text::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        text::print(&table(&report))?;
    }
    let failures: Vec<String> = report.failures().map(|check| check.subject.clone()).collect();
    ensure!(failures.is_empty(), "{}: does not hold: {}", args.file.display(), failures.join(", "));
    Ok(())
}

/// Reads the deployment from L1 and compares.
///
/// # Errors
/// L1.
pub async fn look(
    l1: &EthersClient,
    file: &DeploymentFile,
    generated: &Generated,
) -> Result<DeploymentReport, L1Error> {
    let timelock = file.contracts.timelock.as_ref().map(|timelock| (timelock.address.0, timelock.from_block));
    let chain = l1.inspect(timelock).await?;
    let mut report = check(file, &chain, generated);
    if let Some(heads) = &file.contracts.audit_heads {
        // Whose heads they are follows from its code and the rollup that is fixed in it.
        let outcome = match AuditHeads::new(l1.clone(), heads.address.0).check().await {
            Ok(()) if code_hash(&l1.code(heads.address.0).await?) == heads.code_hash.0 => {
                Outcome::Ok(heads.address.to_string())
            }
            Ok(()) => Outcome::Failed("its code has another hash than in the file".to_owned()),
            Err(L1Error::Malformed(why)) => Outcome::Failed(why),
            Err(error) => return Err(error),
        };
        report.add(file, Contract::AuditHeads.name(), outcome);
    }
    Ok(report)
}

/// The verifiers' code from circuit and ceremony. A missing ceremony file or compiler leaves it unknown; a wrong one is an
/// error.
///
/// # Errors
/// The ceremony file, keys or the compiler.
pub(crate) fn generated(
    file: &DeploymentFile,
    path: &Path,
    ceremony: Option<&Path>,
    cache: &CacheArgs,
) -> anyhow::Result<Generated> {
    let source = match (&file.setup.blake2b, &file.setup.file) {
        _ if file.setup.is_insecure() => SrsSource::InsecureDev,
        (None, _) => return Ok(Generated::Unknown("the file has no hash of a ceremony".to_owned())),
        (Some(hash), name) => {
            let beside = name.as_ref().map(|name| path.with_file_name(name));
            let found = ceremony.map(Path::to_path_buf).or_else(|| beside.filter(|path| path.is_file()));
            match found {
                None => return Ok(Generated::Unknown("the ceremony file is not here (--ptau)".to_owned())),
                Some(path) => SrsSource::Ptau { path, blake2b_512: hash.0 },
            }
        }
    };
    let reporter = Reporter::stderr();
    // On another chain the development setup is a finding, which the check tells.
    let Ok(srs) = Srs::for_chain(file.chain_id, source, &cache.directory()) else {
        return Ok(Generated::Unknown("the development setup is for the local chain".to_owned()));
    };
    let workshop = match Workshop::open(&std::env::current_dir()?, &srs, &reporter) {
        Ok(workshop) => workshop,
        Err(error) => return Ok(Generated::Unknown(text::one_line(&error))),
    };
    let mut made: Vec<Made> = vec![workshop.certificate()?];
    for verifier in &file.settlement {
        let version = CircuitVersion::from(verifier.circuit_version);
        let shape = Shape::by_name(&verifier.shape).filter(|shape| shape.id == verifier.shape_id);
        // A version that this program does not know is not made, and told as not checked.
        if let Some(shape) = shape
            && gridveil_circuits::version::known().contains(&version)
        {
            made.push(workshop.settlement(version, shape)?);
        }
    }
    Ok(Generated::Code(by_key(&made)))
}

/// For people.
#[must_use]
pub fn table(report: &DeploymentReport) -> String {
    let width = report.checks.iter().map(|check| check.subject.chars().count()).max().unwrap_or(0);
    let line = |check: &gridveil_auditor::deployment::Check| {
        let (mark, what) = match &check.outcome {
            Outcome::Ok(what) => ("ok         ", what),
            Outcome::NotChecked(what) => ("not checked", what),
            Outcome::Failed(what) => ("FAILED     ", what),
        };
        format!("{:<width$}  {mark}  {what}\n", check.subject)
    };
    let lines: String = report.checks.iter().map(line).collect();
    format!("{lines}deployment: {}\n", report.verdict)
}
