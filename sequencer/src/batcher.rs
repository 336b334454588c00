//! From packets to batches: closing a period, filling what is empty, applying the rules. Decides nothing that
//! `protocol` decides.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use gridveil_protocol::{
    community::Community,
    field::{Fr, reduce, to_bytes},
    init,
    packet::PacketSalts,
    settlement::{self, Transition},
    tariff::Tariff,
    tree::Children,
    units::Interval,
};
use serde_json::json;

use crate::{
    l1,
    problem::{self, Problem},
    selection::{self, Candidates, Late, Place, Selection},
    service::Service,
    store::{
        Draft, StoreError,
        data_keys::{self, COMMUNITY_PART, DataKeyError, Label},
        log_state::CommunityState,
        pending::Pending,
        pending_substitutes::Top,
        plain,
        reader::StoreReader,
        record::{Applied, Closed, ClosedSecrets, Event, TariffPublished, Used, kind},
        state_parts,
    },
    writer::{Decision, Snapshot},
};

/// A period settled natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedPeriod {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// Batch.
    pub batch: u64,
    /// State root after.
    pub new_root: Fr,
}

fn unknown_community() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community")
}

fn state_of(snapshot: &Snapshot, community: u32) -> Result<&CommunityState, Problem> {
    snapshot.log_state.communities.get(&community).ok_or_else(unknown_community)
}

/// Closes a period and settles it natively. Asked again for a period that is settled, answers the same; for one that is
/// closed but not settled, tries again. Ends even if whoever asks goes away.
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
        closings.spawn(closing);
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
        return Err(Problem::new(problem::CLOSE_PERIOD, format!("the open period starts at interval {open}"))
            .with("open", json!(open)));
    }
    if !closed {
        close_open(service, community, first_interval).await?;
    }
    apply(service, community).await
}

/// Is the period over for L1? And is the tariff we hold the one L1 has in force?
async fn check_l1(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    let (end, tariff) = {
        let snapshot = service.writer.snapshot();
        let log_state = state_of(&snapshot, community)?;
        let length = snapshot.communities.get(&community).map_or(0, |c| c.header.interval_length);
        (u64::from(log_state.after_open()) * u64::from(length), log_state.tariff_for(first_interval))
    };
    let now = service.l1.timestamp().await.map_err(|e| l1::unreachable(&e))?;
    if now < end {
        return Err(Problem::new(problem::CLOSE_NOT_OVER, format!("the period ends in {} s of L1 time", end - now)));
    }
    let (_, _, commitment) =
        tariff.ok_or_else(|| Problem::new(problem::CLOSE_NO_TARIFF, "no tariff is published for this period"))?;
    let in_force = l1::in_force(service, community, first_interval).await.map_err(|e| l1::unreachable(&e))?;
    if in_force.map(|t| t.commitment) != Some(to_bytes(&commitment)) {
        return Err(Problem::new(
            problem::TARIFF_NOT_IN_FORCE,
            "the tariff published here is not the one L1 has in force for this period",
        ));
    }
    Ok(())
}

/// A used slot without any packet of the open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Slot.
    pub slot: u16,
    /// What a substitute of the open period has to name ([`gridveil_protocol::packet::Packet::previous_substitute`]).
    pub previous_substitute: Fr,
    /// Wh of a reading's unit ([`gridveil_protocol::packet::Packet::scale`]).
    pub scale: u8,
}

/// What the meter data manager has to know to substitute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPeriod {
    /// Its first interval.
    pub first_interval: Interval,
    /// Used slots without any packet; none while the period is closed and not settled.
    pub missing: Vec<Missing>,
}

/// Used slots of the open period without any packet, each with the substitute that a new one would lie on.
///
/// # Errors
/// [`Problem`], for an unknown community.
pub fn open_period(snapshot: &Snapshot, community: u32) -> Result<OpenPeriod, Problem> {
    let log_state = state_of(snapshot, community)?;
    let missing = if log_state.closed.is_some() { Vec::new() } else { missing(snapshot, community)? };
    Ok(OpenPeriod { first_interval: log_state.next_interval, missing })
}

/// Used slots without any packet.
fn missing(snapshot: &Snapshot, community: u32) -> Result<Vec<Missing>, Problem> {
    let log_state = state_of(snapshot, community)?;
    let accounts = &snapshot.communities.get(&community).ok_or_else(unknown_community)?.accounts;
    let used = (0u16..).zip(accounts).filter(|(_, account)| account.meter.is_some());
    let without = used.filter(|(slot, _)| [false, true].iter().all(|s| !log_state.packets.contains_key(&(*slot, *s))));
    Ok(without
        .map(|(slot, account)| Missing {
            slot,
            previous_substitute: account.pending_substitute,
            scale: account.terms.scale,
        })
        .collect())
}

async fn close_open(service: &Service, community: u32, first_interval: Interval) -> Result<(), Problem> {
    check_l1(service, community, first_interval).await?;
    let decide = move |snapshot: &Snapshot| {
        let missing = missing(snapshot, community)?;
        if !missing.is_empty() {
            let detail =
                format!("{} used slots have no packet; ask the meter data manager for substitutes", missing.len());
            let slots: Vec<u16> = missing.iter().map(|m| m.slot).collect();
            return Err(Problem::new(problem::CLOSE_MISSING, detail).with("missing", json!(slots)));
        }
        Ok(Decision::write(closing_draft(snapshot, community, first_interval)?, ()))
    };
    service.writer.submit_waiting(decide).await
}

fn fresh_element() -> Result<Fr, DataKeyError> {
    data_keys::random::<64>().map(|bytes| reduce(&bytes))
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
            empty.push((slot, PacketSalts::from_random(&data_keys::random().map_err(StoreError::from)?)));
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

/// What a closing starts from: the community, its path, and everything that waits.
struct Basis {
    community: Arc<Community>,
    path: Vec<Children>,
    batch: u64,
    previous: Option<u64>,
    begins: bool,
    selected: bool,
    pending: Pending,
}

impl Basis {
    fn of(snapshot: &Snapshot, community: u32) -> Result<Self, Problem> {
        let log_state = state_of(snapshot, community)?;
        Ok(Self {
            community: Arc::clone(snapshot.communities.get(&community).ok_or_else(unknown_community)?),
            path: snapshot.tree.path(u64::from(community)),
            batch: snapshot.log_state.last_batch + 1,
            previous: log_state.last_batch,
            begins: !log_state.begun,
            selected: log_state.selected.is_some(),
            pending: log_state.pending.clone(),
        })
    }
}

/// Settles a closed period natively.
async fn apply(service: &Arc<Service>, community: u32) -> Result<AppliedPeriod, Problem> {
    let basis = Basis::of(&service.writer.snapshot(), community)?;
    let (batch, previous) = (basis.batch, basis.previous);
    let settled = if basis.selected { settle_selected(service, basis).await } else { select(service, basis).await };
    let transition = settled.inspect_err(|problem| {
        if problem.more.contains_key("clause") {
            tracing::error!(
                community,
                code = problem.code.code,
                "a closed period does not settle; nothing is lost, it can be tried again"
            );
            service.blocked.lock().unwrap_or_else(PoisonError::into_inner).insert(community, problem.clone());
        }
    })?;
    let instance = transition.instance;
    let first_interval = transition.input.community.header.next_interval;
    let applied = Applied::of(batch, previous, &transition);
    let kept = Arc::clone(&transition);
    let decide = move |_: &Snapshot| {
        let parts =
            state_parts(kind::APPLIED, first_interval, &transition.after, Vec::new()).map_err(StoreError::from)?;
        let draft = Draft { event: Event::Applied(applied), parts };
        Ok(Decision::Write { draft: Box::new(draft), after: Some(Box::new(transition.after.clone())), answer: () })
    };
    service.writer.submit_waiting(decide).await?;
    service.reader.keep(batch, &kept);
    service.blocked.lock().unwrap_or_else(PoisonError::into_inner).remove(&community);
    tracing::info!(community, batch, first_interval, "period applied");
    Ok(AppliedPeriod { community, first_interval, batch, new_root: instance.new_root })
}

/// What was selected before a stop, again.
async fn settle_selected(service: &Arc<Service>, basis: Basis) -> Result<Arc<Transition>, Problem> {
    let (reader, domain) = (Arc::clone(&service.reader), service.domain);
    let settled = tokio::task::spawn_blocking(move || {
        let input = reader.input(domain, Arc::unwrap_or_clone(basis.community), basis.path)?;
        settlement::apply(input).map(Arc::new).map_err(|error| Problem::of_settlement(&error))
    });
    settled.await.map_err(|_| Problem::internal("a settlement did not end"))?
}

/// Selects what the settlement does beside settling. The selection is durable before it is applied.
async fn select(service: &Arc<Service>, basis: Basis) -> Result<Arc<Transition>, Problem> {
    let (reader, pending, before) = (Arc::clone(&service.reader), basis.pending.clone(), Arc::clone(&basis.community));
    // Refused operations take no operation slot: some more than there are operation slots are looked at.
    let looked_at = 2 * basis.community.shape.operations;
    let read = tokio::task::spawn_blocking(move || candidates(&reader, &pending, &before, looked_at));
    let candidates = read.await.map_err(|_| Problem::internal("operations could not be read"))??;
    if basis.begins {
        let terms = l1::genesis_terms(service, basis.community.index).await.map_err(|e| l1::unreachable(&e))?;
        if terms != to_bytes(&init::genesis_terms(&basis.community.header)) {
            return Err(Problem::new(
                problem::SETTLEMENT_TERMS,
                "STATE.INIT: L1 has other terms registered for this community (meter data manager)",
            ));
        }
    }
    let claims = selection::claims(&candidates.operations);
    let view = l1::view(service, basis.community.index, &claims).await.map_err(|e| l1::unreachable(&e))?;
    let (reader, domain) = (Arc::clone(&service.reader), service.domain);
    let settled = tokio::task::spawn_blocking(move || {
        let base = reader.settling(domain, Arc::unwrap_or_clone(basis.community), basis.path)?;
        selection::select(base, basis.begins, candidates, view).map_err(|error| Problem::of_settlement(&error))
    });
    let Selection { transition, selected, forced } =
        settled.await.map_err(|_| Problem::internal("a settlement did not end"))??;
    let (community, first_interval) = (selected.community, selected.first_interval);
    let sealed = forced.into_iter().map(|(part, operations)| {
        let label = Label { kind: kind::SELECTED, community, part, first_interval };
        Ok((label, plain(kind::SELECTED, &operations).map_err(StoreError::from)?))
    });
    let parts = sealed.collect::<Result<Vec<_>, Problem>>()?;
    let (operation_slots, refused) = (selected.slots.len(), selected.refused.len());
    let draft = Draft { event: Event::Selected(selected), parts };
    service.writer.submit_waiting(move |_: &Snapshot| Ok(Decision::write(draft, ()))).await?;
    tracing::info!(community, first_interval, operation_slots, refused, "operations selected");
    Ok(Arc::new(transition))
}

fn candidates(
    reader: &StoreReader,
    pending: &Pending,
    before: &Community,
    operations: usize,
) -> Result<Candidates, StoreError> {
    let operations = pending.operations.iter().take(operations).map(|o| Ok((o.id, reader.operation(o.offset)?)));
    Ok(Candidates {
        operations: operations.collect::<Result<_, StoreError>>()?,
        late: late(reader, pending, before)?,
        header: pending.header.map(|h| reader.header_operation(h.offset)).transpose()?,
    })
}

/// Late packets, and where their substitutes lie. Only those on top are opened.
fn late(reader: &StoreReader, pending: &Pending, before: &Community) -> Result<Vec<Late>, StoreError> {
    // By slot: the oldest period that a late packet is of, and then the pending substitutes down to it.
    let mut oldest = BTreeMap::new();
    for l in &pending.late {
        let until = oldest.entry(l.slot).or_insert(l.first_interval);
        *until = l.first_interval.min(*until);
    }
    let pending_substitutes = |(slot, until): (u16, Interval)| {
        let pending_substitute =
            before.accounts.get(usize::from(slot)).map_or(Fr::from(0u64), |account| account.pending_substitute);
        let header = &before.header;
        let top = Top {
            community: before.index,
            slot,
            pending_substitute,
            before: header.next_interval,
            intervals: header.intervals,
            mdm: header.mdm,
        };
        Ok::<_, StoreError>((slot, reader.pending_substitutes(&top, until)?))
    };
    let stacks = oldest.into_iter().map(pending_substitutes).collect::<Result<BTreeMap<_, _>, StoreError>>()?;
    let place = |slot: u16, first_interval: Interval, offset: u64| {
        let pending_substitutes = stacks.get(&slot).map_or(&[][..], Vec::as_slice);
        Ok::<Place, StoreError>(match pending_substitutes.iter().position(|period| *period == first_interval) {
            None => Place::Final,
            Some(0) => reader
                .correction(reader.late(offset)?)?
                .map_or(Place::Final, |correction| Place::Top(Box::new(correction))),
            Some(_) => Place::Beneath,
        })
    };
    pending
        .late
        .iter()
        .map(|l| Ok(Late { id: l.id, slot: l.slot, place: place(l.slot, l.first_interval, l.offset)? }))
        .collect()
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
        let mut wait = service.config.backoff.first;
        while let Err(problem) = close(service, community, first_interval).await {
            tracing::warn!(community, code = problem.code.code, "a closed period still waits");
            if problem.code != problem::L1_UNREACHABLE {
                break;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(service.config.backoff.longest);
        }
    }
}

/// Periods that can be closed: every used slot has a packet. Also those that were closed when L1 could not be asked
/// what to select.
fn complete(service: &Service) -> Vec<(u32, Interval)> {
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let snapshot = service.writer.snapshot();
    let waits = |c: &u32, closed: bool| {
        if closed { !blocked.contains_key(c) } else { missing(&snapshot, *c).is_ok_and(|m| m.is_empty()) }
    };
    snapshot
        .log_state
        .communities
        .iter()
        .filter(|(c, b)| waits(c, b.closed.is_some()))
        .map(|(c, b)| (*c, b.next_interval))
        .collect()
}

/// Closes periods that are over and complete, as they become so.
pub async fn auto_close(service: Arc<Service>) {
    let mut tick = tokio::time::interval(service.config.auto_close_every);
    loop {
        tick.tick().await;
        let complete = complete(&service);
        for (community, first_interval) in complete {
            if let Err(problem) = close(&service, community, first_interval).await {
                tracing::info!(community, code = problem.code.code, "not closed yet");
            }
        }
    }
}

/// How a tariff stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedTariff {
    /// Its commitment.
    pub commitment: Fr,
    /// Is it new here?
    pub new: bool,
    /// Has L1 registered this commitment for this interval?
    pub registered: bool,
}

/// Publishes a tariff off-chain.
///
/// # Errors
/// [`Problem`].
pub async fn publish_tariff(
    service: &Service,
    community: u32,
    first_interval: Interval,
    tariff: Tariff,
) -> Result<PublishedTariff, Problem> {
    let commitment = tariff.commitment();
    let m = state_of(&service.writer.snapshot(), community)?.shape.intervals;
    if tariff.intervals.len() != m {
        let detail = format!("{} intervals given, the period has {m}", tariff.intervals.len());
        return Err(Problem::new(problem::TARIFF_LENGTH, detail));
    }
    let on_l1 = l1::tariffs_of(service, community).await.ok();
    let registered =
        on_l1.and_then(|all| all.into_iter().find(|t| t.first_interval == first_interval)).map(|t| t.commitment);
    if registered.is_some_and(|c| c != to_bytes(&commitment)) {
        return Err(Problem::new(problem::TARIFF_NOT_IN_FORCE, "L1 has another commitment for this interval"));
    }
    let decide = move |snapshot: &Snapshot| {
        let log_state = state_of(snapshot, community)?;
        match log_state.tariffs.get(&first_interval) {
            Some((_, there)) if *there == commitment => return Ok(Decision::Answer(false)),
            Some(_) => {
                return Err(Problem::new(problem::TARIFF_PUBLISHED, "another tariff is published for this interval"));
            }
            None => {}
        }
        // A tariff must not change what was in force for a period that is closed already.
        let last_closed =
            if log_state.closed.is_some() { Some(log_state.next_interval) } else { log_state.last_period };
        if last_closed.is_some_and(|last| first_interval <= last) {
            return Err(Problem::new(problem::TARIFF_CLOSED, "that period is already closed"));
        }
        Ok(Decision::write(
            Draft::public(Event::Tariff(TariffPublished { community, first_interval, tariff, commitment })),
            true,
        ))
    };
    let new = service.writer.submit(decide).await?;
    Ok(PublishedTariff { commitment, new, registered: registered.is_some() })
}
