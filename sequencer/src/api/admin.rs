//! The admin listener: staff, by their tokens ([`super::guard`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gridveil_api::{
    Bytes32, CodeName,
    admin::{
        BATCHES_SHOWN, BatchStatus, CloseRequest, ClosedPeriod, CommunityStatus, EraseRequest, ErasedAccount,
        FirstPeriod, HeaderOperationTaken, MissingPacket, MissingPackets, PlannedUpgrade, PublishedTariff,
        Registration, ServedCommunity, Status, Step, TariffRequest, UpgradeRequest,
    },
    beginning::Beginning,
    export::ExportPage,
    public::Taken,
};
use gridveil_protocol::{
    header_operation::HeaderOperation, opening::PeriodOpening, units::Interval, version::VersionFrom,
};

use super::{
    granted, guard, json_body,
    limits::{self, Work},
    number,
    public::taken,
    unknown_route, wrong_method,
};
use crate::{
    batch, erasing, exporting, joining, openings,
    operations::{self, Submitted},
    problem::{self, Problem},
    service::Service,
    staff::Role,
    store::log_state::{BatchEntry, CommunityState, SettledPeriod},
    tariffs, upgrade,
    writer::Snapshot,
};

/// Deadline of an admin request: a closing of the largest shape computes for seconds.
const DEADLINE: Duration = Duration::from_secs(120);
/// Largest admin body: a tariff of 96 intervals is about 25 KiB.
const BODY_BYTES: usize = 256 << 10;

/// Its requests take permits of their own: what members do leaves the operator's.
const WORK: Work = Work { permits: |service| &service.own_in_flight, deadline: DEADLINE, body_bytes: BODY_BYTES };

/// Routes.
pub fn router(service: &Arc<Service>) -> Router {
    let (for_work, for_token, for_counts) = (Arc::clone(service), Arc::clone(service), Arc::clone(service));
    Router::new()
        .route("/admin/v1/communities", post(join))
        .route("/admin/v1/communities/{community}/close", post(close))
        .route("/admin/v1/communities/{community}/missing", get(missing))
        .route("/admin/v1/members/{community}/{slot}/erase", post(erase))
        .route("/admin/v1/members/{community}/{slot}/export", post(export))
        .route("/admin/v1/communities/{community}/tariffs", post(publish))
        .route("/admin/v1/communities/{community}/header-operation", post(operate_header))
        .route("/admin/v1/communities/{community}/header/{first_interval}", get(header_opening))
        .route("/admin/v1/upgrade", post(plan_upgrade))
        .route("/admin/v1/status", get(status))
        .merge(granted::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| limits::bounded(Arc::clone(&for_work), WORK, request, next)))
        .layer(middleware::from_fn(move |request, next| guard::guarded(Arc::clone(&for_token), request, next)))
        .layer(middleware::from_fn(move |request, next| limits::counted(Arc::clone(&for_counts), request, next)))
}

async fn close(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Json<ClosedPeriod>, Problem> {
    let community = number(&community, "community")?;
    let CloseRequest { first_interval } = json_body(request, BODY_BYTES).await?;
    let applied = batch::close(&service, community, first_interval).await?;
    Ok(Json(ClosedPeriod { community, first_interval, batch: applied.batch, new_root: applied.new_root }))
}

async fn erase(
    State(service): State<Arc<Service>>,
    Path((community, slot)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ErasedAccount>, Problem> {
    let (community, slot) = (number(&community, "community")?, number(&slot, "slot")?);
    let slot = u16::try_from(slot).map_err(|_| Problem::new(problem::ACCOUNT_UNKNOWN, "no such slot"))?;
    let EraseRequest { account } = json_body(request, BODY_BYTES).await?;
    erasing::erase(&service, community, slot, account).await.map(Json)
}

async fn export(
    State(service): State<Arc<Service>>,
    Path((community, slot)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ExportPage>, Problem> {
    let (community, slot) = (number(&community, "community")?, number(&slot, "slot")?);
    let slot = u16::try_from(slot).map_err(|_| Problem::new(problem::ACCOUNT_UNKNOWN, "no such slot"))?;
    let request = json_body(request, BODY_BYTES).await?;
    exporting::page(&service, (community, slot), request).await.map(Json)
}

/// Which packets the meter data manager has to substitute, and what each substitute has to name.
async fn missing(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
) -> Result<Json<MissingPackets>, Problem> {
    let community = number(&community, "community")?;
    let open = batch::open_period(&service.writer.snapshot(), community)?;
    let one =
        |m: &batch::Missing| MissingPacket { slot: m.slot, previous_substitute: m.previous_substitute, scale: m.scale };
    let missing = open.missing.iter().map(one).collect();
    Ok(Json(MissingPackets { community, first_interval: open.first_interval, missing }))
}

async fn publish(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let community = number(&community, "community")?;
    let TariffRequest { first_interval, tariff } = json_body(request, BODY_BYTES).await?;
    let published = tariffs::publish(&service, community, first_interval, tariff).await?;
    let status = if published.new { StatusCode::CREATED } else { StatusCode::OK };
    let l1 = if published.registered { Registration::Registered } else { Registration::Pending };
    Ok((status, Json(PublishedTariff { commitment: published.commitment, l1 })).into_response())
}

async fn operate_header(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let community = number(&community, "community")?;
    let acts_as = request.extensions().get::<guard::ActsAs>().copied();
    let operation: HeaderOperation = json_body(request, BODY_BYTES).await?;
    if operation.transfer.is_some() && acts_as != Some(guard::ActsAs(Role::Operator)) {
        return Err(Problem::new(problem::STAFF_ROLE, "money of a pool is the operator's"));
    }
    let (status, id) = match operations::submit_header(&service, community, operation).await? {
        Submitted::Accepted(id) => (Taken::Accepted, id),
        Submitted::Duplicate(id) => (Taken::Duplicate, id),
    };
    Ok(taken(status, HeaderOperationTaken { id: Bytes32(id), status }))
}

async fn header_opening(
    State(service): State<Arc<Service>>,
    Path((community, first)): Path<(String, String)>,
) -> Result<Json<PeriodOpening>, Problem> {
    let (community, first) = (number(&community, "community")?, Interval(number(&first, "first_interval")?));
    openings::period(&service, community, first).await.map(Json)
}

async fn join(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let beginning: Beginning = json_body(request, BODY_BYTES).await?;
    let status = if joining::join(&service, &beginning).await? { StatusCode::CREATED } else { StatusCode::OK };
    let Beginning { community, first_interval, .. } = beginning;
    Ok((status, Json(ServedCommunity { community, first_interval })).into_response())
}

async fn plan_upgrade(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let UpgradeRequest { circuit_version, from_s } = json_body(request, BODY_BYTES).await?;
    let planned = upgrade::plan(&service, VersionFrom { circuit_version, from_s }).await?;
    let status = if planned.new { StatusCode::CREATED } else { StatusCode::OK };
    let first = |(community, first_interval)| FirstPeriod { community, first_interval };
    let communities = planned.first_periods.into_iter().map(first).collect();
    Ok((status, Json(PlannedUpgrade { circuit_version, from_s, communities })).into_response())
}

async fn status(State(service): State<Arc<Service>>) -> Json<Status> {
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let snapshot = service.writer.snapshot();
    // Once for all: a batch is of one of thousands of communities.
    let mut on_their_way: BTreeMap<u32, Vec<BatchStatus>> = BTreeMap::new();
    for (batch, entry) in &snapshot.log_state.batches {
        on_their_way.entry(entry.community).or_default().push(unsettled(*batch, entry));
    }
    let mut one = |(index, log_state): (&u32, &Arc<CommunityState>)| {
        let batches = on_their_way.remove(index).unwrap_or_default();
        community_status(&snapshot, *index, log_state, batches, blocked.get(index))
    };
    Json(Status {
        state_root: snapshot.log_state.root,
        log_height: snapshot.height,
        versions: snapshot.log_state.versions.all(),
        stopped: service.health.stopped(),
        retrying: service.health.retrying(),
        communities: snapshot.log_state.communities.iter().map(&mut one).collect(),
    })
}

/// How far a community is, by the log, and what blocks its closed period.
fn community_status(
    snapshot: &Snapshot,
    index: u32,
    log_state: &CommunityState,
    on_their_way: Vec<BatchStatus>,
    blocked: Option<&Problem>,
) -> CommunityStatus {
    let settled = log_state.settled.iter().skip(log_state.settled.len().saturating_sub(BATCHES_SHOWN)).map(settled);
    let community = snapshot.communities.get(&index);
    let header = community.map(|community| &community.header);
    let accounts = community.map_or(0, |community| community.accounts.iter().filter(|a| a.meter.is_some()).count());
    CommunityStatus {
        community: index,
        next_interval: log_state.next_interval,
        intervals: header.map_or(0, |header| header.intervals),
        interval_length: header.map_or(0, |header| header.interval_length),
        packets: log_state.packets.len(),
        accounts,
        closed: log_state.closed.is_some(),
        operations: log_state.pending.operations.len(),
        late: log_state.pending.late.len(),
        header_pending: log_state.pending.header.is_some(),
        header_refused: log_state.pending.header_refused.as_deref().map(CodeName::new),
        header_nonce: header.map(|header| header.nonce),
        blocked: blocked.map(Problem::document),
        batches: settled.chain(on_their_way).collect(),
    }
}

fn unsettled(batch: u64, entry: &BatchEntry) -> BatchStatus {
    let step = if entry.prove_ms.is_some() { Step::Proven } else { Step::Applied };
    BatchStatus { batch, first_interval: entry.first_interval, prove_ms: entry.prove_ms, step }
}

fn settled(period: &SettledPeriod) -> BatchStatus {
    let record = &period.record;
    BatchStatus {
        batch: record.batch,
        first_interval: period.first_interval,
        prove_ms: Some(period.prove_ms),
        step: Step::Settled { gas_used: record.gas_used, tx: record.tx, block: record.block },
    }
}
