//! The state machine, on a real server.

mod leases;
mod outages;
mod several;
mod tls;
mod trust;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{postgres_cluster::Cluster, serving::HandIn, *};
use crate::{
    check::Checker,
    job::{ProofJob, ProofResult, fixture::job},
    pool::tests::{Fake, answer},
    progress::Silent,
    proof::ProofError,
    prover::{Prove, Prover, ProverConfig},
    spool::SpoolKey,
    srs::{Srs, SrsSource},
    statement::toy::Toy,
    worker::{Beat, Queue as _, Served, WorkerConfig, serve},
};
use gridveil_protocol::{
    fixture::{Recipe, settlement},
    market::Mechanism,
    params::SHAPES,
    settlement::SettlementError,
};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

struct World {
    cluster: &'static Cluster,
    database: String,
}

impl World {
    fn new() -> Option<Self> {
        let cluster = Cluster::shared()?;
        Some(Self { cluster, database: cluster.database() })
    }

    fn url(&self) -> QueueUrl {
        self.cluster.url(&self.database).parse().unwrap()
    }

    fn queue(&self, key: u8) -> Queue {
        Queue::new(&self.url(), SpoolKey::new([key; 32])).unwrap()
    }

    fn serving(&self, key: u8, lease: Duration) -> Serving {
        let config = ServingConfig { shapes: vec!["tiny-4x2".into()], lease, attempts: 2, ..ServingConfig::default() };
        Serving::new(&self.url(), SpoolKey::new([key; 32]), config).unwrap()
    }

    fn sql(&self, statement: &str) -> Vec<postgres::Row> {
        self.cluster.connect(&self.database).unwrap().query(statement, &[]).unwrap()
    }

    fn payloads(&self) -> i64 {
        self.sql("SELECT count(payload) FROM gridveil_queue.jobs")[0].get(0)
    }

    fn attempts(&self) -> i32 {
        self.sql("SELECT attempts FROM gridveil_queue.jobs")[0].get(0)
    }
}

fn once(name: &str) -> WorkerConfig {
    WorkerConfig { name: name.into(), poll: Duration::from_millis(5), once: true, ..WorkerConfig::default() }
}

fn claimed(serving: &Serving, worker: &str) -> Claim {
    serving.claim(worker).unwrap().unwrap()
}

const FAILED: ProverError = ProverError::Proof(ProofError::Invalid);
const REFUSED: ProverError = ProverError::Settlement(SettlementError::FeeAccount);

#[test]
fn a_job_goes_in_and_its_result_comes_out() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let id = queue.submit(&job(1)).unwrap();
    assert_eq!(queue.submit(&job(1)).unwrap(), id, "the same batch asked for twice is one job");
    assert_eq!(queue.state(id).unwrap(), QueueState::Waiting { workers: 0 });
    assert_eq!(queue.result(id).unwrap(), None);
    let claim = claimed(&serving, "a");
    assert_eq!((claim.id, claim.attempt, &claim.job), (id, 1, &job(1)));
    assert_eq!(queue.state(id).unwrap(), QueueState::Claimed);
    assert!(serving.claim("b").unwrap().is_none(), "one claim a job");
    assert_eq!(serving.beat(&claim).unwrap(), Beat::Held);
    assert_eq!(world.payloads(), 1);
    assert_eq!(serving.hand_in(&claim, &answer(&claim.job)).unwrap(), HandIn::Accepted);
    assert_eq!(world.payloads(), 0, "the witness goes with the proof");
    assert_eq!(queue.state(id).unwrap(), QueueState::Proven);
    assert_eq!(queue.result(id).unwrap(), Some(answer(&job(1))));
    assert_eq!(queue.submit(&job(1)).unwrap(), id);
    assert!(serving.claim("b").unwrap().is_none(), "proved once");
    assert_eq!(world.payloads(), 0, "and its witness does not come back");
    queue.forget(id).unwrap();
    assert_eq!(queue.state(id).unwrap(), QueueState::Unknown);
}

#[test]
fn no_two_claimers_get_the_same_job() {
    const CLAIMERS: usize = 8;
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let ids: BTreeSet<_> = (0..24).map(|batch| queue.submit(&job(batch)).unwrap()).collect();
    let barrier = Barrier::new(CLAIMERS);
    let taken: Vec<Vec<JobId>> = thread::scope(|scope| {
        let claimer = |index: usize| {
            let (world, barrier) = (&world, &barrier);
            move || {
                let serving = world.serving(1, LONG);
                barrier.wait();
                let mut taken = Vec::new();
                // A worker has one job at a time.
                while let Some(claim) = serving.claim(&format!("w{index}")).unwrap() {
                    taken.push(claim.id);
                    serving.finish(&claim, &answer(&claim.job)).unwrap();
                }
                taken
            }
        };
        let claimers: Vec<_> = (0..CLAIMERS).map(|index| scope.spawn(claimer(index))).collect();
        claimers.into_iter().map(|claimer| claimer.join().unwrap()).collect()
    });
    let all: Vec<_> = taken.iter().flatten().copied().collect();
    assert_eq!(all.len(), ids.len(), "each once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(world.sql("SELECT sum(attempts)::bigint FROM gridveil_queue.jobs")[0].get::<_, i64>(0), 24);
}

#[test]
fn the_first_users_make_the_tables_together() {
    const USERS: usize = 8;
    let Some(world) = World::new() else { return };
    for _ in 0..4 {
        let barrier = Barrier::new(USERS);
        thread::scope(|scope| {
            for batch in 0..USERS as u64 {
                let (queue, barrier) = (world.queue(1), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    queue.submit(&job(batch)).unwrap()
                });
            }
        });
        assert_eq!(world.payloads(), 8);
        world.cluster.connect(&world.database).unwrap().batch_execute("DROP SCHEMA gridveil_queue CASCADE").unwrap();
    }
    world.queue(1).submit(&job(1)).unwrap();
    world.sql("UPDATE gridveil_queue.meta SET version = 2");
    assert!(matches!(world.queue(1).submit(&job(9)), Err(QueueError::Version { found: 2, known: 1 })));
}

#[test]
fn the_oldest_batch_comes_first_and_only_shapes_that_are_served() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    for batch in [7, 3, 5] {
        queue.submit(&job(batch)).unwrap();
    }
    // Older than all, for others.
    queue.submit(&ProofJob { shape: "home-32x24".into(), ..job(1) }).unwrap();
    queue.submit(&ProofJob { circuit_version: 99, ..job(2) }).unwrap();
    let batches: Vec<_> = (0..3).map(|n| claimed(&serving, &format!("w{n}")).job.batch).collect();
    assert_eq!(batches, [3, 5, 7]);
    assert!(serving.claim("z").unwrap().is_none());
}

#[test]
fn failures_are_counted_and_refusals_are_final() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let id = queue.submit(&job(1)).unwrap();
    serving.fail(&claimed(&serving, "a"), &FAILED).unwrap();
    assert!(matches!(queue.state(id).unwrap(), QueueState::Waiting { .. }));
    serving.fail(&claimed(&serving, "b"), &FAILED).unwrap();
    let QueueState::Poisoned { reason: Reason::ProofFailed, attempts: 2, error } = queue.state(id).unwrap() else {
        panic!()
    };
    assert_eq!(error, FAILED.to_string());
    let other = queue.submit(&job(2)).unwrap();
    let claim = claimed(&serving, "a");
    serving.fail(&claim, &REFUSED).unwrap();
    let QueueState::Refused { reason: Reason::Rules, error } = queue.state(other).unwrap() else { panic!() };
    assert!(error.starts_with("SETTLE.8"), "{error}");
    assert_eq!(serving.beat(&claim).unwrap(), Beat::Settled);
    assert!(
        matches!(Admin::new(&world.url()).unwrap().retry(other), Err(QueueError::NotPoisoned { state, .. }) if state == "refused")
    );
    assert_eq!(world.payloads(), 1, "a refused job's witness is gone");
    // The error is not for those without the key.
    let error: Vec<u8> = world.sql("SELECT error FROM gridveil_queue.jobs WHERE state = 'refused'")[0].get(0);
    assert!(!error.windows(6).any(|window| window == b"SETTLE"));
    assert!(matches!(world.queue(2).state(other).unwrap(), QueueState::Refused { error, .. } if error == "rules"));
}

#[test]
fn a_person_sees_counts_ages_and_workers() {
    let Some(world) = World::new() else { return };
    let (queue, serving, admin) = (world.queue(1), world.serving(1, LONG), Admin::new(&world.url()).unwrap());
    assert_eq!(admin.status().unwrap().states.iter().map(|count| count.jobs).sum::<u64>(), 0);
    for batch in 1..=5 {
        queue.submit(&job(batch)).unwrap();
    }
    world.sql("UPDATE gridveil_queue.jobs SET created_at = now() - interval '3 hours' WHERE batch = 5");
    let claims = ["a", "b", "c", "d"].map(|worker| claimed(&serving, worker));
    serving.finish(&claims[0], &answer(&claims[0].job)).unwrap();
    serving.fail(&claims[1], &REFUSED).unwrap();
    world.sql("UPDATE gridveil_queue.jobs SET lease_until = now() - interval '1 second' WHERE batch = 3");
    let status = admin.status().unwrap();
    let of = |name: &str| status.states.iter().find(|count| count.state == name).unwrap();
    assert_eq!(
        status.states.iter().map(|count| (count.state, count.jobs)).collect::<Vec<_>>(),
        [("waiting", 1), ("claimed", 1), ("silent", 1), ("proven", 1), ("poisoned", 0), ("refused", 1)]
    );
    assert!((10_800..10_900).contains(&of("waiting").oldest_s.unwrap()), "{status:?}");
    assert_eq!((of("waiting").attempts, of("claimed").attempts, of("poisoned").oldest_s), (0, 1, None));
    assert_eq!(status.set_aside.iter().map(|job| (job.batch, job.reason)).collect::<Vec<_>>(), [(2, Reason::Rules)]);
    // One name was told of within a quarter of the lease.
    assert_eq!(status.workers.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let text = status.to_string();
    assert!(text.contains("waiting         1         0       3 h"), "{text}");
    assert!(text.contains("workers alive: 1") && text.contains(&claims[1].id.to_string()), "{text}");
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!((&json["states"][0]["state"], &json["set_aside"][0]["reason"]), (&"waiting".into(), &"rules".into()));
}

#[test]
fn reasons_are_read_as_they_are_written() {
    for (reason, code) in REASONS {
        assert_eq!((Reason::parse(code), reason.code()), (reason, code));
        assert_eq!(serde_json::to_value(reason).unwrap(), code);
    }
    assert_eq!(Reason::parse("of a later version"), Reason::Other);
}
