//! Connections of a listener, with a bound for each thing that a client can hold without end: how many it has open, how
//! long it writes a request's head or none, how long it stays.
//!
//! A request's body and its work have bounds of their own ([`crate::api::limits`]).

use std::{io::Write as _, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tower::Service as _;

use crate::{
    client::{Peer, PerClient, Proxies, Within},
    config::Limits,
    metrics::{ADMIN, Away, HEALTH, Metrics, Of, PUBLIC},
    problem::{self, Problem},
};

/// Until it is tried again where the system gives no connection: it has no file for it.
const PAUSE: Duration = Duration::from_millis(50);
/// Open files of this process that are no connections of the public listener: log, index, L1, provers, other listeners.
const OTHER_FILES: u64 = 256;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Of one client; a proxy that is trusted has as many as there are.
    pub of_client: usize,
    /// Proxies.
    pub proxies: Proxies,
    /// Bounds that all listeners share.
    pub limits: Limits,
    /// Where connections are counted, and as which listener's.
    pub counted: (Arc<Metrics>, Of),
}

impl Bounds {
    /// Of the public listener: no more connections than this process may have files open.
    pub(crate) fn public(limits: &Limits, proxies: &Proxies, metrics: &Arc<Metrics>) -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = usize::try_from(files.saturating_sub(OTHER_FILES).max(files / 4)).unwrap_or(usize::MAX);
        let connections = limits.connections.min(room);
        // However few there are, one client has a quarter of them.
        let of_client = limits.connections_of_client.min((connections / 4).max(1));
        Self {
            connections,
            of_client,
            proxies: proxies.clone(),
            limits: *limits,
            counted: (Arc::clone(metrics), PUBLIC),
        }
    }

    /// Of the operator's listener.
    pub(crate) fn admin(limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        Self::own(limits, (Arc::clone(metrics), ADMIN))
    }

    /// Of the one for who watches.
    pub(crate) fn health(limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        Self::own(limits, (Arc::clone(metrics), HEALTH))
    }

    /// Of a listener for the operator alone.
    fn own(limits: &Limits, counted: (Arc<Metrics>, Of)) -> Self {
        let connections = limits.own_connections;
        Self { connections, of_client: connections, proxies: Proxies::default(), limits: *limits, counted }
    }

    fn turned_away(&self, reason: &'static str) {
        let (metrics, Of { listener }) = &self.counted;
        metrics.turned_away.get_or_create(&Away { listener, reason }).inc();
    }
}

/// Waits until somebody says so.
pub(crate) async fn is_set(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|told| *told).await;
}

/// Counts a connection for as long as it is open.
struct Open(Gauge);

impl Open {
    fn of(bounds: &Bounds) -> Self {
        let gauge = bounds.counted.0.connections.get_or_create_owned(&bounds.counted.1);
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What a connection holds.
struct Held {
    _open: Open,
    _place: OwnedSemaphorePermit,
    _within: Option<Within>,
}

/// Serves until it is told to stop; then those in work are answered.
pub(crate) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let clients = PerClient::new(bounds.of_client);
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = is_set(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => (stream, address.ip()),
                Err(error) => {
                    bounds.turned_away("system");
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            bounds.turned_away("full");
            turn_away(stream, "too many connections");
            continue;
        };
        let within = if bounds.proxies.is_one(peer) {
            None
        } else {
            let Some(within) = clients.enter(peer.into()) else {
                bounds.turned_away("client");
                turn_away(stream, "too many connections of this client");
                continue;
            };
            Some(within)
        };
        let held = Held { _open: Open::of(&bounds), _place: place, _within: within };
        let (router, limits) = (router.clone(), bounds.limits);
        connections.spawn(connection(stream, Peer(peer), router, limits, stopped.clone(), held));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Says why, if that can be written at once, and closes.
fn turn_away(stream: TcpStream, why: &str) {
    let document = serde_json::to_string(&Problem::new(problem::QUEUE_FULL, why).document()).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{document}",
        document.len()
    );
    if let Ok(mut stream) = stream.into_std() {
        // It does not block.
        let _ = stream.write(answer.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
    _held: Held,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // What a client does wrong ends its own connection, and is not told of.
        _ = connection.as_mut() => return,
        () = is_set(&mut stopped) => {}
        () = tokio::time::sleep(limits.connection) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.last_request(), connection).await;
}
