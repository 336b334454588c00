//! Two honest stories, and the same with one thing too early.

use gridveil_verifier_contract::{Address, Block, CommunityParams, deployment::Hex, memory::Told};

use super::*;

const DAY: u64 = 86_400;
const ALICE: Address = [0xa1; 20];
const ZERO: Word = [0; 32];
const PUBLIC: u64 = 11_155_111;

/// Label, unix seconds, effect. What is labelled `made` is of the deployment's transaction.
type Story = Vec<(&'static str, u64, Effect)>;

fn terms() -> Terms {
    Terms {
        genesis_root: Hex(ZERO),
        token: Hex(ALICE),
        token_per_unit: 1,
        forced_deadline_s: 2 * DAY,
        refund_delay_s: 3 * DAY,
        verifier_delay_s: 10 * DAY,
        forced_bond_wei: 1,
        enforce_future_tariffs: true,
        treasury: Hex(ALICE),
    }
}

fn findings(story: &Story, chain_id: u64, terms: Option<&Terms>) -> Vec<&'static str> {
    let blocks: Vec<Block> = story.iter().map(|(_, time_s, _)| Block { time_s: *time_s, ..Block::default() }).collect();
    let events: Vec<RollupEvent> = (0..)
        .zip(story)
        .map(|(block, (label, _, effect))| {
            let tx = if *label == "made" { ZERO } else { [1; 32] };
            RollupEvent { block, tx, effect: *effect }
        })
        .collect();
    let told = Told { blocks, ..Told::default() };
    let mut clock = Clock::new(&told);
    let check = check(chain_id, &mut clock, &events, terms);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(check).unwrap().iter().map(|failure| failure.clause).collect()
}

fn registered(circuit_version: u32, active_from: u64) -> Effect {
    let (shape, verifier, codehash, proof_length) = (1, ALICE, ZERO, 32);
    Effect::VerifierRegistered { circuit_version, shape, verifier, codehash, proof_length, active_from }
}

fn first_used(circuit_version: u32) -> Effect {
    Effect::VerifierFirstUsed { circuit_version, shape: 1, verifier: ALICE }
}

fn community(community: u32, shape: u32) -> Effect {
    let (interval_length_s, m, tariff_set, genesis_terms) = (900, 96, 1, ZERO);
    Effect::CommunityRegistered(CommunityParams { community, shape, interval_length_s, m, tariff_set, genesis_terms })
}

fn asked(slot: u32) -> Effect {
    Effect::ForcedRequested { community: 4, slot, requester: ALICE, position: slot, payer: ALICE, bond: 1 }
}

fn served(slot: u32) -> Effect {
    Effect::ForcedServed { community: 4, slot, requester: ALICE, units: 1, bond: 1 }
}

fn spent(number: u8) -> Effect {
    Effect::CertificateSpent {
        nullifier: [number; 32],
        circuit_version: 1_000_001,
        anchor: ZERO,
        note_1: ZERO,
        note_2: ZERO,
        retirement: ZERO,
        disclosed: ZERO,
        beneficiary: ZERO,
        kind: 0,
    }
}

/// An upgrade while a queue is full, a refund, the end of a community, a freeze for notes, and what was left.
fn ordinary() -> Story {
    let mut story = vec![
        ("made", 0, registered(2, 0)),
        ("made", 0, Effect::CouncilAppointed { council: ALICE, from: 0 }),
        ("made", 0, Effect::Genesis { root: ZERO, circuit_version: 2 }),
        ("set", 0, Effect::TariffSetOpened { tariff_set: 1, interval_length_s: 900, m: 96 }),
        ("tariff", 0, Effect::TariffRegistered { tariff_set: 1, index: 0, first_interval: 4, commitment: ZERO }),
        ("community", 0, community(4, 1)),
        ("registered", DAY, registered(3, 11 * DAY)),
    ];
    story.extend((0..8).map(|slot| ("asked", 2 * DAY, asked(slot))));
    story.push(("place", 3 * DAY, served(0)));
    story.push(("announced", 11 * DAY, Effect::UpgradeAnnounced { circuit_version: 3, waiting: 7 }));
    story.extend((1..8).map(|slot| ("served", 11 * DAY, served(slot))));
    story.extend([
        ("used", 12 * DAY, first_used(3)),
        ("refund", 12 * DAY, Effect::RefundRequested { claim: ZERO, refundable_at: 15 * DAY }),
        ("refunded", 15 * DAY, Effect::Refunded { claim: ZERO, depositor: ALICE, units: 1 }),
        ("closing", 15 * DAY, Effect::CommunityClosing { community: 4, closes_at: 25 * DAY }),
        ("ending", 25 * DAY, Effect::CommunityEnding { community: 4 }),
        ("closed", 25 * DAY, Effect::CommunityClosed { community: 4, last_batch: 1 }),
    ]);
    // Of the ninth pair, eight are ahead: one batch.
    story.extend((0..10).map(|number| ("spent", 25 * DAY, spent(number))));
    let appended = Effect::NoteAppended { note: ZERO, community: 4 };
    story.extend([
        ("appended", 25 * DAY, appended),
        ("appended", 25 * DAY, appended),
        ("dropped", 25 * DAY, Effect::NotesDropped { nullifier: [1; 32], circuit_version: 1_000_001, undone: true }),
        ("frozen", 29 * DAY + 1, Effect::FrozenForNotes { number: 8, root: ZERO }),
        ("swept", 3_679 * DAY + 1, Effect::RestSwept { balance: 1, amount: 1 }),
    ]);
    story
}

/// A council; a verifier that is proven unsound, another that is hastened, a member who leaves, a freeze that waits.
fn emergency() -> Story {
    vec![
        ("made", 0, registered(2, 0)),
        ("made", 0, Effect::Genesis { root: ZERO, circuit_version: 2 }),
        ("community", 0, community(4, 1)),
        ("community", 0, community(5, 2)),
        ("appointed", 0, Effect::CouncilAppointed { council: ALICE, from: 10 * DAY }),
        ("registered", 19 * DAY, registered(3, 29 * DAY)),
        ("unsound", 20 * DAY, Effect::VerifierUnsound { circuit_version: 2, shape: 1, verifier: ALICE }),
        ("asked", 20 * DAY, asked(0)),
        ("hastened", 21 * DAY, Effect::VerifierHastened { circuit_version: 3, shape: 1, active_from: 23 * DAY }),
        ("left", 22 * DAY, Effect::CommunityClosed { community: 5, last_batch: 1 }),
        ("used", 23 * DAY, first_used(3)),
        ("frozen", 24 * DAY + 1, Effect::Frozen { community: 4, root: ZERO }),
    ]
}

/// Another time for what is labelled so.
fn at(story: &mut Story, label: &str, time_s: u64) {
    let found = story.iter_mut().filter(|(is, ..)| *is == label).map(|(_, time, _)| *time = time_s).count();
    assert_ne!(found, 0, "{label}");
}

/// Another effect for what is labelled so.
fn is(story: &mut Story, label: &str, effect: Effect) {
    story.iter_mut().find(|(is, ..)| *is == label).unwrap().2 = effect;
}

fn without(story: &mut Story, label: &str) {
    let before = story.len();
    story.retain(|(is, ..)| *is != label);
    assert_ne!(story.len(), before, "{label}");
}

type Case = (&'static str, fn(&mut Story), &'static [&'static str]);

fn each(honest: fn() -> Story, cases: &[Case]) {
    assert_eq!(findings(&honest(), PUBLIC, Some(&terms())), [""; 0]);
    for (name, edit, expected) in cases {
        let mut story = honest();
        edit(&mut story);
        assert_eq!(findings(&story, PUBLIC, Some(&terms())), *expected, "{name}");
    }
}

#[test]
fn what_comes_too_early_has_its_finding() {
    each(
        ordinary,
        &[
            ("a constructor's verifier that waits", |s| is(s, "made", registered(2, 1)), &["L1.6"]),
            ("a verifier that does not", |s| is(s, "registered", registered(3, 11 * DAY - 1)), &["L1.6"]),
            ("announced before its delay is over", |s| at(s, "announced", 11 * DAY - 1), &["L1.11"]),
            (
                "another version announced",
                |s| {
                    is(s, "announced", Effect::UpgradeAnnounced { circuit_version: 4, waiting: 7 });
                },
                &["L1.11"],
            ),
            ("not announced", |s| without(s, "announced"), &["L1.11"]),
            (
                "fewer are said to wait",
                |s| {
                    is(s, "announced", Effect::UpgradeAnnounced { circuit_version: 3, waiting: 6 });
                },
                &["L1.11"],
            ),
            ("a queue was full within the day", |s| at(s, "place", 10 * DAY + 1), &["L1.11"]),
            ("a queue is full", |s| without(s, "place"), &["L1.11", "L1.11", "L1.11"]),
            ("one waits still", |s| is(s, "served", first_used(9)), &["L1.11"]),
            (
                "used before its delay is over",
                |s| {
                    at(s, "used", 11 * DAY - 1);
                    at(s, "refund", 12 * DAY);
                },
                &["L1.6"],
            ),
            ("refunded early", |s| at(s, "refunded", 15 * DAY - 1), &["VAULT.4"]),
            (
                "a refund that is due early",
                |s| {
                    is(s, "refund", Effect::RefundRequested { claim: ZERO, refundable_at: 15 * DAY - 1 });
                },
                &["VAULT.4"],
            ),
            (
                "a shorter notice",
                |s| {
                    is(s, "closing", Effect::CommunityClosing { community: 4, closes_at: 25 * DAY - 1 });
                },
                &["CLOSE.1"],
            ),
            ("requests end within the notice", |s| at(s, "ending", 25 * DAY - 1), &["CLOSE.2"]),
            ("closed before its requests end", |s| without(s, "ending"), &["CLOSE.3"]),
            ("a tariff within the notice", |s| at(s, "tariff", 1), &["L1.TARIFF"]),
            (
                "frozen for notes in time",
                |s| {
                    at(s, "frozen", 29 * DAY);
                    at(s, "swept", 3_679 * DAY);
                },
                &["L1C.8"],
            ),
            (
                "the head is waited for by its own deadline",
                |s| {
                    is(s, "frozen", Effect::FrozenForNotes { number: 7, root: ZERO });
                    at(s, "frozen", 27 * DAY + 1);
                },
                &[],
            ),
            ("swept within ten years", |s| at(s, "swept", 3_679 * DAY), &["VAULT.8"]),
        ],
    );
}

#[test]
fn an_emergency_has_its_times() {
    each(
        emergency,
        &[
            (
                "a council at once",
                |s| {
                    is(s, "appointed", Effect::CouncilAppointed { council: ALICE, from: 10 * DAY - 1 });
                },
                &["COUNCIL.3"],
            ),
            // The freeze is not held then, and was long due.
            ("no council", |s| without(s, "appointed"), &["COUNCIL.4"]),
            ("hastened without a proof", |s| without(s, "unsound"), &["COUNCIL.4", "L1.11"]),
            (
                "hastened too late after it",
                |s| {
                    at(s, "hastened", 22 * DAY + 1);
                    is(
                        s,
                        "hastened",
                        Effect::VerifierHastened { circuit_version: 3, shape: 1, active_from: 24 * DAY + 1 },
                    );
                    at(s, "used", 24 * DAY + 1);
                },
                &["COUNCIL.4", "L1.11"],
            ),
            (
                "hastened for another time",
                |s| {
                    is(
                        s,
                        "hastened",
                        Effect::VerifierHastened { circuit_version: 3, shape: 1, active_from: 23 * DAY - 1 },
                    );
                },
                &["COUNCIL.4"],
            ),
            ("used before", |s| at(s, "used", 23 * DAY - 1), &["L1.6"]),
            ("used when the emergency is over, and not announced", |s| at(s, "used", 24 * DAY + 1), &["L1.11"]),
            ("left when a hastened verifier is active", |s| at(s, "left", 23 * DAY), &["CLOSE.3"]),
            (
                "left when the emergency is over",
                |s| {
                    is(s, "left", Effect::CommunityClosed { community: 4, last_batch: 1 });
                    at(s, "left", 24 * DAY + 1);
                },
                &["CLOSE.3"],
            ),
            ("frozen while it is held", |s| at(s, "frozen", 24 * DAY), &["COUNCIL.6"]),
            ("frozen within the deadline", |s| at(s, "asked", 23 * DAY), &["FORCED.2"]),
        ],
    );
}

#[test]
fn the_local_chain_has_no_notice_and_a_client_without_terms_no_deadlines() {
    let mut story = ordinary();
    at(&mut story, "tariff", 3_599);
    assert_eq!(findings(&story, LOCAL_CHAIN_ID, Some(&terms())), [""; 0]);
    at(&mut story, "tariff", 3_600);
    assert_eq!(findings(&story, LOCAL_CHAIN_ID, Some(&terms())), ["L1.TARIFF"]);
    assert_eq!(findings(&story, PUBLIC, None), [""; 0]);
    let past = Terms { enforce_future_tariffs: false, ..terms() };
    assert_eq!(findings(&story, LOCAL_CHAIN_ID, Some(&past)), [""; 0]);
}
