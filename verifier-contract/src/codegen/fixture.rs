//! A settlement-shaped statement of the toy circuit, for tests that need a verifier and a proof quickly.

use ethers::{types::U256, utils::keccak256};
use halo2_proofs::{plonk::ProvingKey, poly::kzg::commitment::ParamsKZG};
use halo2curves::{
    bn256::{Bn256, Fr, G1Affine},
    ff::{Field, PrimeField},
};
use rand::{SeedableRng, rngs::StdRng};
use verifier_codegen::{
    Multiopen,
    toy::{TOY_INSTANCES, ToyCircuit, prove},
};

use crate::{
    anvil::LOCAL_CHAIN_ID,
    types::{Address, CommunityParams, SettleCall, Word},
};

/// Where the contract's tests deploy the rollup: its address is in the proof's domain.
pub const FIXTURE_ROLLUP: [u8; 20] = [0x67; 20];
const SLOTS: u32 = 128;
const M: u16 = 96;
const INTERVAL_LENGTH: u16 = 900;
const FIRST_INTERVAL: u32 = 1_959_744;
const COMMUNITY: u32 = 7;
const CIRCUIT_VERSION: u32 = 2;

/// Why a fixture could not be made, written or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// halo2 refused the toy circuit.
    #[error("halo2: {0:?}")]
    Halo2(halo2_proofs::plonk::Error),
}

impl From<halo2_proofs::plonk::Error> for FixtureError {
    fn from(error: halo2_proofs::plonk::Error) -> Self {
        Self::Halo2(error)
    }
}

fn word(value: &Fr) -> [u8; 32] {
    let mut bytes = value.to_repr();
    bytes.reverse();
    bytes
}

/// A hash as a field element: modulo r.
fn reduced(hash: [u8; 32]) -> Fr {
    let shift = Fr::from(256);
    hash.iter().fold(Fr::ZERO, |acc, byte| acc * shift + Fr::from(u64::from(*byte)))
}

fn uint(value: u64) -> [u8; 32] {
    let mut out = [0; 32];
    U256::from(value).to_big_endian(&mut out);
    out
}

/// Everything one toy settlement consists of.
#[derive(Clone, Debug)]
pub struct ToySettlement {
    /// What `settle` is called with.
    pub call: SettleCall,
    /// State root before.
    pub old_root: Word,
    /// Tariff commitment.
    pub tariff_commitment: Word,
    /// The ten public inputs.
    pub instances: [Word; TOY_INSTANCES],
    /// Member slots.
    pub slots: u32,
    /// The community's parameters: shape 1, tariff set 1.
    pub params: CommunityParams,
}

/// A toy settlement of 128 slots and 96 intervals, for a rollup at `rollup` on the local chain. Everything but the
/// proof's blinding follows from the seeds.
///
/// # Errors
/// As halo2's `create_proof`.
pub fn toy_settlement(
    params: &ParamsKZG<Bn256>,
    pk: &ProvingKey<G1Affine>,
    rollup: Address,
) -> Result<ToySettlement, FixtureError> {
    let mut rng = StdRng::seed_from_u64(2);
    let data: Vec<Fr> = (0..SLOTS + 2).map(|_| Fr::random(&mut rng)).collect();
    let [old_root, new_root, community_new, tariff] = [(); 4].map(|()| Fr::random(&mut rng));
    let mut contract = [0; 32];
    contract[12..].copy_from_slice(&rollup);
    let domain = reduced(keccak256([uint(LOCAL_CHAIN_ID), contract, uint(u64::from(CIRCUIT_VERSION))].concat()));
    let data_hash = keccak256(data.iter().flat_map(word).collect::<Vec<u8>>());
    let z = reduced(keccak256(
        [word(&domain), word(&old_root), word(&new_root), word(&community_new), word(&Fr::ZERO), data_hash].concat(),
    ));
    let y = data.iter().rev().fold(Fr::ZERO, |acc, d| acc * z + d);
    let period = Fr::from(u64::from(FIRST_INTERVAL))
        + Fr::from(u64::from(INTERVAL_LENGTH)) * Fr::from(1 << 32)
        + Fr::from(u64::from(M)) * Fr::from(1 << 48);
    let community = Fr::from(u64::from(COMMUNITY));
    let instances = [domain, old_root, new_root, community, period, tariff, community_new, Fr::ZERO, z, y];
    let proof = prove(params, pk, ToyCircuit { instances }, &[&instances], Multiopen::Shplonk, rng)?;
    Ok(ToySettlement {
        call: SettleCall {
            circuit_version: CIRCUIT_VERSION,
            community: COMMUNITY,
            first_interval: FIRST_INTERVAL,
            tariff_index: 0,
            new_root: word(&new_root),
            community_new: word(&community_new),
            ops_digest: [0; 32],
            data: data.iter().map(word).collect(),
            proof,
        },
        old_root: word(&old_root),
        tariff_commitment: word(&tariff),
        instances: instances.map(|value| word(&value)),
        slots: SLOTS,
        params: CommunityParams {
            community: COMMUNITY,
            shape: 1,
            interval_length_s: INTERVAL_LENGTH,
            m: M,
            tariff_set: 1,
            genesis_terms: [0; 32],
        },
    })
}
