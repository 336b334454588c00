//! Golden description and cost of every shape, and of the certificate circuit: what is committed under `golden/vN/` is
//! what the keys are made from. `make generate` rewrites them: a new circuit version, on purpose.

use crate::common::{input, trace};
use gridveil_circuits::{
    Fr,
    certificate::{self, CertificateCircuit},
    settlement::SettlementCircuit,
    trace::Trace,
    verify::Params,
    version::SettlementSize,
};
use gridveil_protocol::{
    certificate::CERTIFICATE_VERSION,
    market::Mechanism,
    params::{SHAPES, Shape},
    settlement::apply,
    version::CircuitVersion,
};
use halo2_proofs::plonk::{Circuit, ConstraintSystem, keygen_vk};
use halo2curves::ff::PrimeField;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

/// What a shape's key depends on, and what it costs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Golden {
    shape: String,
    circuit_version: u64,
    k: u32,
    rows_used: usize,
    rows_usable: usize,
    degree: usize,
    advice_columns: usize,
    fixed_columns: usize,
    lookup_arguments: usize,
    copyable_columns: usize,
    advice_queries: usize,
    gates: usize,
    copies: usize,
    /// BLAKE3 of halo2's pinned description of gates, queries, lookups and permutation.
    constraint_system: String,
    /// BLAKE3 of constants, selectors and copies of all rows.
    layout: String,
}

fn settlement(shape: Shape) -> Golden {
    let mut meta = ConstraintSystem::default();
    let size = SettlementSize::new(CircuitVersion::V2, shape).unwrap();
    SettlementCircuit::configure_with_params(&mut meta, size);
    golden(shape.name, size.version().number(), shape.k, &meta, SettlementCircuit::template(size).trace())
}

fn certificate() -> Golden {
    let mut meta = ConstraintSystem::default();
    CertificateCircuit::configure(&mut meta);
    golden("certificate", CERTIFICATE_VERSION, certificate::K, &meta, CertificateCircuit::template().trace())
}

fn golden(name: &str, circuit_version: u64, k: u32, meta: &ConstraintSystem<Fr>, trace: &Trace) -> Golden {
    Golden {
        shape: name.to_string(),
        circuit_version,
        k,
        rows_used: trace.next_row(),
        rows_usable: (1 << k) - meta.blinding_factors() - 1,
        degree: meta.gates().iter().flat_map(|g| g.polynomials()).map(|p| p.degree()).max().unwrap(),
        advice_columns: meta.num_advice_columns(),
        fixed_columns: meta.num_fixed_columns(),
        lookup_arguments: meta.lookups().len(),
        copyable_columns: meta.permutation().get_columns().len(),
        advice_queries: meta.advice_queries().len(),
        gates: meta.gates().iter().map(|g| g.polynomials().len()).sum(),
        copies: trace.copies().len(),
        constraint_system: blake3::hash(format!("{:?}", meta.pinned()).as_bytes()).to_hex().to_string(),
        layout: trace.layout_digest(),
    }
}

#[test]
fn keys_and_costs_are_the_committed_ones() {
    for found in SHAPES.into_iter().map(settlement).chain([certificate()]) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("golden/v{}/{}.json", found.circuit_version, found.shape));
        if std::env::var_os("GRIDVEIL_BLESS").is_some() {
            std::fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let committed: Golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(found, committed, "bless on purpose, with a new circuit version");
        assert!(found.rows_used <= found.rows_usable);
        // halo2-axiom clamps silently above 5.
        assert!(found.degree <= 5);
    }
}

#[test]
fn the_layout_does_not_depend_on_the_witness() {
    let shape = crate::common::tiny();
    let template = SettlementCircuit::template(SettlementSize::current(shape)).trace().layout_digest();
    for seed in 0..3 {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            assert_eq!(trace(&apply(input(shape, seed, mechanism)).unwrap()).layout_digest(), template);
        }
    }
}

/// Hashes of verifying keys, by circuit, under a setup that this test makes: the keys of the shapes for deployment are
/// in their verifiers.
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/keys.txt");

fn key<C: Circuit<Fr>>(k: u32, circuit: &C) -> String {
    let params = Params::setup(k, ChaCha20Rng::from_seed([7; 32]));
    let mut bytes = keygen_vk(&params, circuit).unwrap().transcript_repr().to_repr();
    bytes.reverse();
    hex::encode(bytes)
}

#[test]
fn keys_of_the_small_circuits_are_the_committed_ones() {
    let tiny = SettlementSize::new(CircuitVersion::V2, crate::common::tiny()).unwrap();
    let settlement = key(tiny.shape().k, &SettlementCircuit::template(tiny));
    let certificate = key(certificate::K, &CertificateCircuit::template());
    let found = format!("{settlement}  {}\n{certificate}  certificate\n", tiny.shape().name);
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        std::fs::write(KEYS, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(KEYS).unwrap(), "bless on purpose, with a new circuit version");
}
