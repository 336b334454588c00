//! A real Prometheus: its tools on rules and metrics, and its server on a running sequencer. Left out, with a line that says so,
//! where there is none; a failure then under `GRIDVEIL_REQUIRE_PROMETHEUS`, which `make test` sets.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use serde_json::Value;

use super::{busy, monitoring, scraped};
use crate::common::{Node, World, until};

/// Is this program here? Says so if not.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let required = std::env::var_os("GRIDVEIL_REQUIRE_PROMETHEUS").is_some();
    assert!(there || !required, "{program} is missing: make check-prometheus (Debian: apt install prometheus)");
    if !there {
        println!("left out: {program} is missing (Debian: apt install prometheus)");
    }
    there
}

fn promtool(words: &[&str], input: Option<&str>) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(words).current_dir(monitoring::file("monitoring"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn rules_are_right_and_every_alert_fires_and_is_quiet() {
    if !has("promtool") {
        return;
    }
    for words in [
        &["check", "rules", "alerts.yml", "recording.yml"][..],
        &["check", "config", "prometheus.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let (ok, text) = promtool(words, None);
        assert!(ok, "{words:?}: {text}");
    }
    // These tests can fail: an alert that asks for another number does not fire.
    let dir = tempfile::tempdir().unwrap();
    for name in ["recording.yml", "alerts.test.yml"] {
        fs::copy(monitoring::file("monitoring").join(name), dir.path().join(name)).unwrap();
    }
    let alerts = fs::read_to_string(monitoring::file("monitoring/alerts.yml")).unwrap();
    fs::write(dir.path().join("alerts.yml"), alerts.replace("gridveil_health == 2", "gridveil_health == 9")).unwrap();
    let (ok, text) = promtool(&["test", "rules", dir.path().join("alerts.test.yml").to_str().unwrap()], None);
    assert!(!ok && text.contains("GridveilStopped"), "{text}");
}

/// A server, ended when it is dropped.
struct Prometheus {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(node: &Node) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["alerts.yml", "recording.yml"] {
            fs::copy(monitoring::file("monitoring").join(name), at(name)).unwrap();
        }
        let config = fs::read_to_string(monitoring::file("monitoring/prometheus.yml")).unwrap();
        let config = config.replace("127.0.0.1:8082", &node.handle.health_address().to_string());
        let config = config.replace("scrape_interval: 15s", "scrape_interval: 1s");
        let config = config.replace("evaluation_interval: 30s", "evaluation_interval: 1s");
        // No prover runs here.
        let config = config.split("  # gridveil prover run").next().unwrap().to_owned();
        fs::write(at("prometheus.yml"), config).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, address, _dir: dir }
    }

    async fn ask(&self, node: &Node, path: &str) -> Option<Value> {
        let response = node.http.get(format!("http://{}{path}", self.address)).timeout(Duration::from_secs(5)).send();
        let answer: Value = response.await.ok()?.json().await.ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// Value of the one sample that a query gives.
    async fn value(&self, node: &Node, query: &str) -> Option<String> {
        let url = format!("http://{}/api/v1/query", self.address);
        let response = node.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let response = response.body(format!("query={query}")).send().await.ok()?;
        let answer: Value = response.json().await.ok()?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}

/// Rounds of a fifth of a second that the server may take to start and to scrape.
async fn within_a_minute(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{what}: not within a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_a_sequencer_and_evaluates_the_rules() {
    if !has("prometheus") || !has("promtool") {
        return;
    }
    let world = World::new().await;
    world.prover.serving.store(2, Ordering::SeqCst);
    let mut config = world.config(&world.data());
    config.obstacles_every = config.watch_every;
    let node = world.start_with(config).await;
    busy(&node, &world).await;
    until("looked at", async || scraped(&node).await.contains("gridveil_disk_free_bytes ")).await;
    let (ok, text) = promtool(&["check", "metrics"], Some(&scraped(&node).await));
    assert!(ok, "{text}");

    let server = Prometheus::start(&node);
    within_a_minute("scraped", async || {
        server.value(&node, "gridveil_packets_accepted_total").await.as_deref() == Some("5")
    })
    .await;
    let target = &server.ask(&node, "/api/v1/targets").await.unwrap()["activeTargets"][0].clone();
    assert_eq!((&target["health"], &target["lastError"]), (&Value::from("up"), &Value::from("")), "{target}");
    // Every metric of the scrape is there to be asked for.
    let names = server.ask(&node, "/api/v1/label/__name__/values").await.unwrap();
    let names: Vec<&str> = names.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for line in scraped(&node).await.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let name = if kind == "histogram" { format!("{name}_bucket") } else { name.to_owned() };
        assert!(names.contains(&name.as_str()), "{name}: {names:?}");
    }
    let quantile = "histogram_quantile(0.5, gridveil_packet_verify_seconds_bucket)";
    assert!(server.value(&node, quantile).await.unwrap().parse::<f64>().unwrap() > 0.0);
    let help = server.ask(&node, "/api/v1/metadata?metric=gridveil_packets_accepted").await.unwrap();
    assert!(help.to_string().contains("durable"), "{help}");
    // Every rule is evaluated, without an error.
    within_a_minute("evaluated", async || {
        let rules = server.ask(&node, "/api/v1/rules").await.unwrap_or_default();
        let groups = rules["groups"].as_array().cloned().unwrap_or_default();
        let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        for rule in &rules {
            assert!(rule["lastError"].as_str().is_none_or(str::is_empty), "{rule}");
        }
        rules.len() > 20 && groups.iter().any(|g| g["evaluationTime"].as_f64().is_some_and(|t| t > 0.0))
    })
    .await;
    // And what is wrong is on its way to be told.
    node.handle.service().health.stop("a reason for the operator".to_owned());
    within_a_minute("pending", async || {
        let alerts = server.ask(&node, "/api/v1/alerts").await.unwrap_or_default().to_string();
        assert!(!alerts.contains("a reason for the operator"));
        alerts.contains("GridveilStopped")
    })
    .await;
    node.handle.shutdown().await;
}
