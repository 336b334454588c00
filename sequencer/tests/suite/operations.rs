//! Operations, late packets, header operations and L1's queues, from the interface to L1.
mod late;

use std::sync::{Arc, atomic::Ordering};

use crate::common::{Node, World, effects, first_interval, open_deposit, owner_key, paid_units, units, until};
use gridveil_api::public::NotePath;
use gridveil_protocol::{
    account::Terms,
    field::{Fr, hex_fr, to_bytes},
    fixture,
    header_operation::{HeaderOperation, Management, Place, Pool, Transfer},
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation},
    owner::owner_of,
    packet::SignedPacket,
    poseidon::DomainTag,
    receipt::{Receipt, ReceiptRequest},
    schnorr::SecretKey,
    units::Interval,
};
use gridveil_sequencer::{Clock, GenesisState, serve};
use gridveil_verifier_contract::{
    ChainL1, DepositEntry, DepositState, MemberL1, OperatorL1, QueuesL1, RollupEffect, TransferState,
};
use serde_json::{Value, json};

const PAYOUT: [u8; 20] = [0xab; 20];
const TOKEN_PER_UNIT: u128 = 10_000;

/// Slots 0 and 2 have money, slot 1 owes.
fn rich(genesis: &mut GenesisState) {
    let accounts = &mut genesis.communities[0].accounts;
    (accounts[0].balance, accounts[2].balance) = (units(1000), units(2000) + 7);
    accounts[0].payout = PAYOUT;
}

async fn world() -> World {
    World::with(rich).await
}

fn salts(seed: u64) -> [Fr; 4] {
    [Fr::from(seed), Fr::from(seed + 1), Fr::from(0u64), Fr::from(0u64)]
}

fn withdraw(world: &World, slot: u16, nonce: u32, amount: u64) -> SignedOperation {
    world.operation(slot, Kind::Withdraw, nonce, |o| o.amount = amount)
}

fn send(world: &World, to: Fr, nonce: u32, amount: u64, seed: u64) -> SignedOperation {
    world.operation(0, Kind::Send, nonce, |o| {
        (o.amount, o.party, o.payout, o.salts) = (amount, to, [2; 20], salts(seed))
    })
}

fn take(world: &World, slot: u16, kind: Kind, nonce: u32, amount: u64, seed: u64) -> SignedOperation {
    world.operation(slot, kind, nonce, |o| (o.amount, o.payout, o.salts) = (amount, [2; 20], salts(seed)))
}

fn owner(slot: usize) -> Fr {
    owner_of(&owner_key(slot)).commitment()
}

fn claim_of(signed: &SignedOperation, recipient: Fr) -> [u8; 32] {
    to_bytes(&signed.operation.claim(recipient))
}

async fn receipt(node: &Node, world: &World, signer: &SecretKey, slot: u16, period: u32) -> (u16, Value) {
    let (first_interval, timestamp) = (first_interval() + 2 * period, Clock::system().now());
    let message = ReceiptRequest::message(world.domain(), 5, slot, first_interval, timestamp);
    let signature = signer.sign(DomainTag::Request, &message).unwrap();
    let request = ReceiptRequest { community: 5, slot, first_interval, timestamp, owner: owner_of(signer), signature };
    node.post("/v1/receipts", &serde_json::to_value(request).unwrap()).await
}

async fn verified(node: &Node, world: &World, signer: &SecretKey, slot: u16, period: u32) -> Receipt {
    let (status, body) = receipt(node, world, signer, slot, period).await;
    assert_eq!(status, 200, "{body}");
    let receipt: Receipt = serde_json::from_value(body).unwrap();
    let (_, state) = node.get("/v1/communities/5").await;
    let settled =
        state["settled"].as_array().unwrap().iter().find(|s| s["first_interval"] == receipt.first_interval.0).unwrap();
    let root = hex_fr::parse(settled["root"].as_str().unwrap()).unwrap();
    receipt.verify(None, &world.tariff, root).unwrap();
    receipt
}

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
    let (heir, newcomer) = (SecretKey::from_seed(&[61; 64]), SecretKey::from_seed(&[62; 64]));
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

    // In one settlement: slot 2 is left and taken by somebody else.
    let stranger_terms = Some(Terms { active_until: Interval::MAX, cap_import: 5, scale: 1, ..Terms::default() });
    node.accepted(&world.operation(2, Kind::Close, n2, |o| o.amount = units(2000))).await;
    let enrol = world.operation_by(&newcomer, 2, Kind::Enrol, n2 + 1, |o| {
        (o.party, o.payout, o.salts) =
            (owner_of(&newcomer).commitment(), [4; 20], std::array::from_fn(|i| Fr::from(500 + i as u64)));
        (o.meter, o.terms) = (Some(fixture::meter_public(7)), stranger_terms);
    });
    node.accepted(&enrol).await;
    let rotated = world.packet(5, 1, 1, false).packet.sign(&fixture::meter_key(8)).unwrap();
    for packet in [world.packet(5, 1, 0, false), rotated, idle(1, &fixture::meter_key(2))] {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    assert_eq!(node.close(5, 1).await.0, 200);
    node.settled(5, 2).await;
    assert_eq!(
        verified(&node, &world, &owner_key(2), 2, 1).await.operations.len(),
        2,
        "who left still gets the last receipt"
    );
    assert_eq!(
        receipt(&node, &world, &newcomer, 2, 1).await.1["code"],
        "request.signature",
        "and who came does not see it"
    );
    assert_eq!(paid_units(&world.l1).await.0, 2000);
    let own = world.packet(5, 2, 2, false).packet.sign(&fixture::meter_key(7)).unwrap();
    assert_eq!(node.submit(&own).await.0, 201);
    for packet in
        [world.packet(5, 2, 0, false), world.packet(5, 2, 1, false).packet.sign(&fixture::meter_key(8)).unwrap()]
    {
        assert_eq!(node.submit(&packet).await.0, 201);
    }
    // And somebody into the slot that was empty from the beginning.
    let third = SecretKey::from_seed(&[63; 64]);
    node.accepted(&world.operation_by(&third, 3, Kind::Enrol, 0, |o| {
        (o.party, o.payout, o.salts) =
            (owner_of(&third).commitment(), [5; 20], std::array::from_fn(|i| Fr::from(600 + i as u64)));
        (o.meter, o.terms) = (Some(fixture::meter_public(3)), stranger_terms);
    }))
    .await;
    assert_eq!(node.close(5, 2).await.0, 200);
    node.settled(5, 3).await;
    verified(&node, &world, &newcomer, 2, 2).await;
    assert!(verified(&node, &world, &third, 3, 2).await.before.meter.is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_queues_are_served_once_while_batches_wait() {
    let world = world().await;
    let node = world.start().await;
    world.l1.put_forced(5, &[(0, PAYOUT), (0, [9; 20]), (3, [9; 20]), (2, [9; 20])]);
    world.l1.put_forced(7, &[(1, [8; 20])]);
    world.l1.put_notes((100..140u64).map(|n| to_bytes(&Fr::from(n))));
    let waits = node.accepted(&withdraw(&world, 2, world.nonce(2), units(1))).await;
    // Nothing reaches L1 while three batches are applied.
    world.prover.stuck.store(true, Ordering::SeqCst);
    node.run_period(&world, 5, 0).await;
    assert_eq!(node.get(&waits).await.1["state"], "pending", "the forced queue comes first");
    node.run_period(&world, 7, 0).await;
    node.run_period(&world, 5, 1).await;
    assert_eq!(node.get(&waits).await.1, json!({"state": "applied", "batch": 3, "final": false}));
    let note = |n: u64| format!("/v1/notes/0x{}", hex::encode(to_bytes(&Fr::from(n))));
    assert_eq!(node.get(&note(120)).await.1["code"], "note.not_settled");
    node.handle.kill().await;
    world.prover.stuck.store(false, Ordering::SeqCst);
    let node = world.start().await;
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    let l1 = &world.l1;
    for community in [5, 7] {
        assert!(l1.forced_queue(community).await.unwrap().is_empty());
    }
    assert!(l1.pending_notes(1).await.unwrap().is_empty());
    assert!(l1.withdrawable(PAYOUT).await.unwrap() > 900 * TOKEN_PER_UNIT);
    assert_eq!(l1.withdrawable([9; 20]).await.unwrap(), 0);
    for n in [100u64, 115, 116, 131, 132, 139] {
        let (status, body) = node.get(&note(n)).await;
        assert_eq!(status, 200, "{body}");
        let path: NotePath = serde_json::from_value(body).unwrap();
        assert!(path.leads_from(Fr::from(n)) && path.path.len() == 22);
        assert_eq!(
            path.root,
            hex_fr::parse(&format!("0x{}", hex::encode(world.l1.root_at(path.batch).await.unwrap()))).unwrap()
        );
    }
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// Which settlement of community 5 a decision is for.
fn place(nonce: u64, period: u32) -> Place {
    Place { community: 5, nonce, first_interval: first_interval() + 2 * period }
}

fn transfer(pool: Pool, units: u64) -> Value {
    serde_json::to_value(HeaderOperation { transfer: Some(Transfer { pool, units }), management: None }).unwrap()
}

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
    let mut world = World::with(|g| g.communities[0].header.supplier_account = 0).await;
    for interval in &mut world.tariff.intervals {
        interval.classes.iter_mut().for_each(|c| (c.feed_in, c.energy) = (900_000, 0));
    }
    world.l1 = Arc::new(crate::common::new_l1(&world.genesis, &world.tariff).await);
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
    assert_eq!(node.get("/v1/communities/5").await.1["open"]["expected"], 0);
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

/// A community whose supplier account cannot pay what the tariff feeds in: a closed period of it waits.
async fn short_of_supplier() -> World {
    let mut world = World::with(|g| g.communities[0].header.supplier_account = 0).await;
    for interval in &mut world.tariff.intervals {
        interval.classes.iter_mut().for_each(|c| (c.feed_in, c.energy) = (900_000, 0));
    }
    world.l1 = Arc::new(crate::common::new_l1(&world.genesis, &world.tariff).await);
    world
}
