//! What sending a request twice does.
use gridveil_protocol::operation::Kind;
use gridveil_verifier_contract::OperatorL1 as _;
use serde_json::{Value, json};

use crate::common::{Answer, Node, TOKEN, World, units};

async fn transfer(node: &Node, key: Option<&str>, units: u64) -> Answer {
    let url = format!("http://{}/admin/v1/communities/5/header-operation", node.handle.admin_address());
    let request =
        node.http.post(url).json(&json!({"transfer": {"pool": "supplier_in", "units": units}})).bearer_auth(TOKEN);
    let request = if let Some(key) = key { request.header("idempotency-key", key) } else { request };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Units that were moved into the community's supplier account.
async fn moved(world: &World) -> u64 {
    let effects = crate::common::effects(&world.l1).await;
    let of = |effect| match effect {
        gridveil_verifier_contract::RollupEffect::SupplierMoved { kind: 16, units, .. } => units,
        _ => 0,
    };
    effects.into_iter().map(of).sum()
}

/// A transfer has no nonce: without a key it is done again after its settlement. Under a key it is done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_under_a_key_is_done_once() {
    let world = World::new().await;
    world.l1.fund_supplier_account(100).await.unwrap();
    let node = world.start().await;
    let text = "\"8e03978e-40d5-43e8-bc93\"";
    let key = Some(text);
    let (status, taken) = transfer(&node, key, 3).await;
    assert_eq!((status, &taken["status"]), (201, &json!("accepted")));
    let again = json!({"id": taken["id"], "status": "duplicate"});
    assert_eq!(transfer(&node, key, 3).await, (200, again.clone()));
    // Something else under the same key, while it waits and after.
    assert_eq!(transfer(&node, key, 4).await.1["code"], "idempotency.other");
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    assert_eq!(transfer(&node, key, 3).await, (200, again.clone()), "it is settled");
    node.handle.kill().await;
    let node = world.start().await;
    assert_eq!(transfer(&node, key, 3).await, (200, again), "after a crash");
    assert_eq!(transfer(&node, key, 4).await.1["code"], "idempotency.other");
    assert_eq!(node.status().await["communities"][0]["header_pending"], false);
    // In another community the key is another.
    let url = format!("http://{}/admin/v1/communities/7/header-operation", node.handle.admin_address());
    let other = node.http.post(url).json(&json!({"transfer": {"pool": "supplier_in", "units": 9}}));
    let other = other.bearer_auth(TOKEN).header("idempotency-key", text).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 201);
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    assert_eq!(moved(&world).await, 3);
    // Without one, the same is another transfer once the first is settled. The page says so.
    assert_eq!(transfer(&node, None, 3).await.0, 201);
    assert_eq!(transfer(&node, None, 3).await.0, 200);
    node.run_period(&world, 5, 2).await;
    node.settled(5, 3).await;
    assert_eq!(transfer(&node, None, 3).await.0, 201);
    node.handle.shutdown().await;
}

/// A log from before the key, and an index made anew from the log, know it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_the_log() {
    let world = World::new().await;
    let node = world.start().await;
    assert_eq!(transfer(&node, Some("of-the-log-1"), 3).await.0, 201);
    node.handle.kill().await;
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    let node = world.start().await;
    assert_eq!(transfer(&node, Some("of-the-log-1"), 3).await.0, 200);
    assert_eq!(transfer(&node, Some("of-the-log-1"), 5).await.1["code"], "idempotency.other");
    node.handle.shutdown().await;
}

/// Every other request that changes something is what it is by its content: the second is answered and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_done_once() {
    let world = World::new().await;
    let mut node = world.start().await;
    let operation = world.operation(0, Kind::Withdraw, world.nonce(0), |o| o.amount = units(1));
    let packet = serde_json::to_value(world.packet(5, 0, 0, false)).unwrap();
    let operation = serde_json::to_value(operation).unwrap();
    assert_eq!(node.publish(&world, 5).await.0, 201);
    assert_eq!(node.post("/v1/packets", &packet).await.0, 201);
    assert_eq!(node.post("/v1/operations", &operation).await.0, 201);
    node.submit_all(&world, 5, 0).await;
    let closed = node.close(5, 0).await;
    assert_eq!(closed.0, 200);
    let height = async |node: &Node| {
        node.settled(5, 1).await;
        node.status().await["log_height"].clone()
    };
    let before = height(&node).await;
    for crash in [false, true] {
        if crash {
            node.handle.kill().await;
            node = world.start().await;
        }
        assert_eq!(node.publish(&world, 5).await.0, 200);
        assert_eq!(node.post("/v1/packets", &packet).await.1["status"], "duplicate");
        assert_eq!(node.post("/v1/operations", &operation).await.1["status"], "duplicate");
        assert_eq!(node.close(5, 0).await, closed);
        assert_eq!(height(&node).await, before, "after a crash: {crash}");
    }
    let rows: Value =
        node.post_raw("/v1/packets/bulk", "application/x-ndjson", packet.to_string().into_bytes()).await.1;
    assert_eq!(rows["rows"][0]["status"], "duplicate");
    node.handle.shutdown().await;
}
