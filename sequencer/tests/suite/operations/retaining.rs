//! An account that has ended is erased by itself, by a clock that moves.

use std::{sync::atomic::AtomicU64, time::Duration};

use gridveil_api::export::{ExportPage, ExportRequest};
use gridveil_sequencer::{Config, Keep, Retention};

use super::{
    erasing::{erase, idle, leave, moving, opened, period, story},
    *,
};

/// The second at which the period with which slot 2 was left has ended.
fn end_s() -> u64 {
    (first_interval() + 4).start(3600)
}

fn ruled(world: &World, clock: &Arc<AtomicU64>, rule: &str) -> Config {
    let mut config = world.config(&world.data());
    let clock = Arc::clone(clock);
    config.clock = Clock::new(move || clock.load(Ordering::SeqCst));
    let ended_accounts: Keep = rule.parse().unwrap();
    config.retention = Retention { ended_accounts, look_every: Duration::from_millis(10), ..Retention::default() };
    config
}

async fn erased_from(node: &Node) -> (bool, Option<u64>) {
    let request = serde_json::to_value(ExportRequest { account: Some(0), at: None }).unwrap();
    let (status, body) = node.admin("/admin/v1/members/5/2/export", Some(&request), crate::common::TOKEN).await;
    assert_eq!(status, 200, "{body}");
    let page: ExportPage = serde_json::from_value(body).unwrap();
    (page.about.erased, page.about.erased_from_s)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_account_is_erased_when_its_time_has_come() {
    let world = moving().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    story(&world).await.handle.shutdown().await;
    let due_s = end_s() + 90 * 86_400;
    let clock = Arc::new(AtomicU64::new(due_s - 1));
    let node = world.start_with(ruled(&world, &clock, "90 days")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(erased_from(&node).await, (false, Some(due_s)));
    assert!(opened(&data, &master)[&0] == 5, "not a second too early");
    clock.store(due_s, Ordering::SeqCst);
    until("erased", async || erased_from(&node).await.0).await;
    until("nothing opens", async || opened(&data, &master)[&0] == 0).await;
    assert!(opened(&data, &master)[&1] > 1, "who lives in the slot is not touched");
    // Asking for it again answers as if it had been asked for.
    assert_eq!(erase(&node, 2, &json!({})).await.1["ended_with"], 2);
    node.handle.shutdown().await;
    let node = world.start().await;
    verified(&node, &world, &owner_key(0), 0, 0).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_nothing_is_erased_by_itself() {
    let world = moving().await;
    story(&world).await.handle.shutdown().await;
    let clock = Arc::new(AtomicU64::new(end_s() + 200 * 366 * 86_400));
    let node = world.start_with(ruled(&world, &clock, "until erased")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(erased_from(&node).await, (false, None));
    node.handle.shutdown().await;
}

/// Neither is what L1 may still need, nor anything while L1 cannot be asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_erases_nothing_that_waits() {
    let world = moving().await;
    let node = world.start().await;
    period(&node, &world, 0, idle(&world, 0)).await;
    leave(&node, &world).await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    period(&node, &world, 1, idle(&world, 1)).await;
    node.handle.shutdown().await;
    let clock = Arc::new(AtomicU64::new(end_s() + 400 * 86_400));
    let node = world.start_with(ruled(&world, &clock, "30 days")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!erased_from(&node).await.0, "its last batch is not final");
    assert!(node.handle.service().health.retrying().iter().all(|what| !what.starts_with("retention")));
    world.prover.stuck.store(false, Ordering::SeqCst);
    node.settled(5, 2).await;
    until("erased", async || erased_from(&node).await.0).await;
    node.handle.shutdown().await;
    let node = world.start().await;
    verified(&node, &world, &owner_key(1), 1, 1).await;
    node.handle.shutdown().await;
}
