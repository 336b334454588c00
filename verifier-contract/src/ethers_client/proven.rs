//! A node of which nothing is believed: every answer is computed from one block's hash, or refused.
//!
//! It stands between the client and the nodes, so that no question of the client escapes it. Headers are chained to the
//! pinned one by their parents' hashes. Receipts and transactions come to the roots of their headers. Accounts, code and
//! storage are proven under the pinned header's state root. Calls of contracts are computed here from these. What cannot
//! be computed so is an error that says what, and never the node's word. See docs/adr/0027.

mod blocks;
mod machine;
mod precompiles;
mod questions;
mod reading;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use ethers::providers::{JsonRpcClient, Provider, ProviderError, RpcError};
use evm::uint;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::nodes::{Nodes, NodesError};
use super::{EthersClient, POLL, REQUEST_TIMEOUT, provider_error};
use crate::client::L1Error;
use crate::deployment::Hex;
use crate::lie::Lie;
use crate::types::Word;

use blocks::{Body, Chain, Link, quantity};
use machine::Environment;
use state::State;

/// The client of everything that asks L1.
pub(super) type Rpc = Provider<Transport>;

/// The nodes as they are, or as far as a block's hash proves what they say.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    nodes: Arc<Nodes>,
    proven: Option<Arc<Proven>>,
}

impl Transport {
    /// Nodes that are believed.
    pub(super) const fn believed(nodes: Arc<Nodes>) -> Self {
        Self { nodes, proven: None }
    }
}

#[async_trait]
impl JsonRpcClient for Transport {
    type Error = NodesError;

    async fn request<T, R>(&self, method: &str, params: T) -> Result<R, NodesError>
    where
        T: std::fmt::Debug + Serialize + Send + Sync,
        R: DeserializeOwned + Send,
    {
        let Some(proven) = &self.proven else { return self.nodes.request(method, params).await };
        let answer = proven.answer(method, &serde_json::to_value(params)?).await?;
        Ok(serde_json::from_value(answer)?)
    }
}

/// What follows from one block's hash.
pub(super) struct Proven {
    nodes: Arc<Nodes>,
    environment: Environment,
    hash: B256,
    state_root: B256,
    chain: Mutex<Chain>,
    /// What was read of blocks.
    bodies: Mutex<BTreeMap<u64, Arc<Body>>>,
    /// Transactions of all of them.
    transactions: Mutex<HashMap<B256, Value>>,
    /// Contracts whose logs are kept of every block that is read.
    watched: Mutex<BTreeSet<Address>>,
    state: Mutex<State>,
    /// Headers are read by one task at a time.
    reading: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven").field("hash", &self.hash).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the nodes: their refusal is an error that says what could not be proven.
async fn ask(nodes: &Nodes, method: &str, params: Value) -> Result<Value, NodesError> {
    match timeout(REQUEST_TIMEOUT, nodes.question(method, &params)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match error.as_error_response() {
            Some(response) => {
                let message: String = response.message.chars().take(200).collect();
                NodesError::Unproven(format!("the node refuses {method}: {message}"))
            }
            None => error,
        }),
        Err(_) => Err(NodesError::None(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))),
    }
}

/// Reads an answer as what it should be.
fn read<T: DeserializeOwned>(what: &str, answer: Value) -> Result<T, NodesError> {
    if answer.is_null() {
        return Err(NodesError::Unproven(format!("the node does not have {what}")));
    }
    serde_json::from_value(answer).map_err(|error| {
        let why: String = error.to_string().chars().take(200).collect();
        NodesError::Unproven(format!("{what} are of a form that this program does not know: {why}"))
    })
}

impl Proven {
    /// The block with this hash: its header must have it.
    async fn pinned(nodes: Arc<Nodes>, chain_id: u64, hash: Word) -> Result<Self, NodesError> {
        let asked = ask(&nodes, "eth_getBlockByHash", json!([Hex(hash), false])).await?;
        let header: Header = read(&format!("the block with the hash {}", Hex(hash)), asked)?;
        let link = Link::of(&header);
        if link.hash.0 != hash {
            return Err(Lie::Header { expected: Hex(hash), found: Hex(link.hash.0) }.into());
        }
        Ok(Self {
            nodes,
            environment: Environment {
                chain_id,
                number: header.number,
                time_s: header.timestamp,
                gas_limit: header.gas_limit,
                beneficiary: uint::H160(header.beneficiary.into_array()),
                randomness: uint::H256(header.mix_hash.0),
            },
            hash: link.hash,
            state_root: header.state_root,
            chain: Mutex::new(Chain::new(link)),
            bodies: Mutex::default(),
            transactions: Mutex::default(),
            watched: Mutex::default(),
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    const fn number(&self) -> u64 {
        self.environment.number
    }
}

/// What a pinned client found out, if that is why there is no answer.
pub(super) fn found(error: &ProviderError) -> Option<L1Error> {
    let ProviderError::JsonRpcClientError(inner) = error else { return None };
    let inner: &(dyn std::error::Error + 'static) = &**inner;
    match inner.downcast_ref()? {
        NodesError::Lie(lie) => Some(L1Error::Lie(lie.clone())),
        NodesError::Unproven(what) => Some(L1Error::Unproven(what.clone())),
        NodesError::WrongChain { chain, expected } => Some(L1Error::WrongChain { chain: *chain, expected: *expected }),
        NodesError::Node(_) | NodesError::None(_) | NodesError::Form(_) | NodesError::Computed(_) => None,
    }
}

impl EthersClient {
    /// The same client, whose every question is about the block with this hash, and whose every answer follows from the
    /// hash. It reads only.
    ///
    /// # Errors
    /// [`L1Error::Lie`] if the node has another header for it; otherwise [`L1Error`].
    pub async fn pinned_to(&self, hash: Word) -> Result<Self, L1Error> {
        let nodes = Arc::clone(&self.nodes);
        let proven = Proven::pinned(nodes, self.chain_id, hash).await.map_err(|error| provider_error(error.into()))?;
        let proven = Arc::new(proven);
        let transport = Transport { nodes: Arc::clone(&self.nodes), proven: Some(Arc::clone(&proven)) };
        let client = Self {
            provider: Arc::new(Provider::new(transport).interval(POLL)),
            block: Some(proven.number()),
            proven: Some(Arc::clone(&proven)),
            parts: OnceCell::new(),
            seen: Arc::default(),
            kept: Arc::default(),
            ..self.clone()
        };
        let parts = client.parts().await?;
        let contracts = [client.contract.into(), parts.registry, parts.certificates, parts.exits];
        locked(&proven.watched).extend(contracts.map(|contract: uint::H160| Address::from(contract.0)));
        Ok(client)
    }

    /// Reads the headers from a block on, of the deployment if none, to the one that the client is pinned to, and what is
    /// in the blocks that may have a log of the rollup's contracts, or of another one that was made after some block.
    /// Later questions about them are answered from memory. A client that is not pinned reads nothing.
    ///
    /// # Errors
    /// [`L1Error`]; [`L1Error::Lie`].
    pub async fn read_chain(
        &self,
        from: Option<u64>,
        also: Option<(crate::types::Address, u64)>,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<(), L1Error> {
        let Some(proven) = &self.proven else { return Ok(()) };
        let made = also.map(|(_, made)| made);
        let from = match from {
            Some(from) => from,
            None => self.first_block().await?.min(made.unwrap_or(u64::MAX)),
        };
        locked(&proven.watched).extend(also.map(|(contract, _)| Address::from(contract)));
        proven.read(from, told).await.map_err(|error| provider_error(error.into()))
    }
}
