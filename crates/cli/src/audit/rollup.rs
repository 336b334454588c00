//! Which rollup a file is checked against.

use anyhow::Context as _;
use gridveil_meter_client::submit::address;
use gridveil_protocol::hex::parse0;
use gridveil_prover::progress::{Progress as _, Reporter};

use crate::common::chain::Chain;

/// A rollup and the nodes that tell of it.
#[derive(clap::Args, Debug)]
pub struct Rollup {
    /// L1 node, https://… or http://…: one you trust, best your own.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// Block of the deployment, or an earlier one.
    #[arg(long, default_value_t = 0)]
    pub from_block: u64,
    /// The hash of a block, 0x…, from a source that you trust: the question is about this block, and nothing of the node
    /// is believed that does not follow from the hash. The node must have the state of the block and `eth_getProof`.
    #[arg(long, value_name = "HASH")]
    block_hash: Option<String>,
}

impl Rollup {
    /// The contract.
    ///
    /// # Errors
    /// It is no address.
    pub fn contract(&self) -> anyhow::Result<[u8; 20]> {
        address(&self.contract).context("contract address must be 0x and 40 hex digits")
    }

    /// The contract on L1, to read.
    ///
    /// # Errors
    /// An address or hash that is none, no node answers, or one lies.
    pub fn connect(&self) -> anyhow::Result<Chain> {
        let contract = self.contract()?;
        let Some(hash) = &self.block_hash else { return Chain::connect(&self.rpc, contract, None) };
        let hash = parse0(hash).context("--block-hash must be 0x and 64 hex digits")?;
        let reporter = Reporter::stderr();
        let chain = Chain::pinned(&self.rpc, contract, hash, &|stage| reporter.stage(stage, ""));
        reporter.finish();
        chain
    }
}
