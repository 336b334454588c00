//! A database that goes away.

use super::*;

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
