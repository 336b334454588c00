//! What it costs to be watched: processor time of a packet, with the same packet sent again and again, so that its signature is
//! checked each time and no disk is waited for. Run by hand: `cargo test -p gridveil-sequencer --test suite -- --ignored
//! --nocapture what_watching_costs`.

use std::{
    collections::BTreeMap,
    hint::black_box,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use axum::{Router, routing::post};
use gridveil_telemetry::{LogFormat, TelemetryArgs};
use prometheus_client::metrics::{family::Family, histogram::Histogram};

use crate::common::{Node, World};

/// How the process is watched that is measured.
const MODE: &str = "GRIDVEIL_TEST_ARGS";
const PACKETS: usize = 3000;
const CLIENTS: usize = 16;
const ROUNDS: usize = 3;

/// Hundredths of a second of processor time that this process has had.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

async fn send(node: &Arc<Node>, world: &World, packets: usize) {
    let body = serde_json::to_vec(&world.packet(5, 0, 0, false)).unwrap();
    let one = |node: Arc<Node>, body: Vec<u8>| async move {
        for _ in 0..packets / CLIENTS {
            let (status, answer) = node.post_raw("/v1/packets", "application/json", body.clone()).await;
            assert!(status == 200 || status == 201, "{status} {answer}");
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(one(Arc::clone(node), body.clone()))).collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[test]
#[ignore = "started by what_watching_costs"]
fn a_measured_process() {
    let Ok(mode) = std::env::var(MODE) else { return };
    if !["off", "logs", "traces"].contains(&mode.as_str()) {
        return;
    }
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|_| mode == "traces");
    let filter = if mode == "off" { "off" } else { "warn,gridveil_sequencer=info" };
    let args = TelemetryArgs { log_format: LogFormat::Json, otlp_endpoint: endpoint };
    gridveil_telemetry::begin("gridveil-sequencer", filter, &args).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let world = World::new().await;
        let mut config = world.config(&world.data());
        (config.limits.requests_of_client_per_s, config.limits.burst_of_client) = (1_000_000, 1_000_000);
        let node = Arc::new(world.start_with(config).await);
        send(&node, &world, 10 * CLIENTS).await;
        let (start, before) = (Instant::now(), ticks());
        send(&node, &world, PACKETS).await;
        let (us, packets) = ((ticks() - before) * 10_000, PACKETS as u64);
        println!(
            "us_a_packet {} packets_a_second {}",
            us / packets,
            packets * 1000 / start.elapsed().as_millis() as u64
        );
    });
}

/// Of the histograms of a packet, nanoseconds: three without labels, and the one of its request.
fn metrics_ns() -> u128 {
    let of = || Histogram::new((0..14).map(f64::from));
    let (plain, family) =
        (of(), Family::<Vec<(String, String)>, Histogram, fn() -> Histogram>::new_with_constructor(of));
    let rounds = 200_000_u32;
    let start = Instant::now();
    for n in 0..rounds {
        (0..3).for_each(|_| plain.observe(f64::from(n % 14)));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels = vec![
            pair("listener", "public"),
            pair("method", "POST"),
            pair("route", "/v1/packets"),
            pair("status", "2xx"),
        ];
        family.get_or_create(black_box(&labels)).observe(f64::from(n % 14));
    }
    start.elapsed().as_nanos() / u128::from(rounds)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of ten seconds"]
async fn what_watching_costs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(async || ()))).await });
    let mut all: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for mode in ["off", "logs", "traces"] {
            let child = tokio::task::spawn_blocking(move || {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "seen::cost::a_measured_process", "--ignored", "--nocapture"])
                    .env(MODE, mode)
                    .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
                    .env_remove("RUST_LOG")
                    .stderr(Stdio::null())
                    .output()
                    .unwrap()
            });
            let out = String::from_utf8(child.await.unwrap().stdout).unwrap();
            let words: Vec<&str> =
                out.lines().find(|line| line.contains("us_a_packet")).expect(&out).split(' ').collect();
            let at = words.iter().position(|word| word.ends_with("us_a_packet")).unwrap();
            all.entry(mode).or_default().push((words[at + 1].parse().unwrap(), words[at + 3].parse().unwrap()));
        }
    }
    for (mode, mut figures) in all {
        figures.sort_unstable();
        println!(
            "{mode:<7} median {:>4} us of processor a packet, client included; rounds (us, packets/s): {figures:?}",
            figures[ROUNDS / 2].0
        );
        assert!(figures[0].0 > 0);
    }
    println!("metrics, always on: {} ns a packet", metrics_ns());
}
