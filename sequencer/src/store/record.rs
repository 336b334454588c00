//! Records of the log: what their public part and their sealed parts are (`docs/spec/log.md`).

use gridveil_protocol::{
    codec::Bytes32,
    field::{Fr, hex_fr},
    header::Header,
    hex::hex_bytes,
    packet::PacketSalts,
    settlement::Transition,
    tariff::Tariff,
    tree::Children,
    units::Interval,
};
use serde::{Deserialize, Serialize};

use super::data_keys::Sealed;

mod body;
mod decisions;

pub use body::{decode_body, encode_body};
pub use decisions::{Abandoned, EndedSlot, Erased, Kept, Upgrade};

/// A field element in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element(#[serde(with = "hex_fr")] pub Fr);

/// Kinds, in the order they first appear in a log.
pub mod kind {
    /// Deployment, communities, state tree.
    pub const GENESIS: u16 = 1;
    /// A packet was accepted.
    pub const PACKET: u16 = 2;
    /// A tariff was published.
    pub const TARIFF: u16 = 3;
    /// A period was closed.
    pub const CLOSED: u16 = 4;
    /// A period was settled natively.
    pub const APPLIED: u16 = 5;
    /// A batch was proven.
    pub const PROVEN: u16 = 6;
    /// A batch is final on L1.
    pub const SETTLED: u16 = 7;
    /// An operation was accepted.
    pub const OPERATION: u16 = 8;
    /// A late packet was accepted for correction.
    pub const LATE: u16 = 9;
    /// A header operation was accepted.
    pub const HEADER: u16 = 10;
    /// What a closed period's settlement carries was selected.
    pub const SELECTED: u16 = 11;
    /// The operator decided that another circuit version counts from some time on.
    pub const UPGRADE: u16 = 12;
    /// The operator gave up batches that L1 will never have.
    pub const ABANDONED: u16 = 13;
    /// A community is served from now on.
    pub const COMMUNITY: u16 = 14;
    /// Receipts of a batch, before an account of it is erased.
    pub const KEPT: u16 = 15;
    /// An account was erased.
    pub const ERASED: u16 = 16;
}

/// A community that is served from now on: one of the genesis, or one that joins later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityAdded {
    /// Index in the state tree.
    pub index: u32,
    /// Shape name.
    pub shape: String,
    /// First interval of the first period.
    pub next_interval: Interval,
    /// Its leaf of the state tree is empty until its first batch (STATE.INIT). Who joins later always begins so.
    pub begins: bool,
}

/// Public part of a genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Circuit version.
    pub circuit_version: u64,
    /// Domain of every statement.
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// Leaves of the state tree that belong to no community served here.
    pub leaves: Vec<(u64, Element)>,
    /// How many of the [`CommunityAdded`] records that follow belong to it.
    pub communities: u32,
    /// State root.
    #[serde(with = "hex_fr")]
    pub root: Fr,
}

/// Public part of an accepted packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketAccepted {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// Slot.
    pub slot: u16,
    /// By the meter data manager?
    pub substituted: bool,
    /// BLAKE3 of the canonical bytes (which hold six random elements).
    #[serde(with = "hex_bytes")]
    pub packet_id: [u8; 32],
}

/// A published tariff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TariffPublished {
    /// Community.
    pub community: u32,
    /// First period it is for.
    pub first_interval: Interval,
    /// The tariff.
    pub tariff: Tariff,
    /// Its commitment.
    #[serde(with = "hex_fr")]
    pub commitment: Fr,
}

/// Which packet of a used slot is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Slot.
    pub slot: u16,
    /// The meter data manager's?
    pub substituted: bool,
}

/// A closed period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// One for each used slot.
    pub used: Vec<Used>,
    /// `first_interval` of the tariff in force.
    pub tariff_from: Interval,
}

/// Sealed part of a closed period: everything random in its settlement that no meter has drawn.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClosedSecrets {
    /// h1, h2 of the new header.
    #[serde(with = "hex_fr::seq")]
    pub header_salts: [Fr; 2],
    /// Salts of the empty slots.
    pub empty: Vec<(u16, PacketSalts)>,
}

/// A natively settled period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Number over all communities, from 1.
    pub batch: u64,
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// State root before.
    #[serde(with = "hex_fr")]
    pub old_root: Fr,
    /// State root after.
    #[serde(with = "hex_fr")]
    pub new_root: Fr,
    /// The community's batch before this one.
    pub previous: Option<u64>,
    /// First interval of the period that is open now.
    pub next_interval: Interval,
    /// What was appended to the certificates tree.
    #[serde(with = "hex_fr")]
    pub appended: Fr,
    /// Where: the number of appends before.
    pub appended_at: u64,
    /// Root of the period's own notes.
    #[serde(with = "hex_fr")]
    pub notes_root: Fr,
    /// Header leaf after.
    #[serde(with = "hex_fr")]
    pub header_leaf: Fr,
    /// Members root after.
    #[serde(with = "hex_fr")]
    pub members_root: Fr,
    /// Opening of the community in the state tree before.
    pub state_path: Vec<[Element; 4]>,
    /// What waited and is refused now: it was signed for the circuit version that ends with this period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Accounts that ended with this batch. From this record on their slots have other keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedSlot>,
}

impl Applied {
    /// The record of a settlement: batch `batch`, after `previous` of the same community.
    #[must_use]
    pub fn of(batch: u64, previous: Option<u64>, transition: &Transition) -> Self {
        let (before, after) = (&transition.input.community, &transition.after);
        let appended_at = before.header.certificate_count;
        Self {
            batch,
            community: after.index,
            first_interval: before.header.next_interval,
            old_root: transition.instance.old_root,
            new_root: transition.instance.new_root,
            previous,
            next_interval: after.header.next_interval,
            appended: after.certificates.leaf(appended_at),
            appended_at,
            notes_root: transition.notes_root,
            header_leaf: after.header.leaf(),
            members_root: after.members_root(),
            state_path: transition.input.state_path.iter().map(|level| level.map(Element)).collect(),
            refused: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// The path as the rules take it.
    #[must_use]
    pub fn path(&self) -> Vec<Children> {
        self.state_path.iter().map(|level| level.map(|e| e.0)).collect()
    }
}

/// Sealed state of a community apart from its accounts.
#[derive(Clone, Serialize, Deserialize)]
pub struct OwnState {
    /// Header.
    pub header: Header,
    /// Notes roots appended so far; only in a genesis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Element>,
}

/// Public part of an accepted operation; the operation is sealed under its slot's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationAccepted {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// [`gridveil_protocol::codec::operation_id`].
    #[serde(with = "hex_bytes")]
    pub operation_id: [u8; 32],
}

/// Public part of a late packet; the packet is sealed under its slot's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateAccepted {
    /// Community.
    pub community: u32,
    /// Period it is for.
    pub first_interval: Interval,
    /// Slot.
    pub slot: u16,
    /// [`gridveil_protocol::codec::packet_id`].
    #[serde(with = "hex_bytes")]
    pub packet_id: [u8; 32],
}

/// Public part of a header operation; the operation is sealed under the community's own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderAccepted {
    /// Community.
    pub community: u32,
    /// BLAKE3 of community and JSON.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 32],
    /// BLAKE3 of the idempotency key that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Bytes32>,
}

/// Where an operation slot's operation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationSource {
    /// L1's queue; the operation is sealed under this slot's key in the record itself.
    Forced(u16),
    /// An accepted operation.
    Operation(Bytes32),
}

/// An operation or late packet that a settlement refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Identity.
    #[serde(with = "hex_bytes")]
    pub id: [u8; 32],
    /// Code of the problem.
    pub code: String,
}

/// What a batch does to L1's queues and claims, until L1 has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// The community begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// Claims of deposits taken in.
    pub deposits: Vec<Element>,
    /// Claims opened.
    pub opened: Vec<Element>,
    /// Claims between members taken in.
    pub received: Vec<Element>,
    /// Entries of the community's forced queue served.
    pub forced: usize,
    /// Units from the operator's funds.
    pub supplier_in: u64,
    /// Queued notes appended.
    pub notes: Vec<Element>,
}

/// What a closed period's settlement carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// Operation slots in order.
    pub slots: Vec<OperationSource>,
    /// The correction slot's late packet.
    pub correction: Option<Bytes32>,
    /// Is the pending header operation carried out?
    pub header: bool,
    /// Why the pending header operation is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_refused: Option<String>,
    /// Operations and late packets that are refused.
    pub refused: Vec<Refused>,
    /// What L1 will do.
    pub effects: Effects,
}

/// A proven batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// Batch.
    pub batch: u64,
    /// Wall time of the proof, ms.
    pub prove_ms: u64,
    /// Hex.
    pub proof: String,
}

/// A batch final on L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Batch.
    pub batch: u64,
    /// Transaction, unless its receipt was lost in a crash.
    pub tx: Option<Bytes32>,
    /// Block.
    pub block: Option<u64>,
    /// Gas.
    pub gas_used: Option<u64>,
}

/// The public part of any record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Genesis`].
    Genesis(Genesis),
    /// [`PacketAccepted`].
    Packet(PacketAccepted),
    /// [`TariffPublished`].
    Tariff(TariffPublished),
    /// [`Closed`].
    Closed(Closed),
    /// [`Applied`].
    Applied(Applied),
    /// [`Proven`].
    Proven(Proven),
    /// [`Settled`].
    Settled(Settled),
    /// [`OperationAccepted`].
    Operation(OperationAccepted),
    /// [`LateAccepted`].
    Late(LateAccepted),
    /// [`HeaderAccepted`].
    Header(HeaderAccepted),
    /// [`Selected`].
    Selected(Selected),
    /// [`Upgrade`].
    Upgrade(Upgrade),
    /// [`Abandoned`].
    Abandoned(Abandoned),
    /// [`CommunityAdded`].
    Community(CommunityAdded),
    /// [`Kept`].
    Kept(Kept),
    /// [`Erased`].
    Erased(Erased),
}

/// A body that is not one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record of kind {kind} {why}")]
pub struct RecordError {
    /// Kind.
    pub kind: u16,
    /// What is wrong.
    pub why: &'static str,
}

impl Event {
    /// Kind number.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Genesis(_) => kind::GENESIS,
            Self::Packet(_) => kind::PACKET,
            Self::Tariff(_) => kind::TARIFF,
            Self::Closed(_) => kind::CLOSED,
            Self::Applied(_) => kind::APPLIED,
            Self::Proven(_) => kind::PROVEN,
            Self::Settled(_) => kind::SETTLED,
            Self::Operation(_) => kind::OPERATION,
            Self::Late(_) => kind::LATE,
            Self::Header(_) => kind::HEADER,
            Self::Selected(_) => kind::SELECTED,
            Self::Upgrade(_) => kind::UPGRADE,
            Self::Abandoned(_) => kind::ABANDONED,
            Self::Community(_) => kind::COMMUNITY,
            Self::Kept(_) => kind::KEPT,
            Self::Erased(_) => kind::ERASED,
        }
    }

    /// The public part.
    ///
    /// # Errors
    /// [`RecordError`], practically never.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let json = match self {
            Self::Genesis(x) => serde_json::to_vec(x),
            Self::Packet(x) => serde_json::to_vec(x),
            Self::Tariff(x) => serde_json::to_vec(x),
            Self::Closed(x) => serde_json::to_vec(x),
            Self::Applied(x) => serde_json::to_vec(x),
            Self::Proven(x) => serde_json::to_vec(x),
            Self::Settled(x) => serde_json::to_vec(x),
            Self::Operation(x) => serde_json::to_vec(x),
            Self::Late(x) => serde_json::to_vec(x),
            Self::Header(x) => serde_json::to_vec(x),
            Self::Selected(x) => serde_json::to_vec(x),
            Self::Upgrade(x) => serde_json::to_vec(x),
            Self::Abandoned(x) => serde_json::to_vec(x),
            Self::Community(x) => serde_json::to_vec(x),
            Self::Kept(x) => serde_json::to_vec(x),
            Self::Erased(x) => serde_json::to_vec(x),
        };
        json.map_err(|_| RecordError { kind: self.kind(), why: "cannot be written" })
    }

    /// Inverse of [`Event::encode`].
    ///
    /// # Errors
    /// [`RecordError`] for an unknown kind or a public part of another form.
    pub fn decode(record_kind: u16, public: &[u8]) -> Result<Self, RecordError> {
        let event = match record_kind {
            kind::GENESIS => serde_json::from_slice(public).map(Self::Genesis),
            kind::PACKET => serde_json::from_slice(public).map(Self::Packet),
            kind::TARIFF => serde_json::from_slice(public).map(Self::Tariff),
            kind::CLOSED => serde_json::from_slice(public).map(Self::Closed),
            kind::APPLIED => serde_json::from_slice(public).map(Self::Applied),
            kind::PROVEN => serde_json::from_slice(public).map(Self::Proven),
            kind::SETTLED => serde_json::from_slice(public).map(Self::Settled),
            kind::OPERATION => serde_json::from_slice(public).map(Self::Operation),
            kind::LATE => serde_json::from_slice(public).map(Self::Late),
            kind::HEADER => serde_json::from_slice(public).map(Self::Header),
            kind::SELECTED => serde_json::from_slice(public).map(Self::Selected),
            kind::UPGRADE => serde_json::from_slice(public).map(Self::Upgrade),
            kind::ABANDONED => serde_json::from_slice(public).map(Self::Abandoned),
            kind::COMMUNITY => serde_json::from_slice(public).map(Self::Community),
            kind::KEPT => serde_json::from_slice(public).map(Self::Kept),
            kind::ERASED => serde_json::from_slice(public).map(Self::Erased),
            _ => return Err(RecordError { kind: record_kind, why: "is of an unknown kind" }),
        };
        event.map_err(|_| RecordError { kind: record_kind, why: "has a public part of another form" })
    }
}

#[cfg(test)]
mod tests;
