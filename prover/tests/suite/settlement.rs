//! The real circuit, smallest shape: jobs to proofs, and everything that must not be accepted.

use std::{path::Path, sync::OnceLock};

use crate::common::CACHE;
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::{
    field::Fr,
    fixture::{Recipe, resign, settlement},
    instance::{ROWS, domain},
    market::Mechanism,
    params::{CIRCUIT_VERSION, SHAPES},
    version::CircuitVersion,
};
use gridveil_prover::{
    job::{ProofJob, ProofResult},
    progress::Silent,
    proof::ProofError,
    prover::{Prove, Prover, ProverConfig, ProverError},
    srs::SrsSource,
};

struct Fixture {
    prover: Prover<SettlementCircuit>,
    result: ProofResult,
}

fn job(seed: u64, mechanism: Mechanism) -> ProofJob {
    ProofJob::new(seed, settlement(&Recipe { shape: SHAPES[0], seed, mechanism, used: 4 }).unwrap())
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let config = ProverConfig::local(Path::new(CACHE), vec![SHAPES[0]]);
        let prover = Prover::open(&config, &Silent).unwrap();
        let result = prover.prove_job(&job(1, Mechanism::Auction), &Silent).unwrap();
        Fixture { prover, result }
    })
}

fn refused(result: &ProofResult) -> bool {
    matches!(fixture().prover.verify(result), Err(ProverError::Proof(ProofError::Invalid | ProofError::Length { .. })))
}

#[test]
fn both_mechanisms_are_proved() {
    let Fixture { prover, result, .. } = fixture();
    prover.verify(result).unwrap();
    eprintln!("{} bytes, {:?}", result.proof.len(), result.timings);
    let other = prover.prove_job(&job(2, Mechanism::CommunityPrice), &Silent).unwrap();
    prover.verify(&other).unwrap();
    assert!(refused(&ProofResult { proof: other.proof, ..result.clone() }), "another batch's proof");
}

#[test]
fn tampered_proofs_are_refused() {
    let result = &fixture().result;
    for position in (0..result.proof.len()).step_by(211) {
        let mut bad = result.clone();
        bad.proof[position] ^= 1 << (position % 8);
        assert!(refused(&bad), "byte {position}");
    }
    for length in
        [0, 31, 32, result.proof.len() - 32, result.proof.len() - 1, result.proof.len() + 1, result.proof.len() + 32]
    {
        let mut bad = result.clone();
        bad.proof.resize(length, 0);
        assert!(refused(&bad), "{length} bytes");
    }
    assert!(refused(&ProofResult { proof: vec![0; result.proof.len()], ..result.clone() }));
}

#[test]
fn every_public_input_is_bound() {
    let result = &fixture().result;
    for (row, name) in ROWS.into_iter().enumerate() {
        let mut bad = result.clone();
        bad.instance[row] += Fr::from(1u64);
        assert!(refused(&bad), "{name}");
        let mut bad = result.clone();
        bad.instance.swap(row, (row + 1) % ROWS.len());
        assert!(refused(&bad), "{name} swapped");
    }
    let mut bad = result.clone();
    bad.instance[0] = domain(31_337, &[0x22; 20], CIRCUIT_VERSION);
    assert!(refused(&bad), "another contract");
    bad.instance[0] = domain(1, &[0x11; 20], CIRCUIT_VERSION);
    assert!(refused(&bad), "another chain");
}

#[test]
fn what_the_rules_refuse_is_not_proved() {
    let mut job = job(3, Mechanism::Auction);
    job.input.packets[1].packet.slot = 0;
    resign(&mut job.input, 1).unwrap();
    let error = fixture().prover.prove_job(&job, &Silent).unwrap_err();
    assert!(
        matches!(&error, ProverError::Settlement(refused) if refused.clause() == "SETTLE.2") && error.is_permanent()
    );
}

/// Both shapes have the same columns and the same proof length, so only the key can tell.
#[test]
fn another_shapes_key_refuses() {
    let Fixture { result, .. } = fixture();
    let config = ProverConfig {
        cache_dir: CACHE.into(),
        srs: SrsSource::InsecureDev,
        chain_id: 31_337,
        version: CircuitVersion::CURRENT,
        shapes: vec![SHAPES[0], SHAPES[1]],
        threads: None,
        domain: None,
    };
    let prover = Prover::<SettlementCircuit>::open(&config, &Silent).unwrap();
    prover.verify(result).unwrap();
    let disguised = ProofResult { shape: SHAPES[1].name.to_string(), ..result.clone() };
    assert!(matches!(prover.verify(&disguised), Err(ProverError::Proof(ProofError::Invalid))));
}
