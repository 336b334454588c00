//! What an audit found.

use gridveil_protocol::field::{Fr, hex_fr};
use serde::Serialize;

use crate::money::{Account, currency};

/// One fact that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Batch number; `None` for a fact about the whole chain.
    pub batch: Option<u64>,
    /// Clause of the specification.
    pub clause: &'static str,
    /// What was found.
    pub what: String,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every fact holds.
    Ok,
    /// At least one does not.
    Failed,
}

/// Result of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The verdict.
    pub auditor: Verdict,
    /// Batches replayed.
    pub batches: u64,
    /// Proofs that were verified and hold.
    pub proofs_verified: u64,
    /// The state root the replay ends at.
    #[serde(with = "hex_fr")]
    pub state_root: Fr,
    /// The rollup's money, from records alone.
    pub money: Account,
    /// Everything that does not hold, in order.
    pub failures: Vec<Failure>,
}

impl AuditReport {
    /// Did everything hold?
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.auditor == Verdict::Ok
    }

    /// For a person.
    #[must_use]
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let verdict = if self.is_ok() { "ok" } else { "FAILED" };
        let root = hex::encode(gridveil_protocol::field::to_bytes(&self.state_root));
        let mut out = String::new();
        for (name, value) in [
            ("auditor", verdict.to_owned()),
            ("batches", self.batches.to_string()),
            ("proofs verified", self.proofs_verified.to_string()),
            ("state root", format!("0x{root}")),
            ("pool", format!("{:>16}", currency(self.money.pool_units))),
            ("deposits in", format!("{:>16}", currency(self.money.deposited_units.into()))),
            ("withdrawn", format!("{:>16}", currency(self.money.withdrawn_units.into()))),
            ("forced", format!("{:>16}", currency(self.money.forced_units.into()))),
            ("float in", format!("{:>16}", currency(self.money.float_in_units.into()))),
            ("to treasury", format!("{:>16}", currency(self.money.treasury_units.into()))),
            ("open transfers", self.money.open_transfers.to_string()),
            ("failures", self.failures.len().to_string()),
        ] {
            let _ = writeln!(out, "{name:<16} {value}");
        }
        if !self.failures.is_empty() {
            let _ = writeln!(out, "\n{:>7}  {:<16} what", "batch", "clause");
        }
        for f in &self.failures {
            let batch = f.batch.map_or_else(|| "-".to_owned(), |b| b.to_string());
            let _ = writeln!(out, "{batch:>7}  {:<16} {}", f.clause, f.what);
        }
        out
    }
}
