//! Closing a period. It must be over and complete. The closing draws everything random of its settlement. All of that
//! is durable before the period is applied.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use gridveil_keystore::random;
use gridveil_protocol::{
    field::{Fr, reduce, to_bytes},
    packet::PacketSalts,
    units::Interval,
};
use tracing::Instrument as _;

use super::{AppliedPeriod, applying, open_period::missing, state_of, unknown_community};
use crate::{
    config, emergency, ends, l1,
    metrics::seconds,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft, StoreError,
        data_keys::{COMMUNITY_PART, DataKeyError, Label},
        plain,
        record::{Closed, ClosedSecrets, Event, Used, kind},
    },
    upgrade::{self, no_verifier},
    writer::{Decision, Snapshot},
};

/// Closes a period and settles it natively. Asked again for a settled period, it answers the same. Asked for one that
/// is closed but not settled, it tries again. It runs to its end even if the client goes away.
///
/// # Errors
/// [`Problem`].
pub async fn close(service: &Arc<Service>, community: u32, first_interval: Interval) -> Result<AppliedPeriod, Problem> {
    let (answer, outcome) = tokio::sync::oneshot::channel();
    let own = Arc::clone(service);
    let closing = async move {
        let _one_at_a_time = own.closing.lock().await;
        let _ = answer.send(close_locked(&own, community, first_interval).await);
    };
    {
        let mut closings = service.closings.lock().unwrap_or_else(PoisonError::into_inner);
        while closings.try_join_next().is_some() {}
        let span = tracing::info_span!("close", community, first_interval = first_interval.0);
        closings.spawn(closing.instrument(span));
    }
    outcome.await.unwrap_or_else(|_| Err(Problem::internal("a closing did not end")))
}

async fn close_locked(
    service: &Arc<Service>,
    community: u32,
    first_interval: Interval,
) -> Result<AppliedPeriod, Problem> {
    let (open, closed) = {
        let snapshot = service.writer.snapshot();
        let log_state = state_of(&snapshot, community)?;
        (log_state.next_interval, log_state.closed.is_some())
    };
    if first_interval < open
        && let Some(batch) = service.reader.batch_of(community, first_interval)?
    {
        let new_root = service.reader.applied(batch)?.new_root;
        return Ok(AppliedPeriod { community, first_interval, batch, new_root });
    }
    if first_interval != open {
        return Err(Problem::new(problem::CLOSE_PERIOD, "another period is open: that of `open`")
            .with(|members| members.open = Some(open)));
    }
    let start = Instant::now();
    emergency::check(service, community, first_interval).await?;
    if closed {
        ends::settles(service, community, None).await?;
    } else {
        close_open(service, community, first_interval).await?;
    }
    let applied = applying::apply(service, community).await?;
    service.metrics.closing.observe(seconds(start.elapsed()));
    Ok(applied)
}

/// Is the period over for L1? And is the tariff we hold the one L1 has in force?
async fn check_l1(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    let (end, tariff) = {
        let snapshot = service.writer.snapshot();
        let log_state = state_of(&snapshot, community)?;
        let length = snapshot.communities.get(&community).map_or(0, |c| c.header.interval_length);
        (log_state.after_open().start(length), log_state.tariff_for(first_interval))
    };
    let now = service.l1.timestamp().await.map_err(|e| l1::unreachable(&e))?;
    if now < end {
        return Err(Problem::new(problem::CLOSE_NOT_OVER, format!("the period ends in {} s of L1 time", end - now)));
    }
    ends::settles(service, community, Some(end)).await?;
    let (_, _, commitment) =
        tariff.ok_or_else(|| Problem::new(problem::CLOSE_NO_TARIFF, "no tariff is published for this period"))?;
    let in_force = l1::in_force(&*service.l1, community, first_interval).await.map_err(|e| l1::unreachable(&e))?;
    if in_force.map(|t| t.commitment) != Some(to_bytes(&commitment)) {
        return Err(Problem::new(
            problem::TARIFF_NOT_IN_FORCE,
            "the tariff published here is not the one L1 has in force for this period",
        ));
    }
    Ok(())
}

/// L1.11: a verifier has its first batch when that was announced and all are served who waited then. Closed batches
/// settle in order, so that one which must wait would hold up those that serve who waits.
async fn check_first_use(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    let (version, shape) = {
        let snapshot = service.writer.snapshot();
        (snapshot.version_of(community, first_interval)?, state_of(&snapshot, community)?.shape)
    };
    if version.number() == service.genesis.circuit_version {
        return Ok(());
    }
    let number = u32::try_from(version.number()).unwrap_or(u32::MAX);
    let verifier = service.l1.verifier(number, shape.id).await.map_err(|e| l1::unreachable(&e))?;
    let verifier = verifier.ok_or_else(|| no_verifier(number, shape.name))?;
    match upgrade::first_use(service, number, &verifier).await? {
        None => Ok(()),
        Some(why) => Err(Problem::new(problem::CLOSE_UPGRADE_WAITS, format!("L1.11: {why}"))),
    }
}

async fn close_open(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    check_l1(service, community, first_interval).await?;
    check_first_use(service, community, first_interval).await?;
    let decide = move |snapshot: &Snapshot| {
        let missing = missing(snapshot, community)?;
        if !missing.is_empty() {
            let detail =
                format!("{} used slots have no packet; ask the meter data manager for substitutes", missing.len());
            let slots: Vec<u16> = missing.iter().map(|m| m.slot).collect();
            return Err(Problem::new(problem::CLOSE_MISSING, detail).with(|members| members.missing = Some(slots)));
        }
        Ok(Decision::write(closing_draft(snapshot, community, first_interval)?, ()))
    };
    service.writer.submit_waiting(decide).await?;
    tracing::info!(community, first_interval = first_interval.0, "period closed");
    Ok(())
}

fn fresh_element() -> Result<Fr, DataKeyError> {
    Ok(reduce(&random::<64>()?))
}

fn fresh_salts() -> Result<PacketSalts, DataKeyError> {
    Ok(PacketSalts::from_random(&random()?))
}

fn closing_draft(snapshot: &Snapshot, community: u32, first_interval: Interval) -> Result<Draft, Problem> {
    let log_state = state_of(snapshot, community)?;
    let accounts = &snapshot.communities.get(&community).ok_or_else(unknown_community)?.accounts;
    let (tariff_from, _, _) = log_state
        .tariff_for(first_interval)
        .ok_or_else(|| Problem::new(problem::CLOSE_NO_TARIFF, "no tariff is published for this period"))?;
    let (mut used, mut empty) = (Vec::new(), Vec::new());
    for (slot, account) in (0u16..).zip(accounts) {
        if account.meter.is_some() {
            // The meter's own packet wins over a substitute.
            used.push(Used { slot, substituted: !log_state.packets.contains_key(&(slot, false)) });
        } else {
            empty.push((slot, fresh_salts().map_err(StoreError::from)?));
        }
    }
    let header_salts = [fresh_element().map_err(StoreError::from)?, fresh_element().map_err(StoreError::from)?];
    let secrets = plain(kind::CLOSED, &ClosedSecrets { header_salts, empty }).map_err(StoreError::from)?;
    let label = Label { kind: kind::CLOSED, community, part: COMMUNITY_PART, first_interval };
    Ok(Draft {
        event: Event::Closed(Closed { community, first_interval, used, tariff_from }),
        parts: vec![(label, secrets)],
    })
}

/// Applies every period that was closed and not applied before the last stop.
pub async fn resume(service: &Arc<Service>) {
    let closed: Vec<(u32, Interval)> = {
        let snapshot = service.writer.snapshot();
        snapshot
            .log_state
            .communities
            .iter()
            .filter(|(_, b)| b.closed.is_some())
            .map(|(c, b)| (*c, b.next_interval))
            .collect()
    };
    for (community, first_interval) in closed {
        let mut pauses = service.config.backoff.pauses();
        while let Err(problem) = close(service, community, first_interval).await {
            tracing::warn!(community, code = problem.code.name, "a closed period still waits");
            if problem.code != problem::L1_UNREACHABLE {
                break;
            }
            config::pause(&mut pauses).await;
        }
    }
}

/// Periods that can be closed: every used slot has a packet. And periods that were closed while L1 could not be
/// reached, so that nothing could be selected.
fn complete(service: &Service) -> Vec<(u32, Interval)> {
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let snapshot = service.writer.snapshot();
    let waits = |c: &u32, closed: bool| {
        if ends::is_closed(service, *c) {
            false
        } else if closed {
            !blocked.contains_key(c)
        } else {
            missing(&snapshot, *c).is_ok_and(|m| m.is_empty())
        }
    };
    snapshot
        .log_state
        .communities
        .iter()
        .filter(|(c, b)| waits(c, b.closed.is_some()))
        .map(|(c, b)| (*c, b.next_interval))
        .collect()
}

/// Closes periods as soon as they are over and complete.
pub async fn auto_close(service: Arc<Service>) {
    let mut tick = tokio::time::interval(service.config.auto_close_every);
    loop {
        tick.tick().await;
        let complete = complete(&service);
        for (community, first_interval) in complete {
            if let Err(problem) = close(&service, community, first_interval).await {
                tracing::info!(community, code = problem.code.name, "not closed yet");
            }
        }
    }
}
