//! The generated verifier against `snark-verifier`'s own: same answers on a valid proof and on a ladder of corrupted
//! ones.
#![cfg(feature = "codegen")]
#![allow(clippy::unwrap_used, clippy::panic)]

use ethers::providers::{Http, Middleware, Provider};
use ethers::types::{Address, Bytes, TransactionRequest, U256};
use gridveil_circuits::certificate::{self, CertificateCircuit};
use gridveil_protocol::{field as protocol_field, fixture::certificate::spend, instance};
use gridveil_verifier_contract::anvil::{ANVIL_KEYS, Anvil, AnvilOptions};
use gridveil_verifier_contract::codegen::fixture::toy_settlement;
use gridveil_verifier_contract::codegen::toy::{TOY_INSTANCES, ToyCircuit, prove, toy_keys};
use gridveil_verifier_contract::codegen::{Multiopen, generate_reference_verifier, generate_verifier};
use gridveil_verifier_contract::{EthersClient, L1Client, RollupConfig, VerifierInit};
use halo2_proofs::plonk::{keygen_pk, keygen_vk};
use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use halo2curves::bn256::{Bn256, Fr};
use halo2curves::ff::PrimeField;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

struct Chain {
    provider: Provider<Http>,
    _anvil: Anvil,
}

impl Chain {
    async fn new() -> Self {
        let anvil = Anvil::spawn().unwrap();
        Self { provider: Provider::<Http>::try_from(anvil.url()).unwrap(), _anvil: anvil }
    }

    async fn place(&self, address: Address, code: &[u8]) {
        let _: serde_json::Value =
            self.provider.request("anvil_setCode", (address, Bytes::from(code.to_vec()))).await.unwrap();
    }

    /// What the call returns; `None` if it reverts.
    async fn call(&self, to: Address, data: &[u8]) -> Option<Vec<u8>> {
        let tx = TransactionRequest::new().to(to).data(data.to_vec()).gas(20_000_000u64);
        self.provider
            .call(&tx.into(), None)
            .await
            .inspect_err(|e| {
                if std::env::var_os("GRIDVEIL_TRACE").is_some() {
                    eprintln!("{e}")
                }
            })
            .ok()
            .map(|bytes| bytes.to_vec())
    }

    /// Gas of the execution alone: without the transaction's intrinsic gas and calldata.
    async fn gas(&self, to: Address, data: &[u8]) -> u64 {
        let accounts = self.provider.get_accounts().await.unwrap();
        let tx = TransactionRequest::new().from(accounts[0]).to(to).data(data.to_vec()).gas(20_000_000u64);
        let receipt = self.provider.send_transaction(tx, None).await.unwrap().await.unwrap().unwrap();
        assert_eq!(receipt.status.unwrap().as_u64(), 1);
        let calldata: u64 = data.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
        receipt.gas_used.unwrap().as_u64() - 21_000 - calldata
    }
}

fn word(value: &Fr) -> [u8; 32] {
    let mut bytes = value.to_repr();
    bytes.reverse();
    bytes
}

/// Word `index` replaced by itself plus `delta`, modulo 2^256.
fn shifted(calldata: &[u8], index: usize, delta: U256) -> Vec<u8> {
    let mut out = calldata.to_vec();
    let range = 32 * index..32 * index + 32;
    let (sum, _) = U256::from_big_endian(&calldata[range.clone()]).overflowing_add(delta);
    sum.to_big_endian(&mut out[range]);
    out
}

async fn differential(multiopen: Multiopen, limit_gas: u64) {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let instances: [Fr; TOY_INSTANCES] = std::array::from_fn(|i| Fr::from(1000 + i as u64).square());
    let proof =
        prove(&params, &pk, ToyCircuit { instances }, &[&instances], multiopen, ChaCha20Rng::seed_from_u64(2)).unwrap();
    halo2_proofs::dev::MockProver::run(
        gridveil_verifier_contract::codegen::toy::TOY_K,
        &ToyCircuit { instances },
        vec![instances.to_vec()],
    )
    .unwrap()
    .assert_satisfied();
    let verifier = generate_verifier(&params, pk.get_vk(), &[TOY_INSTANCES], "ToyVerifier", multiopen).unwrap();
    let reference = generate_reference_verifier(&params, pk.get_vk(), &[TOY_INSTANCES], multiopen).unwrap();
    assert_eq!(verifier.stats.proof_bytes, proof.len());

    let chain = Chain::new().await;
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

/// The certificate verifier, on a real proof: as the reference on every word off by one, and on other spendings'
/// inputs.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_verifier_agrees_with_the_reference() {
    let params = ParamsKZG::<Bn256>::setup(certificate::K, ChaCha20Rng::seed_from_u64(5));
    let template = CertificateCircuit::template();
    let pk = keygen_pk(&params, keygen_vk(&params, &template).unwrap(), &template).unwrap();
    let rows = gridveil_protocol::certificate::ROWS.len();
    let verifier = generate_verifier(&params, pk.get_vk(), &[rows], "CertificateSpend", Multiopen::Shplonk).unwrap();
    let reference = generate_reference_verifier(&params, pk.get_vk(), &[rows], Multiopen::Shplonk).unwrap();
    let calldata = |seed: u64, stated: u64| {
        let circuit = CertificateCircuit::new(&spend(seed).unwrap());
        let instance = circuit.instance();
        let proof =
            prove(&params, &pk, circuit, &[&instance], Multiopen::Shplonk, ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let stated = CertificateCircuit::new(&spend(stated).unwrap()).instance();
        stated.iter().flat_map(word).chain(proof).collect::<Vec<u8>>()
    };
    let chain = Chain::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn shplonk_agrees_with_the_reference() {
    differential(Multiopen::Shplonk, 520_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gwc_agrees_with_the_reference() {
    differential(Multiopen::Gwc, 600_000).await;
}

/// A real proof through the real contract, as the services send it; also the gas of a settlement.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_with_a_real_proof() {
    let (params, pk) = toy_keys(ChaCha20Rng::seed_from_u64(1)).unwrap();
    let verifier =
        generate_verifier(&params, pk.get_vk(), &[TOY_INSTANCES], "ToyVerifier", Multiopen::Shplonk).unwrap();
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
