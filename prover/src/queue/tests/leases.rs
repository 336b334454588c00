//! Claims are leases: of workers that are silent, slow, stopped, or not heard.

use super::*;

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
fn a_job_whose_claim_was_not_heard_of_is_given_again_to_the_same_worker() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    queue.submit(&job(1)).unwrap();
    let lost = claimed(&serving, "a");
    assert!(serving.claim("b").unwrap().is_none());
    let again = claimed(&serving, "a");
    assert_eq!((again.id, again.attempt), (lost.id, lost.attempt));
}
