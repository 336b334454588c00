//! On-chain verifiers from halo2 verifying keys (KZG over BN254).
//!
//! `snark-verifier` describes the verifier; its own EVM loader writes about 50 bytes of bytecode for each field
//! operation's neighbourhood. Here the description is *recorded* (`recorder`) as a graph (`program`), rewritten
//! (`simplify`), and written as a compact Yul object (`emit`) that solc assembles ([`solc`]).
//! [`generate_reference_verifier`] keeps the unoptimised path for differential tests.
//!
//! A verifier's calldata is the public inputs (32-byte big-endian words) followed by the proof, made with the Keccak
//! transcript of `snark-verifier` (`system::halo2::transcript::evm`). It returns the word 1, or reverts.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod artifact;
mod emit;
mod program;
mod recorder;
mod simplify;
pub mod solc;
pub mod toy;

use std::rc::Rc;

use halo2_proofs::{
    plonk::VerifyingKey,
    poly::{commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use halo2curves::{
    CurveAffine,
    bn256::{Bn256, Fq, Fr, G1Affine, G2Affine},
    ff::PrimeField,
};
use snark_verifier::{
    loader::evm::EvmLoader,
    pcs::kzg::{Bdfg21, Gwc19, KzgAs, KzgSuccinctVerifyingKey},
    system::halo2::{Config, compile, transcript::evm::EvmTranscript},
    verifier::{
        SnarkVerifier,
        plonk::{PlonkSuccinctVerifier, PlonkVerifier},
    },
};

use emit::PairingConstants;
use recorder::{Recorder, RecordingTranscript};
use solc::{Compiled, Solc};

/// Largest runtime bytecode the EVM deploys (EIP-170), bytes.
pub const MAX_RUNTIME_BYTES: usize = 24_576;

/// Why a verifier could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The verifying key asks for something the emitter does not write.
    #[error("the verifier needs {0}, which the generator does not support")]
    Unsupported(&'static str),
    /// `snark-verifier` refused the key.
    #[error("snark-verifier: {0}")]
    Protocol(String),
    /// solc could not be run, or refused the source.
    #[error("solc: {0}")]
    Solc(String),
    /// The contract is over the EVM's limit.
    #[error("runtime bytecode of {name} is {bytes} bytes, over the limit of 24576")]
    TooLarge {
        /// Contract name.
        name: String,
        /// Runtime size, bytes.
        bytes: usize,
    },
}

/// Multi-open scheme: SHPLONK costs less gas and a shorter proof, GWC has a simpler verifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multiopen {
    /// Boneh, Drake, Fisch, Gabizon 2021.
    #[default]
    Shplonk,
    /// Gabizon, Williamson, Ciobotaru 2019.
    Gwc,
}

/// Sizes of a generated verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifierStats {
    /// Runtime bytecode, bytes.
    pub runtime_bytes: usize,
    /// Of these: constants (key points and field constants), bytes.
    pub pool_bytes: usize,
    /// Calldata: instances and proof, bytes.
    pub calldata_bytes: usize,
    /// Proof alone, bytes.
    pub proof_bytes: usize,
    /// Field multiplications.
    pub multiplications: usize,
    /// Field additions and subtractions.
    pub additions: usize,
    /// Memory cells.
    pub cells: usize,
}

/// A generated verifier contract. Calldata is the instances (32-byte big-endian words) followed by the proof; it
/// returns the word 1, or reverts.
#[derive(Clone, Debug)]
pub struct GeneratedVerifier {
    /// Contract name.
    pub name: String,
    /// Yul source.
    pub source: String,
    /// Deployment bytecode.
    pub creation: Vec<u8>,
    /// Runtime bytecode.
    pub runtime: Vec<u8>,
    /// Sizes.
    pub stats: VerifierStats,
}

fn word(value: &Fq) -> [u8; 32] {
    let mut bytes = value.to_repr();
    bytes.reverse();
    bytes
}

fn g2_words(point: &G2Affine) -> Result<[[u8; 32]; 4], CodegenError> {
    let coordinates: Option<halo2curves::Coordinates<G2Affine>> = point.coordinates().into();
    let coordinates = coordinates.ok_or(CodegenError::Unsupported("a parameter point at infinity"))?;
    let (x, y) = (coordinates.x(), coordinates.y());
    Ok([word(&x.c1), word(&x.c0), word(&y.c1), word(&y.c0)])
}

/// Generates the Yul source of the verifier for `vk`.
///
/// `num_instance` is the number of public inputs of each instance column.
///
/// # Errors
/// [`CodegenError::Unsupported`] or [`CodegenError::Protocol`] if the key cannot be expressed.
pub fn verifier_source(
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: &[usize],
    name: &str,
    multiopen: Multiopen,
) -> Result<(String, VerifierStats), CodegenError> {
    source_with(params, vk, num_instance, name, multiopen, emit::STACK_VARIABLES)
}

fn source_with(
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: &[usize],
    name: &str,
    multiopen: Multiopen,
    stack_variables: usize,
) -> Result<(String, VerifierStats), CodegenError> {
    let protocol = compile(params, vk, Config::kzg().with_num_instance(num_instance.to_vec()));
    let svk = KzgSuccinctVerifyingKey::new(params.get_g()[0]);
    let recorder = Recorder::default();
    let protocol = protocol.loaded(&recorder);
    let mut transcript = RecordingTranscript::new(&recorder);
    let instances = transcript.load_instances(num_instance);
    macro_rules! record {
        ($scheme:ty) => {{
            type Verifier = PlonkSuccinctVerifier<KzgAs<Bn256, $scheme>>;
            let proof = Verifier::read_proof(&svk, &protocol, &instances, &mut transcript)
                .map_err(|e| CodegenError::Protocol(format!("{e:?}")))?;
            Verifier::verify(&svk, &protocol, &instances, &proof)
                .map_err(|e| CodegenError::Protocol(format!("{e:?}")))?
        }};
    }
    let accumulators = match multiopen {
        Multiopen::Shplonk => record!(Bdfg21),
        Multiopen::Gwc => record!(Gwc19),
    };
    let [accumulator] = accumulators.as_slice() else {
        return Err(CodegenError::Unsupported("aggregation"));
    };
    let pairing = PairingConstants { g2: g2_words(&params.g2())?, minus_s_g2: g2_words(&-params.s_g2())? };
    let mut program = recorder.0.borrow_mut();
    simplify::simplify(&mut program);
    let emitted =
        emit::emit(&program, name, (accumulator.lhs.point, accumulator.rhs.point), &pairing, stack_variables)?;
    let stats = VerifierStats {
        runtime_bytes: 0,
        pool_bytes: emitted.pool_bytes,
        calldata_bytes: emitted.calldata_bytes,
        proof_bytes: emitted.calldata_bytes - 32 * num_instance.iter().sum::<usize>(),
        multiplications: emitted.multiplications,
        additions: emitted.additions,
        cells: emitted.cells,
    };
    Ok((emitted.yul, stats))
}

/// Generates and compiles the verifier for `vk`.
///
/// # Errors
/// As [`verifier_source`]; [`CodegenError::Solc`] if solc does not run or refuses; [`CodegenError::TooLarge`]
/// over EIP-170's limit.
pub fn generate_verifier(
    solc: &Solc,
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: &[usize],
    name: &str,
    multiopen: Multiopen,
) -> Result<GeneratedVerifier, CodegenError> {
    // Where solc's own count of the stack comes out deeper than ours, it writes the modulus, 33 bytes, in place of the
    // variable at every use. Fewer variables leave it room.
    let mut variables = emit::STACK_VARIABLES;
    loop {
        let (source, mut stats) = source_with(params, vk, num_instance, name, multiopen, variables)?;
        let compiled = solc.compile_yul(&source, name)?;
        stats.runtime_bytes = compiled.runtime.len();
        if stats.runtime_bytes <= MAX_RUNTIME_BYTES {
            return Ok(GeneratedVerifier {
                name: name.to_owned(),
                source,
                creation: compiled.creation,
                runtime: compiled.runtime,
                stats,
            });
        }
        if variables == 0 {
            return Err(CodegenError::TooLarge { name: name.to_owned(), bytes: stats.runtime_bytes });
        }
        variables -= 1;
    }
}

/// The same verifier as `snark-verifier` writes it, compiled without optimisation: for differential tests only.
///
/// # Errors
/// As [`generate_verifier`], without the size limit.
pub fn generate_reference_verifier(
    solc: &Solc,
    params: &ParamsKZG<Bn256>,
    vk: &VerifyingKey<G1Affine>,
    num_instance: &[usize],
    multiopen: Multiopen,
) -> Result<Compiled, CodegenError> {
    let protocol = compile(params, vk, Config::kzg().with_num_instance(num_instance.to_vec()));
    let dk = (params.get_g()[0], params.g2(), params.s_g2()).into();
    let loader = EvmLoader::new::<Fq, Fr>();
    let protocol = protocol.loaded(&loader);
    let mut transcript = EvmTranscript::<_, Rc<EvmLoader>, _, _>::new(&loader);
    let instances = transcript.load_instances(num_instance.to_vec());
    macro_rules! verify {
        ($scheme:ty) => {{
            type Verifier = PlonkVerifier<KzgAs<Bn256, $scheme>>;
            let proof = Verifier::read_proof(&dk, &protocol, &instances, &mut transcript)
                .map_err(|e| CodegenError::Protocol(format!("{e:?}")))?;
            Verifier::verify(&dk, &protocol, &instances, &proof)
                .map_err(|e| CodegenError::Protocol(format!("{e:?}")))?;
        }};
    }
    match multiopen {
        Multiopen::Shplonk => verify!(Bdfg21),
        Multiopen::Gwc => verify!(Gwc19),
    }
    let source = loader.solidity_code().replace("pragma solidity 0.8.19", "pragma solidity >=0.8.19");
    solc.compile_solidity_unoptimised(&source, "Halo2Verifier")
}
