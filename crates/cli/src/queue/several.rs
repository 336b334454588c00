//! A sequencer, several applied batches, and several workers behind a real queue. A stand-in for the prover makes no
//! proof before four are at it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use gridveil_prover::{
    progress::{Progress, Silent},
    prover::Prove,
    queue::{Serving, ServingConfig},
    spool::{Spool, SpoolConfig, SpoolKey},
    worker::{self, WorkerConfig, serve},
};
use gridveil_proving_api::fixture;

use super::{postgres::Cluster, *};
use crate::proofs::SpoolProofs;

#[path = "../../../../sequencer/tests/suite/common/mod.rs"]
mod common;

use common::{Node, World, proof_of, until};

const WORKERS: usize = 4;
const SHORT: Duration = Duration::from_secs(1);

/// The L1 in memory takes this for a proof.
struct AsL1;

impl Check for AsL1 {
    fn check(&self, job: &ProofJob, result: &ProofResult) -> Result<(), ProverError> {
        if result.proof == proof_of(job) { Ok(()) } else { Err(gridveil_prover::proof::ProofError::Invalid.into()) }
    }
}

/// Proves when four are at it at once, and not before.
#[derive(Default)]
struct Together {
    arrived: AtomicUsize,
    batches: Mutex<Vec<u64>>,
}

/// Ends the workers however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Prove for Together {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        let all = (self.arrived.fetch_add(1, Ordering::SeqCst) / WORKERS + 1) * WORKERS;
        while self.arrived.load(Ordering::SeqCst) < all {
            if progress.is_cancelled() {
                return Err(ProverError::Cancelled);
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.batches.lock().unwrap().push(job.batch);
        Ok(fixture::result(job, proof_of(job)))
    }
}

/// Four periods of one community and three of another are settled by four workers, four at a time, although one more had
/// taken the first batch and went silent. The eighth is of the first community again.
fn settled_by<Q: worker::Queue + Send>(
    source: impl ProofSource + 'static,
    dead: &Q,
    workers: [Q; WORKERS],
    forgotten: impl Fn() -> bool,
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (together, stop) = (Together::default(), AtomicBool::new(false));
    let world = runtime.block_on(World::new());
    let node = runtime.block_on(async {
        let mut config = world.config(&world.data());
        config.proving = 64;
        let node = Node::over(gridveil_sequencer::serve(config, world.l1.clone(), Arc::new(source)).await.unwrap());
        node.run_period(&world, 5, 0).await;
        node
    });
    let taken = loop {
        match worker::Queue::claim(dead, "dead").unwrap_or_else(|error| panic!("{error}")) {
            Some(claim) => break claim,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    assert_eq!(Q::job(&taken).2.batch, 1);
    runtime.block_on(async {
        for (community, period) in [(7, 0), (5, 1), (7, 1), (5, 2), (7, 2), (5, 3), (5, 4)] {
            node.run_period(&world, community, period).await;
        }
    });
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (index, queue) in workers.into_iter().enumerate() {
            let (together, stop) = (&together, &stop);
            scope.spawn(move || {
                let config = WorkerConfig { name: format!("w{index}"), ..WorkerConfig::default() };
                serve(together, &queue, &config, stop, &Silent).unwrap_or_else(|error| panic!("{error}"))
            });
        }
        runtime.block_on(async {
            node.settled(5, 5).await;
            node.settled(7, 3).await;
            until("what the log has is forgotten by the queue", async || forgotten()).await;
            node.handle.shutdown().await;
        });
    });
    let mut batches = together.batches.into_inner().unwrap();
    batches.sort_unstable();
    assert_eq!(batches, (1..=8).collect::<Vec<_>>(), "each once");
}

#[test]
fn four_workers_behind_a_database_prove_four_batches_at_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.database();
    let url = cluster.url(&name).parse().unwrap();
    let serving = |lease| {
        let config = ServingConfig { shapes: vec!["tiny-4x2".into()], lease, ..ServingConfig::default() };
        Serving::new(&url, SpoolKey::new([5; 32]), config).unwrap()
    };
    let source = QueueProofs::new(Queue::new(&url, SpoolKey::new([5; 32])).unwrap(), AsL1);
    let mut client = cluster.connect(&name).unwrap();
    let left = Mutex::new(move || client.query("SELECT 1 FROM gridveil_queue.jobs", &[]).unwrap().len());
    let workers = [(); WORKERS].map(|()| serving(SHORT * 60));
    settled_by(source, &serving(SHORT), workers, || {
        thread::scope(|scope| {
            // A blocking client must not run among the runtime's tasks.
            scope.spawn(|| (left.lock().unwrap())() == 0).join().unwrap()
        })
    });
}

#[test]
fn four_workers_at_a_directory_prove_four_batches_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = |lease| Spool::open(dir.path(), SpoolKey::new([5; 32]), SpoolConfig { lease, attempts: 3 }).unwrap();
    let workers = [(); WORKERS].map(|()| spool(SHORT * 60));
    let results = dir.path().join("results");
    settled_by(SpoolProofs::new(spool(SHORT)), &spool(SHORT), workers, || {
        std::fs::read_dir(&results).unwrap().count() == 0
    });
}
