//! Which rollup a file is checked against.

use anyhow::Context as _;
use gridveil_meter_client::submit::address;

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
    /// It is no address, or no node answers.
    pub fn connect(&self) -> anyhow::Result<Chain> {
        Chain::connect(&self.rpc, self.contract()?, None)
    }
}
