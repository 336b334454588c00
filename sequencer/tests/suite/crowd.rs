//! One client who takes all that it can get: others, the operator and who watches get their answers.
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use gridveil_sequencer::{Config, Proxies, ProxyHeader};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::common::{Node, TOKEN, World};

const ATTACKER: &str = "127.0.0.9";
const OTHER: &str = "127.0.0.2";
/// Far more than all may have.
const MANY: usize = 60;
const HALF_A_HEAD: &str = "POST /v1/packets HTTP/1.1\r\nhost: x\r\nx-";
const ONE_BYTE: &str =
    "POST /v1/packets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n";

async fn connect(from: &str, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.connect(to).await.ok()
}

/// A connection on which this was written.
async fn written(from: &str, to: SocketAddr, what: &str) -> Option<TcpStream> {
    let mut stream = connect(from, to).await?;
    // It may be turned away already.
    let _ = stream.write_all(what.as_bytes()).await;
    Some(stream)
}

/// Status, headers and body of one request; `None` if the connection ends without an answer.
async fn ask(from: &str, to: SocketAddr, path: &str, headers: &str) -> Option<(u16, String, Value)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let mut stream = written(from, to, &request).await?;
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
    read.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default()))
}

fn small(world: &World) -> Config {
    let mut config = world.config(&world.data());
    let limits = &mut config.limits;
    (limits.connections, limits.connections_of_client) = (32, 8);
    (limits.in_flight, limits.requests_of_client) = (4, 4);
    (limits.head, limits.body) = (Duration::from_secs(20), Duration::from_secs(20));
    config
}

/// Everybody but the attacker, each at the first try.
async fn others_are_answered(node: &Node, from: &str, headers: &str) {
    let handle = &node.handle;
    for path in ["/v1/info", "/healthz", "/v1/communities/5"] {
        let answer = ask(from, handle.public_address(), path, headers).await;
        assert_eq!(answer.as_ref().map(|(status, ..)| *status), Some(200), "{path}: {answer:?}");
    }
    assert_eq!(node.admin("/admin/v1/status", None, TOKEN).await.0, 200);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(node.watched(path).await.0, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_shuts_nobody_out() {
    let world = World::new().await;
    let node = world.start_with(small(&world)).await;
    let public = node.handle.public_address();
    let one_byte = format!("{ONE_BYTE}\r\n{{");
    for attack in ["", HALF_A_HEAD, &one_byte] {
        let mut held = Vec::new();
        for _ in 0..MANY {
            held.extend(written(ATTACKER, public, attack).await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        others_are_answered(&node, OTHER, "").await;
        let packet = world.packet(5, 0, 0, false);
        let body = serde_json::to_string(&packet).unwrap();
        let mut member = connect(OTHER, public).await.unwrap();
        let head = ONE_BYTE.replace("60000", &body.len().to_string());
        member.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        member.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
    node.handle.kill().await;
}

/// Those whose deadline is over are gone, so that even many clients together hold nothing for long.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_is_sent_away() {
    let world = World::new().await;
    let mut config = small(&world);
    (config.limits.head, config.limits.body) = (Duration::from_millis(300), Duration::from_millis(300));
    let node = world.start_with(config).await;
    let public = node.handle.public_address();
    let one_byte = format!("{ONE_BYTE}\r\n{{");
    let answered = "GET /v1/info HTTP/1.1\r\nhost: x\r\n\r\n";
    for (attack, says) in [("", ""), (HALF_A_HEAD, ""), (one_byte.as_str(), "request.timeout"), (answered, "chain_id")]
    {
        let start = Instant::now();
        let mut stream = written(OTHER, public, attack).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "it is held: {attack}");
        assert!(start.elapsed() >= Duration::from_millis(250), "too soon: {attack}");
        assert!(String::from_utf8_lossy(&answer).contains(says), "{}", String::from_utf8_lossy(&answer));
    }
    node.handle.kill().await;
    let mut config = small(&world);
    config.limits.connection = Duration::from_millis(300);
    let node = world.start_with(config).await;
    let mut stream = written(OTHER, node.handle.public_address(), answered).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "a connection has its time");
    node.handle.kill().await;
}

/// Through a proxy all connections are the proxy's, and it says whose each request is.
#[tokio::test(flavor = "multi_thread")]
async fn one_client_of_a_proxy_shuts_nobody_out() {
    let world = World::new().await;
    for (header, one, other) in [
        (ProxyHeader::XForwardedFor, "x-forwarded-for: {forged}203.0.113.7\r\n", "x-forwarded-for: 198.51.100.2\r\n"),
        (ProxyHeader::Forwarded, "forwarded: for=203.0.113.7;proto=https\r\n", "forwarded: for=198.51.100.2\r\n"),
    ] {
        let mut config = small(&world);
        config.limits.connections = 2 * MANY;
        config.proxies = Proxies { trusted: vec!["127.0.0.1/32".parse().unwrap()], header };
        let node = world.start_with(config).await;
        let public = node.handle.public_address();
        let mut held = Vec::new();
        for n in 0..MANY {
            // What it writes itself stands before what the proxy writes.
            let by = one.replace("{forged}", &format!("192.0.2.{n}, "));
            held.extend(written("127.0.0.1", public, &format!("{ONE_BYTE}{by}\r\n{{")).await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (status, _, refusal) = ask("127.0.0.1", public, "/v1/info", &one.replace("{forged}", "")).await.unwrap();
        assert_eq!((status, refusal["code"].as_str()), (429, Some("client.too_many")), "it has what it may have");
        others_are_answered(&node, "127.0.0.1", other).await;
        node.handle.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_often_waits_and_nobody_else() {
    let world = World::new().await;
    let mut config = small(&world);
    (config.limits.requests_of_client_per_s, config.limits.burst_of_client) = (1, 5);
    let node = world.start_with(config).await;
    let public = node.handle.public_address();
    let mut refused = None;
    for n in 0..20 {
        // Nobody is believed who is no trusted proxy.
        let forged = format!("x-forwarded-for: 192.0.2.{n}\r\nforwarded: for=192.0.2.{n}\r\n");
        let (status, head, body) = ask(ATTACKER, public, "/v1/info", &forged).await.unwrap();
        if status != 200 {
            refused = Some((n, status, head, body));
            break;
        }
    }
    let (n, status, head, body) = refused.unwrap();
    assert!(n >= 5 && status == 429 && head.contains("retry-after: 1"), "{n} {status} {head}");
    assert!(head.contains("application/problem+json") && body["code"] == "client.too_many", "{head} {body}");
    let (_, metrics) = node.watched("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("gridveil_refusals_total{code=\"client.too_many\"} 1"), "{metrics}");
    others_are_answered(&node, OTHER, "").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(ATTACKER, public, "/v1/info", "").await.unwrap().0, 200, "it waited");
    node.handle.kill().await;
}

/// Everybody learns how well it is, and no more; the operator why.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_little_of_its_health() {
    let world = World::new().await;
    let node = world.start().await;
    node.handle.service().health.degraded("prover", Some("a word for the operator".to_owned()));
    let (status, public) = node.get("/healthz").await;
    assert_eq!((status, public.to_string().as_str()), (200, r#"{"reasons":["prover"],"status":"degraded"}"#));
    let (status, own) = node.health().await;
    assert_eq!((status, &own["reasons"][0]), (200, &Value::from("prover: a word for the operator")));
    assert_eq!(node.watched("/livez").await.0, 200);
    assert_eq!(node.get("/metrics").await.0, 404, "for who watches");
    assert_eq!(node.get("/readyz").await.0, 404);
    node.handle.service().health.stop("a word for the operator".to_owned());
    let (status, public) = node.get("/healthz").await;
    assert_eq!((status, &public["reasons"][0]), (503, &Value::from("pipeline")));
    assert_eq!((node.health().await.0, node.watched("/livez").await.0), (503, 200), "a restart alone does not help");
    node.handle.kill().await;
}
