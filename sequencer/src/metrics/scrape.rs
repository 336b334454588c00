//! The answer to a scraper: what follows from the snapshot is read when it asks, in memory alone.

use std::{collections::BTreeMap, sync::PoisonError};

use gridveil_api::public::HealthStatus;
use gridveil_telemetry::watch::{Text, written};

use super::{ADMIN, Community, Metrics, PUBLIC, What, gauge};
use crate::service::Service;

/// Communities that have a gauge of their own, those that wait longest: however many there are, so many series.
pub(crate) const COMMUNITIES_SHOWN: usize = 50;

/// What Prometheus asks for by itself (OpenMetrics), or the older text, which every tool reads.
pub(crate) fn scrape(service: &Service, open_metrics: bool) -> Text {
    let metrics = &service.metrics;
    let _one_at_a_time = metrics.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
    of_snapshot(service);
    of_health(service);
    of_process(metrics);
    let limits = &service.config.limits;
    metrics.writer_queue.set(gauge(service.writer.waiting()));
    let in_work = |of, most: usize, permits: &tokio::sync::Semaphore| {
        metrics.in_work.get_or_create(of).set(gauge(most.saturating_sub(permits.available_permits())));
    };
    in_work(&PUBLIC, limits.in_flight, &service.in_flight);
    in_work(&ADMIN, limits.own_in_flight, &service.own_in_flight);
    written(&metrics.registry, open_metrics)
}

fn of_snapshot(service: &Service) {
    let metrics = &service.metrics;
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).len();
    metrics.blocked.set(gauge(blocked));
    let ends = service.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let now = service.config.clock.now();
    let snapshot = service.writer.snapshot();
    let log_state = &snapshot.log_state;
    metrics.records.set(gauge(snapshot.height));
    metrics.last_batch.set(gauge(log_state.last_batch));
    metrics.unsettled.set(gauge(log_state.batches.len()));
    metrics.unproven.set(gauge(log_state.batches.values().filter(|batch| batch.prove_ms.is_none()).count()));
    metrics.communities.set(gauge(log_state.communities.len()));
    metrics.erased.set(gauge(log_state.erased.len()));
    let pending = log_state.communities.values().map(|state| state.pending.operations.len()).sum::<usize>();
    metrics.operations_pending.set(gauge(pending));
    let length = |community| snapshot.communities.get(community).map_or(0, |c| c.header.interval_length);
    let oldest = log_state.batches.values().next().map(|batch| {
        let intervals = log_state.communities.get(&batch.community).map_or(0, |state| state.shape.intervals);
        let end = batch.first_interval.saturating_add(u32::try_from(intervals).unwrap_or(u32::MAX));
        now.saturating_sub(end.start(length(&batch.community)))
    });
    metrics.oldest_unsettled.set(oldest);
    let over = crate::obstacles::communities(&snapshot, &ends).filter_map(|(community, length, state)| {
        let over = now.checked_sub(state.after_open().start(length))?;
        (over > 0).then_some((over, community))
    });
    // Longest first.
    let mut over: Vec<_> = over.collect();
    over.sort_unstable_by(|a, b| b.cmp(a));
    let late_after = service.config.late_after.as_secs();
    metrics.overdue.set(gauge(over.iter().take_while(|(over, _)| *over > late_after).count()));
    metrics.overdue_longest.set(over.first().map_or(0, |(over, _)| gauge(*over)));
    metrics.overdue_by_community.clear();
    for (over, community) in over.into_iter().take(COMMUNITIES_SHOWN) {
        metrics.overdue_by_community.get_or_create(&Community { community }).set(gauge(over));
    }
}

fn of_health(service: &Service) {
    let (status, reasons) = service.is_well();
    let metrics = &service.metrics;
    metrics.state.set(match status {
        HealthStatus::Ok => 0,
        HealthStatus::Degraded => 1,
        HealthStatus::Unhealthy => 2,
    });
    metrics.unwell.clear();
    for (what, _) in reasons {
        metrics.unwell.get_or_create(&What { what }).set(1);
    }
}

fn of_process(metrics: &Metrics) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let kib = lines.get("VmRSS").and_then(|value| value.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    metrics.memory.set(kib.unwrap_or(0).saturating_mul(1024));
    metrics.files.set(gauge(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)));
}
