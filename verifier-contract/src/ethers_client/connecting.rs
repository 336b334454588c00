//! How a client comes about: by asking its nodes, or by what is known of their chain.

use std::sync::Arc;

use ethers::providers::Provider;
use tokio::sync::OnceCell;

use super::nodes::Nodes;
use super::proven::Transport;
use super::{Confirmations, EthersClient, FeePolicy, Key, POLL};
use crate::client::L1Error;
use crate::types::Address;

impl EthersClient {
    /// Connects to one node, with a private key or none, and a contract or, to deploy, none yet.
    ///
    /// # Errors
    /// As [`Self::through`].
    pub async fn connect(url: &str, private_key: Option<&str>, contract: Option<Address>) -> Result<Self, L1Error> {
        Self::through(&[url], private_key.map(Key::of_hex).transpose()?, contract).await
    }

    /// Connects to nodes of one chain. Questions go to the first that answers and does not lag, transactions to all.
    ///
    /// # Errors
    /// [`L1Error::Unreachable`] if none answers, [`L1Error::OtherChain`], [`L1Error::Config`].
    pub async fn through(
        urls: &[impl AsRef<str>],
        key: Option<Key>,
        contract: Option<Address>,
    ) -> Result<Self, L1Error> {
        let (nodes, chain_id) = Nodes::connect(urls).await?;
        Ok(Self::over(nodes, chain_id, key, contract))
    }

    /// As [`Self::through`], of a chain that is known, and without asking any node now. A node is asked for its chain before
    /// it is asked for anything else; one of another chain is [`L1Error::WrongChain`], or is not used if there are several.
    ///
    /// # Errors
    /// [`L1Error::Config`].
    pub fn of_chain(
        urls: &[impl AsRef<str>],
        key: Option<Key>,
        contract: Option<Address>,
        chain_id: u64,
    ) -> Result<Self, L1Error> {
        Ok(Self::over(Nodes::of_chain(urls, chain_id)?, chain_id, key, contract))
    }

    fn over(nodes: Nodes, chain_id: u64, key: Option<Key>, contract: Option<Address>) -> Self {
        let nodes = Arc::new(nodes);
        let provider = Provider::new(Transport::believed(Arc::clone(&nodes))).interval(POLL);
        Self {
            nodes,
            proven: None,
            provider: Arc::new(provider),
            key,
            contract: contract.unwrap_or_default(),
            parts: OnceCell::new(),
            chain_id,
            fees: FeePolicy::default(),
            confirmations: Confirmations::of_chain(chain_id),
            block: None,
            sending: Arc::default(),
            seen: Arc::default(),
            kept: Arc::default(),
        }
    }
}
