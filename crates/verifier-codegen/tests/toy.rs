//! The generated verifier against `snark-verifier`'s own: same answers on a valid proof and on a ladder of corrupted
//! ones. Needs `node`, and a folder with npm's `solc` and anvil: `VERIFIER_NPM`, or this workspace's.
#![allow(clippy::unwrap_used, clippy::panic)]

mod evm;

use std::path::PathBuf;

use ethers::types::{Address, U256};
use evm::{Chain, shifted, word};
use halo2curves::bn256::Fr;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use verifier_codegen::{
    CodegenError, Multiopen,
    artifact::{ArtifactError, VerifierArtifact, check_verifier, write_verifier},
    generate_reference_verifier, generate_verifier,
    solc::Solc,
    toy::{TOY_INSTANCES, TOY_K, ToyCircuit, prove, toy_keys},
    verifier_source,
};

/// Folder with `node_modules`.
fn npm() -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verifier-contract");
    std::env::var_os("VERIFIER_NPM").map_or_else(|| PathBuf::from(workspace), PathBuf::from)
}

async fn differential(multiopen: Multiopen, limit_gas: u64) {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let instances: [Fr; TOY_INSTANCES] = std::array::from_fn(|i| Fr::from(1000 + i as u64).square());
    let proof =
        prove(&params, &pk, ToyCircuit { instances }, &[&instances], multiopen, ChaCha20Rng::seed_from_u64(2)).unwrap();
    halo2_proofs::dev::MockProver::run(TOY_K, &ToyCircuit { instances }, vec![instances.to_vec()])
        .unwrap()
        .assert_satisfied();
    let solc = Solc::npm(&npm());
    let verifier = generate_verifier(&solc, &params, pk.get_vk(), &[TOY_INSTANCES], "ToyVerifier", multiopen).unwrap();
    let reference = generate_reference_verifier(&solc, &params, pk.get_vk(), &[TOY_INSTANCES], multiopen).unwrap();
    assert_eq!(verifier.stats.proof_bytes, proof.len());

    let chain = Chain::new(&npm());
    let (ours, theirs) = (Address::from_low_u64_be(0xaaaa), Address::from_low_u64_be(0xbbbb));
    chain.place(ours, &verifier.runtime).await;
    chain.place(theirs, &reference.runtime).await;
    let calldata: Vec<u8> = instances.iter().flat_map(word).chain(proof.iter().copied()).collect();

    let mut one = vec![0u8; 32];
    one[31] = 1;
    assert_eq!(chain.call(theirs, &calldata).await, Some(Vec::new()), "the reference accepts a valid proof");
    assert_eq!(chain.call(ours, &calldata).await, Some(one), "and so does ours");
    let (gas, reference_gas) = (chain.gas(ours, &calldata).await, chain.gas(theirs, &calldata).await);
    println!(
        "{multiopen:?}: {:?}, gas {gas}; reference {} bytes, gas {reference_gas}",
        verifier.stats,
        reference.runtime.len()
    );
    assert!(gas < limit_gas, "{gas}");

    // Every word off by one, and with its top bit flipped.
    for index in 0..calldata.len() / 32 {
        for delta in [U256::one(), U256::one() << 255] {
            let bad = shifted(&calldata, index, delta);
            assert_eq!(chain.call(ours, &bad).await, None, "word {index} + {delta}");
            assert_eq!(chain.call(theirs, &bad).await, None, "reference, word {index} + {delta}");
        }
    }
    // Two points exchanged, two evaluations exchanged, everything zero.
    for (a, b, len) in [(10 * 32, 12 * 32, 64), (calldata.len() - 10 * 32, calldata.len() - 9 * 32, 32)] {
        let mut bad = calldata.clone();
        let first = calldata[a..a + len].to_vec();
        bad.copy_within(b..b + len, a);
        bad[b..b + len].copy_from_slice(&first);
        assert_eq!(chain.call(ours, &bad).await, None);
        assert_eq!(chain.call(theirs, &bad).await, None);
    }
    assert_eq!(chain.call(ours, &vec![0; calldata.len()]).await, None);
    assert_eq!(chain.call(theirs, &vec![0; calldata.len()]).await, None);
    // Where ours is stricter: length, and words that are the same modulo r.
    let modulus =
        U256::from_dec_str("21888242871839275222246405745257275088548364400416034343698204186575808495617").unwrap();
    let scalars: Vec<usize> = (0..TOY_INSTANCES).chain(calldata.len() / 32 - 8..calldata.len() / 32 - 4).collect();
    for index in scalars {
        assert_eq!(chain.call(ours, &shifted(&calldata, index, modulus)).await, None, "word {index} + r");
    }
    for len in [0, 32, calldata.len() - 32, calldata.len() - 1] {
        assert_eq!(chain.call(ours, &calldata[..len]).await, None, "{len} bytes");
    }
    let mut longer = calldata.clone();
    longer.push(0);
    assert_eq!(chain.call(ours, &longer).await, None, "a trailing byte");
    // Another valid proof, other instances.
    let other: [Fr; TOY_INSTANCES] = std::array::from_fn(|i| -Fr::from(i as u64));
    let proof =
        prove(&params, &pk, ToyCircuit { instances: other }, &[&other], multiopen, ChaCha20Rng::seed_from_u64(3))
            .unwrap();
    let good: Vec<u8> = other.iter().flat_map(word).chain(proof.iter().copied()).collect();
    let crossed: Vec<u8> = instances.iter().flat_map(word).chain(proof).collect();
    assert!(chain.call(ours, &good).await.is_some());
    assert_eq!(chain.call(ours, &crossed).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn shplonk_agrees_with_the_reference() {
    differential(Multiopen::Shplonk, 520_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gwc_agrees_with_the_reference() {
    differential(Multiopen::Gwc, 600_000).await;
}

#[test]
fn the_source_follows_from_the_key_and_nothing_else() {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let source =
        |name: &str, multiopen| verifier_source(&params, pk.get_vk(), &[TOY_INSTANCES], name, multiopen).unwrap();
    let (first, stats) = source("Toy", Multiopen::Shplonk);
    assert_eq!(first, source("Toy", Multiopen::Shplonk).0);
    assert_eq!(first.replace("object \"Toy\"", "object \"Other\""), source("Other", Multiopen::Shplonk).0);
    assert_ne!(first, source("Toy", Multiopen::Gwc).0);
    assert_eq!(stats.calldata_bytes, 32 * TOY_INSTANCES + stats.proof_bytes);
    let (_, other) = toy_keys(ChaCha20Rng::seed_from_u64(2)).unwrap();
    let (other, _) = verifier_source(&params, other.get_vk(), &[TOY_INSTANCES], "Toy", Multiopen::Shplonk).unwrap();
    assert_ne!(first, other, "another key");
}

#[test]
fn a_verifier_is_kept_as_files_and_compared_with_them() {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let solc = Solc::npm(&npm());
    let mut verifier =
        generate_verifier(&solc, &params, pk.get_vk(), &[TOY_INSTANCES], "Toy", Multiopen::Shplonk).unwrap();
    let artifact = VerifierArtifact::new(&verifier);
    assert_eq!((artifact.instances as usize, artifact.proof_length as usize), (10, verifier.stats.proof_bytes));
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(check_verifier(root.path(), &verifier), Err(ArtifactError::File(..))));
    for folder in ["artifacts", "verifiers"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    write_verifier(root.path(), &verifier).unwrap();
    check_verifier(root.path(), &verifier).unwrap();
    verifier.runtime.push(0);
    assert!(matches!(check_verifier(root.path(), &verifier), Err(ArtifactError::Stale(_))));
}

#[test]
fn a_solc_that_is_not_there_or_refuses_is_an_error() {
    let missing = Solc::native(std::path::Path::new("no-such-solc"));
    assert!(matches!(missing.compile_yul("", "Toy"), Err(CodegenError::Solc(_))));
    let solc = Solc::npm(&npm());
    assert!(matches!(solc.compile_yul("object \"Toy\" { code { nonsense() } }", "Toy"), Err(CodegenError::Solc(_))));
}
