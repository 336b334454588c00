//! Several proofs at once: of several communities and of one, whatever becomes of one of them.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use gridveil_verifier_contract::AuditorL1 as _;

use crate::common::{Node, World, until};

/// Three periods of one community and two of the other, applied in turn: batches 1 to 5.
async fn five_batches(world: &World, node: &Node) {
    for (community, period) in [(5, 0), (7, 0), (5, 1), (5, 2), (7, 1)] {
        node.run_period(world, community, period).await;
    }
}

async fn recorded(world: &World, count: usize) {
    until("so many proofs are in the log", async || world.prover.recorded.lock().unwrap().len() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_applied_batch_is_with_a_prover_and_no_batch_waits_for_the_proof_before() {
    let world = World::new().await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    let mut config = world.config(&world.data());
    config.proving = 64;
    let node = world.start_with(config).await;
    five_batches(&world, &node).await;
    until("five jobs at once", async || world.prover.works_at() == [1, 2, 3, 4, 5]).await;
    // The prover of the first one hangs, and the others are proven all the same.
    world.prover.held.lock().unwrap().insert(1);
    world.prover.stuck.store(false, Ordering::SeqCst);
    recorded(&world, 4).await;
    assert_eq!(
        (world.prover.works_at(), world.l1.batch_count().await.unwrap()),
        (vec![1], 0),
        "L1 wants them in order"
    );
    world.prover.held.lock().unwrap().clear();
    node.settled(5, 3).await;
    node.settled(7, 2).await;
    recorded(&world, 5).await;
    let jobs: BTreeSet<_> = world.prover.recorded.lock().unwrap().iter().copied().collect();
    assert_eq!((jobs.len(), world.prover.asked.load(Ordering::SeqCst)), (5, 5), "each once");
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_jobs_follows_the_provers_and_the_bound_holds() {
    let world = World::new().await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    world.prover.serving.store(1, Ordering::SeqCst);
    let mut config = world.config(&world.data());
    config.proving = 12;
    let node = world.start_with(config).await;
    for period in 0..7 {
        for community in [5, 7] {
            node.run_period(&world, community, period).await;
        }
    }
    let first = |n: u64| (1..=n).collect::<Vec<_>>();
    until("some jobs more than one prover has use for", async || world.prover.works_at() == first(8)).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(world.prover.works_at(), first(8));
    // Provers come while nothing else happens.
    world.prover.serving.store(7, Ordering::SeqCst);
    until("half as many more as provers", async || world.prover.works_at() == first(11)).await;
    world.prover.serving.store(100, Ordering::SeqCst);
    until("as many as the configuration allows", async || world.prover.works_at() == first(12)).await;
    world.prover.stuck.store(false, Ordering::SeqCst);
    node.settled(5, 7).await;
    node.settled(7, 7).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_one_batch_does_not_hide_that_another_waits() {
    let world = World::new().await;
    world.prover.away.lock().unwrap().insert(1);
    let mut config = world.config(&world.data());
    config.proving = 64;
    config.backoff.first = Duration::from_secs(2);
    config.backoff.longest = Duration::from_secs(2);
    let node = world.start_with(config).await;
    five_batches(&world, &node).await;
    recorded(&world, 4).await;
    let (_, health) = node.health().await;
    assert!(health.to_string().contains("prover: batch 1: nobody is there"), "{health}");
    world.prover.away.lock().unwrap().clear();
    node.settled(5, 3).await;
    until("well again", async || node.health().await.1["status"] == "ok").await;
    node.handle.shutdown().await;
}
