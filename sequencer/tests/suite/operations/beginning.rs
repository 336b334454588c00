//! Communities that begin empty.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_community_begins_empty_and_grows_by_enrolment() {
    let world = World::with(|g| {
        crate::common::empty(&mut g.communities[0]);
        g.begins = vec![5];
    })
    .await;
    let terms = gridveil_protocol::init::genesis_terms(&world.genesis.communities[0].header);
    let mut config = world.config(&world.data());
    config.auto_close = true;
    config.auto_close_every = std::time::Duration::from_millis(20);
    let node = world.start_with(config).await;
    assert_eq!(node.get("/v1/communities/5").await.0, 200);
    let member = owner_key(0);
    let path = node
        .accepted(&world.operation(0, Kind::Enrol, 0, |o| {
            (o.party, o.payout, o.salts) = (owner(0), PAYOUT, std::array::from_fn(|i| Fr::from(700 + i as u64)));
            (o.meter, o.terms) = (
                Some(fixture::meter_public(0)),
                Some(Terms { active_until: Interval::MAX, scale: 1, ..Terms::default() }),
            );
        }))
        .await;
    node.publish(&world, 5).await;
    until("begun", async || node.get(&path).await.1["final"] == true).await;
    let begun = async || {
        let begins = |e: &RollupEffect| matches!(e, RollupEffect::CommunityInitialised { .. });
        effects(&world.l1).await.into_iter().filter(begins).collect::<Vec<_>>()
    };
    let genesis_terms = to_bytes(&terms);
    assert_eq!(begun().await, [RollupEffect::CommunityInitialised { community: 5, genesis_terms }]);
    verified(&node, &world, &member, 0, 0).await;
    // With an empty supplier account nobody can owe anything: the period waits for the operator's, and goes on by itself then.
    assert_eq!(node.submit(&world.packet(5, 1, 0, false)).await.0, 201);
    until("blocked", async || {
        node.status().await["communities"][0]["blocked"]["code"] == "settlement.supplier_account_too_small"
    })
    .await;
    world.l1.fund_supplier_account(500).await.unwrap();
    assert_eq!(node.header(5, &transfer(Pool::SupplierIn, 500)).await.0, 201);
    node.settled(5, 2).await;
    node.handle.kill().await;
    let node = world.start().await;
    assert_eq!(node.submit(&world.packet(5, 2, 0, false)).await.0, 201);
    assert_eq!(node.close(5, 2).await.0, 200);
    node.settled(5, 3).await;
    assert_eq!(begun().await.len(), 1);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// The fake L1 with the contract's own log states, where money has to come from somewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_becomes_a_balance_and_leaves_by_force() {
    let world = World::with(|g| {
        crate::common::empty(&mut g.communities[0]);
        g.begins = vec![5];
    })
    .await;
    let l1 = Arc::new(crate::common::new_l1(&world.genesis, &world.tariff).await);
    let node = Node::over(serve(world.config(&world.data()), l1.clone(), world.prover.clone()).await.unwrap());
    node.publish(&world, 5).await;
    let idle = Some(Terms { active_until: Interval(1), scale: 1, ..Terms::default() });
    for slot in 0..2u16 {
        node.accepted(&world.operation(slot, Kind::Enrol, 0, |o| {
            (o.party, o.payout, o.salts) = (
                owner(usize::from(slot)),
                PAYOUT,
                std::array::from_fn(|i| Fr::from(100 * u64::from(slot) + 1 + i as u64)),
            );
            (o.meter, o.terms) = (Some(fixture::meter_public(usize::from(slot))), idle);
        }))
        .await;
    }
    let (status, body) = node.close(5, 0).await;
    assert_eq!(status, 200, "{body}");
    node.settled(5, 1).await;
    let deposit = take(&world, 0, Kind::Deposit, 1, units(50), 40);
    l1.deposit(claim_of(&deposit, owner(0)), 50).await.unwrap();
    l1.fund_supplier_account(9).await.unwrap();
    node.accepted(&deposit).await;
    node.accepted(&send(&world, owner(1), 2, units(20), 60)).await;
    node.accepted(&take(&world, 1, Kind::Receive, 1, units(20), 60)).await;
    assert_eq!(node.header(5, &transfer(Pool::SupplierIn, 9)).await.0, 201);
    let quiet = async |period: u32| {
        for slot in 0..2 {
            let mut signed = world.packet(5, period, slot, false);
            signed.packet.readings.iter_mut().for_each(|r| (r.import, r.export) = (0, 0));
            let (status, body) = node.submit(&signed.packet.sign(&fixture::meter_key(slot)).unwrap()).await;
            assert_eq!(status, 201, "{body}");
        }
        let (status, body) = node.close(5, period).await;
        assert_eq!(status, 200, "{body}");
        node.settled(5, 1 + period as usize).await;
    };
    quiet(1).await;
    assert_eq!(l1.supplier_funds().await.unwrap(), 0);
    assert!(l1.deposits(0).await.unwrap().iter().all(|d| d.state == DepositState::Consumed));
    assert_eq!(verified(&node, &world, &owner_key(1), 1, 1).await.after.balance, units(20));
    // Slot 1 withdraws, slot 0 is paid because L1 asks for it.
    l1.set_caller(PAYOUT);
    l1.force_withdraw(5, 0).await.unwrap();
    node.accepted(&withdraw(&world, 1, 2, units(20))).await;
    quiet(2).await;
    assert_eq!(l1.withdrawable(PAYOUT).await.unwrap(), 50 * 10_000);
    assert!(l1.forced_queue(5).await.unwrap().is_empty());
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_begins_only_with_the_terms_on_l1() {
    let world = World::with(|g| {
        crate::common::empty(&mut g.communities[0]);
        g.communities[0].header.mechanism = Mechanism::CommunityPrice;
        g.begins = vec![5];
    })
    .await;
    let node = world.start().await;
    node.publish(&world, 5).await;
    assert_eq!(node.close(5, 0).await.1["code"], "settlement.genesis_terms");
    node.handle.shutdown().await;
    let broken = World::with(|g| g.begins = vec![5]).await;
    assert!(serve(broken.config(&broken.data()), broken.l1.clone(), broken.prover.clone()).await.is_err(), "not empty");
}
