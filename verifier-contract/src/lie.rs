//! What a node said that does not follow from a block's hash.

use crate::deployment::{Account, Hex};

/// One lie of a node, found by computing from a block's hash what it said. None can be told by mistake: an honest node
/// has what a hash is of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Another header than the one that was asked for.
    #[error("the header that it gives for block hash {expected} has the hash {found}")]
    Header {
        /// The hash that the audit is pinned to.
        expected: Hex<32>,
        /// The hash of what it gave.
        found: Hex<32>,
    },
    /// A header that is not the one before.
    #[error("its header of block {block} has the hash {found}, and the block after it names {expected} as its parent")]
    Chain {
        /// Number.
        block: u64,
        /// The parent that the block after it names.
        expected: Hex<32>,
        /// The hash of what it gave.
        found: Hex<32>,
    },
    /// Other transactions, fewer or more.
    #[error("its transactions of block {block} do not come to the root that the block's header has")]
    Transactions {
        /// Number.
        block: u64,
    },
    /// Other receipts, fewer or more, or other logs in them.
    #[error("its receipts of block {block} do not come to the root that the block's header has")]
    Receipts {
        /// Number.
        block: u64,
    },
    /// An account that the state root does not have so.
    #[error("its proof of account {account} does not hold under the state root of block {block}")]
    Account {
        /// The account.
        account: Account,
        /// Number.
        block: u64,
    },
    /// Another balance than it proves.
    #[error("it says that {account} has {said} wei in block {block}, and its proof says {proven}")]
    Balance {
        /// The account.
        account: Account,
        /// Number.
        block: u64,
        /// Wei that it says.
        said: u128,
        /// Wei that it proves.
        proven: u128,
    },
    /// A word of storage that the account does not have so.
    #[error("its proof of word {slot} in the storage of {account} does not hold under the state root of block {block}")]
    Storage {
        /// The contract.
        account: Account,
        /// The word's place.
        slot: Hex<32>,
        /// Number.
        block: u64,
    },
    /// Other code.
    #[error("the code that it gives for {account} does not have the hash that the account has in block {block}")]
    Code {
        /// The contract.
        account: Account,
        /// Number.
        block: u64,
    },
}
