//! What an audit found.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field::{Fr, hex_fr, to_bytes},
    hex::hex0,
    units::Nano,
    version::CircuitVersion,
};
use serde::Serialize;

use crate::{
    certificates::Certificates,
    failure::Failure,
    ledger::Books,
    money::{Account, UNIT_NANO, currency},
    versions::VersionUse,
};

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
    /// What the events come to.
    pub books: Books,
    /// Certificates spent and retired.
    pub certificates: Certificates,
    /// Circuit versions in use: which batches were verified here, and which only the verifier contract checked.
    pub versions: Vec<VersionUse>,
    /// Everything that does not hold: batch by batch from calldata, then event by event.
    pub failures: Vec<Failure>,
}

impl AuditReport {
    /// Did everything hold?
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.auditor == Verdict::Ok
    }

    /// Circuit versions of batches that nobody but the contract checked: a key set is missing.
    #[must_use]
    pub fn missing_versions(&self) -> BTreeSet<CircuitVersion> {
        self.versions.iter().filter(|used| used.missing.count() > 0).map(|used| used.version).collect()
    }

    /// For a person.
    #[must_use]
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let verdict = if self.is_ok() { "ok" } else { "FAILED" };
        let root = hex0(to_bytes(&self.state_root));
        let amount = |nano: Nano| format!("{:>16}", currency(nano));
        let units = |units: u64| amount(Nano(i128::from(units) * UNIT_NANO));
        let (money, books, certificates) = (&self.money, &self.books, &self.certificates);
        let pool = if books.pool_compared { "" } else { "  from records; not compared with the contract's" };
        let mut out = String::new();
        let undone = if certificates.undone == 0 { String::new() } else { format!(", {} undone", certificates.undone) };
        for (name, value) in [
            ("auditor", verdict.to_owned()),
            ("batches", self.batches.to_string()),
            ("proofs verified", self.proofs_verified.to_string()),
            ("state root", root),
            ("pool", format!("{}{pool}", amount(money.pool_nano))),
            ("deposits in", units(money.deposited_units)),
            ("deposits open", units(books.open_units)),
            ("refunded", units(books.refunded_units)),
            ("withdrawn", units(money.withdrawn_units)),
            ("forced", units(money.forced_units)),
            ("supplier account in", units(money.supplier_in_units)),
            ("supplier funds", units(books.supplier_funds_units)),
            ("to treasury", units(money.treasury_units)),
            ("exited", amount(money.exited_nano)),
            ("frozen", if books.frozen { "yes" } else { "no" }.to_owned()),
            ("forced waiting", books.forced_open.to_string()),
            ("open transfers", money.open_transfers.to_string()),
            ("notes waiting", certificates.waiting_notes.to_string()),
            ("certificates", format!("{} spent, {} retired sealed{undone}", certificates.spent, certificates.sealed)),
            ("failures", self.failures.len().to_string()),
        ] {
            let _ = writeln!(out, "{name:<16} {value}");
        }
        for used in &self.versions {
            let version = format!("version {}, shape {}", used.version, used.shape);
            let artifact = used.recognised.as_deref().unwrap_or("unknown code");
            for (batches, how) in [
                (&used.native, "verified here".to_owned()),
                (&used.by_verifier, format!("only by the verifier contract ({artifact})")),
                (&used.missing, "MISSING: no key set of this version".to_owned()),
            ] {
                if batches.count() > 0 {
                    let _ = writeln!(out, "{version}: batches {batches} {how}");
                }
            }
        }
        if !certificates.public.is_empty() {
            let _ = writeln!(
                out,
                "\n{:>9}  {:>14}  {:>15}  {:>15}  {:>15}",
                "community", "first interval", "consumed Wh", "expired Wh", "exported Wh"
            );
        }
        for r in &certificates.public {
            let _ = writeln!(
                out,
                "{:>9}  {:>14}  {:>15}  {:>15}  {:>15}",
                r.community, r.first_interval, r.consumed_wh, r.expired_wh, r.exported_wh
            );
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
