//! A blocking L1 client, for commands that are not async.

use std::{future::Future, sync::Arc};

use anyhow::Context as _;
use gridveil_verifier_contract::{EthersClient, L1Error, MemberL1, ethers_client::Key};

/// The contract, spoken to from where nothing else is async.
pub struct Chain {
    runtime: tokio::runtime::Runtime,
    client: Arc<dyn MemberL1>,
    account: Option<[u8; 20]>,
    from_block: u64,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Chain {
    /// Around any client; `account` sends its transactions.
    ///
    /// # Errors
    /// No runtime.
    pub fn new(client: Arc<dyn MemberL1>, account: Option<[u8; 20]>) -> anyhow::Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            client,
            account,
            from_block: 0,
        })
    }

    /// Through nodes of one chain, with or without a key to send with.
    ///
    /// # Errors
    /// No answer.
    pub fn connect(rpc: &[impl AsRef<str>], contract: [u8; 20], key: Option<Key>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(EthersClient::through(rpc, key, Some(contract))).context("--rpc")?;
        let account = client.account();
        Ok(Self { runtime, client: Arc::new(client), account, from_block: 0 })
    }

    /// Through nodes of one chain, of which nothing is believed: every answer follows from the hash of a block.
    ///
    /// # Errors
    /// No answer, or one that does not follow from it.
    pub fn pinned(
        rpc: &[impl AsRef<str>],
        contract: [u8; 20],
        hash: [u8; 32],
        told: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async {
            let client = EthersClient::through(rpc, None, Some(contract)).await.context("--rpc")?;
            let client = client.pinned_to(hash).await?;
            client.read_chain(None, None, told).await?;
            anyhow::Ok(client)
        })?;
        Ok(Self { runtime, client: Arc::new(client), account: None, from_block: 0 })
    }

    /// Reads events from this block on: at most the deployment's.
    #[must_use]
    pub const fn reading_from(mut self, block: u64) -> Self {
        self.from_block = block;
        self
    }

    /// First block whose events are read.
    #[must_use]
    pub const fn from_block(&self) -> u64 {
        self.from_block
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &dyn MemberL1 {
        self.client.as_ref()
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// [`L1Error`].
    pub fn wait<T>(&self, answer: impl Future<Output = Result<T, L1Error>>) -> Result<T, L1Error> {
        self.runtime.block_on(answer)
    }

    /// Waits for anything that asks the client.
    pub fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Who sends.
    ///
    /// # Errors
    /// There is no key.
    pub fn account(&self) -> anyhow::Result<[u8; 20]> {
        self.account.context("no L1 key: give --l1-key or set GRIDVEIL_L1_KEY")
    }
}
