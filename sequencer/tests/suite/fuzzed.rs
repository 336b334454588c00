//! A running sequencer against its own description: schemathesis asks what comes to its mind (`make api-fuzz`).
use std::{process::Stdio, time::Duration};

use crate::common::{TOKEN, World};

/// What an answer must be.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";
/// Seconds for each listener.
const SECONDS: &str = "40";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make api-fuzz"]
async fn the_running_sequencer_is_as_it_is_described() {
    let Some(program) = std::env::var_os("GRIDVEIL_SCHEMATHESIS") else {
        println!("left out: GRIDVEIL_SCHEMATHESIS names no program");
        return;
    };
    let seed = std::env::var("GRIDVEIL_FUZZ_SEED").ok().and_then(|seed| seed.parse::<u32>().ok()).unwrap_or(1);
    let world = World::new().await;
    let mut config = world.config(&world.data());
    (config.limits.requests_of_client_per_s, config.limits.burst_of_client) = (1_000_000, 1_000_000);
    let node = world.start_with(config).await;
    // Something is there to be asked for.
    for period in 0..2 {
        node.run_period(&world, 5, period).await;
    }
    node.settled(5, 2).await;
    println!("seed {seed}");
    let token = format!("Authorization: Bearer {TOKEN}");
    let listeners = [
        (node.handle.public_address(), "/v1/openapi.json", "^/(v1|healthz)"),
        (node.handle.admin_address(), "/admin/v1/openapi.json", "^/admin"),
        (node.handle.health_address(), "/admin/v1/openapi.json", "^/(livez|readyz|metrics)"),
    ];
    for (address, document, paths) in listeners {
        let described = if document.starts_with("/admin") { node.handle.admin_address() } else { address };
        let mut command = tokio::process::Command::new(&program);
        command.args(["run", &format!("http://{described}{document}"), "--url", &format!("http://{address}")]);
        // A stream of events has no end.
        command.args(["--include-path-regex", paths, "--exclude-path-regex", "/events$", "--header", &token]);
        command.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-time", SECONDS]);
        command.args(["--seed", &seed.to_string(), "--no-color", "--continue-on-failure", "--warnings", "off"]);
        command.args(["--generation-database", "none", "--request-timeout", "30"]);
        let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci");
        command
            .env("PYTHONPATH", hooks)
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).current_dir(world.dir.path()).kill_on_drop(true);
        let run = tokio::time::timeout(Duration::from_secs(400), command.status()).await;
        assert!(run.expect("it does not end").unwrap().success(), "{paths}: see above");
    }
    // It was asked much that is wrong, and is well.
    assert_eq!(node.watched("/readyz").await.0, 200);
    node.handle.shutdown().await;
}
