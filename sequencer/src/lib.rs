//! The sequencer: admits packets and operations, keeps the log, closes periods, has them proven, settles them on L1,
//! gives receipts.
//!
//! - `api` HTTP; `admission` checks that never mutate; `writer` the one place where decisions become durable; `store`
//!   log, keys and index; `operations` what owners sign; `batch` from a closed period to a batch that is final on L1;
//!   `log_keeping` snapshots and checks of the log; `listen` connections and `client` whose they are; `l1_watch` if L1 goes on;
//!   `upgrade` another circuit version from some time on; `emergency` one that L1 has stopped; `tariffs` published tariffs; `obstacles` what holds a community up;
//!   `notes` paths of queued notes; `openings` of headers for auditors; `receipts`;
//!   `erasing` and `exporting` of one account; `retention` of all.
//!
//! Architecture invariants: nothing is acknowledged before it is durable; everything known follows from the log; the
//! rules are `gridveil_protocol`'s alone; no reading, key, salt, path or address is ever logged.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod admission;
pub mod api;
pub mod audit_log;
pub mod batch;
pub mod client;
pub mod config;
mod deployment;
mod early;
pub mod emergency;
pub mod ends;
pub mod erasing;
pub mod exporting;
pub mod given_back;
pub mod grants;
pub mod joining;
pub mod l1;
pub mod l1_watch;
mod listen;
pub mod log_keeping;
pub(crate) mod metrics;
pub mod notes;
pub mod obstacles;
pub mod openings;
pub mod operations;
pub mod problem;
pub mod receipts;
pub mod retention;
pub mod service;
pub mod staff;
pub mod store;
pub mod streams;
pub mod tariffs;
pub mod upgrade;
pub mod writer;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use gridveil_proving_api::ProofSource;
use gridveil_verifier_contract::{L1Error, SettlementL1};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use client::{Proxies, ProxyHeader};
pub use config::{AdminToken, Backoff, Clock, Config, Limits, Pace};
pub use deployment::deployment_in;
pub use retention::{Keep, Retention};
use store::data_keys::read_master_key;
pub use store::{
    GenesisState, StoreError,
    data_keys::{create_master_key, ensure_master_key},
};

use crate::{
    api::limits::Rate,
    early::Early,
    listen::Bounds,
    service::{Health, Metrics, Service},
    store::{Store, record::Genesis},
    writer::Snapshot,
};

/// Why the sequencer does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configuration.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// Store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// L1 has a batch that the log does not have.
    #[error("{}", l1::FOREIGN)]
    Foreign,
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit_log::AuditLogError),
    /// The list of revoked grants.
    #[error(transparent)]
    Revocations(#[from] grants::RevocationsError),
    /// A listener or thread.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// A running sequencer.
#[derive(Debug)]
pub struct Handle {
    public: SocketAddr,
    admin: SocketAddr,
    health: SocketAddr,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    writer: Option<std::thread::JoinHandle<()>>,
}

/// A store that was opened, of a sequencer that does not run yet.
struct Opened {
    config: Config,
    store: store::Opened,
    genesis: Genesis,
    staff: Option<staff::token::Staff>,
    audit: audit_log::AuditLog,
    revocations: grants::Revocations,
}

async fn open(config: Config) -> Result<Opened, Error> {
    if !config.admin_bind.ip().is_loopback() && !config.staff.is_on() {
        return Err(Error::Config(
            "the admin listener must bind to a loopback address, unless staff have tokens ([staff])",
        ));
    }
    let (data, master, genesis) = (config.data_dir.clone(), config.master_key_file.clone(), config.genesis.clone());
    let opened = tokio::task::spawn_blocking(move || Store::open(&data, &master, genesis.as_ref())).await;
    let store = opened.map_err(|_| Error::Config("the store did not open"))??;
    let genesis = store.log_state.genesis.clone().ok_or(StoreError::Inconsistent("no genesis"))?;
    let mut later = store.log_state.versions.all().into_iter().skip(1);
    if later.any(|later| !config.versions.contains(&later.circuit_version)) {
        return Err(Error::Config("the log has an upgrade to a circuit version that this program does not know"));
    }
    let (staff, now) = (staff::token::Staff::of(&config.staff)?, config.clock.now());
    let (data, master) = (config.data_dir.clone(), config.master_key_file.clone());
    let beside = tokio::task::spawn_blocking(move || {
        let master = read_master_key(&master).map_err(StoreError::from)?;
        let audit = audit_log::AuditLog::open(&audit_log::path_in(&data), &master, now)?;
        Ok::<_, Error>((audit, grants::Revocations::open(&data)?))
    });
    let (audit, revocations) = beside.await.map_err(|_| Error::Config("the audit log did not open"))??;
    Ok(Opened { config, store, genesis, staff, audit, revocations })
}

/// Starts a sequencer: opens the store, resumes every batch at the step the log names, and listens.
///
/// # Errors
/// [`Error`].
pub async fn serve(config: Config, l1: Arc<dyn SettlementL1>, proofs: Arc<dyn ProofSource>) -> Result<Handle, Error> {
    let early = Early::listen(&config).await?;
    open(config).await?.serve(l1, proofs, early).await
}

impl Opened {
    /// What can be known of L1 now, and whether it answered. One that does not stops nobody: the same is looked at before
    /// anything is sent.
    async fn check_l1(&self, l1: &dyn SettlementL1) -> Result<bool, Error> {
        if l1.contract() != self.genesis.contract {
            return Err(Error::Config("the L1 client is for another contract than the log"));
        }
        if l1.chain_id().await.is_ok_and(|id| id != self.genesis.chain_id) {
            return Err(Error::Config("L1 is another chain than the log's"));
        }
        match tokio::time::timeout(self.config.limits.l1_answer, l1.state_root()).await {
            Ok(Ok(root)) => match l1::reached(&self.store.store.reader(), &self.store.log_state, &root)? {
                Some(_) => Ok(true),
                None => Err(Error::Foreign),
            },
            Ok(Err(L1Error::WrongChain { .. })) => Err(Error::Config("L1 is another chain than the log's")),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    "L1 does not answer; packets are taken, and L1 is looked at before anything is sent to it"
                );
                Ok(false)
            }
        }
    }

    /// Resumes every batch at the step the log names, and listens.
    async fn serve(
        self,
        l1: Arc<dyn SettlementL1>,
        proofs: Arc<dyn ProofSource>,
        early: Early,
    ) -> Result<Handle, Error> {
        let answered = self.check_l1(&*l1).await?;
        let Self { config, store: opened, genesis, staff, audit, revocations } = self;
        let rate = Arc::new(api::limits::rate(&config.limits)?);
        let basis = opened.basis;
        let (unfinished, unproven) = (opened.unfinished, !answered && opened.index_rebuilt);
        let reader = opened.store.reader();
        let snapshot = Snapshot {
            height: opened.store.height(),
            tip: opened.store.tip(),
            log_state: opened.log_state,
            communities: opened.communities.into_iter().map(|(i, c)| (i, Arc::new(c))).collect::<BTreeMap<_, _>>(),
            tree: opened.tree,
            failed: false,
        };
        let listeners = Listeners {
            public: TcpListener::bind(config.bind).await.map_err(io_error("public listener"))?,
            admin: TcpListener::bind(config.admin_bind).await.map_err(io_error("admin listener"))?,
        };
        let metrics = Arc::clone(&early.metrics);
        let (writer, thread) = writer::start(opened.store, snapshot, config.limits.queue, Arc::clone(&metrics))
            .map_err(io_error("writer thread"))?;
        if unproven {
            writer.hold_back(l1::unproven_log());
        }
        let service = Arc::new(Service {
            genesis,
            writer,
            reader,
            l1,
            proofs,
            closing: tokio::sync::Mutex::new(()),
            closings: std::sync::Mutex::default(),
            killed: watch::channel(false).0,
            blocked: std::sync::Mutex::default(),
            ends: std::sync::Mutex::default(),
            health: Health::default(),
            metrics,
            in_flight: tokio::sync::Semaphore::new(config.limits.in_flight),
            own_in_flight: tokio::sync::Semaphore::new(config.limits.own_in_flight),
            receipts: tokio::sync::Semaphore::new(config.limits.receipts),
            exports: tokio::sync::Semaphore::new(1),
            staff,
            audit,
            revocations,
            refusals: api::guard::Refusals::default(),
            streams: streams::Streams::new(&config.limits),
            config,
        });
        let last = basis.map_or(0, |basis| basis.tip.height);
        service.metrics.snapshot_records.set(metrics::gauge(last));
        let mut handle = start(Arc::clone(&service), listeners, early, &rate, thread)?;
        handle.tasks.push(tokio::spawn(log_keeping::snapshots(Arc::clone(&service), last)));
        handle.tasks.push(tokio::spawn(log_keeping::checks(Arc::clone(&service), basis)));
        if !unfinished.is_empty() {
            handle.tasks.push(tokio::spawn(erasing::finish(service, unfinished)));
        }
        Ok(handle)
    }
}

struct Listeners {
    public: TcpListener,
    admin: TcpListener,
}

/// Between two times that clients are forgotten who have not asked for a while.
const FORGET_EVERY: Duration = Duration::from_secs(30);

async fn forget(rate: Arc<Rate>, metrics: Arc<Metrics>) {
    loop {
        metrics.clients.set(metrics::gauge(rate.len()));
        tokio::time::sleep(FORGET_EVERY).await;
        rate.retain_recent();
        rate.shrink_to_fit();
    }
}

fn start(
    service: Arc<Service>,
    listeners: Listeners,
    early: Early,
    rate: &Arc<Rate>,
    writer: std::thread::JoinHandle<()>,
) -> Result<Handle, Error> {
    let address = |listener: &TcpListener, what| listener.local_addr().map_err(io_error(what));
    let (public, admin) =
        (address(&listeners.public, "public listener")?, address(&listeners.admin, "admin listener")?);
    let (config, metrics) = (&service.config, &service.metrics);
    let listen = |listener, of, router, bounds: Bounds| {
        let router = api::seen::through(&service, of, router);
        tokio::spawn(listen::serve(listener, router, bounds, early.stop.subscribe()))
    };
    let of_public = Bounds::public(&config.limits, &config.proxies, metrics);
    let own = Bounds::admin(&config.limits, metrics);
    let mut servers = vec![
        listen(listeners.public, metrics::PUBLIC, api::public::router(&service, rate), of_public),
        listen(listeners.admin, metrics::ADMIN, api::admin::router(&service), own),
    ];
    let (health, stop, server) = early.shows(&service);
    servers.push(server);
    let mut tasks = vec![
        tokio::spawn(batch::prove_all(Arc::clone(&service))),
        tokio::spawn(batch::settle_all(Arc::clone(&service))),
        tokio::spawn(obstacles::watch(Arc::clone(&service))),
        tokio::spawn(l1_watch::watch(Arc::clone(&service))),
        tokio::spawn(metrics::watch::watch(Arc::clone(&service))),
        tokio::spawn(forget(Arc::clone(rate), Arc::clone(&service.metrics))),
        tokio::spawn(retention::keep(Arc::clone(&service))),
        tokio::spawn(audit_log::publish::publish_all(Arc::clone(&service))),
    ];
    let resumed = Arc::clone(&service);
    tasks.push(tokio::spawn(async move {
        batch::resume(&resumed).await;
        if resumed.config.auto_close {
            batch::auto_close(resumed).await;
        }
    }));
    let (height, communities, unsettled) = {
        let snapshot = service.writer.snapshot();
        (snapshot.height, snapshot.communities.len(), snapshot.log_state.batches.len())
    };
    tracing::info!(records = height, communities, unsettled, "sequencer started");
    Ok(Handle { public, admin, health, service, stop, servers, tasks, writer: Some(writer) })
}

impl Handle {
    /// Address of the public listener.
    #[must_use]
    pub const fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Address of the admin listener.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Address of the listener for health.
    #[must_use]
    pub const fn health_address(&self) -> SocketAddr {
        self.health
    }

    /// The running parts, for a process that embeds the sequencer (the demo) and reads the snapshot or closes periods
    /// itself.
    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Stops: no new requests, those in work are answered, proofs and L1 calls in flight are dropped (they are asked
    /// again after the next start), the log is closed.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        tracing::info!("sequencer stops: requests in work are answered");
        let deadline = tokio::time::Instant::now() + self.service.config.limits.last_request();
        while self.servers.iter().any(|server| !server.is_finished()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        log_keeping::snapshot(&self.service).await;
        audit_log::publish::last(&self.service).await;
        self.kill().await;
        tracing::info!("sequencer stopped");
    }

    /// Stops at once, as a crash would, and returns when the log is closed, so that it can be opened again.
    pub async fn kill(mut self) {
        let _ = self.service.killed.send(true);
        let _ = self.stop.send(true);
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        let mut closings = std::mem::take(&mut *self.service.closings.lock().unwrap_or_else(PoisonError::into_inner));
        closings.shutdown().await;
        for mut server in self.servers.drain(..) {
            if tokio::time::timeout(Duration::from_secs(2), &mut server).await.is_err() {
                server.abort();
            }
        }
        self.service.writer.stop().await;
        if let Some(writer) = self.writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        // Computations on other threads cannot be dropped; they end by themselves, and hold the index open until then.
        let end = tokio::time::Instant::now() + Duration::from_secs(10);
        while Arc::strong_count(&self.service) + Arc::strong_count(&self.service.reader) > 2
            && tokio::time::Instant::now() < end
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
