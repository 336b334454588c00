//! Statements and exits whose calldata does not show them.

use gridveil_auditor::Verdict;
use gridveil_verifier_contract::{RollupEffect as Effect, RollupEvent};

use super::{lies, run, told};
use crate::common::word;

/// A statement or exit that no calldata shows may be right. The audit names it and does not say ok.
#[test]
fn what_no_calldata_shows_is_named_and_is_not_ok() {
    let honest = told();
    for (lie, what) in [
        ("call CertificateSpent 1 forget", "the statement with nullifier 00000000: the calldata"),
        ("call CertificateSpent 1 inside proof 8", "has it otherwise: its proof does not hold"),
        ("call Exited forget", "the exit of slot 0 of community 9: the calldata"),
        ("call ClaimExited forget", "the exit of claim"),
    ] {
        let mut told = honest.clone();
        lies::tell(&mut told, lie);
        let report = run(&told);
        assert_eq!((report.failures.as_slice(), report.auditor), (&[][..], Verdict::Incomplete), "{lie}");
        let [unverified] = &report.unverified[..] else { panic!("{lie}: {:?}", report.unverified) };
        assert!(unverified.what.contains(what), "{lie}: {}", unverified.what);
        assert!(!report.is_ok() && report.table().contains("INCOMPLETE"), "{lie}");
    }
    // A statement that no call brought, after the freeze, where no note is queued.
    let mut told = honest.clone();
    let sealed = |event: &&RollupEvent| matches!(event.effect, Effect::CertificateSpent { kind: 258, .. });
    let mut forged = *told.events.iter().find(sealed).unwrap();
    if let Effect::CertificateSpent { nullifier, .. } = &mut forged.effect {
        *nullifier = word(1);
    }
    (forged.block, forged.tx) = (told.events.last().unwrap().block, word(99));
    told.events.push(forged);
    let report = run(&told);
    assert_eq!((report.failures.as_slice(), report.auditor), (&[][..], Verdict::Incomplete));
    assert!(report.unverified[0].what.contains("nullifier 00000000"), "{:?}", report.unverified);
    // Inside another contract's call it is as good as alone.
    let mut told = honest.clone();
    lies::tell(&mut told, "call CertificateSpent 1 inside");
    assert!(run(&told).is_ok());
}
