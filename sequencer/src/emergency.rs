//! A verifier that L1 has proven unsound (docs/spec/l1.md, "Unsound verifiers"): L1 takes nothing under it any more. No
//! batch is sent and no period is closed that it would have to verify, and `/healthz` says so until another version is
//! in its place. That one may count from the periods that are open (`upgrade`), which nobody could settle otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gridveil_protocol::{params::Shape, units::Interval, version::CircuitVersion};
use gridveil_verifier_contract::L1Error;

use crate::{
    batch::state_of,
    ends, l1,
    problem::{self, Problem},
    service::Service,
    store::log_state::CommunityState,
    writer::Snapshot,
};

/// What L1 says of a verifier that it has stopped.
fn said(version: CircuitVersion, shape: &Shape) -> String {
    format!("L1 has proven the verifier of circuit version {version} for {} unsound", shape.name)
}

/// Does L1 refuse this verifier for ever, because it is proven unsound?
///
/// # Errors
/// [`L1Error`].
pub async fn is_stopped(service: &Service, version: CircuitVersion, shape: &Shape) -> Result<bool, L1Error> {
    let number = u32::try_from(version.number()).unwrap_or(u32::MAX);
    let verifier = service.l1.verifier(number, shape.id).await?;
    Ok(verifier.is_some_and(|verifier| verifier.unsound))
}

/// Why L1 takes no batch of this period, if its verifier is proven unsound.
///
/// # Errors
/// [`Problem`]: `account.unknown`, `l1.unreachable`.
pub async fn stops(service: &Service, community: u32, first_interval: Interval) -> Result<Option<String>, Problem> {
    let (version, shape) = of_period(&service.writer.snapshot(), community, first_interval)?;
    let stopped = is_stopped(service, version, &shape).await.map_err(|e| l1::unreachable(&e))?;
    Ok(stopped.then(|| said(version, &shape)))
}

fn of_period(
    snapshot: &Snapshot,
    community: u32,
    first_interval: Interval,
) -> Result<(CircuitVersion, Shape), Problem> {
    Ok((snapshot.version_of(community, first_interval)?, state_of(snapshot, community)?.shape))
}

/// Refuses what L1 would refuse for ever.
///
/// # Errors
/// `upgrade.verifier`, `account.unknown`, `l1.unreachable`.
pub async fn check(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    match stops(service, community, first_interval).await? {
        Some(why) => {
            Err(Problem::new(problem::UPGRADE_VERIFIER, format!("{why}: nothing is settled under it any more")))
        }
        None => Ok(()),
    }
}

/// The living communities whose open period no verifier takes any more, with their shapes.
///
/// # Errors
/// [`Problem`]: `l1.unreachable`.
pub async fn stopped(service: &Service) -> Result<BTreeMap<u32, Shape>, Problem> {
    let open: Vec<(u32, CircuitVersion, Shape)> = {
        let snapshot = service.writer.snapshot();
        let living =
            snapshot.log_state.communities.iter().filter(|(community, _)| !ends::is_closed(service, **community));
        let of = |(community, state): (&u32, &Arc<CommunityState>)| {
            let (version, shape) = of_period(&snapshot, *community, state.next_interval)?;
            Ok((*community, version, shape))
        };
        living.map(of).collect::<Result<_, Problem>>()?
    };
    let mut known: BTreeMap<(CircuitVersion, u32), bool> = BTreeMap::new();
    let mut stopped = BTreeMap::new();
    for (community, version, shape) in open {
        let is_stopped = match known.get(&(version, shape.id)) {
            Some(is_stopped) => *is_stopped,
            None => {
                let answer = is_stopped(service, version, &shape).await.map_err(|e| l1::unreachable(&e))?;
                *known.entry((version, shape.id)).or_insert(answer)
            }
        };
        if is_stopped {
            stopped.insert(community, shape);
        }
    }
    Ok(stopped)
}

/// What `/healthz` says of it; nothing while L1 does not answer, which is told elsewhere.
pub async fn look(service: &Service) -> Option<String> {
    let stopped = stopped(service).await.ok()?;
    let names: BTreeSet<&str> = stopped.values().map(|shape| shape.name).collect();
    if names.is_empty() {
        return None;
    }
    let batch = {
        let snapshot = service.writer.snapshot();
        let mut batches = snapshot.log_state.batches.iter();
        batches.find(|(_, entry)| stopped.contains_key(&entry.community)).map(|(batch, _)| *batch)
    };
    let batch = batch.map_or_else(String::new, |batch| {
        format!("; batch {batch} and those after it never settle: gridveil operator abandon")
    });
    Some(format!(
        "L1 has proven the verifier of {} unsound: its communities settle nothing, and their members may exit, until another \
         circuit version counts (gridveil operator upgrade plan){batch}",
        names.into_iter().collect::<Vec<_>>().join(", ")
    ))
}
