//! Is L1 there, and does it go on? Who settles asks it only when there is something to settle, and a node that takes a
//! question and never answers holds that up without a word. So it is asked here, again and again, with a bound.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::service::Service;

/// What is told of it.
const WHAT: &str = "l1.head";

/// Looks again and again, until the task is dropped. What is wrong is told within [`crate::Config::watch_every`] and
/// [`crate::Limits::l1_answer`] together.
pub async fn watch(service: Arc<Service>) {
    loop {
        service.health.degraded(WHAT, look(&service).await);
        tokio::time::sleep(service.config.watch_every).await;
    }
}

async fn look(service: &Service) -> Option<String> {
    let bound = service.config.limits.l1_answer;
    match timeout(bound, service.l1.timestamp()).await {
        Err(_) => Some(format!("L1 does not answer within {} s", bound.as_secs_f32())),
        Ok(Err(error)) => Some(error.to_string()),
        Ok(Ok(block_s)) => {
            service.metrics.l1_head.set(Some(block_s));
            let oldest = service.config.l1_head_age?;
            let age = Duration::from_secs(service.config.clock.now().saturating_sub(block_s));
            // No figure that changes: it is told once.
            (age > oldest).then(|| {
                format!(
                    "L1's last block is older than {} s: the node has fallen behind, or the chain stands",
                    oldest.as_secs()
                )
            })
        }
    }
}
