//! `gridveil prover`.

mod cache;
mod ceremony;
mod queue;
mod serve;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use gridveil_circuits::{
    settlement::SettlementCircuit,
    verify::{Verifier, VerifyError, proof_bytes},
    version::SettlementSize,
};
use gridveil_protocol::{
    params::{SHAPES, Shape},
    version::CircuitVersion,
};
use gridveil_telemetry::{TelemetryArgs, TelemetryError};

use crate::{
    job::{JobEncoding, ProofJob, ProofResult},
    keys::{KeyError, verifying_key},
    measure::{millis, peak_rss_bytes},
    progress::{Progress, Reporter},
    prover::{Prove, Prover, ProverConfig, ProverError},
    queue::QueueError,
    spool::SpoolError,
    srs::{self, Srs, SrsError, verifier_params},
    statement::Statement,
    store::{StoreError, write_atomic},
};

pub use cache::CacheArgs;
pub use ceremony::CeremonyArgs;
pub use queue::default_key as default_queue_key;

const EXAMPLES: &str = "\
Examples:
  # Parameters and keys for the local chain, once:
  gridveil prover setup --shape home-32x24
  # A prover process beside the sequencer (same spool directory, same key file):
  gridveil prover run --dir /var/lib/gridveil/spool --key /etc/gridveil/spool.key --shape home-32x24
  # Prover processes on other machines (same PostgreSQL database, same key file):
  gridveil prover run --queue postgres://gridveil@db.example/gridveil --key queue.key --shape home-32x24
  # How the queue is doing:
  gridveil prover queue --queue postgres://gridveil@db.example/gridveil
  # For a public chain, with the Hermez ceremony file:
  gridveil prover run --dir spool --key spool.key --chain-id 8453 --ptau powersOfTau28_hez_final_17.ptau
  # One job, by hand:
  gridveil prover prove job.json --out proof.json && gridveil prover verify proof.json";

const RUN_EXAMPLES: &str = "\
Examples:
  # Beside the sequencer:
  gridveil prover run --dir spool --key spool.key --shape home-32x24
  # On another machine, with a copy of the sequencer's key file:
  gridveil prover run --queue postgres://gridveil@db.example/gridveil --key queue.key --shape home-32x24
  # The address from the environment (GRIDVEIL_QUEUE), where the process list does not show it:
  gridveil prover run --key queue.key

A database on another machine is reached by TLS, its certificate checked against the system's (?sslrootcert=FILE for others,
?sslmode=disable to go without). SIGTERM and SIGINT hand the job in work back.";

const QUEUE_EXAMPLES: &str = "\
Examples:
  gridveil prover queue --queue postgres://gridveil@db.example/gridveil
  gridveil prover queue --json
  gridveil prover queue retry JOB --queue postgres://gridveil@db.example/gridveil";

/// Proves settlements: jobs in, proofs out.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct ProverArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: `run`.
    #[command(flatten)]
    run: serve::RunArgs,
}

impl ProverArgs {
    /// How a worker logs and traces; `None` of a command that ends by itself.
    #[must_use]
    pub const fn telemetry(&self) -> Option<&TelemetryArgs> {
        match &self.command {
            None => Some(&self.run.telemetry),
            Some(Command::Run(args)) => Some(&args.telemetry),
            Some(_) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves a spool directory or a PostgreSQL queue until stopped; may be killed at any time.
    #[command(after_help = RUN_EXAMPLES)]
    Run(serve::RunArgs),
    /// Shows a PostgreSQL queue: jobs by state, workers alive, what is set aside.
    #[command(after_help = QUEUE_EXAMPLES)]
    Queue(queue::QueueArgs),
    /// Makes or loads parameters and keys, so that the first proof does not wait for them.
    #[command(
        after_help = "Examples:\n  gridveil prover setup --shape home-32x24 --shape district-128x96\n  gridveil prover setup --chain-id 1 --ptau powersOfTau28_hez_final_17.ptau"
    )]
    Setup(Setup),
    /// Proves one job file (JSON; it holds readings: keep it private) and writes the proof.
    #[command(after_help = "Example:\n  gridveil prover prove job.json --out proof.json")]
    Prove(ProveArgs),
    /// Checks a proof file against the circuit's own verifying key.
    #[command(after_help = "Example:\n  gridveil prover verify proof.json")]
    Verify(VerifyArgs),
    /// Writes a ceremony file of one's own, to rehearse a deployment with: whoever makes it could keep its secret.
    #[command(
        hide = true,
        after_help = "Example:\n  gridveil prover rehearsal-ceremony --power 16 --out rehearsal.ptau"
    )]
    RehearsalCeremony(RehearsalArgs),
}

#[derive(Debug, Args)]
struct RehearsalArgs {
    /// log2 of the powers: at least the shape's
    #[arg(long, value_name = "N")]
    power: u32,
    /// Ceremony file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Setup {
    #[command(flatten)]
    cache: CacheArgs,
    /// Chain the proofs are for. Only 31337 may use the INSECURE development parameters
    #[arg(long, default_value_t = 31_337)]
    chain_id: u64,
    #[command(flatten)]
    ceremony: CeremonyArgs,
    /// Circuit version to prove: of a worker and of `setup`; a job or a proof says its own
    #[arg(long, value_name = "N", default_value_t = CircuitVersion::CURRENT.number())]
    circuit_version: u64,
    /// Shape to serve; may be repeated
    #[arg(long = "shape", value_name = "NAME", default_values_t = [String::from("home-32x24")])]
    shapes: Vec<String>,
    /// Threads of one proof [default: all processors]
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Args)]
struct ProveArgs {
    /// Job file
    file: PathBuf,
    /// Proof file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    setup: Setup,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Proof file
    file: PathBuf,
    #[command(flatten)]
    setup: Setup,
}

/// Why a command ended without doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An option.
    #[error("{0}")]
    Usage(String),
    /// Proving.
    #[error(transparent)]
    Prover(#[from] ProverError),
    /// Parameters.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The listener for who watches.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Signals or threads of the system.
    #[error("the system: {0}")]
    System(io::Error),
    /// A panic; its message, if any, is on stderr.
    #[error("the worker has crashed")]
    Crashed,
    /// An answer could not be written as JSON.
    #[error("the answer could not be encoded")]
    Encoding,
    /// A file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A job file.
    #[error("{path}: {source}")]
    Job {
        /// File.
        path: PathBuf,
        /// Where it is wrong.
        source: JobEncoding,
    },
    /// A proof file.
    #[error("{path}: {source}")]
    Proof {
        /// File.
        path: PathBuf,
        /// Why it is refused.
        source: VerifyError,
    },
}

/// Runs a command.
///
/// # Errors
/// [`CliError`].
pub fn run(args: ProverArgs) -> Result<(), CliError> {
    let progress = args.telemetry().map_or_else(Reporter::stderr, |args| Reporter::of_service(args.log_format));
    match args.command {
        None => serve::run(&args.run, progress),
        Some(Command::Run(args)) => serve::run(&args, progress),
        Some(Command::Queue(args)) => queue::run(&args),
        Some(Command::Setup(args)) => setup(&args, &progress),
        Some(Command::Prove(args)) => prove(&args, &progress),
        Some(Command::Verify(args)) => verify(&args, &progress),
        Some(Command::RehearsalCeremony(args)) => {
            // The form of b2sum.
            println!("{}  {}", hex::encode(srs::ceremony::write(&args.out, args.power)?), args.out.display());
            Ok(())
        }
    }
}

fn shape(name: &str) -> Result<Shape, CliError> {
    let known = || SHAPES.map(|shape| shape.name).join(", ");
    Shape::by_name(name).ok_or_else(|| CliError::Usage(format!("no shape {name}; there are {}", known())))
}

impl Setup {
    const fn version(&self) -> CircuitVersion {
        CircuitVersion::new(self.circuit_version)
    }

    fn config(&self, version: CircuitVersion, shapes: Vec<Shape>) -> Result<ProverConfig, CliError> {
        Ok(ProverConfig {
            version,
            cache_dir: self.cache.directory(),
            srs: self.ceremony.source()?,
            chain_id: self.chain_id,
            shapes,
            threads: self.threads,
            domain: None,
        })
    }

    fn shapes(&self) -> Result<Vec<Shape>, CliError> {
        self.shapes.iter().map(|name| shape(name)).collect()
    }
}

fn setup(args: &Setup, progress: &dyn Progress) -> Result<(), CliError> {
    let shapes = args.shapes()?;
    let prover = Prover::<SettlementCircuit>::open(&args.config(args.version(), shapes.clone())?, progress)?;
    for shape in shapes {
        if let Some(keys) = prover.keys(shape.name) {
            let how = if keys.made { "made" } else { "read" };
            let length = proof_bytes(keys.vk.cs());
            println!(
                "{}: keys {how} in {:.1} s, layout {}, proofs of {length} bytes",
                shape.name,
                keys.took.as_secs_f64(),
                keys.layout
            );
        }
    }
    println!("in {}; peak memory {} MiB", args.cache.directory().display(), peak_rss_bytes() >> 20);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    Ok(fs::read(path).map_err(StoreError::io(path))?)
}

fn prove(args: &ProveArgs, progress: &dyn Progress) -> Result<(), CliError> {
    let job =
        ProofJob::from_json(&read(&args.file)?).map_err(|source| CliError::Job { path: args.file.clone(), source })?;
    let config = args.setup.config(CircuitVersion::new(job.circuit_version), vec![shape(&job.shape)?])?;
    let prover = Prover::<SettlementCircuit>::open(&config, progress)?;
    let result = prover.prove_job(&job, progress)?;
    let json = serde_json::to_vec_pretty(&result).map_err(|_| CliError::Spool(SpoolError::Encoding))?;
    write_atomic(&args.out, &json)?;
    let t = result.timings;
    println!(
        "batch {}: {} bytes in {:.1} s ({:.1} s of processor time)",
        result.batch,
        result.proof.len(),
        seconds(t.prove_ms),
        seconds(t.cpu_ms)
    );
    Ok(())
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn verify(args: &VerifyArgs, progress: &dyn Progress) -> Result<(), CliError> {
    let parsed = serde_json::from_slice::<ProofResult>(&read(&args.file)?);
    let result = parsed.map_err(|source| CliError::Job { path: args.file.clone(), source: source.into() })?;
    let shape = shape(&result.shape)?;
    let size = SettlementSize::new(CircuitVersion::new(result.circuit_version), shape).map_err(ProverError::from)?;
    let srs = Srs::for_chain(args.setup.chain_id, args.setup.ceremony.source()?, &args.setup.cache.directory())?;
    let params = srs.params(SettlementCircuit::k(&size), progress)?;
    progress.stage("making the verifying key", shape.name);
    let vk = verifying_key::<SettlementCircuit>(size, &params)?;
    progress.finish();
    let verifier = Verifier::new(vk, Arc::new(verifier_params(&params)), SettlementCircuit::ROWS);
    let start = std::time::Instant::now();
    let verified = verifier.verify(&result.instance, &result.proof);
    verified.map_err(|source| CliError::Proof { path: args.file.clone(), source })?;
    println!("valid: batch {}, {} ({} ms)", result.batch, shape.name, millis(start.elapsed()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Top {
        #[command(flatten)]
        prover: ProverArgs,
    }

    fn parse(line: &str) -> Result<ProverArgs, clap::Error> {
        Top::try_parse_from(line.split_whitespace().skip(1)).map(|top| top.prover)
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let lines = [EXAMPLES, RUN_EXAMPLES, QUEUE_EXAMPLES].map(str::lines).into_iter().flatten();
        let examples: Vec<_> = lines
            .flat_map(|line| line.split("&&"))
            .map(str::trim)
            .filter(|line| line.starts_with("gridveil prover"))
            .collect();
        assert_eq!(examples.len(), 13);
        for line in examples {
            assert!(parse(line).is_ok(), "{line}");
        }
        assert!(parse("gridveil prover run --queue postgres://u@h/d --dir spool --key k").is_err());
        assert!(parse("gridveil prover run --dir spool").is_err());
        assert!(parse("gridveil prover run --queue postgres://...").is_ok(), "key and shape have defaults");
        assert!(parse("gridveil prover setup --ptau-blake2b 00").is_err());
    }

    #[test]
    fn a_public_chain_without_a_ceremony_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let line = format!("gridveil prover setup --chain-id 1 --cache {}", dir.path().display());
        assert!(matches!(
            run(parse(&line).unwrap()),
            Err(CliError::Prover(ProverError::Srs(SrsError::InsecureOnPublicChain { chain_id: 1 })))
        ));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let line = format!("gridveil prover setup --shape nonsense --cache {}", dir.path().display());
        assert!(matches!(run(parse(&line).unwrap()), Err(CliError::Usage(text)) if text.contains("home-32x24")));
    }
}
