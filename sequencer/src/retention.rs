//! How long what is held is kept, by rules of the operator, and who sees to it (`docs/gdpr/retention.md`).

pub mod rules;

use std::sync::Arc;

use gridveil_protocol::{community::Community, units::Interval};

pub use self::rules::{Keep, Retention};
use crate::{
    erasing,
    problem::{self, Problem},
    service::Service,
    store::{StoreError, accounts::EndedAccount},
};

/// The second at which the period of a batch ended.
pub(crate) fn end_of(community: &Community, first_interval: Interval) -> u64 {
    let header = &community.header;
    first_interval.saturating_add(u32::from(header.intervals)).start(header.interval_length)
}

/// The second from which an ended account is erased by itself.
///
/// # Errors
/// [`StoreError`].
pub fn erased_from(service: &Service, community: &Community, batch: u64) -> Result<Option<u64>, StoreError> {
    let applied = service.reader.applied(batch)?;
    Ok(service.config.retention.ended_accounts.until_s(end_of(community, applied.first_interval)))
}

/// Erases what is not to be kept any more, for as long as the sequencer runs.
pub async fn keep(service: Arc<Service>) {
    let Retention { ended_accounts, look_every, .. } = service.config.retention;
    if ended_accounts == Keep::UntilErased {
        return;
    }
    loop {
        let told = match look(&service).await {
            Ok(()) => None,
            Err(problem) => Some(problem.to_string()),
        };
        service.health.degraded("retention", told);
        tokio::time::sleep(look_every).await;
    }
}

/// An ended account, and when its last period ended.
struct Due {
    community: u32,
    slot: u16,
    number: u32,
    end_s: u64,
}

async fn look(service: &Arc<Service>) -> Result<(), Problem> {
    let due = due(service)?;
    if due.is_empty() {
        return Ok(());
    }
    let asked = service.l1.forced_deadline_s().await;
    let deadline_s = asked.map_err(|error| crate::l1::unreachable(&error))?;
    for Due { community, slot, number, end_s } in due {
        if service.config.clock.now() < end_s.saturating_add(deadline_s) {
            continue;
        }
        match erasing::erase(service, community, slot, Some(number)).await {
            Ok(_) => tracing::info!(community, "an account was erased by the rule for ended accounts"),
            // What it signed still waits, or its last batch does: the next look finds it.
            Err(problem) if problem.code.name == problem::ACCOUNT_NOT_FINAL.name => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

/// What is not to be kept any more.
fn due(service: &Service) -> Result<Vec<Due>, StoreError> {
    let now = service.config.clock.now();
    let candidates: Vec<(u32, u16, EndedAccount, Arc<Community>)> = {
        let snapshot = service.writer.snapshot();
        let mut all = Vec::new();
        for (index, state) in &snapshot.log_state.communities {
            let Some(community) = snapshot.communities.get(index) else { continue };
            for (slot, _) in state.switches.current() {
                let kept =
                    |account: &EndedAccount| !service.reader.data_keys().is_erased((*index, slot, account.first));
                let ended = state.switches.ended(slot).into_iter().filter(kept);
                all.extend(ended.map(|account| (*index, slot, account, Arc::clone(community))));
            }
        }
        all
    };
    let mut due = Vec::new();
    for (community, slot, account, state) in candidates {
        let end_s = end_of(&state, service.reader.applied(account.batch)?.first_interval);
        if service.config.retention.ended_accounts.until_s(end_s).is_some_and(|from_s| from_s <= now) {
            due.push(Due { community, slot, number: account.number, end_s });
        }
    }
    Ok(due)
}
