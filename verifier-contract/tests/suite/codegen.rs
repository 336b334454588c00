//! Verifiers of this project's circuits: the certificate verifier against `snark-verifier`'s own, and a settlement
//! through the contract. The generator's own tests are in `crates/verifier-codegen`.

#[path = "../../../crates/verifier-codegen/tests/evm/mod.rs"]
mod evm;

use std::path::Path;

use self::evm::{Chain, shifted, word};
use ethers::types::{Address, U256};
use gridveil_circuits::certificate::{self, CertificateCircuit};
use gridveil_protocol::{field as protocol_field, fixture::certificate::spend, instance};
use gridveil_verifier_contract::{
    AuditorL1, ChainL1, EthersClient, OperatorL1, RollupConfig, SettlementL1, VerifierInit,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    codegen::{fixture::toy_settlement, generate_settlement_verifier, solc},
};
use halo2_proofs::{
    plonk::{keygen_pk, keygen_vk},
    poly::kzg::commitment::ParamsKZG,
};
use halo2curves::bn256::Bn256;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use verifier_codegen::{
    Multiopen, generate_reference_verifier,
    toy::{TOY_INSTANCES, prove, toy_keys},
};

/// The certificate verifier, on a real proof: as the reference on every word off by one, and on other spendings'
/// inputs.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_verifier_agrees_with_the_reference() {
    let params = ParamsKZG::<Bn256>::setup(certificate::K, ChaCha20Rng::seed_from_u64(5));
    let template = CertificateCircuit::template();
    let pk = keygen_pk(&params, keygen_vk(&params, &template).unwrap(), &template).unwrap();
    let rows = gridveil_protocol::certificate::ROWS.len();
    let verifier = generate_settlement_verifier(&params, pk.get_vk(), vec![rows], "CertificateSpend").unwrap();
    let reference = generate_reference_verifier(&solc(), &params, pk.get_vk(), &[rows], Multiopen::Shplonk).unwrap();
    let proofs = [1, 2, 3].map(|seed: u64| {
        let circuit = CertificateCircuit::new(&spend(seed).unwrap());
        let instance = circuit.instance();
        prove(&params, &pk, circuit, &[&instance], Multiopen::Shplonk, ChaCha20Rng::seed_from_u64(seed)).unwrap()
    });
    let calldata = |seed: usize, stated: u64| {
        let proof = proofs[seed - 1].clone();
        let stated = CertificateCircuit::new(&spend(stated).unwrap()).instance();
        stated.iter().flat_map(word).chain(proof).collect::<Vec<u8>>()
    };
    let chain = Chain::new(Path::new(env!("CARGO_MANIFEST_DIR")));
    let (ours, theirs) = (Address::from_low_u64_be(0xaaaa), Address::from_low_u64_be(0xbbbb));
    chain.place(ours, &verifier.runtime).await;
    chain.place(theirs, &reference.runtime).await;
    let valid = calldata(1, 1);
    assert!(chain.call(theirs, &valid).await.is_some() && chain.call(ours, &valid).await.is_some());
    let gas = chain.gas(ours, &valid).await;
    println!(
        "{:?}, gas {gas}; reference {} bytes, gas {}",
        verifier.stats,
        reference.runtime.len(),
        chain.gas(theirs, &valid).await
    );
    assert!(gas < 500_000, "{gas}");
    for index in 0..valid.len() / 32 {
        let bad = shifted(&valid, index, U256::one());
        assert_eq!((chain.call(ours, &bad).await, chain.call(theirs, &bad).await), (None, None), "word {index}");
    }
    for (seed, stated) in [(2, 1), (1, 2), (3, 4)] {
        let bad = calldata(seed, stated);
        assert_eq!(
            (chain.call(ours, &bad).await, chain.call(theirs, &bad).await),
            (None, None),
            "spending {seed} for {stated}"
        );
    }
    let modulus =
        U256::from_dec_str("21888242871839275222246405745257275088548364400416034343698204186575808495617").unwrap();
    for row in 0..rows {
        assert_eq!(chain.call(ours, &shifted(&valid, row, modulus)).await, None, "public input {row} + r");
    }
}

/// A real proof through the real contract, as the services send it; also the gas of a settlement.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_with_a_real_proof() {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let verifier = generate_settlement_verifier(&params, pk.get_vk(), vec![TOY_INSTANCES], "ToyVerifier").unwrap();
    let sample = toy_settlement(&params, &pk, [0; 20]).unwrap();
    let start = u64::from(sample.call.first_interval) * u64::from(sample.params.interval_length_s) - 1000;
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(start), ..AnvilOptions::default() }).unwrap();
    let client = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
    let address = client.deploy_code(&verifier.creation).await.unwrap();
    let init = VerifierInit {
        shape: 1,
        slots: sample.slots,
        m: sample.params.m,
        verifier: address,
        proof_length: verifier.stats.proof_bytes as u32,
    };
    let config = RollupConfig::single_account(client.account().unwrap(), sample.old_root, true);
    let l1 = client.deploy_rollup(&config, &[init]).await.unwrap();
    l1.open_tariff_set(1, sample.params.interval_length_s, sample.params.m).await.unwrap();
    l1.register_tariff(1, sample.call.first_interval, sample.tariff_commitment).await.unwrap();
    l1.register_community(sample.params).await.unwrap();
    l1.set_local_time(start + 1000 + u64::from(sample.params.m) * u64::from(sample.params.interval_length_s))
        .await
        .unwrap();
    let settlement = toy_settlement(&params, &pk, l1.contract()).unwrap();

    // The public inputs are the protocol's.
    let field = |bytes: &[u8; 32]| protocol_field::from_bytes::<protocol_field::Fr>(bytes).unwrap();
    let domain = instance::domain(31_337, &l1.contract(), u64::from(settlement.call.circuit_version));
    let data: Vec<_> = settlement.call.data.iter().map(field).collect();
    let call = &settlement.call;
    let z = instance::data_challenge(
        &domain,
        &field(&settlement.old_root),
        &field(&call.new_root),
        &field(&call.community_new),
        &field(&call.ops_digest),
        &data,
    );
    let y = instance::data_evaluation(&data, &z);
    assert_eq!([0, 8, 9].map(|row| field(&settlement.instances[row])), [domain, z, y]);

    // A proof for another deployment.
    assert!(l1.settle(sample.call.clone()).await.unwrap_err().is_revert("ProofRejected"));
    let mut bad = settlement.call.clone();
    bad.data[3][31] ^= 1;
    assert!(l1.settle(bad).await.unwrap_err().is_revert("ProofRejected"));
    let receipt = l1.settle(settlement.call.clone()).await.unwrap();
    println!("settle: {} gas", receipt.gas_used);
    assert!(receipt.gas_used < 900_000, "{}", receipt.gas_used);
    let batches = l1.settled_batches(0).await.unwrap();
    assert_eq!(batches.iter().map(|batch| &batch.call).collect::<Vec<_>>(), [&settlement.call]);
}
