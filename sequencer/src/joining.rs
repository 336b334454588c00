//! Communities that join while the sequencer runs. Each begins empty with its first batch (STATE.INIT), so that no state
//! root changes before.

use gridveil_api::beginning::{Beginning, Registered};
use gridveil_protocol::{field::to_bytes, init};
use gridveil_verifier_contract::{QueuesL1, Stage};

use crate::{
    l1,
    problem::{self, Problem},
    service::Service,
    store::{self, Draft, record::Event},
    writer::{Decision, Snapshot},
};

/// A community is served from now on. Asked again for the same, answers the same: was it new?
///
/// # Errors
/// `community.invalid`, `community.unregistered`, `community.other`, `community.closed`, `l1.unreachable`.
pub async fn join(service: &Service, beginning: &Beginning) -> Result<bool, Problem> {
    let registered = beginning.registered();
    let registered = registered.map_err(|error| Problem::new(problem::COMMUNITY_INVALID, error.to_string()))?;
    check_l1(service, &registered).await?;
    service.writer.submit_waiting(move |snapshot| decide(snapshot, &registered)).await
}

fn decide(snapshot: &Snapshot, registered: &Registered) -> Result<Decision<bool>, Problem> {
    let community = registered.empty();
    let draft: Draft = store::added(&community, true)?;
    match snapshot.log_state.communities.get(&registered.index) {
        Some(there) if draft.event == Event::Community(there.added.clone()) => Ok(Decision::Answer(false)),
        Some(_) => Err(other(registered.index, "this sequencer serves it with other terms")),
        None => Ok(Decision::Write { draft: Box::new(draft), after: Some(Box::new(community)), answer: true }),
    }
}

/// L1 has it, in a block that counts as final, with the same terms: else its first batch could never settle.
async fn check_l1(service: &Service, registered: &Registered) -> Result<(), Problem> {
    let l1 = service.l1.confirmed().await.map_err(|e| l1::unreachable(&e))?;
    let there = l1.community(registered.index).await.map_err(|e| l1::unreachable(&e))?;
    let there = there.ok_or_else(|| {
        let detail = format!("community {} is not registered on L1, or not final there yet", registered.index);
        Problem::new(problem::COMMUNITY_UNREGISTERED, detail)
    })?;
    let header = registered.empty().header;
    let differs = [
        ("shape", there.shape != registered.shape.id),
        ("interval length", there.interval_length_s != registered.interval_length),
        ("number of intervals", there.m != header.intervals),
        (
            "first interval, clearing rule or meter data manager",
            there.genesis_terms != to_bytes(&init::genesis_terms(&header)),
        ),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        None => comes_to_no_end(&*l1, registered.index).await,
        Some((what, _)) => Err(other(registered.index, &format!("L1 has it with another {what}"))),
    }
}

/// Nobody would be settled there for long.
async fn comes_to_no_end(l1: &dyn QueuesL1, community: u32) -> Result<(), Problem> {
    let end = l1.end_of(community).await.map_err(|e| l1::unreachable(&e))?;
    if end.stage == Stage::Open {
        return Ok(());
    }
    Err(Problem::new(problem::COMMUNITY_CLOSED, format!("the end of community {community} is announced on L1")))
}

fn other(community: u32, why: &str) -> Problem {
    Problem::new(problem::COMMUNITY_OTHER, format!("community {community}: {why}"))
}
