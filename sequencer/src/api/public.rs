//! The public listener: meters and members.

use std::{
    fmt::Write,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gridveil_protocol::{
    codec,
    field::{self, to_bytes},
    operation::SignedOperation,
    packet::SignedPacket,
    receipt::Receipt,
    tariff::Tariff,
};
use serde_json::{Value, json};

use super::{body, bounded, json_body, media_type, number, parse_json, unknown_route, wrong_method};
use crate::{
    admission::{self, Admitted},
    notes::{self, NotePath},
    operations::{self, Submitted},
    problem::{self, Problem},
    receipts,
    service::{Metrics, Service},
    store::selected::OperationState,
};

/// Settled periods shown of a community.
const SHOWN: usize = 400;

/// Routes.
pub fn router(service: &Arc<Service>) -> Router {
    let for_bounds = Arc::clone(service);
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/communities/{community}", get(community))
        .route("/v1/communities/{community}/tariffs/{first_interval}", get(tariff))
        .route("/v1/packets", post(packet))
        .route("/v1/operations", post(operation))
        .route("/v1/operations/{id}", get(operation_state))
        .route("/v1/notes/{commitment}", get(note))
        .route("/v1/receipts", post(receipt))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| {
            let service = Arc::clone(&for_bounds);
            async move {
                let deadline = service.config.limits.request;
                bounded(service, deadline, request, next).await
            }
        }))
}

/// `0x` hex.
#[must_use]
pub fn hex0(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

async fn info(State(service): State<Arc<Service>>) -> Json<Value> {
    let genesis = &service.genesis;
    Json(json!({
        "chain_id": genesis.chain_id,
        "contract": hex0(&genesis.contract),
        "domain": hex0(&to_bytes(&genesis.domain)),
        "circuit_version": genesis.circuit_version,
    }))
}

fn unknown_community() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community")
}

async fn community(State(service): State<Arc<Service>>, Path(index): Path<String>) -> Result<Json<Value>, Problem> {
    let index = number(&index, "community")?;
    let snapshot = service.writer.snapshot();
    let log_state = snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?;
    let community = snapshot.communities.get(&index).ok_or_else(unknown_community)?;
    let used = (0u16..).zip(&community.accounts).filter(|(_, a)| a.meter.is_some()).map(|(slot, _)| slot);
    let expected = used.clone().count();
    let received =
        used.filter(|slot| [false, true].iter().any(|s| log_state.packets.contains_key(&(*slot, *s)))).count();
    let settled: Vec<Value> = log_state
        .settled
        .iter()
        .skip(log_state.settled.len().saturating_sub(SHOWN))
        .map(|period| {
            let record = &period.record;
            let tx = record.tx.map(|tx| hex0(&tx.0));
            json!({"first_interval": period.first_interval, "root": hex0(&to_bytes(&period.root)), "batch": record.batch, "tx": tx, "block": record.block})
        })
        .collect();
    Ok(Json(json!({
        "community": index,
        "shape": community.shape.name,
        "members": community.shape.members,
        "intervals": community.shape.intervals,
        "interval_length": community.header.interval_length,
        "mechanism": community.header.mechanism,
        "mdm": community.header.mdm,
        "next_interval": log_state.next_interval,
        "settled": settled,
        "open": {"first_interval": log_state.next_interval, "received": received, "expected": expected, "closed": log_state.closed.is_some()},
    })))
}

async fn tariff(
    State(service): State<Arc<Service>>,
    Path((index, first)): Path<(String, String)>,
) -> Result<Json<Tariff>, Problem> {
    let (index, first) = (number(&index, "community")?, number(&first, "first_interval")?);
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
    let answer = |status: StatusCode, id: &[u8; 32], word: &str| {
        (status, Json(json!({"packet_id": hex0(id), "status": word}))).into_response()
    };
    Ok(match admission::admit(&service, signed).await? {
        Admitted::Accepted(id) => {
            Metrics::count(&service.metrics.accepted);
            answer(StatusCode::CREATED, &id, "accepted")
        }
        Admitted::Duplicate(id) => {
            Metrics::count(&service.metrics.duplicates);
            answer(StatusCode::OK, &id, "duplicate")
        }
        Admitted::Late(id) => {
            Metrics::count(&service.metrics.late);
            answer(StatusCode::ACCEPTED, &id, "late")
        }
    })
}

async fn operation(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let signed: SignedOperation = json_body(request, service.config.limits.body_bytes).await?;
    let answer = |status: StatusCode, id: &[u8; 32], word: &str| {
        (status, Json(json!({"operation_id": hex0(id), "status": word}))).into_response()
    };
    Ok(match operations::submit(&service, signed).await? {
        Submitted::Accepted(id) => {
            Metrics::count(&service.metrics.operations);
            answer(StatusCode::CREATED, &id, "accepted")
        }
        Submitted::Duplicate(id) => answer(StatusCode::OK, &id, "duplicate"),
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

async fn operation_state(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = bytes32(&id, "id")?;
    let state = service
        .reader
        .operation_state(&id)?
        .ok_or_else(|| Problem::new(problem::OPERATION_UNKNOWN, "no operation has this identity"))?;
    Ok(Json(match state {
        OperationState::Pending => json!({"state": "pending"}),
        OperationState::Applied(batch) => {
            let settled = !service.writer.snapshot().log_state.batches.contains_key(&batch);
            json!({"state": "applied", "batch": batch, "final": settled})
        }
        OperationState::Refused(code) => json!({"state": "refused", "code": code}),
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

async fn health(State(service): State<Arc<Service>>) -> Response {
    let mut fatal: Vec<String> = service.health.stopped().into_iter().collect();
    if service.writer.snapshot().failed {
        fatal.push("store.failed".to_owned());
    }
    let retrying = service.health.retrying();
    let (status, word) = match (fatal.is_empty(), retrying.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ok"),
    };
    let reasons: Vec<String> = fatal.into_iter().chain(retrying).collect();
    (status, Json(json!({"status": word, "reasons": reasons}))).into_response()
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let m = &service.metrics;
    let mut out = String::new();
    let (height, unsettled, last, pending) = {
        let snapshot = service.writer.snapshot();
        let pending = snapshot.log_state.communities.values().map(|b| b.pending.operations.len() as u64).sum::<u64>();
        (snapshot.height, snapshot.log_state.batches.len() as u64, snapshot.log_state.last_batch, pending)
    };
    let rows = [
        ("gridveil_packets_accepted_total", "counter", m.accepted.load(Ordering::Relaxed)),
        ("gridveil_packets_duplicate_total", "counter", m.duplicates.load(Ordering::Relaxed)),
        ("gridveil_packets_late_total", "counter", m.late.load(Ordering::Relaxed)),
        ("gridveil_operations_accepted_total", "counter", m.operations.load(Ordering::Relaxed)),
        ("gridveil_operations_pending", "gauge", pending),
        ("gridveil_receipts_total", "counter", m.receipts.load(Ordering::Relaxed)),
        ("gridveil_batches_settled_total", "counter", m.settled.load(Ordering::Relaxed)),
        ("gridveil_l1_retries_total", "counter", m.l1_retries.load(Ordering::Relaxed)),
        ("gridveil_batches_unsettled", "gauge", unsettled),
        ("gridveil_last_batch", "gauge", last),
        ("gridveil_log_records", "gauge", height),
    ];
    for (name, kind, value) in rows {
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
    }
    let _ = writeln!(out, "# TYPE gridveil_refusals_total counter");
    for (code, count) in m.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = writeln!(out, "gridveil_refusals_total{{code=\"{code}\"}} {count}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}
