//! What is counted and measured, for Prometheus (`docs/reference/metrics.md`). `scrape` fills in what is known when it is
//! asked; `watch` looks at disks, provers and L1 again and again, so that no question of a scraper leaves this process.
//!
//! Invariant: no figure of a person. A name or label has no slot, no identity, no address and no text of a client, and the
//! values of a label are bounded by the program, not by who asks.

mod known;
#[cfg(test)]
mod page;
pub(crate) mod scrape;
pub(crate) mod watch;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

use crate::problem::Problem;
pub(crate) use known::Known;

/// Bounds of what takes parts of a second, seconds.
const SHORT: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of what takes seconds to an hour, seconds.
const LONG: [f64; 13] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// Bounds of the decisions that one sync makes durable.
const GROUPS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

fn short() -> Histogram {
    Histogram::new(SHORT)
}

fn long() -> Histogram {
    Histogram::new(LONG)
}

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Of {
    /// `public`, `admin` or `health`.
    pub listener: &'static str,
}

/// Of the public listener.
pub(crate) const PUBLIC: Of = Of { listener: "public" };
/// Of the operator's.
pub(crate) const ADMIN: Of = Of { listener: "admin" };
/// Of the one for who watches.
pub(crate) const HEALTH: Of = Of { listener: "health" };

/// An answered request: the route as it is in the program, never the path that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    pub listener: &'static str,
    pub method: &'static str,
    pub route: String,
    pub status: &'static str,
}

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Away {
    pub listener: &'static str,
    /// `full`: as many as there may be are open; `client`: one client has as many as it may; `system`: the system gave none.
    pub reason: &'static str,
}

/// Code of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusal {
    pub code: &'static str,
}

/// Shape of a proof.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Shaped {
    pub shape: String,
}

/// A community, by its public number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Community {
    pub community: u32,
}

/// Something that is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct What {
    pub what: &'static str,
}

/// Kind of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Limited {
    /// `rate`: too many in a short time; `at_once`: too many in work.
    pub limit: &'static str,
}

/// The release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// A gauge of what has a fraction.
type Fraction = Gauge<f64, AtomicU64>;

/// Counts and measures. Never a figure of a person.
#[derive(Debug)]
#[allow(missing_docs, reason = "each has its help where it is registered, which docs/reference/metrics.md shows")]
pub struct Metrics {
    registry: Registry,
    #[cfg(test)]
    page: Vec<(String, String, String)>,
    /// A scrape sets gauges and writes them: one at a time.
    one_at_a_time: Mutex<()>,
    /// When batches were applied by this process.
    applied: Mutex<BTreeMap<u64, Instant>>,

    pub accepted: Counter,
    pub duplicates: Counter,
    pub late: Counter,
    pub operations: Counter,
    pub receipts: Counter,
    pub given_back: Counter,
    pub settled: Counter,
    pub l1_retries: Counter,
    pub(crate) prover_retries: Counter,
    refusals: Family<Refusal, Counter>,
    pub(crate) limited: Family<Limited, Counter>,
    pub(crate) clients: Gauge,

    pub(crate) verify: Histogram,
    pub(crate) writer_wait: Histogram,
    pub(crate) sync: Histogram,
    pub(crate) group: Histogram,
    writer_queue: Gauge,

    pub(crate) requests: Family<Answered, Histogram, fn() -> Histogram>,
    in_work: Family<Of, Gauge>,
    pub(crate) connections: Family<Of, Gauge>,
    pub(crate) turned_away: Family<Away, Counter>,

    pub(crate) closing: Histogram,
    pub(crate) selection: Histogram,
    pub(crate) proving: Family<Shaped, Histogram, fn() -> Histogram>,
    settling: Histogram,

    operations_pending: Gauge,
    unsettled: Gauge,
    unproven: Gauge,
    pub(crate) asked: Gauge,
    pub(crate) provers: Known,
    last_batch: Gauge,
    oldest_unsettled: Known,
    last_final: Known,

    communities: Gauge,
    blocked: Gauge,
    overdue: Gauge,
    overdue_longest: Gauge,
    overdue_by_community: Family<Community, Gauge>,
    pub(crate) ending: Gauge,
    pub(crate) next_end: Known,

    pub(crate) l1_head: Known,
    pub(crate) l1_balance: Known,
    pub(crate) forced: Gauge,
    pub(crate) forced_deadline: Known,
    pub(crate) upgrade_from: Known,

    records: Gauge,
    pub snapshot_records: Gauge,
    pub log_checked_records: Gauge,
    pub(crate) log_findings: Counter,
    pub(crate) log_bytes: Gauge,
    pub(crate) index_bytes: Gauge,
    pub(crate) disk_free: Known,
    erased: Gauge,

    unwell: Family<What, Gauge>,
    state: Gauge,
    memory: Gauge,
    files: Gauge,
    start: Fraction,
}

/// Where metrics are registered as they are made.
struct Shelf {
    registry: Registry,
    /// Name, kind and help of each, for the page.
    #[cfg(test)]
    page: Vec<(String, String, String)>,
}

impl Shelf {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Option<Unit>, metric: M) -> M {
        #[cfg(test)]
        self.page.push((
            name_of(name, unit.as_ref(), &metric),
            metric.metric_type().as_str().to_owned(),
            help.to_owned(),
        ));
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric.clone()),
            None => self.registry.register(name, help, metric.clone()),
        }
        metric
    }

    fn put<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.add(name, help, None, metric)
    }

    #[allow(clippy::new_ret_no_self, reason = "a new metric, not a new shelf")]
    fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.add(name, help, None, M::default())
    }

    fn seconds<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.add(name, help, Some(Unit::Seconds), metric)
    }

    fn bytes<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.add(name, help, Some(Unit::Bytes), M::default())
    }
}

/// The name as it is shown.
#[cfg(test)]
fn name_of(name: &str, unit: Option<&Unit>, metric: &impl Metric) -> String {
    let unit = unit.map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
    let total = if metric.metric_type().as_str() == "counter" { "_total" } else { "" };
    format!("gridveil_{name}{unit}{total}")
}

impl Default for Metrics {
    fn default() -> Self {
        let mut on = Shelf {
            registry: Registry::with_prefix("gridveil"),
            #[cfg(test)]
            page: Vec::new(),
        };
        let build: Family<Build, Gauge> = on.one("build_info", "1, with the release of this program");
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        Self {
            one_at_a_time: Mutex::default(),
            applied: Mutex::default(),
            accepted: on.one("packets_accepted", "Packets that became durable since the start"),
            duplicates: on.one("packets_duplicate", "Identical packets that were sent again"),
            late: on.one("packets_late", "Late packets that became durable"),
            operations: on.one("operations_accepted", "Operations that became durable"),
            receipts: on.one("receipts", "Receipts given"),
            given_back: on.one("given_back", "Times that a member got back what it had signed"),
            settled: on.one("batches_settled", "Batches that became final on L1"),
            l1_retries: on.one("l1_retries", "Tries of L1 that failed and are made again"),
            prover_retries: on.one("prover_retries", "Times that a batch found no prover and waits for one"),
            refusals: on.one("refusals", "Refused requests by code of docs/spec/api.md"),
            limited: on.one("client_limited", "Requests refused because one client asks too much, by limit"),
            clients: on.one("clients", "Clients that are counted with now, of the last half minute or more"),
            verify: on.seconds("packet_verify", "Time to check a packet's form and signature, on its thread", short()),
            writer_wait: on.seconds("writer_wait", "Time that a decision waited for the log's writer", short()),
            sync: on.seconds("log_sync", "Time to write and sync a group of records to the log's disk", short()),
            group: on.put("log_group_records", "Records that one sync made durable", Histogram::new(GROUPS)),
            writer_queue: on.one("writer_queue", "Decisions that wait for the log's writer now"),
            requests: on.seconds(
                "http_request",
                "Time from a request's head to its answer, by listener, method, route and class of status",
                Family::new_with_constructor(short as fn() -> Histogram),
            ),
            in_work: on.one("http_in_work", "Requests in work now, whose body is here, by listener"),
            connections: on.one("connections", "Open connections by listener"),
            turned_away: on.one("connections_turned_away", "Connections turned away by listener and reason"),
            closing: on.seconds("period_close", "Time to close a period and settle it by the rules", long()),
            selection: on.seconds("selection", "Time to select what a closed period carries and to apply it", long()),
            proving: on.seconds(
                "prove",
                "Time from asking for a proof to having it, waiting for a prover included, by shape",
                Family::new_with_constructor(long as fn() -> Histogram),
            ),
            settling: on.seconds(
                "settle",
                "Time from applied to final on L1, of batches applied since the start",
                long(),
            ),
            operations_pending: on
                .one("operations_pending", "Operations that wait for a settlement, of all communities"),
            unsettled: on.one("batches_unsettled", "Batches that are applied and not final on L1"),
            unproven: on.one("batches_unproven", "Batches that are applied and have no proof"),
            asked: on.one("proofs_asked", "Proofs that provers are asked for now"),
            provers: on.one("provers_serving", "Provers that serve, where the source of proofs counts them"),
            last_batch: on.one("last_batch", "Number of the last batch"),
            oldest_unsettled: on.seconds(
                "unsettled_oldest_age",
                "Time since the end of the period of the oldest batch that is not final on L1",
                Known::default(),
            ),
            last_final: on.seconds(
                "last_final_timestamp",
                "When a batch last became final on L1, unix time; none before the first since the start",
                Known::default(),
            ),
            communities: on.one("communities", "Communities served"),
            blocked: on.one("communities_blocked", "Communities whose closed period the rules refuse to settle"),
            overdue: on.one("communities_overdue", "Communities whose open period is over for longer than late_after"),
            overdue_longest: on.seconds(
                "period_overdue_longest",
                "Longest time since the end of an open period, of all communities",
                Gauge::default(),
            ),
            overdue_by_community: on.seconds(
                "community_period_overdue",
                "Time since the end of the open period, of the communities that wait longest, by public number",
                Family::default(),
            ),
            ending: on.one("communities_ending", "Communities whose end was announced on L1 and that are not closed"),
            next_end: on.seconds(
                "community_end_earliest_timestamp",
                "When the next notice of a community's end is over, unix time",
                Known::default(),
            ),
            l1_head: on.seconds("l1_head_timestamp", "Time of L1's last block, unix time", Known::default()),
            l1_balance: on.one("l1_balance_gwei", "What the account has that sends batches, gwei"),
            forced: on.one("forced_withdrawals_waiting", "Forced withdrawals that wait on L1"),
            forced_deadline: on.seconds(
                "forced_deadline_timestamp",
                "When the oldest forced withdrawal must be served, or anybody may freeze the rollup, unix time",
                Known::default(),
            ),
            upgrade_from: on.seconds(
                "upgrade_earliest_timestamp",
                "When a verifier that was announced and is not in use may first be used, unix time",
                Known::default(),
            ),
            records: on.one("log_records", "Records in the log"),
            snapshot_records: on.one("log_snapshot_records", "Records at the last snapshot that was written or read"),
            log_checked_records: on.one("log_checked_records", "Records that the check of the log has come to"),
            log_findings: on.one("log_findings", "Findings of checks of the log, each a record that is not as it was"),
            log_bytes: on.bytes("log_size", "Size of the log's file"),
            index_bytes: on.bytes("index_size", "Size of the index's files"),
            disk_free: on.bytes("disk_free", "Room for this process on the disk of the log"),
            erased: on.one("accounts_erased", "Keys of former accounts that were erased"),
            unwell: on.one("unwell", "1 for what is not well, by the name that /healthz shows"),
            state: on.one("health", "0 if all is well, 1 if something is retried or held up, 2 if it stopped"),
            memory: on.bytes("process_resident_memory", "Memory of this process that is in use now"),
            files: on.one("process_open_files", "Files and connections that this process has open"),
            start: on.seconds("start_timestamp", "When this process began to serve, unix time", Fraction::default()),
            #[cfg(test)]
            page: on.page,
            registry: on.registry,
        }
    }
}

impl Metrics {
    /// Adds one.
    pub fn count(counter: &Counter) {
        counter.inc();
    }

    /// Counts a refusal.
    pub fn refused(&self, problem: &Problem) {
        self.refusals.get_or_create(&Refusal { code: problem.code.name }).inc();
    }

    /// A batch was applied now.
    pub(crate) fn applied(&self, batch: u64) {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).insert(batch, Instant::now());
    }

    /// A batch became final at this unix second.
    pub(crate) fn is_final(&self, batch: u64, now: u64) {
        self.settled.inc();
        self.last_final.set(Some(now));
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = applied.remove(&batch) {
            self.settling.observe(at.elapsed().as_secs_f64());
        }
        // Of batches that L1 had without this process, and of abandoned ones.
        *applied = applied.split_off(&batch);
    }
}

/// Seconds of a duration, to be observed.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// A count as a gauge has it.
pub(crate) fn gauge(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
