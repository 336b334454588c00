//! What a member that lost its folder gets back, and nobody else.

use gridveil_api::public::GivenBack;

use super::*;

pub(super) async fn given_back(node: &Node, world: &World, signer: &SecretKey, slot: u16, period: u32) -> GivenBack {
    let (status, body) = node.post("/v1/given-back", &signed_request(world, signer, slot, period)).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_value(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_gets_back_what_it_signed_and_nobody_elses() {
    let world = world().await;
    let node = world.start().await;
    let (own, n0) = (owner_key(0), world.nonce(0));
    node.publish(&world, 5).await;
    assert_eq!(given_back(&node, &world, &own, 0, 0).await, GivenBack::default());
    node.submit_all(&world, 5, 0).await;
    let [first, second] = [withdraw(&world, 0, n0, units(1)), withdraw(&world, 0, n0 + 1, units(2))];
    for signed in [&first, &second, &withdraw(&world, 2, world.nonce(2), units(1))] {
        node.accepted(signed).await;
    }
    // Open: a packet, and what waits.
    let packet = Some(world.packet(5, 0, 0, false));
    let waits =
        GivenBack { packet: packet.clone(), operations: vec![first.clone(), second.clone()], ..GivenBack::default() };
    assert_eq!(given_back(&node, &world, &own, 0, 0).await, waits);
    for (signer, slot) in [(1, 0), (0, 1), (0, 3), (0, 60)] {
        let (status, body) = node.post("/v1/given-back", &signed_request(&world, &owner_key(signer), slot, 0)).await;
        assert_eq!((status, body["code"].as_str()), (401, Some("request.signature")), "{signer} of {slot}: {body}");
    }
    // Closed and not proven: no receipt has the operations yet, and their nonces are used.
    world.prover.stuck.store(true, Ordering::SeqCst);
    assert_eq!(node.close(5, 0).await.0, 200);
    node.submit_all(&world, 5, 1).await;
    let third = withdraw(&world, 0, n0 + 2, units(3));
    node.accepted(&third).await;
    let mut underway = given_back(&node, &world, &own, 0, 1).await;
    assert_eq!(underway.packet.take(), Some(world.packet(5, 1, 0, false)));
    assert_eq!(underway, GivenBack { operations: vec![first, second, third.clone()], ..GivenBack::default() });
    assert_eq!(given_back(&node, &world, &own, 0, 0).await.packet, packet);
    // Final: the receipt has them.
    world.prover.stuck.store(false, Ordering::SeqCst);
    node.settled(5, 1).await;
    let settled = given_back(&node, &world, &own, 0, 0).await;
    assert_eq!(settled, GivenBack { settled: true, packet, operations: vec![third], ..GivenBack::default() });
    // After a restart the same.
    node.handle.shutdown().await;
    let node = world.start().await;
    assert_eq!(given_back(&node, &world, &own, 0, 0).await, settled);
    let (_, metrics) = node.watched("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("gridveil_given_back_total 1\n"), "{metrics}");
    node.handle.shutdown().await;
}
