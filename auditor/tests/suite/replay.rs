//! The replay over fixture transitions: an honest chain passes, and every false fact has its own finding.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use crate::common::{CHAIN, CIRCUIT_VERSION, CONTRACT, settle_call, wait};
use gridveil_auditor::{AuditReport, Failure, ProofVerifier, RetirementError, VerifierError, audit, retirement};
use gridveil_protocol::{
    certificate::ShownRetirement,
    community::Community,
    field::{Fr, from_bytes, to_bytes},
    fixture::{self, Recipe, Stream},
    header_operation::Pool,
    init::genesis_terms,
    instance::Instance,
    market::Mechanism,
    operation::Kind,
    params::{STATE_DEPTH, Shape},
    record::{self, Parsed, Record, RecordKind},
    settlement::{SettlementInput, Transition, apply},
    tree::SparseTree,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    AuditorL1, CertificateCall, CommunityParams, L1Error, MemberL1, OperatorL1, RollupEffect as Effect, RollupEvent,
    SettleCall, SettledBatch, SettlementL1, TariffEntry, Word,
    memory::{MemoryL1, MemoryL1Config, Told},
};

const PROOF_LENGTH: usize = 100;
const MODULUS: &str = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";

/// L1 as a node tells it, and what the auditor knows besides.
#[derive(Clone)]
struct World {
    told: Told,
    genesis: Vec<(u32, Fr)>,
    /// What the verifier accepts.
    proofs: Vec<(Instance, Vec<u8>)>,
}

/// The events of registries and batches, and what records need before them.
fn derived(told: &Told) -> Vec<RollupEvent> {
    let mut effects: Vec<(u64, Effect)> =
        told.communities.iter().map(|c| (1, Effect::CommunityRegistered(*c))).collect();
    effects.extend(told.tariffs.iter().map(|t| {
        let TariffEntry { tariff_set, index, first_interval, commitment, .. } = *t;
        (1, Effect::TariffRegistered { tariff_set, index, first_interval, commitment })
    }));
    let mut settled = Vec::new();
    let mut notes = Vec::new();
    for SettledBatch { batch, old_root, call, .. } in &told.batches {
        let SettleCall { community, first_interval, new_root, circuit_version, .. } = *call;
        settled.push((
            7,
            Effect::BatchSettled {
                batch: *batch,
                community,
                first_interval,
                old_root: *old_root,
                new_root,
                circuit_version,
            },
        ));
        for pair in call.data.get(6..).unwrap_or_default().chunks_exact(2) {
            let (w0, w1) = (from_bytes::<Fr>(&pair[0]), from_bytes::<Fr>(&pair[1]));
            let Some(Ok(Parsed { kind, units, .. })) = w0.ok().zip(w1.ok()).map(|(w0, w1)| Record::parse(w0, w1))
            else {
                continue;
            };
            let word = pair[1];
            settled.extend(match kind {
                RecordKind::Deposit => {
                    effects.push((2, Effect::DepositMade { claim: word, depositor: [1; 20], units }));
                    Some((7, Effect::DepositConsumed { claim: word, units }))
                }
                RecordKind::SupplierIn => {
                    effects.push((2, Effect::SupplierFunded { units }));
                    Some((7, Effect::SupplierMoved { community, kind: 16, units }))
                }
                RecordKind::Note => {
                    notes.push(word);
                    Some((7, Effect::NoteAppended { note: word, community }))
                }
                RecordKind::Init => Some((7, Effect::CommunityInitialised { community, genesis_terms: word })),
                _ => None,
            });
        }
    }
    for (number, pair) in (1u8..).zip(notes.chunks_exact(2)) {
        let [nullifier, zero] = [[number; 32], [0; 32]];
        effects.push((
            2,
            Effect::CertificateSpent {
                nullifier,
                note_1: pair[0],
                note_2: pair[1],
                retirement: zero,
                disclosed: zero,
                beneficiary: zero,
                kind: 0,
            },
        ));
    }
    effects.into_iter().chain(settled).map(|(block, effect)| RollupEvent { block, tx: [0; 32], effect }).collect()
}

/// Accepts exactly the proofs it was told, for exactly their public inputs.
impl ProofVerifier for World {
    fn verify(
        &self,
        version: CircuitVersion,
        shape: u32,
        instance: &[Fr; 10],
        proof: &[u8],
    ) -> Result<bool, VerifierError> {
        if (version, shape) != (CircuitVersion::V2, 1) {
            return Err(VerifierError::Missing { version, shape });
        }
        Ok(self.proofs.iter().any(|(i, p)| i.rows() == *instance && p == proof))
    }
}

fn community(index: u32, seed: u64) -> SettlementInput {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 2 };
    let mut input = fixture::settlement(&recipe).unwrap();
    input.community.index = index;
    resigned(input)
}

fn resigned(mut input: SettlementInput) -> SettlementInput {
    let context = input.context();
    for slot in 0..input.packets.len() {
        input.packets[slot].packet.context = context;
        input.packets[slot].packet.salts.exit[0] += Fr::from(1u64);
        fixture::resign(&mut input, slot).unwrap();
    }
    input
}

fn following(t: &Transition) -> SettlementInput {
    let mut input = t.input.clone();
    input.community = Community::clone(&t.after);
    input.tariff = fixture::tariff(&mut Stream::new(99), 2);
    resigned(input)
}

/// Two communities, three batches: community 5, community 4, community 5 again.
fn transitions() -> (Vec<(u32, Fr)>, Word, Vec<Transition>) {
    let (a, b) = (community(5, 3), community(4, 8));
    let genesis = vec![(5, a.community.node()), (4, b.community.node())];
    let mut state = SparseTree::new(STATE_DEPTH);
    for (index, node) in &genesis {
        state.set(u64::from(*index), *node);
    }
    let root = to_bytes(&state.root());
    let mut settle = |mut input: SettlementInput| {
        let index = u64::from(input.community.index);
        input.state_path = state.path(index);
        let t = apply(input).unwrap();
        state.set(index, t.instance.community_new);
        t
    };
    let first = settle(a);
    let second = settle(b);
    let third = settle(following(&first));
    (genesis, root, vec![first, second, third])
}

fn call(t: &Transition, number: usize, tariff_index: u32) -> SettleCall {
    settle_call(t, tariff_index, vec![u8::try_from(number).unwrap(); PROOF_LENGTH])
}

fn params(community: u32) -> CommunityParams {
    CommunityParams {
        community,
        shape: 1,
        interval_length_s: 3600,
        m: 2,
        tariff_set: community,
        genesis_terms: [0; 32],
    }
}

/// A community that begins, and its next period with operations of every sort that leaves a record.
fn with_records() -> World {
    let shape = Shape::by_name("tiny-4x2").unwrap();
    let mut begins = fixture::beginning(shape, 1).unwrap();
    begins.state_path = SparseTree::new(STATE_DEPTH).path(9);
    let terms = to_bytes(&genesis_terms(&begins.community.header));
    let first = apply(begins).unwrap();
    let mut funded = fixture::following(&first, 2, |_| false).unwrap();
    let extras = fixture::Extras { header: Some(Pool::SupplierIn), notes: 2, ..fixture::Extras::default() };
    fixture::operate(&mut funded, &mut Stream::new(3), &[Kind::Deposit], extras).unwrap();
    funded.operations.header.transfer.as_mut().unwrap().units = 1_000_000;
    let second = apply(funded).unwrap();
    chain(
        vec![],
        to_bytes(&SparseTree::new(STATE_DEPTH).root()),
        &[first, second],
        &[0, 1],
        vec![CommunityParams { interval_length_s: 900, genesis_terms: terms, ..params(9) }],
    )
}

const TARIFF_INDICES: [u32; 3] = [0, 0, 1];

fn world() -> World {
    let (genesis, root, transitions) = transitions();
    chain(genesis, root, &transitions, &TARIFF_INDICES, vec![params(5), params(4)])
}

fn chain(
    genesis: Vec<(u32, Fr)>,
    root: Word,
    transitions: &[Transition],
    tariffs: &[u32],
    communities: Vec<CommunityParams>,
) -> World {
    let told = Told {
        chain_id: CHAIN,
        contract: CONTRACT,
        timestamp: 3_000_000_000,
        roots: vec![root],
        finalised: BTreeSet::from([root]),
        communities,
        count: transitions.len() as u64,
        state_root: root,
        // Only what the batches' records say is looked at here.
        silent: true,
        ..Told::default()
    };
    let mut w = World { told, genesis, proofs: Vec::new() };
    for ((t, index), number) in transitions.iter().zip(tariffs).zip(1usize..) {
        let call = call(t, number, *index);
        let tariff_commitment = to_bytes(&t.instance.tariff_commitment);
        let tariff = TariffEntry {
            tariff_set: call.community,
            index: *index,
            first_interval: call.first_interval,
            commitment: tariff_commitment,
            block: 1,
        };
        w.told.tariffs.push(tariff);
        w.proofs.push((t.instance, call.proof.clone()));
        w.told.roots.push(call.new_root);
        w.told.finalised.insert(call.new_root);
        let old_root = std::mem::replace(&mut w.told.state_root, call.new_root);
        w.told.batches.push(SettledBatch {
            batch: number as u64,
            old_root,
            tariff_commitment,
            call,
            tx: [0; 32],
            block: 7,
        });
    }
    w
}

fn run(w: &World) -> AuditReport {
    let told = Told { events: derived(&w.told), ..w.told.clone() };
    run_on(&told, w)
}

fn run_on(l1: &dyn AuditorL1, verifier: &World) -> AuditReport {
    wait(audit(l1, verifier, &verifier.genesis, 0))
}

#[test]
fn an_honest_chain_passes() {
    let w = world();
    let report = run(&w);
    assert_eq!((report.failures.as_slice(), report.batches, report.proofs_verified), (&[][..], 3, 3));
    assert_eq!(to_bytes(&report.state_root), w.told.state_root);
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!((json["auditor"].as_str(), json["batches"].as_u64()), (Some("ok"), Some(3)));
    assert!(json["failures"].as_array().unwrap().is_empty());
    assert!(report.table().starts_with("auditor          ok\n"));
}

#[test]
fn records_are_read_and_their_money_is_counted() {
    let w = with_records();
    let report = run(&w);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 2));
    let deposited = report.money.deposited_units;
    assert!(deposited > 0);
    assert_eq!(
        (report.money.pool_nano, report.money.supplier_in_units, report.money.notes),
        (i128::from(1_000_000 + deposited) * 10_000_000, 1_000_000, 2)
    );
    assert!(report.table().contains("pool"));
    // A record is part of what is proved.
    let mut edited = w.clone();
    let last = edited.told.batches[1].call.data.len() - 1;
    bump(&mut edited.told.batches[1].call.data[last]);
    assert!(run(&edited).failures.iter().any(|f| f.clause == "PROOF"));
}

/// The fake's own chain from the same genesis root.
fn kept_by_the_contract(w: &World) -> MemoryL1 {
    MemoryL1::new(MemoryL1Config {
        chain_id: CHAIN,
        contract: CONTRACT,
        genesis_root: w.told.roots[0],
        timestamp: 1_000,
        circuit_version: CIRCUIT_VERSION,
        proof_length: Some(PROOF_LENGTH),
        ..MemoryL1Config::default()
    })
}

/// Whatever its number, in whatever place: no record is passed over.
#[test]
fn a_record_of_an_unknown_kind_is_refused_by_its_number_and_batch() {
    let w = with_records();
    let records = (w.told.batches[1].call.data.len() - 6) / 2;
    for number in (0..=255u64).filter(|number| RecordKind::try_from(*number).is_err()) {
        let place = usize::try_from(number).unwrap() % (records + 1);
        let mut edited = w.clone();
        let at = 6 + 2 * place;
        edited.told.batches[1].call.data.splice(at..at, [to_bytes(&Fr::from(number)), to_bytes(&Fr::from(5u64))]);
        let report = run(&edited);
        let what = format!("record {place}: there is no record of kind {number}");
        assert!(report.failures.contains(&Failure { batch: Some(2), clause: "OP.10", what }), "{:?}", report.failures);
    }
}

#[test]
fn a_chain_kept_by_the_contracts_rules_passes() {
    let w = world();
    let l1 = kept_by_the_contract(&w);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for p in &w.told.communities {
            l1.open_tariff_set(p.tariff_set, 3600, 2).await.unwrap();
            l1.register_community(*p).await.unwrap();
        }
        for t in &w.told.tariffs {
            l1.register_tariff(t.tariff_set, t.first_interval, t.commitment).await.unwrap();
        }
        l1.set_timestamp(w.told.timestamp);
        for b in &w.told.batches {
            l1.settle(b.call.clone()).await.unwrap();
        }
    });
    let report = run_on(&l1, &w);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 3));
}

/// The same records through the fake's vault, queues and events.
#[test]
fn records_agree_with_what_the_contract_says_it_did() {
    let w = with_records();
    let l1 = kept_by_the_contract(&w);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = |kind: RecordKind| {
        let words: Vec<Fr> = w.told.batches[1].call.data[6..].iter().map(|word| from_bytes(word).unwrap()).collect();
        record::read(&words)
            .unwrap()
            .into_iter()
            .map(|(_, parsed)| parsed)
            .filter(move |parsed| parsed.kind == kind)
            .collect::<Vec<_>>()
    };
    runtime.block_on(async {
        l1.open_tariff_set(9, 900, 2).await.unwrap();
        l1.register_community(w.told.communities[0]).await.unwrap();
        for t in &w.told.tariffs {
            l1.register_tariff(t.tariff_set, t.first_interval, t.commitment).await.unwrap();
        }
        for deposit in records(RecordKind::Deposit) {
            l1.deposit(to_bytes(&deposit.w1), deposit.units).await.unwrap();
        }
        l1.fund_supplier_account(1_000_000).await.unwrap();
        let [note_1, note_2] = records(RecordKind::Note)
            .try_into()
            .map(|notes: [Parsed; 2]| notes.map(|note| to_bytes(&note.w1)))
            .unwrap();
        let zero = [0; 32];
        let call = CertificateCall {
            circuit_version: 1_000_001,
            anchor: w.told.roots[0],
            nullifier: to_bytes(&Fr::from(7u64)),
            note_1,
            note_2,
            retirement: zero,
            disclosed: zero,
            beneficiary: zero,
            kind: 0,
            proof: vec![],
        };
        l1.certify(call).await.unwrap();
        l1.set_timestamp(w.told.timestamp);
        for b in &w.told.batches {
            l1.settle(b.call.clone()).await.unwrap();
        }
    });
    let report = run_on(&l1, &w);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 2));
    assert_eq!(report.money.supplier_in_units, 1_000_000);
}

/// A retirement of every kind, and what is not quite it.
#[test]
fn retirements_are_found_as_they_are_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..24 {
        let spend = fixture::certificate::spend(seed).unwrap();
        let Some(statement) = spend.plan.statement() else { continue };
        let sealed = spend.plan.retirement.as_ref().unwrap().sealed;
        let instance = spend.check().unwrap();
        let config = MemoryL1Config {
            chain_id: 31337,
            contract: [0x11; 20],
            genesis_root: to_bytes(&instance.anchor),
            timestamp: 0,
            shapes: vec![],
            ..MemoryL1Config::default()
        };
        let l1 = MemoryL1::new(config);
        let check = |shown: &ShownRetirement| runtime.block_on(retirement(&l1, shown, 0));
        let shown = ShownRetirement::new(31337, [0x11; 20], sealed, statement);
        assert_eq!(check(&shown), Err(RetirementError::Unknown));
        let call = CertificateCall::new(&instance, vec![]).unwrap();
        runtime.block_on(l1.certify(call)).unwrap();
        assert_eq!(check(&shown).unwrap().sealed, sealed);
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<ShownRetirement>(&json).unwrap(), shown);
        let edited = |edit: fn(&mut ShownRetirement)| {
            let mut shown = shown.clone();
            edit(&mut shown);
            check(&shown).unwrap_err()
        };
        assert!(matches!(edited(|s| s.statement.amount += 1), RetirementError::Statement(_)));
        assert!(matches!(edited(|s| s.statement.origin.technology ^= 1), RetirementError::Statement(_)));
        assert!(matches!(edited(|s| s.statement.beneficiary += Fr::from(1u64)), RetirementError::Statement(_)));
        assert_eq!(edited(|s| s.sealed ^= true), RetirementError::Kind);
        assert_eq!(edited(|s| s.contract[0] ^= 1), RetirementError::OtherDeployment);
        assert_eq!(edited(|s| s.chain_id = 1), RetirementError::OtherDeployment);
        let other = |s: &mut ShownRetirement| {
            s.statement.amount += 1;
            s.commitment = s.statement.commitment();
        };
        assert_eq!(edited(other), RetirementError::Unknown);
    }
}

#[test]
fn a_batch_that_comes_during_the_audit_is_left_to_the_next() {
    let w = world();
    w.told.grows.store(true, Ordering::SeqCst);
    let report = run(&w);
    assert_eq!((report.failures.as_slice(), report.batches, report.proofs_verified), (&[][..], 2, 2));
    assert_eq!(to_bytes(&report.state_root), w.told.roots[2]);
    assert_eq!(run(&w).batches, 3);
}

#[test]
fn a_node_that_does_not_answer_is_no_finding() {
    let w = world();
    let config = MemoryL1Config {
        chain_id: 1,
        contract: [0; 20],
        genesis_root: [0; 32],
        timestamp: 0,
        shapes: vec![],
        ..MemoryL1Config::default()
    };
    let l1 = MemoryL1::new(config);
    l1.fail_next(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(matches!(runtime.block_on(audit(&l1, &w, &[], 0)), Err(L1Error::Unreachable(_))));
}

fn bump(word: &mut Word) {
    word[31] ^= 1;
}

/// Two more words of calldata.
fn push(w: &mut World, batch: usize, w0: Fr, w1: u64) {
    w.told.batches[batch].call.data.extend([to_bytes(&w0), to_bytes(&Fr::from(w1))]);
}

fn modulus() -> Word {
    hex::decode(MODULUS).unwrap().try_into().unwrap()
}

/// One edit, and the finding it must lead to: batch, clause, part of its text.
struct Case(&'static str, fn(&mut World), Option<u64>, &'static str, &'static str);

const CASES: &[Case] = &[
    Case(
        "genesis node",
        |w| w.genesis[0].1 += Fr::from(1u64),
        None,
        "STATE.INIT",
        "do not lead to the contract's genesis root",
    ),
    Case("genesis left out", |w| _ = w.genesis.pop(), None, "STATE.INIT", "do not lead to the contract's genesis root"),
    Case("genesis twice", |w| w.genesis.push(w.genesis[0]), None, "STATE.INIT", "lists community 5 twice"),
    Case("genesis outside", |w| w.genesis.push((65_536, Fr::from(1u64))), None, "STATE.INIT", "outside the state tree"),
    Case("genesis root", |w| bump(&mut w.told.roots[0]), Some(1), "L1.SEQUENCE", "old root is not the new root"),
    Case("unknown shape", |w| w.told.communities[0].shape = 77, None, "L1.COMMUNITY", "no known shape"),
    Case("another m", |w| w.told.communities[0].m = 3, None, "L1.COMMUNITY", "no known shape"),
    Case(
        "interval length",
        |w| w.told.communities[0].interval_length_s = 60,
        None,
        "L1.COMMUNITY",
        "intervals of 60 s",
    ),
    Case("registered twice", |w| w.told.communities.push(params(5)), None, "L1.COMMUNITY", "registered twice"),
    Case(
        "not registered",
        |w| _ = w.told.communities.remove(0),
        Some(1),
        "L1.COMMUNITY",
        "community 5 is not registered",
    ),
    Case(
        "tariff order",
        |w| w.told.tariffs[2].first_interval = w.told.tariffs[0].first_interval,
        None,
        "L1.TARIFF",
        "does not follow",
    ),
    Case("tariff index gap", |w| w.told.tariffs[2].index = 2, None, "L1.TARIFF", "does not follow"),
    Case("calldata encoding", |w| w.told.malformed = true, None, "L1.CALLDATA", "standard encoding"),
    Case("batch number", |w| w.told.batches[1].batch = 3, Some(3), "L1.SEQUENCE", "batch 3 in the place of batch 2"),
    Case("batch left out", |w| _ = w.told.batches.remove(1), Some(3), "L1.SEQUENCE", "old root is not the new root"),
    Case("batches counted", |w| w.told.count = 4, None, "L1.SEQUENCE", "counts 4 batches, 3 were found"),
    Case("old root", |w| bump(&mut w.told.batches[1].old_root), Some(2), "L1.SEQUENCE", "old root is not the new root"),
    Case("circuit version", |w| w.told.batches[0].call.circuit_version = 1, Some(1), "L1.VERSION", "circuit version 1"),
    Case("high data word", |w| w.told.batches[2].call.data[3] = modulus(), Some(3), "L1.CANONICAL", "data word 3"),
    Case("high root", |w| w.told.batches[2].call.new_root = [0xff; 32], Some(3), "L1.CANONICAL", "new root"),
    Case("high node", |w| w.told.batches[2].call.community_new = modulus(), Some(3), "L1.CANONICAL", "community node"),
    Case(
        "high tariff",
        |w| w.told.batches[2].tariff_commitment = modulus(),
        Some(3),
        "L1.CANONICAL",
        "tariff commitment",
    ),
    Case(
        "period skipped",
        |w| w.told.batches[2].call.first_interval += 2,
        Some(3),
        "SETTLE.2",
        "its last period ended at",
    ),
    Case(
        "period again",
        |w| w.told.batches[2].call.first_interval -= 2,
        Some(3),
        "SETTLE.2",
        "its last period ended at",
    ),
    Case("period not over", |w| w.told.timestamp = 1_512_000_000, Some(1), "SETTLE.2", "after the latest block"),
    Case(
        "tariff not registered",
        |w| w.told.tariffs.retain(|t| t.tariff_set != 4),
        Some(2),
        "SETTLE.7",
        "no tariff of set 4",
    ),
    Case(
        "old tariff",
        |w| w.told.batches[2].call.tariff_index = 0,
        Some(3),
        "SETTLE.7",
        "settled with tariff 0, tariff 1 was in force",
    ),
    Case(
        "registered tariff",
        |w| bump(&mut w.told.tariffs[1].commitment),
        Some(2),
        "SETTLE.7",
        "not the registered one",
    ),
    Case(
        "settled tariff",
        |w| bump(&mut w.told.batches[1].tariff_commitment),
        Some(2),
        "SETTLE.7",
        "not the registered one",
    ),
    Case(
        "new root",
        |w| bump(&mut w.told.batches[1].call.new_root),
        Some(2),
        "SETTLE.13",
        "does not have the new root",
    ),
    Case("community", |w| w.told.batches[1].call.community = 5, Some(2), "SETTLE.13", "does not have the new root"),
    Case(
        "community node",
        |w| bump(&mut w.told.batches[1].call.community_new),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case("leaf", |w| bump(&mut w.told.batches[1].call.data[2]), Some(2), "SETTLE.13", "published leaves do not lead"),
    Case(
        "header leaf",
        |w| bump(&mut w.told.batches[1].call.data[4]),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case(
        "certificates root",
        |w| bump(&mut w.told.batches[1].call.data[5]),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case("data short", |w| _ = w.told.batches[1].call.data.pop(), Some(2), "SETTLE.14", "5 data words"),
    Case("data long", |w| w.told.batches[1].call.data.push([0; 32]), Some(2), "SETTLE.14", "7 data words"),
    Case("a word that is no record", |w| push(w, 1, Fr::from(9u64), 0), Some(2), "OP.10", "no record of kind 9"),
    Case(
        "a record too many",
        |w| push(w, 1, Record::new(RecordKind::Note, 0, 0, Fr::from(0u64)).w0, 5),
        Some(2),
        "PROOF",
        "does not hold",
    ),
    Case(
        "beginning twice",
        |w| push(w, 1, Fr::from(RecordKind::Init.code()), 5),
        Some(2),
        "STATE.INIT",
        "is in the state tree already",
    ),
    Case("digest", |w| bump(&mut w.told.batches[1].call.ops_digest), Some(2), "OP.11", "not that of the records"),
    Case("no beginning", |w| w.genesis.truncate(1), Some(2), "STATE.INIT", "settled without a beginning"),
    Case(
        "withdrawal from nothing",
        |w| push(w, 1, Record::new(RecordKind::Withdraw, 7, 0, Fr::from(0u64)).w0, 5),
        Some(2),
        "L1.POOL",
        "more than was ever paid in",
    ),
    Case("transfer from nowhere", |w| push(w, 1, Fr::from(RecordKind::Receive.code()), 5), Some(2), "OP.5", "not open"),
    Case(
        "corrects with another tariff",
        |w| push(w, 2, Record::new(RecordKind::Correction, 0, 1, Fr::from(0u64)).w0, 5),
        Some(3),
        "ADJUST.5",
        "not the tariff",
    ),
    Case(
        "corrects the future",
        |w| push(w, 2, Record::new(RecordKind::Correction, 0, u32::MAX, Fr::from(0u64)).w0, 5),
        Some(3),
        "ADJUST.5",
        "not past",
    ),
    Case("proof", |w| w.told.batches[2].call.proof[9] ^= 1, Some(3), "PROOF", "does not hold"),
    Case("proof with trailing bytes", |w| w.told.batches[2].call.proof.push(0), Some(3), "PROOF", "does not hold"),
    Case(
        "another batch's proof",
        |w| w.told.batches[2].call.proof = w.told.batches[1].call.proof.clone(),
        Some(3),
        "PROOF",
        "does not hold",
    ),
    Case("another chain", |w| w.told.chain_id = 1, Some(1), "PROOF", "does not hold"),
    Case("root kept", |w| bump(&mut w.told.roots[2]), Some(2), "L1.FINALISED", "keeps another root"),
    Case(
        "root unknown",
        |w| _ = w.told.finalised.remove(&w.told.roots[2]),
        Some(2),
        "L1.FINALISED",
        "does not know the new root",
    ),
    Case("state root", |w| bump(&mut w.told.state_root), None, "L1.SEQUENCE", "not that of the last batch"),
    Case("state root replayed", |w| bump(&mut w.told.state_root), None, "SETTLE.13", "not the replayed one"),
];

#[test]
fn every_false_fact_has_its_own_finding() {
    let honest = world();
    for Case(name, edit, batch, clause, text) in CASES {
        let mut w = honest.clone();
        edit(&mut w);
        let report = run(&w);
        let found = |f: &&Failure| f.batch == *batch && f.clause == *clause && f.what.contains(text);
        assert!(report.failures.iter().any(|f| found(&f)), "{name}: {:#?}", report.failures);
        assert!(!report.is_ok() && report.table().contains("FAILED"), "{name}");
    }
}

/// Each public input reaches the proof: no edit that changes one leaves the proof count whole.
#[test]
fn every_public_input_is_rebuilt() {
    let honest = world();
    let edits: [fn(&mut World); 8] = [
        |w| w.told.chain_id += 1,
        |w| bump(&mut w.told.batches[0].old_root),
        |w| bump(&mut w.told.batches[0].call.new_root),
        |w| w.told.batches[0].call.community = 4,
        |w| w.told.batches[0].call.first_interval += 1,
        |w| bump(&mut w.told.batches[0].tariff_commitment),
        |w| bump(&mut w.told.batches[0].call.community_new),
        |w| bump(&mut w.told.batches[0].call.data[0]),
    ];
    for (i, edit) in edits.iter().enumerate() {
        let mut w = honest.clone();
        edit(&mut w);
        let report = run(&w);
        assert!(report.failures.iter().any(|f| f.batch == Some(1) && f.clause == "PROOF"), "edit {i}");
    }
}
