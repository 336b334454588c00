//! The rollup contract as the services see it.

use std::future::Future;
use std::pin::Pin;

use crate::types::{Address, CommunityParams, SettleCall, SettleReceipt, SettledBatch, TariffEntry, TxReceipt, Word};

/// Why an L1 operation did not succeed. No variant carries a key or calldata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// The node did not answer, or answered with a transport error. The operation may be retried; [`L1Client::settle`] is idempotent.
    #[error("L1 node unreachable: {0}")]
    Unreachable(String),
    /// A transaction was sent and is not mined yet. Retry.
    #[error("transaction pending: {0}")]
    Pending(String),
    /// The contract refused; `name` is its custom error.
    #[error("contract refused with {name}")]
    Reverted {
        /// Name of the custom error, or `unknown`.
        name: String,
    },
    /// The answer is not what the contract can give.
    #[error("malformed L1 answer: {0}")]
    Malformed(String),
    /// The client was made without what the operation needs (a key, a contract), or with values that do not parse.
    #[error("client configuration: {0}")]
    Config(&'static str),
}

impl L1Error {
    /// True if the same call may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Pending(_))
    }

    /// True if the contract refused with the custom error `name`.
    #[must_use]
    pub fn is_revert(&self, name: &str) -> bool {
        matches!(self, Self::Reverted { name: actual } if actual == name)
    }
}

/// The answer of an [`L1Client`] method.
pub type L1Future<'a, T> = Pin<Box<dyn Future<Output = Result<T, L1Error>> + Send + 'a>>;

/// An open deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDeposit {
    /// Units.
    pub units: u64,
    /// Its depositor asked for it back.
    pub refund_requested: bool,
}

/// How a claim between members stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferState {
    /// Never opened.
    #[default]
    None,
    /// Open.
    Open,
    /// Received.
    Received,
}

/// A request in a forced queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForcedRequest {
    /// Slot.
    pub slot: u32,
    /// Who asked.
    pub requester: Address,
}

/// One rollup contract on one chain. Every method gives [`L1Error`].
pub trait L1Client: Send + Sync {
    /// The chain's id.
    fn chain_id(&self) -> L1Future<'_, u64>;
    /// The contract's address.
    fn contract(&self) -> Address;
    /// Unix seconds of the latest block.
    fn timestamp(&self) -> L1Future<'_, u64>;
    /// The current state root.
    fn state_root(&self) -> L1Future<'_, Word>;
    /// Settled batches so far.
    fn batch_count(&self) -> L1Future<'_, u64>;
    /// State root after a batch; batch 0 is the genesis state. Zero if there is no such batch.
    fn root_at(&self, batch: u64) -> L1Future<'_, Word>;
    /// True if `root` was the state root at some time.
    fn is_finalised(&self, root: Word) -> L1Future<'_, bool>;
    /// A community's parameters, if it is registered.
    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>>;
    /// Registers a community (manager).
    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt>;
    /// Opens a tariff set (tariff authority). `interval_length_s` in seconds.
    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt>;
    /// Publishes a tariff (tariff authority).
    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt>;
    /// Every tariff published from `from_block` on, in order.
    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>>;
    /// Every community registered from `from_block` on, in order.
    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>>;
    /// An open deposit, until the client reads it: none.
    fn deposit(&self, _claim: Word) -> L1Future<'_, Option<OpenDeposit>> {
        Box::pin(async { Ok(None) })
    }
    /// A claim between members.
    fn transfer(&self, _claim: Word) -> L1Future<'_, TransferState> {
        Box::pin(async { Ok(TransferState::None) })
    }
    /// The forced queue of a community, head first.
    fn forced_queue(&self, _community: u32) -> L1Future<'_, Vec<ForcedRequest>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// The first `limit` notes of the queue.
    fn pending_notes(&self, _limit: usize) -> L1Future<'_, Vec<Word>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// The operator's funds for floats, units.
    fn float_units(&self) -> L1Future<'_, u64> {
        Box::pin(async { Ok(0) })
    }
    /// Settles a batch (operator). Idempotent: if the current root is already `new_root` and the batch that made it is this one, its
    /// receipt is returned.
    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt>;
    /// Every batch settled from `from_block` on, in order, with its calldata.
    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>>;
}
