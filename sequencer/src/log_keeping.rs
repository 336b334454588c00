//! What keeps the log quick to open and known to be whole: a snapshot every so many records and at an orderly stop, and a
//! check of all of the log in the background, since opening reads only what is after the last snapshot
//! (`docs/spec/log.md`, LOG.4).

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    metrics::gauge,
    service::Service,
    store::{check::Finding, snapshots::Basis},
};

/// What is told of it.
const WHAT: &str = "log";
/// Longest that the check sleeps at a time: so soon it sees that it is to stop.
const NAP: Duration = Duration::from_millis(50);

/// Writes a snapshot of what is durable now.
pub async fn snapshot(service: &Arc<Service>) {
    let reader = Arc::clone(&service.reader);
    let (tip, log_state, tree) = {
        let snapshot = service.writer.snapshot();
        if snapshot.failed {
            return;
        }
        (snapshot.tip, snapshot.log_state.clone(), snapshot.tree.clone())
    };
    let height = tip.height;
    let start = Instant::now();
    let written = tokio::task::spawn_blocking(move || reader.write_snapshot(&tip, &log_state, &tree)).await;
    match written {
        Ok(Ok(true)) => {
            service.metrics.snapshot_records.set(gauge(height));
            tracing::info!(records = height, ms = start.elapsed().as_millis(), "snapshot written");
        }
        Ok(Ok(false)) => {}
        // The log is the truth, and is durable: the next start only takes longer.
        Ok(Err(error)) => tracing::warn!(%error, "no snapshot could be written; the next start reads more of the log"),
        Err(_) => tracing::warn!("no snapshot was written; the next start reads more of the log"),
    }
}

/// Writes one every so many records, until the task is dropped. `last` is where the one is that opening began at.
pub async fn snapshots(service: Arc<Service>, mut last: u64) {
    let mut changes = service.writer.changes();
    let every = service.config.limits.snapshot_records.max(1);
    loop {
        let height = service.writer.snapshot().height;
        if height >= last.saturating_add(every) {
            snapshot(&service).await;
            last = height;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Checks all of the log, again and again, until the task is dropped.
pub async fn checks(service: Arc<Service>, basis: Option<Basis>) {
    loop {
        let checked = Arc::clone(&service);
        let result = tokio::task::spawn_blocking(move || check(&checked, basis)).await;
        match result {
            Ok(Ok(())) => service.health.degraded(WHAT, None),
            Ok(Err(Finding::Stopped)) | Err(_) => return,
            Ok(Err(finding)) => told(&service, &finding),
        }
        tokio::time::sleep(service.config.log_check_every).await;
    }
}

fn told(service: &Service, finding: &Finding) {
    service.metrics.log_findings.inc();
    match finding {
        Finding::Stopped => return,
        // What is in memory may be wrong.
        Finding::Snapshot { .. } | Finding::Openings { .. } => {
            distrust(service);
            service.health.stop(finding.to_string());
        }
        // The next start reads all of the log, and makes the index anew.
        Finding::Index => distrust(service),
        // What is damaged is not read, and the rest is right: what comes in is durable all the same.
        Finding::Log(_) => {}
    }
    service.health.degraded(WHAT, Some(finding.to_string()));
}

fn distrust(service: &Service) {
    if let Err(error) = service.reader.distrust_snapshots() {
        tracing::error!(%error, "snapshots could not be removed: remove the folder `snapshots` before the next start");
    }
}

fn check(service: &Service, basis: Option<Basis>) -> Result<(), Finding> {
    let start = Instant::now();
    let rate = service.config.limits.log_check_bytes_per_s.max(1);
    let (mut bytes, mut records) = (0u64, 0u64);
    let stopped = || *service.killed.borrow();
    let pace = |of_record: u64| {
        bytes += of_record;
        records += 1;
        service.metrics.log_checked_records.set(gauge(records));
        let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
        while start.elapsed() < due && !stopped() {
            thread::sleep(due.saturating_sub(start.elapsed()).min(NAP));
        }
        !stopped()
    };
    let checked = service.reader.check(basis, || service.writer.snapshot().tip, pace)?;
    openings(service)?;
    let s = start.elapsed().as_secs();
    tracing::info!(records = checked.records, bytes = checked.bytes, s, "all of the log was checked");
    Ok(())
}

/// The openings of every community lead to the state tree: of those that had no batch since the snapshot, opening took the
/// node that is in it.
fn openings(service: &Service) -> Result<(), Finding> {
    let all: Vec<u32> = service.writer.snapshot().communities.keys().copied().collect();
    for community in all {
        let there = {
            let snapshot = service.writer.snapshot();
            let begun = snapshot.log_state.communities.get(&community).is_some_and(|state| state.begun);
            let openings = snapshot.communities.get(&community).filter(|_| begun).cloned();
            openings.map(|openings| (openings, snapshot.tree.leaf(u64::from(community))))
        };
        if there.is_some_and(|(openings, node)| openings.node() != node) {
            return Err(Finding::Openings { community });
        }
        if *service.killed.borrow() {
            return Err(Finding::Stopped);
        }
    }
    Ok(())
}
