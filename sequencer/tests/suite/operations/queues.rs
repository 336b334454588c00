//! L1's queues, each served once.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn l1_queues_are_served_once_while_batches_wait() {
    let world = world().await;
    let node = world.start().await;
    world.l1.put_forced(5, &[(0, PAYOUT), (0, [9; 20]), (3, [9; 20]), (2, [9; 20])]);
    world.l1.put_forced(7, &[(1, [8; 20])]);
    world.l1.put_notes((100..140u64).map(|n| to_bytes(&Fr::from(n))));
    let waits = node.accepted(&withdraw(&world, 2, world.nonce(2), units(1))).await;
    // Nothing reaches L1 while three batches are applied.
    world.prover.stuck.store(true, Ordering::SeqCst);
    node.run_period(&world, 5, 0).await;
    assert_eq!(node.get(&waits).await.1["state"], "pending", "the forced queue comes first");
    node.run_period(&world, 7, 0).await;
    node.run_period(&world, 5, 1).await;
    assert_eq!(node.get(&waits).await.1, json!({"state": "applied", "batch": 3, "final": false}));
    let note = |n: u64| format!("/v1/notes/0x{}", hex::encode(to_bytes(&Fr::from(n))));
    assert_eq!(node.get(&note(120)).await.1["code"], "note.not_settled");
    node.handle.kill().await;
    world.prover.stuck.store(false, Ordering::SeqCst);
    let node = world.start().await;
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    let l1 = &world.l1;
    for community in [5, 7] {
        assert!(l1.forced_queue(community).await.unwrap().is_empty());
    }
    assert!(l1.pending_notes(1).await.unwrap().is_empty());
    assert!(l1.withdrawable(PAYOUT).await.unwrap() > 900 * TOKEN_PER_UNIT);
    assert_eq!(l1.withdrawable([9; 20]).await.unwrap(), 0);
    for n in [100u64, 115, 116, 131, 132, 139] {
        let (status, body) = node.get(&note(n)).await;
        assert_eq!(status, 200, "{body}");
        let path: NotePath = serde_json::from_value(body).unwrap();
        assert!(path.leads_from(Fr::from(n)) && path.path.len() == 22);
        assert_eq!(
            path.root,
            hex_fr::parse(&format!("0x{}", hex::encode(world.l1.root_at(path.batch).await.unwrap()))).unwrap()
        );
    }
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// What made them may have been unsound: no batch takes them in, they leave the queue, and who spent for them can spend
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn notes_of_a_retired_version_are_dropped() {
    let world = world().await;
    let node = world.start().await;
    let l1 = &world.l1;
    l1.put_notes((100..106u64).map(|n| to_bytes(&Fr::from(n))));
    l1.retire_version(1_000_001);
    let of_first = to_bytes(&Fr::from(100u64));
    assert!(l1.nullifier_used(of_first).await.unwrap());
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    assert!(l1.waiting_pairs(9).await.unwrap().is_empty());
    assert!(!l1.nullifier_used(of_first).await.unwrap());
    assert_eq!(node.get(&format!("/v1/notes/0x{}", hex::encode(of_first))).await.0, 404);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// The notes that it takes in are of a version that is retired before L1 has the batch: it never settles, and the operator
/// is told what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_notes_of_a_retired_version_is_to_be_abandoned() {
    let world = world().await;
    let node = world.start().await;
    world.l1.put_notes((100..102u64).map(|n| to_bytes(&Fr::from(n))));
    world.prover.stuck.store(true, Ordering::SeqCst);
    node.run_period(&world, 7, 0).await;
    world.l1.retire_version(1_000_001);
    world.prover.stuck.store(false, Ordering::SeqCst);
    let health = &node.handle.service().health;
    until("it stops", async || health.stopped().is_some()).await;
    let why = format!("{:?}", health.stopped());
    assert!(why.contains("NoteRetired") && why.contains("gridveil operator abandon"), "{why}");
    node.handle.shutdown().await;
}
