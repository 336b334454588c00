//! Sizes of the generated verifiers.
#![cfg(feature = "codegen")]
#![allow(clippy::unwrap_used)]

use gridveil_verifier_contract::codegen::toy::{TOY_INSTANCES, toy_keys};
use gridveil_verifier_contract::codegen::{Multiopen, generate_reference_verifier, generate_verifier, verifier_source};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

#[test]
fn toy_verifiers_fit() {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    for multiopen in [Multiopen::Shplonk, Multiopen::Gwc] {
        let (source, _) = verifier_source(&params, pk.get_vk(), &[TOY_INSTANCES], "ToyVerifier", multiopen).unwrap();
        std::fs::write(format!("/tmp/toy_{multiopen:?}.yul"), source).unwrap();
        let verifier = generate_verifier(&params, pk.get_vk(), &[TOY_INSTANCES], "ToyVerifier", multiopen).unwrap();
        let reference = generate_reference_verifier(&params, pk.get_vk(), &[TOY_INSTANCES], multiopen);
        println!("{multiopen:?}: {:?}, reference {:?}", verifier.stats, reference.map(|r| r.runtime.len()));
    }
}
