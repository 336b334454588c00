//! One account's balance, reading or bill, opened to an auditor by its owner.

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, LeafSalts, Registers, Terms},
    field::{Fr, hex_fr, reduce},
    hex::hex_bytes,
    operation::SignedOperation,
    poseidon::{hash2, hash4},
    receipt::Receipt,
    schnorr::PublicKey,
    units::Interval,
};

/// A balance after a period: of its leaf no more than an exit shows. Who has this file knows balance and payout address of
/// that time, and nothing of any other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceOpening {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Nano.
    pub balance: u64,
    /// L1 address paid on exit.
    #[serde(with = "hex_bytes")]
    pub payout: [u8; 20],
    /// s1, s2 of this leaf.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
    /// Commitment to the rest of the account, which stays closed.
    #[serde(with = "hex_fr")]
    pub private_commitment: Fr,
}

impl std::fmt::Debug for BalanceOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BalanceOpening").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl BalanceOpening {
    /// Of a verified receipt.
    #[must_use]
    pub fn of(chain_id: u64, contract: [u8; 20], receipt: &Receipt) -> Self {
        let account = &receipt.after;
        Self {
            chain_id,
            contract,
            community: receipt.community,
            slot: receipt.slot,
            first_interval: receipt.first_interval,
            balance: account.balance,
            payout: account.payout,
            salts: account.salts.exit,
            private_commitment: account.private_commitment(),
        }
    }

    /// The leaf that it opens.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        let [s1, s2] = self.salts;
        hash2(hash4([Fr::from(self.balance), reduce(&self.payout), s1, s2]), self.private_commitment)
    }
}

/// What the meter counted in a period: the registers before and after its batch. Who has this file knows the rest of the
/// account's private half too, of both times: keys, terms and debt. It shows no balance, no payout address, no operation
/// and no reading of an interval.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingOpening {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// The account's private half before the batch.
    pub before: PrivateHalf,
    /// After it.
    pub after: PrivateHalf,
}

impl std::fmt::Debug for ReadingOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadingOpening").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl ReadingOpening {
    /// Of a verified receipt.
    #[must_use]
    pub fn of(chain_id: u64, contract: [u8; 20], receipt: &Receipt) -> Self {
        Self {
            chain_id,
            contract,
            community: receipt.community,
            slot: receipt.slot,
            first_interval: receipt.first_interval,
            before: PrivateHalf::of(&receipt.before),
            after: PrivateHalf::of(&receipt.after),
        }
    }
}

/// Everything of an account that `private_c` commits to, and `exit_c`, which stays closed. The whole half, because a part of
/// a sponge's input cannot be opened: its permutation can be computed backwards, so a state in the middle proves nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateHalf {
    /// Commitment to balance and payout address.
    #[serde(with = "hex_fr")]
    pub exit_commitment: Fr,
    /// Commitment of the owner's key.
    #[serde(with = "hex_fr")]
    pub owner: Fr,
    /// Key of the meter; `None` marks an empty slot.
    pub meter: Option<PublicKey>,
    /// Nano-currency the member owes.
    pub debt: u64,
    /// Count of owner operations.
    pub nonce: u32,
    /// Terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// Lifetime registers.
    pub registers: Registers,
    /// Digest of the newest substitute that a correction may still replace, else zero.
    #[serde(with = "hex_fr")]
    pub pending_substitute: Fr,
    /// s3, s4 of this leaf.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for PrivateHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateHalf")
    }
}

impl PrivateHalf {
    /// Of an account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            exit_commitment: account.exit_commitment(),
            owner: account.owner,
            meter: account.meter,
            debt: account.debt,
            nonce: account.nonce,
            terms: account.terms,
            registers: account.registers,
            pending_substitute: account.pending_substitute,
            salts: account.salts.private,
        }
    }

    /// The leaf that it opens.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        let closed = LeafSalts { exit: LeafSalts::default().exit, private: self.salts };
        let account = Account {
            owner: self.owner,
            meter: self.meter,
            debt: self.debt,
            nonce: self.nonce,
            terms: self.terms,
            registers: self.registers,
            pending_substitute: self.pending_substitute,
            ..Account::empty(closed)
        };
        hash2(self.exit_commitment, account.private_commitment())
    }
}

/// A period's bill: the account before and after. Who has this file knows both, with keys, terms and registers, and the
/// account's operations of that batch; no reading of an interval.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillOpening {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// The account before the batch.
    pub before: Account,
    /// When the period is settled, before any operation.
    pub settled: Account,
    /// Operations on the account in this batch, in order.
    pub operations: Vec<SignedOperation>,
    /// After the batch.
    pub after: Account,
}

impl std::fmt::Debug for BillOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BillOpening").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl BillOpening {
    /// Of a verified receipt.
    #[must_use]
    pub fn of(chain_id: u64, contract: [u8; 20], receipt: &Receipt) -> Self {
        Self {
            chain_id,
            contract,
            community: receipt.community,
            slot: receipt.slot,
            first_interval: receipt.first_interval,
            before: receipt.before.clone(),
            settled: receipt.settled.clone(),
            operations: receipt.operations.clone(),
            after: receipt.after.clone(),
        }
    }
}
