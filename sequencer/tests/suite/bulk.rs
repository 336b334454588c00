//! Many packets or operations in one request.
use std::time::{Duration, Instant};

use gridveil_protocol::{
    codec::encode_packet,
    community::Community,
    fixture::{self, Recipe, Stream},
    market::Mechanism,
    operation::Kind,
    packet::{Context, Packet, PacketSalts, Reading},
    params::Shape,
    units::{Interval, Ticks},
};
use serde_json::{Value, json};

use crate::common::{Answer, Node, World, units};

const LINES: &str = "application/x-ndjson";

fn lines(rows: &[Value]) -> Vec<u8> {
    rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes()
}

async fn bulk(node: &Node, what: &str, rows: &[Value]) -> Answer {
    node.post_raw(&format!("/v1/{what}/bulk"), LINES, lines(rows)).await
}

/// What became of each row: its word, or the code of its refusal.
fn words(body: &Value) -> Vec<String> {
    let word = |row: &Value| row.get("status").unwrap_or(&row["problem"]["code"]).as_str().unwrap().to_owned();
    body["rows"].as_array().unwrap_or_else(|| panic!("{body}")).iter().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_stops_no_other() {
    let world = World::new().await;
    let node = world.start().await;
    let packet = |period, slot, substituted| serde_json::to_value(world.packet(5, period, slot, substituted)).unwrap();
    let mut forged = packet(0, 1, false);
    forged["readings"][0]["import"] = json!(424);
    let mut other = world.packet(5, 0, 0, false).packet;
    other.buy_limit = Ticks(other.buy_limit.0 ^ 1);
    let other = other.sign(&gridveil_protocol::fixture::meter_key(0)).unwrap();
    let rows = [
        packet(0, 0, false),
        json!({"planted": 4711}),
        forged,
        packet(0, 0, false),
        serde_json::to_value(&other).unwrap(),
        packet(1, 2, false),
        packet(0, 1, false),
    ];
    let (status, body) = bulk(&node, "packets", &rows).await;
    assert_eq!(status, 200, "{body}");
    let expected =
        ["accepted", "body.malformed", "packet.signature", "duplicate", "packet.duplicate", "packet.early", "accepted"];
    assert_eq!(words(&body), expected);
    assert_eq!((&body["taken"], &body["refused"]), (&json!(3), &json!(4)));
    assert_eq!(body["rows"][6]["row"], 7);
    assert!(!body.to_string().contains("4711") && !body.to_string().contains("424"));
    // What was taken is on disk, after a crash too.
    node.handle.kill().await;
    let node = world.start().await;
    assert_eq!(words(&bulk(&node, "packets", &rows).await.1)[0], "duplicate");
    assert_eq!(node.submit(&world.packet(5, 0, 1, false)).await.0, 200);
    // Canonical bytes, one packet after the other.
    let bytes = [encode_packet(&world.packet(5, 0, 2, false)), encode_packet(&world.packet(5, 0, 0, false))].concat();
    let (status, body) = node.post_raw("/v1/packets/bulk", "application/octet-stream", bytes.clone()).await;
    assert_eq!((status, words(&body)), (200, vec!["accepted".to_owned(), "duplicate".into()]));
    let cut = node.post_raw("/v1/packets/bulk", "application/octet-stream", bytes[..bytes.len() - 1].to_vec()).await;
    assert_eq!((cut.0, &cut.1["code"]), (400, &json!("body.malformed")));
    // A late packet among them.
    node.publish(&world, 7).await;
    node.submit_but(&world, 7, 0, 1).await;
    assert_eq!(node.submit(&world.packet(7, 0, 1, true)).await.0, 201);
    assert_eq!(node.close(7, 0).await.0, 200);
    node.settled(7, 1).await;
    let late = serde_json::to_value(world.packet(7, 0, 1, false)).unwrap();
    assert_eq!(words(&bulk(&node, "packets", &[late]).await.1), ["late"]);
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_a_slot_are_taken_in_their_order() {
    let world = World::new().await;
    let node = world.start().await;
    let withdraw = |slot: u16, more: u32| {
        let nonce = world.nonce(slot.into()) + more;
        serde_json::to_value(world.operation(slot, Kind::Withdraw, nonce, |o| o.amount = units(1))).unwrap()
    };
    let terms = world
        .operation(2, Kind::Terms, world.nonce(2), |o| o.terms = Some(world.genesis.communities[0].accounts[2].terms));
    let rows = [withdraw(0, 0), withdraw(1, 5), withdraw(0, 1), serde_json::to_value(terms).unwrap(), withdraw(0, 2)];
    let (status, body) = bulk(&node, "operations", &rows).await;
    assert_eq!(
        (status, words(&body)),
        (200, ["accepted", "operation.nonce", "accepted", "accepted", "accepted"].map(String::from).to_vec())
    );
    let (_, again) = bulk(&node, "operations", &rows).await;
    assert_eq!(words(&again), ["duplicate", "operation.nonce", "duplicate", "duplicate", "duplicate"]);
    let state = node.get(&format!("/v1/operations/{}", body["rows"][4]["id"].as_str().unwrap())).await;
    assert_eq!(state, (200, json!({"state": "pending"})));
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_bytes_and_bodies_at_once_are_bounded() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    (config.limits.bulk_rows, config.limits.bulk_bytes) = (3, 100 << 10);
    (config.limits.bulk_of_client, config.limits.burst_of_client, config.limits.requests_of_client_per_s) = (0, 40, 1);
    let node = world.start_with(config.clone()).await;
    let row = serde_json::to_value(world.packet(5, 0, 0, false)).unwrap();
    // A body is refused before it is read, where there are as many as may be.
    assert_eq!(bulk(&node, "packets", std::slice::from_ref(&row)).await.1["code"], "client.too_many");
    node.handle.kill().await;
    (config.limits.bulk_of_client, config.limits.bulk) = (2, 0);
    let node = world.start_with(config.clone()).await;
    assert_eq!(bulk(&node, "packets", std::slice::from_ref(&row)).await.1["code"], "queue.full");
    node.handle.kill().await;
    config.limits.bulk = 1;
    let node = world.start_with(config).await;
    let many = vec![row.clone(); 4];
    assert_eq!(bulk(&node, "packets", &many).await.1["code"], "body.too_large");
    assert_eq!(node.post_raw("/v1/packets/bulk", LINES, vec![b' '; 101 << 10]).await.1["code"], "body.too_large");
    // Larger than a single one may be.
    let mut padded = lines(std::slice::from_ref(&row));
    padded.extend(vec![b'\n'; 80 << 10]);
    assert_eq!(node.post_raw("/v1/packets/bulk", LINES, padded).await.0, 200);
    // Each row counts as a request: so many seconds' worth are soon gone.
    let mut codes = Vec::new();
    for _ in 0..20 {
        let (status, body) = bulk(&node, "packets", &many[..3]).await;
        codes.push((status, body["code"].clone()));
    }
    assert!(codes.contains(&(429, json!("client.too_many"))), "{codes:?}");
    node.handle.kill().await;
}

/// A community of 32 meters and 24 intervals.
fn of_homes(index: u32, like: &Community) -> Community {
    let mut community = like.clone();
    community.index = index;
    for account in &mut community.accounts {
        (account.terms.active_from, account.terms.active_until) = (Interval::ZERO, Interval::MAX);
    }
    community
}

/// Packets a second: one by one on one connection, and many at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_fast_many_are() {
    let shape = Shape::by_name("home-32x24").unwrap();
    let recipe = Recipe { shape, seed: 2, mechanism: Mechanism::Auction, used: 32 };
    let like = fixture::settlement(&recipe).unwrap().community;
    let indices = [5, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let world = World::with(|g| g.communities = indices.iter().map(|index| of_homes(*index, &like)).collect()).await;
    let node = world.start().await;
    let packet = |community: u32, slot: u16| {
        let mut stream = Stream::new(u64::from(community) * 100 + u64::from(slot));
        let header = &like.header;
        let context = Context {
            domain: world.domain(),
            community,
            first_interval: header.next_interval,
            interval_length: header.interval_length,
            intervals: 24,
        };
        let salts = PacketSalts::from_random(&stream.bytes());
        let packet = fixture::packet(context, slot, vec![Reading { import: 1, export: 0 }; 24], false, salts);
        let scale = like.accounts[usize::from(slot)].terms.scale;
        Packet { scale, ..packet }.sign(&fixture::meter_key(slot.into())).unwrap()
    };
    let all: Vec<_> = indices.iter().flat_map(|index| (0..32).map(move |slot| (*index, slot))).collect();
    let packets: Vec<_> = all.into_iter().map(|(index, slot)| packet(index, slot)).collect();
    let (alone, together) = packets.split_at(packets.len() / 2);
    let begun = Instant::now();
    for packet in alone {
        let (status, body) = node.submit(packet).await;
        assert_eq!(status, 201, "{body}");
    }
    let one_by_one = begun.elapsed();
    let bytes: Vec<u8> = together.iter().flat_map(encode_packet).collect();
    let begun = Instant::now();
    let (_, body) = node.post_raw("/v1/packets/bulk", "application/octet-stream", bytes).await;
    let at_once = begun.elapsed();
    assert_eq!(body["taken"], together.len(), "{body}");
    let a_second = |spent: Duration| packets.len() as f64 / 2.0 / spent.as_secs_f64();
    println!("one by one {:.0} packets/s, many at once {:.0} packets/s", a_second(one_by_one), a_second(at_once));
    node.handle.kill().await;
}
