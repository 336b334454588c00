//! The state machine, on a real server.

mod tls;

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
    WorkerConfig { name: name.into(), poll: Duration::from_millis(5), once: true }
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
fn a_silent_workers_job_is_delivered_again_and_then_poisoned_until_somebody_puts_it_back() {
    let Some(world) = World::new() else { return };
    let (queue, serving, admin) = (world.queue(1), world.serving(1, SHORT), Admin::new(&world.url()).unwrap());
    let id = queue.submit(&job(1)).unwrap();
    for attempt in [1, 2] {
        let claim = claimed(&serving, &format!("dead{attempt}"));
        assert_eq!(claim.attempt, attempt);
        assert!(serving.claim("b").unwrap().is_none(), "the lease holds");
        thread::sleep(SHORT * 2);
        assert!(matches!(queue.state(id).unwrap(), QueueState::Waiting { .. }), "the lease has ended");
    }
    assert!(serving.claim("b").unwrap().is_none());
    let QueueState::Poisoned { reason: Reason::WorkerSilent, attempts: 2, .. } = queue.state(id).unwrap() else {
        panic!()
    };
    assert_eq!(queue.submit(&job(1)).unwrap(), id, "asking again does not put it back");
    assert!(serving.claim("b").unwrap().is_none());
    let status = admin.status().unwrap();
    assert_eq!(status.set_aside.len(), 1);
    assert_eq!((status.set_aside[0].job, status.set_aside[0].reason), (id, Reason::WorkerSilent));
    admin.retry(id).unwrap();
    assert!(matches!(admin.retry(id), Err(QueueError::NotPoisoned { state, .. }) if state == "waiting"));
    assert!(matches!(admin.retry([9; 32].into()), Err(QueueError::Unknown { .. })));
    let claim = claimed(&serving, "c");
    assert_eq!(claim.attempt, 1);
    serving.finish(&claim, &answer(&claim.job)).unwrap();
    assert_eq!(queue.state(id).unwrap(), QueueState::Proven);
}

#[test]
fn a_heartbeat_keeps_the_lease() {
    let Some(world) = World::new() else { return };
    let lease = Duration::from_millis(600);
    let (queue, serving) = (world.queue(1), world.serving(1, lease));
    let id = queue.submit(&job(1)).unwrap();
    let fake = Fake { shut: true.into(), ..Fake::default() };
    thread::scope(|scope| {
        let worker = scope.spawn(|| serve(&fake, &serving, &once("a"), &AtomicBool::new(false), &Silent).unwrap());
        while queue.state(id).unwrap() != QueueState::Claimed {
            thread::sleep(Duration::from_millis(5));
        }
        let (other, start) = (world.serving(1, lease), Instant::now());
        while start.elapsed() < lease * 3 {
            assert!(other.claim("b").unwrap().is_none(), "alive for three leases");
            thread::sleep(Duration::from_millis(40));
        }
        fake.shut.store(false, Ordering::SeqCst);
        assert_eq!(worker.join().unwrap(), Served { proved: 1, failed: 0 });
    });
    assert_eq!(world.attempts(), 1);
    // Its own claim revives after a silence, as long as nobody has taken it.
    queue.submit(&job(2)).unwrap();
    let claim = claimed(&serving, "a");
    thread::sleep(lease * 2);
    assert_eq!(serving.beat(&claim).unwrap(), Beat::Held);
    assert!(serving.claim("b").unwrap().is_none());
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
fn a_stopped_worker_hands_its_job_back_untouched() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let id = queue.submit(&job(1)).unwrap();
    let (fake, stop) = (Fake { shut: true.into(), ..Fake::default() }, AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = scope.spawn(|| serve(&fake, &serving, &once("a"), &stop, &Silent).unwrap());
        while queue.state(id).unwrap() != QueueState::Claimed {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(Admin::new(&world.url()).unwrap().status().unwrap().workers[0].batch, Some(1));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(worker.join().unwrap(), Served::default());
    });
    assert_eq!(queue.state(id).unwrap(), QueueState::Waiting { workers: 0 }, "and takes its leave");
    assert_eq!(claimed(&serving, "b").attempt, 1);
}

#[test]
fn a_late_proof_counts_and_a_second_one_is_dropped() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, SHORT));
    let id = queue.submit(&job(1)).unwrap();
    let slow = claimed(&serving, "slow");
    thread::sleep(SHORT * 2);
    let other = world.serving(1, LONG);
    let fast = claimed(&other, "fast");
    assert_eq!(fast.attempt, 2);
    assert_eq!(serving.beat(&slow).unwrap(), Beat::Lost);
    // What the slow one says of its claim is nobody's business any more, but its proof is a proof.
    serving.fail(&slow, &FAILED).unwrap();
    serving.release(&slow).unwrap();
    assert_eq!(queue.state(id).unwrap(), QueueState::Claimed);
    let first = ProofResult { proof: vec![1], ..answer(&slow.job) };
    assert_eq!(serving.hand_in(&slow, &first).unwrap(), HandIn::Accepted);
    assert_eq!(serving.hand_in(&slow, &first).unwrap(), HandIn::Accepted, "said twice, where the answer was lost");
    assert_eq!(other.beat(&fast).unwrap(), Beat::Settled);
    assert_eq!(other.hand_in(&fast, &answer(&fast.job)).unwrap(), HandIn::Late);
    assert_eq!(queue.result(id).unwrap(), Some(first));
    queue.forget(id).unwrap();
    assert_eq!(other.hand_in(&fast, &answer(&fast.job)).unwrap(), HandIn::Gone);
    // Late even for a job that was given up.
    let id = queue.submit(&job(2)).unwrap();
    let claims = ["a", "b"].map(|worker| {
        let claim = claimed(&serving, worker);
        thread::sleep(SHORT * 2);
        claim
    });
    assert!(serving.claim("c").unwrap().is_none());
    assert!(matches!(queue.state(id).unwrap(), QueueState::Poisoned { .. }));
    assert_eq!(serving.hand_in(&claims[0], &answer(&job(2))).unwrap(), HandIn::Accepted);
    assert_eq!(world.payloads(), 0);
}

#[test]
fn what_is_no_proof_of_the_job_is_refused() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let dir = tempfile::tempdir().unwrap();
    let config = ProverConfig { threads: Some(2), ..ProverConfig::local(dir.path(), vec![SHAPES[0]]) };
    let prover = Prover::<Toy>::open(&config, &Silent).unwrap();
    let checker = Checker::<Toy>::new(Srs::for_chain(31_337, SrsSource::InsecureDev, dir.path()).unwrap());
    let id = queue.submit(&job(1)).unwrap();
    for attempt in [1, 2, 3] {
        let claim = claimed(&serving, "liar");
        assert_eq!(claim.attempt, attempt);
        // At once: of another job, or of nothing.
        assert!(matches!(serving.hand_in(&claim, &answer(&job(2))), Err(QueueError::Contents { .. })));
        assert!(matches!(
            serving.hand_in(&claim, &ProofResult { proof: Vec::new(), ..answer(&job(1)) }),
            Err(QueueError::Contents { .. })
        ));
        assert!(matches!(
            serving.hand_in(&claim, &ProofResult { proof: vec![0; MAX_RESULT_BYTES], ..answer(&job(1)) }),
            Err(QueueError::TooLarge { .. })
        ));
        let mut result = prover.prove_job(&claim.job, &Silent).unwrap();
        if attempt == 2 {
            // By whoever asked, which has the witness still: true this time.
            assert_eq!(serving.hand_in(&claim, &result).unwrap(), HandIn::Accepted);
            checker.check(&job(1), &queue.result(id).unwrap().unwrap(), &Silent).unwrap();
            break;
        }
        result.proof[40] ^= 1;
        assert_eq!(serving.hand_in(&claim, &result).unwrap(), HandIn::Accepted);
        let taken = queue.result(id).unwrap().unwrap();
        assert!(matches!(checker.check(&job(1), &taken, &Silent), Err(ProverError::Proof(ProofError::Invalid))));
        assert!(queue.again(&job(1), Reason::InvalidProof).unwrap());
        assert!(!queue.again(&job(1), Reason::InvalidProof).unwrap(), "once");
        assert_eq!(world.payloads(), 1);
    }
    // Not for ever.
    queue.forget(id).unwrap();
    queue.submit(&job(1)).unwrap();
    world.sql("UPDATE gridveil_queue.jobs SET attempts = 3, state = 'proven', payload = NULL, result = 'x'");
    assert!(queue.again(&job(1), Reason::InvalidProof).unwrap());
    assert!(matches!(queue.state(id).unwrap(), QueueState::Poisoned { reason: Reason::InvalidProof, attempts: 3, .. }));
}

#[test]
fn a_worker_with_another_key_says_so_and_burns_nothing() {
    let Some(world) = World::new() else { return };
    let (queue, thief) = (world.queue(1), world.serving(2, LONG));
    let id = queue.submit(&job(1)).unwrap();
    assert!(thief.claim("thief").unwrap().is_none());
    assert!(matches!(thief.check_key(), Err(QueueError::OtherKey { jobs: 1 })));
    assert_eq!(
        (queue.state(id).unwrap(), world.attempts()),
        (QueueState::Waiting { workers: 0 }, 0),
        "nor is it counted as a worker"
    );
    let serving = world.serving(1, LONG);
    serving.check_key().unwrap();
    assert!(!format!("{serving:?} {:?}", world.url()).contains("gridveil-pg-"), "no address in debug output");
    let claim = claimed(&serving, "a");
    serving.finish(&claim, &answer(&claim.job)).unwrap();
    assert!(matches!(world.queue(2).result(id), Err(QueueError::Sealed { .. })));
    // A sequencer with a new key asks for what waits under the old one.
    let id = queue.submit(&job(2)).unwrap();
    world.queue(2).submit(&job(2)).unwrap();
    let claim = claimed(&thief, "b");
    assert_eq!(claim.id, id);
    world.queue(1).submit(&job(2)).unwrap();
    assert_eq!(queue.state(id).unwrap(), QueueState::Claimed, "but not what is in work");
    thief.finish(&claim, &answer(&claim.job)).unwrap();
    assert!(world.queue(2).result(id).unwrap().is_some());
}

#[test]
fn what_was_exchanged_or_damaged_is_set_aside_and_put_in_again() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let ids = [1, 2, 3, 4].map(|batch| queue.submit(&job(batch)).unwrap());
    // The second has the third's witness; a byte of the first differs; the fourth came as another shape.
    world.sql(
        "UPDATE gridveil_queue.jobs SET payload = set_byte(payload, 100, get_byte(payload, 100) # 1) WHERE batch = 1",
    );
    world.sql("UPDATE gridveil_queue.jobs SET payload = (SELECT payload FROM gridveil_queue.jobs WHERE batch = 3) WHERE batch = 2");
    let other = Serving::new(
        &world.url(),
        SpoolKey::new([1; 32]),
        ServingConfig {
            shapes: vec!["home-32x24".into(), "tiny-4x2".into()],
            lease: LONG,
            attempts: 2,
            ..ServingConfig::default()
        },
    );
    world.sql("UPDATE gridveil_queue.jobs SET shape = 'home-32x24' WHERE batch = 4");
    assert_eq!(claimed(&serving, "w").id, ids[2]);
    assert!(other.unwrap().claim("v").unwrap().is_none());
    for id in [ids[0], ids[1], ids[3]] {
        let QueueState::Poisoned { reason: Reason::Unreadable, attempts: 1, .. } = queue.state(id).unwrap() else {
            panic!()
        };
    }
    assert!(queue.again(&job(1), Reason::Unreadable).unwrap());
    assert_eq!(claimed(&serving, "x").id, ids[0]);
}

#[test]
fn the_database_sees_no_reading() {
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let job = job(1);
    let id = queue.submit(&job).unwrap();
    let json = job.to_json().unwrap();
    let payload: Vec<u8> = world.sql("SELECT payload FROM gridveil_queue.jobs")[0].get(0);
    let seen: BTreeSet<&[u8]> = payload.windows(8).collect();
    let found = json.windows(8).filter(|window| seen.contains(window)).map(String::from_utf8_lossy);
    assert_eq!(found.collect::<Vec<_>>(), [""; 0], "no eight bytes of the witness");
    // What is beside it is for everybody.
    let columns = "SELECT k FROM gridveil_queue.jobs j, jsonb_object_keys(jsonb_strip_nulls(to_jsonb(j))) k ORDER BY k";
    let columns: Vec<String> = world.sql(columns).iter().map(|row| row.get(0)).collect();
    let public = [
        "attempts",
        "batch",
        "changed_at",
        "circuit_version",
        "created_at",
        "id",
        "key_id",
        "payload",
        "shape",
        "state",
    ];
    assert_eq!(columns, public);
    // Nor the same ciphertext twice.
    let again = world.queue(1);
    queue.forget(id).unwrap();
    again.submit(&job).unwrap();
    let other: Vec<u8> = world.sql("SELECT payload FROM gridveil_queue.jobs")[0].get(0);
    assert!(!other.windows(16).any(|window| payload.windows(16).any(|x| x == window)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let recipe = Recipe { shape: SHAPES[2], seed: 1, mechanism: Mechanism::Auction, used: SHAPES[2].members };
    let largest = ProofJob::new(1, settlement(&recipe).unwrap()).to_json().unwrap().len();
    eprintln!("the largest shape's job: {largest} bytes");
    assert!(largest < MAX_JOB_BYTES / 4);
    let mut huge = job(1);
    let packet = huge.input.packets[0].clone();
    let each = serde_json::to_vec(&packet).unwrap().len() + 1;
    huge.input.packets = vec![packet; MAX_JOB_BYTES / each + 1];
    let Err(QueueError::TooLarge { bytes, limit: MAX_JOB_BYTES }) = queue.submit(&huge) else { panic!() };
    assert!(bytes > MAX_JOB_BYTES);
    // A little less, with what is around the packets.
    huge.input.packets.truncate((MAX_JOB_BYTES - 20_000) / each);
    queue.submit(&huge).unwrap();
    assert_eq!(world.payloads(), 1);
}

#[test]
fn a_job_whose_claim_was_not_heard_of_is_given_again_to_the_same_worker() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    queue.submit(&job(1)).unwrap();
    let lost = claimed(&serving, "a");
    assert!(serving.claim("b").unwrap().is_none());
    let again = claimed(&serving, "a");
    assert_eq!((again.id, again.attempt), (lost.id, lost.attempt));
}

#[test]
fn the_database_may_go_away_in_the_middle() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url: QueueUrl = cluster.url("postgres").parse().unwrap();
    let queue = Queue::new(&url, SpoolKey::new([1; 32])).unwrap();
    let ids = [1, 2, 3].map(|batch| queue.submit(&job(batch)).unwrap());
    let config = ServingConfig {
        shapes: vec!["tiny-4x2".into()],
        lease: Duration::from_millis(400),
        attempts: 2,
        ..ServingConfig::default()
    };
    let serving = Serving::new(&url, SpoolKey::new([1; 32]), config).unwrap();
    let (fake, stop) = (Arc::new(Fake { shut: true.into(), ..Fake::default() }), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker =
            scope.spawn(|| serve(fake.as_ref(), &serving, &WorkerConfig { once: false, ..once("a") }, &stop, &Silent));
        while queue.state(ids[0]).unwrap() != QueueState::Claimed {
            thread::sleep(Duration::from_millis(5));
        }
        // A crash while a proof is made, for longer than the lease; the proof is ready before the database is.
        cluster.stop("QUIT");
        let unavailable = queue.state(ids[0]);
        assert!(matches!(&unavailable, Err(QueueError::Unavailable(_))), "{unavailable:?}");
        assert!(matches!(queue.submit(&job(4)), Err(QueueError::Unavailable(_))));
        thread::sleep(Duration::from_millis(600));
        fake.shut.store(false, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(300));
        cluster.resume();
        let all_proven = || ids.iter().all(|id| queue.state(*id).is_ok_and(|state| state == QueueState::Proven));
        let start = Instant::now();
        while !all_proven() {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", ids.map(|id| queue.state(id)));
            thread::sleep(Duration::from_millis(20));
        }
        // And once more while it is idle.
        cluster.stop("INT");
        thread::sleep(Duration::from_millis(200));
        cluster.resume();
        let start = Instant::now();
        let last = loop {
            match queue.submit(&job(4)) {
                Ok(id) => break id,
                Err(QueueError::Unavailable(_)) if start.elapsed() < Duration::from_secs(10) => {
                    thread::sleep(Duration::from_millis(20))
                }
                Err(error) => panic!("{error}"),
            }
        };
        while queue.state(last).unwrap() != QueueState::Proven {
            assert!(start.elapsed() < Duration::from_secs(30));
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(worker.join().unwrap().unwrap(), Served { proved: 4, failed: 0 });
    });
    let attempts: i64 = cluster
        .connect("postgres")
        .unwrap()
        .query_one("SELECT sum(attempts)::bigint FROM gridveil_queue.jobs", &[])
        .unwrap()
        .get(0);
    assert_eq!((attempts, fake.calls.load(Ordering::SeqCst)), (4, 4), "each proved once");
}

#[test]
fn a_stopped_worker_does_not_wait_for_a_database_that_is_gone() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url: QueueUrl = cluster.url("postgres").parse().unwrap();
    cluster.stop("INT");
    let config = ServingConfig { shapes: vec!["tiny-4x2".into()], ..ServingConfig::default() };
    let (serving, stop) = (Serving::new(&url, SpoolKey::new([1; 32]), config).unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = scope.spawn(|| serve(&Fake::default(), &serving, &once("a"), &stop, &Silent));
        thread::sleep(Duration::from_millis(300));
        assert!(!worker.is_finished(), "it asks again");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(worker.join().unwrap().unwrap(), Served::default());
    });
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
