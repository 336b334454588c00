//! The certificate circuit: spendings to proofs, and everything that must not be accepted.

use std::sync::OnceLock;

use crate::common::CACHE;
use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, CertificateError, CertificateInstance, Kind, Purpose},
    field::Fr,
    fixture::certificate::{owner_key, plan, spend},
    instance::domain,
};
use gridveil_prover::{
    certificate::{CertificateProof, CertificateProver, CertificateProverConfig, CertificateProverError},
    progress::Silent,
    proof::ProofError,
    prover::ProverError,
    srs::SrsError,
};

struct Fixture {
    prover: CertificateProver,
    made: CertificateProof,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let prover = CertificateProver::open(&CertificateProverConfig::local(CACHE.into()), &Silent).unwrap();
        let made = prover.prove(&spend(1).unwrap()).unwrap();
        Fixture { prover, made }
    })
}

fn refused(made: &CertificateProof) -> bool {
    matches!(fixture().prover.verify(made), Err(ProofError::Invalid | ProofError::Length { .. }))
}

#[test]
fn every_kind_is_proved() {
    for seed in 0..6 {
        let spend = spend(seed).unwrap();
        let made = if seed == 1 { fixture().made.clone() } else { fixture().prover.prove(&spend).unwrap() };
        assert_eq!(made.instance, spend.check().unwrap());
        fixture().prover.verify(&made).unwrap();
        assert_eq!(made.proof.len(), fixture().made.proof.len());
        let other = CertificateProof { proof: made.proof, ..fixture().made.clone() };
        assert!(seed == 1 || refused(&other), "another spending's proof");
    }
}

#[test]
fn tampered_proofs_are_refused() {
    let made = &fixture().made;
    for position in (0..made.proof.len()).step_by(97) {
        let mut bad = made.clone();
        bad.proof[position] ^= 1 << (position % 8);
        assert!(refused(&bad), "byte {position}");
    }
    for length in [0, 32, made.proof.len() - 1, made.proof.len() + 1] {
        let mut bad = made.clone();
        bad.proof.resize(length, 0);
        assert!(refused(&bad), "{length} bytes");
    }
}

#[test]
fn every_public_input_is_bound() {
    let made = &fixture().made;
    let edits: [fn(&mut CertificateInstance); 11] = [
        |i| i.domain = domain(31_337, &[0x11; 20], CERTIFICATE_VERSION + 1),
        |i| i.anchor += Fr::from(1u64),
        |i| i.nullifier += Fr::from(1u64),
        |i| i.notes[0] += Fr::from(1u64),
        |i| i.notes[1] += Fr::from(1u64),
        |i| i.notes.swap(0, 1),
        |i| i.retirement = Fr::from(0u64),
        |i| i.disclosed += Fr::from(1u64),
        |i| i.beneficiary += Fr::from(1u64),
        |i| i.kind = Kind::NONE.code(),
        |i| i.kind = Kind::new(true, Purpose::Consumption).code(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut bad = made.clone();
        edit(&mut bad.instance);
        assert!(refused(&bad), "edit {number}");
    }
}

#[test]
fn what_the_rules_refuse_is_not_proved() {
    let mut more = plan(1);
    more.outputs[0].amount.0 += 1;
    let error = fixture().prover.prove(&more.sign(&owner_key(1)).unwrap()).unwrap_err();
    assert!(matches!(error, CertificateProverError::Refused(CertificateError::Conservation)));
}

#[test]
fn keys_are_kept_and_public_chains_need_a_ceremony() {
    let config = CertificateProverConfig::local(CACHE.into());
    fixture();
    let again = CertificateProver::open(&config, &Silent).unwrap();
    assert!(!again.keys().made, "read, not made again");
    again.verify(&fixture().made).unwrap();
    let made = again.prove(&spend(2).unwrap()).unwrap();
    fixture().prover.verify(&made).unwrap();
    let refused = CertificateProver::open(&CertificateProverConfig { chain_id: 1, ..config }, &Silent);
    assert!(matches!(refused, Err(ProverError::Srs(SrsError::InsecureOnPublicChain { chain_id: 1 }))));
}
