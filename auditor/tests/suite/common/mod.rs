//! What the auditor's tests share: a chain on the fake L1, and waiting for it.

use std::{future::Future, path::Path, sync::OnceLock};

use gridveil_protocol::{
    field::{Fr, to_bytes},
    params::Shape,
    settlement::Transition,
    version::CircuitVersion,
};
use gridveil_prover::{
    progress::Silent,
    prover::{Prover, ProverConfig},
};
use gridveil_verifier_contract::{
    SettleCall, Word,
    memory::{MemoryL1, MemoryL1Config},
};

pub const CHAIN: u64 = 31337;
pub const CONTRACT: [u8; 20] = [0x11; 20];
pub const CIRCUIT_VERSION: u32 = 2;
pub const ZERO: Word = [0; 32];
/// Keys and parameters that all tests and `make demo` share: made once, then kept. Tests run in the package's folder.
pub const CACHE: &str = "../target/cache/gridveil";

/// The shape of everything here.
pub fn shape() -> Shape {
    Shape::by_name("tiny-4x2").unwrap()
}

/// A prover of real proofs of one circuit version.
pub fn prover(version: CircuitVersion) -> Prover {
    let config = ProverConfig { version, ..ProverConfig::local(Path::new(CACHE), vec![shape()]) };
    Prover::open(&config, &Silent).unwrap()
}

/// The one of version 2, opened once.
pub fn v2() -> &'static Prover {
    static V2: OnceLock<Prover> = OnceLock::new();
    V2.get_or_init(|| prover(CircuitVersion::V2))
}

pub fn ask<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn wait<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    ask(future).unwrap()
}

pub fn word(number: u64) -> Word {
    to_bytes(&Fr::from(number))
}

/// A chain with the shape `tiny-4x2`.
pub fn chain_from(genesis_root: Word, timestamp: u64, enforce_future_tariffs: bool) -> MemoryL1 {
    MemoryL1::new(MemoryL1Config {
        chain_id: CHAIN,
        contract: CONTRACT,
        genesis_root,
        timestamp,
        circuit_version: CIRCUIT_VERSION,
        enforce_future_tariffs,
        ..MemoryL1Config::default()
    })
}

/// The calldata of a batch.
pub fn settle_call(t: &Transition, tariff_index: u32, proof: Vec<u8>) -> SettleCall {
    SettleCall {
        circuit_version: CIRCUIT_VERSION,
        community: t.after.index,
        first_interval: t.input.community.header.next_interval.0,
        tariff_index,
        new_root: to_bytes(&t.instance.new_root),
        community_new: to_bytes(&t.instance.community_new),
        ops_digest: to_bytes(&t.instance.ops_digest),
        data: t.data.iter().map(to_bytes).collect(),
        proof,
    }
}
