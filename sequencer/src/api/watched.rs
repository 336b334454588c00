//! The description of the listener for health ([`super::health`]).

use gridveil_api::public::Health;

/// Its description.
#[derive(utoipa::OpenApi)]
#[openapi(paths(live, ready, metrics))]
pub(crate) struct Watched;

/// Does the process live?
#[utoipa::path(get, path = "/livez", tag = "health",
    responses((status = 200, description = "It answers"), (status = 503, description = "Its log could not be written, which a restart alone mends")))]
#[expect(dead_code, reason = "it stands for its description")]
const fn live() {}

/// Is it well? With why not
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "Ok or degraded", body = Health), (status = 503, description = "Unhealthy", body = Health)))]
#[expect(dead_code, reason = "it stands for its description")]
const fn ready() {}

/// Counts, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Prometheus text", content_type = "text/plain", body = String)))]
#[expect(dead_code, reason = "it stands for its description")]
const fn metrics() {}
