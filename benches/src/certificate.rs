//! What a wallet's proof costs: one spending, one processor, both engines. Each in a process of its own, which reads
//! its keys.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    engine::{PORTABLE, available},
    measure::{cpu_time, peak_rss_bytes},
    progress::Silent,
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::mib,
    report::{machine, rounded},
    run,
};

/// Options of `bench certificate`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Proofs of each engine.
    #[arg(long, default_value_t = 20)]
    proofs: u64,
}

/// What a child measures.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    cache: PathBuf,
    proofs: u64,
}

/// `benches/results/certificate.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    machine: String,
    pub(crate) proof_bytes: usize,
    /// Parameters and keys on disk, bytes.
    pub(crate) cache_bytes: u64,
    pub(crate) engines: Vec<EngineReport>,
}

/// One engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EngineReport {
    /// `avx512-ifma` or `portable`.
    pub(crate) engine: String,
    /// Keys, made, s.
    pub(crate) keygen_s: f64,
    /// Parameters and keys from the cache, s.
    pub(crate) open_s: f64,
    /// Spending to checked proof, median, s; one thread.
    pub(crate) prove_s: f64,
    /// The same, processor time, mean, s.
    pub(crate) prove_cpu_s: f64,
    /// Of a process that reads its keys and makes the proofs, bytes.
    pub(crate) peak_rss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    proof_bytes: Option<usize>,
}

/// Measures, prints, writes `benches/results/certificate.json`.
///
/// # Errors
/// Anything that could not be measured.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let report = measure(args.proofs)?;
    println!(
        "{}\nproof {} bytes, parameters and keys {:.1} MiB",
        report.machine,
        report.proof_bytes,
        mib(report.cache_bytes)
    );
    for e in &report.engines {
        let (engine, peak) = (&e.engine, mib(e.peak_rss_bytes));
        println!(
            "{engine}: keys {:.3} s, opened {:.3} s, proof {:.3} s ({:.3} processor s), {peak:.0} MiB",
            e.keygen_s, e.open_s, e.prove_s, e.prove_cpu_s
        );
    }
    let path = Path::new(crate::RESULTS).join("certificate.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}

/// Both engines, each in processes of their own.
pub(crate) fn measure(proofs: u64) -> anyhow::Result<Report> {
    let mut engines = Vec::new();
    let (mut proof_bytes, mut cache_bytes) = (0, 0);
    for portable in [false, true] {
        let dir = tempfile::tempdir()?;
        let task = || run::Task::Certificate(Task { cache: dir.path().to_path_buf(), proofs });
        let variables: &[(&str, &str)] = if portable { &[(PORTABLE, "1")] } else { &[] };
        // The first process makes the keys; the second reads them.
        let made: EngineReport = serde_json::from_str(&run::spawn_with(&task(), variables)?)?;
        let mut read: EngineReport = serde_json::from_str(&run::spawn_with(&task(), variables)?)?;
        read.keygen_s = made.keygen_s;
        proof_bytes = read.proof_bytes.take().context("a proof")?;
        cache_bytes =
            fs::read_dir(dir.path())?.filter_map(|file| file.ok()?.metadata().ok()).map(|data| data.len()).sum();
        if engines.iter().all(|other: &EngineReport| other.engine != read.engine) {
            engines.push(read);
        }
    }
    Ok(Report { machine: machine(), proof_bytes, cache_bytes, engines })
}

/// Measures in this process; prints an [`EngineReport`].
pub(crate) fn child(task: &Task) -> anyhow::Result<()> {
    let start = Instant::now();
    let prover = CertificateProver::open(&CertificateProverConfig::local(task.cache.clone()), &Silent)?;
    let open_s = start.elapsed().as_secs_f64();
    let (mut times, cpu, mut proof_bytes) = (Vec::new(), cpu_time(), None);
    for seed in 0..task.proofs.max(1) {
        let spend = gridveil_protocol::fixture::certificate::spend(seed)?;
        let start = Instant::now();
        proof_bytes = Some(prover.prove(&spend)?.proof.len());
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let prove_s = times.get(times.len() / 2).copied().context("a proof")?;
    let report = EngineReport {
        engine: available().into(),
        keygen_s: rounded(prover.keys().took.as_secs_f64()),
        open_s: rounded(open_s),
        prove_s: rounded(prove_s),
        prove_cpu_s: rounded((cpu_time() - cpu).as_secs_f64() / times.len() as f64),
        peak_rss_bytes: peak_rss_bytes(),
        proof_bytes,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
