//! Statements and exits whose calldata does not show them.

use gridveil_auditor::Verdict;

use super::{lies, run, told};

/// A statement or exit that no calldata shows may be right. The audit names it and does not say ok.
#[test]
fn what_no_calldata_shows_is_named_and_is_not_ok() {
    let honest = told();
    for (lie, what) in [
        ("call CertificateSpent 1 forget", "the statement with nullifier 00000000: the calldata"),
        ("call CertificateSpent 1 inside proof 8", "has it otherwise: its proof does not hold"),
        ("call Exited forget", "the exit of slot 0 of community 3: the calldata"),
        ("call ClaimExited forget", "the exit of claim"),
        (
            "end CertificateSpent nullifier=1 note_1=2 note_2=3 retirement=4 disclosed=0 beneficiary=0 kind=258",
            "nullifier 00000000",
        ),
    ] {
        let mut told = honest.clone();
        lies::tell(&mut told, lie);
        let report = run(&told);
        assert_eq!((report.failures.as_slice(), report.auditor), (&[][..], Verdict::Incomplete), "{lie}");
        let [unverified] = &report.unverified[..] else { panic!("{lie}: {:?}", report.unverified) };
        assert!(unverified.what.contains(what), "{lie}: {}", unverified.what);
        assert!(!report.is_ok() && report.table().contains("INCOMPLETE"), "{lie}");
    }
    // Inside another contract's call it is as good as alone.
    let mut told = honest.clone();
    lies::tell(&mut told, "call CertificateSpent 1 inside");
    assert!(run(&told).is_ok());
}
