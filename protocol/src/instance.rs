//! Public inputs of a settlement statement, and the binding of L1 data to it (`docs/spec/state.md`).

use sha3::{Digest, Keccak256};

use crate::{
    field::{Fr, reduce, shifted, to_bytes},
    units::Interval,
};
use ark_ff::AdditiveGroup;

/// Row names, in order.
pub const ROWS: [&str; 10] = [
    "domain",
    "old_root",
    "new_root",
    "community",
    "period",
    "tariff_commitment",
    "community_new",
    "ops_digest",
    "z",
    "y",
];

/// Public inputs, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Chain, contract and circuit version.
    pub domain: Fr,
    /// State root before.
    pub old_root: Fr,
    /// State root after.
    pub new_root: Fr,
    /// Community index.
    pub community: Fr,
    /// [`period`].
    pub period: Fr,
    /// Commitment of the tariff in force.
    pub tariff_commitment: Fr,
    /// Community node after.
    pub community_new: Fr,
    /// Digest of the records ([`crate::record::digest`]).
    pub ops_digest: Fr,
    /// Data challenge.
    pub z: Fr,
    /// Data evaluation.
    pub y: Fr,
}

impl Instance {
    /// The one encoder.
    #[must_use]
    pub const fn rows(&self) -> [Fr; 10] {
        [
            self.domain,
            self.old_root,
            self.new_root,
            self.community,
            self.period,
            self.tariff_commitment,
            self.community_new,
            self.ops_digest,
            self.z,
            self.y,
        ]
    }
}

/// `first_interval + interval_length*2^32 + m*2^48`.
#[must_use]
pub fn period(first_interval: Interval, interval_length: u16, intervals: u16) -> Fr {
    Fr::from(u64::from(first_interval)) + shifted(u64::from(interval_length), 32) + shifted(u64::from(intervals), 48)
}

fn word(x: u64) -> [u8; 32] {
    let mut out = [0; 32];
    out[24..].copy_from_slice(&x.to_be_bytes());
    out
}

/// `keccak256(abi.encode(chainid, contract, circuit_version)) mod r`.
#[must_use]
pub fn domain(chain_id: u64, contract: &[u8; 20], circuit_version: u64) -> Fr {
    let mut address = [0; 32];
    address[12..].copy_from_slice(contract);
    reduce(
        &Keccak256::new()
            .chain_update(word(chain_id))
            .chain_update(address)
            .chain_update(word(circuit_version))
            .finalize(),
    )
}

/// `z = keccak256(abi.encode(domain, old_root, new_root, community_new, ops_digest, keccak256(d))) mod r`.
#[must_use]
pub fn data_challenge(
    domain: &Fr,
    old_root: &Fr,
    new_root: &Fr,
    community_new: &Fr,
    ops_digest: &Fr,
    data: &[Fr],
) -> Fr {
    let mut inner = Keccak256::new();
    for d in data {
        inner.update(to_bytes(d));
    }
    let mut outer = Keccak256::new();
    for word in [domain, old_root, new_root, community_new, ops_digest] {
        outer.update(to_bytes(word));
    }
    reduce(&outer.chain_update(inner.finalize()).finalize())
}

/// `y = sum d_i z^i`.
#[must_use]
pub fn data_evaluation(data: &[Fr], z: &Fr) -> Fr {
    data.iter().rev().fold(Fr::ZERO, |acc, d| acc * z + d)
}
