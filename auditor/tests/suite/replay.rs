//! The replay over fixture transitions: an honest chain passes, and every false fact has its own finding.

mod contract;
mod findings;
mod keys;
mod retirements;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

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
    units::Nano,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    AuditorL1, Call, Calls, CertificateCall, CommunityParams, L1Error, MemberL1, OperatorL1, RollupEffect as Effect,
    RollupEvent, SettleCall, SettledBatch, SettlementL1, TariffEntry, Word,
    memory::{Answer, MemoryL1, MemoryL1Config, Told},
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
                circuit_version: 1_000_001,
                anchor: told.roots[0],
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

    fn verify_certificate(&self, _: CircuitVersion, _: &[Fr; 9], _: &[u8]) -> Result<bool, VerifierError> {
        Ok(true)
    }
}

/// What brought the certificates of these events, which are of one transaction.
fn brought(events: &[RollupEvent]) -> BTreeMap<Word, Calls> {
    let calls = events.iter().filter_map(|event| {
        let Effect::CertificateSpent {
            nullifier,
            circuit_version,
            anchor,
            note_1,
            note_2,
            retirement,
            disclosed,
            beneficiary,
            kind,
        } = event.effect
        else {
            return None;
        };
        let proof = vec![];
        let call = CertificateCall {
            circuit_version,
            anchor,
            nullifier,
            note_1,
            note_2,
            retirement,
            disclosed,
            beneficiary,
            kind,
            proof,
        };
        Some(Call::Certify(call))
    });
    BTreeMap::from([([0; 32], Calls { direct: true, calls: calls.collect() })])
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
    let events = derived(&w.told);
    let calls = brought(&events);
    let told = Told { events, calls, ..w.told.clone() };
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
        (Nano(i128::from(1_000_000 + deposited) * 10_000_000), 1_000_000, 2)
    );
    assert!(report.table().contains("pool"));
    // A record is part of what is proved.
    let mut edited = w.clone();
    let last = edited.told.batches[1].call.data.len() - 1;
    bump(&mut edited.told.batches[1].call.data[last]);
    assert!(run(&edited).failures.iter().any(|f| f.clause == "PROOF"));
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
