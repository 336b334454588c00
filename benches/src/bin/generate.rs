//! `generate [--check] [--circuit-version N] [NAME...]`: the settlement verifiers of every deployable shape in a circuit
//! version (the current one unless told), the certificate verifier, and one real settlement of `home-32x24` for the
//! contract's tests. With names, those verifiers alone, each with its fixture.
//!
//! Without `--check` it writes `verifier-contract/{verifiers,artifacts}/<name>.*` and
//! `verifier-contract/test/fixtures/settlement.json`; with it, it compares them with what is committed. The keys are
//! those of the INSECURE development setup: a deployment on a public chain generates its own from a ceremony file.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use gridveil_circuits::{
    certificate::CertificateCircuit,
    settlement::SettlementCircuit,
    verify::{SETTLEMENT_ROWS, Verifier},
    version::SettlementSize,
};
use gridveil_protocol::{
    certificate,
    field::{self, Fr},
    fixture::{self, Recipe},
    instance,
    market::Mechanism,
    params::{CIRCUIT_VERSION, Shape},
    settlement::{SettlementInput, Transition, apply},
    version::CircuitVersion,
};
use gridveil_prover::{
    engine::Engine,
    keys::{KeyStore, verifying_key},
    progress::{Progress as _, Reporter},
    srs::{LOCAL_CHAIN_ID, Params, Srs, SrsSource, verifier_params},
    statement::Statement as _,
};
use gridveil_verifier_contract::{
    codegen::{
        GeneratedVerifier,
        artifact::{check_verifier, write_verifier},
        fixture::FIXTURE_ROLLUP,
        generate_settlement_verifier,
    },
    verifiers::{COMMITTED, of_version},
};
use serde_json::{Value, json};

/// The shape that the fixture's settlement has.
const FIXTURE_SHAPE: &str = "home-32x24";
/// Contract name of the certificate verifier.
const CERTIFICATE: &str = "CertificateSpend";

/// What the command line asks for.
struct Asked {
    check: bool,
    version: CircuitVersion,
    /// Contract names; all if empty.
    names: Vec<String>,
}

impl Asked {
    /// `None` if it is no command of this program.
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut asked = Self { check: false, version: CircuitVersion::CURRENT, names: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--check" => asked.check = true,
                "--circuit-version" => asked.version = CircuitVersion::new(words.next()?.parse().ok()?),
                _ => asked.names.push(word),
            }
        }
        let known = |name: &String| name == CERTIFICATE || of_version(asked.version).any(|v| v.name == name);
        asked.names.iter().all(known).then_some(asked)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

fn main() -> ExitCode {
    let Some(asked) = Asked::read(std::env::args().skip(1)) else {
        let names = COMMITTED.map(|verifier| verifier.name);
        eprintln!("usage: generate [--check] [--circuit-version N] [NAME...], of {names:?} and {CERTIFICATE}");
        return ExitCode::from(2);
    };
    match run(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> anyhow::Result<()> {
    let check = asked.check;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?.to_path_buf();
    let contracts = root.join("verifier-contract");
    // Parameters and the fixture's keys are those of the tests; both are made from nothing where there are none.
    let cache = root.join("target/cache/gridveil");
    let progress = Reporter::stderr();
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &cache)?;
    if asked.wants(CERTIFICATE) {
        let params = srs.params(CertificateCircuit::k(&()), &progress)?;
        progress.stage("making the verifying key", CERTIFICATE);
        let vk = verifying_key::<CertificateCircuit>((), &params)?;
        progress.stage("generating and compiling", CERTIFICATE);
        let verifier = generate_settlement_verifier(&params, &vk, vec![certificate::ROWS.len()], CERTIFICATE)?;
        keep(check, &contracts, &verifier)?;
    }
    for verifier in of_version(asked.version).filter(|verifier| asked.wants(verifier.name)) {
        let (name, shape) = (verifier.name, Shape::by_name(verifier.shape).context("a shape")?);
        let size = SettlementSize::new(asked.version, shape)?;
        let params = srs.params(shape.k, &progress)?;
        // Only the fixture's shape proves anything here; the others need no proving key.
        let fixture = shape.name == FIXTURE_SHAPE && asked.version == CircuitVersion::CURRENT;
        let keys = fixture
            .then(|| KeyStore::new(&cache).open::<SettlementCircuit>(size, &params, &srs.id(), &progress))
            .transpose()?;
        let vk = match &keys {
            Some((keys, _)) => keys.vk.clone(),
            None => {
                progress.stage("making the verifying key", name);
                verifying_key::<SettlementCircuit>(size, &params)?
            }
        };
        progress.stage("generating and compiling", name);
        let verifier = generate_settlement_verifier(&params, &vk, vec![instance::ROWS.len()], name)?;
        keep(check, &contracts, &verifier)?;
        if let Some((_, material)) = keys {
            let (params, engine) = Engine::new(params, material)?;
            settlement_fixture(check, &contracts, shape, &params, &vk, &engine, &verifier)?;
        }
    }
    Ok(())
}

/// Writes a verifier, or compares it with what is committed.
fn keep(check: bool, contracts: &Path, verifier: &GeneratedVerifier) -> anyhow::Result<()> {
    println!("{}: {} bytes, proof {} bytes", verifier.name, verifier.stats.runtime_bytes, verifier.stats.proof_bytes);
    if check {
        check_verifier(contracts, verifier)?;
    } else {
        write_verifier(contracts, verifier)?;
    }
    Ok(())
}

/// A settlement of the fixture community for the contract at [`FIXTURE_ROLLUP`].
fn settlement(shape: Shape) -> anyhow::Result<Transition> {
    let recipe = Recipe { shape, seed: 7, mechanism: Mechanism::Auction, used: 17 };
    let mut input: SettlementInput = fixture::settlement(&recipe)?;
    input.domain = instance::domain(LOCAL_CHAIN_ID, &FIXTURE_ROLLUP, CIRCUIT_VERSION);
    for slot in 0..shape.members {
        if let Some(signed) = input.packets.get_mut(slot) {
            signed.packet.context.domain = input.domain;
        }
        fixture::resign(&mut input, slot)?;
    }
    Ok(apply(input)?)
}

fn settlement_fixture(
    check: bool,
    contracts: &Path,
    shape: Shape,
    params: &Params,
    vk: &halo2_proofs::plonk::VerifyingKey<halo2curves::bn256::G1Affine>,
    engine: &Engine,
    verifier: &GeneratedVerifier,
) -> anyhow::Result<()> {
    let path: PathBuf = contracts.join("test/fixtures/settlement.json");
    let transition = settlement(shape)?;
    let circuit = SettlementCircuit::new(&transition);
    let instance = circuit.instance();
    let checker = Verifier::new(vk.clone(), Arc::new(verifier_params(params)), SETTLEMENT_ROWS);
    let hex = |bytes: &[u8]| format!("0x{}", hex_of(bytes));
    let word = |x: &Fr| hex(&field::to_bytes(x));
    let rows = transition.instance.rows();
    let header = &transition.input.community.header;
    let proof = if check {
        // Proofs are not reproducible: the committed one is verified instead.
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).with_context(|| path.display().to_string())?)?;
        let text = committed["proof"].as_str().context("a proof")?;
        let proof = bytes_of(text.trim_start_matches("0x")).context("proof hex")?;
        checker.verify_elements(&instance, &proof)?;
        proof
    } else {
        let proof = engine.prove(params, circuit, &instance)?;
        checker.verify_elements(&instance, &proof)?;
        proof
    };
    let fixture = json!({
        "rollup": hex(&FIXTURE_ROLLUP),
        "chain_id": LOCAL_CHAIN_ID,
        "circuit_version": CIRCUIT_VERSION,
        "slots": shape.members,
        "m": shape.intervals,
        "interval_length": header.interval_length,
        "first_interval": header.next_interval,
        "community": transition.input.community.index,
        "old_root": word(&transition.instance.old_root),
        "new_root": word(&transition.instance.new_root),
        "community_new": word(&transition.instance.community_new),
        "ops_digest": word(&transition.instance.ops_digest),
        "tariff_commitment": word(&transition.instance.tariff_commitment),
        "instances": rows.iter().map(word).collect::<Vec<_>>(),
        "data": transition.data.iter().map(word).collect::<Vec<_>>(),
        "proof": hex(&proof),
        "verifier_runtime": hex(&verifier.runtime),
    });
    let text = serde_json::to_string_pretty(&fixture)? + "\n";
    if !check {
        return std::fs::write(&path, text).with_context(|| path.display().to_string());
    }
    if std::fs::read_to_string(&path)? != text {
        bail!("{} is not what the generator writes: run `make generate`", path.display());
    }

    Ok(())
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
