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
