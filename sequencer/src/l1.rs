//! What the sequencer asks of L1.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    settlement::{
        Transition,
        batch_builder::{ForcedEntry, L1View},
    },
    units::Interval,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    DepositState, L1Error, QueuesL1, SettleCall, TariffEntry, TransferState, Word, types::tariff_in_force,
};

use crate::{
    batch::selection::Claims,
    problem::{self, Problem},
    service::Service,
    store::{StoreError, log_state::LogState, reader::StoreReader, record::Effects},
};

/// Changes a view of L1 to what it will be after a batch that L1 does not have yet. `own` says that the batch is of the
/// community whose forced queue the view has.
pub fn advance(view: &mut L1View, effects: &Effects, own: bool) {
    for claim in &effects.deposits {
        view.deposits.remove(&to_bytes(&claim.0));
    }
    for claim in &effects.opened {
        view.sent.insert(to_bytes(&claim.0));
        view.transfers.insert(to_bytes(&claim.0));
    }
    for claim in &effects.received {
        view.transfers.remove(&to_bytes(&claim.0));
    }
    if own {
        view.forced.drain(..effects.forced.min(view.forced.len()));
    }
    view.notes.drain(..effects.notes.len().min(view.notes.len()));
    view.supplier_units = view.supplier_units.saturating_sub(effects.supplier_in);
}

/// The effects of the batches that are not yet in the state with this root, in order, each with its community. `None`
/// for a root of no batch in the log.
#[must_use]
pub fn in_flight(log_state: &LogState, root: &[u8; 32]) -> Option<Vec<(u32, Effects)>> {
    let reached = |root_of: &Fr| to_bytes(root_of) == *root;
    let after = match log_state.batches.values().position(|b| reached(&b.old_root)) {
        Some(at) => at,
        None if reached(&log_state.root) => log_state.batches.len(),
        None => return None,
    };
    Some(log_state.batches.values().skip(after).map(|b| (b.community, b.effects.clone())).collect())
}

/// Why a sequencer does not go on: L1 has a batch that this log does not have.
pub const FOREIGN: &str = "L1's state root is of no batch in this log: the log is an old copy, or another sequencer \
                           settles here; go on with the newest log, and with one sequencer (docs/how-to/restore.md)";

/// What is refused then, so that nothing is acknowledged that can never settle.
#[must_use]
pub fn old_log() -> Problem {
    Problem::new(problem::LOG_OLD, "L1 has a batch that the operator's log does not have; keep what you sent")
}

/// What is refused while a log without its index was not compared with L1: it may be an old copy that was restored.
#[must_use]
pub fn unproven_log() -> Problem {
    Problem::new(problem::LOG_UNPROVEN, "the log was restored, and L1 does not answer yet").after(60)
}

/// Number of the batch that leads to this state root, 0 for the state before the first; `None` for a root of no batch in
/// the log. The last ones are looked at first.
///
/// # Errors
/// [`StoreError`].
pub fn reached(reader: &StoreReader, log_state: &LogState, root: &Word) -> Result<Option<u64>, StoreError> {
    let is = |root_of: &Fr| to_bytes(root_of) == *root;
    if is(&log_state.root) {
        return Ok(Some(log_state.last_batch));
    }
    if let Some((batch, _)) = log_state.batches.iter().find(|(_, entry)| is(&entry.old_root)) {
        return Ok(Some(batch - 1));
    }
    let settled = log_state.batches.first_key_value().map_or(log_state.last_batch, |(batch, _)| batch - 1);
    for batch in (1..=settled).rev() {
        if is(&reader.applied(batch)?.old_root) {
            return Ok(Some(batch - 1));
        }
    }
    Ok(None)
}

/// L1 as a batch of `community` will find it: its queues and claims as they are in a block that counts as final, after
/// the batches that are applied here and not yet in that block. The state root is read before and after, so that all of
/// it is of one state.
///
/// # Errors
/// [`L1Error`]; `Malformed` where L1's state root is not one of ours.
pub async fn view(service: &Service, community: u32, claims: &Claims) -> Result<L1View, L1Error> {
    loop {
        let l1 = service.l1.confirmed().await?;
        let root = l1.state_root().await?;
        let effects = in_flight(&service.writer.snapshot().log_state, &root);
        let effects =
            effects.ok_or_else(|| L1Error::Malformed("the state root is of no batch in the log".to_owned()))?;
        let notes = effects.iter().map(|(_, e)| e.notes.len()).sum::<usize>() + gridveil_protocol::params::QUEUE;
        let mut view = read(&*l1, community, claims, notes).await?;
        if l1.state_root().await? == root {
            effects.iter().for_each(|(of, effects)| advance(&mut view, effects, *of == community));
            return Ok(view);
        }
    }
}

/// Takes notes of a retired circuit version out of L1's queue. Until then a batch takes in none of those behind them. If
/// it does not succeed, the next closing tries again.
pub async fn drop_retired_notes(service: &Service) {
    match service.l1.drop_retired_notes().await {
        Ok(0) => {}
        Ok(pairs) => {
            tracing::warn!(pairs, "notes of a retired circuit version left the queue: they can be spent again")
        }
        Err(error) => tracing::warn!(%error, "notes of a retired circuit version are still in the queue"),
    }
}

/// Of these claims, those that L1 has open and not yet in a block that counts as final: who asks for one waits.
///
/// # Errors
/// [`L1Error`].
pub async fn not_final(service: &Service, claims: &Claims, view: &L1View) -> Result<BTreeSet<Word>, L1Error> {
    let unknown = |claims: &[Fr], known: &dyn Fn(&Word) -> bool| -> BTreeSet<Word> {
        claims.iter().map(to_bytes).filter(|claim| !known(claim)).collect()
    };
    let deposits = unknown(&claims.deposits, &|claim| view.deposits.contains_key(claim));
    let mut early = BTreeSet::new();
    if !deposits.is_empty() {
        let open = service.l1.deposits(0).await?.into_iter().filter(|d| d.state == DepositState::Open);
        early.extend(open.map(|d| d.claim).filter(|claim| deposits.contains(claim)));
    }
    for claim in unknown(&claims.transfers, &|claim| view.sent.contains(claim)) {
        if service.l1.claim_state(claim).await? == TransferState::Open {
            early.insert(claim);
        }
    }
    Ok(early)
}

/// Reads what L1 has.
async fn read(l1: &dyn QueuesL1, community: u32, claims: &Claims, notes: usize) -> Result<L1View, L1Error> {
    let mut view = L1View::default();
    if !claims.deposits.is_empty() {
        let asked: BTreeSet<_> = claims.deposits.iter().map(to_bytes).collect();
        let open =
            l1.deposits(0).await?.into_iter().filter(|d| d.state == DepositState::Open && asked.contains(&d.claim));
        view.deposits = open.map(|d| (d.claim, d.units)).collect();
    }
    for claim in claims.transfers.iter().map(to_bytes) {
        match l1.claim_state(claim).await? {
            TransferState::Unknown => continue,
            TransferState::Open => view.transfers.insert(claim),
            TransferState::Received | TransferState::Exited => false,
        };
        view.sent.insert(claim);
    }
    for entry in l1.forced_queue(community).await? {
        let slot =
            u16::try_from(entry.slot).map_err(|_| L1Error::Malformed("a forced withdrawal of no slot".to_owned()))?;
        view.forced.push(ForcedEntry { slot, requester: entry.requester });
    }
    for note in l1.pending_notes(u32::try_from(notes).unwrap_or(u32::MAX)).await? {
        view.notes
            .push(from_bytes(&note).map_err(|_| L1Error::Malformed("a queued note is not canonical".to_owned()))?);
    }
    view.supplier_units = l1.supplier_funds().await?;
    Ok(view)
}

/// The terms with which L1 lets a community begin; zero for none (STATE.INIT).
///
/// # Errors
/// [`L1Error`]; `Config` for a community that is not registered.
pub async fn genesis_terms(service: &Service, community: u32) -> Result<[u8; 32], L1Error> {
    let params = service.l1.community(community).await?;
    Ok(params.ok_or(L1Error::Config("the community is not registered on L1"))?.genesis_terms)
}

/// An L1 error as a refusal of an admin request.
#[must_use]
pub fn unreachable(error: &L1Error) -> Problem {
    Problem::new(problem::L1_UNREACHABLE, error.to_string())
}

/// Tariffs of the set of a community, in order.
///
/// # Errors
/// [`L1Error`]; `Config` for a community that is not registered.
pub async fn tariffs_of(l1: &dyn QueuesL1, community: u32) -> Result<Vec<TariffEntry>, L1Error> {
    let tariff_set = tariff_set_of(l1, community).await?;
    Ok(of_set(&l1.tariffs(0).await?, tariff_set))
}

/// The tariff set of a community, for ever the same.
///
/// # Errors
/// As [`tariffs_of`].
pub async fn tariff_set_of(l1: &dyn QueuesL1, community: u32) -> Result<u32, L1Error> {
    let params = l1.community(community).await?.ok_or(L1Error::Config("the community is not registered on L1"))?;
    Ok(params.tariff_set)
}

/// The tariffs of one set, in order.
#[must_use]
pub fn of_set(all: &[TariffEntry], tariff_set: u32) -> Vec<TariffEntry> {
    let mut of_set: Vec<_> = all.iter().filter(|tariff| tariff.tariff_set == tariff_set).copied().collect();
    of_set.sort_by_key(|tariff| tariff.index);
    of_set
}

/// The tariff L1 has in force for a period.
///
/// # Errors
/// [`L1Error`].
pub async fn in_force(
    l1: &dyn QueuesL1,
    community: u32,
    first_interval: Interval,
) -> Result<Option<TariffEntry>, L1Error> {
    Ok(at(&tariffs_of(l1, community).await?, first_interval).copied())
}

/// Of the tariffs of one set, the one in force for a period.
#[must_use]
pub fn at(tariffs: &[TariffEntry], first_interval: Interval) -> Option<&TariffEntry> {
    let index = tariff_in_force(tariffs, first_interval.0);
    tariffs.iter().find(|tariff| Some(tariff.index) == index)
}

/// The calldata of a batch.
#[must_use]
pub fn settle_call(version: CircuitVersion, transition: &Transition, tariff_index: u32, proof: Vec<u8>) -> SettleCall {
    SettleCall {
        circuit_version: u32::try_from(version.number()).unwrap_or(u32::MAX),
        community: transition.after.index,
        first_interval: transition.input.community.header.next_interval.0,
        tariff_index,
        new_root: to_bytes(&transition.instance.new_root),
        community_new: to_bytes(&transition.instance.community_new),
        ops_digest: to_bytes(&transition.instance.ops_digest),
        data: transition.data.iter().map(to_bytes).collect(),
        proof,
    }
}
