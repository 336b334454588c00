//! What regulators, auditors and support read, and how a grant is taken back.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use gridveil_api::{
    CodeName,
    admin::{SupportCommunity, SupportStatus},
    grant::{GrantField, GrantedTotals, Revocation, Revoked},
};
use gridveil_protocol::units::Interval;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{extract::Path, json_body, number, openapi::refusals};
use crate::{
    grants::{self, Fields},
    openings,
    problem::{self, Problem},
    service::Service,
};

/// Largest body: a revocation.
const BODY_BYTES: usize = 4096;

/// Routes of the admin listener.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(totals))
        .routes(routes!(revoke))
        .routes(routes!(support_status))
        .routes(routes!(audit_log))
}

refusals!(OfTotals: GRANT_MISSING GRANT_INVALID GRANT_EXPIRED GRANT_REVOKED GRANT_SCOPE PATH_MALFORMED ACCOUNT_UNKNOWN HEADER_NOT_SETTLED HEADER_UNKNOWN);

/// The granted totals of a period
///
/// All of them to the operator, who grants nothing to itself.
#[utoipa::path(get, path = "/admin/v1/communities/{community}/totals/{first_interval}", tag = "admin",
    params(("community" = u32, Path, description = "Community index"), ("first_interval" = u32, Path, description = "First interval of the period")),
    responses((status = 200, description = "The granted fields alone", body = GrantedTotals), OfTotals))]
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

refusals!(OfRevocation: BODY_MEDIA_TYPE PATH_MALFORMED ACCOUNT_UNKNOWN REVOCATION_SIGNATURE);

/// Takes a grant back
///
/// Sent twice, it answers the same.
#[utoipa::path(post, path = "/admin/v1/communities/{community}/grants/revoke", tag = "admin", params(("community" = u32, Path, description = "Community index")),
    request_body(content = Revocation), responses((status = 200, description = "It opens nothing from now on", body = Revoked), OfRevocation))]
async fn revoke(
    State(service): State<Arc<Service>>,
    Path(community): Path<String>,
    request: Request,
) -> Result<Json<Revoked>, Problem> {
    let community = number(&community, "community")?;
    let revocation: Revocation = json_body(request, BODY_BYTES).await?;
    grants::revoke(&service, community, revocation).await.map(Json)
}

/// How the service is
///
/// No count of packets, accounts or operations, no slot and no text that could hold one.
#[utoipa::path(get, path = "/admin/v1/support/status", tag = "admin", responses((status = 200, description = "In names and numbers", body = SupportStatus)))]
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

refusals!(OfAuditLog: PATH_MALFORMED);

/// A piece of the audit log's file, as it is
///
/// Sealed. Empty at its end.
#[utoipa::path(get, path = "/admin/v1/audit-log/{offset}", tag = "admin", params(("offset" = u64, Path, description = "Byte of the file")),
    responses((status = 200, description = "Bytes from there on", content_type = "application/octet-stream"), OfAuditLog))]
async fn audit_log(State(service): State<Arc<Service>>, Path(offset): Path<String>) -> Result<Response, Problem> {
    let offset: u64 =
        offset.parse().map_err(|_| Problem::new(problem::PATH_MALFORMED, "offset is not a number of bytes"))?;
    let read = tokio::task::spawn_blocking(move || service.audit.piece(offset)).await;
    let piece = read.map_err(|_| Problem::internal("the audit log could not be read"))?;
    let piece = piece.map_err(|_| Problem::internal("the audit log could not be read"))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], piece).into_response())
}
