//! The listener for who watches, before anything else: while a long log is read it says that, and that nobody should restart
//! the process.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    Config, Error,
    api::health,
    io_error,
    listen::{self, Bounds},
    metrics::Metrics,
    service::Service,
};

/// It ends when it is dropped.
pub(crate) struct Early {
    /// What all listeners count with.
    pub metrics: Arc<Metrics>,
    /// Ends all listeners.
    pub stop: watch::Sender<bool>,
    address: SocketAddr,
    running: health::Running,
    server: JoinHandle<()>,
}

impl Early {
    /// Listens, and says that the sequencer starts.
    pub(crate) async fn listen(config: &Config) -> Result<Self, Error> {
        let listener = TcpListener::bind(config.health_bind).await.map_err(io_error("health listener"))?;
        let address = listener.local_addr().map_err(io_error("health listener"))?;
        let (metrics, running) = (Arc::<Metrics>::default(), health::Running::default());
        let (stop, stopped) = watch::channel(false);
        let bounds = Bounds::health(&config.limits, &metrics);
        let server = tokio::spawn(listen::serve(listener, health::router(&running), bounds, stopped));
        Ok(Self { metrics, stop, address, running, server })
    }

    /// From now on it is this that is watched. Where it listens, what ends it, and the listener.
    pub(crate) fn shows(self, service: &Arc<Service>) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
        // It is set once: `self` is gone after.
        let _ = self.running.set(Arc::clone(service));
        (self.address, self.stop, self.server)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;
    use crate::AdminToken;

    async fn ask(at: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Before, nobody listened until the log was read, and whoever watched had the process restarted.
    #[tokio::test]
    async fn a_start_is_alive_and_not_ready() {
        let token = AdminToken::new("a token of enough bytes").unwrap();
        let early = Early::listen(&Config::new("nowhere".into(), "nothing".into(), token)).await.unwrap();
        let at = early.address;
        assert!(ask(at, "/livez").await.starts_with("HTTP/1.1 200"));
        let ready = ask(at, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("starting: the log is read"), "{ready}");
        assert!(ask(at, "/metrics").await.ends_with("gridveil_health 3\n"));
        drop(early);
        let gone = async || TcpStream::connect(at).await.is_err();
        for _ in 0..500 {
            if gone().await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(gone().await, "it listens for ever");
    }
}
