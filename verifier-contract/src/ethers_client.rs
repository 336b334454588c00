//! Every role on L1 ([`crate::client`]) over plain HTTP JSON-RPC with ethers. ethers is deprecated upstream: nothing of
//! it leaves this module.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ethers::abi::{AbiDecode, RawLog};
use ethers::contract::EthEvent;
use ethers::providers::{Middleware, ProviderError, RpcError};
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{
    Address as EthAddress, BlockId, BlockNumber, Bytes, Eip1559TransactionRequest, Filter, H256, Log, Transaction,
    TransactionReceipt, U64, U256,
};
use tokio::sync::{Mutex, OnceCell};

use crate::client::{AuditorL1, ChainL1, L1Error};
use crate::types::{Address, SettleCall, SettleReceipt, SettledBatch, TxReceipt, Word};

mod acts;
mod audit_heads;
mod calldata;
mod confirmed;
mod connecting;
mod council;
mod deploy;
mod events;
mod fees;
mod inspect;
mod logs;
mod member;
mod node;
mod nodes;
mod proven;
mod reverted;
mod rollup;
mod sending;
mod signing;
mod upgrades;

#[allow(clippy::all, clippy::unwrap_used, clippy::panic, missing_docs)]
mod bindings {
    ethers::contract::abigen!(
        GridveilRollup,
        "artifacts/GridveilRollup.json";
        GridveilRegistry,
        "artifacts/GridveilRegistry.json";
        GridveilCertificates,
        "artifacts/GridveilCertificates.json";
        ExitsContract,
        "artifacts/Exits.json";
        AuditHeads,
        "artifacts/AuditHeads.json";
        TestToken,
        "artifacts/TestToken.json"
    );
}

pub use acts::{Act, Actor};
pub use audit_heads::{AuditHeads, audit_heads_creation};
pub use calldata::{calls_in, decode_settle_calldata, encode_settle_calldata};
pub use confirmed::Confirmations;
pub use council::SettledStatement;
pub use deploy::{
    Foundations, RollupConfig, VerifierInit, created_address, creation, rollup_creation, timelock_creation,
};
pub use fees::FeePolicy;
pub use inspect::{CouncilOnChain, Found, OnChain, TimelockOnChain, VerifierOnChain};
pub use sending::MOST_AT_ONCE;
pub use signing::{Key, KeystoreError};
pub use upgrades::{RegisteredVerifier, Upgrades};

use logs::Kept;
use nodes::Nodes;
use proven::{Proven, Rpc};
use reverted::revert_name;
use sending::{Call, Sending};

use bindings::{BatchSettledFilter, ExitsContract, GridveilCertificates, GridveilRegistry, GridveilRollup};

/// Longest wait for one JSON-RPC answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at what is not there yet.
const POLL: Duration = Duration::from_millis(100);

/// The contracts that belong to a rollup; its constructor created them, so they are asked for once.
#[derive(Clone, Copy)]
struct Parts {
    registry: EthAddress,
    certificates: EthAddress,
    exits: EthAddress,
}

/// A rollup contract through one node or several, with at most one key. A clone shares what was read.
#[derive(Clone)]
pub struct EthersClient {
    nodes: Arc<Nodes>,
    /// What follows from the hash of the block that the client is pinned to, if it is to one.
    proven: Option<Arc<Proven>>,
    provider: Arc<Rpc>,
    key: Option<Key>,
    contract: Address,
    parts: OnceCell<Parts>,
    chain_id: u64,
    fees: FeePolicy,
    confirmations: Confirmations,
    /// The block that every question is about; the latest if `None`.
    block: Option<u64>,
    /// What the key has sent. The first number is the count of *mined* transactions, so that a retry replaces, and never
    /// doubles.
    sending: Arc<Mutex<Sending>>,
    /// Block of every batch whose event was seen: where to look first. The node is asked all the same, as blocks may be
    /// reorganised.
    seen: Arc<std::sync::Mutex<BTreeMap<u64, u64>>>,
    kept: Arc<Kept>,
}

impl std::fmt::Debug for EthersClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Key and nodes are left out on purpose.
        f.debug_struct("EthersClient")
            .field("contract", &hex::encode(self.contract))
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

/// The revert data that a node puts in an error response, if any.
fn revert_data(error: &ProviderError) -> Option<Vec<u8>> {
    let response = error.as_error_response()?;
    if let Some(data) = response.as_revert_data() {
        return Some(data.to_vec());
    }
    response.message.contains("revert").then(Vec::new)
}

fn provider_error(error: ProviderError) -> L1Error {
    if let Some(found) = proven::found(&error) {
        return found;
    }
    if let Some(data) = revert_data(&error) {
        return L1Error::Reverted { name: revert_name(&data) };
    }
    match error.as_error_response() {
        Some(response) => {
            let message: String = response.message.chars().take(200).collect();
            let low = message.to_lowercase();
            if ["already known", "already imported", "nonce too low", "underpriced"]
                .iter()
                .any(|text| low.contains(text))
            {
                L1Error::Pending(message)
            } else {
                L1Error::Unreachable(message)
            }
        }
        None => L1Error::Unreachable(error.to_string().chars().take(200).collect()),
    }
}

async fn request<T>(future: impl Future<Output = Result<T, ProviderError>>) -> Result<T, L1Error> {
    match tokio::time::timeout(REQUEST_TIMEOUT, future).await {
        Ok(answer) => answer.map_err(provider_error),
        Err(_) => Err(L1Error::Unreachable(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))),
    }
}

fn malformed(what: impl std::fmt::Display) -> L1Error {
    L1Error::Malformed(what.to_string())
}

/// The account of a private key, 32 bytes hex.
///
/// # Errors
/// [`L1Error::Config`] if the key does not parse.
pub fn address_of(private_key: &str) -> Result<Address, L1Error> {
    Ok(Key::of_hex(private_key)?.account())
}

impl EthersClient {
    /// The same node and key with another contract.
    #[must_use]
    pub fn at_contract(&self, contract: Address) -> Self {
        Self { contract, parts: OnceCell::new(), seen: Arc::default(), kept: Arc::default(), ..self.clone() }
    }

    /// The same node and contract with another key (the meter data manager's, the tariff authority's).
    ///
    /// # Errors
    /// [`L1Error::Config`] if the key does not parse.
    pub fn with_key(&self, private_key: &str) -> Result<Self, L1Error> {
        Ok(Self { key: Some(Key::of_hex(private_key)?), sending: Arc::default(), ..self.clone() })
    }

    /// The same client, whose transactions cost no more than that.
    #[must_use]
    pub fn with_fees(self, fees: FeePolicy) -> Self {
        Self { fees, ..self }
    }

    /// The account that sends transactions.
    #[must_use]
    pub fn account(&self) -> Option<Address> {
        self.key.as_ref().map(Key::account)
    }

    /// Deploys a contract from its creation bytecode and gives its address.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn deploy_code(&self, creation: &[u8]) -> Result<Address, L1Error> {
        let receipt = self.send(None, creation.to_vec()).await?;
        let address = receipt.contract_address.ok_or_else(|| malformed("deployment receipt without an address"))?;
        let code = request(self.provider.get_code(address, None)).await?;
        if code.is_empty() { Err(malformed("the deployed contract has no code")) } else { Ok(address.0) }
    }

    /// Moves the local chain's clock to `timestamp` (unix seconds) and mines a block: development chains only.
    ///
    /// # Errors
    /// [`L1Error`], also if the chain is not the local one.
    pub async fn set_local_time(&self, timestamp: u64) -> Result<(), L1Error> {
        if self.chain_id != crate::anvil::LOCAL_CHAIN_ID {
            return Err(L1Error::Config("only a local chain's clock can be moved"));
        }
        let _: serde_json::Value = request(self.provider.request("evm_setNextBlockTimestamp", [timestamp])).await?;
        let _: serde_json::Value = request(self.provider.request("evm_mine", ())).await?;
        Ok(())
    }

    /// Gives an account on the local chain this much ether, wei: development chains only.
    ///
    /// # Errors
    /// [`L1Error`], also if the chain is not the local one.
    pub async fn set_local_balance(&self, account: Address, wei: u128) -> Result<(), L1Error> {
        if self.chain_id != crate::anvil::LOCAL_CHAIN_ID {
            return Err(L1Error::Config("only a local chain's accounts can be filled"));
        }
        let params = (EthAddress::from(account), U256::from(wei));
        let _: serde_json::Value = request(self.provider.request("anvil_setBalance", params)).await?;
        Ok(())
    }

    fn bound(&self) -> GridveilRollup<Rpc> {
        GridveilRollup::new(EthAddress::from(self.contract), self.provider.clone())
    }

    async fn parts(&self) -> Result<Parts, L1Error> {
        let parts = self.parts.get_or_try_init(|| async {
            Ok::<Parts, L1Error>(Parts {
                registry: self.view(self.bound().registry().calldata()).await?,
                certificates: self.view(self.bound().certificates().calldata()).await?,
                exits: self.view(self.bound().exits().calldata()).await?,
            })
        });
        parts.await.copied()
    }

    async fn registry(&self) -> Result<GridveilRegistry<Rpc>, L1Error> {
        Ok(GridveilRegistry::new(self.parts().await?.registry, self.provider.clone()))
    }

    async fn certificates(&self) -> Result<GridveilCertificates<Rpc>, L1Error> {
        Ok(GridveilCertificates::new(self.parts().await?.certificates, self.provider.clone()))
    }

    async fn exits(&self) -> Result<ExitsContract<Rpc>, L1Error> {
        Ok(ExitsContract::new(self.parts().await?.exits, self.provider.clone()))
    }

    /// The block that questions are about, as a node takes it; the latest if none.
    fn at(&self) -> Option<BlockId> {
        self.block.map(|block| BlockNumber::from(block).into())
    }

    async fn view<T: AbiDecode>(&self, calldata: Option<Bytes>) -> Result<T, L1Error> {
        self.view_at(EthAddress::from(self.contract), calldata).await
    }

    async fn view_at<T: AbiDecode>(&self, contract: EthAddress, calldata: Option<Bytes>) -> Result<T, L1Error> {
        let tx: TypedTransaction = Eip1559TransactionRequest::new().to(contract).data(required(calldata)?).into();
        let answer = request(self.provider.call(&tx, self.at())).await?;
        if answer.is_empty() {
            return Err(malformed("no contract at the address"));
        }
        T::decode(&answer).map_err(malformed)
    }

    /// `BatchSettled` of one batch among the blocks `from` to `to`.
    async fn batch_event(&self, batch: u64, from: u64, to: u64) -> Result<Option<BatchSettledFilter>, L1Error> {
        let filter = Filter::new()
            .address(EthAddress::from(self.contract))
            .topic0(BatchSettledFilter::signature())
            .topic1(H256::from_low_u64_be(batch))
            .from_block(from)
            .to_block(to);
        let Some(log) = request(self.provider.get_logs(&filter)).await?.pop() else { return Ok(None) };
        let event: BatchSettledFilter = decode_log(&log)?;
        if event.batch != batch {
            return Err(malformed("the node gave the event of another batch"));
        }
        self.remember(batch, block_of(&log)?);
        Ok(Some(event))
    }

    fn remember(&self, batch: u64, block: u64) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(batch, block);
    }

    /// The root after a batch, from its event: looked for where it was seen last, then from the latest block back.
    async fn root_after(&self, batch: u64) -> Result<Word, L1Error> {
        if batch == 0 {
            return self.view(self.bound().genesis_root().calldata()).await;
        }
        if batch > self.batch_count().await? {
            return Ok(Word::default());
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&batch).copied();
        if let Some(block) = seen
            && let Some(event) = self.batch_event(batch, block, block).await?
        {
            return Ok(event.new_root);
        }
        let mut to = self.latest().await?;
        loop {
            let from = to.saturating_sub(self.kept.range() - 1);
            if let Some(event) = self.batch_event(batch, from, to).await? {
                return Ok(event.new_root);
            }
            if from == 0 {
                return Err(malformed("a settled batch without its event"));
            }
            to = from - 1;
        }
    }

    async fn settled(&self, log: &Log) -> Result<SettledBatch, L1Error> {
        let event: BatchSettledFilter = decode_log(log)?;
        let hash = log.transaction_hash.ok_or_else(|| malformed("a log without a transaction"))?;
        let tx = self.transaction(hash).await?;
        if tx.to != Some(EthAddress::from(self.contract)) {
            return Err(malformed("a batch that was not settled by a direct call"));
        }
        let call = decode_settle_calldata(&tx.input)?;
        let agrees = event.community == call.community
            && event.first_interval == call.first_interval
            && event.new_root == call.new_root
            && event.community_new == call.community_new
            && event.circuit_version == call.circuit_version;
        if !agrees {
            return Err(malformed("a batch's event and calldata differ"));
        }
        let block = block_of(log)?;
        self.remember(event.batch, block);
        Ok(SettledBatch {
            batch: event.batch,
            old_root: event.old_root,
            tariff_commitment: event.tariff_commitment,
            call,
            tx: hash.0,
            block,
        })
    }

    /// The transaction with this hash. The hash is that of its contents, so other contents are found out.
    async fn transaction(&self, hash: H256) -> Result<Transaction, L1Error> {
        let tx = request(self.provider.get_transaction(hash))
            .await?
            .ok_or_else(|| malformed("a log's transaction is unknown"))?;
        // Chains of their own have types of transactions of their own.
        let common = tx.transaction_type.is_none_or(|kind| kind <= U64::from(2));
        if tx.hash != hash || (common && tx.hash() != hash) {
            return Err(malformed(format_args!("transaction {hash:#x} has other contents than its hash says")));
        }
        Ok(tx)
    }

    /// The receipt of the batch that made `call`'s root, if it is that batch.
    async fn already_settled(&self, call: &SettleCall) -> Result<Option<SettleReceipt>, L1Error> {
        if self.state_root().await? != call.new_root {
            return Ok(None);
        }
        let Some(log) = self.settled_log(call.new_root).await? else { return Ok(None) };
        let settled = self.settled(&log).await?;
        // The proof may differ from one attempt to the next: proofs are randomised.
        let same = settled.call.data == call.data
            && settled.call.community == call.community
            && settled.call.first_interval == call.first_interval;
        if !same || settled.call.new_root != call.new_root {
            return Ok(None);
        }
        let receipt = self.wait(H256(settled.tx)).await?;
        Ok(Some(settle_receipt(&receipt)?))
    }

    /// The event of the batch that made a root, looked for from the last one back.
    async fn settled_log(&self, new_root: Word) -> Result<Option<Log>, L1Error> {
        for log in self.logs(BatchSettledFilter::signature(), 0).await?.into_iter().rev() {
            let event: BatchSettledFilter = decode_log(&log)?;
            if event.new_root == new_root {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    async fn settle_calls(&self, calls: &[SettleCall]) -> Result<SettleReceipt, L1Error> {
        if let Some(first) = calls.first()
            && let Some(receipt) = self.already_settled(first).await?
        {
            return Ok(receipt);
        }
        let call = |call| Call {
            to: Some(EthAddress::from(self.contract)),
            data: encode_settle_calldata(call).into(),
            wei: U256::zero(),
        };
        settle_receipt(&self.send_in_order(&calls.iter().map(call).collect::<Vec<_>>()).await?)
    }
}

fn required(calldata: Option<Bytes>) -> Result<Bytes, L1Error> {
    calldata.ok_or(L1Error::Config("the call does not encode"))
}

fn decode_log<E: EthEvent>(log: &Log) -> Result<E, L1Error> {
    E::decode_log(&RawLog { topics: log.topics.clone(), data: log.data.to_vec() }).map_err(malformed)
}

fn block_of(log: &Log) -> Result<u64, L1Error> {
    Ok(log.block_number.ok_or_else(|| malformed("a log without a block"))?.as_u64())
}

fn tx_receipt(receipt: &TransactionReceipt) -> Result<TxReceipt, L1Error> {
    Ok(TxReceipt {
        tx: receipt.transaction_hash.0,
        block: receipt.block_number.ok_or_else(|| malformed("a receipt without a block"))?.as_u64(),
        gas_used: receipt.gas_used.ok_or_else(|| malformed("a receipt without gas"))?.as_u64(),
    })
}

fn settle_receipt(receipt: &TransactionReceipt) -> Result<SettleReceipt, L1Error> {
    let signature = BatchSettledFilter::signature();
    let log = receipt
        .logs
        .iter()
        .find(|log| log.topics.first() == Some(&signature))
        .ok_or_else(|| malformed("a settlement without its event"))?;
    let event: BatchSettledFilter = decode_log(log)?;
    let TxReceipt { tx, block, gas_used } = tx_receipt(receipt)?;
    Ok(SettleReceipt { batch: event.batch, tx, block, gas_used })
}
