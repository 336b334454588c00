//! The admin listener: loopback, with a bearer token.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gridveil_protocol::{
    field::to_bytes, header_operation::HeaderOperation, opening::PeriodOpening, tariff::Tariff, units::Interval,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bounded, json_body, number, public::hex0, unknown_route, wrong_method};
use crate::{
    batch, openings,
    operations::{self, Submitted},
    problem::{self, Problem},
    service::Service,
    tariffs,
};

/// Deadline of an admin request: a closing of the largest shape computes for seconds.
const DEADLINE: Duration = Duration::from_secs(120);
/// Largest admin body: a tariff of 96 intervals is about 25 KiB.
const BODY_BYTES: usize = 256 << 10;
/// Settled batches shown of a community.
const SHOWN: usize = 20;

/// Routes.
pub fn router(service: &Arc<Service>) -> Router {
    let (for_bounds, for_token) = (Arc::clone(service), Arc::clone(service));
    Router::new()
        .route("/admin/v1/communities/{community}/close", post(close))
        .route("/admin/v1/communities/{community}/missing", get(missing))
        .route("/admin/v1/communities/{community}/tariffs", post(publish))
        .route("/admin/v1/communities/{community}/header-operation", post(operate_header))
        .route("/admin/v1/communities/{community}/header/{first_interval}", get(header_opening))
        .route("/admin/v1/status", get(status))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| {
            let service = Arc::clone(&for_token);
            async move { with_token(&service, request, next).await }
        }))
        .layer(middleware::from_fn(move |request, next| bounded(Arc::clone(&for_bounds), DEADLINE, request, next)))
}

async fn with_token(service: &Service, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    if given.is_some_and(|token| service.config.admin_token.is(token)) {
        next.run(request).await
    } else {
        Problem::new(problem::ADMIN_TOKEN, "send Authorization: Bearer <token>").into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseRequest {
    first_interval: Interval,
}

async fn close(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let community = number(&community, "community")?;
    let CloseRequest { first_interval } = json_body(request, BODY_BYTES).await?;
    let applied = batch::close(&service, community, first_interval).await?;
    let new_root = hex0(&to_bytes(&applied.new_root));
    Ok(Json(
        json!({"community": community, "first_interval": first_interval, "batch": applied.batch, "new_root": new_root}),
    ))
}

/// What the meter data manager has to substitute, and on what.
async fn missing(State(service): State<Arc<Service>>, Path(community): Path<String>) -> Result<Json<Value>, Problem> {
    let community = number(&community, "community")?;
    let open = batch::open_period(&service.writer.snapshot(), community)?;
    let missing = open.missing.iter().map(
        |m| json!({"slot": m.slot, "previous_substitute": hex0(&to_bytes(&m.previous_substitute)), "scale": m.scale}),
    );
    Ok(Json(
        json!({"community": community, "first_interval": open.first_interval, "missing": missing.collect::<Vec<_>>()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TariffRequest {
    first_interval: Interval,
    tariff: Tariff,
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
    let l1 = if published.registered { "registered" } else { "pending" };
    Ok((status, Json(json!({"commitment": hex0(&to_bytes(&published.commitment)), "l1": l1}))).into_response())
}

async fn operate_header(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let community = number(&community, "community")?;
    let operation: HeaderOperation = json_body(request, BODY_BYTES).await?;
    let (status, word, id) = match operations::submit_header(&service, community, operation).await? {
        Submitted::Accepted(id) => (StatusCode::CREATED, "accepted", id),
        Submitted::Duplicate(id) => (StatusCode::OK, "duplicate", id),
    };
    Ok((status, Json(json!({"id": hex0(&id), "status": word}))).into_response())
}

async fn header_opening(
    State(service): State<Arc<Service>>,
    Path((community, first)): Path<(String, String)>,
) -> Result<Json<PeriodOpening>, Problem> {
    let (community, first) = (number(&community, "community")?, number(&first, "first_interval")?);
    openings::period(&service, community, first).await.map(Json)
}

async fn status(State(service): State<Arc<Service>>) -> Json<Value> {
    let blocked = service.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let snapshot = service.writer.snapshot();
    let communities: Vec<Value> = snapshot
        .log_state
        .communities
        .iter()
        .map(|(index, log_state)| {
            let settled = log_state.settled.iter().skip(log_state.settled.len().saturating_sub(SHOWN)).map(|s| {
                let r = &s.record;
                json!({"batch": r.batch, "first_interval": s.first_interval, "step": "settled", "prove_ms": s.prove_ms, "gas_used": r.gas_used,
                       "tx": r.tx.map(|tx| hex0(&tx.0)), "block": r.block})
            });
            let pending = snapshot.log_state.batches.iter().filter(|(_, b)| b.community == *index).map(|(batch, b)| {
                let step = if b.prove_ms.is_some() { "proven" } else { "applied" };
                json!({"batch": batch, "first_interval": b.first_interval, "step": step, "prove_ms": b.prove_ms})
            });
            let blocked = blocked.get(index).map(Problem::json);
            let header_nonce = snapshot.communities.get(index).map(|community| community.header.nonce);
            json!({"community": index, "next_interval": log_state.next_interval, "packets": log_state.packets.len(), "closed": log_state.closed.is_some(),
                   "operations": log_state.pending.operations.len(), "late": log_state.pending.late.len(), "header_pending": log_state.pending.header.is_some(),
                   "header_refused": log_state.pending.header_refused, "header_nonce": header_nonce, "blocked": blocked, "batches": settled.chain(pending).collect::<Vec<_>>()})
        })
        .collect();
    Json(json!({
        "state_root": hex0(&to_bytes(&snapshot.log_state.root)),
        "log_height": snapshot.height,
        "stopped": service.health.stopped(),
        "retrying": service.health.retrying(),
        "communities": communities,
    }))
}
