//! `gridveil audit …`.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Parser;
use gridveil_protocol::params::Shape;
use gridveil_verifier_contract::{EthersClient, L1Client, L1Error, L1Future};

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
    /// L1 node, `http://…`: one you trust, best your own.
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
    let contract = address(&args.contract).ok_or(AuditError::Contract)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| AuditError::Runtime(e.kind()))?;
    let report = runtime.block_on(async {
        let l1 = EthersClient::connect(&args.rpc, None, Some(contract)).await?;
        let verifier = native(&l1, args.from_block, params).await?;
        Ok::<_, AuditError>(audit_with_pool(&l1, Some(&l1), &verifier, &nodes, args.from_block).await?)
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(|_| AuditError::Json)?);
    } else {
        print!("{}", report.table());
    }
    if report.is_ok() { Ok(()) } else { Err(AuditError::Failed { failures: report.failures.len() }) }
}

impl PoolSource for EthersClient {
    fn pool_nano(&self) -> L1Future<'_, u64> {
        Box::pin(Self::pool_nano(self))
    }
}

/// Keys of the shapes that registered communities have.
async fn native(l1: &dyn L1Client, from_block: u64, params: &ParamsSource<'_>) -> Result<NativeVerifier, AuditError> {
    let chain_id = l1.chain_id().await?;
    let used: BTreeSet<u32> = l1.communities(from_block).await?.iter().map(|c| c.shape).collect();
    let mut verifier = NativeVerifier::default();
    for shape in used.into_iter().filter_map(Shape::by_id) {
        verifier.add(shape, params(chain_id, shape.k).map_err(AuditError::Params)?)?;
    }
    Ok(verifier)
}

fn address(text: &str) -> Option<[u8; 20]> {
    let mut out = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut out).ok()?;
    Some(out)
}
