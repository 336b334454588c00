//! What a service shows of itself while it works: log lines ([`logs`]), traces ([`traces`]), and a small listener for
//! metrics and health ([`watch`]).
//!
//! Invariant: nothing of a person leaves by here. What a trace may hold is a list in one place ([`allowed`]).
#![forbid(unsafe_code)]

pub mod allowed;
pub mod logs;
pub mod traces;
pub mod watch;

use clap::ValueEnum;

/// Options of a service.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TelemetryArgs {
    /// Form of the lines that are logged on stderr: text for people, json for machines (one object a line). `RUST_LOG` chooses
    /// which.
    #[arg(long, value_name = "FORMAT", value_enum, env = "GRIDVEIL_LOG_FORMAT", default_value_t)]
    pub log_format: LogFormat,
    /// OpenTelemetry collector that traces are sent to (OTLP, http/protobuf), http://… or https://… without /v1/traces. None are
    /// made without it.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    pub otlp_endpoint: Option<String>,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why nothing is shown as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The collector's address. It is not repeated, as it may hold a key.
    #[error("--otlp-endpoint (or OTEL_EXPORTER_OTLP_ENDPOINT): not an address http://HOST:PORT or https://HOST")]
    Endpoint,
    /// Two of them in one process.
    #[error("this process logs already")]
    Twice,
    /// No listener.
    #[error("--health-bind {address}: {source}")]
    Listener {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// Begins to log, and to trace where a collector is named. `service` is the name that traces go by, `filter` what is logged
/// unless `RUST_LOG` says otherwise.
///
/// # Errors
/// [`TelemetryError`].
pub fn begin(service: &'static str, filter: &str, args: &TelemetryArgs) -> Result<(), TelemetryError> {
    use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};
    let traces = traces::layer(service, args.otlp_endpoint.as_deref())?;
    let lines = logs::layer(args.log_format, filter);
    tracing_subscriber::registry().with(traces).with(lines).try_init().map_err(|_| TelemetryError::Twice)
}

/// Sends what is not sent yet. Called once, at the end.
pub fn end() {
    traces::end();
}
