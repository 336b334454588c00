//! The head of the audit log on L1: at a pace, and when the sequencer stops in order. L1 that is away holds up nothing.

use std::{sync::Arc, time::Duration};

use gridveil_verifier_contract::{AuditHeadsL1, L1Error};

use super::{AuditLog, format::Head};
use crate::{config::pause, service::Service};

/// Longest that a head is on its way: the key's next number is taken for so long, and a settlement waits.
const SENDING: Duration = Duration::from_secs(30);
/// Longest at the end.
const AT_THE_END: Duration = Duration::from_secs(15);
/// What it is called where the service says how it is.
const NAME: &str = "audit.head";

/// Where heads are published.
#[derive(Clone)]
pub struct Heads(pub Arc<dyn AuditHeadsL1>);

impl std::fmt::Debug for Heads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heads")
    }
}

/// What became of a try.
enum Published {
    /// L1 has this many entries.
    Up(u64),
    /// L1 has more entries than the log.
    Behind(u64),
}

async fn once(heads: &Heads, head: Head) -> Result<Published, L1Error> {
    let there = heads.0.published().await?;
    if there > head.count {
        return Ok(Published::Behind(there));
    }
    if there < head.count {
        heads.0.publish(head.count, head.chain).await?;
    }
    Ok(Published::Up(head.count))
}

async fn within(limit: Duration, heads: &Heads, log: &AuditLog) -> Result<Published, String> {
    match tokio::time::timeout(limit, once(heads, log.head())).await {
        Ok(Ok(published)) => Ok(published),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not mined within {} s", limit.as_secs())),
    }
}

/// Publishes the head now and then, without end.
pub(crate) async fn publish_all(service: Arc<Service>) {
    let Some(heads) = service.config.audit_heads.clone() else { return };
    let mut pauses = service.config.backoff.pauses();
    loop {
        match within(SENDING, &heads, &service.audit).await {
            Ok(Published::Up(entries)) => {
                service.health.degraded(NAME, None);
                tracing::info!(entries, "L1 has the head of the audit log");
                pauses = service.config.backoff.pauses();
                tokio::time::sleep(service.config.audit_head_every).await;
            }
            Ok(Published::Behind(there)) => {
                let told = format!(
                    "L1 has a head for {there} entries, and the audit log has fewer: an old copy of it was put back, or it was \
                     made anew (docs/how-to/staff.md)"
                );
                service.health.degraded(NAME, Some(told));
                tokio::time::sleep(service.config.audit_head_every).await;
            }
            Err(why) => {
                service.health.degraded(NAME, Some(why));
                pause(&mut pauses).await;
            }
        }
    }
}

/// The last head, when the sequencer stops in order.
pub(crate) async fn last(service: &Service) {
    let Some(heads) = &service.config.audit_heads else { return };
    match within(AT_THE_END, heads, &service.audit).await {
        Ok(Published::Up(entries)) => tracing::info!(entries, "L1 has the last head of the audit log"),
        Ok(Published::Behind(_)) => {}
        Err(why) => tracing::warn!(why, "L1 does not have the last head of the audit log; the next start brings it"),
    }
}
