//! Whole proofs of a circuit that is nobody's in particular, made here and checked by halo2's verifier.
#![allow(clippy::unwrap_used)]

mod common;

use common::{K, Sequence, keys};
use halo2_ifma::{ProveError, portable, witness};
use halo2_proofs::{
    dev::MockProver,
    plonk::{VerifyingKey, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::VerifierSHPLONK,
        strategy::SingleStrategy,
    },
    transcript::{Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer as _, TranscriptWriterBuffer as _},
};
use halo2curves::{
    bn256::{Bn256, Fr, G1Affine},
    ff::Field,
};
use rand::{CryptoRng, Error, RngCore, rngs::OsRng};

type Writer = Blake2bWrite<Vec<u8>, G1Affine, Challenge255<G1Affine>>;

const STEPS: usize = 300;

fn verifies(params: &ParamsKZG<Bn256>, vk: &VerifyingKey<G1Affine>, instance: &[Fr], proof: &[u8]) -> bool {
    let mut transcript = Blake2bRead::<_, _, Challenge255<_>>::init(proof);
    verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        params,
        vk,
        SingleStrategy::new(params),
        &[&[instance]],
        &mut transcript,
    )
    .is_ok()
}

/// Columns and public input of a true statement.
fn statement() -> (Vec<Vec<Fr>>, Vec<Fr>) {
    let circuit = Sequence::new(STEPS);
    let instance = vec![circuit.last()];
    MockProver::run(K, &circuit, vec![instance.clone()]).unwrap().assert_satisfied();
    (witness::columns(K, &circuit, &instance).unwrap(), instance)
}

#[test]
fn columns_are_those_the_circuit_assigns() {
    let (advice, instance) = statement();
    assert_eq!(advice.iter().map(Vec::len).collect::<Vec<_>>(), [STEPS + 2, STEPS, STEPS]);
    assert_eq!(advice[0].last(), instance.first());
    assert_eq!(advice[1][299], Fr::from(43));
    assert_eq!(advice[2][..], advice[0][2..]);
}

#[test]
fn the_portable_prover_takes_the_same_columns() {
    let (params, pk) = keys(STEPS);
    let (advice, instance) = statement();
    let mut transcript = Writer::init(Vec::new());
    portable::prove(&pk, &params, advice, &instance, OsRng, &mut transcript).unwrap();
    let proof = transcript.finalize();
    assert!(verifies(&params, pk.get_vk(), &instance, &proof));
    assert!(!verifies(&params, pk.get_vk(), &[Fr::ONE], &proof));
}

/// A source that fails, as the system's may.
struct Dry;

impl RngCore for Dry {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::new("dry"))
    }
}

impl CryptoRng for Dry {}

#[test]
fn what_does_not_fit_is_refused() {
    let (params, pk) = keys(STEPS);
    let (advice, instance) = statement();
    let prove = |advice: Vec<Vec<Fr>>, instance: &[Fr]| {
        portable::prove(&pk, &params, advice, instance, OsRng, &mut Writer::init(Vec::new()))
    };
    let missing = advice[1..].to_vec();
    assert!(matches!(prove(missing, &instance), Err(ProveError::Advice { columns: 2, .. })));
    let mut long = advice.clone();
    long[1].resize(1 << K, Fr::ZERO);
    assert!(matches!(prove(long, &instance), Err(ProveError::Advice { longest: 512, .. })));
    assert!(matches!(prove(advice.clone(), &[Fr::ONE; 1 << K]), Err(ProveError::Instance { got: 512 })));
    let dry = portable::prove(&pk, &params, advice, &instance, Dry, &mut Writer::init(Vec::new()));
    assert!(matches!(dry, Err(ProveError::Randomness)));
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::*;
    use halo2_ifma::{Ifma, Parts, Unsupported, VectorKey};
    use halo2_proofs::{SerdeFormat, plonk::ConstraintSystem};

    fn detected() -> Option<Ifma> {
        let ifma = Ifma::detect();
        if ifma.is_none() {
            println!("skipped: this processor has no AVX-512 IFMA");
        }
        ifma
    }

    fn prove(key: &VectorKey, advice: Vec<Vec<Fr>>, instance: &[Fr]) -> Result<Vec<u8>, ProveError> {
        let mut transcript = Writer::init(Vec::new());
        key.prove(advice, instance, OsRng, &mut transcript)?;
        Ok(transcript.finalize())
    }

    #[test]
    fn halo2_verifies_what_the_vector_unit_proves() {
        let Some(ifma) = detected() else { return };
        let (params, pk) = keys(STEPS);
        let (advice, instance) = statement();
        // The parts copied from a key in memory, and those read from its file.
        let mut file = Vec::new();
        pk.write(&mut file, SerdeFormat::RawBytesUnchecked).unwrap();
        let read = Parts::read::<_, Sequence>(&mut file.as_slice(), ()).unwrap();
        for parts in [Parts::of(&pk), read] {
            assert_eq!(parts.vk().transcript_repr(), pk.get_vk().transcript_repr());
            let key = VectorKey::new(ifma, &params, parts).unwrap();
            let proof = prove(&key, advice.clone(), &instance).unwrap();
            assert!(verifies(&params, pk.get_vk(), &instance, &proof));
            assert!(!verifies(&params, pk.get_vk(), &[Fr::ONE], &proof));
            let again = prove(&key, advice.clone(), &instance).unwrap();
            assert_ne!(proof, again, "blinded afresh");
            let mut portable = Writer::init(Vec::new());
            portable::prove(&pk, &params, advice.clone(), &instance, OsRng, &mut portable).unwrap();
            assert_eq!(proof.len(), portable.finalize().len());
        }
    }

    #[test]
    fn false_witnesses_have_no_valid_proof() {
        let Some(ifma) = detected() else { return };
        let (params, pk) = keys(STEPS);
        let (advice, instance) = statement();
        let key = VectorKey::new(ifma, &params, Parts::of(&pk)).unwrap();
        for column in 0..advice.len() {
            let mut bad = advice.clone();
            bad[column][17] += Fr::from(1 << 20);
            match prove(&key, bad, &instance) {
                Ok(proof) => assert!(!verifies(&params, pk.get_vk(), &instance, &proof), "column {column}"),
                Err(error) => assert!(column == 1 && matches!(error, ProveError::NotInTable), "{error}"),
            }
        }
        let (short, long) = (advice[1..].to_vec(), [Fr::ONE; 1 << K]);
        assert!(matches!(prove(&key, short, &instance), Err(ProveError::Advice { columns: 2, .. })));
        assert!(matches!(prove(&key, advice, &long), Err(ProveError::Instance { got: 512 })));
    }

    #[test]
    fn kinds_not_proved_here_are_named() {
        let of = |columns: usize| {
            let mut cs = ConstraintSystem::<Fr>::default();
            cs.advice_column();
            (0..columns).for_each(|_| {
                cs.instance_column();
            });
            cs
        };
        assert_eq!(VectorKey::supports(&of(1), 6), Ok(()));
        assert_eq!(VectorKey::supports(&of(2), 6), Err(Unsupported::InstanceColumns(2)));
        assert_eq!(VectorKey::supports(&of(1), 5), Err(Unsupported::Rows { k: 5, least: 6, most: 24 }));
        let mut phases = of(1);
        phases.challenge_usable_after(halo2_proofs::plonk::FirstPhase);
        assert_eq!(VectorKey::supports(&phases, 6), Err(Unsupported::Phases));
        let Some(ifma) = detected() else { return };
        let (params, pk) = keys(STEPS);
        let mut other = params.clone();
        halo2_proofs::poly::commitment::Params::downsize(&mut other, K - 1);
        let refused = VectorKey::new(ifma, &other, Parts::of(&pk));
        assert!(matches!(refused, Err(Unsupported::Parameters { parameters: 8, key: 9 })));
    }
}
