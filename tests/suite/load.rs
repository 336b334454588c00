//! A sample of `make bench-load`: a few homes, seconds, no judgement of speed. What was acknowledged is in the log after
//! `kill -9`, periods settle meanwhile, and nobody is refused for another reason than load.

use serde_json::Value;

use crate::common::{gridveil, turn};

#[test]
fn a_load_is_measured_and_judged() {
    let _turn = turn();
    let results = tempfile::tempdir().unwrap();
    let words = ["--homes", "300", "--seconds", "2", "--shape", "home-32x24", "--stand-in-alone", "--no-bounds"];
    let mut command = gridveil();
    command.args(["bench", "load", "--json", "--results"]).arg(results.path()).args(words);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written = std::fs::read(results.path().join("load.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), report);
    let row = &report["rows"][0];
    let figure = |of: &Value, name: &str| of[name]["value"].as_f64().unwrap_or_else(|| panic!("{name}: {of}"));
    assert_eq!(figure(row, "lost"), 0.0);
    // Three periods with pauses and three without, then four stages of a period each.
    let stages = row["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 6, "{stages:?}");
    let accepted: f64 = stages.iter().map(|stage| figure(stage, "accepted")).sum();
    assert_eq!(accepted, 300.0 * 10.0);
    // Ten communities, ten periods.
    assert_eq!(figure(row, "settled"), 100.0);
    for stage in stages {
        assert_eq!(figure(stage, "refused_otherwise"), 0.0, "{stage}");
        assert!(figure(stage, "accepted_per_s") > 0.0 && figure(stage, "due_p99") >= figure(stage, "due_p50"));
    }
    assert!(figure(row, "peak_memory") > 0.0 && figure(row, "health_longest") > 0.0);
}
