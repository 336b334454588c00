//! L1 is reorganised: what a batch takes in is chosen from final blocks, a batch that is gone is sent again, and nothing is
//! settled before it is final.

use super::*;
use crate::common::TOKEN;
use gridveil_protocol::tariff::Tariff;
use gridveil_sequencer::{
    Error,
    store::{Store, abandoned::Abandoning},
};
use gridveil_verifier_contract::AuditorL1;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_settled_when_it_is_final_and_the_next_ones_do_not_wait_for_it() {
    let world = world().await;
    world.l1.finalise();
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.run_period(&world, 7, 0).await;
    node.run_period(&world, 5, 1).await;
    until("all on L1", async || world.l1.batch_count().await.unwrap() == 3).await;
    let (_, community) = node.get("/v1/communities/5").await;
    assert_eq!(community["settled"], json!([]), "on L1, and not final");
    assert_eq!(node.status().await["communities"][0]["batches"].as_array().unwrap().len(), 2);
    world.l1.finalise();
    node.settled(5, 2).await;
    let state = node.settled(7, 1).await;
    assert!(state["settled"][0]["tx"].is_string());
    assert_eq!(world.l1.faults.sent.load(Ordering::SeqCst), 3, "each was sent once");
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_a_reorganisation_takes_back_are_sent_again() {
    let world = world().await;
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    world.l1.finalise();
    let before = world.l1.chain();
    node.run_period(&world, 7, 0).await;
    node.run_period(&world, 5, 1).await;
    until("both on L1", async || world.l1.batch_count().await.unwrap() == 3).await;
    let root = world.l1.state_root().await.unwrap();
    world.l1.reorganise(before);
    until("both on L1 again", async || world.l1.batch_count().await.unwrap() == 3).await;
    assert_eq!(world.l1.state_root().await.unwrap(), root, "the same batches");
    world.l1.finalise();
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// Deeper than what counted as final: the log says that the batch is settled, and L1 does not have it.
#[tokio::test(flavor = "multi_thread")]
async fn also_one_that_was_settled_is_sent_again() {
    let world = world().await;
    let before = world.l1.chain();
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    world.l1.reorganise(before.clone());
    until("sent again", async || world.l1.batch_count().await.unwrap() == 1).await;
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    assert_eq!(world.l1.batch_count().await.unwrap(), 2);
    // The same over a restart.
    node.handle.kill().await;
    world.l1.reorganise(before);
    let node = world.start().await;
    until("both sent again", async || world.l1.batch_count().await.unwrap() == 2).await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    assert_eq!(world.l1.batch_count().await.unwrap(), 3);
    node.handle.shutdown().await;
}

/// A deposit in a block that a reorganisation may take back is in no batch; its operation waits, and those of its slot
/// after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_takes_in_is_final() {
    let world = world().await;
    world.l1.finalise();
    let without = world.l1.chain();
    let node = world.start().await;
    let nonce = world.nonce(1);
    let deposit = take(&world, 1, Kind::Deposit, nonce, units(300), 40);
    world.l1.put_deposit(open_deposit(claim_of(&deposit, owner(1)), 300));
    let path = node.accepted(&deposit).await;
    let after = node.accepted(&withdraw(&world, 1, nonce + 1, units(20))).await;
    node.run_period(&world, 5, 0).await;
    assert_eq!(node.get(&path).await.1["state"], "pending");
    assert_eq!(node.get(&after).await.1["state"], "pending");
    // It comes again in another block.
    until("on L1", async || world.l1.batch_count().await.unwrap() == 1).await;
    world.l1.reorganise(without);
    world.l1.put_deposit(open_deposit(claim_of(&deposit, owner(1)), 300));
    until("on L1 again", async || world.l1.batch_count().await.unwrap() == 1).await;
    world.l1.finalise();
    node.settled(5, 1).await;
    node.run_period(&world, 5, 1).await;
    until("the second on L1", async || world.l1.batch_count().await.unwrap() == 2).await;
    world.l1.finalise();
    node.settled(5, 2).await;
    for path in [path, after] {
        assert_eq!(node.get(&path).await.1["state"], "applied");
    }
    node.handle.shutdown().await;
}

/// A batch whose deposit is gone waits for it, says so, and holds its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_deposit_is_gone_is_sent_when_it_is_there_again() {
    let world = world().await;
    let without = world.l1.chain();
    let deposit = take(&world, 1, Kind::Deposit, world.nonce(1), units(300), 40);
    world.l1.put_deposit(open_deposit(claim_of(&deposit, owner(1)), 300));
    world.prover.stuck.store(true, Ordering::SeqCst);
    let node = world.start().await;
    node.accepted(&deposit).await;
    node.run_period(&world, 5, 0).await;
    node.handle.kill().await;
    world.l1.reorganise(without);
    world.prover.stuck.store(false, Ordering::SeqCst);
    let node = world.start().await;
    let told = async || {
        let (status, health) = node.health().await;
        status == 200 && health["reasons"].to_string().contains("batch 1: l1.reverted: DepositNotOpen")
    };
    until("it says why", told).await;
    world.l1.put_deposit(open_deposit(claim_of(&deposit, owner(1)), 300));
    node.settled(5, 1).await;
    until("well again", async || node.health().await.1["status"] == "ok").await;
    node.handle.shutdown().await;
}

/// Its deposit never comes again: the batch and those after it are given up. Nothing that was accepted is lost: the
/// packets of all periods, also of those that were open, and what the batches carried.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_can_never_settle_is_abandoned_with_those_after_it() {
    let world = world().await;
    let deposit = take(&world, 1, Kind::Deposit, world.nonce(1), units(300), 40);
    world.l1.put_deposit(open_deposit(claim_of(&deposit, owner(1)), 300));
    world.l1.put_notes([to_bytes(&Fr::from(901u64))]);
    let node = world.start().await;
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    let kept = world.l1.chain();
    world.prover.stuck.store(true, Ordering::SeqCst);
    let taken = node.accepted(&deposit).await;
    let paid = node.accepted(&withdraw(&world, 0, world.nonce(0), units(2))).await;
    node.run_period(&world, 5, 0).await;
    node.run_period(&world, 7, 1).await;
    node.run_period(&world, 5, 1).await;
    node.submit_all(&world, 5, 2).await;
    let later = node.accepted(&withdraw(&world, 0, world.nonce(0) + 1, units(3))).await;
    for path in [&taken, &paid] {
        assert_eq!(node.get(path).await.1["state"], "applied");
    }
    node.handle.kill().await;

    // L1 without the deposit, and with the first batch, which is of another community.
    world.l1.reorganise(kept);
    let mut gone = world.l1.deposits(0).await.unwrap().pop().unwrap();
    gone.state = DepositState::Refunded;
    world.l1.put_deposit(gone);
    let (data, master) = (world.data(), world.dir.path().join("master"));
    let none = world.dir.path().join("none");
    assert!(Abandoning::open(&none, &master).is_err() && !none.exists(), "nothing is made where no log is");
    let store = Abandoning::open(&data, &master).unwrap();
    assert_eq!(
        store.from(2).iter().map(|(batch, community)| (*batch, *community)).collect::<Vec<_>>(),
        [(2, 5), (3, 7), (4, 5)]
    );
    assert!(store.abandon(1).is_err(), "it is settled");
    Abandoning::open(&data, &master).unwrap().abandon(2).unwrap();
    // The index follows, and is not made again.
    let opened = Store::open(&data, &master, None).unwrap();
    assert!(!opened.index_rebuilt);
    opened.store.close();

    world.prover.stuck.store(false, Ordering::SeqCst);
    let node = world.start().await;
    let state = node.status().await;
    assert_eq!(state["communities"][0]["next_interval"], first_interval().0);
    assert_eq!(state["communities"][0]["packets"], 3, "of the first period");
    for path in [&taken, &paid, &later] {
        assert_eq!(node.get(path).await.1["state"], "pending");
    }
    // No meter sends anything again.
    for period in 0..3 {
        assert_eq!(node.close(5, period).await.0, 200, "period {period}");
    }
    assert_eq!(node.close(7, 1).await.0, 200);
    node.settled(5, 3).await;
    node.settled(7, 2).await;
    assert_eq!(node.get(&taken).await.1["code"], "operation.deposit", "refused, and told");
    for path in [&paid, &later] {
        assert_eq!(node.get(path).await.1["state"], "applied");
    }
    assert_eq!(world.l1.batch_count().await.unwrap(), 5);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.kill().await;
    // And once more from the log alone.
    std::fs::remove_dir_all(data.join("index")).unwrap();
    let node = world.start().await;
    assert_eq!(node.status().await["communities"][0]["next_interval"], (first_interval() + 6).0);
    node.handle.shutdown().await;
}

/// An old copy of the log would make other batches than those that L1 has.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_older_than_l1_is_refused() {
    let world = world().await;
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.handle.kill().await;
    let old = world.dir.path().join("old");
    copy_tree(&world.data(), &old);
    let node = world.start().await;
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    node.handle.kill().await;
    let refused = serve(world.config(&old), world.l1.clone(), world.prover.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign), "{refused}");
    assert!(refused.to_string().contains("old copy"));
    // While L1 does not answer it cannot be known; afterwards the old copy stops before it sends anything.
    world.l1.faults.down.store(true, Ordering::SeqCst);
    let sent = world.l1.faults.sent.load(Ordering::SeqCst);
    let node = world.start_with(world.config(&old)).await;
    node.publish(&world, 5).await;
    node.submit_all(&world, 5, 1).await;
    world.l1.faults.down.store(false, Ordering::SeqCst);
    until("stopped", async || node.get("/healthz").await.0 == 503).await;
    assert_eq!(node.submit(&world.packet(7, 0, 1, false)).await.1["code"], "log.old");
    let (status, refusal) = node.close(5, 1).await;
    assert_eq!((status, &refusal["code"]), (503, &json!("l1.unreachable")), "{refusal}");
    assert_eq!(world.l1.faults.sent.load(Ordering::SeqCst), sent);
    node.handle.kill().await;
    // The newest one goes on.
    let node = world.start().await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    node.handle.shutdown().await;
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn other_tariff(tariff: &Tariff) -> Tariff {
    let mut other = tariff.clone();
    other.intervals[0].classes[0].energy += 1;
    other
}

/// L1 first: once the period has begun, only what L1 has in force is taken. A wrong one that was taken before has a way
/// back.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tariff_is_refused_or_taken_back() {
    let world = world().await;
    let first = first_interval();
    let mut config = world.config(&world.data());
    config.obstacles_every = std::time::Duration::from_millis(20);
    let node = world.start_with(config).await;
    let publish = async |tariff: &Tariff, first_interval: Interval| {
        let body = json!({"first_interval": first_interval, "tariff": tariff});
        let (status, answer) = node.admin("/admin/v1/communities/5/tariffs", Some(&body), TOKEN).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let wrong = other_tariff(&world.tariff);
    // The clock of this L1 is far ahead: both periods have begun.
    assert_eq!(publish(&wrong, first).await, (409, "tariff.not_in_force".to_owned()), "L1 has another");
    assert_eq!(
        publish(&wrong, first + 2).await,
        (409, "tariff.not_in_force".to_owned()),
        "L1 has none, and it has begun"
    );
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    // Taken before its period began, and L1 never got it.
    world.l1.set_timestamp(u64::from((first + 2).0) * 3600 - 1);
    assert_eq!(publish(&wrong, first + 2).await.0, 201);
    world.l1.set_timestamp(4_000_000_000);
    node.submit_all(&world, 5, 1).await;
    assert_eq!(node.close(5, 1).await.1["code"], "tariff.not_in_force");
    let told = async || {
        let (_, health) = node.health().await;
        health["reasons"].to_string().contains("the tariff published here is not the one that L1 has in force")
    };
    until("it is told", told).await;
    let late = async || {
        let (_, health) = node.health().await;
        let reasons = health["reasons"].to_string();
        reasons.contains("community 7: its period from 2017-12-02 00:00 UTC is over for")
            || reasons.contains("close it")
    };
    until("a period is late", late).await;
    assert_eq!(publish(&other_tariff(&wrong), first + 2).await.0, 409, "not L1's either");
    assert_eq!(publish(&world.tariff, first + 2).await.0, 201, "the one that L1 has in force");
    assert_eq!(node.close(5, 1).await.0, 200);
    node.settled(5, 2).await;
    assert_eq!(publish(&wrong, first + 2).await.0, 409, "closed");
    node.handle.kill().await;
    // A log with a tariff that another replaced opens as it is, without making its index again.
    let opened = Store::open(&world.data(), &world.dir.path().join("master"), None).unwrap();
    assert!(!opened.index_rebuilt);
    opened.store.close();
    let node = world.start().await;
    node.run_period(&world, 5, 2).await;
    node.settled(5, 3).await;
    node.handle.shutdown().await;
}

/// As many proofs as there are provers are asked for at once.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_asked_for_side_by_side() {
    let world = world().await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    let mut config = world.config(&world.data());
    config.proving = 2;
    let node = world.start_with(config).await;
    for (community, period) in [(5, 0), (7, 0), (5, 1)] {
        node.run_period(&world, community, period).await;
    }
    until("two at once", async || world.prover.asked.load(Ordering::SeqCst) == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.prover.asked.load(Ordering::SeqCst), 2);
    node.handle.kill().await;
}
