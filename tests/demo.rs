//! The demonstration's story, played natively: no chain, no proofs.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

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
