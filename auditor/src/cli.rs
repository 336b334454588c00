//! `gridveil audit …`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use clap::Parser;
use gridveil_circuits::version::known;
use gridveil_protocol::{field::Fr, hex::parse0, params::Shape, version::CircuitVersion};
use gridveil_verifier_contract::{
    Address, AuditorL1, ChainL1 as _, EthersClient, L1Error, Word,
    anvil::LOCAL_CHAIN_ID,
    deployment::DeploymentFile,
    ethers_client::Confirmations,
    verifiers::{COMMITTED, code_hash},
};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    deployment::{Generated, check, check_found},
    genesis::{Genesis, GenesisError},
    native::{NativeCertificates, NativeVerifier, Params},
    proof::VerifierError,
    replay::Audit,
    report::{AuditReport, Verdict},
};

/// Everything that keeps an audit from being made, and the one that it failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No node, or no contract.
    #[error("which rollup? --rpc and --contract are needed, or --deployment (see --help)")]
    Place,
    /// Genesis file.
    #[error("{}: {}", .0.display(), .1)]
    Genesis(PathBuf, GenesisError),
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
    /// Block hash.
    #[error("--block-hash must be 0x and 64 hex digits")]
    BlockHash,
    /// No threads.
    #[error("cannot start: {0}")]
    Runtime(std::io::ErrorKind),
    /// A checkpoint.
    #[error("{0}: {1}")]
    Checkpoint(PathBuf, CheckpointError),
    /// The report's files.
    #[error("{0}")]
    File(String),
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
    /// The audit was made, and nothing was found, but something cannot be checked. The report is printed.
    #[error("audit incomplete: {unverified} statements or exits cannot be verified from calldata")]
    Incomplete {
        /// How many.
        unverified: usize,
    },
    /// The audit was made, and something does not hold. The report is printed.
    #[error("audit failed: {failures} findings")]
    Failed {
        /// How many.
        failures: usize,
    },
}

/// Examples for the help of `gridveil audit`.
pub const EXAMPLE: &str = r#"Examples:
  gridveil audit --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --genesis genesis.json --json

  Of one block, and nothing is believed that does not follow from its hash. Here the hash is the node's own word, to try it.
  In earnest it comes from somebody else:
  gridveil audit --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --genesis genesis.json --block-hash $(curl -s http://127.0.0.1:8545 -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}' | grep -o '"hash":"[^"]*' | cut -d'"' -f4)"#;

/// Replays a deployment from L1 alone and verifies every proof.
#[derive(Debug, Parser)]
#[command(name = "audit", after_help = EXAMPLE)]
pub struct Args {
    /// L1 node, `https://…` or `http://…`: one you trust, best your own.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',')]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: Option<String>,
    /// Community nodes published at deployment; without it, all communities began on L1.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Block of the deployment, or an earlier one: events are read from it on.
    #[arg(long, default_value_t = 0)]
    from_block: u64,
    /// The last block that is audited: so many before the latest, or `finalized`, which no reorganisation takes back.
    #[arg(long, value_name = "finalized|BLOCKS", default_value = "0")]
    confirmations: Confirmations,
    /// Audits the block with this hash, and believes nothing that does not follow from it: headers, receipts, transactions,
    /// code and state are computed or proven. Take the hash from a source that you trust, and not from the node. The node
    /// must have the state of the block and `eth_getProof`.
    #[arg(long, value_name = "HASH", conflicts_with = "confirmations")]
    block_hash: Option<String>,
    /// Reads only what came since this file was written, and writes it anew if nothing is found. Keep it like a key: what
    /// it says was audited is not looked at again.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
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

/// Makes the verifiers' code from circuit and ceremony, or says why not.
pub type Making<'a> = &'a dyn Fn() -> Result<Generated, String>;

/// What an audit needs that this crate does not know: parameters, compilers, files, the terminal.
pub struct Tools<'a> {
    /// Parameters of the proofs.
    pub params: &'a ParamsSource<'a>,
    /// The name of the setup that they are of, on a chain.
    pub setup: &'a dyn Fn(u64) -> Result<String, String>,
    /// The deployment file, if there is one, and the verifiers' code as it follows from circuit and ceremony.
    pub deployment: Option<(&'a DeploymentFile, Making<'a>)>,
    /// Files the report.
    pub file: &'a dyn Fn(&AuditReport) -> Result<(), String>,
    /// Told how far it is.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// Seconds by which the audited block may be older than this machine's clock, off the local chain.
const STALE_S: u64 = 3600;

/// Runs an audit, prints the report and files it. Blocking: call it outside any async runtime.
///
/// # Errors
/// [`AuditError`]; [`AuditError::Failed`] after a report with findings.
pub fn run(args: &Args, tools: &Tools<'_>) -> Result<(), AuditError> {
    let read = |path: &PathBuf| Genesis::read(path).map_err(|error| AuditError::Genesis(path.clone(), error));
    let nodes = args.genesis.as_ref().map(read).transpose()?.map(|genesis| genesis.nodes()).unwrap_or_default();
    // Not told to the parser: a deployment file or the environment may name them, and subcommands need neither.
    let contract = args.contract.as_deref().filter(|_| !args.rpc.is_empty()).ok_or(AuditError::Place)?;
    let contract = parse0(contract).ok_or(AuditError::Contract)?;
    let pinned = args.block_hash.as_deref().map(|hash| parse0(hash).ok_or(AuditError::BlockHash)).transpose()?;
    let past = match &args.checkpoint {
        Some(path) => Checkpoint::read(path).map_err(|error| AuditError::Checkpoint(path.clone(), error))?,
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| AuditError::Runtime(e.kind()))?;
    let (report, checkpoint) = runtime.block_on(audited(args, tools, (contract, pinned), &nodes, past))?;
    (tools.file)(&report).map_err(AuditError::File)?;
    if let Some(path) = args.checkpoint.as_ref().filter(|_| report.failures.is_empty()) {
        let hash = checkpoint.write(path).map_err(|error| AuditError::Checkpoint(path.clone(), error))?;
        (tools.progress)(&format!("checkpoint of block {}: {}, blake3 {hash}", report.subject.block, path.display()));
    }
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(|_| AuditError::Json)?);
    } else {
        print!("{}", report.table());
    }
    let (failures, versions) = (report.failures.len(), Vec::from_iter(report.missing_versions()));
    match (report.auditor, versions.is_empty()) {
        (Verdict::Ok, _) => Ok(()),
        (Verdict::Incomplete, _) => Err(AuditError::Incomplete { unverified: report.unverified.len() }),
        (Verdict::Failed, true) => Err(AuditError::Failed { failures }),
        (Verdict::Failed, false) => Err(AuditError::MissingVersions { versions, failures }),
    }
}

async fn audited(
    args: &Args,
    tools: &Tools<'_>,
    (contract, pinned): (Address, Option<Word>),
    genesis: &[(u32, Fr)],
    past: Option<Checkpoint>,
) -> Result<(AuditReport, Checkpoint), AuditError> {
    let l1 = EthersClient::through(&args.rpc, None, Some(contract)).await?;
    let timelock = tools.deployment.and_then(|(file, _)| file.contracts.timelock.as_ref());
    let mut timelock = timelock.map(|timelock| (timelock.address.0, timelock.from_block));
    let l1 = match pinned {
        Some(hash) => {
            // What came before a checkpoint is not read again, and the checkpoint has no events of the timelock.
            timelock = timelock.filter(|_| past.is_none());
            let l1 = l1.pinned_to(hash).await?;
            l1.read_chain(past.as_ref().map(|past| past.block.number), timelock, tools.progress).await?;
            l1
        }
        None => l1.with_confirmations(args.confirmations).pinned(None).await?,
    };
    if let (Some(past), Some(path)) = (&past, &args.checkpoint) {
        past.lies_on(&l1).await.map_err(|error| AuditError::Checkpoint(path.clone(), error))?;
    }
    let chain_id = l1.chain_id().await?;
    let verifier = native(&l1, args.from_block, past.as_ref(), tools.params, &args.verifiers).await?;
    let verifier = verifier.of_setup((tools.setup)(chain_id).map_err(AuditError::Params)?);
    let (from_block, progress) = (args.from_block, tools.progress);
    let audit = Audit { l1: &l1, verifier: &verifier, genesis, from_block, past, progress };
    let (report, checkpoint) = audit.run().await?;
    progress("comparing code and configuration");
    let (events, later) = (checkpoint.events(), checkpoint.block.number.saturating_add(1));
    let mut report = match tools.deployment {
        Some((file, generated)) => {
            let generated = generated().map_err(AuditError::Params)?;
            let found = check(file, &l1.inspect_after(timelock, events, later).await?, &generated);
            report.with_deployment(found, Some(format!("{}: the deployment file's", file.setup.name)))
        }
        None => {
            let found = l1.inspect_after(None, events, later).await?;
            report.with_deployment(check_found(&found, "no deployment file names a ceremony"), None)
        }
    };
    if pinned.is_some() {
        return Ok((report.with_proof(), checkpoint));
    }
    if let Some(what) = stale(chain_id, report.subject.time_s) {
        report = report.with_failure("L1.HEAD", what);
    }
    Ok((report, checkpoint))
}

/// A node that is behind shows a past in which everything may have been right.
fn stale(chain_id: u64, block_s: u64) -> Option<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let behind = now.saturating_sub(block_s);
    (chain_id != LOCAL_CHAIN_ID && behind > STALE_S)
        .then(|| format!("the audited block is {behind} s old: the node is behind, or the chain stands still"))
}

fn listed(versions: &[CircuitVersion]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks proofs of every version this program knows, with keys of its own. A version that it does not know is left to
/// the code hashes of verifiers: those committed with this program, and those `given` as `VERSION:SHAPE:FILE`. What a
/// checkpoint has is not asked again.
///
/// # Errors
/// L1 gives no answer, there are no parameters for a community's shape, or what is given is no verifier.
pub async fn native(
    l1: &dyn AuditorL1,
    from_block: u64,
    past: Option<&Checkpoint>,
    params: &ParamsSource<'_>,
    given: &[String],
) -> Result<NativeVerifier, AuditError> {
    let chain_id = l1.chain_id().await?;
    let from_block = past.map_or(from_block, |past| past.block.number.saturating_add(1).max(from_block));
    let mut communities = past.map_or_else(Vec::new, |past| past.communities().to_vec());
    communities.extend(match l1.communities(from_block).await {
        // The audit reads them again, and what is wrong with them is a finding of its report.
        Err(L1Error::Malformed(_)) => Vec::new(),
        answer => answer?,
    });
    let certificates = NativeCertificates::K;
    let mut by_size = BTreeMap::from([(certificates, params(chain_id, certificates).map_err(AuditError::Params)?)]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_behind_is_named_off_the_local_chain() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(stale(1, now - STALE_S - 60).unwrap().contains("the node is behind"));
        assert_eq!(stale(1, now - STALE_S + 60), None);
        // A chain may be ahead of this machine's clock, and the local one may be anywhere.
        assert_eq!(stale(1, now + 1_000), None);
        assert_eq!(stale(LOCAL_CHAIN_ID, 0), None);
    }
}
