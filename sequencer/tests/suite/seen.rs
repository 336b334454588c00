//! The service as who watches it sees it: metrics, ids of requests, traces. And what they do not see.

mod cost;
mod monitoring;
mod prometheus;
mod traces;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use gridveil_sequencer::{Proxies, ProxyHeader, serve};
use serde_json::{Value, json};

use crate::common::{Node, TOKEN, USED, World, first_interval, until};

/// The text of a scrape.
pub async fn scraped(node: &Node) -> String {
    node.watched("/metrics").await.1.as_str().unwrap().to_owned()
}

/// Samples by name with labels.
fn samples(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Everything that a sequencer counts: packets, refusals, a settled period, a silent meter, an unknown path.
pub async fn busy(node: &Node, world: &World) {
    node.run_period(world, 5, 0).await;
    node.settled(5, 1).await;
    node.submit_but(world, 7, 0, 2).await;
    assert_eq!(node.get("/v1/a-path-of-a-client").await.0, 404);
    assert_eq!(node.admin("/admin/v1/status", None, "a wrong token of 16").await.0, 401);
    assert_eq!(node.submit(&world.packet(5, 0, 0, false)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happens() {
    let world = World::new().await;
    world.prover.serving.store(3, Ordering::SeqCst);
    let mut config = world.config(&world.data());
    config.obstacles_every = config.watch_every;
    let node = world.start_with(config).await;
    busy(&node, &world).await;
    until("looked at", async || scraped(&node).await.contains("gridveil_disk_free_bytes ")).await;
    let text = scraped(&node).await;
    let all = samples(&text);
    let is = |name: &str, value: &str| assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}\n{text}");
    is("gridveil_packets_accepted_total", "5");
    is("gridveil_packets_duplicate_total", "1");
    // That of a period which is settled is known by its id.
    is("gridveil_packet_verify_seconds_count", "5");
    is("gridveil_batches_settled_total", "1");
    is("gridveil_batches_unsettled", "0");
    is("gridveil_settle_seconds_count", "1");
    is("gridveil_prove_seconds_count{shape=\"tiny-4x2\"}", "1");
    is("gridveil_period_close_seconds_count", "1");
    is("gridveil_provers_serving", "3");
    is("gridveil_l1_balance_gwei", "1000000000");
    is("gridveil_l1_head_timestamp_seconds", "4000000000");
    is("gridveil_refusals_total{code=\"route.unknown\"}", "1");
    let unknown =
        "gridveil_http_request_seconds_count{listener=\"public\",method=\"GET\",route=\"none\",status=\"4xx\"}";
    is(unknown, "1");
    let packets =
        "gridveil_http_request_seconds_count{listener=\"public\",method=\"POST\",route=\"/v1/packets\",status=\"2xx\"}";
    is(packets, "6");
    let number = |name: &str| all[name].parse::<u64>().unwrap();
    assert!(number("gridveil_log_size_bytes") > 1000 && number("gridveil_disk_free_bytes") > 0);
    assert!(number("gridveil_process_resident_memory_bytes") > 1 << 20);
    assert_eq!(number("gridveil_log_sync_seconds_count"), number("gridveil_log_group_records_count"));
    // Every name is on the page.
    let page = monitoring::on_the_page();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.for_each(|name| assert!(page.contains(name), "{name}"));
    node.handle.service().health.degraded("prover", Some("secret words".to_owned()));
    let told = scraped(&node).await;
    assert!(told.contains("gridveil_unwell{what=\"prover\"} 1") && told.contains("gridveil_health 1"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    node.handle.shutdown().await;
}

/// What waits on L1 is told before its deadline: a forced withdrawal, and the end of a community.
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_on_l1_are_told() {
    use gridveil_verifier_contract::{ChainL1 as _, SettlementL1 as _};
    let world = World::new().await;
    let mut config = world.config(&world.data());
    config.obstacles_every = config.watch_every;
    let node = world.start_with(config).await;
    until("looked at", async || scraped(&node).await.contains("gridveil_l1_balance_gwei ")).await;
    let before = scraped(&node).await;
    assert!(!before.contains("gridveil_forced_deadline"), "none is told where none waits: {before}");
    world.l1.put_forced(7, &[(0, [9; 20])]);
    let deadline = world.l1.timestamp().await.unwrap() + world.l1.forced_deadline_s().await.unwrap();
    let line = format!("gridveil_forced_deadline_timestamp_seconds {deadline}\n");
    until("the clock runs", async || scraped(&node).await.contains(&line)).await;
    assert!(scraped(&node).await.contains("gridveil_forced_withdrawals_waiting 1\n"));
    node.handle.shutdown().await;
}

/// A scraper cannot tell one silent home from another: the same, but for times, whichever home sent.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_do_not_depend_on_which_homes_sent() {
    let mut told = BTreeSet::new();
    for silent in 0..USED {
        let world = World::new().await;
        let node = world.start().await;
        node.publish(&world, 5).await;
        node.submit_but(&world, 5, 0, silent).await;
        node.submit_but(&world, 7, 0, silent).await;
        assert_eq!(node.close(5, 0).await.1["code"], "close.missing");
        // What takes time, or is of this process or disk, differs by itself.
        let by_itself =
            ["_seconds_bucket", "_seconds_sum", "timestamp", "process_", "disk_free", "index_size", "log_size"];
        let kept = |name: &String| !by_itself.iter().any(|of| name.contains(of)) && !name.contains("group_records");
        let counts = samples(&scraped(&node).await).into_iter().filter(|(name, _)| {
            kept(name) && !name.contains("overdue") && !name.contains("health\"") && !name.contains("l1_balance")
        });
        told.insert(
            counts.filter(|(name, _)| !name.contains("log_sync") && !name.contains("clients")).collect::<Vec<_>>(),
        );
        node.handle.shutdown().await;
    }
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_values_hold_nothing_of_a_member() {
    let world = World::new().await;
    let node = world.start().await;
    busy(&node, &world).await;
    let (_, body) = node.submit(&world.packet(5, 0, 1, false)).await;
    let id = body["packet_id"].as_str().unwrap().to_owned();
    node.get(&format!("/v1/operations/{id}")).await;
    node.http
        .get(format!("http://{}/v1/info", node.handle.public_address()))
        .header("user-agent", "planted/1")
        .send()
        .await
        .unwrap();
    let text = scraped(&node).await;
    for planted in [&id[2..], "127.0.0.1", "planted", "a-path-of-a-client", "slot", TOKEN] {
        assert!(!text.contains(planted), "{planted}: {text}");
    }
    let labels: BTreeSet<&str> = samples(&text)
        .keys()
        .filter_map(|name| name.split_once('{'))
        .flat_map(|(_, rest)| rest.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once('=')))
        .map(|(label, _)| label.to_owned().leak() as &str)
        .collect();
    let known =
        ["code", "community", "le", "listener", "method", "reason", "route", "shape", "status", "version", "what"];
    assert!(labels.iter().all(|label| known.contains(label)), "{labels:?}");
    // Of a community there is one number, which everybody can compute.
    let of_communities: BTreeSet<&str> =
        text.lines().filter(|line| line.contains("community=\"")).filter_map(|line| line.split('{').next()).collect();
    assert!(
        of_communities.iter().all(|name| *name == "gridveil_community_period_overdue_seconds"),
        "{of_communities:?}"
    );
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_that_its_refusal_names() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    let ask = async |node: &Node, path: &str, given: Option<&str>| {
        let request = node.http.get(format!("http://{}{path}", node.handle.public_address()));
        let request = given.iter().fold(request, |request, id| request.header("x-request-id", *id));
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        (id, response.json::<Value>().await.unwrap())
    };
    let own = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let given = "01JDX2M4T1W3W6QF4E5D9XK7YZ";
    let node = world.start_with(config.clone()).await;
    let (one, _) = ask(&node, "/v1/info", None).await;
    let (two, refusal) = ask(&node, "/v1/nothing", Some(given)).await;
    assert!(own(&one) && own(&two) && one != two, "nobody is believed who is no trusted proxy: {one} {two}");
    assert_eq!(refusal["instance"], json!(format!("urn:gridveil:request:{two}")));
    node.handle.shutdown().await;
    config.proxies = Proxies { trusted: vec!["127.0.0.1/32".parse().unwrap()], header: ProxyHeader::default() };
    let node = world.start_with(config).await;
    let (id, refusal) = ask(&node, "/v1/nothing", Some(given)).await;
    assert_eq!((id.as_str(), &refusal["instance"]), (given, &json!(format!("urn:gridveil:request:{given}"))));
    for wrong in ["short", "with a space in it", "anna@example.org", &"a".repeat(65)] {
        assert!(own(&ask(&node, "/v1/info", Some(wrong)).await.0), "{wrong}");
    }
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_turned_away_are_counted() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    (config.limits.connections, config.limits.connections_of_client) = (8, 2);
    let node = world.start_with(config).await;
    let public = node.handle.public_address();
    let held: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(public).unwrap()).collect();
    let open = "gridveil_connections{listener=\"public\"} 2\n";
    until("both are open", async || scraped(&node).await.contains(open)).await;
    let _third = std::net::TcpStream::connect(public).unwrap();
    let away = "gridveil_connections_turned_away_total{listener=\"public\",reason=\"client\"} 1\n";
    until("the third is turned away", async || scraped(&node).await.contains(away)).await;
    drop(held);
    until("none is open", async || scraped(&node).await.contains("gridveil_connections{listener=\"public\"} 0\n"))
        .await;
    node.handle.shutdown().await;
}

/// A start that fails leaves its listener free, and one that is in work says so (`early`).
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_listens_no_more() {
    let world = World::new().await;
    let mut config = world.config(&world.data());
    config.health_bind = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.genesis = None;
    assert!(serve(config.clone(), world.l1.clone(), world.prover.clone()).await.is_err());
    config.genesis = Some(world.genesis.clone());
    until("the port is free", async || std::net::TcpListener::bind(config.health_bind).is_ok()).await;
    let node = world.start_with(config).await;
    assert_eq!(node.health().await.0, 200);
    assert_eq!(node.get(&format!("/v1/communities/5/tariffs/{}", first_interval().0)).await.0, 404);
    node.handle.shutdown().await;
}
