//! Traces for an OpenTelemetry collector: off unless one is named. The usual variables count (`OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`, `OTEL_RESOURCE_ATTRIBUTES`).

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::FilterExt as _, filter::filter_fn, registry::LookupSpan};

use crate::{TelemetryError, allowed};

/// Longest that a collector may take for one batch of spans, and for the last one at the end.
const ANSWER: Duration = Duration::from_secs(5);
/// Names the place of traces alone; it goes before the other.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// `true` switches all of it off.
const DISABLED: &str = "OTEL_SDK_DISABLED";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Sends what may leave ([`allowed`]), and nothing else.
#[derive(Debug)]
struct Allowed<E> {
    to: E,
    fails: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Allowed<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.to.export(batch.into_iter().filter_map(allowed::only).collect()).await;
        // Told once. Why may hold the collector's address.
        match (sent.is_err(), self.fails.swap(sent.is_err(), Ordering::Relaxed)) {
            (true, false) => tracing::warn!("the collector of traces takes none: they are dropped until it does"),
            (false, true) => tracing::info!("the collector of traces takes them again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.to.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.to.set_resource(resource);
    }
}

/// The layer that makes traces of spans of this project; `None` if no collector is named.
///
/// # Errors
/// [`TelemetryError::Endpoint`].
pub fn layer<S>(
    service: &'static str,
    endpoint: Option<&str>,
) -> Result<Option<impl Layer<S> + Send + Sync + use<S>>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let of_traces = std::env::var(TRACES_ENDPOINT).ok().filter(|url| !url.is_empty());
    let disabled = std::env::var(DISABLED).is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    let base = endpoint.filter(|url| !url.is_empty());
    let url = of_traces.or_else(|| base.map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))));
    let Some(url) = url.filter(|_| !disabled) else { return Ok(None) };
    let provider = provider(service, &url)?;
    let tracer = provider.tracer("gridveil");
    let _ = PROVIDER.set(provider);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let ours = filter_fn(|about| about.is_span() && about.target().starts_with("gridveil"));
    Ok(Some(layer.with_filter(ours.and(LevelFilter::INFO))))
}

fn provider(service: &'static str, url: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let is_address = ["http://", "https://"]
        .iter()
        .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with('/')));
    if !is_address {
        return Err(TelemetryError::Endpoint);
    }
    // Also in a process that asks nobody else by TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A blocking client is made on a thread of its own: this one may belong to a runtime.
    let client = std::thread::spawn(|| {
        reqwest::blocking::Client::builder().timeout(ANSWER).redirect(reqwest::redirect::Policy::none()).build()
    });
    let client = client.join().ok().and_then(Result::ok).ok_or(TelemetryError::Endpoint)?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_timeout(ANSWER)
        .build()
        .map_err(|_| TelemetryError::Endpoint)?;
    let resource = Resource::builder().with_service_name(service);
    let resource = resource.with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let exporter = Allowed { to: exporter, fails: AtomicBool::new(false) };
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// Sends what is left.
pub(crate) fn end() {
    if let Some(provider) = PROVIDER.get() {
        let _ = provider.shutdown_with_timeout(ANSWER);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for wrong in ["collector:4318", "ftp://secret.example", "http:///v1", "words"] {
            let error = provider("x", wrong).err().unwrap().to_string();
            assert!(error.contains("--otlp-endpoint") && !error.contains(wrong), "{error}");
        }
    }
}
