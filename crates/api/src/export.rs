//! What the operator holds of one account, page by page (`docs/how-to/export.md`). Packets, operations and receipts are
//! types of `gridveil_protocol`, unchanged, so that signatures and leaves can be checked.
//!
//! Architecture invariant: a part is either of this account alone, or public (tariffs, and where a batch is on L1).

use std::fmt;

use gridveil_protocol::{
    account::Account,
    codec::Bytes32,
    field::{Fr, hex_fr},
    operation::SignedOperation,
    packet::SignedPacket,
    receipt::Receipt,
    tariff::Tariff,
    units::Interval,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{self, Element};

/// Version of the parts of an export.
pub const SCHEMA: u32 = 1;
/// Parts of a page at most.
pub const PARTS_OF_PAGE: usize = 256;

/// Asks `POST /admin/v1/members/{c}/{slot}/export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Which account of the slot, from 0. Left out: the one that lives, or the only one that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<u32>,
    /// Where the last page ended; left out for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<ExportPlace>,
}

/// Where a page ends. It is given back as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportPlace {
    /// What comes next.
    pub stage: ExportStage,
    /// Byte of the log.
    pub offset: u64,
    /// Records of the log at the first page: all pages are of that moment.
    pub records: u64,
    /// Batch that comes next, from the newest to the oldest.
    pub batch: Option<u64>,
    /// The tariff that was given last.
    #[schema(value_type = Option<u32>)]
    pub tariff_from: Option<Interval>,
    /// Commitments of the account's owners so far.
    #[serde(with = "hex_fr::seq")]
    #[schema(value_type = Vec<Element>)]
    pub owners: Vec<Fr>,
}

/// The stages of an export, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportStage {
    /// States and packets, in the order of the log.
    Records,
    /// Operations, in the order of the log.
    Operations,
    /// Periods with tariffs and receipts, newest first.
    Periods,
}

/// One page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportPage {
    /// Whose it is.
    pub about: ExportedAccount,
    /// Parts.
    pub parts: Vec<ExportPart>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<ExportPlace>,
}

impl fmt::Debug for ExportPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportPage({} parts)", self.parts.len())
    }
}

/// The account that is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedAccount {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Chain.
    pub chain_id: u64,
    /// Rollup contract.
    #[serde(with = "gridveil_protocol::hex::hex_bytes")]
    #[schema(value_type = schema::Address)]
    pub contract: [u8; 20],
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Which account of the slot, from 0.
    pub account: u32,
    /// Does it live? If not, it has ended.
    pub lives: bool,
    /// Batch with which it ended.
    pub ended_with: Option<u64>,
    /// Are its keys overwritten, all or some? Then what was sealed under them is gone.
    pub erased: bool,
    /// Intervals of a period.
    pub intervals: u16,
    /// Length of an interval, seconds.
    pub interval_length: u16,
    /// Unix seconds of the sequencer's clock.
    pub made_s: u64,
    /// Unix seconds from which the rules of retention erase it, if there is such a rule and it has ended.
    pub erased_from_s: Option<u64>,
}

/// Who made a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacketOf {
    /// The meter, while the period was open.
    Meter,
    /// The meter data manager, for a silent meter.
    Substitute,
    /// The meter, after the period was settled with a substitute.
    Late,
}

/// What became of an operation or of a late packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits for a settlement.
    Waits,
    /// This batch has it.
    Done(u64),
    /// A settlement refused it, with this code.
    Refused(String),
}

/// One part of an export.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum ExportPart {
    /// The account after a batch, or at the beginning of the log.
    State {
        /// Period of the batch; 0 at the beginning.
        #[schema(value_type = u32)]
        first_interval: Interval,
        /// Batch; `None` at the beginning.
        batch: Option<u64>,
        /// False for what an abandoned batch left in the log.
        counts: bool,
        /// The account.
        #[schema(value_type = Object)]
        account: Box<Account>,
    },
    /// A packet, as it was taken.
    Packet {
        /// Who made it.
        of: PacketOf,
        /// False where it is no packet of its period any more (a period that began anew).
        counts: bool,
        /// Of a late packet: what became of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
        /// The packet.
        #[schema(value_type = schema::SignedPacket)]
        packet: Box<SignedPacket>,
    },
    /// An operation that the owner signed.
    Operation {
        /// What became of it.
        outcome: Outcome,
        /// The operation.
        #[schema(value_type = schema::SignedOperation)]
        operation: Box<SignedOperation>,
    },
    /// Withdrawals that were forced through L1, in order.
    Forced {
        /// Period whose settlement carries them.
        #[schema(value_type = u32)]
        first_interval: Interval,
        /// The operations.
        #[schema(value_type = Vec<schema::SignedOperation>)]
        operations: Vec<SignedOperation>,
    },
    /// A period in which the account was settled.
    Period(ExportedPeriod),
    /// A tariff that applied from a period on. It is public.
    Tariff {
        /// First period.
        #[schema(value_type = u32)]
        first_interval: Interval,
        /// Its content.
        #[schema(value_type = schema::Tariff)]
        tariff: Tariff,
    },
    /// Statement, account before and after, and path to the root on L1.
    Receipt {
        /// Batch.
        batch: u64,
        /// The receipt.
        #[schema(value_type = schema::Receipt)]
        receipt: Box<Receipt>,
    },
    /// What is there and cannot be read any more, because its key was erased.
    Gone {
        /// Name of the record's kind.
        what: GoneRecord,
        /// Period, 0 where it has none.
        #[schema(value_type = u32)]
        first_interval: Interval,
    },
}

impl fmt::Debug for ExportPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportPart")
    }
}

/// Sort of a record that cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoneRecord {
    /// The account after a batch.
    State,
    /// A packet.
    Packet,
    /// An operation.
    Operation,
    /// A late packet.
    Late,
    /// Withdrawals that were forced through L1.
    Forced,
    /// A receipt.
    Receipt,
}

/// Where a period's settlement is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedPeriod {
    /// First interval.
    #[schema(value_type = u32)]
    pub first_interval: Interval,
    /// Batch.
    pub batch: u64,
    /// Is the batch final on L1?
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Transaction on L1, where it is known.
    #[schema(value_type = Option<schema::Hex32>)]
    pub tx: Option<Bytes32>,
    /// Block on L1.
    pub block: Option<u64>,
    /// State root after it.
    #[serde(with = "hex_fr")]
    #[schema(value_type = Element)]
    pub root: Fr,
    /// First period of the tariff that applied.
    #[schema(value_type = u32)]
    pub tariff_from: Interval,
    /// Was a substitute settled? `None` where no packet was.
    pub substituted: Option<bool>,
}
