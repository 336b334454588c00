//! What a worker counts and measures, for Prometheus (`docs/reference/metrics.md`). It looks over the worker's shoulder: at its
//! queue and at its prover, which know nothing of it.
//!
//! Invariant: of a job nothing but its shape, its circuit version and how long it took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use gridveil_telemetry::watch::Watched;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    job::{JobId, ProofJob, ProofResult},
    measure::peak_rss_bytes,
    progress::Progress,
    prover::{Prove, ProverError},
    worker::{Beat, Queue},
};

/// Bounds of a proof's time, seconds.
const PROOF: [f64; 12] = [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    shape: String,
    circuit_version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    /// `proved`, `failed`, or `cancelled`: it was stopped, or nobody wants the proof any more.
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Counts of one worker.
#[derive(Debug)]
pub struct Seen {
    registry: Registry,
    proofs: Family<Of, Histogram, fn() -> Histogram>,
    attempts: Family<Outcome, Counter>,
    claims: Counter,
    handed_in: Counter,
    lost: Counter,
    queue_errors: Counter,
    reachable: Gauge<i64, AtomicI64>,
    working: Gauge<i64, AtomicI64>,
    peak: Gauge<i64, AtomicI64>,
    answered: AtomicBool,
}

fn histogram() -> Histogram {
    Histogram::new(PROOF)
}

impl Default for Seen {
    fn default() -> Self {
        let mut on = Registry::with_prefix("gridveil_prover");
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        on.register("build_info", "1, with the release of this program", build);
        let proofs = Family::new_with_constructor(histogram as fn() -> Histogram);
        let help = "Time to make and check a proof, by shape and circuit version";
        on.register_with_unit("proof", help, Unit::Seconds, Family::clone(&proofs));
        let seen = Self {
            proofs,
            attempts: Family::default(),
            claims: Counter::default(),
            handed_in: Counter::default(),
            lost: Counter::default(),
            queue_errors: Counter::default(),
            reachable: Gauge::default(),
            working: Gauge::default(),
            peak: Gauge::default(),
            answered: AtomicBool::new(false),
            registry: Registry::default(),
        };
        on.register("attempts", "Attempts to prove a job by outcome", seen.attempts.clone());
        on.register("claims", "Jobs claimed", seen.claims.clone());
        on.register("handed_in", "Proofs that the queue took", seen.handed_in.clone());
        on.register(
            "leases_lost",
            "Heartbeats that found the lease ended: another worker may have the job",
            seen.lost.clone(),
        );
        on.register("queue_errors", "Calls that the queue did not answer as it should", seen.queue_errors.clone());
        on.register("queue_reachable", "1 if the queue's last answer was one", seen.reachable.clone());
        on.register("working", "1 while a job is proved", seen.working.clone());
        on.register_with_unit(
            "peak_memory",
            "Most memory that this process ever had in use",
            Unit::Bytes,
            seen.peak.clone(),
        );
        Self { registry: on, ..seen }
    }
}

impl Seen {
    /// Notes how the queue answered.
    fn of_queue<T, E>(&self, answer: Result<T, E>) -> Result<T, E> {
        let is_well = answer.is_ok();
        self.answered.store(true, Ordering::Relaxed);
        self.reachable.set(i64::from(is_well));
        if !is_well {
            self.queue_errors.inc();
        }
        answer
    }
}

impl Watched for Seen {
    fn unready(&self) -> Option<String> {
        match (self.answered.load(Ordering::Relaxed), self.reachable.get()) {
            (false, _) => Some("starting: the queue was not asked yet".to_owned()),
            (true, 0) => Some("the queue does not answer".to_owned()),
            (true, _) => None,
        }
    }

    fn registry(&self) -> &Registry {
        self.peak.set(i64::try_from(peak_rss_bytes()).unwrap_or(i64::MAX));
        &self.registry
    }
}

/// A prover whose proofs are measured.
pub struct SeenProver {
    prover: Arc<dyn Prove>,
    seen: Arc<Seen>,
}

impl SeenProver {
    /// Measures this one.
    #[must_use]
    pub const fn new(prover: Arc<dyn Prove>, seen: Arc<Seen>) -> Self {
        Self { prover, seen }
    }
}

/// 1 while it is there, also through a panic.
struct Working<'a>(&'a Gauge<i64, AtomicI64>);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Prove for SeenProver {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        let ProofJob { batch, shape, circuit_version, .. } = job;
        let _span = tracing::info_span!("prove_job", batch, shape, circuit_version).entered();
        self.seen.working.set(1);
        let _working = Working(&self.seen.working);
        let start = Instant::now();
        let proved = self.prover.prove_job(job, progress);
        let outcome = match &proved {
            Ok(_) => {
                let of = Of { shape: job.shape.clone(), circuit_version: job.circuit_version };
                self.seen.proofs.get_or_create(&of).observe(start.elapsed().as_secs_f64());
                "proved"
            }
            Err(ProverError::Cancelled) => "cancelled",
            Err(_) => "failed",
        };
        self.seen.attempts.get_or_create(&Outcome { outcome }).inc();
        proved
    }
}

/// A queue whose answers are counted.
pub struct SeenQueue<Q> {
    queue: Arc<Q>,
    seen: Arc<Seen>,
}

impl<Q> SeenQueue<Q> {
    /// Counts the answers of this one.
    #[must_use]
    pub const fn new(queue: Arc<Q>, seen: Arc<Seen>) -> Self {
        Self { queue, seen }
    }
}

impl<Q: Queue + Send> Queue for SeenQueue<Q> {
    type Claim = Q::Claim;
    type Error = Q::Error;

    fn lease(&self) -> Duration {
        self.queue.lease()
    }

    fn is_temporary(error: &Q::Error) -> bool {
        Q::is_temporary(error)
    }

    fn job(claim: &Q::Claim) -> (JobId, u32, &ProofJob) {
        Q::job(claim)
    }

    fn claim(&self, worker: &str) -> Result<Option<Q::Claim>, Q::Error> {
        let claim = self.seen.of_queue(self.queue.claim(worker))?;
        self.seen.claims.inc_by(u64::from(claim.is_some()));
        Ok(claim)
    }

    fn beat(&self, claim: &Q::Claim) -> Result<Beat, Q::Error> {
        let beat = self.seen.of_queue(self.queue.beat(claim))?;
        self.seen.lost.inc_by(u64::from(beat == Beat::Lost));
        Ok(beat)
    }

    fn finish(&self, claim: &Q::Claim, result: &ProofResult) -> Result<(), Q::Error> {
        self.seen.of_queue(self.queue.finish(claim, result))?;
        self.seen.handed_in.inc();
        Ok(())
    }

    fn fail(&self, claim: &Q::Claim, error: &ProverError) -> Result<(), Q::Error> {
        self.seen.of_queue(self.queue.fail(claim, error))
    }

    fn release(&self, claim: &Q::Claim) -> Result<(), Q::Error> {
        self.seen.of_queue(self.queue.release(claim))
    }

    fn idle(&self, poll: Duration, stop: &AtomicBool) {
        self.queue.idle(poll, stop);
    }

    fn leave(&self, worker: &str) -> Result<(), Q::Error> {
        self.queue.leave(worker)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        job::fixture::job,
        pool::tests::Fake,
        progress::Silent,
        spool::{Spool, SpoolConfig, SpoolKey},
        worker::{WorkerConfig, serve},
    };
    use gridveil_telemetry::watch::{listen, written};

    /// A worker with a job that fails once, and what its listener says.
    #[test]
    fn a_worker_counts_jobs_failures_and_leases_and_tells_nothing_of_a_job() {
        let dir = tempfile::tempdir().unwrap();
        let config = SpoolConfig { lease: Duration::from_secs(5), attempts: 3 };
        let spool = Arc::new(Spool::open(dir.path(), SpoolKey::new([5; 32]), config).unwrap());
        let id = spool.submit(&job(77_001)).unwrap();
        let seen = Arc::new(Seen::default());
        assert!(seen.unready().unwrap().starts_with("starting"));
        let prover = SeenProver::new(Arc::new(Fake { failures: 1.into(), ..Fake::default() }), Arc::clone(&seen));
        let queue = SeenQueue::new(Arc::clone(&spool), Arc::clone(&seen));
        let worker =
            WorkerConfig { name: "w".into(), poll: Duration::from_millis(1), once: true, ..WorkerConfig::default() };
        serve(&prover, &queue, &worker, &AtomicBool::new(false), &Silent).unwrap();
        assert_eq!(seen.unready(), None);
        let text = written(seen.registry(), false).body;
        for line in [
            "gridveil_prover_attempts_total{outcome=\"proved\"} 1\n",
            "gridveil_prover_attempts_total{outcome=\"failed\"} 1\n",
            "gridveil_prover_claims_total 2\n",
            "gridveil_prover_handed_in_total 1\n",
            "gridveil_prover_leases_lost_total 0\n",
            "gridveil_prover_queue_reachable 1\n",
            "gridveil_prover_working 0\n",
            "gridveil_prover_proof_seconds_count{shape=\"tiny-4x2\",circuit_version=\"2\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        // Neither which batch, nor which job.
        assert!(!text.contains("77001") && !text.contains(&id.to_string()), "{text}");
        let at = listen("127.0.0.1:0".parse().unwrap(), Arc::clone(&seen) as Arc<dyn Watched>).unwrap();
        assert!(ask(at, "/readyz").ends_with("ok\n") && ask(at, "/livez").starts_with("HTTP/1.1 200"));
        assert!(ask(at, "/metrics").contains("gridveil_prover_claims_total 2"));
        let _: Result<(), ()> = seen.of_queue(Err(()));
        assert!(ask(at, "/readyz").starts_with("HTTP/1.1 503") && ask(at, "/metrics").contains("queue_errors_total 1"));
    }

    /// The page of metrics has what is registered: `GRIDVEIL_BLESS=1` writes it.
    #[test]
    fn every_metric_is_on_its_page() {
        let seen = Seen::default();
        // Those by label are shown once they have one.
        seen.proofs.get_or_create(&Of { shape: "x".into(), circuit_version: 2 }).observe(1.0);
        seen.attempts.get_or_create(&Outcome { outcome: "proved" }).inc();
        let text = written(seen.registry(), false).body;
        let mut table = "| metric | kind | what it is |\n|---|---|---|\n".to_owned();
        for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, help) = line.split_once(' ').unwrap();
            let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
            table += &format!("| `{name}` | {kind} | {} |\n", help.trim_end_matches('.'));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (begin, end) = ("<!-- prover: begin -->\n", "<!-- prover: end -->\n");
        let (before, rest) = page.split_once(begin).unwrap();
        let (shown, after) = rest.split_once(end).unwrap();
        if std::env::var_os("GRIDVEIL_BLESS").is_some() {
            std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        } else {
            assert_eq!(shown, table, "GRIDVEIL_BLESS=1 writes the page");
        }
    }

    fn ask(at: std::net::SocketAddr, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
