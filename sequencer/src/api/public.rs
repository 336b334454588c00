//! The public listener: meters and members.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
};
use gridveil_api::{
    Bytes32, CodeName,
    public::{
        CommunityInfo, GivenBack, Health, HealthStatus, Info, NotePath, OpenPeriod, OperationState, OperationTaken,
        PacketTaken, SETTLED_SHOWN, SettledPeriod, Taken,
    },
    schema,
};
use gridveil_protocol::{
    codec, field, operation::SignedOperation, packet::SignedPacket, receipt::Receipt, tariff::Tariff, units::Interval,
    version::begins_s,
};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body, bulk,
    extract::Path,
    json_body,
    limits::{self, Clients, Rate, Work},
    media_type, number,
    openapi::{self, refusals},
    page, parse_json, unknown_route, wrong_method,
};
use crate::{
    admission,
    client::PerClient,
    given_back, notes, operations,
    problem::{self, Problem},
    receipts,
    service::{Metrics, Service},
    store::{
        log_state::{self, CommunityState},
        selected,
    },
};

/// Routes, each with its description.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(info))
        .routes(routes!(community))
        .routes(routes!(tariff))
        .routes(routes!(packet))
        .routes(routes!(operation))
        .routes(routes!(operation_state))
        .routes(routes!(note))
        .routes(routes!(receipt))
        .routes(routes!(given))
        .routes(routes!(health))
}

/// The router. Of what a client may do in time, `rate` says how much.
pub(crate) fn router(service: &Arc<Service>, rate: &Arc<Rate>) -> Router {
    let (for_work, for_clients, for_counts) = (Arc::clone(service), Arc::clone(service), Arc::clone(service));
    let bounds = service.config.limits;
    let work = Work { permits: |service| &service.in_flight, deadline: bounds.request, body_bytes: bounds.body_bytes };
    let clients = Clients { rate: Arc::clone(rate), requests: PerClient::new(bounds.requests_of_client) };
    let (router, _) = openapi::public_routes().merge(page::routes()).split_for_parts();
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| limits::bounded(Arc::clone(&for_work), work, request, next)))
        .merge(bulk::router(service))
        .layer(middleware::from_fn(move |request, next| {
            limits::of_client(Arc::clone(&for_clients), clients.clone(), request, next)
        }))
        .layer(middleware::from_fn(move |request, next| limits::counted(Arc::clone(&for_counts), request, next)))
}

/// The deployment that is served
#[utoipa::path(get, path = "/v1/info", tag = "public",
    responses((status = 200, description = "Chain, contract and circuit versions", body = Info, example = json!(super::examples::info()))))]
async fn info(State(service): State<Arc<Service>>) -> Json<Info> {
    let genesis = &service.genesis;
    let snapshot = service.writer.snapshot();
    let begins_s = |(index, log_state): (&u32, &CommunityState)| {
        let length = snapshot.communities.get(index).map(|community| community.header.interval_length);
        length.map(|length| begins_s(log_state.next_interval, length))
    };
    // That of the period which is furthest behind.
    let open_s = snapshot.log_state.communities.iter().filter_map(begins_s).min();
    let domains = service.domains(&snapshot);
    let version = domains.versions().at(open_s.unwrap_or(0));
    Json(Info {
        chain_id: genesis.chain_id,
        contract: genesis.contract,
        domain: domains.of_version(version),
        circuit_version: version.number(),
        versions: domains.versions().all(),
    })
}

pub(super) fn unknown_community() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community")
}

refusals!(OfCommunity: ACCOUNT_UNKNOWN PATH_MALFORMED);

/// A community, and how far it is
///
/// With the last 400 settled periods; all of them are at `/periods`.
#[utoipa::path(get, path = "/v1/communities/{community}", tag = "public", params(("community" = u32, Path, description = "Community index")),
    responses((status = 200, description = "The community", body = CommunityInfo, example = json!(super::examples::community())), OfCommunity))]
async fn community(
    State(service): State<Arc<Service>>,
    Path(index): Path<String>,
) -> Result<Json<CommunityInfo>, Problem> {
    let index = number(&index, "community")?;
    let snapshot = service.writer.snapshot();
    let log_state = snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?;
    let community = snapshot.communities.get(&index).ok_or_else(unknown_community)?;
    Ok(Json(CommunityInfo {
        community: index,
        shape: community.shape.name.to_owned(),
        members: community.shape.members,
        intervals: community.header.intervals,
        interval_length: community.header.interval_length,
        mechanism: community.header.mechanism,
        mdm: community.header.mdm,
        next_interval: log_state.next_interval,
        settled: settled_periods(log_state),
        open: OpenPeriod { first_interval: log_state.next_interval, closed: log_state.closed.is_some() },
    }))
}

fn settled_periods(log_state: &CommunityState) -> Vec<SettledPeriod> {
    let shown = log_state.settled.iter().skip(log_state.settled.len().saturating_sub(SETTLED_SHOWN));
    shown.map(settled_period).collect()
}

pub(super) fn settled_period(period: &log_state::SettledPeriod) -> SettledPeriod {
    SettledPeriod {
        first_interval: period.first_interval,
        root: period.root,
        batch: period.record.batch,
        tx: period.record.tx,
        block: period.record.block,
    }
}

refusals!(OfTariff: ACCOUNT_UNKNOWN PATH_MALFORMED TARIFF_UNKNOWN);

/// The tariff in force for a period
#[utoipa::path(get, path = "/v1/communities/{community}/tariffs/{first_interval}", tag = "public",
    params(("community" = u32, Path, description = "Community index"), ("first_interval" = u32, Path, description = "First interval of the period")),
    responses((status = 200, description = "The latest one published at or before it", body = schema::Tariff, example = json!(super::examples::tariff())), OfTariff))]
async fn tariff(
    State(service): State<Arc<Service>>,
    Path((index, first)): Path<(String, String)>,
) -> Result<Json<Tariff>, Problem> {
    let (index, first) = (number(&index, "community")?, Interval(number(&first, "first_interval")?));
    let found = {
        let snapshot = service.writer.snapshot();
        snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?.tariff_for(first)
    };
    let (_, offset, _) =
        found.ok_or_else(|| Problem::new(problem::TARIFF_UNKNOWN, "no tariff is published for this period"))?;
    Ok(Json(service.reader.tariff(offset)?))
}

refusals!(OfPacket: BODY_MEDIA_TYPE ACCOUNT_UNKNOWN COMMUNITY_CLOSED PACKET_CONTEXT PACKET_VERSION PACKET_LENGTH PACKET_SCALE
    PACKET_PREVIOUS_SUBSTITUTE PACKET_STALE PACKET_SIGNATURE PACKET_INACTIVE PACKET_CAP PACKET_DUPLICATE PACKET_EARLY PACKET_CLOSED
    CORRECTION_EARLY CORRECTION_VERSION CORRECTION_PACKET CORRECTION_TARIFF LOG_OLD LOG_UNPROVEN);

/// Takes a packet
///
/// Sent twice, it is answered with `duplicate`, also after a crash and after its period: its identity is a hash of it.
#[utoipa::path(post, path = "/v1/packets", tag = "public",
    request_body(content((schema::SignedPacket = "application/json", example = json!(super::examples::packet())), (String = "application/octet-stream"))),
    responses(
        (status = 201, description = "New, and on disk", body = PacketTaken, example = json!(super::examples::taken(Taken::Accepted))),
        (status = 200, description = "This very packet was taken before", body = PacketTaken, example = json!(super::examples::taken(Taken::Duplicate))),
        (status = 202, description = "On disk; a later settlement books the difference to the substitute", body = PacketTaken, example = json!(super::examples::taken(Taken::Late))),
        OfPacket))]
async fn packet(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let limit = service.config.limits.body_bytes;
    let kind = media_type(&request);
    let signed: SignedPacket = match kind.as_str() {
        "application/json" => parse_json(&body(request.into_body(), limit).await?)?,
        "application/octet-stream" => {
            let bytes = body(request.into_body(), limit).await?;
            codec::decode_packet(&bytes).map_err(|e| Problem::new(problem::BODY_MALFORMED, e.to_string()))?
        }
        _ => return Err(Problem::new(problem::BODY_MEDIA_TYPE, "send application/json or application/octet-stream")),
    };
    let (status, id) = take_packet(service, signed).await?;
    Ok(taken(status, PacketTaken { packet_id: Bytes32(id), status }))
}

/// Takes a packet, alone or one of many.
pub(super) async fn take_packet(service: Arc<Service>, signed: SignedPacket) -> Result<(Taken, [u8; 32]), Problem> {
    let (status, id, counter) = match admission::admit(&service, signed).await? {
        admission::Admitted::Accepted(id) => (Taken::Accepted, id, &service.metrics.accepted),
        admission::Admitted::Duplicate(id) => (Taken::Duplicate, id, &service.metrics.duplicates),
        admission::Admitted::Late(id) => (Taken::Late, id, &service.metrics.late),
    };
    Metrics::count(counter);
    Ok((status, id))
}

/// A confirmation, with the HTTP status that belongs to its word.
pub(super) fn taken(status: Taken, answer: impl Serialize) -> Response {
    (StatusCode::from_u16(status.status()).unwrap_or(StatusCode::OK), Json(answer)).into_response()
}

refusals!(OfOperation: BODY_MEDIA_TYPE ACCOUNT_UNKNOWN COMMUNITY_CLOSED OPERATION_SLOT OPERATION_KIND OPERATION_FIELD OPERATION_OWNER
    OPERATION_SIGNATURE OPERATION_MDM OPERATION_NONCE OPERATION_UNITS OPERATION_NOT_EMPTY OPERATION_TERMS OPERATION_TOO_MANY
    OPERATION_QUEUE_FULL OPERATION_VERSION OPERATION_CLAIM_USED LOG_OLD LOG_UNPROVEN);

/// Takes an operation
///
/// Sent twice, it is answered with `duplicate`, also after a crash and after its settlement: its identity is a hash of it.
#[utoipa::path(post, path = "/v1/operations", tag = "public",
    request_body(content = schema::SignedOperation, example = json!(super::examples::operation())),
    responses(
        (status = 201, description = "New, and on disk", body = OperationTaken, example = json!(super::examples::operation_taken(Taken::Accepted))),
        (status = 200, description = "This very operation waits or is applied", body = OperationTaken, example = json!(super::examples::operation_taken(Taken::Duplicate))),
        OfOperation))]
async fn operation(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let signed: SignedOperation = json_body(request, service.config.limits.body_bytes).await?;
    let (status, id) = take_operation(service, signed).await?;
    Ok(taken(status, OperationTaken { operation_id: Bytes32(id), status }))
}

/// Takes an operation, alone or one of many.
pub(super) async fn take_operation(
    service: Arc<Service>,
    signed: SignedOperation,
) -> Result<(Taken, [u8; 32]), Problem> {
    Ok(match operations::submit(&service, signed).await? {
        operations::Submitted::Accepted(id) => {
            Metrics::count(&service.metrics.operations);
            (Taken::Accepted, id)
        }
        operations::Submitted::Duplicate(id) => (Taken::Duplicate, id),
    })
}

/// 32 bytes in a path.
fn bytes32(text: &str, what: &str) -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| Problem::new(problem::PATH_MALFORMED, format!("{what} is not 32 bytes of hex")))?;
    Ok(bytes)
}

refusals!(OfOperationState: OPERATION_UNKNOWN PATH_MALFORMED);

/// What became of an operation or a late packet
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "public", params(("id" = schema::Hex32, Path, description = "Its identity")),
    responses((status = 200, description = "Its state", body = OperationState, example = json!(super::examples::operation_state())), OfOperationState))]
async fn operation_state(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<Json<OperationState>, Problem> {
    let id = bytes32(&id, "id")?;
    let state = service
        .reader
        .operation_state(&id)?
        .ok_or_else(|| Problem::new(problem::OPERATION_UNKNOWN, "no operation has this identity"))?;
    Ok(Json(match state {
        selected::OperationState::Pending => OperationState::Pending,
        selected::OperationState::Applied(batch) => {
            let settled = !service.writer.snapshot().log_state.batches.contains_key(&batch);
            OperationState::Applied { batch, settled }
        }
        selected::OperationState::Refused(code) => OperationState::Refused { code: CodeName::new(&code) },
    }))
}

refusals!(OfNote: NOTE_UNKNOWN NOTE_NOT_SETTLED PATH_MALFORMED ACCOUNT_ERASED);

/// Where a note of L1's queue is in the state
#[utoipa::path(get, path = "/v1/notes/{commitment}", tag = "public", params(("commitment" = schema::Element, Path, description = "Commitment of the note")),
    responses((status = 200, description = "Its path", body = NotePath, example = json!(super::examples::note())), OfNote))]
async fn note(State(service): State<Arc<Service>>, Path(commitment): Path<String>) -> Result<Json<NotePath>, Problem> {
    let commitment = field::from_bytes(&bytes32(&commitment, "commitment")?);
    let commitment =
        commitment.map_err(|_| Problem::new(problem::PATH_MALFORMED, "commitment is not a canonical field element"))?;
    notes::note_path(&service, commitment).await.map(Json)
}

refusals!(OfReceipt: BODY_MEDIA_TYPE ACCOUNT_UNKNOWN ACCOUNT_ERASED REQUEST_TIMESTAMP REQUEST_SIGNATURE RECEIPT_NOT_SETTLED);

/// A receipt, for the slot's owner
///
/// It changes nothing: sent twice, it is answered twice.
#[utoipa::path(post, path = "/v1/receipts", tag = "public",
    request_body(content = schema::ReceiptRequest, example = json!(super::examples::receipt_request())),
    responses((status = 200, description = "The receipt", body = schema::Receipt), OfReceipt))]
async fn receipt(State(service): State<Arc<Service>>, request: Request) -> Result<Json<Receipt>, Problem> {
    let request = json_body(request, service.config.limits.body_bytes).await?;
    receipts::receipt(&service, request).await.map(Json)
}

refusals!(OfGivenBack: BODY_MEDIA_TYPE ACCOUNT_UNKNOWN ACCOUNT_ERASED REQUEST_TIMESTAMP REQUEST_SIGNATURE);

/// What a member that lost its folder has signed
///
/// It changes nothing: sent twice, it is answered twice.
#[utoipa::path(post, path = "/v1/given-back", tag = "public",
    request_body(content = schema::ReceiptRequest, example = json!(super::examples::receipt_request())),
    responses((status = 200, description = "What was signed", body = GivenBack, example = json!(super::examples::given_back())), OfGivenBack))]
async fn given(State(service): State<Arc<Service>>, request: Request) -> Result<Json<GivenBack>, Problem> {
    let request = json_body(request, service.config.limits.body_bytes).await?;
    given_back::given_back(&service, request).await.map(Json)
}

/// How well it is, and the names of what is not
#[utoipa::path(get, path = "/healthz", tag = "public",
    responses(
        (status = 200, description = "Ok or degraded", body = Health, example = json!(super::examples::health(HealthStatus::Ok))),
        (status = 503, description = "Unhealthy", body = Health, example = json!(super::examples::health(HealthStatus::Unhealthy)))))]
async fn health(State(service): State<Arc<Service>>) -> Response {
    let (status, reasons) = service.is_well();
    let reasons = reasons.into_iter().map(|(what, _)| what.to_owned()).collect();
    answered(Health { status, reasons })
}

/// An answer on health, with the HTTP status that belongs to its word.
pub(super) fn answered(health: Health) -> Response {
    (StatusCode::from_u16(health.status.http()).unwrap_or(StatusCode::OK), Json(health)).into_response()
}
