//! The verifier that a sequencer settles under is proven unsound on L1 (COUNCIL.1 to COUNCIL.4).

use std::{sync::atomic::Ordering, time::Duration};

use gridveil_protocol::{
    fixture, instance,
    operation::{Kind, SignedOperation},
    owner::owner_of,
    packet::SignedPacket,
    version::CircuitVersion,
};
use gridveil_sequencer::{GenesisState, store::abandoned::Abandoning};
use gridveil_verifier_contract::{Address, AuditorL1 as _, SettlementL1 as _};
use serde_json::json;

use crate::common::{Answer, CHAIN, CONTRACT, Node, TOKEN, USED, World, first_interval, owner_key, units, until};

const FIRST: u64 = 2;
const NEXT: u64 = 3;
const SHAPE: u32 = 1;
const COUNCIL: Address = [0xc0; 20];
const DAY_S: u64 = 24 * 3600;
const DEADLINE_S: u64 = 7 * DAY_S;

fn begins_s(period: u32) -> u64 {
    u64::from(first_interval() + 2 * period) * 3600
}

/// A council since long before, and an account with money.
async fn world() -> World {
    let world = World::with(|genesis: &mut GenesisState| {
        let accounts = &mut genesis.communities[0].accounts;
        (accounts[0].balance, accounts[0].payout) = (units(1000), [0xab; 20]);
    })
    .await;
    world.l1.set_timestamp(begins_s(0) - 20 * DAY_S);
    world.l1.put_safe(COUNCIL, 6, 8);
    world.l1.appoint_council(Some(COUNCIL)).unwrap();
    world.l1.set_timestamp(begins_s(0));
    world
}

async fn start(world: &World) -> Node {
    let mut config = world.config(&world.data());
    config.versions = [FIRST, NEXT].map(CircuitVersion::new).to_vec();
    config.obstacles_every = Duration::from_millis(20);
    world.start_with(config).await
}

fn under_next(mut signed: SignedPacket) -> SignedPacket {
    signed.packet.context.domain = instance::domain(CHAIN, &CONTRACT, NEXT);
    let slot = usize::from(signed.packet.slot);
    signed.packet.sign(&fixture::meter_key(slot)).unwrap()
}

fn withdrawal(world: &World, version: u64) -> SignedOperation {
    let operation = world.operation(0, Kind::Withdraw, world.nonce(0), |o| o.amount = units(1)).operation;
    let domain = instance::domain(CHAIN, &CONTRACT, version);
    operation.sign(domain, &owner_key(0), owner_of(&owner_key(0))).unwrap()
}

async fn plan(node: &Node, from_s: u64) -> Answer {
    node.admin("/admin/v1/upgrade", Some(&json!({"circuit_version": NEXT, "from_s": from_s})), TOKEN).await
}

fn refusal((status, body): &Answer) -> (u16, &str) {
    (*status, body["code"].as_str().unwrap_or_default())
}

async fn health(node: &Node) -> String {
    node.health().await.1.to_string()
}

/// The fix, as soon as the council lets it: registered, hastened, active.
fn next_verifier_is_hastened(world: &World, now_s: u64) {
    world.l1.register_verifier(u32::try_from(NEXT).unwrap(), SHAPE).unwrap();
    world.l1.set_caller(COUNCIL);
    world.l1.hasten(u32::try_from(NEXT).unwrap(), SHAPE).unwrap();
    world.l1.set_timestamp(now_s + DEADLINE_S);
}

async fn settle_anew(world: &World, node: &Node, community: u32, period: u32) {
    for slot in 0..USED {
        let (status, body) = node.submit(&under_next(world.packet(community, period, slot, false))).await;
        assert_eq!(status, 201, "{body}");
    }
    let (status, body) = node.close(community, period).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_no_verifier_takes_is_settled_under_the_next_version() {
    let world = world().await;
    let node = start(&world).await;
    world.l1.set_timestamp(begins_s(1));
    for community in [5, 7] {
        node.run_period(&world, community, 0).await;
        node.settled(community, 1).await;
    }
    // Period 1 is open, with packets and an operation that are signed for the version in use.
    node.submit_all(&world, 5, 1).await;
    let path = node.accepted(&withdrawal(&world, FIRST)).await;
    let now_s = begins_s(2);
    world.l1.set_timestamp(now_s);
    assert_eq!(refusal(&plan(&node, begins_s(1)).await), (409, "upgrade.time"), "nothing is stopped");
    world.l1.prove_unsound(&world.l1.contradiction(2, SHAPE)).unwrap();

    until("/healthz says it", async || health(&node).await.contains("tiny-4x2 unsound")).await;
    let told = health(&node).await;
    assert!(told.contains("\"degraded\"") && told.contains("operator upgrade plan"), "{told}");
    let closed = node.close(5, 1).await;
    assert_eq!(refusal(&closed), (409, "upgrade.verifier"));
    assert!(closed.1["detail"].as_str().unwrap().contains("proven the verifier of circuit version 2"), "{closed:?}");
    assert!(node.handle.service().health.stopped().is_none(), "it goes on when it can");

    // Not before L1 takes it; and from the open periods on, neither earlier nor later.
    assert_eq!(refusal(&plan(&node, begins_s(1)).await), (409, "upgrade.verifier"));
    next_verifier_is_hastened(&world, now_s);
    let early = plan(&node, begins_s(0)).await;
    assert_eq!(refusal(&early), (409, "upgrade.time"));
    assert!(early.1["detail"].as_str().unwrap().contains("which stays of its version"), "{early:?}");
    let late = plan(&node, begins_s(1) + 1).await;
    assert!(late.1["detail"].as_str().unwrap().contains("must count from then on, or before"), "{late:?}");
    let (status, planned) = plan(&node, begins_s(1)).await;
    let first = first_interval() + 2;
    let communities = json!([{"community": 5, "first_interval": first}, {"community": 7, "first_interval": first}]);
    assert_eq!((status, &planned["communities"]), (201, &communities), "{planned}");
    assert_eq!(plan(&node, begins_s(1)).await.0, 200, "the same again");

    // What was signed for the version that is stopped is refused, and signed again.
    assert_eq!(node.get(&path).await.1, json!({"state": "refused", "code": "operation.version"}));
    assert_eq!(refusal(&node.submit(&world.packet(5, 1, 0, false)).await), (422, "packet.version"));
    assert_eq!(node.status().await["communities"][0]["packets"], 0);
    node.handle.kill().await;
    let node = start(&world).await;
    assert_eq!(node.get(&path).await.1["code"], "operation.version", "also after a restart");
    let again = node.accepted(&withdrawal(&world, NEXT)).await;
    settle_anew(&world, &node, 5, 1).await;
    settle_anew(&world, &node, 7, 1).await;
    node.settled(5, 2).await;
    node.settled(7, 2).await;
    assert_eq!(node.get(&again).await.1["state"], "applied");
    let batches = world.l1.settled_batches(0).await.unwrap();
    let settled: Vec<_> = batches.iter().map(|batch| (batch.call.community, batch.call.circuit_version)).collect();
    assert_eq!(settled, [(5, 2), (7, 2), (5, 3), (7, 3)]);
    until("the emergency is over", async || !health(&node).await.contains("unsound")).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_on_its_way_is_not_sent_and_is_given_up() {
    let world = world().await;
    let node = start(&world).await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    world.l1.set_timestamp(begins_s(1));
    node.run_period(&world, 5, 0).await;
    world.l1.prove_unsound(&world.l1.contradiction(2, SHAPE)).unwrap();
    let sent = world.l1.faults.sent.load(Ordering::SeqCst);
    world.prover.stuck.store(false, Ordering::SeqCst);
    until("/healthz names the batch", async || {
        let told = health(&node).await;
        told.contains("batch 1: L1 has proven") && told.contains("batch 1 and those after it never settle")
    })
    .await;
    assert_eq!(world.l1.faults.sent.load(Ordering::SeqCst), sent, "nothing was sent");
    assert!(node.handle.service().health.stopped().is_none());
    next_verifier_is_hastened(&world, begins_s(1));
    let kept = plan(&node, begins_s(0)).await;
    assert!(kept.1["detail"].as_str().unwrap().contains("the batch is abandoned first"), "{kept:?}");
    node.handle.shutdown().await;

    Abandoning::open(&world.data(), &world.dir.path().join("master")).unwrap().abandon(1).unwrap();
    let node = start(&world).await;
    assert_eq!(refusal(&node.close(5, 0).await), (409, "upgrade.verifier"));
    assert_eq!(plan(&node, begins_s(0)).await.0, 201);
    settle_anew(&world, &node, 5, 0).await;
    node.settled(5, 1).await;
    let verifier = world.l1.verifier(u32::try_from(NEXT).unwrap(), SHAPE).await.unwrap().unwrap();
    assert!(verifier.used);
    node.handle.shutdown().await;
}
