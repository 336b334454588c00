//! Header operations: pools, and decisions of the meter data manager.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn header_operations_move_pools_and_decide_what_comes() {
    let world = world().await;
    let node = world.start().await;
    let code =
        async |operation: &Value| node.header(5, operation).await.1["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(code(&json!({})).await, "header.empty");
    assert_eq!(code(&transfer(Pool::SupplierIn, 1 << 48)).await, "header.units");
    assert_eq!(node.header(6, &transfer(Pool::SupplierIn, 1)).await.1["code"], "account.unknown");
    assert_eq!(
        node.admin(
            "/admin/v1/communities/5/header-operation",
            Some(&transfer(Pool::SupplierIn, 1)),
            "another token, wrong"
        )
        .await
        .0,
        401
    );
    let management = Management {
        mechanism: Mechanism::CommunityPrice,
        mdm: fixture::mdm_key().public(),
        reserve: units(100),
        skip: 3,
    };
    let by = |key: &SecretKey, nonce: u64, period: u32| {
        let management = Some(management.sign(world.domain(), &place(nonce, period), key).unwrap());
        serde_json::to_value(HeaderOperation {
            transfer: Some(Transfer { pool: Pool::SupplierOut, units: 7 }),
            management,
        })
        .unwrap()
    };
    assert_eq!(code(&by(&owner_key(0), 0, 0)).await, "header.signature");
    assert_eq!(code(&by(&fixture::mdm_key(), 1, 0)).await, "header.signature");
    assert_eq!(code(&by(&fixture::mdm_key(), 0, 1)).await, "header.signature", "a decision is for one period");
    // So long that nobody who asks L1 meanwhile could be served in time.
    let management = Some(
        Management { skip: u16::MAX, ..management }.sign(world.domain(), &place(0, 0), &fixture::mdm_key()).unwrap(),
    );
    let endless = serde_json::to_value(HeaderOperation { transfer: None, management }).unwrap();
    assert_eq!(code(&endless).await, "header.skip");
    for (period, (operation, expected)) in (0..).zip([
        (transfer(Pool::SupplierIn, 5), "header.funds"),
        (transfer(Pool::SupplierOut, 600_000), "header.reserve"),
        (transfer(Pool::FeeOut, 1_000_000), "header.fee_account"),
    ]) {
        assert_eq!(node.header(5, &operation).await.0, 201);
        assert_eq!(node.header(5, &operation).await.0, 200);
        assert_eq!(code(&transfer(Pool::SupplierIn, 6)).await, "header.pending");
        assert_eq!(node.status().await["communities"][0]["header_pending"], true);
        node.run_period(&world, 5, period).await;
        let status = node.status().await["communities"][0].clone();
        assert_eq!((&status["header_pending"], &status["header_refused"]), (&json!(false), &json!(expected)));
    }
    world.l1.fund_supplier_account(5).await.unwrap();
    assert_eq!(node.header(5, &transfer(Pool::SupplierIn, 5)).await.0, 201);
    node.run_period(&world, 5, 3).await;
    assert_eq!(node.status().await["communities"][0]["header_refused"], json!(null));
    node.settled(5, 4).await;
    assert_eq!(world.l1.supplier_funds().await.unwrap(), 0);
    assert_eq!(node.header(5, &by(&fixture::mdm_key(), 1, 4)).await.0, 201);
    node.run_period(&world, 5, 4).await;
    node.settled(5, 5).await;
    assert_eq!(paid_units(&world.l1).await.1, 7);
    let state = node.get("/v1/communities/5").await.1;
    // Three periods are skipped.
    assert_eq!(
        (&state["mechanism"], &state["next_interval"]),
        (&json!("community-price"), &json!(first_interval() + 16))
    );
    assert_eq!(node.submit(&world.packet(5, 6, 0, false)).await.1["code"], "packet.closed");
    node.run_period(&world, 5, 8).await;
    node.settled(5, 6).await;
    verified(&node, &world, &owner_key(0), 0, 8).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.kill().await;
    let node = world.start().await;
    node.run_period(&world, 5, 9).await;
    node.settled(5, 7).await;
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_short_of_supplier_settles_once_the_operator_adds_it() {
    let world = short_of_supplier().await;
    let node = world.start().await;
    node.publish(&world, 5).await;
    node.submit_all(&world, 5, 0).await;
    assert_eq!(node.close(5, 0).await.1["code"], "settlement.supplier_account_too_small");
    world.l1.fund_supplier_account(10_000).await.unwrap();
    assert_eq!(node.header(5, &transfer(Pool::SupplierIn, 10_000)).await.0, 201);
    let (status, body) = node.close(5, 0).await;
    assert_eq!(status, 200, "{body}");
    node.settled(5, 1).await;
    assert_eq!(world.l1.supplier_funds().await.unwrap(), 0);
    node.handle.shutdown().await;
}
