//! Erasing an account that has ended and is final on L1 (`docs/adr/0038-erasure.md`): first what others need of it is kept,
//! then the list of erasures is durable, then the log has it, then its keys are overwritten. Every step can be made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gridveil_api::admin::ErasedAccount;
use gridveil_protocol::receipt::Receipt;

use crate::{
    config,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft, Part, StoreError,
        accounts::EndedAccount,
        data_keys::{KeyName, Label},
        erasures,
        log_state::{CommunityState, LogState, key},
        plain,
        reader::StoreReader,
        record::{Erased, Event, Kept, kind},
    },
    writer::{Decision, Snapshot},
};

/// Erases an account. Asked again after a crash, it goes on; asked again afterwards, it answers the same.
///
/// # Errors
/// `account.unknown`, `account.lives`, `account.several`, `account.not_final`.
pub async fn erase(
    service: &Arc<Service>,
    community: u32,
    slot: u16,
    number: Option<u32>,
) -> Result<ErasedAccount, Problem> {
    // No batch comes meanwhile.
    let _one_at_a_time = service.closing.lock().await;
    let account = {
        let snapshot = service.writer.snapshot();
        let account = chosen(service, &snapshot, community, slot, number)?;
        check_final(&service.reader, &snapshot.log_state, community, slot, &account)?;
        account
    };
    let batches = batches_of(&service.reader, &account)?;
    for batch in &batches {
        keep(service, community, *batch).await?;
    }
    let reader = Arc::clone(&service.reader);
    let known = |generation: &u32| reader.data_keys().knows((community, slot, *generation));
    let generations: Vec<u32> = (account.first..account.next).filter(known).collect();
    let names: Vec<_> = generations.iter().map(|generation| (community, slot, *generation)).collect();
    let path = erasures::path_in(&service.config.data_dir);
    let (keys, listed) = (Arc::clone(&reader), names.clone());
    let added = tokio::task::spawn_blocking(move || erasures::add(&path, keys.data_keys(), listed)).await;
    added.map_err(|_| Problem::internal("the list of erasures was not written"))?.map_err(StoreError::from)?;
    let event = Event::Erased(Erased { community, slot, generations });
    let record = {
        let names = names.clone();
        move |snapshot: &Snapshot| {
            let there = names.iter().all(|name| snapshot.log_state.erased.contains(name));
            Ok(if there { Decision::Answer(()) } else { Decision::write(Draft::public(event), ()) })
        }
    };
    service.writer.submit_waiting(record).await?;
    reader.forget();
    let overwritten = tokio::task::spawn_blocking(move || {
        names.into_iter().try_for_each(|name| reader.data_keys().erase(name)).map_err(StoreError::from)
    });
    overwritten.await.map_err(|_| Problem::internal("keys were not overwritten"))??;
    tracing::info!(community, batches = batches.len(), "an account was erased");
    let (account, ended_with) = (account.number, account.batch);
    Ok(ErasedAccount { community, slot, account, ended_with, batches: batches.len() })
}

/// Finishes erasures that the list has and the log does not: one that was interrupted, or a backup from before it. What is
/// not final in this log yet is waited for.
pub async fn finish(service: Arc<Service>, names: BTreeSet<KeyName>) {
    let mut pauses = service.config.backoff.pauses();
    let slots: BTreeMap<(u32, u16), BTreeSet<u32>> =
        names.into_iter().fold(BTreeMap::new(), |mut slots, (community, slot, generation)| {
            slots.entry((community, slot)).or_insert_with(BTreeSet::new).insert(generation);
            slots
        });
    for ((community, slot), generations) in slots {
        let ended = {
            let snapshot = service.writer.snapshot();
            snapshot.log_state.communities.get(&community).map(|state| state.switches.ended(slot))
        };
        let named = |account: &EndedAccount| generations.range(account.first..account.next).next().is_some();
        for account in ended.into_iter().flatten().filter(named) {
            while let Err(problem) = erase(&service, community, slot, Some(account.number)).await {
                service.health.degraded("erasure", Some(problem.to_string()));
                config::pause(&mut pauses).await;
            }
        }
    }
    service.health.degraded("erasure", None);
}

fn state_of(log_state: &LogState, community: u32) -> Result<&CommunityState, Problem> {
    let state = log_state.communities.get(&community).map(Arc::as_ref);
    state.ok_or_else(|| Problem::new(problem::ACCOUNT_UNKNOWN, "no such community"))
}

/// The account that is meant.
fn chosen(
    service: &Service,
    snapshot: &Snapshot,
    community: u32,
    slot: u16,
    number: Option<u32>,
) -> Result<EndedAccount, Problem> {
    let state = state_of(&snapshot.log_state, community)?;
    if usize::from(slot) >= state.shape.members {
        return Err(Problem::new(problem::ACCOUNT_UNKNOWN, "no such slot"));
    }
    let ended = state.switches.ended(slot);
    let lives = || {
        Problem::new(
            problem::ACCOUNT_LIVES,
            "no account of this slot has ended: a living one leaves first (gridveil member close), and its batch settles",
        )
    };
    if let Some(number) = number {
        return ended.into_iter().find(|account| account.number == number).ok_or_else(lives);
    }
    let erased = |account: &EndedAccount| service.reader.data_keys().is_erased((community, slot, account.first));
    let (done, mut left): (Vec<_>, Vec<_>) = ended.into_iter().partition(erased);
    match (left.pop(), left.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            let numbers: Vec<String> = left.iter().map(|account| account.number.to_string()).collect();
            Err(Problem::new(
                problem::ACCOUNT_SEVERAL,
                format!("name one: {} or {}", numbers.join(", "), left.len() + done.len()),
            ))
        }
        (None, _) => done.last().copied().ok_or_else(lives),
    }
}

/// Its last batch is final, and nothing that it signed waits.
fn check_final(
    reader: &StoreReader,
    log_state: &LogState,
    community: u32,
    slot: u16,
    account: &EndedAccount,
) -> Result<(), Problem> {
    let not_final = |why: &str| Err(Problem::new(problem::ACCOUNT_NOT_FINAL, why));
    if !log_state.is_settled(account.batch) {
        return not_final("the batch with which it ended is not final on L1: ask again when it is");
    }
    let state = state_of(log_state, community)?;
    let ended_at = reader.offset_of(&key::batch(b'a', account.batch))?;
    let pending = &state.pending;
    let operations = pending.of_slot(slot).map(|operation| operation.offset);
    let late = pending.late.iter().filter(|late| late.slot == slot).map(|late| late.offset);
    let packets = state.ahead.values().chain([&state.packets]).flatten();
    let packets = packets.filter(|((of, _), _)| *of == slot).map(|(_, packet)| packet.offset);
    if operations.chain(late).chain(packets).any(|offset| offset < ended_at) {
        return not_final("something that it signed still waits: ask again after the next period is settled");
    }
    Ok(())
}

/// The batches in which the account was settled, newest first.
fn batches_of(reader: &StoreReader, account: &EndedAccount) -> Result<Vec<u64>, Problem> {
    let (mut batches, mut next) = (Vec::new(), Some(account.batch));
    while let Some(batch) = next.filter(|batch| Some(*batch) != account.after) {
        batches.push(batch);
        next = reader.applied(batch)?.previous;
    }
    Ok(batches)
}

/// Keeps the receipts of a batch, each under the key of its own account: they are computed from the packets of all.
async fn keep(service: &Arc<Service>, community: u32, batch: u64) -> Result<(), Problem> {
    let (current, domains, switches, members) = {
        let snapshot = service.writer.snapshot();
        if snapshot.log_state.kept.contains(&batch) {
            return Ok(());
        }
        let state = state_of(&snapshot.log_state, community)?;
        let current = snapshot.communities.get(&community).cloned();
        let current = current.ok_or_else(|| Problem::new(problem::ACCOUNT_UNKNOWN, "no such community"))?;
        (current, service.domains(&snapshot), state.switches.clone(), state.shape.members)
    };
    let reader = Arc::clone(&service.reader);
    let computed = tokio::task::spawn_blocking(move || {
        let first_interval = reader.applied(batch)?.first_interval;
        let domain = domains.of_period(first_interval, current.header.interval_length);
        let transition = reader.transition(domain, batch, &current)?;
        let mut parts: Vec<Part> = Vec::new();
        for slot in (0u16..).take(members) {
            let name = (community, slot, switches.generation_in(slot, batch));
            if let Some(receipt) =
                Receipt::of(&transition, usize::from(slot)).filter(|_| !reader.data_keys().is_erased(name))
            {
                let label = Label { kind: kind::KEPT, community, part: slot, first_interval };
                parts.push((label, plain(kind::KEPT, &receipt)?));
            }
        }
        let before = &transition.input.community;
        let (members_root, certificates_root) = (before.members_root(), before.certificates.root());
        let event = Event::Kept(Kept { batch, community, first_interval, members_root, certificates_root });
        Ok::<_, StoreError>(Draft { event, parts })
    });
    let draft = computed.await.map_err(|_| Problem::internal("receipts could not be computed"))??;
    service.writer.submit_waiting(move |_: &Snapshot| Ok(Decision::write(draft, ()))).await
}
