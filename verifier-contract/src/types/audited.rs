//! What an auditor asks of L1 besides.

use serde::{Deserialize, Serialize};

use super::{CertificateCall, ExitCall, ExitClaimCall, Word};

/// A call that an auditor checks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Of the certificates contract.
    Certify(CertificateCall),
    /// Of the exits contract: a slot.
    Exit(ExitCall),
    /// Of the exits contract: a sent claim.
    ExitClaim(ExitClaimCall),
}

/// The calls that a transaction's calldata has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// The transaction itself is the call, the only one: it goes to the rollup's own contract, and nobody stands between.
    pub direct: bool,
    /// That call, or those that are found inside the calldata of another one.
    pub calls: Vec<Call>,
}

/// What the vault has, and what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Balances, supplier accounts, fee accounts and open claims of the state, nano.
    pub pool_nano: u64,
    /// Open deposits, units of 10,000,000 nano.
    pub open_units: u64,
    /// Put aside for supplier accounts, units.
    pub supplier_units: u64,
    /// What the token says that the contract has, smallest parts.
    pub token_balance: u128,
    /// The contract's balance of the chain's own coin, wei.
    pub coin_balance: u128,
}

/// A block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: Word,
    /// Unix seconds.
    pub time_s: u64,
}
