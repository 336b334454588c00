//! A chain with everything that can happen, played on the fake L1; and the same chain told with one lie at a time.

mod calldata;
mod checkpoints;
mod decisions;
mod lies;

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
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 4));
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
const LIES: &str = "
# Records and effects.
1  L1.10         drop DepositConsumed                        record 1 has no effect on L1: DepositConsumed
3  L1.10         drop SupplierMoved 2                        record 6 has no effect
3  L1.10         cut 3 6                                     an effect that no record has: SupplierMoved
3  OP.11         cut 3 6                                     not that of the records
4  L1.10         add 4 SEND 5                                record 2 has no effect on L1: TransferOpened
1  L1.10         record 1 1 DEPOSIT 499 11                   no record has: DepositConsumed
3  L1.10         set WithdrawalCredited account bob          no record has: WithdrawalCredited
3  L1.10         set ForcedServed bond 10000000000000001     no record has: ForcedServed
-  L1.10         end TransferOpened claim=5                  belongs to no batch
3  L1.10         elsewhere Corrected                         belongs to no batch
3  OP.10         record 3 0 WITHDRAW 100 ones                the payout is no account
1  OP.10         record 1 2 SUPPLIER_IN 400 1                second word

# Batches and registries.
-  L1.SEQUENCE   drop BatchSettled 3                         3 events of batches, the contract counts 4
2  L1.SEQUENCE   again BatchSettled 1                        in the place of batch 3
4  L1.SEQUENCE   forget calldata                             no calldata
2  L1.CALLDATA   set BatchSettled 1 first_interval 101       differ
-  L1.SEQUENCE   swap 4 9                                    comes late
1  L1.6          begin VersionRetired circuit_version=2      was retired
-  STATE.INIT    begin Genesis root=1 circuit_version=2      genesis event
-  L1.COMMUNITY  drop CommunityRegistered                    no event registers community 3
-  L1.TARIFF     drop TariffRegistered                       no event publishes tariff 0 of set 1
1  STATE.INIT    terms 0 99                                  terms that were not registered
1  STATE.INIT    record 1 0 INIT 0 0                         terms that were not registered
3  STATE.INIT    record 3 0 INIT 0 3                         later than with its first record
3  STATE.INIT    record 3 0 INIT 0 3                         in the state tree already

# Vault.
1  VAULT.5       drop DepositMade                            no open deposit
-  VAULT.1       again DepositMade                           deposited again
-  VAULT.1       begin DepositMade claim=0 depositor=bob units=1  without a claim
2  VAULT.5       record 2 1 DEPOSIT 30 13                    no open deposit
2  OP.5          record 2 1 DEPOSIT 500 11                   taken in before
-  VAULT.4       drop RefundRequested                        otherwise than it was requested
-  VAULT.4       again RefundRequested                       no open deposit
-  VAULT.5       again Refunded                              was not open
-  VAULT.4       set Refunded depositor bob                  otherwise
-  L1.PAUSED     begin DepositsPaused paused=true            paused
1  VAULT.7       drop SupplierFunded                         which have less
-  VAULT.7       end SupplierUnfunded units=601              which have less
-  VAULT.7       say supplier_units 601                      the contract has 601
-  L1.POOL       say pool_nano 7820000000                    the contract's pool is
3  L1.POOL       record 3 0 WITHDRAW 5000 alice              more than was ever paid in
4  OP.5          record 4 0 RECEIVE 0 22                     not open
3  OP.5          record 3 2 SEND 0 21                        used before
-  VAULT.5       drop Refunded 1                             other open deposits

# Forced withdrawals.
3  FORCED.1      drop ForcedRequested                        not the head
3  FORCED.1      record 3 3 FORCED 20 bob                    not the head
-  FORCED.3      again ForcedRequested 1                     or twice
-  FORCED.5      set ForcedRequested 1 slot 4                slot 4 of 4
-  FORCED.5      begin ForcedRequested community=3 slot=0 requester=bob position=0 payer=bob bond=1  has not settled
-  FORCED.1      say forced_slot 3                           not the one of its events
-  FORCED.1      end BondReturned community=3 payer=alice bond=1  is not due
-  FORCED.1      end BondReturned community=3 payer=alice bond=20000000000000000  is not due

# Freeze and exits.
-  EXIT.5        drop Frozen                                 before any freeze
-  EXIT.5        drop CommunityClosed                        Exited before any freeze or end
-  L1.FREEZE     say frozen 0                                otherwise than its events say
-  L1.FREEZE     set Frozen root 1                           another root
-  FORCED.2      begin Frozen community=3 root=0             nobody waits
4  L1.9          freeze before batch 3                       after the freeze
-  L1.FREEZE     end DepositMade claim=5 depositor=bob units=1  DepositMade after the freeze
-  EXIT.4        again Exited                                slot 0 of community 9 exits again
-  EXIT.2        end Exited community=3 slot=4 payout=bob balance=1 amount=0  there is none
-  EXIT.4        again ClaimExited                           was not open
-  EXIT.4        end ClaimExited claim=21 payout=bob balance=1 amount=0  was not open
-  EXIT.6        end Exited community=3 slot=3 payout=bob balance=7830000000 amount=0  more than the pool has

-  EXIT.5        begin RestSwept balance=0 amount=0          before any freeze
-  VAULT.8       end RestSwept balance=5 amount=0            are swept, the pool has

# The end of a community.
-  CLOSE.1       again CommunityClosing                      announced again
-  CLOSE.1       end CommunityClosing community=8 closes_at=1  or of none
-  CLOSE.2       drop CommunityClosing                       which was not announced
-  CLOSE.3       drop CommunityEnding                        before its requests ended
-  CLOSE.3       set CommunityClosed last_batch 3            after another batch than the last
-  CLOSE.4       close 3 before ForcedRequested 1            takes none any more
4  CLOSE.4       close 7 before BatchSettled 3               a batch of community 7, which is closed
-  L1.FREEZE     end CommunityEnding community=3             CommunityEnding after the freeze

# Certificates.
-  L1C.4         again CertificateSpent                      used again
-  L1C.2         set CertificateSpent 1 kind 258             kind 258
-  L1C.5         set CertificateSpent 1 note_2 0             or no note
-  L1C.5         set CertificateSpent 1 nullifier high       below the modulus
-  L1C.1         set CertificateSpent 1 circuit_version 2    is no certificate's
-  L1C.1         begin VersionRetired circuit_version=1000001  or was retired
-  L1C.3         set CertificateSpent 1 anchor 77             was never a state root
-  L1C.7  end CertificateSpent nullifier=1 circuit_version=1000001 anchor=0 note_1=2 note_2=3 retirement=0 disclosed=0 beneficiary=0 kind=0  after
-  L1C.8         end FrozenForNotes number=0 root=0           frozen for the pair of notes 0
-  L1.FREEZE     end FrozenForNotes number=1 root=0           FrozenForNotes after the freeze
-  L1C.10        begin NotesDropped nullifier=1 circuit_version=1000001 undone=true  not the head of the queue
-  L1C.10        end NotesDropped nullifier=2000 circuit_version=1000001 undone=true  a batch may take them in
2  L1C.10        begin VersionRetired circuit_version=1000001  which was retired
2  NOTES.1       exchange notes                              not the head
4  NOTES.1       record 4 1 NOTE 0 2002                      record 1: note 00000000 is not the head
-  NOTES.1       forget note                                 not the one of its events
-  CERT.5        set CertificateSpent 1 disclosed info:40,100,2,3,above  bits above
-  CERT.5        set CertificateSpent 1 disclosed info:1,100,2,8  community 8
-  CERT.5        set CertificateSpent 1 disclosed info:1,100,3,3  3 intervals
-  CERT.5        set CertificateSpent 1 disclosed info:1,104,2,3  not settled

# What calldata shows.
-  PROOF         call CertificateSpent 1 proof 8             its proof does not hold
-  L1C.3         call CertificateSpent 1 anchor 5            never final
-  L1C.3         call CertificateSpent 0 anchor root:4       never final
-  L1C.1         call CertificateSpent 1 circuit_version 2   no certificate circuit's
-  L1.6          begin VersionRetired circuit_version=1000001  1000001 was retired
-  L1.CALLDATA   call CertificateSpent 1 nullifier 5         event and calldata differ
-  L1.CALLDATA   set CertificateSpent 1 disclosed info:41,100,2,3  event and calldata differ
-  CERT.4        set CertificateSpent 1 disclosed info:60000000,100,2,3  cannot have fed in more than 52428000 Wh
-  CERT.4        set CertificateSpent 1 disclosed info:200000000000000,100,2,3  200000000001002 Wh of one period
-  EXIT.1        call Exited siblings none                   0 siblings
-  EXIT.2        call Exited header_leaf 5                   does not lead to the last state root
-  EXIT.2        call Exited 1 s1 5                          does not lead to the last state root
-  L1.CALLDATA   call Exited balance 122                     event and calldata differ
-  EXIT.2        call ClaimExited sa 5                       another claim's
-  EXIT.6        set Exited 1 amount 1                       is paid 1 parts of the token
-  VAULT.10      set Withdrawn amount 1                      to an account that is owed 1200000

# What the vault has.
-  VAULT.11      say token_balance 0                         owes 14499999: 14499999 are missing
-  VAULT.11      say token_balance 14499998                  1 are missing
-  VAULT.11      say coin_balance 29999999999999999          owes bonds of 30000000000000000
-  VAULT.5       say open_units 1                            has 1 units of open deposits
";

#[test]
fn every_lie_has_its_own_finding() {
    let honest = told();
    let lines: Vec<&str> = LIES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 113);
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
    assert!(report.table().contains("3 spent, 0 retired sealed, 2 undone"), "{}", report.table());
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
