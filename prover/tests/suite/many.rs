//! Several prover processes at one queue, a directory and a database, with a stand-in for the prover that waits until
//! the test lets a batch through. Who is killed or stopped loses its job to another, who is busy keeps it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use gridveil_prover::{
    progress::{Progress, Silent},
    prover::{Prove, ProverError},
    queue::{Queue, QueueUrl, Serving, ServingConfig},
    spool::{Spool, SpoolConfig, SpoolKey},
    worker::{WorkerConfig, serve},
};
use gridveil_proving_api::{
    JobId, ProofJob, ProofResult,
    fixture::{job, result},
};

use crate::common::{postgres::Cluster, turn};

const GATES: &str = "GRIDVEIL_TEST_GATES";
const SPOOL: &str = "GRIDVEIL_TEST_SPOOL";
const LEASE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(120);
const KEY: [u8; 32] = [8; 32];

/// Proves a batch once there is a file of its number.
struct StandIn(PathBuf);

impl Prove for StandIn {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        while !self.0.join(job.batch.to_string()).exists() {
            if progress.is_cancelled() {
                return Err(ProverError::Cancelled);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(result(job, vec![7; 9]))
    }
}

fn spool(dir: &Path) -> Spool {
    Spool::open(dir, SpoolKey::new(KEY), SpoolConfig { lease: LEASE, attempts: 3 }).unwrap()
}

/// Not a test by itself: the body of the worker processes below, which are this executable again.
#[test]
fn worker_process() {
    let Some(gates) = std::env::var_os(GATES) else { return };
    let (prover, stop) = (StandIn(gates.into()), AtomicBool::new(false));
    let config = WorkerConfig::default();
    match std::env::var_os(SPOOL) {
        Some(dir) => {
            serve(&prover, &spool(Path::new(&dir)), &config, &stop, &Silent).unwrap();
        }
        None => {
            let serving = ServingConfig { shapes: vec!["tiny-4x2".into()], lease: LEASE, ..ServingConfig::default() };
            let serving = Serving::new(&QueueUrl::from_env().unwrap(), SpoolKey::new(KEY), serving).unwrap();
            serve(&prover, &serving, &config, &stop, &Silent).unwrap();
        }
    }
}

/// A worker process, killed when it is dropped.
struct Worker(Child);

impl Worker {
    fn start(at: &dyn At, gates: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["many::worker_process", "--exact", "--test-threads=1"]).env(GATES, gates);
        at.tell(&mut command);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap().success());
    }

    fn has(&self, held: &Held, batch: u64) -> bool {
        held.get(&batch).is_some_and(|(worker, _)| worker.starts_with(&format!("worker-{}-", self.0.id())))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// By batch: who has claimed it, and which attempt that is.
type Held = BTreeMap<u64, (String, u32)>;

/// A queue, as the test sees it.
trait At {
    fn tell(&self, worker: &mut Command);
    fn submit(&self, job: &ProofJob) -> JobId;
    fn held(&self) -> Held;
    fn proof(&self, id: JobId) -> Option<Vec<u8>>;
    fn provers(&self) -> usize;
}

struct AtSpool(PathBuf);

impl At for AtSpool {
    fn tell(&self, worker: &mut Command) {
        worker.env(SPOOL, &self.0).env_remove("GRIDVEIL_QUEUE");
    }

    fn submit(&self, job: &ProofJob) -> JobId {
        spool(&self.0).submit(job).unwrap()
    }

    fn held(&self) -> Held {
        let names = std::fs::read_dir(self.0.join("claimed")).unwrap();
        let of = |name: String| {
            let [_, attempt, worker, _, batch] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
            (batch.parse().unwrap(), (worker.to_owned(), attempt.parse().unwrap()))
        };
        names.map(|entry| of(entry.unwrap().file_name().into_string().unwrap())).collect()
    }

    fn proof(&self, id: JobId) -> Option<Vec<u8>> {
        spool(&self.0).result(id).unwrap().map(|result| result.proof)
    }

    fn provers(&self) -> usize {
        spool(&self.0).provers().unwrap()
    }
}

struct AtDatabase(&'static Cluster, String, Queue);

impl At for AtDatabase {
    fn tell(&self, worker: &mut Command) {
        worker.env("GRIDVEIL_QUEUE", self.0.url(&self.1)).env_remove(SPOOL);
    }

    fn submit(&self, job: &ProofJob) -> JobId {
        self.2.submit(job).unwrap()
    }

    fn held(&self) -> Held {
        let mut client = self.0.connect(&self.1).unwrap();
        let rows = client.query(
            "SELECT batch, worker, attempts FROM gridveil_queue.jobs WHERE state = 'claimed' AND lease_until > now()",
            &[],
        );
        let number = |x: i64| u64::try_from(x).unwrap();
        let of = |row: &postgres::Row| (number(row.get(0)), (row.get(1), u32::try_from(row.get::<_, i32>(2)).unwrap()));
        rows.unwrap().iter().map(of).collect()
    }

    fn proof(&self, id: JobId) -> Option<Vec<u8>> {
        self.2.result(id).unwrap().map(|result| result.proof)
    }

    fn provers(&self) -> usize {
        self.2.provers().unwrap()
    }
}

fn until(what: &str, at: &dyn At, mut holds: impl FnMut(&Held) -> bool) -> Held {
    let start = Instant::now();
    loop {
        let held = at.held();
        if holds(&held) {
            return held;
        }
        assert!(start.elapsed() < SOON, "never: {what}: {held:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn batches(held: &Held) -> Vec<u64> {
    held.keys().copied().collect()
}

/// Eight jobs and four workers: four leases at once, of the oldest batches. One worker is killed, one stopped: a fifth
/// does their jobs, while the busy ones keep theirs for several leases.
fn four_and_a_fifth(at: &dyn At) {
    let dir = tempfile::tempdir().unwrap();
    let gates = dir.path();
    let open = |batch: u64| std::fs::write(gates.join(batch.to_string()), "").unwrap();
    let ids: Vec<JobId> = (0..8).rev().map(|batch| at.submit(&job(batch))).collect();
    let mut workers: Vec<Worker> = (0..4).map(|_| Worker::start(at, gates)).collect();
    let held = until("four leases are held", at, |held| held.len() == 4);
    assert_eq!(batches(&held), [0, 1, 2, 3], "the oldest first");
    assert!(held.values().all(|(_, attempt)| *attempt == 1));
    assert_eq!(at.provers(), 4);
    let place = |workers: &[Worker], batch| workers.iter().position(|worker| worker.has(&held, batch)).unwrap();
    // Killed in the middle.
    let place_of_killed = place(&workers, 1);
    let killed = workers.swap_remove(place_of_killed);
    killed.signal("KILL");
    drop(killed);
    for batch in 4..8 {
        open(batch);
    }
    let fifth = Worker::start(at, gates);
    let after = until("the fifth has the killed one's job", at, |held| fifth.has(held, 1));
    assert_eq!(after[&1].1, 2, "a second attempt");
    // Stopped in the middle: it is there, and silent.
    let stopped = &workers[place(&workers, 2)];
    stopped.signal("STOP");
    open(1);
    until("the fifth has the stopped one's job", at, |held| fifth.has(held, 2));
    for batch in [0, 3] {
        let now = at.held();
        assert_eq!((&now[&batch].0, now[&batch].1), (&held[&batch].0, 1), "who is busy keeps its lease");
    }
    // It comes back, and both prove: one result, and no harm.
    stopped.signal("CONT");
    for batch in [0, 2, 3] {
        open(batch);
    }
    let start = Instant::now();
    while !ids.iter().all(|id| at.proof(*id) == Some(vec![7; 9])) {
        assert!(start.elapsed() < SOON);
        thread::sleep(Duration::from_millis(10));
    }
    // And it takes part again.
    let more: Vec<JobId> = (8..12).map(|batch| at.submit(&job(batch))).collect();
    let held = until("four leases are held again", at, |held| held.len() == 4 && held.keys().all(|batch| *batch >= 8));
    assert!((8..12).any(|batch| stopped.has(&held, batch)));
    (8..12).for_each(open);
    let start = Instant::now();
    while !more.iter().all(|id| at.proof(*id).is_some()) {
        assert!(start.elapsed() < SOON);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn four_processes_share_a_directory_and_survive_a_killed_and_a_stopped_one() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    four_and_a_fifth(&AtSpool(dir.path().to_path_buf()));
}

#[test]
fn four_processes_share_a_database_and_survive_a_killed_and_a_stopped_one() {
    let Some(cluster) = Cluster::shared() else { return };
    let _turn = turn();
    let database = cluster.database();
    let queue = Queue::new(&cluster.url(&database).parse().unwrap(), SpoolKey::new(KEY)).unwrap();
    four_and_a_fifth(&AtDatabase(cluster, database, queue));
}
