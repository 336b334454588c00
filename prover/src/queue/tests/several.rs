//! Several workers at once: how many leases are held, in which order, and how soon an idle worker hears of a job.

use std::sync::{Mutex, atomic::AtomicUsize};

use super::*;
use crate::progress::Progress;

const WORKERS: usize = 4;

/// Proves when so many are at it at once, and not before.
struct Together<'a> {
    arrived: AtomicUsize,
    looked: AtomicUsize,
    /// Looks at the queue while all of them wait.
    look: &'a (dyn Fn() + Sync),
}

impl Together<'_> {
    fn until(&self, counter: &AtomicUsize, count: usize) -> Result<(), ProverError> {
        let start = Instant::now();
        while counter.load(Ordering::SeqCst) < count {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(FAILED);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Prove for Together<'_> {
    fn prove_job(&self, job: &ProofJob, _: &dyn Progress) -> Result<ProofResult, ProverError> {
        let place = self.arrived.fetch_add(1, Ordering::SeqCst);
        let round = place / WORKERS + 1;
        self.until(&self.arrived, round * WORKERS)?;
        if place.is_multiple_of(WORKERS) {
            (self.look)();
            self.looked.fetch_add(1, Ordering::SeqCst);
        }
        self.until(&self.looked, round)?;
        Ok(answer(job))
    }
}

#[test]
fn four_workers_hold_four_leases_at_once_the_oldest_batches_first() {
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let ids: Vec<_> = [7, 3, 8, 1, 5, 2, 6, 4].map(|batch| queue.submit(&job(batch)).unwrap()).into();
    let seen = Mutex::new(Vec::new());
    let look = || {
        let rows = world.sql(
            "SELECT batch, worker, lease_until > now() FROM gridveil_queue.jobs WHERE state = 'claimed' ORDER BY batch",
        );
        let held: Vec<(i64, String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        seen.lock().unwrap().push(held);
    };
    let together = Together { arrived: AtomicUsize::new(0), looked: AtomicUsize::new(0), look: &look };
    let served: usize = thread::scope(|scope| {
        let worker = |index: usize| {
            let (world, together) = (&world, &together);
            move || {
                let serving = world.serving(1, LONG);
                let config = once(&format!("w{index}"));
                serve(together, &serving, &config, &AtomicBool::new(false), &Silent).unwrap().proved
            }
        };
        let workers: Vec<_> = (0..WORKERS).map(|index| scope.spawn(worker(index))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(served, 8);
    let seen = seen.into_inner().unwrap();
    let batches: Vec<Vec<_>> = seen.iter().map(|held| held.iter().map(|(batch, ..)| *batch).collect()).collect();
    assert_eq!(batches, [[1, 2, 3, 4], [5, 6, 7, 8]]);
    for held in seen {
        assert_eq!(held.iter().map(|(_, worker, _)| worker).collect::<BTreeSet<_>>().len(), WORKERS);
        assert!(held.iter().all(|(.., holds)| *holds));
    }
    let states = queue.states(&ids).unwrap();
    assert!(states.len() == 8 && states.values().all(|state| *state == QueueState::Proven));
    assert_eq!(queue.states(&[[9; 32].into()]).unwrap().len(), 0);
}

#[test]
fn an_idle_worker_hears_of_a_job_at_once() {
    let Some(world) = World::new() else { return };
    let (queue, serving, admin) = (world.queue(1), world.serving(1, LONG), Admin::new(&world.url()).unwrap());
    let (fake, stop) = (Fake { failures: 2.into(), ..Fake::default() }, AtomicBool::new(false));
    // It would look by itself in an hour.
    let config = WorkerConfig { poll: Duration::from_secs(3600), once: false, ..once("a") };
    let proven = |id| {
        let start = Instant::now();
        while queue.state(id).unwrap() != QueueState::Proven {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", queue.state(id));
            thread::sleep(Duration::from_millis(2));
        }
    };
    thread::scope(|scope| {
        let worker = scope.spawn(|| serve(&fake, &serving, &config, &stop, &Silent).unwrap());
        // Poisoned after two failures, and put back by a person.
        let id = queue.submit(&job(1)).unwrap();
        let start = Instant::now();
        while !matches!(queue.state(id).unwrap(), QueueState::Poisoned { .. }) {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", queue.state(id));
            thread::sleep(Duration::from_millis(2));
        }
        admin.retry(id).unwrap();
        proven(id);
        proven(queue.submit(&job(2)).unwrap());
        // One that another gives back.
        queue.submit(&job(3)).unwrap();
        let other = world.serving(1, LONG);
        if let Some(claim) = other.claim("b").unwrap() {
            other.release(&claim).unwrap();
        }
        proven(job(3).id().unwrap());
        stop.store(true, Ordering::Relaxed);
        assert_eq!(worker.join().unwrap(), Served { proved: 3, failed: 2 });
    });
}

#[test]
fn provers_are_counted_by_key_while_they_are_heard_of() {
    let Some(world) = World::new() else { return };
    let (queue, lease) = (world.queue(1), Duration::from_millis(200));
    assert_eq!(queue.provers().unwrap(), 0);
    let (here, other, silent) = (world.serving(1, LONG), world.serving(2, LONG), world.serving(1, lease));
    assert!(here.claim("here").unwrap().is_none());
    assert!(other.claim("other").unwrap().is_none());
    assert!(silent.claim("silent").unwrap().is_none());
    thread::sleep(lease * 2);
    assert_eq!((queue.provers().unwrap(), world.queue(2).provers().unwrap()), (1, 1));
    here.leave("here").unwrap();
    assert_eq!(queue.provers().unwrap(), 0);
}
