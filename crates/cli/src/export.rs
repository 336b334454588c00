//! A member's export as a folder: files for machines, a page for people, hashes, and the operator's signature over them
//! (`docs/how-to/export.md`). The operator writes it, and anybody checks it.

pub mod check;
pub mod folder;
pub mod notice;
mod page;
#[cfg(test)]
mod tests;

use gridveil_api::export::{ExportPart, ExportedAccount};
#[cfg(test)]
use gridveil_protocol::hex::hex0;
use gridveil_protocol::units::Interval;
use gridveil_verifier_contract::{deployment::Account, signing::TextSignature};
use serde::{Deserialize, Serialize};

/// Version of the folder.
pub const FORMAT: &str = "gridveil member export 1";
/// The list of files with their hashes: what is signed.
pub const MANIFEST: &str = "manifest.json";
/// The signature over it.
pub const SIGNATURE: &str = "manifest.sig";
/// The page for people.
pub const PAGE: &str = "index.html";
/// Whose it is.
pub const ABOUT: &str = "account.json";
/// What a signature is, in words.
pub const KIND: &str = "EIP-191 (personal_sign) with secp256k1, over the contents of manifest.json";

/// Files of parts: JSON, one part a line.
pub const STATES: &str = "states.jsonl";
/// Packets with readings.
pub const PACKETS: &str = "packets.jsonl";
/// Operations, forced ones too.
pub const OPERATIONS: &str = "operations.jsonl";
/// Periods and where they are on L1.
pub const PERIODS: &str = "periods.jsonl";
/// Tariffs.
pub const TARIFFS: &str = "tariffs.jsonl";
/// Receipts.
pub const RECEIPTS: &str = "receipts.jsonl";
/// What cannot be read any more.
pub const GONE: &str = "gone.jsonl";
/// Readings as a table.
pub const READINGS_CSV: &str = "readings.csv";
/// Traded energy and prices as a table.
pub const TRADES_CSV: &str = "trades.csv";
/// Money by period as a table.
pub const ACCOUNT_CSV: &str = "account.csv";

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Whose it is, and of when.
    pub about: ExportedAccount,
    /// Every other file, by name.
    pub files: Vec<Listed>,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Hex, as `b3sum` writes it.
    pub blake3: String,
}

/// `manifest.sig`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    kind: String,
    account: Account,
    #[serde(with = "gridveil_protocol::hex::hex_bytes")]
    signature: TextSignature,
}

/// The file that a part is in.
const fn file_of(part: &ExportPart) -> &'static str {
    match part {
        ExportPart::State { .. } => STATES,
        ExportPart::Packet { .. } => PACKETS,
        ExportPart::Operation { .. } | ExportPart::Forced { .. } => OPERATIONS,
        ExportPart::Period(_) => PERIODS,
        ExportPart::Tariff { .. } => TARIFFS,
        ExportPart::Receipt { .. } => RECEIPTS,
        ExportPart::Gone { .. } => GONE,
    }
}

/// The period that a part is about; `None` if it is about none.
fn period_of(part: &ExportPart) -> Option<Interval> {
    match part {
        ExportPart::State { first_interval, batch, .. } => batch.map(|_| *first_interval),
        ExportPart::Packet { packet, .. } => Some(packet.packet.context.first_interval),
        ExportPart::Operation { .. } => None,
        ExportPart::Forced { first_interval, .. } | ExportPart::Gone { first_interval, .. } => Some(*first_interval),
        ExportPart::Period(period) => Some(period.first_interval),
        // One of before may still apply.
        ExportPart::Tariff { .. } => None,
        ExportPart::Receipt { receipt, .. } => Some(receipt.first_interval),
    }
}
