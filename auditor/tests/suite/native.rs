//! Native verification of a real proof of the smallest shape.

use std::sync::Arc;

use gridveil_auditor::{ProofVerifier, VerifierError, native::NativeVerifier};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::{
    field::Fr,
    fixture::{self, Recipe},
    market::Mechanism,
    params::Shape,
    settlement::apply,
    version::CircuitVersion,
};
use halo2_proofs::{
    plonk::{create_proof, keygen_pk, keygen_vk},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::ProverSHPLONK,
    },
    transcript::TranscriptWriterBuffer,
};
use halo2curves::bn256::{Bn256, G1Affine};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};

#[test]
fn a_real_proof_holds_for_its_own_public_inputs_only() {
    let shape = Shape::by_name("tiny-4x2").unwrap();
    let transition =
        apply(fixture::settlement(&Recipe { shape, seed: 3, mechanism: Mechanism::Auction, used: 4 }).unwrap())
            .unwrap();
    let circuit = SettlementCircuit::new(&transition);
    let params = Arc::new(ParamsKZG::<Bn256>::setup(shape.k, ChaCha20Rng::from_seed([7; 32])));
    let vk = keygen_vk(params.as_ref(), &circuit).unwrap();
    let pk = keygen_pk(params.as_ref(), vk, &circuit).unwrap();
    let instance = circuit.instance();
    let mut transcript = EvmTranscript::<G1Affine, NativeLoader, Vec<u8>, Vec<u8>>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        params.as_ref(),
        &pk,
        &[circuit],
        &[&[&instance]],
        ChaCha20Rng::from_seed([8; 32]),
        &mut transcript,
    )
    .unwrap();
    let proof = TranscriptWriterBuffer::<_, G1Affine, _>::finalize(transcript);

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
