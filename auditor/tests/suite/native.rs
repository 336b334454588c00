//! Native verification of a real proof of the smallest shape.

use gridveil_auditor::{ProofVerifier, VerifierError, native::NativeVerifier};
use gridveil_protocol::{
    field::Fr,
    fixture::{self, Recipe},
    market::Mechanism,
    settlement::apply,
    version::CircuitVersion,
};
use gridveil_prover::{
    job::ProofJob,
    progress::Silent,
    prover::Prove as _,
    srs::{LOCAL_CHAIN_ID, Srs, SrsSource},
};

use crate::common::{CACHE, shape, v2};

#[test]
fn a_real_proof_holds_for_its_own_public_inputs_only() {
    let shape = shape();
    let input = fixture::settlement(&Recipe { shape, seed: 3, mechanism: Mechanism::Auction, used: 4 }).unwrap();
    let transition = apply(input.clone()).unwrap();
    let proof = v2().prove_job(&ProofJob::new(1, input), &Silent).unwrap().proof;
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, CACHE.as_ref()).unwrap();
    let params = srs.params(shape.k, &Silent).unwrap();

    let mut verifier = NativeVerifier::default();
    verifier.add(CircuitVersion::V2, shape, params).unwrap();
    let rows = transition.instance.rows();
    assert_eq!(verifier.verify(CircuitVersion::V2, shape.id, &rows, &proof), Ok(true));
    for i in 0..rows.len() {
        let mut other = rows;
        other[i] += Fr::from(1u64);
        assert_eq!(verifier.verify(CircuitVersion::V2, shape.id, &other, &proof), Ok(false), "row {i}");
    }
    for i in [0, 31, 64, proof.len() / 2, proof.len() - 1] {
        let mut bad = proof.clone();
        bad[i] ^= 1;
        assert_eq!(verifier.verify(CircuitVersion::V2, shape.id, &rows, &bad), Ok(false), "byte {i}");
    }
    for length in [0, 1, 64, proof.len() - 1] {
        assert_eq!(verifier.verify(CircuitVersion::V2, shape.id, &rows, &proof[..length]), Ok(false));
    }
    for tail in [&[0u8][..], &[0; 32], &proof] {
        assert_eq!(
            verifier.verify(CircuitVersion::V2, shape.id, &rows, &[&proof, tail].concat()),
            Ok(false),
            "trailing bytes"
        );
    }
    assert!(verifier.verify(CircuitVersion::V2, 99, &rows, &proof).is_err());
    let version = CircuitVersion::new(1);
    assert_eq!(
        verifier.verify(version, shape.id, &rows, &proof),
        Err(VerifierError::Missing { version, shape: shape.id })
    );
}
