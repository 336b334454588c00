//! A small fleet with everything that goes wrong in it, and checks that are able to fail.

use std::process::Output;

use serde_json::Value;

use crate::common::{chain_is_missing, gridveil, turn};

fn fleet(options: &[&str]) -> Output {
    gridveil().args(["fleet", "--json"]).args(options).output().unwrap()
}

fn result(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// By name: does it hold?
fn failed(result: &Value) -> Vec<&str> {
    let checks = result["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 12);
    checks.iter().filter(|check| check["holds"] != true).map(|check| check["name"].as_str().unwrap()).collect()
}

/// Forty homes in two communities. The seed is the commit's in CI, so that every change tries another fleet; what fails
/// prints it.
#[test]
fn a_fleet_settles_rightly() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let commit = std::env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    let seed = commit.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1).to_string();
    let output = fleet(&["--homes", "40", "--days", "4", "--loss", "10", "--seed", &seed]);
    let fleet = result(&output);
    assert_eq!(failed(&fleet), Vec::<&str>::new(), "--seed {seed}: {fleet:#}");
    assert!(output.status.success());
    for happened in [
        "packets_late",
        "corrected",
        "substitutes",
        "packets_repeated",
        "packets_refused",
        "requests_lost",
        "answers_lost",
        "requests_doubled",
        "folders_recovered",
        "copies_healed",
    ] {
        assert!(fleet[happened].as_u64().unwrap() > 0, "--seed {seed}: {happened}");
    }
    // Every day once, and the last one twice.
    assert_eq!((fleet["restarts"].as_u64(), fleet["batches"].as_u64()), (Some(5), Some(8)), "--seed {seed}");
    // Two homes are silent on the last day and never hand it in.
    assert_eq!(fleet["packets"], 40 * 4 - 2, "--seed {seed}");
}

#[test]
fn a_miscount_is_found() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let small = ["--homes", "8", "--days", "3", "--loss", "0", "--miscount"];
    let (balances, readings) = ("balances follow from the true readings", "no reading lost or counted twice");
    for miscount in ["twice", "lost", "correction"] {
        let output = fleet(&[&small[..], &[miscount]].concat());
        let fleet = result(&output);
        let failed = failed(&fleet);
        assert!(failed.contains(&balances) && failed.contains(&readings), "{miscount}: {failed:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("of 12 checks do not hold"), "{said}");
        // Of one home, by count.
        let found = fleet["checks"].as_array().unwrap().iter().find(|check| check["name"] == readings).unwrap();
        assert_eq!((found["right"].as_u64(), found["all"].as_u64()), (Some(7), Some(8)), "{miscount}");
    }
}

#[test]
fn what_a_fleet_cannot_be_is_refused_in_one_line() {
    for (options, said) in [
        (["--homes", "0"], "--homes"),
        (["--homes", "10001"], "--homes"),
        (["--days", "2"], "--days"),
        (["--days", "29"], "--days"),
        (["--loss", "51"], "--loss"),
        (["--dir", "/proc"], "--dir /proc"),
    ] {
        let output = fleet(&options);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.lines().count() == 1 && error.contains(said), "{options:?}: {error}");
    }
}
