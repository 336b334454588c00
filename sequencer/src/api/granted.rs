//! What regulators, auditors and support read, and how a grant is taken back.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gridveil_api::{
    CodeName,
    admin::{SupportCommunity, SupportStatus},
    grant::{GrantField, GrantedTotals, Revocation, Revoked},
};
use gridveil_protocol::units::Interval;

use super::{json_body, number};
use crate::{
    grants::{self, Fields},
    openings,
    problem::{self, Problem},
    service::Service,
};

/// Largest body: a revocation.
const BODY_BYTES: usize = 4096;

/// Routes of the admin listener.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/admin/v1/communities/{community}/totals/{first_interval}", get(totals))
        .route("/admin/v1/communities/{community}/grants/revoke", post(revoke))
        .route("/admin/v1/support/status", get(support_status))
        .route("/admin/v1/audit-log/{offset}", get(audit_log))
}

/// The granted totals of a period; all of them to the operator, who grants nothing to itself.
async fn totals(
    State(service): State<Arc<Service>>,
    Path((community, first)): Path<(String, String)>,
    request: Request,
) -> Result<Json<GrantedTotals>, Problem> {
    let (community, first) = (number(&community, "community")?, Interval(number(&first, "first_interval")?));
    let all = || GrantField::ALL.into_iter().collect::<BTreeSet<_>>();
    let fields = request.extensions().get::<Fields>().map_or_else(all, |Fields(fields)| fields.clone());
    let opening = openings::period(&service, community, first).await?;
    Ok(Json(GrantedTotals::of(&opening, &fields)))
}

async fn revoke(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Json<Revoked>, Problem> {
    let community = number(&community, "community")?;
    let revocation: Revocation = json_body(request, BODY_BYTES).await?;
    grants::revoke(&service, community, revocation).await.map(Json)
}

/// How the service is: no count of packets, accounts or operations, no slot and no text that could hold one.
async fn support_status(State(service): State<Arc<Service>>) -> Json<SupportStatus> {
    let (health, reasons) = service.is_well();
    let blocked = service.blocked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let snapshot = service.writer.snapshot();
    let communities = snapshot.log_state.communities.iter().map(|(index, state)| SupportCommunity {
        community: *index,
        next_interval: state.next_interval,
        closed: state.closed.is_some(),
        blocked: blocked.get(index).map(|problem| CodeName::new(problem.code.name)),
        last_settled: state.settled.last().map(|settled| settled.record.batch),
    });
    Json(SupportStatus {
        health,
        reasons: reasons.into_iter().map(|(what, _)| what.to_owned()).collect(),
        versions: snapshot.log_state.versions.all(),
        log_height: snapshot.height,
        unsettled: snapshot.log_state.batches.len(),
        communities: communities.collect(),
    })
}

/// A piece of the audit log's file, as it is: sealed. Empty at its end.
async fn audit_log(State(service): State<Arc<Service>>, Path(offset): Path<String>) -> Result<Response, Problem> {
    let offset: u64 =
        offset.parse().map_err(|_| Problem::new(problem::PATH_MALFORMED, "offset is not a number of bytes"))?;
    let read = tokio::task::spawn_blocking(move || service.audit.piece(offset)).await;
    let piece = read.map_err(|_| Problem::internal("the audit log could not be read"))?;
    let piece = piece.map_err(|_| Problem::internal("the audit log could not be read"))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], piece).into_response())
}
