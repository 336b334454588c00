//! The HTTP interface: every answer and every refusal of docs/spec/api.md.
use std::sync::{Arc, atomic::Ordering};

use crate::common::{CHAIN, TOKEN, USED, World, first_interval, owner_key, until};
use gridveil_protocol::{
    codec::{encode_packet, packet_id},
    field::{Fr, hex_fr, to_bytes},
    fixture,
    opening::PeriodOpening,
    owner::owner_of,
    packet::{Reading, SignedPacket},
    poseidon::DomainTag,
    receipt::{Receipt, ReceiptRequest},
    units::{Interval, Ticks},
};
use gridveil_sequencer::Clock;
use gridveil_verifier_contract::AuditorL1 as _;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_period_from_packets_to_receipts() {
    let world = World::new().await;
    let node = world.start().await;
    let (status, info) = node.get("/v1/info").await;
    assert_eq!((status, &info["chain_id"]), (200, &json!(CHAIN)));
    assert_eq!(info["domain"], json!(format!("0x{}", hex::encode(to_bytes(&world.domain())))));
    let first = first_interval();
    assert_eq!(node.get(&format!("/v1/communities/5/tariffs/{first}")).await.1["code"], "tariff.unknown");
    let (status, body) = node.publish(&world, 5).await;
    assert_eq!((status, &body["l1"]), (201, &json!("registered")));
    assert_eq!(node.publish(&world, 5).await.0, 200);
    assert_eq!(
        node.get(&format!("/v1/communities/5/tariffs/{}", first + 2)).await.1,
        serde_json::to_value(&world.tariff).unwrap()
    );

    let packet = world.packet(5, 0, 0, false);
    let id = format!("0x{}", hex::encode(packet_id(&packet)));
    assert_eq!(node.submit(&packet).await, (201, json!({"packet_id": id, "status": "accepted"})));
    assert_eq!(node.submit(&packet).await, (200, json!({"packet_id": id, "status": "duplicate"})));
    let bytes = encode_packet(&world.packet(5, 0, 1, false));
    assert_eq!(node.post_raw("/v1/packets", "application/octet-stream", bytes).await.0, 201);
    let (_, state) = node.get("/v1/communities/5").await;
    assert_eq!(state["open"], json!({"first_interval": first, "closed": false}));
    let (status, refusal) = node.close(5, 0).await;
    assert_eq!((status, &refusal["code"], &refusal["missing"]), (409, &json!("close.missing"), &json!([2])));
    assert_eq!(node.submit(&world.packet(5, 0, 2, true)).await.0, 201);
    // The meter's packet wins over the substitute.
    assert_eq!(node.submit(&world.packet(5, 0, 2, false)).await.0, 201);
    let (status, closed) = node.close(5, 0).await;
    assert_eq!(status, 200, "{closed}");
    assert_eq!(node.close(5, 0).await.1, closed);
    // The next period's packets are taken while this one is proven.
    assert_eq!(node.submit(&world.packet(5, 1, 0, false)).await.0, 201);
    let state = node.settled(5, 1).await;
    assert_eq!(state["settled"][0]["root"], closed["new_root"]);
    assert_eq!(state["settled"][0]["batch"], 1);
    assert!(state["settled"][0]["tx"].is_string());
    // An outbox that lost the answer sends again, after the close.
    assert_eq!(node.submit(&packet).await.0, 200);
    assert_eq!(node.submit(&world.packet(5, 0, 1, true)).await.1["code"], "packet.closed");

    let root = hex_fr::parse(closed["new_root"].as_str().unwrap()).unwrap();
    for slot in 0..USED {
        let (status, body) = node.post("/v1/receipts", &request(&world, slot, slot, 0, Clock::system().now())).await;
        assert_eq!(status, 200, "{body}");
        let receipt: Receipt = serde_json::from_value(body).unwrap();
        assert!(!receipt.substituted);
        let own = world.packet(5, 0, slot, false).packet.readings;
        receipt.verify(Some(&own), &world.tariff, root).unwrap();
    }
    assert_eq!(node.get("/healthz").await, (200, json!({"status": "ok", "reasons": []})));
    let (_, metrics) = node.watched("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("gridveil_packets_accepted_total 5\n"), "{metrics}");
    node.handle.shutdown().await;
}

fn request(world: &World, slot: usize, signer: usize, period: u32, timestamp: u64) -> Value {
    let slot = u16::try_from(slot).unwrap();
    let first_interval = first_interval() + 2 * period;
    let message = ReceiptRequest::message(world.domain(), 5, slot, first_interval, timestamp);
    let key = owner_key(signer);
    let signature = key.sign(DomainTag::Request, &message).unwrap();
    serde_json::to_value(ReceiptRequest {
        community: 5,
        slot,
        first_interval,
        timestamp,
        owner: owner_of(&key),
        signature,
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_only_for_the_owner_and_what_is_final() {
    let world = World::new().await;
    let node = world.start().await;
    let now = Clock::system().now();
    let code = async |body: &Value| {
        let (status, answer) = node.post("/v1/receipts", body).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(&request(&world, 0, 0, 0, now)).await, (404, "receipt.not_settled".to_owned()));
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    assert_eq!(code(&request(&world, 0, 1, 0, now)).await, (401, "request.signature".to_owned()));
    assert_eq!(code(&request(&world, 3, 0, 0, now)).await, (401, "request.signature".to_owned()));
    assert_eq!(code(&request(&world, 60, 0, 0, now)).await, (401, "request.signature".to_owned()));
    assert_eq!(code(&request(&world, 0, 0, 0, now - 301)).await, (401, "request.timestamp".to_owned()));
    assert_eq!(code(&request(&world, 0, 0, 0, now + 400)).await, (401, "request.timestamp".to_owned()));
    let mut moved = request(&world, 0, 0, 0, now);
    moved["slot"] = json!(1);
    assert_eq!(code(&moved).await, (401, "request.signature".to_owned()));
    assert_eq!(code(&request(&world, 0, 0, 1, now)).await, (404, "receipt.not_settled".to_owned()));
    node.handle.shutdown().await;
}

fn edited(world: &World, slot: usize, substituted: bool, edit: impl FnOnce(&mut SignedPacket)) -> SignedPacket {
    let mut signed = world.packet(5, 0, slot, substituted);
    edit(&mut signed);
    let key = if signed.packet.substituted { fixture::mdm_key() } else { fixture::meter_key(slot) };
    signed.packet.sign(&key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_refusal_has_its_code_and_changes_nothing() {
    let world = World::with(|g| {
        let limited = &mut g.communities[0].accounts;
        limited[1].terms.active_until = first_interval() + 1;
        limited[2].terms.cap_import = 10;
    })
    .await;
    let node = world.start().await;
    let height = node.status().await["log_height"].clone();
    let cases: Vec<(&str, u16, SignedPacket)> = vec![
        ("packet.context", 422, edited(&world, 0, false, |p| p.packet.context.domain += Fr::from(1u64))),
        ("packet.context", 422, edited(&world, 0, false, |p| p.packet.context.interval_length = 900)),
        ("packet.context", 422, edited(&world, 0, false, |p| p.packet.context.intervals = 3)),
        ("packet.context", 422, edited(&world, 0, false, |p| p.packet.context.first_interval += 1)),
        ("account.unknown", 404, edited(&world, 0, false, |p| p.packet.context.community = 6)),
        ("packet.signature", 422, edited(&world, 3, false, |_| {})),
        ("account.unknown", 404, edited(&world, 3, true, |_| {})),
        ("account.unknown", 404, edited(&world, 0, false, |p| p.packet.slot = 4)),
        ("packet.length", 422, edited(&world, 0, false, |p| p.packet.readings.push(Reading::default()))),
        (
            "packet.previous_substitute",
            422,
            edited(&world, 0, false, |p| p.packet.previous_substitute = Fr::from(1u64)),
        ),
        ("packet.stale", 409, edited(&world, 0, true, |p| p.packet.previous_substitute = Fr::from(1u64))),
        ("packet.signature", 422, edited(&world, 1, false, |p| p.packet.slot = 0)),
        ("packet.signature", 422, {
            let mut p = world.packet(5, 0, 0, false);
            p.packet.readings[0].import ^= 1;
            p
        }),
        ("packet.signature", 422, {
            let mut p = world.packet(5, 0, 0, false);
            p.packet.substituted = true;
            p
        }),
        ("packet.scale", 422, edited(&world, 0, false, |p| p.packet.scale = 100)),
        ("packet.inactive", 422, edited(&world, 1, false, |p| p.packet.readings[1].export = 1)),
        ("packet.cap", 422, edited(&world, 2, true, |p| p.packet.readings[0].import = 11)),
        ("packet.early", 409, world.packet(5, 1, 0, false)),
        ("packet.closed", 410, edited(&world, 0, false, |p| p.packet.context.first_interval.0 -= 2)),
    ];
    for (code, status, packet) in cases {
        let (got, body) = node.submit(&packet).await;
        assert_eq!((got, body["code"].as_str().unwrap()), (status, code), "{body}");
        assert_eq!(body["type"], json!(format!("urn:gridveil:problem:{code}")));
    }
    assert_eq!(node.status().await["log_height"], height);
    assert_eq!(node.submit(&world.packet(5, 0, 0, false)).await.0, 201);
    let other = edited(&world, 0, false, |p| p.packet.buy_limit.0 += 1);
    assert_eq!(node.submit(&other).await.1["code"], "packet.duplicate");
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_without_repeating_them() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    config.limits.request = std::time::Duration::from_secs(5);
    let node = world.start_with(config).await;
    let mut json = serde_json::to_value(world.packet(5, 0, 0, false)).unwrap();
    json["readings"][0]["import"] = json!("424242");
    let (status, body) = node.post("/v1/packets", &json).await;
    assert_eq!((status, &body["code"]), (400, &json!("body.malformed")));
    assert!(body["line"].is_u64() && body["column"].is_u64());
    assert!(!body.to_string().contains("424242"));
    for (media, bytes, code) in [
        ("application/json", b"{\"slot\": ".to_vec(), "body.malformed"),
        ("application/json", b"[1,".to_vec(), "body.malformed"),
        ("application/octet-stream", b"GVP1 and then".to_vec(), "body.malformed"),
        ("text/plain", b"x".to_vec(), "body.media_type"),
        ("application/json", vec![b' '; 65 << 10], "body.too_large"),
        ("application/octet-stream", vec![0; 80 << 10], "body.too_large"),
    ] {
        assert_eq!(node.post_raw("/v1/packets", media, bytes).await.1["code"], code);
    }
    // A much larger body is refused by its announced length: a client that is still writing sees the answer or a closed
    // connection.
    let flood = node.http.post(format!("http://{}/v1/packets", node.handle.public_address())).body(vec![0; 1 << 20]);
    if let Ok(answer) = flood.header("content-type", "application/octet-stream").send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    assert_eq!(node.post_raw("/v1/receipts", "text/plain", Vec::new()).await.1["code"], "body.media_type");
    assert_eq!(node.post("/v1/receipts", &json!({})).await.1["code"], "body.malformed");
    assert_eq!(node.get("/v1/communities/x").await.1["code"], "path.malformed");
    assert_eq!(node.get("/v1/communities/6").await.1["code"], "account.unknown");
    assert_eq!(node.get("/nowhere").await.1["code"], "route.unknown");
    assert_eq!(node.get("/v1/packets").await.1["code"], "method.not_allowed");
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_asks_for_its_token_and_checks_what_it_is_told() {
    let world = World::new().await;
    let node = world.start().await;
    assert_eq!(node.admin("/admin/v1/status", None, "another token, wrong").await.1["code"], "admin.token");
    assert_eq!(node.get("/admin/v1/status").await.0, 404);
    assert_eq!(node.close(6, 0).await.1["code"], "account.unknown");
    assert_eq!(node.close(5, 1).await.1["code"], "close.period");
    assert_eq!(node.close(5, 0).await.1["code"], "tariff.unknown");
    let mut other = world.tariff.clone();
    other.intervals[0].cap.0 ^= 1;
    let publish = async |first: Interval, tariff: &gridveil_protocol::tariff::Tariff| {
        let body = json!({"first_interval": first, "tariff": tariff});
        node.admin("/admin/v1/communities/5/tariffs", Some(&body), TOKEN).await.1
    };
    assert_eq!(publish(first_interval(), &other).await["code"], "tariff.not_in_force");
    // Not on L1 yet: taken as pending before its period begins, but nothing closes under it.
    world.l1.set_timestamp(u64::from(first_interval().0 - 1) * 3600 - 1);
    assert_eq!(publish(first_interval() - 1, &other).await["l1"], "pending");
    assert_eq!(publish(first_interval() - 1, &world.tariff).await["code"], "tariff.published");
    world.l1.set_timestamp(4_000_000_000);
    assert_eq!(node.close(5, 0).await.1["code"], "tariff.not_in_force");
    let mut short = world.tariff.clone();
    short.intervals.pop();
    assert_eq!(publish(first_interval(), &short).await["code"], "tariff.length");
    node.publish(&world, 5).await;
    world.l1.set_timestamp((first_interval() + 2).start(3600) - 1);
    node.submit_all(&world, 5, 0).await;
    assert_eq!(node.close(5, 0).await.1["code"], "close.not_over");
    world.l1.set_timestamp((first_interval() + 2).start(3600));
    world.l1.faults.down.store(true, Ordering::SeqCst);
    assert_eq!(node.close(5, 0).await.1["code"], "l1.unreachable");
    world.l1.faults.down.store(false, Ordering::SeqCst);
    assert_eq!(node.close(5, 0).await.0, 200);
    assert_eq!(publish(first_interval(), &other).await["code"], "tariff.not_in_force");
    assert_eq!(publish(first_interval() - 2, &other).await["code"], "tariff.closed");
    let status = node.status().await;
    assert_eq!(status["communities"][0]["batches"][0]["batch"], 1);
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_submissions_accept_one_packet_a_slot() {
    let world = Arc::new(World::new().await);
    let node = Arc::new(world.start().await);
    let mut tasks = Vec::new();
    for n in 0..48u16 {
        let (world, node) = (Arc::clone(&world), Arc::clone(&node));
        tasks.push(tokio::spawn(async move {
            let slot = usize::from(n % 3);
            // Half of them send the same packet, half one of their own.
            let packet = if n % 2 == 0 {
                world.packet(5, 0, slot, false)
            } else {
                edited(&world, slot, false, |p| p.packet.buy_limit = Ticks(n))
            };
            (slot, node.submit(&packet).await)
        }));
    }
    let mut accepted = [0; USED];
    for task in tasks {
        let (slot, (status, body)) = task.await.unwrap();
        assert!([200, 201, 409].contains(&status), "{body}");
        accepted[slot] += u32::from(status == 201);
    }
    assert_eq!(accepted, [1; USED]);
    let status = node.status().await;
    let community = status["communities"].as_array().unwrap().iter().find(|c| c["community"] == 5).unwrap();
    assert_eq!((&community["packets"], &community["accounts"]), (&json!(USED), &json!(USED)));
    Arc::into_inner(node).unwrap().handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_and_time_are_bounded() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    config.limits.in_flight = 0;
    let node = world.start_with(config).await;
    let response = node.http.get(format!("http://{}/v1/info", node.handle.public_address())).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    node.handle.kill().await;
    let mut config = world.config(&world.data());
    config.limits.body = std::time::Duration::from_millis(100);
    let node = world.start_with(config).await;
    // A body that is announced and never sent.
    let mut slow = tokio::net::TcpStream::connect(node.handle.public_address()).await.unwrap();
    let head = b"POST /v1/packets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut slow, head).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut slow, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("request.timeout"), "{answer}");
    node.handle.kill().await;
    let mut config = world.config(&world.data());
    config.auto_close = true;
    config.auto_close_every = std::time::Duration::from_millis(20);
    let node = world.start_with(config).await;
    node.publish(&world, 5).await;
    node.submit_all(&world, 5, 0).await;
    until("closed by itself", async || {
        node.get("/v1/communities/5").await.1["next_interval"] == (first_interval() + 2).0
    })
    .await;
    node.handle.shutdown().await;
}

/// The headers around a final period's batch, to who has the token, and the same after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_final_periods_headers_are_opened_to_the_operator_alone() {
    let world = World::with(|g| {
        crate::common::empty(&mut g.communities[1]);
        g.begins = vec![7];
    })
    .await;
    let node = world.start().await;
    let first = first_interval();
    let path = |community: u32, first: Interval| format!("/admin/v1/communities/{community}/header/{first}");
    let code =
        async |path: String| node.admin(&path, None, TOKEN).await.1["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(node.admin(&path(5, first), None, "another token of bytes").await.0, 401);
    assert_eq!(code(path(5, first)).await, "header.not_settled");
    assert_eq!(code(path(6, first)).await, "account.unknown");
    assert_eq!(code("/admin/v1/communities/5/header/x".into()).await, "path.malformed");
    node.run_period(&world, 5, 0).await;
    node.run_period(&world, 5, 1).await;
    node.publish(&world, 7).await;
    assert_eq!(node.close(7, 0).await.0, 200);
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    assert_eq!(code(path(5, first + 1)).await, "header.unknown");
    assert_eq!(code(path(5, first + 4)).await, "header.not_settled");
    let mut opened = Vec::new();
    for (community, first) in [(5, first), (5, first + 2), (7, first)] {
        let (status, body) = node.admin(&path(community, first), None, TOKEN).await;
        assert_eq!(status, 200, "{body}");
        opened.push(serde_json::from_value::<PeriodOpening>(body).unwrap());
    }
    let calls: Vec<_> = world.l1.settled_batches(0).await.unwrap().into_iter().map(|batch| batch.call).collect();
    let leaf =
        |community: u32, nth: usize| calls.iter().filter(|call| call.community == community).nth(nth).unwrap().data[4];
    let [one, two, began] = &opened[..] else { panic!("three") };
    assert_eq!(to_bytes(&one.after.leaf()), leaf(5, 0));
    assert_eq!((to_bytes(&two.before.as_ref().unwrap().leaf()), to_bytes(&two.after.leaf())), (leaf(5, 0), leaf(5, 1)));
    assert_eq!(to_bytes(&began.after.leaf()), leaf(7, 0));
    // The first header of a community was never published: it is in the genesis root, or there was none.
    let place = one.genesis.as_ref().unwrap();
    assert_eq!(place.root(one.before.as_ref().unwrap().leaf(), 5), Some(world.genesis.public().root));
    assert!(two.genesis.is_none() && began.genesis.is_none() && began.before.is_none());
    node.handle.kill().await;
    let node = world.start().await;
    for opening in &opened {
        let (_, body) = node.admin(&path(opening.community, opening.first_interval), None, TOKEN).await;
        assert_eq!(serde_json::from_value::<PeriodOpening>(body).unwrap(), *opening);
    }
    node.handle.shutdown().await;
}
