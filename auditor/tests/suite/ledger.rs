//! A chain with everything that can happen, played on the fake L1; and the same chain told with one lie at a time.

mod calldata;
mod checkpoints;
mod decisions;
mod lies;
mod table;

use std::collections::BTreeMap;

use crate::common::{ZERO, ask, chain_from, wait, word};
use gridveil_auditor::{AuditReport, Failure, ProofVerifier, RetiredPeriod, VerifierError, audit};
use gridveil_protocol::{
    community,
    field::{Fr, from_bytes, to_bytes},
    params::STATE_DEPTH,
    poseidon::{hash2, hash4},
    record::{Record, RecordKind, digest, words},
    tree::{Children, SparseTree, dense_path, dense_root},
    units::{Interval, Nano, Wh},
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    Address, CertificateCall, ChainL1, CommunityParams, ExitCall, ExitClaimCall, MemberL1, OperatorL1,
    RollupEffect as Effect, RollupEvent, SettleCall, SettlementL1, Word,
    memory::{MemoryL1, Told},
};

const ALICE: Address = [0xa1; 20];
const BOB: Address = [0xb0; 20];
const FIRST: u32 = 100;
const UNIT: u64 = 10_000_000;
const OWN_WORDS: usize = 6;
/// The proof that is taken for a certificate's.
const PROVED: [u8; 4] = [7; 4];

fn element(word: &Word) -> Fr {
    from_bytes(word).unwrap()
}

fn padded(account: Address) -> Fr {
    let mut out = ZERO;
    out[12..].copy_from_slice(&account);
    element(&out)
}

fn record(kind: RecordKind, units: u64, w1: Word) -> Record {
    Record::new(kind, units, 0, element(&w1))
}

struct Chain {
    l1: MemoryL1,
    state: SparseTree,
    periods: BTreeMap<u32, u32>,
    /// Leaves, header leaf and certificates root of a community's last batch.
    last: BTreeMap<u32, (Vec<Fr>, Fr, Fr)>,
    seed: u64,
}

/// What slot 0 of a community has in each of its batches, nano.
fn balance(community: u32) -> u64 {
    match community {
        3 => 123,
        9 => 7,
        _ => 50 * UNIT,
    }
}

/// The leaf of slot 0, which has it.
fn leaf(community: u32) -> Fr {
    let exit = hash4([Fr::from(balance(community)), padded(BOB), element(&word(81)), element(&word(82))]);
    hash2(exit, element(&word(83)))
}

/// The siblings of a path from this place up, as the contract takes them.
fn siblings(path: &[Children], mut index: usize) -> Vec<Word> {
    let mut out = Vec::new();
    for children in path {
        out.extend((0..4).filter(|child| *child != index % 4).map(|child| to_bytes(&children[child])));
        index /= 4;
    }
    out
}

impl Chain {
    fn settle(&mut self, community: u32, records: &[Record]) {
        self.seed += 100;
        let mut leaves: Vec<Fr> = (1..=4).map(|i| Fr::from(self.seed + i)).collect();
        leaves[0] = leaf(community);
        let (header, certificates) = (Fr::from(self.seed + 5), Fr::from(self.seed + 6));
        let node = community::node(header, dense_root(&leaves), certificates);
        self.state.set(u64::from(community), node);
        self.last.insert(community, (leaves.clone(), header, certificates));
        let first_interval = *self.periods.entry(community).or_insert(FIRST);
        self.periods.insert(community, first_interval + 2);
        let data =
            leaves.into_iter().chain([header, certificates]).chain(words(records)).map(|x| to_bytes(&x)).collect();
        let call = SettleCall {
            circuit_version: 2,
            community,
            first_interval,
            tariff_index: 0,
            new_root: to_bytes(&self.state.root()),
            community_new: to_bytes(&node),
            ops_digest: to_bytes(&digest(records)),
            data,
            proof: vec![1; 10],
        };
        wait(self.l1.settle(call));
    }

    fn certify(&self, number: u64, kind: u16, disclosed: Word) {
        let retirement = if kind == 0 { ZERO } else { word(number + 3) };
        wait(self.l1.certify(CertificateCall {
            circuit_version: 1_000_001,
            anchor: wait(self.l1.state_root()),
            nullifier: word(number),
            note_1: word(number + 1),
            note_2: word(number + 2),
            retirement,
            disclosed,
            beneficiary: ZERO,
            kind,
            proof: PROVED.to_vec(),
        }));
    }

    /// The exit of a community's slot 0.
    fn exit(&self, community: u32) -> ExitCall {
        let (leaves, header, certificates) = &self.last[&community];
        let place = usize::try_from(community).unwrap();
        let members = siblings(&dense_path(leaves, 0).unwrap(), 0);
        let state = siblings(&self.state.path(u64::from(community)), place);
        ExitCall {
            community,
            slot: 0,
            balance: balance(community),
            payout: BOB,
            s1: word(81),
            s2: word(82),
            private_commitment: word(83),
            header_leaf: to_bytes(header),
            certificates_root: to_bytes(certificates),
            siblings: [members, state].concat(),
        }
    }
}

/// `amount | first_interval<<48 | m<<80 | community<<96 | technology<<128`.
fn info(amount: u64, first_interval: u32, m: u16, community: u32) -> Word {
    let mut out = ZERO;
    out[15] = 1;
    out[16..20].copy_from_slice(&community.to_be_bytes());
    out[20..22].copy_from_slice(&m.to_be_bytes());
    out[22..26].copy_from_slice(&first_interval.to_be_bytes());
    out[26..].copy_from_slice(&amount.to_be_bytes()[2..]);
    out
}

fn sent() -> (ExitClaimCall, Word) {
    let call = ExitClaimCall { recipient: word(71), amount: 3 * UNIT, payout: ALICE, sa: word(72), sb: word(73) };
    let mut packed = ZERO;
    packed[4..24].copy_from_slice(&ALICE);
    packed[24..].copy_from_slice(&call.amount.to_be_bytes());
    (call, to_bytes(&hash4([call.recipient, packed, call.sa, call.sb].map(|w| element(&w)))))
}

/// The chain, and what a node says of it before its last batches.
fn played() -> (Told, MemoryL1) {
    let (half, chain) = played_until_the_freeze();
    let (claim_call, _) = sent();
    wait(chain.l1.freeze(3));
    for community in [3, 7] {
        wait(chain.l1.exit(chain.exit(community)));
    }
    wait(chain.l1.exit_claim(claim_call));
    wait(chain.l1.refund(word(14)));
    chain.certify(6_000, 257, info(2, FIRST, 2, 3));
    (half, chain.l1)
}

fn played_until_the_freeze() -> (Told, Chain) {
    let state = SparseTree::new(STATE_DEPTH);
    let l1 = chain_from(to_bytes(&state.root()), 1_000_000_000, false);
    wait(l1.open_tariff_set(1, 3600, 2));
    wait(l1.register_tariff(1, 50, word(9)));
    for community in [3, 7, 9] {
        wait(l1.register_community(CommunityParams {
            community,
            shape: 1,
            interval_length_s: 3600,
            m: 2,
            tariff_set: 1,
            genesis_terms: word(u64::from(community)),
        }));
    }
    let mut chain = Chain { l1, state, periods: BTreeMap::new(), last: BTreeMap::new(), seed: 1_000 };
    for (claim, units) in [(11, 500), (12, 70), (13, 30), (14, 25)] {
        wait(chain.l1.deposit(word(claim), units));
    }
    wait(chain.l1.request_refund(word(13)));
    chain.l1.set_timestamp(1_000_100_000);
    wait(chain.l1.refund(word(13)));
    wait(chain.l1.fund_supplier_account(1_000));
    chain.settle(
        3,
        &[
            record(RecordKind::Init, 0, word(3)),
            record(RecordKind::Deposit, 500, word(11)),
            record(RecordKind::SupplierIn, 400, ZERO),
        ],
    );
    for (slot, caller) in [(1, ALICE), (2, BOB)] {
        chain.l1.set_caller(caller);
        wait(chain.l1.force_withdraw(3, slot));
    }
    chain.certify(1_000, 0, ZERO);
    chain.settle(
        7,
        &[
            record(RecordKind::Init, 0, word(7)),
            record(RecordKind::Deposit, 70, word(12)),
            record(RecordKind::Note, 0, word(1_001)),
            record(RecordKind::Note, 0, word(1_002)),
        ],
    );
    let (_, claim) = sent();
    chain.settle(
        3,
        &[
            Record::new(RecordKind::Withdraw, 100, 0, padded(ALICE)),
            record(RecordKind::Send, 0, word(21)),
            record(RecordKind::Send, 0, claim),
            Record::new(RecordKind::Forced, 20, 1, padded(ALICE)),
            Record::new(RecordKind::Correction, 0, FIRST, element(&word(9))),
            record(RecordKind::SupplierOut, 10, ZERO),
            record(RecordKind::FeeOut, 5, ZERO),
        ],
    );
    chain.certify(2_000, 257, info(40, FIRST, 2, 3));
    chain.certify(3_000, 258, ZERO);
    chain.certify(4_000, 769, info(1_000, FIRST, 2, 3));
    chain.certify(5_000, 513, info(6, FIRST, 2, 7));
    let half = wait(Told::by(&chain.l1));
    chain.settle(7, &[record(RecordKind::Receive, 0, word(21)), record(RecordKind::Note, 0, word(2_001))]);
    wait(chain.l1.withdraw(ALICE));
    // A third community begins and ends, and one of its members leaves before the freeze.
    chain.settle(9, &[record(RecordKind::Init, 0, word(9))]);
    chain.l1.announce_closing(9).unwrap();
    chain.l1.set_timestamp(1_002_000_000);
    chain.l1.close_community(9).unwrap();
    wait(chain.l1.exit(chain.exit(9)));
    (half, chain)
}

fn told() -> Told {
    wait(Told::by(&played().1))
}

/// Proofs of batches are not what is lied about here.
struct Believes;

impl ProofVerifier for Believes {
    fn verify(&self, _: CircuitVersion, _: u32, _: &[Fr; 10], _: &[u8]) -> Result<bool, VerifierError> {
        Ok(true)
    }

    fn verify_certificate(&self, _: CircuitVersion, _: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError> {
        Ok(proof == PROVED)
    }
}

fn run(told: &Told) -> AuditReport {
    wait(audit(told, &Believes, &[], 0))
}

#[test]
fn everything_is_followed() {
    let told = told();
    let report = run(&told);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 5));
    // 500 + 70 + 400 - 100 - 20 - 10 - 5 units, then exits of 50 and 3 units and 123 nano.
    assert_eq!(report.money.pool_nano, Nano::from(782 * UNIT - 130));
    assert_eq!(report.money.exited_nano, Nano::from(53 * UNIT + 130));
    let books = report.books;
    assert_eq!(
        (books.deposited_units, books.open_units, books.refunded_units, books.supplier_funds_units),
        (625, 0, 55, 600)
    );
    assert_eq!((books.forced_open, books.exits, books.claim_exits, books.frozen), (1, 3, 1, true));
    assert!(books.standing_compared && books.pool_compared && books.solvency_compared);
    // Statements and exits are verified by what their calldata has.
    assert_eq!((report.certificates.verified, books.exits_verified, report.unverified.as_slice()), (6, 4, &[][..]));
    // 625 + 1,000 units came in, 55 were refunded, 120 fetched; less than a part of the token is nobody's.
    assert_eq!((books.held, books.held - books.owed), (1_450 * 10_000, 1));
    assert_eq!((books.withdrawable, books.owed_wei), (680_000, books.held_wei));
    let c = &report.certificates;
    assert_eq!(
        (c.spent, c.sealed, c.consumed_wh, c.expired_wh, c.exported_wh, c.waiting_notes),
        (6, 1, Wh(42), Wh(6), Wh(1_000), 7)
    );
    let three = RetiredPeriod {
        community: 3,
        first_interval: Interval(FIRST),
        consumed_wh: Wh(42),
        expired_wh: Wh(0),
        exported_wh: Wh(1_000),
        retirements: 3,
    };
    let seven = RetiredPeriod {
        community: 7,
        first_interval: Interval(FIRST),
        consumed_wh: Wh(0),
        expired_wh: Wh(6),
        exported_wh: Wh(0),
        retirements: 1,
    };
    assert_eq!(c.public, [three, seven]);
    let table = report.table();
    assert!(
        table.contains("\ncommunity     period from (UTC)    consumed Wh     expired Wh    exported Wh\n"),
        "{table}"
    );
    assert!(
        table.contains("\n        3  1970-01-05T04:00:00Z             42              0           1000\n"),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(
        (json["certificates"]["public"][0]["exported_wh"].as_u64(), json["certificates"]["sealed"].as_u64()),
        (Some(1_000), Some(1))
    );
    assert_eq!(
        (json["money"]["pool_nano"].as_u64(), json["books"]["frozen"].as_bool()),
        (Some(782 * UNIT - 130), Some(true))
    );
}

#[test]
fn what_happens_meanwhile_is_followed_before_anything_is_compared() {
    let mut told = told();
    told.late = 3;
    let report = run(&told);
    assert_eq!(report.failures, []);
    assert!(report.books.pool_compared);
    let silent = Told { silent: true, late: 0, ..told };
    let without = run(&silent);
    assert!(without.is_ok() && !without.books.standing_compared && !without.books.pool_compared);
    assert!(without.table().contains("not compared with the contract's"));
}

/// One lie a line: the batch and clause of the finding it must lead to, the lie, part of the finding's text. Columns are
/// two blanks apart; [`lies::tell`] reads the lie. Words are numbers; `alice` and `bob` are accounts, `high` is above the
/// modulus, `info:AMOUNT,FIRST,M,COMMUNITY` is what a retirement discloses.

#[test]
fn every_lie_has_its_own_finding() {
    let honest = told();
    let lines: Vec<&str> = table::LIES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 115);
    for line in lines {
        let [batch, clause, lie, text] =
            line.split("  ").filter(|x| !x.is_empty()).map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("not four columns: {line}")
        };
        let mut told = honest.clone();
        lies::tell(&mut told, lie);
        let report = run(&told);
        let found = |f: &Failure| f.batch == batch.parse().ok() && f.clause == clause && f.what.contains(text);
        assert!(report.failures.iter().any(found), "{lie}: {:#?}", report.failures);
        assert!(!report.is_ok(), "{lie}");
    }
}

/// No event can be left out unseen, but for those that nothing later or in the contract's views depends on.
#[test]
fn no_event_is_missing_unseen() {
    let honest = told();
    for place in 0..honest.events.len() {
        let mut told = honest.clone();
        let RollupEvent { effect, .. } = told.events.remove(place);
        let unseen = match effect {
            Effect::TariffSetOpened { .. } => true,
            // After the freeze no note is queued.
            Effect::CertificateSpent { nullifier, .. } => nullifier == word(6_000),
            _ => false,
        };
        assert_eq!(run(&told).is_ok(), unseen, "{effect:?}");
    }
}

/// A circuit version of certificates is retired while notes of it wait: what was spent under it is undone, and counts
/// nowhere; but for the pair whose first note is in the state.
#[test]
fn a_spending_that_was_undone_counts_nowhere() {
    let mut chain = played_until_the_freeze().1;
    chain.l1.retire_version(1_000_001);
    assert!(ask(chain.l1.drop_notes(9)).is_err());
    let told = wait(Told::by(&chain.l1));
    assert_eq!((told.notes.as_slice(), run(&told).failures), (&[word(2_002)][..], vec![]));
    chain.settle(3, &[record(RecordKind::Note, 0, word(2_002))]);
    wait(chain.l1.drop_notes(2));
    // What is left of the queue is of the retired version too.
    let told = wait(Told::by(&chain.l1));
    let report = run(&told);
    assert_eq!((told.notes.len(), report.failures.as_slice()), (0, &[][..]));
    let c = &report.certificates;
    assert_eq!((c.spent, c.undone, c.sealed, c.waiting_notes), (3, 2, 0, 2));
    assert_eq!((c.consumed_wh, c.expired_wh, c.exported_wh), (Wh(40), Wh(6), Wh(0)));
    assert!(report.table().contains("0 retired sealed, 2 undone"), "{}", report.table());
    wait(chain.l1.drop_notes(9));
    let report = run(&wait(Told::by(&chain.l1)));
    assert_eq!((report.failures.as_slice(), report.certificates.waiting_notes), (&[][..], 0));
    assert_eq!(report.certificates.public.iter().map(|r| (r.community, r.retirements)).collect::<Vec<_>>(), [(3, 1)]);
}

/// A pair of notes that waited for too long froze the rollup, and the fees of what waited came back.
#[test]
fn a_freeze_for_notes_is_followed() {
    let chain = played_until_the_freeze().1;
    wait(chain.l1.freeze_for_notes(2));
    let told = wait(Told::by(&chain.l1));
    assert_eq!(run(&told).failures, []);
    wait(chain.l1.drop_notes(3));
    let report = run(&wait(Told::by(&chain.l1)));
    assert_eq!((report.failures.as_slice(), report.books.frozen), (&[][..], true));
    assert_eq!((report.certificates.undone, report.certificates.waiting_notes), (0, 2));
}
