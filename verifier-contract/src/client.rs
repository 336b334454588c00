//! The rollup contract as the services see it.

use std::future::Future;
use std::pin::Pin;

use crate::types::{
    Address, CertificateCall, CommunityParams, DepositEntry, DepositState, ExitCall, ExitClaimCall, ForcedEntry,
    RollupEvent, SettleCall, SettleReceipt, SettledBatch, TariffEntry, TransferState, TxReceipt, Word,
};

/// Why an L1 operation did not succeed. No variant carries a key or calldata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// The node did not answer, or answered with a transport error. The operation may be retried; [`L1Client::settle`]
    /// is idempotent.
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

fn absent<'a, T: Send + 'a>() -> L1Future<'a, T> {
    Box::pin(async { Err(L1Error::Config("this client does not have the operation")) })
}

/// One rollup contract on one chain. Every method gives [`L1Error`]. A client that only settles, or only reads, leaves
/// out what it does not have: the default is [`L1Error::Config`].
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
    /// Registers a community (meter data manager).
    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt>;
    /// Opens a tariff set (tariff authority). `interval_length_s` in seconds.
    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt>;
    /// Publishes a tariff (tariff authority).
    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt>;
    /// Every tariff published from `from_block` on, in order.
    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>>;
    /// Every community registered from `from_block` on, in order.
    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>>;
    /// Settles a batch (operator). Idempotent: if the current root is already `new_root` and the batch that made it is
    /// this one, its receipt is returned.
    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt>;
    /// Every batch settled from `from_block` on, in order, with its calldata.
    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>>;

    /// Every effect from `from_block` on, in order.
    fn events(&self, _from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        absent()
    }

    /// Deposits units of 10,000,000 nano for the owner of `claim`, from the client's account.
    fn deposit(&self, _claim: Word, _units: u64) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Every deposit made from `from_block` on, in order, with its present state.
    fn deposits(&self, _from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        absent()
    }
    /// What became of one deposit; `None` if it was never made. Clients that can ask the contract by claim look through
    /// no blocks.
    fn deposit_state(&self, claim: Word) -> L1Future<'_, Option<DepositState>> {
        Box::pin(async move {
            Ok(self.deposits(0).await?.into_iter().find(|deposit| deposit.claim == claim).map(|deposit| deposit.state))
        })
    }
    /// Asks for a deposit back (its depositor).
    fn request_refund(&self, _claim: Word) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Pays a requested refund after its delay, or any open deposit when frozen.
    fn refund(&self, _claim: Word) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// What became of a sent claim.
    fn claim_state(&self, _claim: Word) -> L1Future<'_, TransferState> {
        absent()
    }
    /// What an account may withdraw, smallest parts of the token.
    fn withdrawable(&self, _account: Address) -> L1Future<'_, u128> {
        absent()
    }
    /// Pays it, to the account.
    fn withdraw(&self, _account: Address) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Pays bonds owed to an account, to it.
    fn withdraw_eth(&self, _account: Address) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Puts units aside for supplier accounts (operator).
    fn fund_supplier_account(&self, _units: u64) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Units put aside for supplier accounts and not moved into one.
    fn supplier_funds(&self) -> L1Future<'_, u64> {
        absent()
    }

    /// Open requests of a community's forced queue, head first.
    fn forced_queue(&self, _community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        absent()
    }
    /// Seconds within which the head of a forced queue must be served.
    fn forced_deadline_s(&self) -> L1Future<'_, u64> {
        absent()
    }
    /// Asks for the balance of a slot, with the bond that is due.
    fn force_withdraw(&self, _community: u32, _slot: u32) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Freezes the rollup for ever, if the head of the community's queue is too old.
    fn freeze(&self, _community: u32) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// True if the rollup is frozen.
    fn is_frozen(&self) -> L1Future<'_, bool> {
        absent()
    }
    /// Takes a slot's balance out of the frozen rollup.
    fn exit(&self, _call: ExitCall) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// Takes a sent claim out of the frozen rollup.
    fn exit_claim(&self, _call: ExitClaimCall) -> L1Future<'_, TxReceipt> {
        absent()
    }

    /// Spends a certificate note.
    fn certify(&self, _call: CertificateCall) -> L1Future<'_, TxReceipt> {
        absent()
    }
    /// True if a note was spent.
    fn nullifier_used(&self, _nullifier: Word) -> L1Future<'_, bool> {
        absent()
    }
    /// The first `limit` notes that wait for a batch.
    fn pending_notes(&self, _limit: u32) -> L1Future<'_, Vec<Word>> {
        absent()
    }
}
