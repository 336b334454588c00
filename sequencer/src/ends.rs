//! Communities that come to their end on L1 (docs/spec/l1.md, "The end of a community"): a closed one takes nothing any
//! more, and one whose notice is over has a batch only for who waits in its forced queue.

use std::{collections::BTreeMap, sync::PoisonError};

use gridveil_verifier_contract::{CommunityEnd, Stage};

use crate::{
    batch::selection::Claims,
    l1,
    problem::{self, Problem},
    service::Service,
};

fn closed(community: u32) -> Problem {
    let detail = format!("L1 has closed community {community}, for ever: its members leave through L1");
    Problem::new(problem::COMMUNITY_CLOSED, detail)
}

/// Asks L1 how every community ends that is not closed, all at once, as of a block that counts as final, and remembers it.
/// That L1 does not answer is told by who settles.
pub async fn look(service: &Service) -> BTreeMap<u32, CommunityEnd> {
    let known = service.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let closed = |community: &u32| known.get(community).is_some_and(|end| end.stage == Stage::Closed);
    let living = {
        let snapshot = service.writer.snapshot();
        snapshot.communities.keys().copied().filter(|community| !closed(community)).collect()
    };
    if let Ok(l1) = service.l1.confirmed().await
        && let Ok(ends) = l1.ends_of(living).await
    {
        service.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends);
    }
    service.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Is the community closed, as far as L1 was asked?
pub fn is_closed(service: &Service, community: u32) -> bool {
    let ends = service.ends.lock().unwrap_or_else(PoisonError::into_inner);
    ends.get(&community).is_some_and(|end| end.stage == Stage::Closed)
}

/// What comes in: L1 is not asked for each.
///
/// # Errors
/// `community.closed`.
pub fn admits(service: &Service, community: u32) -> Result<(), Problem> {
    if is_closed(service, community) { Err(closed(community)) } else { Ok(()) }
}

/// What is to be settled: L1 is asked. `period_end_s` is when the period ends if it is open still, and its batch not yet
/// decided.
///
/// # Errors
/// `community.closed`, `close.community_ends`, `l1.unreachable`.
pub async fn settles(service: &Service, community: u32, period_end_s: Option<u64>) -> Result<(), Problem> {
    let end = service.l1.end_of(community).await.map_err(|e| l1::unreachable(&e))?;
    if end.stage == Stage::Closed {
        return Err(closed(community));
    }
    if !period_end_s.is_some_and(|period_end_s| end.is_after_notice(period_end_s)) {
        return Ok(());
    }
    let view = l1::view(service, community, &Claims::default()).await.map_err(|e| l1::unreachable(&e))?;
    if !view.forced.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "the notice of the end of community {community} is over at unix second {}, and nobody waits in its forced queue: \
         the meter data manager closes it",
        end.closes_at_s
    );
    Err(Problem::new(problem::CLOSE_COMMUNITY_ENDS, detail))
}
