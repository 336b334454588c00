//! The rollup contract as each role sees it. A service takes the role it needs, and nothing more.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use crate::deployment::Terms;
use crate::lie::Lie;
use crate::types::{
    Address, Announcement, AuditHead, Block, Calls, CertificateCall, CommunityEnd, CommunityParams, DepositEntry,
    DepositState, ExitCall, ExitClaimCall, ForcedEntry, ForcedRequest, RollupEvent, SettleCall, SettleReceipt,
    SettledBatch, TariffEntry, TransferState, TxReceipt, Vault, VerifierState, WaitingPair, Word,
};

/// A contract that gives no reason often is another one: a call to a function that it does not have ends so.
fn refused_with(name: &str) -> String {
    match name {
        "unknown" => {
            "the contract refused without a reason; if every call ends so, the address is another contract's".into()
        }
        name => format!("contract refused with {name}"),
    }
}

/// Why an L1 operation did not succeed. No variant carries a key or calldata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// The node did not answer, or answered with a transport error. The operation may be retried; [`SettlementL1::settle`]
    /// is idempotent.
    #[error("L1 node unreachable: {0}")]
    Unreachable(String),
    /// A transaction was sent and is not mined yet. Retry.
    #[error("transaction pending: {0}")]
    Pending(String),
    /// The contract refused; `name` is its custom error.
    #[error("{}", refused_with(name))]
    Reverted {
        /// Name of the custom error, or `unknown`.
        name: String,
    },
    /// The answer is not what the contract can give.
    #[error("malformed L1 answer: {0}")]
    Malformed(String),
    /// The client is pinned to a block's hash, and the node said what does not follow from it.
    #[error("the node lies: {0}")]
    Lie(#[from] Lie),
    /// The client is pinned to a block's hash, and this cannot be computed from it, or not by this program.
    #[error("cannot be proven from the block's hash: {0}")]
    Unproven(String),
    /// The external signer did not sign. Retry.
    #[error("external signer: {0}")]
    Signer(String),
    /// The external signer gave back another transaction than it was asked to sign, or by another account.
    #[error("the external signer signed another {0} than it was asked to; nothing was sent")]
    SignedOther(&'static str),
    /// Two of the nodes are of different chains; nodes are counted from 1.
    #[error("node {node} is of chain {chain}, and node {first} of chain {expected}: all must be of one chain")]
    OtherChain {
        /// The node.
        node: usize,
        /// Its chain.
        chain: u64,
        /// The first node that answered.
        first: usize,
        /// Its chain.
        expected: u64,
    },
    /// The node is of another chain than the one that is gone on with.
    #[error("the node is of chain {chain}, and what is gone on with here is of chain {expected}: name a node of that")]
    WrongChain {
        /// Its chain.
        chain: u64,
        /// The chain that is known.
        expected: u64,
    },
    /// The client was made without what the operation needs (a key, a contract), or with values that do not parse.
    #[error("client configuration: {0}")]
    Config(&'static str),
}

impl L1Error {
    /// True if the same call may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Pending(_) | Self::Signer(_))
    }

    /// True if the contract refused with the custom error `name`.
    #[must_use]
    pub fn is_revert(&self, name: &str) -> bool {
        matches!(self, Self::Reverted { name: actual } if actual == name)
    }
}

/// The answer of a method of one of the roles.
pub type L1Future<'a, T> = Pin<Box<dyn Future<Output = Result<T, L1Error>> + Send + 'a>>;

/// One rollup contract on one chain: its clock, its roots, its registries. Every role reads these.
///
/// Every method of every role gives [`L1Error`].
pub trait ChainL1: Send + Sync {
    /// The chain's id.
    fn chain_id(&self) -> L1Future<'_, u64>;
    /// The contract's address.
    fn contract(&self) -> Address;
    /// Unix seconds of the latest block.
    fn timestamp(&self) -> L1Future<'_, u64>;
    /// The current state root.
    fn state_root(&self) -> L1Future<'_, Word>;
    /// State root after a batch; batch 0 is the genesis state. Zero if there is no such batch.
    fn root_at(&self, batch: u64) -> L1Future<'_, Word>;
    /// True if `root` was the state root at some time.
    fn is_finalised(&self, root: Word) -> L1Future<'_, bool>;
    /// A community's parameters, if it is registered.
    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>>;
    /// How a community ends; open, if it is not registered.
    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd>;
    /// How each of these communities ends. A client that reads events asks only about those whose end was announced.
    fn ends_of(&self, communities: Vec<u32>) -> L1Future<'_, BTreeMap<u32, CommunityEnd>> {
        Box::pin(async move {
            let mut ends = BTreeMap::new();
            for community in communities {
                ends.insert(community, self.end_of(community).await?);
            }
            Ok(ends)
        })
    }
    /// May members of a living community exit, because a verifier of its shape is proven unsound, or because the council
    /// hastened any (COUNCIL.5)? [`L1Error::Reverted`] with `UnknownCommunity` if it is not registered.
    fn in_emergency(&self, community: u32) -> L1Future<'_, bool>;
    /// Every tariff published from `from_block` on, in order.
    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>>;
}

/// What waits on L1 for a batch: deposits, claims, forced withdrawals, notes, funds.
pub trait QueuesL1: ChainL1 {
    /// True if the rollup is frozen.
    fn is_frozen(&self) -> L1Future<'_, bool>;
    /// Every deposit made from `from_block` on, in order, with its present state.
    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>>;
    /// What became of a sent claim.
    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState>;
    /// Open requests of a community's forced queue, head first.
    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>>;
    /// The first `limit` notes that a batch may take in: those before the first of a retired circuit version.
    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>>;
    /// Units of 10,000,000 nano put aside for supplier accounts and not moved into one.
    fn supplier_funds(&self) -> L1Future<'_, u64>;
}

/// The sequencer's L1: it settles what waits.
pub trait SettlementL1: QueuesL1 {
    /// Settles a batch (operator). Idempotent: if the current root is already `new_root` and the batch that made it is
    /// this one, its receipt is returned.
    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt>;
    /// Settles the first of batches that each build on the one before, and may send the others after it, so that they are
    /// on their way when they are the first. As [`Self::settle`] for the first; nothing is said of the others.
    fn settle_in_order(&self, calls: Vec<SettleCall>) -> L1Future<'_, SettleReceipt> {
        let first = calls.into_iter().next();
        Box::pin(async move { self.settle(first.ok_or(L1Error::Config("there is nothing to settle"))?).await })
    }
    /// The same rollup as it was in one block that counts as final: no reorganisation is expected to reach it. What a
    /// batch takes in is chosen from it, and a batch that is in it is settled.
    fn confirmed(&self) -> L1Future<'_, Box<dyn QueuesL1>>;
    /// The receipt of the batch that made this state root; `None` if no batch did.
    fn settlement_of(&self, new_root: Word) -> L1Future<'_, Option<SettleReceipt>>;
    /// Seconds within which the head of a forced queue must be served.
    fn forced_deadline_s(&self) -> L1Future<'_, u64>;
    /// The verifier of a circuit version and a shape; `None` if none is registered, or the version is retired.
    fn verifier(&self, circuit_version: u32, shape: u32) -> L1Future<'_, Option<VerifierState>>;
    /// Takes notes of a retired circuit version out of the head of the queue, where there are any: those behind them
    /// wait for it. How many pairs there were.
    fn drop_retired_notes(&self) -> L1Future<'_, u64>;
    /// The upgrade that was announced last: what a verifier's first batch depends on (L1.11).
    fn announcement(&self) -> L1Future<'_, Announcement>;
    /// Wei of the account that sends batches; `None` for a client without one.
    fn balance(&self) -> L1Future<'_, Option<u128>>;
}

/// An auditor's L1: the whole history, read only.
pub trait AuditorL1: QueuesL1 {
    /// Settled batches so far.
    fn batch_count(&self) -> L1Future<'_, u64>;
    /// Every community registered from `from_block` on, in order.
    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>>;
    /// Every batch settled from `from_block` on, in order, with its calldata.
    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>>;
    /// Every effect from `from_block` on, in order.
    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>>;
    /// The certificate statements and exits in a transaction's calldata.
    fn calls(&self, tx: Word) -> L1Future<'_, Calls>;
    /// What became of one deposit; `None` if it was never made. Clients that can ask the contract by claim look through
    /// no blocks.
    fn deposit_state(&self, claim: Word) -> L1Future<'_, Option<DepositState>> {
        Box::pin(async move {
            Ok(self.deposits(0).await?.into_iter().find(|deposit| deposit.claim == claim).map(|deposit| deposit.state))
        })
    }
    /// What is fixed for ever.
    fn terms(&self) -> L1Future<'_, Terms>;
    /// What the vault has, and what it counts.
    fn vault(&self) -> L1Future<'_, Vault>;
    /// A block by its number; the one that answers are about if `None`. [`L1Error::Malformed`] if there is none.
    fn block(&self, number: Option<u64>) -> L1Future<'_, Block>;
}

/// A member's L1: money in and out, certificates, and the way out without the operator. A member also checks the
/// history, as an auditor does.
pub trait MemberL1: AuditorL1 {
    /// Deposits units of 10,000,000 nano for the owner of `claim`, from the client's account.
    fn deposit(&self, claim: Word, units: u64) -> L1Future<'_, TxReceipt>;
    /// Asks for a deposit back (its depositor).
    fn request_refund(&self, claim: Word) -> L1Future<'_, TxReceipt>;
    /// Pays a requested refund after its delay, or any open deposit when frozen.
    fn refund(&self, claim: Word) -> L1Future<'_, TxReceipt>;
    /// What an account may withdraw, smallest parts of the token.
    fn withdrawable(&self, account: Address) -> L1Future<'_, u128>;
    /// Pays it, to the account.
    fn withdraw(&self, account: Address) -> L1Future<'_, TxReceipt>;
    /// Bonds owed to an account, wei: of requests that were paid, or given back.
    fn bonds_owed(&self, account: Address) -> L1Future<'_, u128>;
    /// Gives back the bonds of all who wait in a community's queue, when all is frozen or the community is closed.
    fn return_bonds(&self, community: u32) -> L1Future<'_, TxReceipt>;
    /// Pays bonds owed to an account, to it.
    fn withdraw_eth(&self, account: Address) -> L1Future<'_, TxReceipt>;
    /// Asks for the balance of a slot, with the bond that is due.
    fn force_withdraw(&self, community: u32, slot: u32) -> L1Future<'_, TxReceipt>;
    /// Signed requests of an account that others sent so far: what its next one is signed for.
    fn forced_nonce(&self, account: Address) -> L1Future<'_, u64>;
    /// Sends a request that another account signed, with the bond that is due.
    fn force_withdraw_for(&self, request: ForcedRequest) -> L1Future<'_, TxReceipt>;
    /// Freezes the rollup for ever, if the head of the community's queue is too old.
    fn freeze(&self, community: u32) -> L1Future<'_, TxReceipt>;
    /// Takes a slot's balance out of the frozen rollup or a closed community; in an emergency one of a unit or more, which
    /// closes the community.
    fn exit(&self, call: ExitCall) -> L1Future<'_, TxReceipt>;
    /// Takes a sent claim out of the frozen rollup.
    fn exit_claim(&self, call: ExitClaimCall) -> L1Future<'_, TxReceipt>;
    /// Freezes the rollup for ever, if the pair of notes with this number waits for too long.
    fn freeze_for_notes(&self, number: u64) -> L1Future<'_, TxReceipt>;
    /// Spends a certificate note, with the fee that is due.
    fn certify(&self, call: CertificateCall) -> L1Future<'_, TxReceipt>;
    /// Fee of the next certificate, wei.
    fn certificate_fee(&self) -> L1Future<'_, u128>;
    /// True if a note was spent, and the spending was not undone.
    fn nullifier_used(&self, nullifier: Word) -> L1Future<'_, bool>;
    /// The first `limit` pairs of notes that wait for a batch, of retired circuit versions too.
    fn waiting_pairs(&self, limit: u32) -> L1Future<'_, Vec<WaitingPair>>;
    /// Takes up to `limit` pairs out of the head of the queue that no batch may take in: of a retired circuit version,
    /// or any when frozen.
    fn drop_notes(&self, limit: u32) -> L1Future<'_, TxReceipt>;
    /// Fees of certificates owed to an account, wei.
    fn fee_owed(&self, account: Address) -> L1Future<'_, u128>;
    /// Pays them, to the account.
    fn withdraw_fee(&self, account: Address) -> L1Future<'_, TxReceipt>;
}

/// Heads of the operator's audit log (`docs/spec/audit-log.md`). A contract of its own: no part of the rollup needs it.
pub trait AuditHeadsL1: Send + Sync {
    /// Publishes the head after this many entries (operator). [`L1Error::Reverted`] with `NotAhead` if there is one for as
    /// many, or more.
    fn publish(&self, count: u64, head: Word) -> L1Future<'_, TxReceipt>;
    /// Entries of the last head; 0 before the first.
    fn published(&self) -> L1Future<'_, u64>;
    /// Every head published from `from_block` on, in order.
    fn heads(&self, from_block: u64) -> L1Future<'_, Vec<AuditHead>>;
}

/// The L1 of who runs a rollup: communities, tariffs, funds.
pub trait OperatorL1: ChainL1 {
    /// Registers a community (meter data manager).
    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt>;
    /// Opens a tariff set (tariff authority). `interval_length_s` in seconds.
    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt>;
    /// Publishes a tariff (tariff authority).
    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt>;
    /// Puts units of 10,000,000 nano aside for supplier accounts (operator).
    fn fund_supplier_account(&self, units: u64) -> L1Future<'_, TxReceipt>;
}
