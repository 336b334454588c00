//! The prover: parameters and keys in memory, one job after another.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gridveil_circuits::{
    field::imported,
    settlement::SettlementCircuit,
    verify::{Verifier, VerifyError},
    version::{SettlementSize, UnknownVersion},
};
use gridveil_protocol::{
    field,
    params::Shape,
    settlement::{self, SettlementError},
    version::CircuitVersion,
};
use halo2curves::bn256::Fr;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    engine::Engine,
    job::{JobEncoding, JobId, ProofJob, ProofResult, Timings},
    keys::{KeyError, KeyStore, Keys},
    measure::{cpu_time, millis, peak_rss_bytes},
    progress::Progress,
    proof::{self, ProofError, THREAD_NAME},
    srs::{LOCAL_CHAIN_ID, Params, Srs, SrsError, SrsSource, verifier_params},
    statement::Settling,
};

pub(crate) const STACK_BYTES: usize = 8 << 20;

/// What a prover is opened with.
#[derive(Clone, Debug)]
pub struct ProverConfig {
    /// Where parameters and keys are kept.
    pub cache_dir: PathBuf,
    /// Where parameters come from.
    pub srs: SrsSource,
    /// Chain the proofs are for.
    pub chain_id: u64,
    /// Circuit version the proofs are of. During an upgrade, each version has a prover of its own.
    pub version: CircuitVersion,
    /// Shapes to serve.
    pub shapes: Vec<Shape>,
    /// Threads of one proof; all processors if `None`.
    pub threads: Option<usize>,
    /// The deployment's domain; jobs for another are refused. Any if `None`.
    pub domain: Option<field::Fr>,
}

impl ProverConfig {
    /// Under the insecure development parameters, for the local chain; the current version, all processors, any domain.
    #[must_use]
    pub fn local(cache_dir: &Path, shapes: Vec<Shape>) -> Self {
        let (srs, chain_id) = (SrsSource::InsecureDev, LOCAL_CHAIN_ID);
        let version = CircuitVersion::CURRENT;
        Self { cache_dir: cache_dir.to_path_buf(), srs, chain_id, version, shapes, threads: None, domain: None }
    }
}

/// Why a job has no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProverError {
    /// Parameters.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Proving threads could not be started.
    #[error("proving threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The job.
    #[error(transparent)]
    Job(#[from] JobEncoding),
    /// A job for another circuit.
    #[error("circuit version {got}; this prover makes proofs of version {expected} (sequencer)")]
    Version {
        /// This prover's.
        expected: u64,
        /// The job's.
        got: u64,
    },
    /// A circuit that this program does not have.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    /// A shape this prover was not opened with, or another than the job's community has.
    #[error("shape {0} is not served by this prover, or is not the community's (sequencer)")]
    Shape(String),
    /// A job for another deployment.
    #[error("the job is for another chain or contract (sequencer)")]
    Domain,
    /// The rules refuse the transition: there is nothing to prove.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// The circuit's public inputs are not the rules'.
    #[error("public input {row} of the circuit is not that of the rules (a defect of this version)")]
    InstanceMismatch {
        /// Name of the row.
        row: &'static str,
    },
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Stopped between stages.
    #[error("cancelled")]
    Cancelled,
}

impl From<VerifyError> for ProverError {
    fn from(error: VerifyError) -> Self {
        Self::Proof(error.into())
    }
}

impl ProverError {
    /// Would another attempt end the same way?
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Job(_)
            | Self::Version { .. }
            | Self::UnknownVersion(_)
            | Self::Shape(_)
            | Self::Domain
            | Self::Settlement(_)
            | Self::InstanceMismatch { .. } => true,
            Self::Srs(_) | Self::Keys(_) | Self::Threads(_) | Self::Proof(_) | Self::Cancelled => false,
        }
    }
}

/// Anything that turns jobs into proofs; what queues are built on.
pub trait Prove: Send + Sync {
    /// Proves one job.
    ///
    /// # Errors
    /// [`ProverError`].
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError>;
}

struct Served {
    size: SettlementSize,
    params: Arc<Params>,
    keys: Keys,
    engine: Engine,
    verifier: Verifier,
}

/// Parameters and keys of the shapes it serves, and the threads proofs are made on.
pub struct Prover<S = SettlementCircuit> {
    version: CircuitVersion,
    served: BTreeMap<&'static str, Served>,
    srs: String,
    threads: ThreadPool,
    /// Builds the witness of the next job while `threads` prove this one.
    preparing: ThreadPool,
    /// One proof at a time on `threads`. Two would interleave and both finish late.
    turn: Mutex<()>,
    domain: Option<field::Fr>,
    statement: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Prover<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prover")
            .field("version", &self.version)
            .field("srs", &self.srs)
            .field("shapes", &self.served.keys())
            .finish_non_exhaustive()
    }
}

impl<S: Settling> Prover<S> {
    /// Loads, or makes, parameters and keys of every configured shape.
    ///
    /// # Errors
    /// [`ProverError::Srs`] (among them: the development setup on a chain that is not local), [`ProverError::Keys`],
    /// [`ProverError::Threads`], [`ProverError::UnknownVersion`].
    pub fn open(config: &ProverConfig, progress: &dyn Progress) -> Result<Self, ProverError> {
        let srs = Srs::for_chain(config.chain_id, config.srs.clone(), &config.cache_dir)?;
        let store = KeyStore::new(&config.cache_dir);
        let builder =
            ThreadPoolBuilder::new().thread_name(|index| format!("{THREAD_NAME}-{index}")).stack_size(STACK_BYTES);
        let threads = builder.num_threads(config.threads.unwrap_or(0)).build()?;
        let builder =
            ThreadPoolBuilder::new().thread_name(|_| format!("{THREAD_NAME}-witness")).stack_size(STACK_BYTES);
        let preparing = builder.num_threads(1).build()?;
        let served = threads.install(|| {
            let serve = |shape: &Shape| {
                let size = SettlementSize::new(config.version, *shape)?;
                let params = srs.params(S::k(&size), progress)?;
                let (keys, material) = store.open::<S>(size, &params, &srs.id(), progress)?;
                tracing::info!(version = %config.version, shape = shape.name, srs = %srs.id(), made = keys.made, ms = millis(keys.took), "keys ready");
                let (params, engine) = Engine::new(params, material)?;
                let verifier = Verifier::new(keys.vk.clone(), Arc::new(verifier_params(&params)), S::ROWS);
                Ok((shape.name, Served { size, params, keys, engine, verifier }))
            };
            config.shapes.iter().map(serve).collect::<Result<_, ProverError>>()
        })?;
        progress.finish();
        Ok(Self {
            version: config.version,
            served,
            srs: srs.id().to_string(),
            threads,
            preparing,
            turn: Mutex::new(()),
            domain: config.domain,
            statement: PhantomData,
        })
    }

    /// Keys of a shape.
    #[must_use]
    pub fn keys(&self, shape: &str) -> Option<&Keys> {
        self.served.get(shape).map(|served| &served.keys)
    }

    /// Parameters of a shape: all that the engine needs of them, at least what a verifier does.
    #[must_use]
    pub fn params(&self, shape: &str) -> Option<&Params> {
        self.served.get(shape).map(|served| served.params.as_ref())
    }

    /// Checks a result made elsewhere: its job's shape and version, its public inputs and its proof.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn verify(&self, result: &ProofResult) -> Result<(), ProverError> {
        let served = self.served(&result.shape, result.circuit_version)?;
        Ok(served.verifier.verify(&result.instance, &result.proof)?)
    }

    fn served(&self, shape: &str, version: u64) -> Result<&Served, ProverError> {
        if version != self.version.number() {
            return Err(ProverError::Version { expected: self.version.number(), got: version });
        }
        self.served.get(shape).ok_or_else(|| ProverError::Shape(shape.to_owned()))
    }

    fn run(&self, id: JobId, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        let served = self.served(&job.shape, job.circuit_version)?;
        if job.input.community.shape != served.size.shape() {
            return Err(ProverError::Shape(job.shape.clone()));
        }
        if self.domain.is_some_and(|domain| domain != job.input.domain) {
            return Err(ProverError::Domain);
        }
        let (cpu, mut clock) = (cpu_time(), Clock(Instant::now()));
        let stage = |name| {
            if progress.is_cancelled() {
                Err(ProverError::Cancelled)
            } else {
                let _: () = progress.stage(name, &job.shape);
                Ok(())
            }
        };

        stage("witness")?;
        let (circuit, instance, rows) = self.preparing.install(|| {
            let transition = settlement::apply(job.input.clone())?;
            let circuit = proof::caught(|| Ok(S::of(served.size, &transition)))?;
            let instance = circuit.instance();
            let rows = transition.instance.rows();
            check_rows(&instance, &rows)?;
            Ok::<_, ProverError>((circuit, instance, rows))
        })?;
        let witness_ms = clock.lap();

        // What the lock guards is a turn, not data: a panic in it leaves nothing half done.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        clock.lap();
        stage("proof")?;
        let proof = self.threads.install(|| served.engine.prove(&served.params, circuit, &instance))?;
        let prove_ms = clock.lap();

        stage("check of the proof")?;
        self.threads.install(|| served.verifier.verify_elements(&instance, &proof))?;
        drop(turn);
        let verify_ms = clock.lap();

        let timings = Timings { witness_ms, prove_ms, verify_ms, cpu_ms: millis(cpu_time().saturating_sub(cpu)) };
        tracing::info!(job = %id, batch = job.batch, shape = %job.shape, witness_ms, prove_ms, verify_ms, cpu_ms = timings.cpu_ms, "proved");
        Ok(ProofResult {
            job: id,
            batch: job.batch,
            shape: job.shape.clone(),
            circuit_version: job.circuit_version,
            srs: self.srs.clone(),
            proof,
            instance: rows.to_vec(),
            timings,
            peak_rss_bytes: peak_rss_bytes(),
        })
    }
}

impl<S: Settling> Prove for Prover<S> {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        let id = job.id()?;
        let result = self.run(id, job, progress);
        progress.finish();
        result
    }
}

struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> u64 {
        let elapsed: Duration = self.0.elapsed();
        self.0 = Instant::now();
        millis(elapsed)
    }
}

/// The rules and the circuit compute the public inputs independently; they must agree before a minute is spent on a
/// proof.
fn check_rows(circuit: &[Fr], rules: &[field::Fr]) -> Result<(), ProverError> {
    use gridveil_protocol::instance::ROWS;
    for (index, row) in ROWS.into_iter().enumerate() {
        if circuit.get(index).is_none() || circuit.get(index).copied() != rules.get(index).map(imported) {
            return Err(ProverError::InstanceMismatch { row });
        }
    }
    if circuit.len() == ROWS.len() { Ok(()) } else { Err(ProverError::InstanceMismatch { row: "(surplus)" }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job::fixture::job, progress::Silent, statement::toy::Toy};
    use gridveil_protocol::{
        instance::domain,
        params::{CIRCUIT_VERSION, SHAPES},
    };

    fn config(dir: &std::path::Path) -> ProverConfig {
        ProverConfig { threads: Some(2), ..ProverConfig::local(dir, vec![SHAPES[0]]) }
    }

    #[test]
    fn a_job_becomes_a_checked_proof() {
        let dir = tempfile::tempdir().unwrap();
        let prover = Prover::<Toy>::open(&config(dir.path()), &Silent).unwrap();
        let job = job(3);
        let result = prover.prove_job(&job, &Silent).unwrap();
        assert_eq!((result.job, result.batch, result.srs.as_str()), (job.id().unwrap(), 3, "INSECURE-dev"));
        assert_eq!(result.instance, settlement::apply(job.input).unwrap().instance.rows());
        prover.verify(&result).unwrap();
        let again: ProofResult = serde_json::from_str(&serde_json::to_string(&result).unwrap()).unwrap();
        assert_eq!(again, result);
        for row in 0..result.instance.len() {
            let mut bad = result.clone();
            bad.instance[row] += field::Fr::from(1u64);
            assert!(matches!(prover.verify(&bad), Err(ProverError::Proof(ProofError::Invalid))), "row {row}");
        }
    }

    #[test]
    fn jobs_that_cannot_be_proved_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut prover = Prover::<Toy>::open(&config(dir.path()), &Silent).unwrap();
        let refused = |prover: &Prover<Toy>, change: fn(&mut ProofJob)| {
            let mut job = job(4);
            change(&mut job);
            prover.prove_job(&job, &Silent).unwrap_err()
        };
        assert!(matches!(
            refused(&prover, |job| job.circuit_version = 9),
            ProverError::Version { expected: CIRCUIT_VERSION, got: 9 }
        ));
        assert!(matches!(refused(&prover, |job| job.shape = "home-32x24".into()), ProverError::Shape(_)));
        assert!(matches!(refused(&prover, |job| job.input.community.shape = SHAPES[1]), ProverError::Shape(_)));
        assert!(matches!(
            refused(&prover, |job| job.input.packets[0].packet.readings[0].import ^= 1),
            ProverError::Settlement(_)
        ));
        assert!(refused(&prover, |job| job.input.community.header.supplier_account = 0).is_permanent());
        prover.domain = Some(domain(1, &[0x11; 20], 1));
        assert!(matches!(refused(&prover, |_| ()), ProverError::Domain));
    }

    #[test]
    fn a_version_that_nobody_knows_has_no_prover() {
        let dir = tempfile::tempdir().unwrap();
        let version = CircuitVersion::new(9);
        let refused = Prover::<Toy>::open(&ProverConfig { version, ..config(dir.path()) }, &Silent);
        assert!(matches!(refused, Err(ProverError::UnknownVersion(UnknownVersion { version: v })) if v == version));
    }

    #[test]
    fn a_public_chain_needs_a_ceremony() {
        let dir = tempfile::tempdir().unwrap();
        let config = ProverConfig { chain_id: 1, ..config(dir.path()) };
        let refused = Prover::<Toy>::open(&config, &Silent);
        assert!(matches!(refused, Err(ProverError::Srs(SrsError::InsecureOnPublicChain { chain_id: 1 }))));
    }

    #[test]
    fn a_cancelled_job_stops_between_stages() {
        struct Cancelled;
        impl Progress for Cancelled {
            fn stage(&self, _: &str, _: &str) {}
            fn is_cancelled(&self) -> bool {
                true
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let prover = Prover::<Toy>::open(&config(dir.path()), &Silent).unwrap();
        assert!(matches!(prover.prove_job(&job(5), &Cancelled), Err(ProverError::Cancelled)));
    }
}
