//! What holds a community up is told by `/healthz` before a member asks for it: a period that is over and not closed, a
//! tariff with which no period can be closed, and a verifier that L1 has stopped.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError},
};

use gridveil_protocol::{field::to_bytes, units::Interval};
use gridveil_verifier_contract::{CommunityEnd, Stage, TariffEntry};

use crate::{
    batch::open_period, emergency, ends, l1, service::Service, store::log_state::CommunityState, writer::Snapshot,
};

/// Looks again and again, until the task is dropped.
pub async fn watch(service: Arc<Service>) {
    let mut sets = BTreeMap::new();
    loop {
        tokio::time::sleep(service.config.obstacles_every).await;
        // That L1 does not answer is told by who settles.
        let Ok(now) = service.l1.timestamp().await else { continue };
        let ends = ends::look(&service).await;
        service.health.degraded("emergency", emergency::look(&service).await);
        service.health.degraded("period", late(&service, &ends, now));
        service.health.degraded("tariff", not_in_force(&service, &ends, &mut sets, now).await);
    }
}

fn day(interval: Interval, length: u16) -> String {
    let seconds = i64::try_from(interval.start(length)).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Every community with the interval length of its header, but those whose open period is not settled any more, because
/// they come to their end.
pub(crate) fn communities<'a>(
    snapshot: &'a Snapshot,
    ends: &'a BTreeMap<u32, CommunityEnd>,
) -> impl Iterator<Item = (u32, u16, &'a CommunityState)> {
    let length = |community| snapshot.communities.get(community).map_or(0, |c| c.header.interval_length);
    let all = snapshot.log_state.communities.iter();
    all.map(move |(community, state)| (*community, length(community), &**state)).filter(|(community, length, state)| {
        let period_end_s = state.after_open().start(*length);
        !ends.get(community).is_some_and(|end| end.stage == Stage::Closed || end.is_after_notice(period_end_s))
    })
}

/// The first community whose open period is over for longer than [`crate::Config::late_after`].
fn late(service: &Service, ends: &BTreeMap<u32, CommunityEnd>, now: u64) -> Option<String> {
    let snapshot = service.writer.snapshot();
    let grace = service.config.late_after.as_secs();
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    communities(&snapshot, ends).find_map(|(community, length, state)| {
        let over = now.checked_sub(state.after_open().start(length)).filter(|over| *over > grace)?;
        // Everybody reads this: how many slots are silent, and which, is for the operator (`missing`).
        let waits = open_period(&snapshot, community).is_ok_and(|open| !open.missing.is_empty());
        let why = match blocked.get(&community) {
            Some(problem) => format!("the rules refuse it, {}", problem.code.name),
            None if waits => "used slots have no packet; ask the meter data manager for substitutes".to_owned(),
            None => "close it".to_owned(),
        };
        let from = day(state.next_interval, length);
        Some(format!(
            "community {community}: its period from {from} is over for {} h and not settled: {why}",
            over / 3600
        ))
    })
}

/// The first community whose open period has begun, with no tariff here, or with another than L1 has in force.
/// `sets` has the communities' tariff sets, as far as L1 was asked.
async fn not_in_force(
    service: &Service,
    ends: &BTreeMap<u32, CommunityEnd>,
    sets: &mut BTreeMap<u32, u32>,
    now: u64,
) -> Option<String> {
    let open: Vec<_> = {
        let snapshot = service.writer.snapshot();
        let begun = communities(&snapshot, ends).filter(|(_, length, state)| state.next_interval.start(*length) <= now);
        begun
            .map(|(community, length, state)| {
                (community, length, state.next_interval, state.tariff_for(state.next_interval))
            })
            .collect()
    };
    // By set, once: thousands of communities share a few sets, or have one each.
    let mut tariffs: BTreeMap<u32, Vec<TariffEntry>> = BTreeMap::new();
    for tariff in service.l1.tariffs(0).await.ok()? {
        tariffs.entry(tariff.tariff_set).or_default().push(tariff);
    }
    tariffs.values_mut().for_each(|of_set| of_set.sort_by_key(|tariff| tariff.index));
    for (community, length, first_interval, tariff) in open {
        let set = match sets.entry(community) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => match l1::tariff_set_of(&*service.l1, community).await {
                Ok(set) => *place.insert(set),
                Err(_) => continue,
            },
        };
        let on_l1 = tariffs.get(&set).map_or(&[][..], Vec::as_slice);
        let in_force = l1::at(on_l1, first_interval).map(|tariff| tariff.commitment);
        let why = match (tariff, in_force) {
            (_, None) => "L1 has no tariff in force for it: the tariff authority publishes one",
            (None, Some(_)) => "no tariff is published here: publish the one that L1 has in force",
            (Some((_, _, commitment)), Some(on_l1)) if to_bytes(&commitment) != on_l1 => {
                "the tariff published here is not the one that L1 has in force: publish that one, it takes its place"
            }
            (Some(_), Some(_)) => continue,
        };
        let from = day(first_interval, length);
        return Some(format!("community {community}: its period from {from} cannot be closed: {why}"));
    }
    None
}
