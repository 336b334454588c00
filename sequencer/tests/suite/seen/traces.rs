//! Real spans of a real sequencer, as a collector receives them, and the lines that it logs meanwhile. Nothing of a member is in
//! either.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use gridveil_telemetry::{LogFormat, TelemetryArgs, allowed};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any, trace::v1::Span,
};
use prost::Message as _;
use serde_json::Value;

use super::busy;
use crate::common::World;

/// Names the collector to the process that is watched; without it that test does nothing.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// What a client, a proxy or a careless line of the program says, and nobody may read.
const PLANTED: &str = "planted-secret";

type Received = Arc<Mutex<Vec<Bytes>>>;

/// A day of a sequencer that is traced and logs. It is a process of its own, as a subscriber is a process's.
#[test]
#[ignore = "started by what_leaves_is_of_nobody"]
fn a_traced_day() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    let args = TelemetryArgs { log_format: LogFormat::Json, otlp_endpoint: Some(endpoint) };
    gridveil_telemetry::begin("gridveil-sequencer", "warn,gridveil_sequencer=debug", &args).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let world = World::new().await;
        let node = world.start().await;
        busy(&node, &world).await;
        let (_, body) = node.submit(&world.packet(5, 0, 1, false)).await;
        let id = body["packet_id"].as_str().unwrap().to_owned();
        println!("packet {}", &id[2..]);
        node.get(&format!("/v1/operations/{id}")).await;
        let url = format!("http://{}/v1/{PLANTED}", node.handle.public_address());
        node.http.get(url).header("x-request-id", PLANTED).header("user-agent", PLANTED).send().await.unwrap();
        // What a careless line would show.
        let careless =
            tracing::info_span!(target: "gridveil_sequencer", "request", slot = 3, reading = 1234, route = PLANTED);
        careless.in_scope(|| tracing::trace!(target: "gridveil_sequencer", note = PLANTED, "planted-secret"));
        let _ = tracing::info_span!(target: "gridveil_sequencer", "planted-secret").entered();
        node.handle.shutdown().await;
    });
    gridveil_telemetry::end();
}

fn of_numbers_and_texts(span: &Span) -> BTreeMap<String, String> {
    let shown = |value: &Option<Any>| match value {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let one = |a: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        (a.key.clone(), shown(&a.value.as_ref().and_then(|value| value.value.clone())))
    };
    span.attributes.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_is_of_nobody() {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let take = async |State(received): State<Received>, body: Bytes| received.lock().unwrap().push(body);
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let child = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seen::traces::a_traced_day", "--ignored", "--nocapture"])
            .env(ENDPOINT, format!("http://{address}"))
            .env_remove("RUST_LOG")
            .output()
            .unwrap()
    });
    let output = child.await.unwrap();
    let (out, lines) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{lines}");
    let packet = out.lines().find_map(|line| line.split_once("packet ").map(|(_, id)| id.trim().to_owned())).unwrap();

    let bodies = received.lock().unwrap().clone();
    let mut spans = Vec::new();
    for body in &bodies {
        let text = String::from_utf8_lossy(body);
        for planted in [PLANTED, &packet, "127.0.0.1", "slot", "reading"] {
            assert!(!text.contains(planted), "{planted} has left");
        }
        let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["admit", "close", "commit", "prove", "request", "select", "settle"].into_iter().collect());
    let allowed: BTreeSet<&str> = allowed::ATTRIBUTES.iter().map(|(key, _)| *key).collect();
    for span in &spans {
        let attributes = of_numbers_and_texts(span);
        assert!(attributes.keys().all(|key| allowed.contains(key.as_str())), "{} {attributes:?}", span.name);
        assert!(span.events.is_empty() && span.status.as_ref().is_none_or(|status| status.message.is_empty()));
    }
    // What happens in a request is below it.
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let above = |span: &Span| by_id.get(span.parent_span_id.as_slice()).map(|above| above.name.as_str());
    let tree: BTreeSet<(&str, Option<&str>)> = spans.iter().map(|span| (span.name.as_str(), above(span))).collect();
    for (below, above) in [("admit", "request"), ("close", "request"), ("select", "close")] {
        assert!(tree.contains(&(below, Some(above))) && !tree.contains(&(below, None)), "{below}: {tree:?}");
    }
    let routes: BTreeSet<String> = spans.iter().filter_map(|span| of_numbers_and_texts(span).remove("route")).collect();
    assert!(routes.contains("/v1/operations/{id}") && routes.contains("none"), "{routes:?}");
    let settle = spans.iter().find(|span| span.name == "settle").unwrap();
    assert_eq!(of_numbers_and_texts(settle)["batch"], "1");

    // Each line is an object; one that is of a request says of which.
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.len() > 10);
    let ids: BTreeSet<String> =
        spans.iter().filter_map(|span| of_numbers_and_texts(span).remove("request_id")).collect();
    let said =
        |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}"));
    for message in ["period closed", "period applied", "answered"] {
        let id = said(message)["spans"][0]["request_id"].as_str().unwrap().to_owned();
        assert!(ids.contains(&id), "{message}: {id} is no request of the traces");
    }
    assert_eq!(said("answered")["level"], "DEBUG", "who asks what is no line unless it is asked for");
    for line in lines.iter().map(Value::to_string) {
        for planted in [PLANTED, &packet, "127.0.0.1", "user-agent"] {
            assert!(!line.contains(planted), "{line}");
        }
    }
}

/// A collector that is gone holds nobody up.
#[test]
fn a_collector_that_is_gone_is_told_once_and_holds_nobody_up() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "seen::traces::a_traced_day", "--ignored", "--nocapture"])
        .env(ENDPOINT, format!("http://{gone}/key-of-a-collector"))
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && start.elapsed() < Duration::from_secs(60), "{lines}");
    assert!(!lines.contains("key-of-a-collector"), "{lines}");
}
