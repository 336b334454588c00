//! A running sequencer goes over to another circuit version.

use gridveil_protocol::{
    field::{Fr, to_bytes},
    fixture, instance,
    operation::{Kind, SignedOperation},
    owner::owner_of,
    packet::SignedPacket,
    poseidon::DomainTag,
    receipt::ReceiptRequest,
    version::{CircuitVersion, VersionFrom},
};
use gridveil_sequencer::{
    Clock, GenesisState,
    store::{log_state::LogState, record::Event},
};
use gridveil_verifier_contract::{AuditorL1, QueuesL1};
use serde_json::{Value, json};

use crate::common::{Answer, CHAIN, CONTRACT, Node, TOKEN, USED, World, first_interval, owner_key, units};

const DAY_S: u64 = 24 * 3600;
/// The version of the genesis, the one after it, and one that L1 knows nothing of.
const FIRST: u64 = 2;
const NEXT: u64 = 3;
const UNREGISTERED: u64 = 4;

fn begins_s(period: u32) -> u64 {
    u64::from(first_interval() + 2 * period) * 3600
}

/// L1 has had the next version's verifier for long when the first period begins, and the announcement of its first use.
async fn world() -> World {
    let world = unannounced().await;
    world.l1.announce_upgrade(u32::try_from(NEXT).unwrap()).unwrap();
    world
}

async fn unannounced() -> World {
    let world = World::with(|genesis: &mut GenesisState| {
        let accounts = &mut genesis.communities[0].accounts;
        (accounts[0].balance, accounts[0].payout) = (units(1000), [0xab; 20]);
    })
    .await;
    world.l1.set_timestamp(begins_s(0) - 20 * DAY_S);
    world.l1.register_verifier(u32::try_from(NEXT).unwrap(), 1).unwrap();
    world.l1.set_timestamp(begins_s(0));
    world
}

async fn start(world: &World) -> Node {
    let mut config = world.config(&world.data());
    config.versions = [FIRST, NEXT, UNREGISTERED].map(CircuitVersion::new).to_vec();
    world.start_with(config).await
}

fn domain(version: u64) -> Fr {
    instance::domain(CHAIN, &CONTRACT, version)
}

/// The packet of a meter, or the substitute, for a version.
fn under(version: u64, mut signed: SignedPacket) -> SignedPacket {
    let (slot, substituted) = (usize::from(signed.packet.slot), signed.packet.substituted);
    signed.packet.context.domain = domain(version);
    signed.packet.sign(&if substituted { fixture::mdm_key() } else { fixture::meter_key(slot) }).unwrap()
}

fn meters(world: &World, version: u64, period: u32, slot: usize) -> SignedPacket {
    under(version, world.packet(5, period, slot, false))
}

fn withdrawal(world: &World, version: u64, nonce: u32) -> SignedOperation {
    let operation = world.operation(0, Kind::Withdraw, nonce, |o| o.amount = units(1)).operation;
    operation.sign(domain(version), &owner_key(0), owner_of(&owner_key(0))).unwrap()
}

async fn plan(node: &Node, version: u64, from_s: u64) -> Answer {
    node.admin("/admin/v1/upgrade", Some(&json!({"circuit_version": version, "from_s": from_s})), TOKEN).await
}

fn refusal((status, body): &Answer) -> (u16, &str) {
    (*status, body["code"].as_str().unwrap_or_default())
}

/// Closes a period when it is over.
async fn close(world: &World, node: &Node, community: u32, period: u32) -> Answer {
    world.l1.set_timestamp(begins_s(period + 1));
    node.close(community, period).await
}

/// A whole period of community 5, every meter under this version.
async fn settle(world: &World, node: &Node, version: u64, period: u32) {
    node.publish(world, 5).await;
    for slot in 0..USED {
        let (status, body) = node.submit(&meters(world, version, period, slot)).await;
        assert_eq!(status, 201, "{body}");
    }
    let (status, body) = close(world, node, 5, period).await;
    assert_eq!(status, 200, "{body}");
}

async fn receipt(node: &Node, version: u64, period: u32) -> Answer {
    let (key, timestamp) = (owner_key(1), Clock::system().now());
    let first_interval = first_interval() + 2 * period;
    let message = ReceiptRequest::message(domain(version), 5, 1, first_interval, timestamp);
    let signature = key.sign(DomainTag::Request, &message).unwrap();
    let owner = owner_of(&key);
    let request = ReceiptRequest { community: 5, slot: 1, first_interval, timestamp, owner, signature };
    node.post("/v1/receipts", &serde_json::to_value(request).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_refused_where_it_could_not_be_kept() {
    let world = world().await;
    let node = start(&world).await;
    let height = node.status().await["log_height"].clone();
    let unknown = plan(&node, 9, begins_s(2)).await;
    assert_eq!(refusal(&unknown), (422, "upgrade.version"));
    assert!(unknown.1["detail"].as_str().unwrap().contains("it knows 2, 3, 4"), "{unknown:?}");
    assert_eq!(refusal(&plan(&node, FIRST, begins_s(2)).await), (422, "upgrade.version"), "it is that already");
    assert_eq!(refusal(&plan(&node, UNREGISTERED, begins_s(2)).await), (409, "upgrade.verifier"));
    world.l1.register_verifier(u32::try_from(UNREGISTERED).unwrap(), 1).unwrap();
    assert_eq!(refusal(&plan(&node, UNREGISTERED, begins_s(2)).await), (409, "upgrade.verifier"), "not active by then");
    let far = begins_s(0) + 20 * DAY_S;
    assert_eq!(
        refusal(&plan(&node, UNREGISTERED, far).await),
        (409, "upgrade.announcement"),
        "another one is announced"
    );
    assert_eq!(refusal(&plan(&node, NEXT, begins_s(0)).await), (409, "upgrade.time"), "past");
    for far in [begins_s(0) + 90 * DAY_S + 1, u64::MAX] {
        assert_eq!(refusal(&plan(&node, NEXT, far).await), (409, "upgrade.time"), "it could not be taken back");
    }
    world.l1.set_timestamp(begins_s(0) - 1);
    assert_eq!(refusal(&plan(&node, NEXT, begins_s(0)).await), (409, "upgrade.time"), "its packets are taken already");
    let body = json!({"circuit_version": NEXT, "from_s": begins_s(2), "force": true});
    assert_eq!(node.admin("/admin/v1/upgrade", Some(&body), TOKEN).await.1["code"], "body.malformed");
    assert_eq!(node.admin("/admin/v1/upgrade", Some(&body), "another token").await.0, 401);
    world.l1.faults.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(refusal(&plan(&node, NEXT, begins_s(2)).await), (503, "l1.unreachable"));
    world.l1.faults.down.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(node.status().await["log_height"], height, "nothing was written");

    let from_s = begins_s(1) + 1;
    let (status, planned) = plan(&node, NEXT, from_s).await;
    let first = first_interval() + 4;
    let communities = json!([{"community": 5, "first_interval": first}, {"community": 7, "first_interval": first}]);
    assert_eq!(
        (status, &planned),
        (201, &json!({"circuit_version": NEXT, "from_s": from_s, "communities": communities}))
    );
    assert_eq!(plan(&node, NEXT, from_s).await, (200, planned), "the same again");
    assert_eq!(refusal(&plan(&node, NEXT, from_s + 1).await), (409, "upgrade.pending"));
    assert_eq!(refusal(&plan(&node, UNREGISTERED, begins_s(0) + 20 * DAY_S).await), (409, "upgrade.pending"));
    let versions = json!([{"circuit_version": FIRST, "from_s": 0}, {"circuit_version": NEXT, "from_s": from_s}]);
    assert_eq!(node.get("/v1/info").await.1["versions"], versions);
    assert_eq!(node.status().await["versions"], versions);
    // A retired version is none.
    world.l1.set_timestamp(from_s);
    world.l1.retire_version(u32::try_from(UNREGISTERED).unwrap());
    assert_eq!(refusal(&plan(&node, UNREGISTERED, begins_s(0) + 20 * DAY_S).await), (409, "upgrade.verifier"));
    node.handle.shutdown().await;

    // A program that does not know the version does not start over this log.
    let mut config = world.config(&world.data());
    config.versions = vec![CircuitVersion::new(FIRST)];
    let refused = gridveil_sequencer::serve(config, world.l1.clone(), world.prover.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("does not know"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_period_is_settled_under_its_own_version() {
    let world = world().await;
    let node = start(&world).await;
    settle(&world, &node, FIRST, 0).await;
    assert_eq!(plan(&node, NEXT, begins_s(2)).await.0, 201);
    let info = node.get("/v1/info").await.1;
    let shown = json!(format!("0x{}", hex::encode(to_bytes(&domain(FIRST)))));
    assert_eq!((&info["circuit_version"], &info["domain"]), (&json!(FIRST), &shown));

    // On either side of the boundary, the other version's packet is refused, and told what to do.
    let wrong = node.submit(&meters(&world, NEXT, 1, 0)).await;
    assert_eq!(refusal(&wrong), (422, "packet.version"));
    assert!(wrong.1["detail"].as_str().unwrap().contains("circuit version 2: sign it again"), "{wrong:?}");
    assert_eq!(refusal(&node.submit(&meters(&world, FIRST, 2, 0)).await), (422, "packet.version"));
    assert_eq!(refusal(&node.submit(&meters(&world, NEXT, 2, 0)).await), (409, "packet.early"));
    assert_eq!(refusal(&node.submit(&meters(&world, 9, 1, 0)).await), (422, "packet.context"), "of no version here");
    settle(&world, &node, FIRST, 1).await;
    assert_eq!(refusal(&node.submit(&meters(&world, FIRST, 2, 0)).await), (422, "packet.version"));
    assert_eq!(node.submit(&meters(&world, NEXT, 2, 0)).await.0, 201);

    // What was decided and taken is there after a restart across the switch.
    node.settled(5, 2).await;
    node.handle.kill().await;
    let node = start(&world).await;
    assert_eq!(node.submit(&meters(&world, NEXT, 2, 0)).await.0, 200);
    for slot in 1..USED {
        assert_eq!(node.submit(&meters(&world, NEXT, 2, slot)).await.0, 201);
    }
    // The other community goes at its own pace.
    for slot in 0..USED {
        assert_eq!(node.submit(&world.packet(7, 0, slot, false)).await.0, 201);
    }
    assert_eq!(node.get("/v1/info").await.1["circuit_version"], FIRST, "of the period that is furthest behind");
    assert_eq!(close(&world, &node, 5, 2).await.0, 200);
    node.publish(&world, 7).await;
    assert_eq!(node.close(7, 0).await.0, 200);
    node.settled(5, 3).await;
    node.settled(7, 1).await;
    let batches = world.l1.settled_batches(0).await.unwrap();
    let settled: Vec<_> = batches.iter().map(|batch| (batch.call.community, batch.call.circuit_version)).collect();
    assert_eq!(settled, [(5, 2), (5, 2), (5, 3), (7, 2)]);

    // Everything about a period is signed for its own version.
    for (version, period) in [(FIRST, 0), (FIRST, 1), (NEXT, 2)] {
        let (status, body) = receipt(&node, version, period).await;
        assert_eq!(status, 200, "{body}");
        let other = if version == FIRST { NEXT } else { FIRST };
        assert_eq!(refusal(&receipt(&node, other, period).await), (401, "request.signature"));
    }
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_the_switch_catches_is_refused_and_signed_again() {
    let world = world().await;
    let node = start(&world).await;
    assert_eq!(plan(&node, NEXT, begins_s(1)).await.0, 201);
    let nonce = world.nonce(0);
    assert_eq!(refusal(&node.operate(&withdrawal(&world, NEXT, nonce)).await), (422, "operation.version"), "too early");
    let mut paths = Vec::new();
    for next in 0..4 {
        paths.push(node.accepted(&withdrawal(&world, FIRST, nonce + next)).await);
    }
    settle(&world, &node, FIRST, 0).await;
    node.settled(5, 1).await;
    // Three operation slots: the fourth was signed for a version that takes nothing any more.
    let states = async |node: &Node| {
        let mut states = Vec::new();
        for path in &paths {
            states.push(node.get(path).await.1);
        }
        states
    };
    let applied = json!({"state": "applied", "batch": 1, "final": true});
    let caught = json!({"state": "refused", "code": "operation.version"});
    let expected = vec![applied.clone(), applied.clone(), applied, caught];
    assert_eq!(states(&node).await, expected);
    node.handle.kill().await;
    let node = start(&world).await;
    assert_eq!(states(&node).await, expected, "also after a restart");
    assert_eq!(node.status().await["communities"][0]["operations"], 0);

    let again = node.operate(&withdrawal(&world, FIRST, nonce + 3)).await;
    assert_eq!(refusal(&again), (422, "operation.version"));
    assert!(again.1["detail"].as_str().unwrap().contains("circuit version 3: sign again"), "{again:?}");
    let path = node.accepted(&withdrawal(&world, NEXT, nonce + 3)).await;
    settle(&world, &node, NEXT, 1).await;
    node.settled(5, 2).await;
    assert_eq!(node.get(&path).await.1["state"], "applied");
    node.handle.shutdown().await;
}

/// Closes a period in which slot 2's meter is silent.
async fn silent(world: &World, node: &Node, version: u64, period: u32) {
    node.publish(world, 5).await;
    for slot in [0, 1] {
        assert_eq!(node.submit(&meters(world, version, period, slot)).await.0, 201);
    }
    let [(slot, previous_substitute)] = node.missing(5).await[..] else { panic!("one is silent") };
    let substitute = under(version, world.substitute(5, period, slot, previous_substitute));
    assert_eq!(node.submit(&substitute).await.0, 201);
    let (status, body) = close(world, node, 5, period).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_substitute_of_the_old_version_is_final_under_the_new_one() {
    let world = world().await;
    let node = start(&world).await;
    assert_eq!(plan(&node, NEXT, begins_s(2)).await.0, 201);
    silent(&world, &node, FIRST, 0).await;
    // It waits beneath the next period's substitute, until the switch.
    let (status, late) = node.submit(&meters(&world, FIRST, 0, 2)).await;
    assert_eq!((status, &late["status"]), (202, &json!("late")), "{late}");
    silent(&world, &node, FIRST, 1).await;
    let state = node.get(&format!("/v1/operations/{}", late["packet_id"].as_str().unwrap())).await.1;
    assert_eq!(state, json!({"state": "refused", "code": "correction.version"}));
    assert_eq!(refusal(&node.submit(&meters(&world, FIRST, 1, 2)).await), (410, "correction.version"));
    assert_eq!(refusal(&node.submit(&meters(&world, NEXT, 1, 2)).await), (422, "packet.version"));

    // Substitutes of the new version lie on top of it, and are corrected down to it.
    silent(&world, &node, NEXT, 2).await;
    let (status, late) = node.submit(&meters(&world, NEXT, 2, 2)).await;
    assert_eq!(status, 202, "{late}");
    settle(&world, &node, NEXT, 3).await;
    node.settled(5, 4).await;
    let state = node.get(&format!("/v1/operations/{}", late["packet_id"].as_str().unwrap())).await.1;
    assert_eq!(state["state"], "applied");
    assert_eq!(refusal(&node.submit(&meters(&world, FIRST, 1, 2)).await), (410, "correction.version"));
    node.handle.shutdown().await;
}

/// Under the newer substitute lies one that is final, and under that one the one asked for: no batch can correct it,
/// although it is of the version that counts again.
#[tokio::test(flavor = "multi_thread")]
async fn a_substitute_is_final_even_if_its_version_comes_back() {
    let world = world().await;
    let node = start(&world).await;
    assert_eq!(plan(&node, NEXT, begins_s(1)).await.0, 201);
    silent(&world, &node, FIRST, 0).await;
    world.l1.set_timestamp(begins_s(1));
    assert_eq!(plan(&node, FIRST, begins_s(2)).await.0, 201);
    silent(&world, &node, NEXT, 1).await;
    assert_eq!(refusal(&node.submit(&meters(&world, FIRST, 0, 2)).await), (410, "correction.version"));
    node.handle.shutdown().await;
}

/// A version that L1 does not take any more: a batch of it could never be final, and would hold up all that follow.
#[tokio::test(flavor = "multi_thread")]
async fn no_period_is_closed_under_a_retired_version() {
    let world = world().await;
    let node = start(&world).await;
    assert_eq!(plan(&node, NEXT, begins_s(1)).await.0, 201);
    settle(&world, &node, FIRST, 0).await;
    node.settled(5, 1).await;
    world.l1.retire_version(u32::try_from(NEXT).unwrap());
    for slot in 0..USED {
        assert_eq!(node.submit(&meters(&world, NEXT, 1, slot)).await.0, 201);
    }
    node.publish(&world, 5).await;
    let height = node.status().await["log_height"].clone();
    assert_eq!(refusal(&close(&world, &node, 5, 1).await), (409, "upgrade.verifier"));
    assert_eq!(node.status().await["log_height"], height, "nothing was closed");
    node.handle.shutdown().await;
}

/// Who asked to leave before the announcement is served by the old version, and only then the upgrade is decided. From
/// then on nobody can hold it up, nor end the rollup with a request that only the new version is left to serve.
#[tokio::test(flavor = "multi_thread")]
async fn who_asked_before_the_announcement_is_served_before_the_upgrade_and_who_asks_later_after() {
    let world = unannounced().await;
    let node = start(&world).await;
    let next = u32::try_from(NEXT).unwrap();
    let unannounced = plan(&node, NEXT, begins_s(1)).await;
    assert_eq!(refusal(&unannounced), (409, "upgrade.announcement"));
    assert!(unannounced.1["detail"].as_str().unwrap().contains("not announced"), "{unannounced:?}");
    world.l1.put_forced(7, &[(0, [9; 20])]);
    world.l1.announce_upgrade(next).unwrap();
    let waits = plan(&node, NEXT, begins_s(1)).await;
    assert_eq!(refusal(&waits), (409, "upgrade.announcement"));
    assert!(waits.1["detail"].as_str().unwrap().contains("1 who asked to leave"), "{waits:?}");
    node.publish(&world, 7).await;
    node.submit_all(&world, 7, 0).await;
    assert_eq!(close(&world, &node, 7, 0).await.0, 200);
    node.settled(7, 1).await;
    assert_eq!(plan(&node, NEXT, begins_s(2)).await.0, 201);

    settle(&world, &node, FIRST, 0).await;
    settle(&world, &node, FIRST, 1).await;
    for slot in 0..USED {
        assert_eq!(node.submit(&meters(&world, NEXT, 2, slot)).await.0, 201);
    }
    node.publish(&world, 5).await;
    // Another announcement takes the place of the one that counts: no period is closed that L1 would refuse.
    world.l1.announce_upgrade(next + 1).unwrap();
    assert_eq!(refusal(&close(&world, &node, 5, 2).await), (409, "close.upgrade_waits"));
    world.l1.announce_upgrade(next).unwrap();
    // These come when the old version serves nobody any more here.
    world.l1.put_forced(5, &[(1, [8; 20])]);
    world.l1.put_forced(7, &[(1, [8; 20])]);
    assert_eq!(node.close(5, 2).await.0, 200);
    node.settled(5, 3).await;
    assert!(world.l1.forced_queue(5).await.unwrap().is_empty(), "served by the first batch of the new version");
    node.handle.shutdown().await;
}

#[test]
fn the_log_takes_versions_in_their_order() {
    let genesis = GenesisState {
        chain_id: CHAIN,
        contract: CONTRACT,
        circuit_version: FIRST,
        communities: Vec::new(),
        other_leaves: Vec::new(),
        begins: Vec::new(),
    };
    let mut log_state = LogState::default();
    log_state.add(&Event::Genesis(genesis.public()), 0).unwrap();
    let next = |number, from_s| {
        let next = VersionFrom { circuit_version: CircuitVersion::new(number), from_s };
        // As it is on disk.
        let event = Event::Upgrade(next.into());
        let public = event.encode().unwrap();
        let json: Value = serde_json::from_slice(&public).unwrap();
        assert_eq!(json, json!({"circuit_version": number, "from_s": from_s}));
        Event::decode(event.kind(), &public).unwrap()
    };
    assert!(log_state.add(&next(NEXT, 10), 1).unwrap().is_empty(), "nothing to find again");
    let before = log_state.clone();
    for wrong in [next(UNREGISTERED, 10), next(UNREGISTERED, 9), next(NEXT, 11), next(1_000_001, 11)] {
        assert!(log_state.add(&wrong, 2).is_err());
    }
    assert_eq!(log_state, before);
    assert_eq!([0, 9, 10, 11].map(|at| log_state.versions.at(at).number()), [FIRST, FIRST, NEXT, NEXT]);
}
