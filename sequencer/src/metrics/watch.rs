//! What is looked at again and again, and not when a scraper asks: disks, provers, L1.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use gridveil_verifier_contract::{L1Error, Stage};

use super::gauge;
use crate::{service::Service, store::log};

/// Longest wait for an answer that is only to be shown.
const ANSWER: Duration = Duration::from_secs(5);
/// Forced queues that are asked for in one round: with more communities a queue is looked at every second or third round.
const QUEUES: usize = 256;
/// Wei of a gwei.
const GWEI: u128 = 1_000_000_000;

/// Looks again and again, until the task is dropped.
pub(crate) async fn watch(service: Arc<Service>) {
    service.metrics.start.set(std::time::UNIX_EPOCH.elapsed().map_or(0.0, |now| now.as_secs_f64()));
    let mut forced = Forced::default();
    let mut of_l1 = None::<tokio::time::Instant>;
    loop {
        disks(&service).await;
        if let Ok(provers) = tokio::time::timeout(ANSWER, service.proofs.provers()).await {
            service.metrics.provers.set(provers.map(|provers| provers as u64));
        }
        if of_l1.is_none_or(|at| at.elapsed() >= service.config.obstacles_every) {
            of_l1 = Some(tokio::time::Instant::now());
            l1(&service, &mut forced).await;
        }
        tokio::time::sleep(service.config.watch_every).await;
    }
}

/// Where the round of forced queues is, and what the last look at each found.
#[derive(Default)]
struct Forced {
    after: u32,
    deadline_s: Option<u64>,
    /// Community, requests that wait, when the first was made.
    waiting: BTreeMap<u32, (usize, u64)>,
}

async fn disks(service: &Service) {
    let directory = service.config.data_dir.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let log = std::fs::metadata(log::path_in(&directory)).map_or(0, |file| file.len());
        let free = rustix::fs::statvfs(&directory).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        (log, size_of(&directory.join("index")), free)
    });
    if let Ok((log, index, free)) = looked.await {
        service.metrics.log_bytes.set(gauge(log));
        service.metrics.index_bytes.set(gauge(index));
        service.metrics.disk_free.set(free);
    }
}

/// Bytes of the files in a directory and below.
fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_of(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// What L1 says. What it does not say now stays as it was: that it does not answer is told elsewhere.
async fn l1(service: &Service, forced: &mut Forced) {
    let (metrics, l1) = (&service.metrics, &service.l1);
    if let Ok(Ok(balance)) = tokio::time::timeout(ANSWER, l1.balance()).await {
        metrics.l1_balance.set(balance.map(|wei| u64::try_from(wei / GWEI).unwrap_or(u64::MAX)));
    }
    if let Ok(Ok(earliest)) = tokio::time::timeout(ANSWER, upgrade(service)).await {
        metrics.upgrade_from.set(earliest);
    }
    look_at_forced(service, forced).await;
    let ends = service.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let coming = ends.values().filter(|end| end.closes_at_s > 0 && end.stage != Stage::Closed);
    metrics.ending.set(gauge(coming.clone().count()));
    metrics.next_end.set(coming.map(|end| end.closes_at_s).min());
}

/// When a verifier may first be used that has no batch yet, of a version that this program knows or that was announced, for
/// the shapes that are served here: the earliest.
async fn upgrade(service: &Service) -> Result<Option<u64>, L1Error> {
    let announced = u64::from(service.l1.announcement().await?.circuit_version);
    let known = service.config.versions.iter().map(|version| version.number()).chain([announced]);
    let later: BTreeSet<u32> = known
        .filter(|number| *number > service.genesis.circuit_version)
        .filter_map(|number| u32::try_from(number).ok())
        .collect();
    let shapes: BTreeSet<u32> =
        service.writer.snapshot().log_state.communities.values().map(|state| state.shape.id).collect();
    let mut earliest = None::<u64>;
    let of_version = |version: u32| shapes.iter().map(move |shape| (version, *shape));
    let verifiers: Vec<(u32, u32)> = later.into_iter().flat_map(of_version).collect();
    for (version, shape) in verifiers {
        if let Some(verifier) = service.l1.verifier(version, shape).await?
            && !verifier.used
        {
            earliest = Some(earliest.map_or(verifier.active_from_s, |at| at.min(verifier.active_from_s)));
        }
    }
    Ok(earliest)
}

async fn look_at_forced(service: &Service, forced: &mut Forced) {
    let known: Vec<u32> = service.writer.snapshot().communities.keys().copied().collect();
    if forced.deadline_s.is_none() {
        forced.deadline_s = service.l1.forced_deadline_s().await.ok();
    }
    let after = forced.after;
    let (behind, ahead): (Vec<u32>, Vec<u32>) = known.iter().partition(|community| **community <= after);
    for community in ahead.into_iter().chain(behind).take(QUEUES) {
        let Ok(Ok(queue)) = tokio::time::timeout(ANSWER, service.l1.forced_queue(community)).await else { break };
        forced.after = community;
        match queue.first() {
            Some(first) => drop(forced.waiting.insert(community, (queue.len(), first.time))),
            None => drop(forced.waiting.remove(&community)),
        }
    }
    let metrics = &service.metrics;
    metrics.forced.set(gauge(forced.waiting.values().map(|(count, _)| count).sum::<usize>()));
    let oldest = forced.waiting.values().map(|(_, at)| *at).min();
    metrics.forced_deadline.set(oldest.zip(forced.deadline_s).map(|(at, within)| at.saturating_add(within)));
}
