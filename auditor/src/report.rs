//! What an audit found.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field::{Fr, hex_fr, to_bytes},
    hex::hex0,
    units::Nano,
    version::CircuitVersion,
};
use gridveil_verifier_contract::deployment::INSECURE;
use serde::Serialize;

use crate::{
    certificates::{Certificates, RetiredPeriod},
    date::utc,
    deployment::{DeploymentReport, Outcome},
    failure::{Failure, Unverified},
    ledger::Books,
    money::{Account, UNIT_NANO, currency},
    subject::Subject,
    timeline::Decision,
    versions::VersionUse,
};

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every fact holds.
    Ok,
    /// Nothing was found that does not hold, but something could not be checked.
    Incomplete,
    /// At least one does not.
    Failed,
}

impl Verdict {
    pub(crate) const fn of(failures: usize, unverified: usize) -> Self {
        match (failures, unverified) {
            (0, 0) => Self::Ok,
            (0, _) => Self::Incomplete,
            _ => Self::Failed,
        }
    }

    /// For people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Incomplete => "INCOMPLETE",
            Self::Failed => "FAILED",
        }
    }
}

/// Result of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The verdict, for programs.
    pub auditor: Verdict,
    /// The verdict, for people: with INSECURE before it under the development setup.
    pub verdict: String,
    /// What was audited.
    pub subject: Subject,
    /// The block of the checkpoint that this audit went on from; what came before was verified by the audit that wrote it.
    pub continued_from: Option<u64>,
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
    /// What was decided over the rollup, in order.
    pub timeline: Vec<Decision>,
    /// What stands on chain against the deployment file and this program, if it was looked at.
    pub deployment: Option<DeploymentReport>,
    /// Everything that does not hold: batch by batch from calldata, then event by event.
    pub failures: Vec<Failure>,
    /// What L1 accepted and nobody can check from what L1 publishes. With one of these the verdict is not ok.
    pub unverified: Vec<Unverified>,
    /// blake3 of every question and answer of L1, hex.
    pub read_blake3: String,
}

impl AuditReport {
    /// The same, with the verdict that its findings come to.
    #[must_use]
    pub(crate) fn judged(mut self) -> Self {
        self.auditor = Verdict::of(self.failures.len(), self.unverified.len());
        let of_deployment = |report: &DeploymentReport| report.verdict.contains(INSECURE);
        let insecure = self.subject.is_insecure() || self.deployment.as_ref().is_some_and(of_deployment);
        let word = self.auditor.word();
        self.verdict = if insecure { format!("{INSECURE}, {word}") } else { word.to_owned() };
        self
    }

    /// The same with what was found of the deployment: every failure of it is a finding.
    #[must_use]
    pub fn with_deployment(mut self, deployment: DeploymentReport, setup: Option<String>) -> Self {
        let failed = deployment.failures().filter_map(|check| match &check.outcome {
            Outcome::Failed(what) => {
                Some(Failure { batch: None, clause: "L1.CODE", what: format!("{}: {what}", check.subject) })
            }
            Outcome::Ok(_) | Outcome::NotChecked(_) => None,
        });
        self.failures.extend(failed);
        self.deployment = Some(deployment);
        if let Some(setup) = setup {
            self.subject.setup = setup;
        }
        self.judged()
    }

    /// When a period begins whose certificates were retired, UTC; the number of its first interval for a community that
    /// L1 does not have.
    #[must_use]
    pub fn begins(&self, retired: &RetiredPeriod) -> String {
        let community = self.subject.communities.iter().find(|one| one.community == retired.community);
        community.map_or_else(
            || format!("interval {}", retired.first_interval),
            |one| utc(retired.first_interval.start(one.interval_length_s)),
        )
    }

    /// The same of an audit in which everything follows from the block's hash.
    #[must_use]
    pub fn with_proof(mut self) -> Self {
        self.subject.proven = true;
        self
    }

    /// The same with a finding more.
    #[must_use]
    pub fn with_failure(mut self, clause: &'static str, what: String) -> Self {
        self.failures.push(Failure { batch: None, clause, what });
        self.judged()
    }

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
        let root = hex0(to_bytes(&self.state_root));
        let amount = |nano: Nano| format!("{:>16}", currency(nano));
        let units = |units: u64| amount(Nano(i128::from(units) * UNIT_NANO));
        let (money, books, certificates) = (&self.money, &self.books, &self.certificates);
        let pool = if books.pool_compared { "" } else { "  from records; not compared with the contract's" };
        let compared = if books.solvency_compared { "" } else { "  not compared with what it has" };
        let mut out = String::new();
        let undone = if certificates.undone == 0 { String::new() } else { format!(", {} undone", certificates.undone) };
        for (name, value) in [
            ("auditor", self.verdict.clone()),
            ("chain", self.subject.chain_id.to_string()),
            ("contract", self.subject.contract.clone()),
            ("block", format!("{} of {}", self.subject.block, self.subject.date)),
            ("block hash", self.subject.block_hash.clone()),
            ("node", self.subject.believed().to_owned()),
            ("setup", self.subject.setup.clone()),
            ("communities", self.subject.communities.len().to_string()),
            ("settled", self.subject.span()),
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
            (
                "certificates",
                format!(
                    "{} spent, {} proofs verified, {} retired sealed{undone}",
                    certificates.spent, certificates.verified, certificates.sealed
                ),
            ),
            ("exits verified", books.exits_verified.to_string()),
            ("vault owes", format!("{} parts of the token, {} wei of bonds{compared}", books.owed, books.owed_wei)),
            ("vault has", format!("{} parts of the token, {} wei", books.held, books.held_wei)),
            ("read", format!("blake3 {}", self.read_blake3)),
            ("failures", self.failures.len().to_string()),
            ("not verifiable", self.unverified.len().to_string()),
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
                "\n{:>9}  {:>20}  {:>13}  {:>13}  {:>13}",
                "community", "period from (UTC)", "consumed Wh", "expired Wh", "exported Wh"
            );
        }
        for r in &certificates.public {
            let _ = writeln!(
                out,
                "{:>9}  {:>20}  {:>13}  {:>13}  {:>13}",
                r.community,
                self.begins(r),
                r.consumed_wh,
                r.expired_wh,
                r.exported_wh
            );
        }
        if !self.failures.is_empty() {
            let _ = writeln!(out, "\n{:>7}  {:<16} what", "batch", "clause");
        }
        for f in &self.failures {
            let batch = f.batch.map_or_else(|| "-".to_owned(), |b| b.to_string());
            let _ = writeln!(out, "{batch:>7}  {:<16} {}", f.clause, f.what);
        }
        if !self.unverified.is_empty() {
            let _ = writeln!(out, "\n{:>10}  not verifiable from calldata", "block");
        }
        for u in &self.unverified {
            let _ = writeln!(out, "{:>10}  {} (transaction 0x{})", u.block, u.what, u.tx);
        }
        out
    }
}
