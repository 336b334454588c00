//! The demonstration's story, with everything and natively.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{path::Path, process::Command};

/// Everything together: local chain, real proofs, HTTP, 17 meters, auditor. The natively played story must have the same figures.
#[test]
fn the_days_settle_on_a_chain_with_proofs_and_an_auditor_agrees() {
    if !Path::new("verifier-contract/node_modules/@foundry-rs").exists() {
        println!("skipped: npm packages are not installed (make test installs them)");
        return;
    }
    let play = |options: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_gridveil")).arg("demo").args(options).arg("--out").arg(out.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(out.path().join("summary.json")).unwrap()).unwrap()
    };
    let (full, native) = (play(&[]), play(&["--without-proofs"]));
    assert_eq!(full["auditor"], "ok");
    assert_eq!(full["batches"], 3);
    assert_eq!(full["statements_verified"], 51);
    assert_eq!((full["proving_s"].as_array().unwrap().len(), full["gas_settle"].as_array().unwrap().len()), (3, 3));
    assert!(full["verifier_bytes"].as_u64().unwrap() <= 24_576);
    // Salts and domain differ, so the roots do; energy, money and certificates may not.
    assert_eq!((&full["communities"], &full["local_wh"]), (&native["communities"], &native["local_wh"]));
    assert_ne!(full["state_root"], native["state_root"]);
}

#[test]
fn the_days_settle_natively_and_every_member_verifies() {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_gridveil"))
        .args(["demo", "--without-proofs", "--out"])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("1,224 readings in 3 batches"), "{text}");
    assert!(text.contains("51 statements verified"), "{text}");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(out.path().join("summary.json")).unwrap()).unwrap();
    for key in ["readings", "batches", "proving_s", "gas_settle", "gas_per_reading", "verifier_bytes", "local_wh", "state_root", "auditor"] {
        assert!(summary.get(key).is_some(), "{key}");
    }
    let day = |i: usize| &summary["days"][i];
    assert_eq!((day(0)["mechanism"].as_str(), day(2)["mechanism"].as_str()), (Some("auction"), Some("community-price")));
    assert_eq!((day(0)["flagged"].as_u64(), day(1)["flagged"].as_u64()), (Some(0), Some(1)));
    // Nobody is silent on the first and the third day: the source's own totals.
    assert_eq!((day(0)["import_wh"].as_u64(), day(0)["export_wh"].as_u64()), (Some(202_309), Some(202_094)));
    assert_eq!((day(2)["import_wh"].as_u64(), day(2)["matchable_wh"].as_u64()), (Some(268_827), Some(39_680)));
    // At the published price everything that can be matched is.
    assert_eq!(day(2)["local_wh"], day(2)["matchable_wh"]);
    let certificates = &summary["communities"][0]["totals"];
    let sum = |a: &str, b: &str| certificates[a].as_u64().unwrap() + certificates[b].as_u64().unwrap();
    assert_eq!(certificates["issued"].as_u64().unwrap(), sum("retired", "outstanding"));
    // The substituted day earns none.
    assert!(certificates["issued"].as_u64().unwrap() < certificates["export"].as_u64().unwrap());
}
