//! What a report says of the rollup: setup, dates, decisions.

use gridveil_verifier_contract::{Role, verifiers::COMMITTED};

use super::*;

/// Verifies under a setup of that name.
struct Under(&'static str);

impl ProofVerifier for Under {
    fn verify(&self, _: CircuitVersion, _: u32, _: &[Fr; 10], _: &[u8]) -> Result<bool, VerifierError> {
        Ok(true)
    }

    fn verify_certificate(&self, _: CircuitVersion, _: &[Fr; 9], _: &[u8]) -> Result<bool, VerifierError> {
        Ok(true)
    }

    fn setup(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
}

/// A verifier of the development setup makes the verdict say so: by its code, or by the proofs that hold under it.
#[test]
fn the_development_setup_is_in_the_verdict() {
    let told = told();
    let verdict = |told: &Told, setup| wait(audit(told, &Under(setup), &[], 0));
    let report = verdict(&told, "INSECURE-dev");
    assert_eq!(report.verdict, "INSECURE, ok");
    assert!(report.is_ok() && report.table().starts_with("auditor          INSECURE, ok\n"));
    let report = verdict(&told, "ptau-0123456789abcdef");
    assert_eq!(
        (report.verdict.as_str(), report.subject.setup.as_str()),
        ("ok", "ptau-0123456789abcdef: the proofs hold under it")
    );
    assert!(run(&told).subject.setup.starts_with("not known"));
    // No batch yet, and a verifier that everybody has the secret of.
    let mut codehash = ZERO;
    hex::decode_to_slice(COMMITTED[0].code_hash, &mut codehash).unwrap();
    let mut registered = told.clone();
    let (circuit_version, shape, verifier, proof_length, active_from) = (9, 1, ALICE, 0, 0);
    let effect = Effect::VerifierRegistered { circuit_version, shape, verifier, codehash, proof_length, active_from };
    registered.events.insert(0, RollupEvent { block: 1, tx: ZERO, effect });
    let report = verdict(&registered, "ptau-0123456789abcdef");
    assert_eq!(report.verdict, "INSECURE, ok");
    assert!(report.timeline[0].what.contains("circuit version 9, shape 1"), "{:?}", report.timeline[0]);
}

/// A member's exit closes a community without notice, if a verifier of its shape was proven unsound, or one hastened.
#[test]
fn in_an_emergency_a_community_is_closed_at_once() {
    let mut told = told();
    let notice =
        |event: &RollupEvent| matches!(event.effect, Effect::CommunityClosing { .. } | Effect::CommunityEnding { .. });
    told.events.retain(|event| !notice(event));
    assert!(!run(&told).is_ok());
    let place = told.events.iter().position(|event| matches!(event.effect, Effect::CommunityClosed { .. })).unwrap();
    let block = told.events[place].block;
    let with = |place: usize, block: u64, effect: Effect| {
        let mut told = told.clone();
        told.events.insert(place, RollupEvent { block, tx: ZERO, effect });
        told
    };
    let unsound = |shape| Effect::VerifierUnsound { circuit_version: 9, shape, verifier: ALICE };
    let report = run(&with(place, block, unsound(1)));
    assert!(report.is_ok(), "{:?}", report.failures);
    let decided = |words: &str| report.timeline.iter().any(|decision| decision.what.contains(words));
    assert!(decided("proven unsound"), "{:?}", report.timeline);
    let closes = |told: &Told| run(told).failures.iter().any(|failure| failure.clause == "CLOSE.3");
    assert!(closes(&with(0, 1, unsound(1))), "the emergency was over");
    assert!(closes(&with(place, block, unsound(8))), "of another shape");
    let mut hastened = with(place, block, unsound(8));
    let effect = Effect::VerifierHastened { circuit_version: 10, shape: 8, active_from: u64::MAX };
    hastened.events.insert(place + 1, RollupEvent { block, tx: ZERO, effect });
    assert!(!closes(&hastened), "for another shape: all may leave");
}

#[test]
fn the_report_names_what_was_audited() {
    let told = told();
    let subject = run(&told).subject;
    assert_eq!((subject.chain_id, subject.contract.as_str()), (31_337, "0x1111111111111111111111111111111111111111"));
    assert_eq!((subject.block, subject.date.as_str()), (told.blocks.len() as u64 - 1, "2001-10-02T05:20:00Z"));
    assert_eq!(
        subject.terms.as_ref().map(|terms| (terms.token_per_unit, terms.refund_delay_s)),
        Some((10_000, 21_600))
    );
    let [three, seven, _] = &subject.communities[..] else { panic!("{subject:?}") };
    assert_eq!((three.community, three.shape.as_str(), three.periods), (3, "tiny-4x2", 2));
    // Intervals 100 to 103, of an hour each.
    assert_eq!(
        (three.from.as_deref(), three.until.as_deref()),
        (Some("1970-01-05T04:00:00Z"), Some("1970-01-05T08:00:00Z"))
    );
    assert_eq!((seven.periods, subject.span().as_str()), (2, "1970-01-05T04:00:00Z to 1970-01-05T08:00:00Z"));
}

#[test]
fn decisions_are_told_in_order_with_their_dates() {
    let mut told = told();
    let role = Effect::RoleChanged { role: Role::Operator.id(), account: BOB, granted: true, by: ALICE };
    let unknown = Effect::RoleChanged { role: word(5), account: BOB, granted: false, by: ALICE };
    for effect in [unknown, role, Effect::DepositsPaused { paused: false }] {
        told.events.insert(2, RollupEvent { block: 2, tx: ZERO, effect });
    }
    let report = run(&told);
    assert_eq!(report.failures, []);
    let about: Vec<&str> = report.timeline.iter().map(|decision| decision.about).collect();
    // Three communities are added, begin, and one ends in three steps.
    let communities = ["community"; 9];
    let expected = [&["tariff", "tariff", "pause", "role", "role"][..], &communities, &["freeze"]].concat();
    assert_eq!(about, expected);
    let what = |number: usize| report.timeline[number].what.as_str();
    assert!(what(0).starts_with("set 1 opened: periods of 2 intervals of 3600 s"), "{}", what(0));
    assert!(what(1).starts_with("set 1: tariff 0 in force from 1970-01-03T02:00:00Z; 0x"), "{}", what(1));
    assert!(what(3).starts_with("operator granted to 0xb0b0") && what(3).ends_with("a1a1"), "{}", what(3));
    assert!(what(4).starts_with("unknown 0x00") && what(4).contains("revoked from"), "{}", what(4));
    assert_eq!(report.timeline[1].date, "2001-09-09T01:46:40Z");
    assert!(
        what(11).starts_with("end of 9 announced") && what(13).starts_with("9 closed after batch 5"),
        "{}",
        what(13)
    );
    assert_eq!(report.timeline[14].time_s, 1_002_000_000);
}
