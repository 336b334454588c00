//! The operator's decision to settle under another circuit version from some time on
//! (`docs/adr/0014-a-living-sequencer-changes-its-circuit.md`).
//!
//! It is taken before any period begins that it is about, so that nothing that was acknowledged is signed for another
//! version than its period's.

use std::{collections::BTreeMap, sync::PoisonError};

use gridveil_protocol::{
    params::Shape,
    units::Interval,
    version::{VersionFrom, VersionOrder, begins_s},
};

use gridveil_verifier_contract::VerifierState;

use crate::{
    batch::state_of,
    emergency, l1,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft,
        record::{Event, Upgrade},
    },
    writer::{Decision, Snapshot},
};

/// How far ahead an upgrade may be decided. It cannot be taken back before its time, so that a slip of the year must not
/// be taken.
const FURTHEST_S: u64 = 90 * 24 * 3600;

/// A decided upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Is it new, or was it decided before?
    pub new: bool,
    /// The first period of each community under the version, unless periods are skipped.
    pub first_periods: Vec<(u32, Interval)>,
}

/// Decides that `next` counts. Asked again for what was decided last, answers the same.
///
/// Where L1 has stopped the verifier of an open period, the version may count from a time that is past: from that period
/// on, which could not be settled otherwise. What was taken for it is signed for the version that is stopped, and is given
/// up: its signers sign again.
///
/// # Errors
/// `upgrade.version`, `upgrade.time`, `upgrade.verifier`, `upgrade.announcement`, `upgrade.pending`, `l1.unreachable`.
pub async fn plan(service: &Service, next: VersionFrom) -> Result<Planned, Problem> {
    let known = service.config.versions.contains(&next.circuit_version);
    let version = u32::try_from(next.circuit_version.number()).ok().filter(|_| known);
    let version = version.ok_or_else(|| {
        let names = service.config.versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!("circuit version {} is unknown to this program (it knows {names})", next.circuit_version);
        Problem::new(problem::UPGRADE_VERSION, detail)
    })?;
    let decided = service.writer.snapshot().log_state.versions.last() == next;
    let new = if decided { false } else { decide_new(service, version, next).await? };
    Ok(Planned { new, first_periods: first_periods(&service.writer.snapshot(), next.from_s) })
}

/// Decides it, if it was not decided before: was it new?
async fn decide_new(service: &Service, version: u32, next: VersionFrom) -> Result<bool, Problem> {
    let now_s = service.l1.timestamp().await.map_err(|e| l1::unreachable(&e))?;
    let stopped = emergency::stopped(service).await?;
    if next.from_s <= now_s && stopped.is_empty() {
        let detail = format!("it is {now_s} on L1, and the upgrade would count from {} on", next.from_s);
        return Err(Problem::new(problem::UPGRADE_TIME, detail));
    }
    if next.from_s > now_s.saturating_add(FURTHEST_S) {
        let days = FURTHEST_S / (24 * 3600);
        let detail = format!("it is {now_s} on L1, and {} is more than {days} days later", next.from_s);
        return Err(Problem::new(problem::UPGRADE_TIME, detail));
    }
    fits(&service.writer.snapshot(), next, now_s, &stopped)?;
    check_verifiers(service, version, next.from_s.max(now_s)).await?;
    let anew = service.writer.submit(move |snapshot| decide(snapshot, next, now_s, &stopped)).await?;
    let Some(anew) = anew else { return Ok(false) };
    let mut blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner);
    blocked.retain(|community, _| !anew.contains(community));
    Ok(true)
}

/// The writer's decision: the communities whose open period begins anew, or `None` if it was decided before.
fn decide(
    snapshot: &Snapshot,
    next: VersionFrom,
    now_s: u64,
    stopped: &BTreeMap<u32, Shape>,
) -> Result<Decision<Option<Vec<u32>>>, Problem> {
    if snapshot.log_state.versions.last() == next {
        return Ok(Decision::Answer(None));
    }
    fits(snapshot, next, now_s, stopped)?;
    let begins = |community: &u32| {
        let header = snapshot.communities.get(community).map(|community| &community.header)?;
        Some(begins_s(header.next_interval, header.interval_length))
    };
    let about = |community: &&u32| begins(community).is_some_and(|begins_s| begins_s >= next.from_s);
    let anew: Vec<u32> = snapshot.communities.keys().filter(about).copied().collect();
    let upgrade = Upgrade { next, anew: anew.clone() };
    Ok(Decision::write(Draft::public(Event::Upgrade(upgrade)), Some(anew)))
}

/// No other upgrade is to come, no period is open that it is about, and it follows the last one. Where verifiers are
/// stopped, the periods that are open are the ones that it is about.
fn fits(snapshot: &Snapshot, next: VersionFrom, now_s: u64, stopped: &BTreeMap<u32, Shape>) -> Result<(), Problem> {
    let versions = &snapshot.log_state.versions;
    let last = versions.last();
    if now_s < last.from_s {
        let detail = format!("circuit version {} counts from {} on", last.circuit_version, last.from_s);
        return Err(Problem::new(problem::UPGRADE_PENDING, detail));
    }
    let time = |detail: String| Problem::new(problem::UPGRADE_TIME, detail);
    for (index, community) in &snapshot.communities {
        let header = &community.header;
        let open_s = begins_s(header.next_interval, header.interval_length);
        if stopped.is_empty() {
            // Packets of an open period are taken already, signed for its version.
            if open_s >= next.from_s {
                let detail = format!("community {index} has a period open that begins at that time or later");
                return Err(time(detail));
            }
            continue;
        }
        let last_period = state_of(snapshot, *index)?.last_period;
        let settled_s = last_period.map(|first_interval| begins_s(first_interval, header.interval_length));
        if let Some(settled_s) = settled_s.filter(|settled_s| *settled_s >= next.from_s) {
            let detail = format!(
                "community {index} has a batch of the period from {settled_s}, which stays of its version: the upgrade counts \
                 from later on, or the batch is abandoned first"
            );
            return Err(time(detail));
        }
        if stopped.contains_key(index) && open_s < next.from_s {
            let detail = format!(
                "community {index} has the period from {open_s} open, whose verifier L1 has stopped: the upgrade must count \
                 from then on, or before"
            );
            return Err(time(detail));
        }
    }
    versions.clone().add(next).map_err(|error| match error {
        VersionOrder::Time { .. } | VersionOrder::First => time(error.to_string()),
        VersionOrder::Same { .. } | VersionOrder::NotSettlement { .. } => {
            Problem::new(problem::UPGRADE_VERSION, error.to_string())
        }
    })
}

/// L1.6 and L1.11: a verifier of every shape in use takes proofs by then, and nothing will hold its first one up. Who
/// asks to leave from now on does not: else one request could end the rollup.
async fn check_verifiers(service: &Service, version: u32, from_s: u64) -> Result<(), Problem> {
    let mut shapes: Vec<Shape> = {
        let snapshot = service.writer.snapshot();
        snapshot.log_state.communities.values().map(|community| community.shape).collect()
    };
    shapes.sort_by_key(|shape| shape.id);
    shapes.dedup_by_key(|shape| shape.id);
    for Shape { id, name, .. } in shapes {
        let verifier = service.l1.verifier(version, id).await.map_err(|e| l1::unreachable(&e))?;
        let verifier = verifier.filter(|verifier| !verifier.unsound).ok_or_else(|| no_verifier(version, name))?;
        let active_s = verifier.active_from_s;
        if active_s > from_s {
            let detail = format!("L1's verifier of circuit version {version} for {name} is active from {active_s} on");
            return Err(Problem::new(problem::UPGRADE_VERIFIER, detail));
        }
        if let Some(why) = first_use(service, version, &verifier).await? {
            return Err(Problem::new(problem::UPGRADE_ANNOUNCEMENT, format!("L1.11: {why}")));
        }
    }
    Ok(())
}

/// L1.11: why L1 would refuse a verifier's first batch now, its delay apart.
pub(crate) async fn first_use(
    service: &Service,
    version: u32,
    verifier: &VerifierState,
) -> Result<Option<String>, Problem> {
    // The council hastened it, and the emergency lasts: members could leave without being served (COUNCIL.4).
    if verifier.used || verifier.hastened {
        return Ok(None);
    }
    let announcement = service.l1.announcement().await.map_err(|e| l1::unreachable(&e))?;
    if !announcement.is_of(version, verifier) {
        let active_s = verifier.active_from_s;
        return Ok(Some(format!(
            "the first use of circuit version {version} was not announced on L1 since its delay was over, at {active_s}"
        )));
    }
    let waiting = announcement.waiting;
    Ok((waiting > 0).then(|| format!("{waiting} who asked to leave before the announcement wait still")))
}

/// L1.6: what L1 does not have, and what it has retired, it answers alike.
pub(crate) fn no_verifier(version: u32, shape: &str) -> Problem {
    let detail =
        format!("L1 has no verifier of circuit version {version} for {shape}, or it is retired or proven unsound");
    Problem::new(problem::UPGRADE_VERIFIER, detail)
}

/// The first period of each community that begins at or after a time.
fn first_periods(snapshot: &Snapshot, from_s: u64) -> Vec<(u32, Interval)> {
    let one = |(index, community): (&u32, &std::sync::Arc<gridveil_protocol::community::Community>)| {
        let header = &community.header;
        let mut first_interval = header.next_interval;
        let period_s = u64::from(header.intervals) * u64::from(header.interval_length);
        let ahead_s = from_s.saturating_sub(begins_s(first_interval, header.interval_length));
        let periods = ahead_s.div_ceil(period_s.max(1));
        let intervals = periods.saturating_mul(u64::from(header.intervals));
        first_interval = first_interval.saturating_add(u32::try_from(intervals).unwrap_or(u32::MAX));
        (*index, first_interval)
    };
    snapshot.communities.iter().map(one).collect()
}
