//! What crosses the boundary to L1.

mod audited;
mod certificate;
mod council;
mod effect;
mod ending;
mod request;

use serde::{Deserialize, Serialize};

pub use audited::{Block, Call, Calls, Vault};
pub use certificate::{CertificateCall, WaitingPair};
pub use council::{Appointed, COUNCIL_OWNERS, Contradiction, Halt, ProvenStatement, Safe};
pub use effect::{RollupEffect, RollupEvent};
pub use ending::{CommunityEnd, Stage};
pub use request::ForcedRequest;

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
    /// Digest of the records, 0 if there are none.
    pub ops_digest: Word,
    /// New leaves in slot order, header leaf, certificates root, then two words a record: N + 2 + 2 K canonical words.
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

/// A registered verifier of settlements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifierState {
    /// Unix seconds from which on L1 takes batches with its proofs.
    pub active_from_s: u64,
    /// Had it a batch, or is it the constructor's? If not, its first one may have to wait longer (L1.11).
    pub used: bool,
    /// The council hastened it, and the emergency of its shape lasts: its first use needs no announcement (COUNCIL.4).
    pub hastened: bool,
    /// It accepted two proofs that contradict each other: L1 takes no batch with its proofs, for ever (COUNCIL.2).
    pub unsound: bool,
}

/// The upgrade that was announced last on L1, if any was (L1.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Circuit version; 0 if none was announced.
    pub circuit_version: u32,
    /// Unix seconds.
    pub at_s: u64,
    /// Forced requests that were there then and are not served yet, in all communities.
    pub waiting: u32,
}

impl Announcement {
    /// Was the first use of a verifier of this version announced, when its delay was over?
    #[must_use]
    pub fn is_of(&self, circuit_version: u32, verifier: &VerifierState) -> bool {
        self.circuit_version == circuit_version && self.at_s >= verifier.active_from_s
    }
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
    /// `P(mdm_x, mdm_y, mechanism, first_interval)`: what its initialisation must have; 0 if it has none.
    pub genesis_terms: Word,
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

/// What became of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DepositState {
    /// A batch may take it in.
    Open,
    /// The same, but its depositor asked for it back: refundable from this unix second on.
    RefundRequested(u64),
    /// A batch took it in.
    Consumed,
    /// Its depositor has it back.
    Refunded,
}

/// A deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositEntry {
    /// Hiding claim of the account it is for.
    pub claim: Word,
    /// Who paid.
    pub depositor: Address,
    /// Units of 10,000,000 nano.
    pub units: u64,
    /// Block in which it was made.
    pub block: u64,
    /// What became of it.
    pub state: DepositState,
}

/// What became of a claim that an account of the state sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferState {
    /// Nobody sent it.
    Unknown,
    /// It waits to be received.
    Open,
    /// A batch received it.
    Received,
    /// It was paid after the freeze.
    Exited,
}

/// A head of the operator's audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Block in which it was published.
    pub block: u64,
    /// Entries, from the first on.
    pub count: u64,
    /// Chain value after the last of them.
    pub head: Word,
}

/// A request in a community's forced queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedEntry {
    /// Slot whose balance is asked for.
    pub slot: u32,
    /// Who asks, and is paid if it is the slot's payout account.
    pub requester: Address,
    /// Unix seconds of the request.
    pub time: u64,
    /// Who brought the bond, and gets it back.
    pub payer: Address,
    /// Wei.
    pub bond: u128,
}

/// A slot's balance and its path to the last state root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCall {
    /// Index of the community.
    pub community: u32,
    /// Slot.
    pub slot: u32,
    /// Balance, nano.
    pub balance: u64,
    /// Account that is paid.
    pub payout: Address,
    /// First salt of `exit_c`.
    pub s1: Word,
    /// Second salt of `exit_c`.
    pub s2: Word,
    /// `private_c` of the leaf.
    pub private_commitment: Word,
    /// Header leaf of the community.
    pub header_leaf: Word,
    /// Certificates root of the community.
    pub certificates_root: Word,
    /// Three a level, left to right, from the leaf up: the members tree's levels, then the state tree's eight.
    pub siblings: Vec<Word>,
}

/// The opening of a sent claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitClaimCall {
    /// Owner commitment of the recipient.
    pub recipient: Word,
    /// nano.
    pub amount: u64,
    /// Account that is paid.
    pub payout: Address,
    /// First salt.
    pub sa: Word,
    /// Second salt.
    pub sb: Word,
}
