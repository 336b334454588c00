//! The operator's decision to settle under another circuit version from some time on
//! (`docs/adr/0014-a-living-sequencer-changes-its-circuit.md`).
//!
//! It is taken before any period begins that it is about, so that nothing that was acknowledged is signed for another
//! version than its period's.

use gridveil_protocol::{
    params::Shape,
    units::Interval,
    version::{VersionFrom, VersionOrder, begins_s},
};

use gridveil_verifier_contract::VerifierState;

use crate::{
    l1,
    problem::{self, Problem},
    service::Service,
    store::{Draft, record::Event},
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
    let new = if decided {
        false
    } else {
        let now_s = service.l1.timestamp().await.map_err(|e| l1::unreachable(&e))?;
        if next.from_s <= now_s {
            let detail = format!("it is {now_s} on L1, and the upgrade would count from {} on", next.from_s);
            return Err(Problem::new(problem::UPGRADE_TIME, detail));
        }
        if next.from_s - now_s > FURTHEST_S {
            let days = FURTHEST_S / (24 * 3600);
            let detail = format!("it is {now_s} on L1, and {} is more than {days} days later", next.from_s);
            return Err(Problem::new(problem::UPGRADE_TIME, detail));
        }
        fits(&service.writer.snapshot(), next, now_s)?;
        check_verifiers(service, version, next.from_s).await?;
        service.writer.submit(move |snapshot| decide(snapshot, next, now_s)).await?
    };
    Ok(Planned { new, first_periods: first_periods(&service.writer.snapshot(), next.from_s) })
}

/// The writer's decision: was it new?
fn decide(snapshot: &Snapshot, next: VersionFrom, now_s: u64) -> Result<Decision<bool>, Problem> {
    if snapshot.log_state.versions.last() == next {
        return Ok(Decision::Answer(false));
    }
    fits(snapshot, next, now_s)?;
    Ok(Decision::write(Draft::public(Event::Upgrade(next)), true))
}

/// No other upgrade is to come, no period is open that it is about, and it follows the last one.
fn fits(snapshot: &Snapshot, next: VersionFrom, now_s: u64) -> Result<(), Problem> {
    let versions = &snapshot.log_state.versions;
    let last = versions.last();
    if now_s < last.from_s {
        let detail = format!("circuit version {} counts from {} on", last.circuit_version, last.from_s);
        return Err(Problem::new(problem::UPGRADE_PENDING, detail));
    }
    let time = |detail: String| Problem::new(problem::UPGRADE_TIME, detail);
    for (index, community) in &snapshot.communities {
        // Packets of an open period are taken already, signed for its version.
        let header = &community.header;
        if begins_s(header.next_interval, header.interval_length) >= next.from_s {
            let detail = format!("community {index} has a period open that begins at that time or later");
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
        let verifier = verifier.ok_or_else(|| no_verifier(version, name))?;
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
    if verifier.used {
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
    let detail = format!("L1 has no verifier of circuit version {version} for {shape}, or the version is retired");
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
