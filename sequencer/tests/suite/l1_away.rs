//! L1 that is away, hangs, stands, or is another one: packets are taken, it is told, and nothing wrong is sent.
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use gridveil_sequencer::{Clock, deployment_in};
use gridveil_verifier_contract::{AuditorL1 as _, EthersClient};

use crate::common::{CHAIN, CONTRACT, Node, World, until};

/// The most that a test waits for what has a bound of a fraction of it.
const SOON: Duration = Duration::from_secs(10);

/// A client of the node at this address, which is asked for nothing yet.
fn client(address: SocketAddr) -> Arc<EthersClient> {
    Arc::new(EthersClient::of_chain(&[format!("http://{address}")], None, Some(CONTRACT), CHAIN).unwrap())
}

/// A node that answers everything with this result, or takes a question and never answers.
fn node(result: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(result) = result {
                let _ = stream.read(&mut [0; 4096]);
                let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"{result}\"}}");
                let head = format!("content-type: application/json\r\ncontent-length: {}", text.len());
                let _ = write!(stream, "HTTP/1.1 200 x\r\n{head}\r\nconnection: close\r\n\r\n{text}");
            } else {
                held.push(stream);
            }
        }
    });
    address
}

async fn told(node: &Node, what: &str) {
    let start = Instant::now();
    loop {
        let (status, health) = node.health().await;
        if status == 200 && health["reasons"].to_string().contains(what) {
            break;
        }
        assert!(start.elapsed() < SOON, "{what}: {health}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(node.get("/healthz").await.1["status"], "degraded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_that_does_not_answer_is_told_and_packets_are_taken() {
    let world = World::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (period, address, says) in [(0, gone, "Connection refused"), (1, node(None), "does not answer within 0.2 s")] {
        let mut config = world.config(&world.data());
        config.limits.l1_answer = Duration::from_millis(200);
        let start = Instant::now();
        let node = world.start_on(config, client(address)).await;
        assert!(start.elapsed() < SOON, "it waits for L1");
        told(&node, says).await;
        if period == 0 {
            node.submit_all(&world, 5, 0).await;
        } else {
            assert_eq!(node.submit(&world.packet(5, 0, 0, false)).await.0, 200, "what was taken is durable");
        }
        node.handle.kill().await;
    }
    let logged = |data: &std::path::Path| deployment_in(data, &world.dir.path().join("master"));
    assert_eq!(logged(&world.data()).unwrap().map(|there| there.chain_id), Some(CHAIN), "the log knows it");
    assert!(logged(&world.dir.path().join("elsewhere")).unwrap().is_none());
    let gone = deployment_in(&world.data(), &world.dir.path().join("no-master"));
    assert!(gone.is_err_and(|error| error.to_string().contains("the master key file is gone")));
    // It is there again: all goes on.
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    assert!(logged(&world.data()).is_err(), "the log is in use");
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_is_refused_at_the_start() {
    let world = World::new().await;
    let refused =
        gridveil_sequencer::serve(world.config(&world.data()), client(node(Some("0x1"))), world.prover.clone());
    let Err(error) = refused.await else { panic!("it starts") };
    assert!(error.to_string().contains("L1 is another chain than the log's"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_stands_is_told_until_it_goes_on() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    config.l1_head_age = Some(Duration::from_secs(300));
    let now = Clock::system().now();
    world.l1.set_timestamp(now - 1000);
    let node = world.start_with(config).await;
    told(&node, "l1.head: L1's last block is older than 300 s").await;
    world.l1.set_timestamp(Clock::system().now());
    until("well again", async || node.health().await.1["status"] == "ok").await;
    node.handle.shutdown().await;
}

/// A copy of the log from before a batch cannot be told from the newest while L1 is away. It is before anything is sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_log_that_started_without_l1_stops_before_it_sends_anything() {
    let world = World::new().await;
    let node = world.start().await;
    node.handle.shutdown().await;
    let old = world.dir.path().join("old");
    copy(&world.data(), &old);
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.handle.shutdown().await;

    world.l1.faults.down.store(true, Ordering::SeqCst);
    let node = world.start_with(world.config(&old)).await;
    told(&node, "l1").await;
    node.submit_all(&world, 5, 0).await;
    world.l1.faults.down.store(false, Ordering::SeqCst);
    until("unhealthy", async || node.health().await.0 == 503).await;
    let (_, health) = node.health().await;
    assert!(health["reasons"][0].as_str().unwrap().contains("the log is an old copy"), "{health}");
    assert_eq!(world.l1.batch_count().await.unwrap(), 1);
    node.handle.shutdown().await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
