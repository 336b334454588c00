//! Provers of several circuit versions in one process: a sequencer that is upgraded settles under the old version and the
//! new one for a while.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_protocol::version::CircuitVersion;
use gridveil_prover::{
    job::{ProofJob, ProofResult},
    progress::{Progress, Silent},
    prover::{Prove, Prover, ProverConfig, ProverError},
};

/// Opens a prover where the first job of its version comes. Keys of a version that were never made here take seconds to
/// minutes then: [`Provers::open`] makes those of the version it is asked for before anything waits.
pub struct Provers {
    config: ProverConfig,
    opened: Mutex<BTreeMap<CircuitVersion, Arc<dyn Prove>>>,
}

impl fmt::Debug for Provers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provers").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Provers {
    /// With the prover of the configuration's version.
    ///
    /// # Errors
    /// As [`Prover::open`].
    pub fn open(config: ProverConfig, progress: &dyn Progress) -> Result<Self, ProverError> {
        let first: Prover = Prover::open(&config, progress)?;
        let opened = BTreeMap::from([(config.version, Arc::new(first) as Arc<dyn Prove>)]);
        Ok(Self { config, opened: Mutex::new(opened) })
    }

    /// The prover of a version. Who asks for one that is being opened waits: its keys are made once.
    fn of(&self, version: CircuitVersion) -> Result<Arc<dyn Prove>, ProverError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prover) = opened.get(&version) {
            return Ok(Arc::clone(prover));
        }
        let config = ProverConfig { version, ..self.config.clone() };
        let prover: Prover = Prover::open(&config, &Silent)?;
        let prover: Arc<dyn Prove> = Arc::new(prover);
        opened.insert(version, Arc::clone(&prover));
        Ok(prover)
    }
}

impl Prove for Provers {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        self.of(CircuitVersion::new(job.circuit_version))?.prove_job(job, progress)
    }
}
