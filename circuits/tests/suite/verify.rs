//! The proof verifier on a real proof of the smallest circuit: one encoding, one statement.
use std::sync::Arc;

use gridveil_circuits::{
    certificate::{CertificateCircuit, K},
    verify::{CERTIFICATE_ROWS, Params, Verifier, VerifyError, proof_bytes},
};
use gridveil_protocol::{field::Fr, fixture::certificate::spend};
use halo2_proofs::{
    plonk::{create_proof, keygen_pk, keygen_vk},
    poly::kzg::{commitment::KZGCommitmentScheme, multiopen::ProverSHPLONK},
    transcript::TranscriptWriterBuffer,
};
use halo2curves::bn256::{Bn256, G1Affine};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};

/// Of scalars, and of coordinates, big-endian.
const MODULI: [&str; 2] = [
    "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001",
    "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47",
];

/// A verifier, public inputs and their proof.
fn proved() -> (Verifier, Vec<Fr>, Vec<u8>) {
    let spend = spend(1).unwrap();
    let params = Params::setup(K, ChaCha20Rng::from_seed([7; 32]));
    let circuit = CertificateCircuit::new(&spend);
    let pk = keygen_pk(&params, keygen_vk(&params, &circuit).unwrap(), &circuit).unwrap();
    let instance = circuit.instance();
    let mut transcript = EvmTranscript::<G1Affine, NativeLoader, Vec<u8>, Vec<u8>>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &params,
        &pk,
        &[circuit],
        &[&[&instance]],
        ChaCha20Rng::from_seed([8; 32]),
        &mut transcript,
    )
    .unwrap();
    let proof = TranscriptWriterBuffer::<_, G1Affine, _>::finalize(transcript);
    let verifier = Verifier::certificate(Arc::new(params)).unwrap();
    (verifier, spend.compute().rows().to_vec(), proof)
}

/// `word + modulus`, if that is below 2^256: the same number, written otherwise.
fn raised(word: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0u16;
    let mut sum = vec![0u8; 32];
    for i in (0..32).rev() {
        let digit = u16::from(word[i]) + u16::from(modulus[i]) + carry;
        (sum[i], carry) = (u8::try_from(digit & 0xff).unwrap(), digit >> 8);
    }
    (carry == 0).then_some(sum)
}

#[test]
fn a_proof_has_one_encoding_and_proves_one_statement() {
    let (verifier, rows, proof) = proved();
    let expected = proof_bytes(verifier.vk().cs());
    assert_eq!((verifier.verify(&rows, &proof), proof.len()), (Ok(()), expected));
    assert_eq!(rows.len(), CERTIFICATE_ROWS);

    // Bytes that trail, or are missing.
    for got in [0, 1, 32, expected - 32, expected - 1, expected + 1, expected + 32, 2 * expected] {
        let mut bad = proof.clone();
        bad.resize(got, 0);
        assert_eq!(verifier.verify(&rows, &bad), Err(VerifyError::Length { expected, got }));
    }
    // Public inputs that halo2 would not miss: a surplus zero, or none.
    for got in [0, 1, CERTIFICATE_ROWS - 1, CERTIFICATE_ROWS + 1, 1 << K] {
        let mut bad = rows.clone();
        bad.resize(got, Fr::from(0u64));
        let error = VerifyError::Instance { expected: CERTIFICATE_ROWS, got };
        assert_eq!(verifier.verify(&bad, &proof), Err(error));
    }
    for row in 0..rows.len() {
        let mut bad = rows.clone();
        bad[row] += Fr::from(1u64);
        assert_eq!(verifier.verify(&bad, &proof), Err(VerifyError::Invalid), "row {row}");
    }
    // Numbers that are not below their modulus.
    for modulus in MODULI.map(|hex| hex::decode(hex).unwrap()) {
        for (index, word) in proof.chunks(32).enumerate() {
            let Some(word) = raised(word, &modulus) else { continue };
            let bad = [&proof[..32 * index], &word, &proof[32 * (index + 1)..]].concat();
            assert_eq!(verifier.verify(&rows, &bad), Err(VerifyError::Invalid), "word {index}");
        }
    }
    for filler in [0, 0xff] {
        assert_eq!(verifier.verify(&rows, &vec![filler; expected]), Err(VerifyError::Invalid));
    }
}
