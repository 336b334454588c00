//! Configuration.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use documented::DocumentedFields;
use gridveil_protocol::version::CircuitVersion;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Deserialize, Serialize};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{audit_log::publish::Heads, client::Proxies, staff::StaffConfig, store::GenesisState};

/// The admin token: only its keyed hash is kept, and compared in constant time.
#[derive(Clone)]
pub struct AdminToken {
    key: [u8; 32],
    hash: blake3::Hash,
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

impl AdminToken {
    /// Shortest token taken, bytes.
    pub const MIN_BYTES: usize = 16;

    /// From the token.
    ///
    /// # Errors
    /// One that is too short, or no randomness.
    pub fn new(token: &str) -> Result<Self, crate::Error> {
        if token.len() < Self::MIN_BYTES {
            return Err(crate::Error::Config("the admin token is shorter than 16 bytes"));
        }
        let key =
            gridveil_keystore::random().map_err(|_| crate::Error::Config("no randomness from the operating system"))?;
        Ok(Self { key, hash: blake3::keyed_hash(&key, token.as_bytes()) })
    }

    /// Is this the token? Constant time in the content (`blake3::Hash` compares so).
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        blake3::keyed_hash(&self.key, token.as_bytes()) == self.hash
    }
}

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
    }

    /// Any other, unix seconds.
    #[must_use]
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

/// Bounds of what others can make the sequencer hold or do.
///
/// A *client* is an address, or the network of 2^64 that an IPv6 address is in; behind a trusted proxy the one that the
/// proxy names ([`Proxies`]).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest body of a public request, bytes: 64 KiB. A packet of 96 intervals has 6.
    pub body_bytes: usize,
    /// Longest that a public request is worked on, once its body is here: 10 s.
    #[serde(with = "friendly")]
    pub request: Duration,
    /// Public requests in work at once, of all clients: 1,024. A request whose body is on its way is not in work.
    pub in_flight: usize,
    /// Connections of the public listener open at once, of all clients: 2,048, and never more than the process may have
    /// files open, less 256. With a full body each they hold 160 MB.
    pub connections: usize,
    /// Connections of one client open at once: 128. A trusted proxy has as many as there are.
    pub connections_of_client: usize,
    /// Requests of one client at once, bodies on their way included: 128. It bounds those who come through a proxy as the
    /// connections bound others.
    pub requests_of_client: usize,
    /// Requests of one client, a second, once [`Self::burst_of_client`] is used up: 500. A head-end of 100,000 meters is
    /// through in four minutes; a stranger takes a tenth of what two cores verify.
    pub requests_of_client_per_s: u32,
    /// Requests of one client that may come at once after a pause: 5,000, what a street of meters behind one address has.
    pub burst_of_client: u32,
    /// Longest from the start of a connection, or from its last answer, until the head of a request is here: 10 s. So it
    /// is the deadline of a head, and how long a connection may idle.
    #[serde(with = "friendly")]
    pub head: Duration,
    /// Largest head of a request, bytes: 16 KiB, at least 8.
    pub head_bytes: usize,
    /// Longest from the head of a request until its body is here: 10 s. A meter on a slow line sends 6 KB.
    #[serde(with = "friendly")]
    pub body: Duration,
    /// Longest that a connection stays: 10 minutes. It ends also one whose client reads no answers.
    #[serde(with = "friendly")]
    pub connection: Duration,
    /// Connections open at once of the admin listener, and of the one for health: 64 each.
    pub own_connections: usize,
    /// Admin requests in work at once: 32. Nobody else takes from them.
    pub own_in_flight: usize,
    /// Longest wait for L1's clock until it counts as not answering: 10 s.
    #[serde(with = "friendly")]
    pub l1_answer: Duration,
    /// Decisions that wait for the writer, which makes them durable: 4,096. More are refused (`queue.full`), to be sent again.
    pub queue: usize,
    /// Receipts computed at once: 2, so that they leave a processor to packets.
    pub receipts: usize,
    /// Largest body of many packets or operations at once, bytes: 4 MiB.
    pub bulk_bytes: usize,
    /// Packets or operations in it: 1,000. Each counts as a request of the client a second.
    pub bulk_rows: usize,
    /// Such bodies here or on their way at once, of all clients: 16. They hold 64 MiB.
    pub bulk: usize,
    /// The same of one client: 2.
    pub bulk_of_client: usize,
    /// Streams of events open at once, of all clients: 256. The operator has 32 of his own.
    pub streams: usize,
    /// The same of one client: 4.
    pub streams_of_client: usize,
    /// A stream without an event says so often that it is there: 15 s.
    #[serde(with = "friendly")]
    pub heartbeat: Duration,
    /// Longest that a client may take no byte of an answer: 30 s. Then its connection is cut.
    #[serde(with = "friendly")]
    pub unread: Duration,
    /// Operations of one slot that wait for a settlement: 4.
    pub operations_of_slot: usize,
    /// Operations of all communities that wait for a settlement: 4,096.
    pub operations: usize,
    /// Records of the log after which a snapshot of what follows from them is written: 50,000. One is written at an orderly
    /// stop as well. So many, at most, and what came while it was written, are read at a start: about a second.
    pub snapshot_records: u64,
    /// Bytes of the log that are checked in a second while the sequencer runs: 32 MiB, a tenth of a processor.
    pub log_check_bytes_per_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 10,
            request: Duration::from_secs(10),
            in_flight: 1024,
            connections: 2048,
            connections_of_client: 128,
            requests_of_client: 128,
            requests_of_client_per_s: 500,
            burst_of_client: 5000,
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            body: Duration::from_secs(10),
            connection: Duration::from_secs(600),
            own_connections: 64,
            own_in_flight: 32,
            l1_answer: Duration::from_secs(10),
            queue: 4096,
            receipts: 2,
            bulk_bytes: 4 << 20,
            bulk_rows: 1000,
            bulk: 16,
            bulk_of_client: 2,
            streams: 256,
            streams_of_client: 4,
            heartbeat: Duration::from_secs(15),
            unread: Duration::from_secs(30),
            operations_of_slot: 4,
            operations: 4096,
            snapshot_records: 50_000,
            log_check_bytes_per_s: 32 << 20,
        }
    }
}

impl Limits {
    /// Longest that a request which has begun may go on when all others are ended.
    pub(crate) fn last_request(&self) -> Duration {
        self.body + self.request
    }
}

/// How often the sequencer looks, and how long it waits. Each in words, such as `12s` or `6h`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// How often it is looked if a period is over and every used slot has a packet, where periods close by themselves: 5 s.
    #[serde(with = "friendly")]
    pub auto_close_every: Duration,
    /// How often L1 is asked how far it is, and if a batch that it has is final: 12 s, a block of the main chain.
    #[serde(with = "friendly")]
    pub watch_every: Duration,
    /// Age of L1's last block from which the node counts as fallen behind: 5 minutes.
    #[serde(with = "friendly")]
    pub l1_head_age: Duration,
    /// How often it is looked if a period or a tariff holds up anybody: 1 minute.
    #[serde(with = "friendly")]
    pub obstacles_every: Duration,
    /// A period that has been over for so long and is not closed is reported: 6 hours.
    #[serde(with = "friendly")]
    pub late_after: Duration,
    /// How long after all of the log was checked it is checked again: 1 week. It is checked after every start.
    #[serde(with = "friendly")]
    pub log_check_every: Duration,
    /// How often the head of the audit log is published on L1, where its contract is named: 1 day. A head costs 35,000 gas.
    #[serde(with = "friendly")]
    pub audit_head_every: Duration,
    /// First wait before L1 or a prover is tried again; doubled each time: half a second.
    #[serde(with = "friendly")]
    pub retry_first: Duration,
    /// Longest such wait: 1 minute.
    #[serde(with = "friendly")]
    pub retry_longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let Backoff { first, longest } = Backoff::default();
        Self {
            auto_close_every: Duration::from_secs(5),
            watch_every: Duration::from_secs(12),
            l1_head_age: Duration::from_secs(300),
            obstacles_every: Duration::from_secs(60),
            late_after: Duration::from_secs(6 * 3600),
            log_check_every: Duration::from_secs(7 * 24 * 3600),
            audit_head_every: Duration::from_secs(24 * 3600),
            retry_first: first,
            retry_longest: longest,
        }
    }
}

/// Waits between tries: doubled from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// First wait.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// The pauses, one after another, without end.
    pub(crate) fn pauses(&self) -> ExponentialBackoff {
        let doubled = ExponentialBuilder::new().with_factor(2.0).without_max_times();
        doubled.with_min_delay(self.first).with_max_delay(self.longest).build()
    }
}

/// Sleeps for the next of the pauses.
pub(crate) async fn pause(pauses: &mut ExponentialBackoff) {
    tokio::time::sleep(pauses.next().unwrap_or_default()).await;
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

/// Everything the sequencer is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of log, index and keys.
    pub data_dir: PathBuf,
    /// File of 32 random bytes, mode 0600 ([`crate::store::data_keys::create_master_key`]).
    pub master_key_file: PathBuf,
    /// Public listener; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Admin listener; a loopback address.
    pub admin_bind: SocketAddr,
    /// Listener for liveness, readiness and metrics: loopback, or an address that only the operator's own reach.
    pub health_bind: SocketAddr,
    /// Proxies in front of the public listener. Without them every client of a proxy is the proxy.
    pub proxies: Proxies,
    /// Admin token.
    pub admin_token: AdminToken,
    /// What a new log starts from; a log that is there must agree. `None` takes the log as it is.
    pub genesis: Option<GenesisState>,
    /// Circuit versions that this program knows: it is upgraded to no other.
    pub versions: Vec<CircuitVersion>,
    /// Close a period by itself once it is over and every used slot has a packet.
    pub auto_close: bool,
    /// How often [`Config::auto_close`] looks.
    pub auto_close_every: Duration,
    /// Most jobs with the provers at once. Fewer are handed over while fewer provers serve, where the source of proofs
    /// counts them.
    pub proving: usize,
    /// Batches on their way to L1 at once, at least 1: each builds on the one before.
    pub settling: usize,
    /// How often L1 is asked how far it is, and if a batch that it has is final.
    pub watch_every: Duration,
    /// Age of L1's last block from which the node counts as fallen behind. `None` for a chain that makes blocks only when it
    /// has transactions.
    pub l1_head_age: Option<Duration>,
    /// How often it is looked if a period or a tariff holds up anybody.
    pub obstacles_every: Duration,
    /// A period that has been over for so long and is not closed is reported.
    pub late_after: Duration,
    /// How long after all of the log was checked it is checked again.
    pub log_check_every: Duration,
    /// Staff by tokens of an issuer.
    pub staff: StaffConfig,
    /// Where heads of the audit log are published, if they are.
    pub audit_heads: Option<Heads>,
    /// How often.
    pub audit_head_every: Duration,
    /// Bounds.
    pub limits: Limits,
    /// How long what is held is kept.
    pub retention: crate::retention::rules::Retention,
    /// Waits between tries of L1 and provers.
    pub backoff: Backoff,
    /// Time, for the window of receipt requests. Whether a period is over is asked of L1.
    pub clock: Clock,
}

impl Config {
    /// Loopback on free ports, no genesis, everything else default.
    #[must_use]
    pub fn new(data_dir: PathBuf, master_key_file: PathBuf, admin_token: AdminToken) -> Self {
        let (any, pace) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Pace::default());
        Self {
            data_dir,
            master_key_file,
            bind: any,
            admin_bind: any,
            health_bind: any,
            proxies: Proxies::default(),
            admin_token,
            genesis: None,
            versions: vec![CircuitVersion::CURRENT],
            auto_close: false,
            auto_close_every: pace.auto_close_every,
            proving: 1,
            settling: 1,
            watch_every: pace.watch_every,
            l1_head_age: Some(pace.l1_head_age),
            obstacles_every: pace.obstacles_every,
            late_after: pace.late_after,
            log_check_every: pace.log_check_every,
            staff: StaffConfig::default(),
            audit_heads: None,
            audit_head_every: pace.audit_head_every,
            limits: Limits::default(),
            retention: crate::retention::rules::Retention::default(),
            backoff: Backoff::default(),
            clock: Clock::system(),
        }
    }

    /// The same at another pace.
    #[must_use]
    pub const fn at(mut self, pace: &Pace) -> Self {
        self.auto_close_every = pace.auto_close_every;
        self.watch_every = pace.watch_every;
        self.l1_head_age = Some(pace.l1_head_age);
        self.obstacles_every = pace.obstacles_every;
        self.late_after = pace.late_after;
        self.log_check_every = pace.log_check_every;
        self.audit_head_every = pace.audit_head_every;
        self.backoff = Backoff { first: pace.retry_first, longest: pace.retry_longest };
        self
    }
}
