//! A listener for who watches a process that serves nothing else: `/livez`, `/readyz`, `/metrics`.

use std::{net::SocketAddr, sync::Arc, thread};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

use crate::TelemetryError;

/// What is watched.
pub trait Watched: Send + Sync + 'static {
    /// Why it does not work now, for the operator; `None` if it does.
    fn unready(&self) -> Option<String>;

    /// What it counts, as of now.
    fn registry(&self) -> &Registry;
}

/// A port alone is one of this machine's loopback.
///
/// # Errors
/// Neither an address with a port, nor a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let port = || text.parse::<u16>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    text.parse().or_else(|_| port()).map_err(|_| "not ADDRESS:PORT, nor a port of this machine".to_owned())
}

/// Listens on a thread of its own, until the process ends. Where it listens.
///
/// # Errors
/// [`TelemetryError::Listener`].
pub fn listen(address: SocketAddr, watched: Arc<dyn Watched>) -> Result<SocketAddr, TelemetryError> {
    let failed = |source| TelemetryError::Listener { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let router = Router::new()
        .route("/livez", get(async || StatusCode::OK))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(watched);
    let serve = move || {
        runtime.block_on(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
    };
    thread::Builder::new().name("health".into()).spawn(serve).map_err(failed)?;
    Ok(at)
}

async fn ready(State(watched): State<Arc<dyn Watched>>) -> Response {
    match watched.unready() {
        None => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(watched): State<Arc<dyn Watched>>, headers: HeaderMap) -> Response {
    let Text { media, body } = written(watched.registry(), takes_open_metrics(&headers));
    ([(header::CONTENT_TYPE, media)], body).into_response()
}

/// Metrics in a text, with its media type.
#[derive(Clone, Debug)]
pub struct Text {
    /// Media type.
    pub media: &'static str,
    /// The text.
    pub body: String,
}

/// Does who asks read OpenMetrics, as Prometheus does?
#[must_use]
pub fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let is = |value: &header::HeaderValue| value.to_str().is_ok_and(|v| v.contains("application/openmetrics-text"));
    headers.get_all(header::ACCEPT).iter().any(is)
}

/// As OpenMetrics, or the older text, which every tool reads.
#[must_use]
pub fn written(registry: &Registry, open_metrics: bool) -> Text {
    let mut body = String::new();
    // Writing into a text does not fail.
    let media = if open_metrics {
        let _ = text::encode(&mut body, registry);
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        let _ = prometheus_text::encode(&mut body, registry);
        "text/plain; version=0.0.4; charset=utf-8"
    };
    Text { media, body }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_loopback() {
        assert_eq!(address("8083").unwrap().to_string(), "127.0.0.1:8083");
        assert_eq!(address("[::1]:9").unwrap().to_string(), "[::1]:9");
        assert!(address("localhost:1").is_err() && address("70000").is_err());
    }
}
