//! The listener of who watches the process: is it alive, does it take requests, what does it count. It takes no permit of
//! anybody, so that it answers while members or an attack have all of them. It listens before the log is read.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use gridveil_api::public::{Health, HealthStatus};
use gridveil_telemetry::watch::{Text, takes_open_metrics};

use super::{public::answered, unknown_route, wrong_method};
use crate::{metrics::scrape, service::Service};

/// What runs, once it does.
pub(crate) type Running = Arc<OnceLock<Arc<Service>>>;

/// What is said while the log is read.
const STARTING: &str = "starting: the log is read; with a long one that takes a while";
/// What is counted then.
const NOTHING_YET: &str =
    "# HELP gridveil_health 3 while the log is read.\n# TYPE gridveil_health gauge\ngridveil_health 3\n";

/// Routes.
pub(crate) fn router(running: &Running) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(running))
}

/// A process that answers lives, unless a restart alone mends it. One that still reads its log must not be restarted.
async fn live(State(running): State<Running>) -> StatusCode {
    let failed = running.get().is_some_and(|service| service.writer.snapshot().failed);
    if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// With what is wrong, in words for the operator.
async fn ready(State(running): State<Running>) -> Response {
    let Some(service) = running.get() else {
        return answered(Health { status: HealthStatus::Unhealthy, reasons: vec![STARTING.to_owned()] });
    };
    let (status, reasons) = service.is_well();
    let told = |(what, why): (&'static str, Option<String>)| why.unwrap_or_else(|| what.to_owned());
    answered(Health { status, reasons: reasons.into_iter().map(told).collect() })
}

async fn metrics(State(running): State<Running>, headers: HeaderMap) -> Response {
    let Some(service) = running.get() else {
        return ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], NOTHING_YET).into_response();
    };
    let Text { media, body } = scrape::scrape(service, takes_open_metrics(&headers));
    ([(header::CONTENT_TYPE, media)], body).into_response()
}
