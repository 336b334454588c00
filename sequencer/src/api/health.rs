//! The listener of who watches the process: is it alive, does it take requests, what does it count. It takes no permit of
//! anybody, so that it answers while members or an attack have all of them.

use std::{
    fmt::Write,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use gridveil_api::public::Health;

use super::{public::answered, unknown_route, wrong_method};
use crate::service::Service;

/// Routes.
pub fn router(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(service))
}

/// A process that answers lives, unless a restart alone mends it.
async fn live(State(service): State<Arc<Service>>) -> StatusCode {
    if service.writer.snapshot().failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// With what is wrong, in words for the operator.
async fn ready(State(service): State<Arc<Service>>) -> Response {
    let (status, reasons) = service.is_well();
    let told = |(what, why): (&'static str, Option<String>)| why.unwrap_or_else(|| what.to_owned());
    answered(Health { status, reasons: reasons.into_iter().map(told).collect() })
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
        ("gridveil_given_back_total", "counter", m.given_back.load(Ordering::Relaxed)),
        ("gridveil_batches_settled_total", "counter", m.settled.load(Ordering::Relaxed)),
        ("gridveil_l1_retries_total", "counter", m.l1_retries.load(Ordering::Relaxed)),
        ("gridveil_batches_unsettled", "gauge", unsettled),
        ("gridveil_last_batch", "gauge", last),
        ("gridveil_log_records", "gauge", height),
        ("gridveil_log_snapshot_records", "gauge", m.snapshot_records.load(Ordering::Relaxed)),
        ("gridveil_log_checked_records", "gauge", m.log_checked_records.load(Ordering::Relaxed)),
        ("gridveil_log_findings_total", "counter", m.log_findings.load(Ordering::Relaxed)),
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
