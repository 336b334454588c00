//! The measurements. Keys and proofs are made in processes of their own, so that one shape's memory is not another's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use gridveil_circuits::{settlement::SettlementCircuit, version::SettlementSize};
use gridveil_protocol::{
    fixture::resign,
    instance::domain,
    params::{CIRCUIT_VERSION, Shape},
    settlement::{self, SettlementInput},
};
use gridveil_prover::{
    engine::available,
    job::{ProofJob, ProofResult},
    keys::verifying_key,
    progress::{Progress, Reporter},
    prover::{Prove, Prover, ProverConfig},
    srs::{Srs, SrsSource},
    statement::Statement,
};
use serde::{Deserialize, Serialize};

use crate::{
    certificate,
    contract::Chain,
    growth, load, log,
    native::{self, packets_verified_per_s},
    provers,
    report::{Report, ShapeReport, machine, rounded},
};

/// Set in a child process: what it does, as JSON.
pub const CHILD: &str = "GRIDVEIL_BENCH_CHILD";
pub(crate) const LOCAL_CHAIN_ID: u64 = 31_337;

#[derive(Serialize, Deserialize)]
pub(crate) enum Task {
    Keygen { shape: String, cache: PathBuf },
    Prove { job: PathBuf, result: PathBuf, cache: PathBuf },
    Curve(growth::Task),
    Certificate(certificate::Task),
    Serve(provers::Task),
    Log(log::Task),
    Sequencer(load::ServerTask),
    Sender(load::SenderTask),
}

/// Is this process one that measures for another?
#[must_use]
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Measures the shapes named (all deployable ones if none is), prints a table, writes `benches/results/latest.json`.
///
/// # Errors
/// Anything that could not be measured, except L1 figures, which are then `null`.
pub fn main(arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    if let Some(task) = std::env::var_os(CHILD) {
        return child(serde_json::from_str(&task.to_string_lossy())?);
    }
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = Shape::deployed().map(|shape| shape.name.to_owned()).to_vec();
    }
    let shapes = names.iter().map(|name| shape(name)).collect::<anyhow::Result<Vec<_>>>()?;

    let progress = Reporter::stderr();
    progress.stage("packet signatures", "native");
    let packets = packets_verified_per_s(&native::batch(shape("home-32x24")?)?);
    let measured = shapes.into_iter().map(|shape| measure(shape, &progress)).collect::<anyhow::Result<_>>()?;
    progress.finish();

    let report = Report {
        machine: machine(),
        engine: available().into(),
        packets_verified_per_s: packets.all_threads.round(),
        shapes: measured,
    };
    println!("{}", report.table());
    println!(
        "packet signatures checked per s: {:.0} on all threads, {:.0} on one",
        packets.all_threads, packets.one_thread
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join("latest.json");
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}

fn shape(name: &str) -> anyhow::Result<Shape> {
    Shape::by_name(name).with_context(|| format!("no shape {name}"))
}

fn measure(shape: Shape, progress: &dyn Progress) -> anyhow::Result<ShapeReport> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().to_path_buf();
    // Parameters first, so that neither figure below has them in it.
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &cache)?;
    let params = srs.params(SettlementCircuit::k(&SettlementSize::current(shape)), progress)?;

    progress.stage("keys", shape.name);
    let keygen_s: f64 = spawn(&Task::Keygen { shape: shape.name.into(), cache: cache.clone() })?.trim().parse()?;

    progress.stage("contract", shape.name);
    let mut input = native::batch(shape)?;
    let vk = verifying_key::<SettlementCircuit>(SettlementSize::current(shape), &params)?;
    drop(params);
    let small = srs.params(SettlementCircuit::k(&SettlementSize::current(shape)), progress)?;
    let chain = Chain::deploy(&shape, &small, &vk, &input);
    drop(small);
    let chain = chain.inspect_err(|error| eprintln!("{}: no L1 figures: {error:#}", shape.name)).ok();
    if let Some(contract) = chain.as_ref().and_then(Chain::contract) {
        move_to(&mut input, &contract)?;
    }

    progress.stage("proof", shape.name);
    let job = ProofJob::new(1, input);
    let (job_file, result_file) = (dir.path().join("job.json"), dir.path().join("result.json"));
    fs::write(&job_file, job.to_json()?)?;
    spawn(&Task::Prove { job: job_file, result: result_file.clone(), cache })?;
    let result: ProofResult = serde_json::from_slice(&fs::read(&result_file)?)?;

    progress.stage("settling", shape.name);
    let transition = settlement::apply(job.input)?;
    let gas = match &chain {
        Some(chain) => chain
            .settle(&transition, result.proof.clone())
            .inspect_err(|error| eprintln!("{}: {error:#}", shape.name))
            .ok(),
        None => None,
    };
    Ok(shape_report(&shape, keygen_s, &result, chain.and_then(|chain| chain.verifier_bytes()), gas))
}

fn shape_report(
    shape: &Shape,
    keygen_s: f64,
    result: &ProofResult,
    verifier_bytes: Option<usize>,
    gas_settle: Option<u64>,
) -> ShapeReport {
    let readings = ShapeReport::readings(shape.members, shape.intervals);
    let t = result.timings;
    let prove_s = (t.witness_ms + t.prove_ms + t.verify_ms) as f64 / 1000.0;
    ShapeReport {
        name: shape.name.into(),
        members: shape.members,
        intervals: shape.intervals,
        keygen_s: rounded(keygen_s),
        prove_s,
        prove_cpu_s: t.cpu_ms as f64 / 1000.0,
        peak_rss_bytes: result.peak_rss_bytes,
        proof_bytes: result.proof.len(),
        verifier_bytes,
        gas_settle,
        gas_per_reading: gas_settle.map(|gas| rounded(gas as f64 / readings)),
        readings_per_s: rounded(readings / prove_s),
    }
}

/// Signs a batch anew for another contract.
pub(crate) fn move_to(input: &mut SettlementInput, contract: &[u8; 20]) -> anyhow::Result<()> {
    input.domain = domain(LOCAL_CHAIN_ID, contract, CIRCUIT_VERSION);
    for slot in 0..input.packets.len() {
        if let Some(signed) = input.packets.get_mut(slot) {
            signed.packet.context.domain = input.domain;
        }
        resign(input, slot)?;
    }
    Ok(())
}

pub(crate) fn spawn(task: &Task) -> anyhow::Result<String> {
    spawn_with(task, &[])
}

/// In a process with these environment variables beside its parent's.
pub(crate) fn spawn_with(task: &Task, variables: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    // `gridveil` needs to be told where to look for the variable; `bench` does not mind.
    command
        .args(["bench", "report"])
        .env(CHILD, serde_json::to_string(task)?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.envs(variables.iter().copied()).output()?;
    if !output.status.success() {
        bail!("a measuring process failed: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn open(shape: Shape, cache: &Path) -> anyhow::Result<Prover<SettlementCircuit>> {
    let config = ProverConfig::local(cache, vec![shape]);
    Ok(Prover::open(&config, &gridveil_prover::progress::Silent)?)
}

fn child(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Keygen { shape: name, cache } => {
            let prover = open(shape(&name)?, &cache)?;
            let keys = prover.keys(&name).context("keys of the shape")?;
            ensure!(keys.made, "keys were in the cache: nothing was measured");
            println!("{}", keys.took.as_secs_f64());
        }
        Task::Prove { job, result, cache } => {
            let job = ProofJob::from_json(&fs::read(job)?)?;
            let prover = open(shape(&job.shape)?, &cache)?;
            let proved = prover.prove_job(&job, &gridveil_prover::progress::Silent)?;
            fs::write(result, serde_json::to_vec(&proved)?)?;
        }
        Task::Curve(task) => growth::child(task)?,
        Task::Certificate(task) => certificate::child(&task)?,
        Task::Serve(task) => provers::child(&task)?,
        Task::Log(task) => log::child(&task)?,
        Task::Sequencer(task) => load::server_child(&task)?,
        Task::Sender(task) => load::sender_child(&task)?,
    }
    Ok(())
}
