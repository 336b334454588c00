//! What happens is told as it happens, and to who was away, without a gap.
use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::common::{Node, TOKEN, World, first_interval};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    id: u64,
    name: String,
    data: String,
}

/// A client that listens.
struct Listener {
    stream: TcpStream,
    text: String,
    /// Up to where it was understood.
    at: usize,
}

impl Listener {
    async fn open(to: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new(), at: 0 }
    }

    /// More of it; `false` at its end.
    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read =
            timeout(Duration::from_secs(10), self.stream.read(&mut bytes)).await.expect("nothing comes").unwrap_or(0);
        self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    async fn until(&mut self, what: &str) {
        while !self.text.contains(what) {
            assert!(self.more().await, "it ended: {}", self.text);
        }
    }

    /// The next events.
    async fn next(&mut self, many: usize) -> Vec<Told> {
        let mut told = Vec::new();
        while told.len() < many {
            match self.text[self.at..].split_once("\n\n") {
                Some((block, _)) => {
                    self.at += block.len() + 2;
                    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                    if let (Some(id), Some(name), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                        told.push(Told { id: id.parse().unwrap(), name, data });
                    }
                }
                None => assert!(self.more().await, "it ended after {told:?}: {}", self.text),
            }
        }
        told
    }
}

fn names(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.name.as_str()).collect()
}

fn of_public(node: &Node) -> SocketAddr {
    node.handle.public_address()
}

const STEPS: [&str; 5] = ["period.closed", "batch.applied", "period.opened", "batch.proven", "batch.settled"];

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_misses_nothing() {
    let world = World::new().await;
    let mut node = world.start().await;
    let mut listener = Listener::open(of_public(&node), "/v1/communities/5/events", "").await;
    listener.until("id: 1\n").await;
    assert!(
        listener.text.contains("content-type: text/event-stream") && listener.text.contains("x-accel-buffering: no")
    );
    node.run_period(&world, 5, 0).await;
    node.run_period(&world, 7, 0).await;
    let told = listener.next(5).await;
    assert_eq!(names(&told), STEPS);
    assert_eq!(told.iter().map(|told| told.id).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    let data: Value = serde_json::from_str(&told[4].data).unwrap();
    let first = first_interval().0;
    assert_eq!(data, serde_json::json!({"community": 5, "first_interval": first, "batch": 1, "step": "batch.settled"}));
    // It goes away. Periods pass, and a crash.
    drop(listener);
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    node.handle.kill().await;
    node = world.start().await;
    node.run_period(&world, 5, 2).await;
    let mut again = Listener::open(of_public(&node), "/v1/communities/5/events", "last-event-id: 4\r\n").await;
    let more = again.next(12).await;
    assert_eq!(more[..2], told[3..], "from where it was, the same as before");
    assert_eq!(more.iter().map(|told| told.id).collect::<Vec<_>>(), (5..17).collect::<Vec<_>>());
    assert_eq!(names(&more[2..]), [STEPS, STEPS].concat());
    // From the beginning: the same, whoever asks and whenever; also with an index that is made anew.
    let whole = Listener::open(of_public(&node), "/v1/communities/5/events?after=0", "").await.next(16).await;
    assert_eq!(whole[4..], more);
    assert!(whole.iter().all(|told| !told.data.contains("slot") && !told.data.contains("packets")));
    node.handle.shutdown().await;
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    let node = world.start().await;
    let anew = Listener::open(of_public(&node), "/v1/communities/5/events?after=0", "").await.next(16).await;
    assert_eq!(anew, whole);
    // The operator hears of all communities, in the order of the log.
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let all = Listener::open(node.handle.admin_address(), "/admin/v1/events?after=0", &token).await.next(22).await;
    assert_eq!(all.iter().map(|told| told.id).collect::<Vec<_>>(), (1..23).collect::<Vec<_>>());
    let of_5: Vec<_> =
        all.iter().filter(|told| told.data.contains("\"community\":5")).map(|told| told.data.clone()).collect();
    assert_eq!(of_5, whole.into_iter().map(|told| told.data).collect::<Vec<_>>());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_in_order() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    let limits = &mut config.limits;
    (limits.streams, limits.streams_of_client, limits.in_flight) = (3, 2, 1);
    (limits.heartbeat, limits.request) = (Duration::from_millis(50), Duration::from_millis(200));
    let node = world.start_with(config.clone()).await;
    let path = "/v1/communities/5/events";
    let mut listeners = Vec::new();
    for _ in 0..2 {
        let mut listener = Listener::open(of_public(&node), path, "").await;
        listener.until("id: 1\n").await;
        listeners.push(listener);
    }
    let (status, body) = node.get(path).await;
    assert_eq!((status, body["code"].as_str()), (429, Some("events.too_many")));
    // They take no permit of who works, and outlive the deadline of a request; a heartbeat says that they are there.
    assert_eq!(node.get("/v1/info").await.0, 200);
    tokio::time::sleep(Duration::from_millis(400)).await;
    for listener in &mut listeners {
        while listener.text.matches("\n:\n\n").count() < 3 {
            assert!(listener.more().await, "it ended: {}", listener.text);
        }
    }
    // Who goes leaves its place.
    listeners.pop();
    let mut next = Listener::open(of_public(&node), path, "").await;
    for _ in 0..200 {
        if next.more().await && next.text.contains("200 OK") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        next = Listener::open(of_public(&node), path, "").await;
    }
    assert!(next.text.contains("200 OK"), "{}", next.text);
    // The sequencer stops: the streams end with their last chunk, and at once.
    let begun = std::time::Instant::now();
    node.handle.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    while next.more().await {}
    assert!(next.text.ends_with("\r\n0\r\n\r\n"), "{:?}", next.text);
    // The time of a connection ends them too.
    config.limits.connection = Duration::from_millis(300);
    let node = world.start_with(config).await;
    let mut short = Listener::open(of_public(&node), path, "").await;
    while short.more().await {}
    assert!(short.text.ends_with("\r\n0\r\n\r\n"), "{:?}", short.text);
    node.handle.shutdown().await;
}

/// Somebody reads nothing: what waits for it is in the log, its connection is cut, and its place is free.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_is_cut_off() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    (config.limits.unread, config.limits.heartbeat) = (Duration::from_millis(300), Duration::from_millis(1));
    (config.limits.streams_of_client, config.limits.connection) = (1, Duration::from_secs(600));
    let node = world.start_with(config).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    let mut silent = socket.connect(of_public(&node)).await.unwrap();
    // It asks for answers that it does not read, one after the other, until neither side's buffer has room.
    let one = "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let _ = timeout(Duration::from_secs(5), silent.write_all(one.as_bytes())).await;
    let gone = timeout(Duration::from_secs(20), async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if silent.write_all(b"GET /v1/info HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err() {
                break;
            }
        }
    });
    assert!(gone.await.is_ok(), "its connection stays");
    node.handle.shutdown().await;
}
