//! The public listener: meters and members.

use std::sync::Arc;

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
    public::{
        CommunityInfo, GivenBack, Health, Info, NotePath, OpenPeriod, OperationState, OperationTaken, PacketTaken,
        SETTLED_SHOWN, SettledPeriod, Taken,
    },
};
use gridveil_protocol::{
    codec, field, operation::SignedOperation, packet::SignedPacket, receipt::Receipt, tariff::Tariff, units::Interval,
    version::begins_s,
};
use serde::Serialize;

use super::{
    body, guard, json_body,
    limits::{self, Clients, Rate, Work},
    media_type, number, parse_json, unknown_route, wrong_method,
};
use crate::{
    admission,
    client::PerClient,
    given_back, notes, operations,
    problem::{self, Problem},
    receipts,
    service::{Metrics, Service},
    store::{log_state::CommunityState, selected},
};

/// Routes. Of what a client may do in time, `rate` says how much.
pub(crate) fn router(service: &Arc<Service>, rate: &Arc<Rate>) -> Router {
    let (for_work, for_clients, for_counts) = (Arc::clone(service), Arc::clone(service), Arc::clone(service));
    let bounds = service.config.limits;
    let work = Work { permits: |service| &service.in_flight, deadline: bounds.request, body_bytes: bounds.body_bytes };
    let clients = Clients { rate: Arc::clone(rate), requests: PerClient::new(bounds.requests_of_client) };
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/communities/{community}", get(community))
        .route("/v1/communities/{community}/tariffs/{first_interval}", get(tariff))
        .route("/v1/packets", post(packet))
        .route("/v1/operations", post(operation))
        .route("/v1/operations/{id}", get(operation_state))
        .route("/v1/notes/{commitment}", get(note))
        .route("/v1/receipts", post(receipt))
        .route("/v1/given-back", post(given))
        .route("/healthz", get(health))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| limits::bounded(Arc::clone(&for_work), work, request, next)))
        .layer(middleware::from_fn(guard::listed))
        .layer(middleware::from_fn(move |request, next| {
            limits::of_client(Arc::clone(&for_clients), clients.clone(), request, next)
        }))
        .layer(middleware::from_fn(move |request, next| limits::counted(Arc::clone(&for_counts), request, next)))
}

async fn info(State(service): State<Arc<Service>>) -> Json<Info> {
    let genesis = &service.genesis;
    let snapshot = service.writer.snapshot();
    let begins_s = |(index, log_state): (&u32, &Arc<CommunityState>)| {
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

fn unknown_community() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community")
}

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
    let one = |period: &crate::store::log_state::SettledPeriod| SettledPeriod {
        first_interval: period.first_interval,
        root: period.root,
        batch: period.record.batch,
        tx: period.record.tx,
        block: period.record.block,
    };
    shown.map(one).collect()
}

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
    let (status, id, counter) = match admission::admit(&service, signed).await? {
        admission::Admitted::Accepted(id) => (Taken::Accepted, id, &service.metrics.accepted),
        admission::Admitted::Duplicate(id) => (Taken::Duplicate, id, &service.metrics.duplicates),
        admission::Admitted::Late(id) => (Taken::Late, id, &service.metrics.late),
    };
    Metrics::count(counter);
    Ok(taken(status, PacketTaken { packet_id: Bytes32(id), status }))
}

/// A confirmation, with the HTTP status that belongs to its word.
pub(super) fn taken(status: Taken, answer: impl Serialize) -> Response {
    (StatusCode::from_u16(status.status()).unwrap_or(StatusCode::OK), Json(answer)).into_response()
}

async fn operation(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let signed: SignedOperation = json_body(request, service.config.limits.body_bytes).await?;
    let (status, id) = match operations::submit(&service, signed).await? {
        operations::Submitted::Accepted(id) => {
            Metrics::count(&service.metrics.operations);
            (Taken::Accepted, id)
        }
        operations::Submitted::Duplicate(id) => (Taken::Duplicate, id),
    };
    Ok(taken(status, OperationTaken { operation_id: Bytes32(id), status }))
}

/// 32 bytes in a path.
fn bytes32(text: &str, what: &str) -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| Problem::new(problem::PATH_MALFORMED, format!("{what} is not 32 bytes of hex")))?;
    Ok(bytes)
}

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

async fn note(State(service): State<Arc<Service>>, Path(commitment): Path<String>) -> Result<Json<NotePath>, Problem> {
    let commitment = field::from_bytes(&bytes32(&commitment, "commitment")?);
    let commitment =
        commitment.map_err(|_| Problem::new(problem::PATH_MALFORMED, "commitment is not a canonical field element"))?;
    notes::note_path(&service, commitment).await.map(Json)
}

async fn receipt(State(service): State<Arc<Service>>, request: Request) -> Result<Json<Receipt>, Problem> {
    let request = json_body(request, service.config.limits.body_bytes).await?;
    receipts::receipt(&service, request).await.map(Json)
}

async fn given(State(service): State<Arc<Service>>, request: Request) -> Result<Json<GivenBack>, Problem> {
    let request = json_body(request, service.config.limits.body_bytes).await?;
    given_back::given_back(&service, request).await.map(Json)
}

/// For everybody: how well, and the names of what is not.
async fn health(State(service): State<Arc<Service>>) -> Response {
    let (status, reasons) = service.is_well();
    let reasons = reasons.into_iter().map(|(what, _)| what.to_owned()).collect();
    answered(Health { status, reasons })
}

/// An answer on health, with the HTTP status that belongs to its word.
pub(super) fn answered(health: Health) -> Response {
    (StatusCode::from_u16(health.status.http()).unwrap_or(StatusCode::OK), Json(health)).into_response()
}
