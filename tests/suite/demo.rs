//! The demonstration's story, with everything and natively.

use std::sync::OnceLock;

use serde_json::Value;

use crate::common::{cache, chain_is_missing, gridveil, turn};

/// What the demonstration of eight days prints, and its summary.
fn play(options: &[&str]) -> (String, Value) {
    let out = tempfile::tempdir().unwrap();
    let run = gridveil()
        .args(["demo", "--days", "8", "--cache"])
        .arg(cache())
        .args(options)
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let summary = serde_json::from_slice(&std::fs::read(out.path().join("summary.json")).unwrap()).unwrap();
    (String::from_utf8(run.stdout).unwrap(), summary)
}

/// The days without proofs, played once.
fn native() -> &'static (String, Value) {
    static NATIVE: OnceLock<(String, Value)> = OnceLock::new();
    NATIVE.get_or_init(|| play(&["--without-proofs"]))
}

/// Everything together: local chain, real proofs, HTTP, 17 meters, everybody's way out, auditor. The natively played
/// days must have the same figures. In every change's run, `live` and `upgrade` settle with proofs on a chain.
#[test]
#[ignore = "four minutes: `make nightly` runs it"]
fn the_days_settle_on_a_chain_with_proofs_and_everybody_leaves() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let ((_, full), (_, native)) = (play(&[]), native());
    assert_eq!(full["auditor"], "ok");
    // Two communities begin, eight days.
    assert_eq!(full["batches"], 10);
    assert_eq!(full["statements_verified"], 136);
    assert_eq!((full["proving_s"].as_array().unwrap().len(), full["gas_settle"].as_array().unwrap().len()), (8, 8));
    assert!(full["verifier_bytes"].as_u64().unwrap() <= 24_576);
    // One forced withdrawal is served, one leads to the freeze; 17 homes and the neighbour leave.
    assert_eq!(
        (full["forced_exits"].as_u64(), full["frozen"].as_bool(), full["exits"].as_u64()),
        (Some(2), Some(true), Some(18))
    );
    assert_eq!((full["retired_public"].as_u64(), full["retired_sealed"].as_u64()), (Some(2), Some(1)));
    assert_eq!((full["certificates_transferred"].as_u64(), full["corrected"].as_u64()), (Some(1), Some(2)));
    assert_eq!(full["money_conserved"], true);
    // Every day's totals are opened to the auditor, with what holders show: issued = retired + outstanding + exported.
    let certificates = |name: &str| full["certificates"][name].as_u64().unwrap();
    assert_eq!((full["totals_opened"].as_u64(), native["totals_opened"].as_u64()), (Some(8), Some(0)));
    assert_eq!(certificates("issued_wh"), full["communities"][0]["totals"]["issued"].as_u64().unwrap());
    assert_eq!(
        certificates("issued_wh"),
        certificates("retired_wh") + certificates("outstanding_wh") + certificates("exported_wh")
    );
    assert!(
        certificates("retired_wh") > full["communities"][0]["totals"]["retired"].as_u64().unwrap(),
        "what was traded, and what holders retired"
    );
    assert!(certificates("held_wh") > 0 && certificates("held_wh") < certificates("outstanding_wh"));
    // Salts and domain differ, so the roots do; the market may not.
    assert_ne!(full["state_root"], native["state_root"]);
    for day in 0..8 {
        // A home that took its money out on the fifth day is in debt from then on and buys nothing.
        let figures: &[&str] = if day < 5 {
            &["import_wh", "export_wh", "local_wh", "bills_nano", "substituted"]
        } else {
            &["import_wh", "export_wh"]
        };
        for figure in figures {
            assert_eq!(full["days"][day][figure], native["days"][day][figure], "day {day}: {figure}");
        }
    }
}

#[test]
fn the_days_settle_natively_and_every_member_verifies() {
    let (text, summary) = native();
    assert!(text.contains("3,264 readings in 8 batches"), "{text}");
    assert!(text.contains("136 statements verified"), "{text}");
    for key in [
        "readings",
        "batches",
        "proving_s",
        "gas_settle",
        "gas_per_reading",
        "verifier_bytes",
        "local_wh",
        "state_root",
        "auditor",
    ] {
        assert!(summary.get(key).is_some(), "{key}");
    }
    let day = |i: usize| &summary["days"][i];
    assert_eq!(
        (day(6)["mechanism"].as_str(), day(7)["mechanism"].as_str()),
        (Some("auction"), Some("community-price"))
    );
    assert_eq!([0, 1, 2, 3].map(|i| day(i)["substituted"].as_u64().unwrap()), [0, 1, 1, 0]);
    // Nobody is silent on these days: the source's own totals.
    assert_eq!((day(4)["import_wh"].as_u64(), day(4)["export_wh"].as_u64()), (Some(202_309), Some(202_094)));
    assert_eq!((day(6)["import_wh"].as_u64(), day(6)["matchable_wh"].as_u64()), (Some(268_827), Some(39_680)));
    // At the published price everything that can be matched is.
    assert_eq!(day(7)["local_wh"], day(7)["matchable_wh"]);
    let certificates = &summary["communities"][0]["totals"];
    let sum = |a: &str, b: &str| certificates[a].as_u64().unwrap() + certificates[b].as_u64().unwrap();
    assert_eq!(certificates["issued"].as_u64().unwrap(), sum("retired", "outstanding"));
    // The substituted days earn none.
    assert!(certificates["issued"].as_u64().unwrap() < certificates["export"].as_u64().unwrap());
}
