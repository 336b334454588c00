//! What crosses the boundary to L1.

use serde::{Deserialize, Serialize};

/// A 32-byte big-endian word: a field element or a hash.
pub type Word = [u8; 32];
/// An L1 account.
pub type Address = [u8; 20];

/// One batch to settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleCall {
    /// Circuit version of the proof.
    pub circuit_version: u32,
    /// Index of the community.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: u32,
    /// Index, in the community's tariff set, of the tariff in force when the period starts.
    pub tariff_index: u32,
    /// State root after.
    pub new_root: Word,
    /// Community node after.
    pub community_new: Word,
    /// New leaves in slot order, header leaf, certificates root: N + 2 canonical words.
    pub data: Vec<Word>,
    /// Proof, of the verifier's exact length in bytes.
    pub proof: Vec<u8>,
}

/// A transaction that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxReceipt {
    /// Transaction hash.
    pub tx: Word,
    /// Block number.
    pub block: u64,
    /// Gas used.
    pub gas_used: u64,
}

/// A settled batch's receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleReceipt {
    /// Batch number, from 1.
    pub batch: u64,
    /// Transaction hash.
    pub tx: Word,
    /// Block number.
    pub block: u64,
    /// Gas used.
    pub gas_used: u64,
}

/// A settled batch as L1 has it: the event's fields and the transaction's calldata, checked to agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledBatch {
    /// Batch number, from 1.
    pub batch: u64,
    /// State root before.
    pub old_root: Word,
    /// Commitment of the tariff in force.
    pub tariff_commitment: Word,
    /// What was settled.
    pub call: SettleCall,
    /// Transaction hash.
    pub tx: Word,
    /// Block number.
    pub block: u64,
}

/// A community's fixed parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityParams {
    /// Index, below 4^8.
    pub community: u32,
    /// Circuit shape.
    pub shape: u32,
    /// Interval length, seconds: 900, 1800 or 3600.
    pub interval_length_s: u16,
    /// Intervals of one period.
    pub m: u16,
    /// Tariff set.
    pub tariff_set: u32,
}

/// A published tariff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TariffEntry {
    /// Tariff set.
    pub tariff_set: u32,
    /// Index in the set.
    pub index: u32,
    /// First interval from which it is in force.
    pub first_interval: u32,
    /// Commitment, see docs/spec/state.md.
    pub commitment: Word,
    /// Block in which it was published.
    pub block: u64,
}

/// Index of the tariff in force for a period that starts at `first_interval`, among a set's tariffs in order of index.
#[must_use]
pub fn tariff_in_force(tariffs: &[TariffEntry], first_interval: u32) -> Option<u32> {
    tariffs.iter().take_while(|tariff| tariff.first_interval <= first_interval).last().map(|tariff| tariff.index)
}
