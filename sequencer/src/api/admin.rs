//! The admin listener: staff, by their tokens (`guard`).

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
};
use gridveil_api::{
    Bytes32, CodeName,
    admin::{
        BATCHES_SHOWN, BatchStatus, CloseRequest, ClosedPeriod, CommunityStatus, EraseRequest, ErasedAccount,
        FirstPeriod, HeaderOperationTaken, MissingPacket, MissingPackets, PlannedUpgrade, PublishedTariff,
        Registration, ServedCommunity, Status, Step, TariffRequest, UpgradeRequest,
    },
    beginning::Beginning,
    export::{ExportPage, ExportRequest},
    public::Taken,
    schema,
};
use gridveil_protocol::{
    header_operation::HeaderOperation, opening::PeriodOpening, units::Interval, version::VersionFrom,
};

use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::Piece,
    extract::{Path, Query, idempotency_key},
    granted, guard, json_body,
    limits::{self, Work},
    number,
    openapi::{self, refusals},
    page,
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

/// Routes, each with its description.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(join))
        .routes(routes!(close))
        .routes(routes!(missing))
        .routes(routes!(erase))
        .routes(routes!(export))
        .routes(routes!(publish))
        .routes(routes!(operate_header))
        .routes(routes!(header_opening))
        .routes(routes!(plan_upgrade))
        .routes(routes!(status))
        .merge(granted::routes())
}

/// The router.
pub fn router(service: &Arc<Service>) -> Router {
    let (for_work, for_token, for_counts) = (Arc::clone(service), Arc::clone(service), Arc::clone(service));
    let (router, _) = openapi::admin_routes().split_for_parts();
    let (page, _) = page::own_routes().split_for_parts();
    let page = page.method_not_allowed_fallback(wrong_method).with_state(Arc::clone(service));
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| limits::bounded(Arc::clone(&for_work), WORK, request, next)))
        .merge(page)
        .layer(middleware::from_fn(move |request, next| guard::guarded(Arc::clone(&for_token), request, next)))
        .layer(middleware::from_fn(move |request, next| limits::counted(Arc::clone(&for_counts), request, next)))
}

refusals!(OfClose: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN CLOSE_PERIOD CLOSE_NOT_OVER CLOSE_MISSING CLOSE_UPGRADE_WAITS
    CLOSE_COMMUNITY_ENDS CLOSE_NO_TARIFF TARIFF_NOT_IN_FORCE L1_UNREACHABLE UPGRADE_VERIFIER SETTLEMENT_SUPPLIER SETTLEMENT_FEE_ACCOUNT
    SETTLEMENT_BALANCE SETTLEMENT_ENERGY SETTLEMENT_REGISTER SETTLEMENT_TERMS SETTLEMENT_REFUSED LOG_OLD LOG_UNPROVEN);

/// Closes the open period, and settles it by the rules
///
/// Sent twice, it answers the same: the period is named.
#[utoipa::path(post, path = "/admin/v1/communities/{community}/close", tag = "admin", params(("community" = u32, Path, description = "Community index")),
    request_body(content = CloseRequest, example = json!({"first_interval": 420_000})),
    responses((status = 200, description = "Its batch", body = ClosedPeriod, example = json!(super::examples::closed())), OfClose))]
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

refusals!(OfErase: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN ACCOUNT_LIVES ACCOUNT_NOT_FINAL ACCOUNT_SEVERAL LOG_OLD LOG_UNPROVEN);

/// Erases an account that has ended
///
/// Sent twice, it does what is left to do and answers the same.
#[utoipa::path(post, path = "/admin/v1/members/{community}/{slot}/erase", tag = "admin",
    params(("community" = u32, Path, description = "Community index"), ("slot" = u16, Path, description = "Slot")),
    request_body(content = EraseRequest, example = json!({"account": 0})),
    responses((status = 200, description = "Its keys are overwritten", body = ErasedAccount, example = json!(super::examples::erased())), OfErase))]
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

refusals!(OfExport: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN ACCOUNT_SEVERAL);

/// What is held of one account, a page
///
/// The first page has no `at`; each page says where the next one begins.
#[utoipa::path(post, path = "/admin/v1/members/{community}/{slot}/export", tag = "admin",
    params(("community" = u32, Path, description = "Community index"), ("slot" = u16, Path, description = "Slot")),
    request_body(content = ExportRequest, example = json!({"account": 0})),
    responses((status = 200, description = "A page", body = ExportPage), OfExport))]
async fn export(
    State(service): State<Arc<Service>>,
    Path((community, slot)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ExportPage>, Problem> {
    let (community, slot) = (number(&community, "community")?, number(&slot, "slot")?);
    let slot = u16::try_from(slot).map_err(|_| Problem::new(problem::ACCOUNT_UNKNOWN, "no such slot"))?;
    let request: ExportRequest = json_body(request, BODY_BYTES).await?;
    exporting::page(&service, (community, slot), request).await.map(Json)
}

refusals!(OfMissing: PATH_MALFORMED QUERY_MALFORMED ACCOUNT_UNKNOWN);

/// Which packets the meter data manager has to substitute, and what each substitute has to name
///
/// All of them, unless a piece is asked for.
#[utoipa::path(get, path = "/admin/v1/communities/{community}/missing", tag = "admin", params(("community" = u32, Path, description = "Community index"), Piece),
    responses((status = 200, description = "Used slots without a packet; `after` is a slot", body = MissingPackets, example = json!(super::examples::missing())), OfMissing))]
async fn missing(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    Query(piece): Query<Piece>,
) -> Result<Json<MissingPackets>, Problem> {
    let community = number(&community, "community")?;
    let open = batch::open_period(&service.writer.snapshot(), community)?;
    let one =
        |m: &batch::Missing| MissingPacket { slot: m.slot, previous_substitute: m.previous_substitute, scale: m.scale };
    let all = open.missing.iter().map(one);
    let (missing, next) = if piece.is_asked() { piece.of(all, |m| m.slot.into())? } else { (all.collect(), None) };
    let next = next.and_then(|slot| slot.try_into().ok());
    Ok(Json(MissingPackets { community, first_interval: open.first_interval, missing, next }))
}

refusals!(OfPublish: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN TARIFF_PUBLISHED TARIFF_NOT_IN_FORCE TARIFF_CLOSED TARIFF_LENGTH
    L1_UNREACHABLE LOG_OLD LOG_UNPROVEN);

/// Publishes a tariff
///
/// Sent twice, it is answered with 200.
#[utoipa::path(post, path = "/admin/v1/communities/{community}/tariffs", tag = "admin", params(("community" = u32, Path, description = "Community index")),
    request_body(content = TariffRequest, example = json!({"first_interval": 420_000, "tariff": super::examples::tariff()})),
    responses(
        (status = 201, description = "New, and on disk", body = PublishedTariff, example = json!(super::examples::published(Registration::Pending))),
        (status = 200, description = "The same was published before", body = PublishedTariff, example = json!(super::examples::published(Registration::Registered))),
        OfPublish))]
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

refusals!(OfHeader: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN IDEMPOTENCY_KEY IDEMPOTENCY_OTHER HEADER_EMPTY HEADER_PENDING
    HEADER_UNITS HEADER_SIGNATURE HEADER_SKIP L1_UNREACHABLE LOG_OLD LOG_UNPROVEN);

/// Takes a header operation for the next settlement
///
/// Sent twice, it is answered with `duplicate` while it waits. After its settlement a transfer would be another one: send an
/// `Idempotency-Key`, and it is taken once, also after a crash.
#[utoipa::path(post, path = "/admin/v1/communities/{community}/header-operation", tag = "admin",
    params(("community" = u32, Path, description = "Community index"), ("Idempotency-Key" = Option<String>, Header, description = "8 to 64 letters, digits, '-', '_', '.' or ':'; a new one for each thing to be done")),
    request_body(content = schema::HeaderOperation, example = json!(super::examples::header_operation())),
    responses(
        (status = 201, description = "New, and on disk", body = HeaderOperationTaken, example = json!(super::examples::header_taken(Taken::Accepted))),
        (status = 200, description = "This very one waits, or was taken under this key", body = HeaderOperationTaken, example = json!(super::examples::header_taken(Taken::Duplicate))),
        OfHeader))]
async fn operate_header(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let community = number(&community, "community")?;
    let acts_as = request.extensions().get::<guard::ActsAs>().copied();
    let key = idempotency_key(request.headers())?;
    let operation: HeaderOperation = json_body(request, BODY_BYTES).await?;
    if operation.transfer.is_some() && acts_as != Some(guard::ActsAs(Role::Operator)) {
        return Err(Problem::new(problem::STAFF_ROLE, "money of a pool is the operator's"));
    }
    let (status, id) = match operations::submit_header(&service, community, operation, key).await? {
        Submitted::Accepted(id) => (Taken::Accepted, id),
        Submitted::Duplicate(id) => (Taken::Duplicate, id),
    };
    Ok(taken(status, HeaderOperationTaken { id: Bytes32(id), status }))
}

refusals!(OfOpening: GRANT_MISSING GRANT_INVALID GRANT_EXPIRED GRANT_REVOKED GRANT_SCOPE PATH_MALFORMED ACCOUNT_UNKNOWN HEADER_NOT_SETTLED HEADER_UNKNOWN);

/// Opens the totals of a period to an auditor
#[utoipa::path(get, path = "/admin/v1/communities/{community}/header/{first_interval}", tag = "admin",
    params(("community" = u32, Path, description = "Community index"), ("first_interval" = u32, Path, description = "First interval of the period")),
    responses((status = 200, description = "Both headers", body = schema::PeriodOpening), OfOpening))]
async fn header_opening(
    State(service): State<Arc<Service>>,
    Path((community, first)): Path<(String, String)>,
) -> Result<Json<PeriodOpening>, Problem> {
    let (community, first) = (number(&community, "community")?, Interval(number(&first, "first_interval")?));
    openings::period(&service, community, first).await.map(Json)
}

refusals!(OfJoin: BODY_MEDIA_TYPE COMMUNITY_INVALID COMMUNITY_UNREGISTERED COMMUNITY_OTHER COMMUNITY_CLOSED L1_UNREACHABLE LOG_OLD LOG_UNPROVEN);

/// Serves a community from now on
///
/// Sent twice, it is answered with 200.
#[utoipa::path(post, path = "/admin/v1/communities", tag = "admin",
    request_body(content = Beginning, example = json!(super::examples::beginning())),
    responses(
        (status = 201, description = "Served from now on", body = ServedCommunity, example = json!(super::examples::served())),
        (status = 200, description = "It was served before", body = ServedCommunity, example = json!(super::examples::served())),
        OfJoin))]
async fn join(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let beginning: Beginning = json_body(request, BODY_BYTES).await?;
    let status = if joining::join(&service, &beginning).await? { StatusCode::CREATED } else { StatusCode::OK };
    let Beginning { community, first_interval, .. } = beginning;
    Ok((status, Json(ServedCommunity { community, first_interval })).into_response())
}

refusals!(OfUpgrade: BODY_MEDIA_TYPE UPGRADE_VERSION UPGRADE_ANNOUNCEMENT UPGRADE_VERIFIER UPGRADE_TIME UPGRADE_PENDING L1_UNREACHABLE
    LOG_OLD LOG_UNPROVEN);

/// Settles periods under another circuit version from some time on
///
/// Sent twice, it is answered with 200.
#[utoipa::path(post, path = "/admin/v1/upgrade", tag = "admin",
    request_body(content = UpgradeRequest, example = json!({"circuit_version": 3, "from_s": 1_512_086_400})),
    responses(
        (status = 201, description = "Decided", body = PlannedUpgrade, example = json!(super::examples::upgrade())),
        (status = 200, description = "It was decided before", body = PlannedUpgrade, example = json!(super::examples::upgrade())),
        OfUpgrade))]
async fn plan_upgrade(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let UpgradeRequest { circuit_version, from_s } = json_body(request, BODY_BYTES).await?;
    let planned = upgrade::plan(&service, VersionFrom { circuit_version, from_s }).await?;
    let status = if planned.new { StatusCode::CREATED } else { StatusCode::OK };
    let first = |(community, first_interval)| FirstPeriod { community, first_interval };
    let communities = planned.first_periods.into_iter().map(first).collect();
    Ok((status, Json(PlannedUpgrade { circuit_version, from_s, communities })).into_response())
}

refusals!(OfStatus: QUERY_MALFORMED);

/// How far everything is
///
/// Every community, unless a piece is asked for.
#[utoipa::path(get, path = "/admin/v1/status", tag = "admin", params(Piece),
    responses((status = 200, description = "The whole; `after` is a community", body = Status, example = json!(super::examples::status())), OfStatus))]
async fn status(State(service): State<Arc<Service>>, Query(piece): Query<Piece>) -> Result<Json<Status>, Problem> {
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
    let all = snapshot.log_state.communities.iter();
    let (shown, next) =
        if piece.is_asked() { piece.of(all, |(index, _)| u64::from(**index))? } else { (all.collect(), None) };
    Ok(Json(Status {
        state_root: snapshot.log_state.root,
        log_height: snapshot.height,
        versions: snapshot.log_state.versions.all(),
        stopped: service.health.stopped(),
        retrying: service.health.retrying(),
        communities: shown.into_iter().map(&mut one).collect(),
        next: next.and_then(|index| index.try_into().ok()),
    }))
}

/// How far a community is, by the log, and what blocks its closed period.
fn community_status(
    snapshot: &Snapshot,
    index: u32,
    log_state: &CommunityState,
    on_their_way: Vec<BatchStatus>,
    blocked: Option<&Problem>,
) -> CommunityStatus {
    let settled =
        log_state.settled.iter().skip(log_state.settled.len().saturating_sub(BATCHES_SHOWN)).map(settled_batch);
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

pub(super) fn unsettled(batch: u64, entry: &BatchEntry) -> BatchStatus {
    let step = if entry.prove_ms.is_some() { Step::Proven } else { Step::Applied };
    BatchStatus { batch, first_interval: entry.first_interval, prove_ms: entry.prove_ms, step }
}

/// Batches of a community that are not settled.
pub(super) fn batches_on_their_way(snapshot: &Snapshot, index: u32) -> impl Iterator<Item = BatchStatus> {
    let its = snapshot.log_state.batches.iter().filter(move |(_, b)| b.community == index);
    its.map(|(batch, entry)| unsettled(*batch, entry))
}

pub(super) fn settled_batch(period: &SettledPeriod) -> BatchStatus {
    let record = &period.record;
    BatchStatus {
        batch: record.batch,
        first_interval: period.first_interval,
        prove_ms: Some(period.prove_ms),
        step: Step::Settled { gas_used: record.gas_used, tx: record.tx, block: record.block },
    }
}
