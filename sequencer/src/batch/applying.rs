//! Settling a closed period natively: the operations that it carries are selected and made durable, then the rules are
//! applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Instant,
};

use gridveil_protocol::{
    community::Community,
    field::{Fr, to_bytes},
    init,
    operation::{Kind, SignedOperation},
    settlement::{self, Transition},
    tree::Children,
};

use super::{
    AppliedPeriod,
    candidates::candidates,
    selection::{self, Selection},
    state_of, unknown_community,
};
use tracing::Instrument as _;

use crate::{
    l1,
    metrics::seconds,
    problem::{self, Code, Problem},
    service::Service,
    store::{
        Draft, StoreError,
        data_keys::Label,
        pending::Pending,
        plain,
        record::{Applied, EndedSlot, Event, Refused, Selected, kind},
        state_parts,
    },
    writer::{Decision, Snapshot},
};

/// What a closing starts from: the community, its path, and everything that is pending.
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
pub(super) async fn apply(service: &Arc<Service>, community: u32) -> Result<AppliedPeriod, Problem> {
    let basis = Basis::of(&service.writer.snapshot(), community)?;
    let (batch, previous) = (basis.batch, basis.previous);
    let start = Instant::now();
    let settled = if basis.selected {
        settle_selected(service, basis).await
    } else {
        select(service, basis).instrument(tracing::info_span!("select", community, batch)).await
    };
    let transition = settled.inspect_err(|problem| {
        if problem.members.clause.is_some() {
            tracing::error!(
                community,
                code = problem.code.name,
                "a closed period does not settle; nothing is lost, it can be tried again"
            );
            service.blocked.lock().unwrap_or_else(PoisonError::into_inner).insert(community, problem.clone());
        }
    })?;
    service.metrics.selection.observe(seconds(start.elapsed()));
    let instance = transition.instance;
    let first_interval = transition.input.community.header.next_interval;
    let applied = Applied { ended: ended(service, &transition).await?, ..Applied::of(batch, previous, &transition) };
    let kept = Arc::clone(&transition);
    let decide = move |snapshot: &Snapshot| {
        let applied = Applied { refused: caught(snapshot, &applied)?, ..applied };
        let parts =
            state_parts(kind::APPLIED, first_interval, &transition.after, Vec::new()).map_err(StoreError::from)?;
        let draft = Draft { event: Event::Applied(applied), parts };
        Ok(Decision::Write { draft: Box::new(draft), after: Some(Box::new(transition.after.clone())), answer: () })
    };
    service.writer.submit_waiting(decide).await?;
    service.metrics.applied(batch);
    service.reader.keep(batch, &kept);
    service.blocked.lock().unwrap_or_else(PoisonError::into_inner).remove(&community);
    tracing::info!(community, batch, first_interval = first_interval.0, "period applied");
    Ok(AppliedPeriod { community, first_interval, batch, new_root: instance.new_root })
}

/// The accounts that end with a settlement, with the next keys of their slots, which are made now: what is sealed for the
/// next account is not under the key of the last one, and goes not when that is erased.
async fn ended(service: &Service, transition: &Transition) -> Result<Vec<EndedSlot>, Problem> {
    let operations = transition.input.operations.slots.iter().map(|signed| &signed.operation);
    let closed = operations.filter(|operation| operation.kind == Kind::Close).map(|operation| operation.slot);
    let closed: BTreeSet<u16> = closed.collect();
    if closed.is_empty() {
        return Ok(Vec::new());
    }
    let (reader, community) = (Arc::clone(&service.reader), transition.after.index);
    let renew = move |slot| Ok(EndedSlot { slot, generation: reader.data_keys().renew(community, slot)? });
    let made = tokio::task::spawn_blocking(move || closed.into_iter().map(renew).collect::<Result<_, StoreError>>());
    Ok(made.await.map_err(|_| Problem::internal("keys could not be made"))??)
}

/// What waits and is signed for the circuit version that ends with this period: no later batch could take it. Its signer
/// is told so at once, and signs again.
fn caught(snapshot: &Snapshot, applied: &Applied) -> Result<Vec<Refused>, Problem> {
    let community = applied.community;
    let next = snapshot.version_of(community, applied.next_interval)?;
    if snapshot.version_of(community, applied.first_interval)? == next {
        return Ok(Vec::new());
    }
    let log_state = state_of(snapshot, community)?;
    let taken: BTreeSet<[u8; 32]> = log_state.selected.iter().flat_map(Selected::carried).collect();
    let refusal = |id: [u8; 32], code: Code| Refused { id, code: code.name.to_owned() };
    let mut refused = Vec::new();
    for operation in log_state.pending.operations.iter().filter(|o| !taken.contains(&o.id)) {
        refused.push(refusal(operation.id, problem::OPERATION_VERSION));
    }
    for late in log_state.pending.late.iter().filter(|l| !taken.contains(&l.id)) {
        if snapshot.version_of(community, late.first_interval)? != next {
            refused.push(refusal(late.id, problem::CORRECTION_VERSION));
        }
    }
    Ok(refused)
}

/// Domain of the period that a closing settles.
fn domain_of(service: &Service, community: &Community) -> Fr {
    let header = &community.header;
    service.domains(&service.writer.snapshot()).of_period(header.next_interval, header.interval_length)
}

/// Reads again what was selected before a stop.
async fn settle_selected(service: &Arc<Service>, basis: Basis) -> Result<Arc<Transition>, Problem> {
    let (reader, domain) = (Arc::clone(&service.reader), domain_of(service, &basis.community));
    let settled = tokio::task::spawn_blocking(move || {
        let input = reader.input(domain, Arc::unwrap_or_clone(basis.community), basis.path)?;
        settlement::apply(input).map(Arc::new).map_err(|error| Problem::of_settlement(&error))
    });
    settled.await.map_err(|_| Problem::internal("a settlement did not end"))?
}

/// Selects what the settlement carries. The selection is durable before it is applied.
async fn select(service: &Arc<Service>, basis: Basis) -> Result<Arc<Transition>, Problem> {
    l1::drop_retired_notes(service).await;
    let (reader, pending, before) = (Arc::clone(&service.reader), basis.pending.clone(), Arc::clone(&basis.community));
    // A refused operation takes no operation slot. So more operations are looked at than there are operation slots.
    let looked_at = 2 * basis.community.shape.operations;
    let read = tokio::task::spawn_blocking(move || candidates(&reader, &pending, &before, looked_at));
    let mut candidates = read.await.map_err(|_| Problem::internal("operations could not be read"))??;
    if basis.begins {
        check_genesis_terms(service, &basis.community).await?;
    }
    let claims = selection::claims(&candidates.operations);
    let view = l1::view(service, basis.community.index, &claims).await.map_err(|e| l1::unreachable(&e))?;
    let early = l1::not_final(service, &claims, &view).await.map_err(|e| l1::unreachable(&e))?;
    selection::postpone(&mut candidates.operations, &early);
    let (reader, domain) = (Arc::clone(&service.reader), domain_of(service, &basis.community));
    let settled = tokio::task::spawn_blocking(move || {
        let base = reader.settling(domain, Arc::unwrap_or_clone(basis.community), basis.path)?;
        selection::select(base, basis.begins, candidates, view).map_err(|error| Problem::of_settlement(&error))
    });
    let Selection { transition, selected, forced } =
        settled.await.map_err(|_| Problem::internal("a settlement did not end"))??;
    record(service, selected, forced).await?;
    Ok(Arc::new(transition))
}

/// STATE.INIT: a community begins with the terms that L1 has registered.
async fn check_genesis_terms(service: &Service, community: &Community) -> Result<(), Problem> {
    let terms = l1::genesis_terms(service, community.index).await.map_err(|e| l1::unreachable(&e))?;
    if terms == to_bytes(&init::genesis_terms(&community.header)) {
        return Ok(());
    }
    Err(Problem::new(
        problem::SETTLEMENT_TERMS,
        "STATE.INIT: L1 has other terms registered for this community (meter data manager)",
    ))
}

/// Makes a selection durable, with its forced withdrawals sealed slot by slot.
async fn record(
    service: &Service,
    selected: Selected,
    forced: BTreeMap<u16, Vec<SignedOperation>>,
) -> Result<(), Problem> {
    let (community, first_interval) = (selected.community, selected.first_interval);
    let sealed = forced.into_iter().map(|(part, operations)| {
        let label = Label { kind: kind::SELECTED, community, part, first_interval };
        Ok((label, plain(kind::SELECTED, &operations).map_err(StoreError::from)?))
    });
    let parts = sealed.collect::<Result<Vec<_>, Problem>>()?;
    let (operation_slots, refused) = (selected.slots.len(), selected.refused.len());
    let draft = Draft { event: Event::Selected(selected), parts };
    service.writer.submit_waiting(move |_: &Snapshot| Ok(Decision::write(draft, ()))).await?;
    tracing::info!(community, first_interval = first_interval.0, operation_slots, refused, "operations selected");
    Ok(())
}
