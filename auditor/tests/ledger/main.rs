//! A chain with everything that can happen, played on the fake L1; and the same chain told with one lie at a time.

#![allow(clippy::unwrap_used)]

mod lies;

use std::{collections::BTreeMap, future::Future, sync::Arc};

use gridveil_auditor::{
    AuditReport, Failure, PoolSource, ProofVerifier, RetiredPeriod, VerifierError, audit_with_pool,
};
use gridveil_protocol::{
    community,
    field::{Fr, from_bytes, to_bytes},
    params::STATE_DEPTH,
    poseidon::hash4,
    record::{Record, RecordKind, digest, words},
    tree::{SparseTree, dense_root},
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    Address, CertificateCall, CommunityParams, DepositEntry, ExitCall, ExitClaimCall, ForcedEntry, L1Client, L1Error,
    L1Future, RollupEffect as Effect, RollupEvent, SettleCall, SettleReceipt, SettledBatch, TariffEntry, TxReceipt,
    Word,
    memory::{MemoryL1, MemoryL1Config, MemoryTerms},
};

const ZERO: Word = [0; 32];
const ALICE: Address = [0xa1; 20];
const BOB: Address = [0xb0; 20];
const FIRST: u32 = 100;
const UNIT: u64 = 10_000_000;
const OWN_WORDS: usize = 6;

fn wait<T>(future: impl Future<Output = Result<T, L1Error>>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future).unwrap()
}

fn word(number: u64) -> Word {
    to_bytes(&Fr::from(number))
}

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
    seed: u64,
}

impl Chain {
    fn settle(&mut self, community: u32, records: &[Record]) {
        self.seed += 100;
        let leaves: Vec<Fr> = (1..=4).map(|i| Fr::from(self.seed + i)).collect();
        let (header, certificates) = (Fr::from(self.seed + 5), Fr::from(self.seed + 6));
        let node = community::node(header, dense_root(&leaves), certificates);
        self.state.set(u64::from(community), node);
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
            proof: vec![],
        }));
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

fn exit(community: u32, slot: u32, balance: u64) -> ExitCall {
    let zero = ZERO;
    ExitCall {
        community,
        slot,
        balance,
        payout: BOB,
        s1: zero,
        s2: zero,
        private_commitment: zero,
        header_leaf: zero,
        certificates_root: zero,
        siblings: vec![],
    }
}

fn play() -> MemoryL1 {
    let state = SparseTree::new(STATE_DEPTH);
    let l1 = MemoryL1::new(MemoryL1Config {
        chain_id: 31337,
        contract: [0x11; 20],
        genesis_root: to_bytes(&state.root()),
        timestamp: 1_000_000_000,
        shapes: vec![(1, 4, 2)],
        circuit_version: 2,
        proof_length: None,
        enforce_future_tariffs: false,
        terms: MemoryTerms::default(),
    });
    wait(l1.open_tariff_set(1, 3600, 2));
    wait(l1.register_tariff(1, 50, word(9)));
    for community in [3, 7] {
        wait(l1.register_community(CommunityParams {
            community,
            shape: 1,
            interval_length_s: 3600,
            m: 2,
            tariff_set: 1,
            genesis_terms: word(u64::from(community)),
        }));
    }
    let mut chain = Chain { l1, state, periods: BTreeMap::new(), seed: 1_000 };
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
    let (claim_call, claim) = sent();
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
    chain.settle(7, &[record(RecordKind::Receive, 0, word(21)), record(RecordKind::Note, 0, word(2_001))]);
    wait(chain.l1.withdraw(ALICE));
    chain.l1.set_timestamp(1_001_000_000);
    wait(chain.l1.freeze(3));
    wait(chain.l1.exit(exit(3, 0, 123)));
    wait(chain.l1.exit(exit(7, 0, 50 * UNIT)));
    wait(chain.l1.exit_claim(claim_call));
    wait(chain.l1.refund(word(14)));
    chain.certify(6_000, 257, info(2, FIRST, 2, 3));
    chain.l1
}

/// Tells the chain, with what was edited.
#[derive(Clone)]
struct Liar {
    l1: Arc<MemoryL1>,
    events: Vec<RollupEvent>,
    batches: Vec<SettledBatch>,
    communities: Vec<CommunityParams>,
    pool: u64,
    frozen: bool,
    supplier_account: u64,
    notes: Vec<Word>,
    forced: Vec<ForcedEntry>,
    /// Answers that begin to tell only when the standing is asked for.
    late: usize,
}

impl Liar {
    fn new(l1: MemoryL1) -> Self {
        Self {
            events: wait(l1.events(0)),
            batches: wait(l1.settled_batches(0)),
            communities: wait(l1.communities(0)),
            pool: l1.pool_nano(),
            frozen: wait(l1.is_frozen()),
            supplier_account: wait(l1.supplier_funds()),
            notes: wait(l1.pending_notes(100)),
            forced: wait(l1.forced_queue(3)),
            l1: Arc::new(l1),
            late: 0,
        }
    }

    /// Place of the `nth` effect like this.
    fn place(&self, nth: usize, like: fn(&Effect) -> bool) -> usize {
        self.events.iter().enumerate().filter(|(_, event)| like(&event.effect)).nth(nth).unwrap().0
    }

    fn remove(&mut self, nth: usize, like: fn(&Effect) -> bool) -> RollupEvent {
        self.events.remove(self.place(nth, like))
    }

    fn again(&mut self, nth: usize, like: fn(&Effect) -> bool) {
        let place = self.place(nth, like);
        self.events.insert(place, self.events[place]);
    }

    fn edit(&mut self, nth: usize, like: fn(&Effect) -> bool) -> &mut Effect {
        let place = self.place(nth, like);
        &mut self.events[place].effect
    }

    fn begin_with(&mut self, effect: Effect) {
        self.events.insert(0, RollupEvent { block: 0, tx: ZERO, effect });
    }

    fn end_with(&mut self, effect: Effect) {
        self.events.push(RollupEvent { block: 1_000, tx: ZERO, effect });
    }

    fn record(&mut self, batch: usize, index: usize, kind: RecordKind, units: u64, w1: Word) {
        let Record { w0, w1 } = record(kind, units, w1);
        let at = OWN_WORDS + 2 * index;
        self.batches[batch - 1].call.data.splice(at..at + 2, [to_bytes(&w0), to_bytes(&w1)]);
    }
}

fn now<'a, T: Send + 'a>(value: T) -> L1Future<'a, T> {
    Box::pin(async move { Ok(value) })
}

fn read_only<'a, T: Send + 'a>() -> L1Future<'a, T> {
    Box::pin(async { Err(L1Error::Config("read only")) })
}

impl PoolSource for Liar {
    fn pool_nano(&self) -> L1Future<'_, u64> {
        now(self.pool)
    }
}

impl L1Client for Liar {
    fn chain_id(&self) -> L1Future<'_, u64> {
        self.l1.chain_id()
    }
    fn contract(&self) -> Address {
        self.l1.contract()
    }
    fn timestamp(&self) -> L1Future<'_, u64> {
        self.l1.timestamp()
    }
    fn state_root(&self) -> L1Future<'_, Word> {
        self.l1.state_root()
    }
    fn batch_count(&self) -> L1Future<'_, u64> {
        self.l1.batch_count()
    }
    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        self.l1.root_at(batch)
    }
    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        self.l1.is_finalised(root)
    }
    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        self.l1.community(community)
    }
    fn register_community(&self, _: CommunityParams) -> L1Future<'_, TxReceipt> {
        read_only()
    }
    fn open_tariff_set(&self, _: u32, _: u16, _: u16) -> L1Future<'_, TxReceipt> {
        read_only()
    }
    fn register_tariff(&self, _: u32, _: u32, _: Word) -> L1Future<'_, TxReceipt> {
        read_only()
    }
    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        self.l1.tariffs(from_block)
    }
    fn communities(&self, _: u64) -> L1Future<'_, Vec<CommunityParams>> {
        now(self.communities.clone())
    }
    fn settle(&self, _: SettleCall) -> L1Future<'_, SettleReceipt> {
        read_only()
    }
    fn settled_batches(&self, _: u64) -> L1Future<'_, Vec<SettledBatch>> {
        now(self.batches.clone())
    }
    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        let told = if from_block == 0 { self.events.len() - self.late } else { self.events.len() };
        now(self.events.iter().take(told).filter(|event| event.block >= from_block).copied().collect())
    }
    fn is_frozen(&self) -> L1Future<'_, bool> {
        now(self.frozen)
    }
    fn supplier_funds(&self) -> L1Future<'_, u64> {
        now(self.supplier_account)
    }
    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        now(self.notes.iter().take(limit as usize).copied().collect())
    }
    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        self.l1.deposits(from_block)
    }
    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        now(if community == 3 { self.forced.clone() } else { Vec::new() })
    }
}

/// Proofs are not what is lied about here.
struct Believes;

impl ProofVerifier for Believes {
    fn verify(&self, _: CircuitVersion, _: u32, _: &[Fr; 10], _: &[u8]) -> Result<bool, VerifierError> {
        Ok(true)
    }
}

fn run(liar: &Liar) -> AuditReport {
    wait(audit_with_pool(liar, Some(liar), &Believes, &[], 0))
}

#[test]
fn everything_is_followed() {
    let told = Liar::new(play());
    let report = run(&told);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 4));
    // 500 + 70 + 400 - 100 - 20 - 10 - 5 units, then exits of 50 and 3 units and 123 nano.
    assert_eq!(report.money.pool_nano, i128::from(782 * UNIT - 123));
    assert_eq!(report.money.exited_nano, i128::from(53 * UNIT + 123));
    let books = report.books;
    assert_eq!(
        (books.deposited_units, books.open_units, books.refunded_units, books.supplier_funds_units),
        (625, 0, 55, 600)
    );
    assert_eq!((books.forced_open, books.exits, books.claim_exits, books.frozen), (1, 2, 1, true));
    assert!(books.standing_compared && books.pool_compared);
    let c = &report.certificates;
    assert_eq!(
        (c.spent, c.sealed, c.consumed_wh, c.expired_wh, c.exported_wh, c.waiting_notes),
        (6, 1, 42, 6, 1_000, 7)
    );
    let three = RetiredPeriod {
        community: 3,
        first_interval: FIRST,
        consumed_wh: 42,
        expired_wh: 0,
        exported_wh: 1_000,
        retirements: 3,
    };
    let seven = RetiredPeriod {
        community: 7,
        first_interval: FIRST,
        consumed_wh: 0,
        expired_wh: 6,
        exported_wh: 0,
        retirements: 1,
    };
    assert_eq!(c.public, [three, seven]);
    let table = report.table();
    assert!(
        table.contains("\ncommunity  first interval      consumed Wh       expired Wh      exported Wh\n"),
        "{table}"
    );
    assert!(
        table.contains("\n        3             100               42                0             1000\n"),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(
        (json["certificates"]["public"][0]["exported_wh"].as_u64(), json["certificates"]["sealed"].as_u64()),
        (Some(1_000), Some(1))
    );
    assert_eq!(
        (json["money"]["pool_nano"].as_u64(), json["books"]["frozen"].as_bool()),
        (Some(782 * UNIT - 123), Some(true))
    );
}

#[test]
fn what_happens_meanwhile_is_followed_before_anything_is_compared() {
    let mut told = Liar::new(play());
    told.late = 3;
    let report = run(&told);
    assert_eq!(report.failures, []);
    assert!(report.books.pool_compared);
    let without = wait(gridveil_auditor::audit(&told, &Believes, &[], 0));
    assert!(without.is_ok() && without.books.standing_compared && !without.books.pool_compared);
    assert!(without.table().contains("not compared with the contract's"));
}

/// One lie, and the finding it must lead to: batch, clause, part of its text.
struct Case(&'static str, fn(&mut Liar), Option<u64>, &'static str, &'static str);

fn note(w: &mut Liar, edit: fn(&mut Effect)) {
    edit(w.edit(1, |e| matches!(e, Effect::CertificateSpent { .. })));
}

#[test]
fn every_lie_has_its_own_finding() {
    let honest = Liar::new(play());
    for Case(name, edit, batch, clause, text) in lies::CASES {
        let mut told = honest.clone();
        edit(&mut told);
        let report = run(&told);
        let found = |f: &Failure| f.batch == *batch && f.clause == *clause && f.what.contains(text);
        assert!(report.failures.iter().any(found), "{name}: {:#?}", report.failures);
        assert!(!report.is_ok(), "{name}");
    }
}

/// No event can be left out unseen, but for those that nothing later or in the contract's views depends on.
#[test]
fn no_event_is_missing_unseen() {
    let honest = Liar::new(play());
    for place in 0..honest.events.len() {
        let mut told = honest.clone();
        let RollupEvent { effect, .. } = told.events.remove(place);
        let unseen = match effect {
            Effect::TariffSetOpened { .. } | Effect::Withdrawn { .. } => true,
            // After the freeze no note is queued.
            Effect::CertificateSpent { nullifier, .. } => nullifier == word(6_000),
            _ => false,
        };
        assert_eq!(run(&told).is_ok(), unseen, "{effect:?}");
    }
}
