//! What every part of a running sequencer shares.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_api::public::HealthStatus;
use gridveil_protocol::version::Domains;
use gridveil_proving_api::ProofSource;
use gridveil_verifier_contract::{CommunityEnd, SettlementL1};

pub use crate::metrics::Metrics;
use crate::{
    api::guard::Refusals,
    audit_log::AuditLog,
    config::Config,
    grants::Revocations,
    problem::Problem,
    staff::token::Staff,
    store::{reader::StoreReader, record::Genesis},
    writer::{Snapshot, Writer},
};

/// Why the sequencer is not well. Nothing is lost in either case.
#[derive(Debug, Default)]
pub struct Health {
    stopped: Mutex<Option<String>>,
    degraded: Mutex<BTreeMap<&'static str, String>>,
}

impl Health {
    /// The pipeline stops until an operator has looked and restarted.
    pub fn stop(&self, reason: String) {
        tracing::error!(reason, "the pipeline stopped");
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Why the pipeline stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something is being retried or holds somebody up (`Some`), or is well again (`None`).
    pub fn degraded(&self, what: &'static str, reason: Option<String>) {
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            // Told once, and not at every try.
            Some(reason) if degraded.get(what) == Some(&reason) => {}
            Some(reason) => {
                tracing::warn!(what, reason, "degraded");
                degraded.insert(what, reason);
            }
            None => {
                if degraded.remove(what).is_some() {
                    tracing::info!(what, "recovered");
                }
            }
        }
    }

    /// What is being retried or holds somebody up.
    #[must_use]
    pub fn retrying(&self) -> Vec<String> {
        self.why_retrying().into_values().collect()
    }

    /// The same by name.
    fn why_retrying(&self) -> BTreeMap<&'static str, String> {
        let degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        degraded.iter().map(|(what, reason)| (*what, format!("{what}: {reason}"))).collect()
    }
}

/// The shared parts.
pub struct Service {
    /// Configuration.
    pub config: Config,
    /// Deployment, as in the log.
    pub genesis: Genesis,
    /// The writer.
    pub writer: Writer,
    /// The readers' side of the store.
    pub reader: Arc<StoreReader>,
    /// L1.
    pub l1: Arc<dyn SettlementL1>,
    /// Provers.
    pub proofs: Arc<dyn ProofSource>,
    /// Held while a period is closed and applied: batches are applied one after the other, over all communities.
    pub closing: tokio::sync::Mutex<()>,
    /// Closings in work.
    pub closings: Mutex<tokio::task::JoinSet<()>>,
    /// Set when requests in work are to be dropped.
    pub killed: tokio::sync::watch::Sender<bool>,
    /// Closed periods the rules refuse to settle, by community.
    pub blocked: Mutex<BTreeMap<u32, Problem>>,
    /// How communities end on L1, as far as it was asked.
    pub ends: Mutex<BTreeMap<u32, CommunityEnd>>,
    /// Health.
    pub health: Health,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Requests of the public listener in work.
    pub in_flight: tokio::sync::Semaphore,
    /// Requests of the admin listener in work.
    pub own_in_flight: tokio::sync::Semaphore,
    /// Receipts in work.
    pub receipts: tokio::sync::Semaphore,
    /// Exports in work.
    pub exports: tokio::sync::Semaphore,
    /// How tokens of staff are checked, if there are any.
    pub staff: Option<Staff>,
    /// The audit log.
    pub audit: AuditLog,
    /// Grants that were taken back.
    pub revocations: Revocations,
    /// What bounds refused tries in the audit log.
    pub refusals: Refusals,
    /// Streams of events.
    pub streams: crate::streams::Streams,
}

impl Service {
    /// How well all of it is, and what is not, by name, with why if there is more to say: what stopped first.
    #[must_use]
    pub fn is_well(&self) -> (HealthStatus, Vec<(&'static str, Option<String>)>) {
        let mut reasons: Vec<_> = self.health.stopped().map(|why| ("pipeline", Some(why))).into_iter().collect();
        if self.writer.snapshot().failed {
            reasons.push(("store.failed", None));
        }
        let retrying = self.health.why_retrying();
        let status = match (reasons.is_empty(), retrying.is_empty()) {
            (false, _) => HealthStatus::Unhealthy,
            (true, false) => HealthStatus::Degraded,
            (true, true) => HealthStatus::Ok,
        };
        reasons.extend(retrying.into_iter().map(|(what, why)| (what, Some(why))));
        (status, reasons)
    }

    /// The domains of statements and signatures, as far as their circuit versions are decided.
    #[must_use]
    pub fn domains(&self, snapshot: &Snapshot) -> Domains {
        Domains::new(self.genesis.chain_id, self.genesis.contract, snapshot.log_state.versions.clone())
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}
