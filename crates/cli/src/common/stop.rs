//! When a service is asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGINT, which a terminal sends, or SIGTERM, which systemd and containers send.
///
/// # Errors
/// The system does not let it wait.
pub async fn asked() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = term.recv() => Ok(()),
    }
}
