//! `gridveil audit …`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use clap::Parser;
use gridveil_circuits::version::known;
use gridveil_protocol::{hex::parse0, params::Shape, version::CircuitVersion};
use gridveil_verifier_contract::{
    AuditorL1, EthersClient, L1Error, L1Future, Word,
    verifiers::{COMMITTED, code_hash},
};

use crate::{
    audit_with_pool,
    genesis::{Genesis, GenesisError},
    native::{NativeVerifier, Params},
    replay::{PoolSource, VerifierError},
};

/// Everything that keeps an audit from being made, and the one that it failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Genesis file.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] L1Error),
    /// Keys.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    /// Parameters.
    #[error("KZG parameters: {0}")]
    Params(String),
    /// Contract address.
    #[error("contract address must be 0x and 40 hex digits")]
    Contract,
    /// No threads.
    #[error("cannot start: {0}")]
    Runtime(std::io::ErrorKind),
    /// Standard output.
    #[error("cannot write JSON")]
    Json,
    /// A file of `--verifier`.
    #[error("--verifier {0}: not VERSION:SHAPE:FILE, a version's number, a shape's name and a verifier's artifact")]
    Artifact(String),
    /// `--verifier` for a version whose proofs this program checks itself.
    #[error("--verifier {0}: this program checks proofs of that circuit version itself: leave the option out")]
    Checked(String),
    /// The audit was made, but for batches of versions whose keys are missing. The report is printed.
    #[error("audit failed: circuit version {} is missing ({failures} findings)", listed(.versions))]
    MissingVersions {
        /// Which.
        versions: Vec<CircuitVersion>,
        /// How many findings there are in all.
        failures: usize,
    },
    /// The audit was made, and something does not hold. The report is printed.
    #[error("audit failed: {failures} findings")]
    Failed {
        /// How many.
        failures: usize,
    },
}

/// Replays a deployment from L1 alone and verifies every proof.
#[derive(Debug, Parser)]
#[command(
    name = "audit",
    after_help = "Example:\n  gridveil audit --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --genesis genesis.json --json"
)]
pub struct Args {
    /// L1 node, `https://…` or `http://…`: one you trust, best your own.
    #[arg(long, env = "GRIDVEIL_RPC")]
    rpc: String,
    /// Rollup contract.
    #[arg(long, env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// Community nodes published at deployment; without it, all communities began on L1.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Block of the deployment, or an earlier one.
    #[arg(long, default_value_t = 0)]
    from_block: u64,
    /// A verifier that its reader has checked, for batches of a circuit version that this program has no keys of; may be
    /// repeated. Without it, those that are committed with this program.
    #[arg(long = "verifier", value_name = "VERSION:SHAPE:FILE")]
    verifiers: Vec<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Gives KZG parameters for `(chain id, k)`: the parameter store of the binary, which refuses the development setup on
/// public chains.
pub type ParamsSource<'a> = dyn Fn(u64, u32) -> Result<Arc<Params>, String> + 'a;

/// Runs an audit and prints the report. Blocking: call it outside any async runtime.
///
/// # Errors
/// [`AuditError`]; [`AuditError::Failed`] after a report with findings.
pub fn run(args: &Args, params: &ParamsSource<'_>) -> Result<(), AuditError> {
    let nodes =
        args.genesis.as_deref().map(Genesis::read).transpose()?.map(|genesis| genesis.nodes()).unwrap_or_default();
    let contract = parse0(&args.contract).ok_or(AuditError::Contract)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| AuditError::Runtime(e.kind()))?;
    let report = runtime.block_on(async {
        let l1 = EthersClient::connect(&args.rpc, None, Some(contract)).await?;
        let verifier = native(&l1, args.from_block, params, &args.verifiers).await?;
        Ok::<_, AuditError>(audit_with_pool(&l1, Some(&l1), &verifier, &nodes, args.from_block).await?)
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(|_| AuditError::Json)?);
    } else {
        print!("{}", report.table());
    }
    let (failures, versions) = (report.failures.len(), Vec::from_iter(report.missing_versions()));
    match (report.is_ok(), versions.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err(AuditError::Failed { failures }),
        (false, false) => Err(AuditError::MissingVersions { versions, failures }),
    }
}

fn listed(versions: &[CircuitVersion]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl PoolSource for EthersClient {
    fn pool_nano(&self) -> L1Future<'_, u64> {
        Box::pin(Self::pool_nano(self))
    }
}

/// Checks proofs of every version this program knows, with keys of its own. A version that it does not know is left to
/// the code hashes of verifiers: those committed with this program, and those `given` as `VERSION:SHAPE:FILE`.
///
/// # Errors
/// L1 gives no answer, there are no parameters for a community's shape, or what is given is no verifier.
pub async fn native(
    l1: &dyn AuditorL1,
    from_block: u64,
    params: &ParamsSource<'_>,
    given: &[String],
) -> Result<NativeVerifier, AuditError> {
    let chain_id = l1.chain_id().await?;
    let communities = match l1.communities(from_block).await {
        // The audit reads them again, and what is wrong with them is a finding of its report.
        Err(L1Error::Malformed(_)) => Vec::new(),
        answer => answer?,
    };
    let mut by_size = BTreeMap::new();
    for shape in communities.iter().filter_map(|community| Shape::by_id(community.shape)) {
        if let Entry::Vacant(size) = by_size.entry(shape.k) {
            size.insert(params(chain_id, shape.k).map_err(AuditError::Params)?);
        }
    }
    let mut verifier = NativeVerifier::making(by_size);
    recognise(&mut verifier, given)?;
    Ok(verifier)
}

/// Verifiers known by their code alone. Never of a version whose proofs are checked here: a missing key must not turn
/// into trust in a contract.
fn recognise(verifier: &mut NativeVerifier, given: &[String]) -> Result<(), AuditError> {
    let checked = |version: CircuitVersion| known().contains(&version);
    for committed in COMMITTED.iter().filter(|committed| !checked(committed.version)) {
        let mut hash = Word::default();
        if let (Some(shape), Ok(())) =
            (Shape::by_name(committed.shape), hex::decode_to_slice(committed.code_hash, &mut hash))
        {
            verifier.recognise(committed.version, shape.id, hash, committed.name);
        }
    }
    for text in given {
        let (version, shape, hash, file) = artifact(text).ok_or_else(|| AuditError::Artifact(text.clone()))?;
        if checked(version) {
            return Err(AuditError::Checked(text.clone()));
        }
        verifier.recognise(version, shape, hash, &file);
    }
    Ok(())
}

/// Version, shape's id, code hash and file of `VERSION:SHAPE:FILE`.
fn artifact(text: &str) -> Option<(CircuitVersion, u32, Word, String)> {
    #[derive(serde::Deserialize)]
    struct Artifact {
        deployed_bytecode: String,
    }
    let mut parts = text.splitn(3, ':');
    let (version, shape, file) = (parts.next()?, parts.next()?, parts.next()?);
    let read: Artifact = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let runtime = hex::decode(read.deployed_bytecode.strip_prefix("0x")?).ok()?;
    let version = CircuitVersion::new(version.parse().ok()?);
    Some((version, Shape::by_name(shape)?.id, code_hash(&runtime), file.to_owned()))
}
