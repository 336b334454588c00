//! Nothing that was acknowledged is lost and nothing is done twice, wherever the sequencer stops.
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use crate::common::{Node, World, effects, first_interval, new_l1, paid_units, units, until};
use gridveil_protocol::{
    field::{Fr, to_bytes},
    operation::Kind,
};
use gridveil_sequencer::{
    Error, StoreError, serve,
    store::log::{self, Log, LogError},
};
use gridveil_verifier_contract::{AuditorL1, ChainL1, RollupEffect, SettledBatch, SettlementL1, memory::MemoryL1};
use serde_json::json;

pub fn boundaries(data: &Path) -> Vec<(u16, u64)> {
    let mut all = Vec::new();
    Log::open::<LogError>(&log::path_in(data), |_, record| {
        all.push((record.kind, record.offset));
        Ok(())
    })
    .unwrap();
    all
}

pub fn copy(from: &Path, to: &Path, cut: Option<u64>) {
    std::fs::create_dir_all(to.join("keys")).unwrap();
    for entry in std::fs::read_dir(from.join("keys")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join("keys").join(entry.file_name())).unwrap();
    }
    let mut bytes = std::fs::read(log::path_in(from)).unwrap();
    bytes.truncate(cut.map_or(bytes.len(), |c| usize::try_from(c).unwrap()));
    std::fs::write(log::path_in(to), bytes).unwrap();
}

/// Two periods of community 5 and one of 7, to the end.
pub async fn history(world: &World) -> Node {
    let node = world.start().await;
    node.run_period(world, 5, 0).await;
    node.run_period(world, 7, 0).await;
    node.run_period(world, 5, 1).await;
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    node
}

/// LOG.5, LOG.6
#[tokio::test(flavor = "multi_thread")]
async fn every_prefix_of_the_log_goes_on_to_the_end() {
    let world = World::new().await;
    let node = history(&world).await;
    let end_root = node.status().await["state_root"].clone();
    node.handle.kill().await;
    let records = boundaries(&world.data());
    let kinds: Vec<u16> = records.iter().map(|r| r.0).collect();
    assert_eq!(kinds.iter().filter(|k| **k == 7).count(), 3);
    let l1_root = world.l1.state_root().await.unwrap();
    let calls = world.l1.settled_batches(0).await.unwrap();
    let end = std::fs::metadata(log::path_in(&world.data())).unwrap().len();
    let cuts = records.iter().map(|r| r.1).skip(1).chain([end]);
    for (n, cut) in cuts.enumerate() {
        let data = world.dir.path().join(format!("cut-{n}"));
        copy(&world.data(), &data, Some(cut));
        // An L1 that has seen what the log says is final and nothing else: the chain is rebuilt from the log, and ends
        // where the log and the meters say.
        let settled = kinds[..=n].iter().filter(|k| **k == 7).count();
        let l1 = Arc::new(new_l1(&world.genesis, &world.tariff).await);
        replay(&calls[..settled], &l1).await;
        let node = Node::over(serve(world.config(&data), l1.clone(), world.prover.clone()).await.unwrap());
        for (community, period) in [(5, 0), (7, 0), (5, 1)] {
            node.run_period(&world, community, period).await;
        }
        let state = node.settled(5, 2).await;
        node.settled(7, 1).await;
        assert_eq!(l1.faults.sent.load(Ordering::SeqCst), 3, "cut {n}: every batch once, {settled} of them before");
        assert_eq!(state["next_interval"], (first_interval() + 4).0);
        // Once every closing is in the log, everything random is fixed.
        let closed = kinds[..=n].iter().filter(|k| **k == 4).count();
        if closed == 3 {
            assert_eq!(node.status().await["state_root"], end_root, "cut {n}");
        }
        node.handle.kill().await;
        if closed == 3 {
            assert_eq!(l1.state_root().await.unwrap(), l1_root);
        }
    }
}

/// Operations of every source in two periods of community 5: from owners, L1's queues, the operator, and a late packet.
/// With what was acknowledged, and a number of records with which it was durable.
pub async fn busy(world: &World, node: &Node) -> Vec<(u64, String)> {
    let mut acknowledged = Vec::new();
    let (n0, n2) = (world.nonce(0), world.nonce(2));
    let withdraw =
        |slot: u16, nonce: u32, amount: u64| world.operation(slot, Kind::Withdraw, nonce, |o| o.amount = units(amount));
    let height = async || node.status().await["log_height"].as_u64().unwrap();
    let operations = [withdraw(0, n0, 1), withdraw(2, n2, 1 << 40), withdraw(2, n2 + 1, 1), withdraw(0, n0 + 1, 2)];
    for operation in &operations {
        let path = node.accepted(operation).await;
        acknowledged.push((height().await, path));
    }
    let transfer = json!({"transfer": {"pool": "supplier_out", "units": 3}});
    assert_eq!(node.header(5, &transfer).await.0, 201);
    node.publish(world, 5).await;
    for slot in 0..3 {
        assert_eq!(node.submit(&world.packet(5, 0, slot, slot == 2)).await.0, 201);
    }
    assert_eq!(node.close(5, 0).await.0, 200);
    let (status, body) = node.submit(&world.packet(5, 0, 2, false)).await;
    assert_eq!(status, 202, "{body}");
    acknowledged.push((height().await, format!("/v1/operations/{}", body["packet_id"].as_str().unwrap())));
    node.run_period(world, 5, 1).await;
    node.settled(5, 2).await;
    acknowledged
}

pub fn queue_work(l1: &MemoryL1) {
    l1.put_forced(5, &[(0, [1; 20]), (2, [0xcd; 20])]);
    l1.put_notes((0..20u64).map(|n| to_bytes(&Fr::from(900 + n))));
}

/// Lets `l1` have had these batches.
pub async fn replay(batches: &[SettledBatch], l1: &MemoryL1) {
    for batch in batches {
        l1.settle(batch.call.clone()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_survive_every_cut_of_the_log_and_none_is_applied_twice() {
    let world = World::with(|g| {
        let accounts = &mut g.communities[0].accounts;
        (accounts[0].balance, accounts[2].balance, accounts[2].payout) = (units(1000), units(2000), [0xcd; 20]);
    })
    .await;
    queue_work(&world.l1);
    let node = world.start().await;
    let acknowledged = busy(&world, &node).await;
    let end_root = node.status().await["state_root"].clone();
    let mut ends = Vec::new();
    for (_, path) in &acknowledged {
        ends.push(node.get(path).await.1);
    }
    let states: Vec<&str> = ends.iter().map(|end| end["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["applied", "refused", "refused", "applied", "applied"]);
    node.handle.kill().await;
    let sums = async |l1: &MemoryL1| {
        let corrected = |e: &RollupEffect| matches!(e, RollupEffect::Corrected { .. });
        (paid_units(l1).await, effects(l1).await.into_iter().filter(corrected).count())
    };
    let end_sums = sums(&world.l1).await;
    let calls = world.l1.settled_batches(0).await.unwrap();
    let records = boundaries(&world.data());
    let kinds: Vec<u16> = records.iter().map(|r| r.0).collect();
    let end = std::fs::metadata(log::path_in(&world.data())).unwrap().len();
    let cuts = records.iter().map(|r| r.1).skip(1).chain([end]);
    for (n, cut) in cuts.enumerate() {
        let data = world.dir.path().join(format!("busy-{n}"));
        copy(&world.data(), &data, Some(cut));
        let count = |kind: u16| kinds[..=n].iter().filter(|k| **k == kind).count();
        let settled = count(7);
        // What L1 had when the log was cut.
        let l1 = Arc::new(new_l1(&world.genesis, &world.tariff).await);
        queue_work(&l1);
        replay(&calls[..settled], &l1).await;
        let node = Node::over(serve(world.config(&data), l1.clone(), world.prover.clone()).await.unwrap());
        for (height, path) in &acknowledged {
            let known = node.get(path).await.0 == 200;
            assert!(known || *height > n as u64 + 1, "cut {n}: acknowledged at {height}");
        }
        // Whoever lost the answer sends again.
        for period in 0..2 {
            node.publish(&world, 5).await;
            for slot in 0..3 {
                node.submit(&world.packet(5, period, slot, slot == 2 && period == 0)).await;
            }
            let (status, body) = node.close(5, period).await;
            assert_eq!(status, 200, "cut {n}: {body}");
        }
        node.settled(5, 2).await;
        assert!(node.handle.service().health.stopped().is_none(), "cut {n}");
        for (height, path) in &acknowledged {
            let (_, state) = node.get(path).await;
            assert!(*height > n as u64 + 1 || state["state"] != "pending", "cut {n}: {state}");
        }
        // Once both selections are in the log, everything is fixed, to the byte.
        if count(11) == 2 {
            assert_eq!(node.status().await["state_root"], end_root, "cut {n}");
            assert_eq!(sums(&l1).await, end_sums, "cut {n}");
            let again = l1.settled_batches(0).await.unwrap();
            let same =
                calls.iter().zip(&again).all(|(a, b)| a.call.data == b.call.data && a.call.proof == b.call.proof);
            assert!(same && again.len() == calls.len(), "cut {n}");
        }
        node.handle.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_that_is_ahead_of_the_log_is_not_asked_twice() {
    let world = World::new().await;
    let node = history(&world).await;
    node.handle.kill().await;
    let sent = world.l1.faults.sent.load(Ordering::SeqCst);
    let records = boundaries(&world.data());
    let applied_last = records.iter().rposition(|r| r.0 == 5).unwrap();
    for (n, (_, cut)) in records.iter().enumerate().skip(applied_last + 1) {
        let data = world.dir.path().join(format!("ahead-{n}"));
        copy(&world.data(), &data, Some(*cut));
        let node = world.start_with(world.config(&data)).await;
        node.settled(5, 2).await;
        assert!(node.handle.service().health.stopped().is_none());
        node.handle.kill().await;
    }
    assert_eq!(world.l1.batch_count().await.unwrap(), 3);
    assert!(world.l1.faults.sent.load(Ordering::SeqCst) - sent <= 2, "only the idempotent question for the receipt");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_of_the_pipeline() {
    let world = World::new().await;
    // While proving.
    world.prover.stuck.store(true, Ordering::SeqCst);
    let node = world.start().await;
    let closed = node.run_period(&world, 5, 0).await;
    until("asked for a proof", async || world.prover.asked.load(Ordering::SeqCst) == 1).await;
    node.handle.kill().await;
    world.prover.stuck.store(false, Ordering::SeqCst);
    // Proven, before sending.
    world.l1.faults.hangs_before.store(true, Ordering::SeqCst);
    let node = world.start().await;
    until("proven", async || node.status().await["communities"][0]["batches"][0]["step"] == "proven").await;
    let asked = world.prover.asked.load(Ordering::SeqCst);
    node.handle.kill().await;
    // Sent, before recording.
    world.l1.faults.hangs_before.store(false, Ordering::SeqCst);
    world.l1.faults.hangs_after.store(true, Ordering::SeqCst);
    let node = world.start().await;
    until("sent", async || world.l1.batch_count().await.unwrap() == 1).await;
    node.handle.kill().await;
    world.l1.faults.hangs_after.store(false, Ordering::SeqCst);
    let node = world.start().await;
    let state = node.settled(5, 1).await;
    assert_eq!(state["settled"][0]["root"], closed["new_root"]);
    assert!(state["settled"][0]["tx"].is_string());
    assert_eq!(world.prover.asked.load(Ordering::SeqCst), asked, "a recorded proof is not made again");
    assert_eq!(world.l1.batch_count().await.unwrap(), 1);
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_and_provers_that_are_away_are_waited_for() {
    let world = World::new().await;
    world.prover.unavailable.store(3, Ordering::SeqCst);
    let node = world.start().await;
    node.publish(&world, 5).await;
    node.submit_all(&world, 5, 0).await;
    assert_eq!(node.close(5, 0).await.0, 200);
    world.l1.faults.down.store(true, Ordering::SeqCst);
    until("degraded", async || node.health().await.1["status"] == "degraded").await;
    // Packets of the next period are taken all the same.
    node.submit_all(&world, 5, 1).await;
    world.l1.faults.down.store(false, Ordering::SeqCst);
    node.settled(5, 1).await;
    until("well again", async || node.health().await.1["status"] == "ok").await;
    assert_eq!(world.l1.batch_count().await.unwrap(), 1);
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_and_a_failed_proof_stop_the_pipeline_loudly() {
    let world = World::new().await;
    world.l1.faults.refuses.store(true, Ordering::SeqCst);
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    until("unhealthy", async || node.health().await.0 == 503).await;
    let (_, health) = node.health().await;
    assert!(health["reasons"][0].as_str().unwrap().contains("l1.reverted: InvalidProof"), "{health}");
    node.handle.kill().await;
    world.l1.faults.refuses.store(false, Ordering::SeqCst);
    world.prover.fails.store(true, Ordering::SeqCst);
    let node = world.start().await;
    node.settled(5, 1).await;
    node.run_period(&world, 7, 0).await;
    until("unhealthy", async || node.health().await.0 == 503).await;
    node.handle.kill().await;
    world.prover.fails.store(false, Ordering::SeqCst);
    let node = world.start().await;
    node.settled(7, 1).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_the_rules_refuse_stays_closed_and_holds_up_nobody_else() {
    let world = World::with(|g| g.communities[0].header.supplier_account = 0).await;
    // A feed-in so high that the empty supplier account cannot pay it.
    let mut world = world;
    for interval in &mut world.tariff.intervals {
        interval.classes.iter_mut().for_each(|c| (c.feed_in, c.energy) = (900_000, 0));
    }
    world.l1 = Arc::new(new_l1(&world.genesis, &world.tariff).await);
    let node = world.start().await;
    node.publish(&world, 5).await;
    node.submit_all(&world, 5, 0).await;
    let (status, refusal) = node.close(5, 0).await;
    assert_eq!(
        (status, &refusal["code"], &refusal["clause"]),
        (422, &json!("settlement.supplier_account_too_small"), &json!("SETTLE.8"))
    );
    assert_eq!(node.status().await["communities"][0]["blocked"]["code"], "settlement.supplier_account_too_small");
    assert_eq!(node.submit(&world.packet(5, 0, 0, false)).await.0, 200);
    assert_eq!(node.submit(&world.packet(5, 1, 0, false)).await.1["code"], "packet.early");
    node.handle.kill().await;
    let node = world.start().await;
    until("tried again", async || node.status().await["communities"][0]["blocked"].is_object()).await;
    assert_eq!(node.close(5, 0).await.1["code"], "settlement.supplier_account_too_small");
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_rebuilt_when_it_is_gone_or_wrong() {
    let world = World::new().await;
    let node = history(&world).await;
    let before = node.status().await;
    node.handle.shutdown().await;
    let index = world.data().join("index");
    let entries = || sled::open(&index).unwrap().iter().map(|e| e.unwrap()).collect::<Vec<_>>();
    let good = entries();
    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::remove_dir_all(&index).unwrap(),
        &|| drop(sled::open(&index).unwrap().insert(&good[3].0, &b"elsewhere"[..]).unwrap()),
        &|| {
            drop(
                sled::open(&index).unwrap().insert(b"pSTALE", &b"of a packet that was never acknowledged"[..]).unwrap(),
            )
        },
        &|| {
            std::fs::remove_dir_all(&index).unwrap();
            std::fs::write(&index, b"not a directory").unwrap();
            std::fs::remove_file(&index).unwrap();
        },
    ];
    for damage in damages {
        damage();
        // Without a snapshot all of it is compared; with one, in the background.
        std::fs::remove_dir_all(world.data().join("snapshots")).unwrap();
        let node = world.start().await;
        assert_eq!(node.status().await["communities"], before["communities"]);
        node.settled(5, 2).await;
        assert_eq!(node.submit(&world.packet(5, 0, 1, false)).await.0, 200);
        node.handle.shutdown().await;
        assert_eq!(entries(), good);
    }
}

/// LOG.7
#[tokio::test(flavor = "multi_thread")]
async fn damage_and_wrong_keys_are_typed_errors() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let path = log::path_in(&world.data());
    let records = boundaries(&world.data());
    let whole = std::fs::read(&path).unwrap();
    // With one, what is before it is checked in the background.
    std::fs::remove_dir_all(world.data().join("snapshots")).unwrap();
    let open = async || serve(world.config(&world.data()), world.l1.clone(), world.prover.clone()).await.map(drop);
    for (_, offset) in records.iter().skip(1).step_by(3) {
        let mut damaged = whole.clone();
        damaged[usize::try_from(*offset).unwrap() + 50] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        match open().await {
            Err(Error::Store(StoreError::Log(LogError::Record { offset: at, .. }))) => assert_eq!(at, *offset),
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(&path, &whole).unwrap();
    let mut other = world.config(&world.data());
    other.genesis.as_mut().unwrap().other_leaves.clear();
    let refused = serve(other, world.l1.clone(), world.prover.clone()).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Inconsistent(_)))));
    let master = world.dir.path().join("master");
    std::fs::remove_file(&master).unwrap();
    gridveil_sequencer::create_master_key(&master).unwrap();
    assert!(matches!(open().await, Err(Error::Store(StoreError::DataKeys(_)))));
    let mut config = world.config(&world.data());
    config.admin_bind = ([0, 0, 0, 0], 0).into();
    assert!(matches!(serve(config, world.l1.clone(), world.prover.clone()).await, Err(Error::Config(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_in_the_files_in_plain() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let log = std::fs::read(log::path_in(&world.data())).unwrap();
    let holds = |needle: &[u8]| log.windows(needle.len()).any(|w| w == needle);
    // Nor what would say which slots are used, when, and by whom.
    for word in ["packet_id", "slot", "community", "first_interval", "substituted", "effects", "tariff", "operation"] {
        assert!(!holds(word.as_bytes()), "{word}");
    }
    for word in ["balance", "payout", "readings", "salts", "meter", "import"] {
        assert!(!holds(word.as_bytes()), "{word}");
    }
    for community in &world.genesis.communities {
        for account in &community.accounts {
            assert!(
                !holds(&to_bytes(&account.owner)) && !holds(hex::encode(to_bytes(&account.salts.exit[0])).as_bytes())
            );
        }
    }
    for slot in 0..crate::common::USED {
        let bytes = gridveil_protocol::codec::encode_packet(&world.packet(5, 0, slot, false));
        assert!(!holds(&bytes[60..92]));
    }
}
