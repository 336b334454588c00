//! Money in, across and out; and an account that is handed over.

use super::{
    erasing::{enrolment, newcomer},
    given_back::given_back,
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn money_in_across_and_out() {
    let world = world().await;
    let node = world.start().await;
    let (n0, n1) = (world.nonce(0), world.nonce(1));
    let deposit = take(&world, 1, Kind::Deposit, n1, units(300), 40);
    let claim = claim_of(&deposit, owner(1));
    world.l1.put_deposit(open_deposit(claim, 300));
    let sent = send(&world, owner(1), n0, units(5) + 3, 50);
    let withdrawal = withdraw(&world, 0, n0 + 1, units(100));
    let received = take(&world, 1, Kind::Receive, n1 + 1, units(5) + 3, 50);
    let mut paths = Vec::new();
    for operation in [&deposit, &sent, &withdrawal, &received] {
        paths.push(node.accepted(operation).await);
        let (status, again) = node.operate(operation).await;
        assert_eq!((status, &again["status"]), (200, &json!("duplicate")));
    }
    assert_eq!(node.get(&paths[0]).await, (200, json!({"state": "pending"})));
    assert_eq!(node.status().await["communities"][0]["operations"], 4);
    // Three operation slots: the fourth waits for the next period.
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    for path in &paths[..3] {
        assert_eq!(node.get(path).await.1, json!({"state": "applied", "batch": 1, "final": true}));
    }
    assert_eq!(node.get(&paths[3]).await.1["state"], "pending");
    assert_eq!(node.operate(&deposit).await.0, 200);
    let l1 = &world.l1;
    assert!(l1.deposits(0).await.unwrap().iter().all(|d| d.state == DepositState::Consumed));
    assert_eq!(l1.withdrawable(PAYOUT).await.unwrap(), 100 * TOKEN_PER_UNIT);
    assert_eq!(l1.claim_state(claim_of(&sent, owner(1))).await.unwrap(), TransferState::Open);
    let mine = verified(&node, &world, &owner_key(0), 0, 0).await;
    assert_eq!(mine.operations, vec![sent.clone(), withdrawal.clone()]);
    assert_eq!(mine.settled.balance - mine.after.balance, units(105) + 3);
    assert_eq!(mine.after.nonce, n0 + 2);
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    assert_eq!(node.get(&paths[3]).await.1["batch"], 2);
    assert_eq!(l1.claim_state(claim_of(&sent, owner(1))).await.unwrap(), TransferState::Received);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_handed_over_left_and_taken_by_another() {
    // Slot 2 is inactive in the first period, so that its balance is known.
    let world = World::with(|g| {
        rich(g);
        g.communities[0].accounts[2].terms.active_until = Interval(1);
    })
    .await;
    let node = world.start().await;
    let (n1, n2) = (world.nonce(1), world.nonce(2));
    let idle = |period: u32, key: &SecretKey| {
        let mut signed = world.packet(5, period, 2, false);
        signed.packet.readings.iter_mut().for_each(|r| (r.import, r.export) = (0, 0));
        signed.packet.sign(key).unwrap()
    };
    let (heir, newcomer) = (SecretKey::from_seed(&[61; 64]), newcomer());
    // Signed by the new key while the rotation still waits.
    node.accepted(
        &world.operation(1, Kind::Rotate, n1, |o| (o.party, o.payout) = (owner_of(&heir).commitment(), [3; 20])),
    )
    .await;
    assert_eq!(node.operate(&withdraw(&world, 1, n1 + 1, units(1))).await.1["code"], "operation.owner");
    let by_heir =
        |nonce: u32| world.operation_by(&heir, 1, Kind::Replace, nonce, |o| o.meter = Some(fixture::meter_public(8)));
    node.accepted(&by_heir(n1 + 1)).await;
    node.publish(&world, 5).await;
    for packet in [world.packet(5, 0, 0, false), world.packet(5, 0, 1, false), idle(0, &fixture::meter_key(2))] {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    assert_eq!(node.close(5, 0).await.0, 200);
    node.settled(5, 1).await;
    assert_eq!(verified(&node, &world, &owner_key(1), 1, 0).await.operations.len(), 2);
    assert_eq!(verified(&node, &world, &heir, 1, 0).await.after.payout, [3; 20]);
    for key in [&owner_key(1), &heir] {
        assert_eq!(given_back(&node, &world, key, 1, 0).await.packet, Some(world.packet(5, 0, 1, false)));
    }

    // Slot 2 is left. Somebody else gets it in the settlement after that: nobody is enrolled into a slot in use.
    node.accepted(&world.operation(2, Kind::Close, n2, |o| o.amount = units(2000))).await;
    let enrol = enrolment(&world, n2 + 1);
    assert_eq!(node.operate(&enrol).await.1["code"], "operation.not_empty");
    let rotated = world.packet(5, 1, 1, false).packet.sign(&fixture::meter_key(8)).unwrap();
    for packet in [world.packet(5, 1, 0, false), rotated, idle(1, &fixture::meter_key(2))] {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    assert_eq!(node.close(5, 1).await.0, 200);
    node.settled(5, 2).await;
    // Who left still gets the last receipt. It opens nothing of who comes, and who comes does not see it.
    let last = verified(&node, &world, &owner_key(2), 2, 1).await;
    assert!(last.operations.len() == 1 && last.after.meter.is_none());
    assert_eq!(receipt(&node, &world, &newcomer, 2, 1).await.1["code"], "request.signature");
    assert_eq!(given_back(&node, &world, &owner_key(2), 2, 1).await.packet, Some(idle(1, &fixture::meter_key(2))));
    assert_eq!(paid_units(&world.l1).await.0, 2000);
    let of_others = |period: u32| {
        let rotated = world.packet(5, period, 1, false).packet.sign(&fixture::meter_key(8)).unwrap();
        [world.packet(5, period, 0, false), rotated]
    };
    node.accepted(&enrol).await;
    for packet in of_others(2) {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    assert_eq!(node.close(5, 2).await.0, 200);
    node.settled(5, 3).await;
    assert!(verified(&node, &world, &newcomer, 2, 2).await.before.meter.is_none());
    assert_eq!(receipt(&node, &world, &owner_key(2), 2, 2).await.1["code"], "request.signature");
    let of_another = given_back(&node, &world, &newcomer, 2, 1).await;
    assert!(of_another.settled && of_another.packet.is_none(), "nor the packet of who left");
    let own = world.packet(5, 3, 2, false).packet.sign(&fixture::meter_key(7)).unwrap();
    assert_eq!(node.submit(&own).await.0, 201);
    for packet in of_others(3) {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    // And somebody into the slot that was empty from the beginning.
    let stranger_terms = Some(Terms { active_until: Interval::MAX, cap_import: 5, scale: 1, ..Terms::default() });
    let third = SecretKey::from_seed(&[63; 64]);
    node.accepted(&world.operation_by(&third, 3, Kind::Enrol, 0, |o| {
        (o.party, o.payout, o.salts) =
            (owner_of(&third).commitment(), [5; 20], std::array::from_fn(|i| Fr::from(600 + i as u64)));
        (o.meter, o.terms) = (Some(fixture::meter_public(3)), stranger_terms);
    }))
    .await;
    assert_eq!(node.close(5, 3).await.0, 200);
    node.settled(5, 4).await;
    verified(&node, &world, &newcomer, 2, 3).await;
    assert!(verified(&node, &world, &third, 3, 3).await.before.meter.is_none());
    node.handle.shutdown().await;
}
