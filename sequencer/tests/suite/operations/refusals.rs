//! What is refused at the door, and what only the closed period tells.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_closed_period_tells_is_refused_then_and_stops_nobody() {
    let world = world().await;
    let node = world.start().await;
    let (n0, n1, n2) = (world.nonce(0), world.nonce(1), world.nonce(2));
    let code = async |path: &String| {
        let state = node.get(path).await.1;
        assert_eq!(state["state"], "refused", "{state}");
        state["code"].as_str().unwrap().to_owned()
    };
    let cases = [
        ("operation.insufficient", withdraw(&world, 0, n0, units(5000))),
        // Of the same slot, after the refused one: its nonce is wrong now.
        ("operation.nonce", withdraw(&world, 0, n0 + 1, units(1))),
        ("operation.in_debt", withdraw(&world, 1, n1, units(1))),
        ("operation.deposit", take(&world, 2, Kind::Deposit, n2, units(9), 60)),
    ];
    let mut paths = Vec::new();
    for (_, operation) in &cases {
        paths.push(node.accepted(operation).await);
    }
    // The refused take no operation slot.
    let mut fine = Vec::new();
    for n in 0..2 {
        fine.push(take(&world, 2, Kind::Receive, n2 + 1 + n, 100 + u64::from(n), 70 + 2 * u64::from(n)));
        paths.push(node.accepted(&fine[fine.len() - 1]).await);
    }
    node.run_period(&world, 5, 0).await;
    for ((expected, _), path) in cases.iter().zip(&paths) {
        assert_eq!(code(path).await, *expected);
    }
    // Behind a refused one of its slot.
    assert_eq!(code(&paths[4]).await, "operation.nonce");
    // What was refused may be sent again: now with the deposit on L1, and one that is asked back.
    let deposit = &cases[3].1;
    let claim = claim_of(deposit, owner(2));
    for (period, (there, expected)) in (1..).zip([
        (DepositEntry { state: DepositState::RefundRequested(1), ..open_deposit(claim, 9) }, Some("operation.deposit")),
        (open_deposit(claim, 8), Some("operation.deposit")),
        (open_deposit(claim, 9), None),
    ]) {
        world.l1.put_deposit(there);
        let path = node.accepted(deposit).await;
        node.run_period(&world, 5, period).await;
        match expected {
            Some(expected) => assert_eq!(code(&path).await, expected),
            None => assert_eq!(node.get(&path).await.1["state"], "applied"),
        }
    }
    // Claims: never opened; opened twice; received twice.
    let to_two = send(&world, owner(2), n0, 100, 70);
    let first = node.accepted(&to_two).await;
    let again = node.accepted(&send(&world, owner(2), n0 + 1, 100, 70)).await;
    let unknown = node.accepted(&take(&world, 2, Kind::Receive, n2 + 1, 99, 90)).await;
    node.run_period(&world, 5, 4).await;
    assert_eq!(node.get(&first).await.1["state"], "applied");
    assert_eq!(
        (code(&again).await.as_str(), code(&unknown).await.as_str()),
        ("operation.claim_used", "operation.claim")
    );
    let received = node.accepted(&take(&world, 2, Kind::Receive, n2 + 1, 100, 70)).await;
    let twice = node.accepted(&take(&world, 2, Kind::Receive, n2 + 2, 100, 70)).await;
    let used = node.accepted(&send(&world, owner(2), n0 + 1, 100, 70)).await;
    node.run_period(&world, 5, 5).await;
    assert_eq!(node.get(&received).await.1["state"], "applied");
    assert_eq!((code(&twice).await.as_str(), code(&used).await.as_str()), ("operation.claim", "operation.claim_used"));
    // Closing pays exactly everything.
    let close = node.accepted(&world.operation(2, Kind::Close, n2 + 2, |o| o.amount = units(1))).await;
    node.run_period(&world, 5, 6).await;
    assert_eq!(code(&close).await, "operation.not_all");
    node.settled(5, 7).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_admission_has_its_code_and_changes_nothing() {
    let world = world().await;
    let mut config = world.config(&world.data());
    config.limits.operations = 5;
    let node = world.start_with(config).await;
    let (n0, n2) = (world.nonce(0), world.nonce(2));
    let terms = || Some(Terms { active_until: Interval(9), scale: 1, ..Terms::default() });
    let stranger = SecretKey::from_seed(&[77; 64]);
    let height = node.status().await["log_height"].clone();
    let edited = |mut signed: SignedOperation, edit: fn(&mut SignedOperation)| {
        edit(&mut signed);
        signed
    };
    let cases: Vec<(&str, u16, SignedOperation)> = vec![
        (
            "operation.kind",
            422,
            SignedOperation::forced(world.domain(), Operation::new(Kind::Forced, 5, 0, n0)).unwrap(),
        ),
        ("account.unknown", 404, world.operation(4, Kind::Rotate, 0, |_| {})),
        ("account.unknown", 404, world.operation(0, Kind::Rotate, 0, |o| o.community = 6)),
        ("operation.field", 422, world.operation(0, Kind::Withdraw, n0, |o| o.party = Fr::from(3u64))),
        (
            "operation.field",
            422,
            edited(
                world.operation(0, Kind::Terms, n0, |o| o.terms = Some(Terms { scale: 1, ..Terms::default() })),
                |s| s.mdm = None,
            ),
        ),
        ("operation.owner", 422, world.operation_by(&stranger, 0, Kind::Withdraw, n0, |o| o.amount = units(1))),
        // An empty slot is not told apart.
        ("operation.owner", 422, world.operation_by(&stranger, 3, Kind::Withdraw, 0, |o| o.amount = units(1))),
        ("operation.owner", 422, world.operation_by(&stranger, 0, Kind::Withdraw, n0 + 5, |o| o.amount = units(1))),
        ("operation.signature", 422, edited(withdraw(&world, 0, n0, units(1)), |s| s.operation.amount = units(2))),
        (
            "operation.mdm",
            422,
            edited(world.operation(0, Kind::Terms, n0, |o| o.terms = terms()), |s| s.mdm = Some(s.signature)),
        ),
        ("operation.units", 422, withdraw(&world, 0, n0, units(1) + 1)),
        (
            "operation.not_empty",
            422,
            world.operation(0, Kind::Enrol, n0, |o| {
                (o.party, o.meter, o.terms, o.salts) = (
                    owner(0),
                    Some(fixture::meter_public(9)),
                    Some(Terms { scale: 1, ..Terms::default() }),
                    [Fr::from(1u64); 4],
                );
            }),
        ),
        (
            "operation.terms",
            422,
            world.operation(0, Kind::Terms, n0, |o| o.terms = Some(Terms { scale: 7, ..Terms::default() })),
        ),
        ("operation.nonce", 409, withdraw(&world, 0, n0 + 1, units(1))),
    ];
    for (code, status, operation) in cases {
        let (got, body) = node.operate(&operation).await;
        assert_eq!((got, body["code"].as_str().unwrap()), (status, code), "{body}");
        assert!(code == "operation.nonce" || body["expected"].is_null());
    }
    assert_eq!(node.status().await["log_height"], height);
    for n in 0..4 {
        node.accepted(&withdraw(&world, 0, n0 + n, units(1))).await;
    }
    let (status, body) = node.operate(&withdraw(&world, 0, n0 + 4, units(1))).await;
    assert_eq!((status, &body["code"]), (429, &json!("operation.too_many")));
    assert_eq!(node.operate(&withdraw(&world, 0, n0 + 2, units(2))).await.1["expected"], json!(n0 + 4));
    node.accepted(&withdraw(&world, 2, n2, units(1))).await;
    let (status, body) = node.operate(&withdraw(&world, 2, n2 + 1, units(1))).await;
    assert_eq!((status, &body["code"]), (503, &json!("operation.queue_full")));
    let unknown = format!("/v1/operations/0x{}", "12".repeat(32));
    assert_eq!(node.get(&unknown).await.1["code"], "operation.unknown");
    assert_eq!(node.get("/v1/operations/0x12").await.1["code"], "path.malformed");
    assert_eq!(node.get(&format!("/v1/notes/0x{}", "12".repeat(32))).await.1["code"], "note.unknown");
    assert_eq!(node.get(&format!("/v1/notes/0x{}", "ff".repeat(32))).await.1["code"], "path.malformed");
    assert_eq!(node.post("/v1/operations", &json!({"operation": 3})).await.1["code"], "body.malformed");
    assert_eq!(
        node.post_raw("/v1/operations", "application/json", vec![b' '; 65 << 10]).await.1["code"],
        "body.too_large"
    );
    node.handle.shutdown().await;
}
