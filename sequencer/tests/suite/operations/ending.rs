//! A community comes to its end on L1: it settles during the notice, serves who waits, and is then left alone.

use super::*;
use gridveil_verifier_contract::AuditorL1;

const DAY_S: u64 = 24 * 3600;

fn end_s(period: u32) -> u64 {
    u64::from((first_interval() + 2 * (period + 1)).0) * 3600
}

fn refusal((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["code"].as_str().unwrap_or_default())
}

/// CLOSE.1 to CLOSE.4, as the sequencer keeps them.
#[tokio::test(flavor = "multi_thread")]
async fn a_community_that_ends_settles_what_is_due_and_then_nothing() {
    let world = world().await;
    // The notice is over when the first period is.
    world.l1.set_timestamp(end_s(0) - 14 * DAY_S);
    world.l1.announce_closing(5).unwrap();
    world.l1.set_timestamp(end_s(0));
    let mut config = world.config(&world.data());
    config.obstacles_every = std::time::Duration::from_millis(20);
    config.late_after = std::time::Duration::from_secs(1);
    let node = world.start_with(config).await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;

    // The next period ends after the notice. No batch for nobody, and no alarm.
    world.l1.set_timestamp(end_s(1) + DAY_S);
    node.submit_all(&world, 5, 1).await;
    assert_eq!(refusal(&node.close(5, 1).await), (409, "close.community_ends"));
    let told = node.health().await.1.to_string();
    assert!(!told.contains("community 5"), "{told}");

    // Who waits is served all the same, once.
    world.l1.set_caller(PAYOUT);
    world.l1.force_withdraw(5, 0).await.unwrap();
    world.l1.close_community(5).unwrap();
    assert!(world.l1.force_withdraw(5, 1).await.unwrap_err().is_revert("CommunityIsClosed"));
    assert!(world.l1.close_community(5).unwrap_err().is_revert("RequestsWait"));
    assert_eq!(node.close(5, 1).await.0, 200);
    node.settled(5, 2).await;
    assert!(world.l1.forced_queue(5).await.unwrap().is_empty());
    node.submit_all(&world, 5, 2).await;
    world.l1.set_timestamp(end_s(2));
    assert_eq!(refusal(&node.close(5, 2).await), (409, "close.community_ends"));

    // Closed: nothing comes in any more, and the other community goes on.
    world.l1.close_community(5).unwrap();
    until("the end is noticed", async || node.submit(&world.packet(5, 3, 0, false)).await.0 == 410).await;
    assert_eq!(refusal(&node.submit(&world.packet(5, 2, 0, false)).await), (410, "community.closed"));
    let signed = withdraw(&world, 0, world.nonce(0), units(1));
    assert_eq!(refusal(&node.operate(&signed).await), (410, "community.closed"));
    assert_eq!(refusal(&node.close(5, 2).await), (410, "community.closed"));
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    assert_eq!(world.l1.batch_count().await.unwrap(), 3);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}
