//! A wallet's prover: one note spent, one proof, one processor.

use std::{fmt, path::PathBuf, sync::Arc};

use gridveil_circuits::{
    certificate::CertificateCircuit,
    field::imported,
    verify::{CERTIFICATE_ROWS, Verifier},
};
use gridveil_protocol::certificate::{CertificateError, CertificateInstance, ROWS, Spend};
use halo2curves::bn256::Fr;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    engine::Engine,
    keys::{KeyStore, Keys},
    progress::Progress,
    proof::{self, ProofError, THREAD_NAME},
    prover::{ProverError, STACK_BYTES},
    srs::{LOCAL_CHAIN_ID, Params, Srs, SrsSource, verifier_params},
    statement::Statement as _,
};

/// What a wallet's prover is opened with.
#[derive(Clone, Debug)]
pub struct CertificateProverConfig {
    /// Where parameters and keys are kept: 2 MB.
    pub cache_dir: PathBuf,
    /// Where parameters come from.
    pub srs: SrsSource,
    /// Chain the proofs are for.
    pub chain_id: u64,
    /// Threads of one proof; all processors if `None`.
    pub threads: Option<usize>,
}

impl CertificateProverConfig {
    /// Under the insecure development parameters, for the local chain, on one processor.
    #[must_use]
    pub fn local(cache_dir: PathBuf) -> Self {
        Self { cache_dir, srs: SrsSource::InsecureDev, chain_id: LOCAL_CHAIN_ID, threads: Some(1) }
    }
}

/// Why a spending has no proof.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProverError {
    /// The rules refuse it: there is nothing to prove.
    #[error(transparent)]
    Refused(#[from] CertificateError),
    /// Parameters, keys, or the proof.
    #[error(transparent)]
    Prover(#[from] ProverError),
}

impl From<ProofError> for CertificateProverError {
    fn from(error: ProofError) -> Self {
        Self::Prover(error.into())
    }
}

/// A proof and what it proves: all that L1 is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProof {
    /// Public inputs.
    pub instance: CertificateInstance,
    /// Proof.
    pub proof: Vec<u8>,
}

/// Parameters and keys of the certificate circuit, and the threads proofs are made on.
pub struct CertificateProver {
    params: Arc<Params>,
    keys: Keys,
    engine: Engine,
    verifier: Verifier,
    threads: ThreadPool,
}

impl fmt::Debug for CertificateProver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateProver").field("keys", &self.keys.layout).finish_non_exhaustive()
    }
}

impl CertificateProver {
    /// Parameters, for whoever makes the verifier of these keys.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Loads, or makes, parameters and keys.
    ///
    /// # Errors
    /// [`ProverError::Srs`] (among them: the development setup on a chain that is not local), [`ProverError::Keys`],
    /// [`ProverError::Threads`].
    pub fn open(config: &CertificateProverConfig, progress: &dyn Progress) -> Result<Self, ProverError> {
        let srs = Srs::for_chain(config.chain_id, config.srs.clone(), &config.cache_dir)?;
        let builder =
            ThreadPoolBuilder::new().thread_name(|index| format!("{THREAD_NAME}-{index}")).stack_size(STACK_BYTES);
        let threads = builder.num_threads(config.threads.unwrap_or(0)).build()?;
        let (params, keys, engine) = threads.install(|| {
            let params = srs.params(CertificateCircuit::k(&()), progress)?;
            let (keys, material) =
                KeyStore::new(&config.cache_dir).open::<CertificateCircuit>((), &params, &srs.id(), progress)?;
            let (params, engine) = Engine::new(params, material)?;
            Ok::<_, ProverError>((params, keys, engine))
        })?;
        progress.finish();
        let verifier = Verifier::new(keys.vk.clone(), Arc::new(verifier_params(&params)), CERTIFICATE_ROWS);
        Ok(Self { params, keys, engine, verifier, threads })
    }

    /// The verifying key, and how it was come by.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Proves a spending that the rules accept, and checks the proof.
    ///
    /// # Errors
    /// [`CertificateProverError`].
    pub fn prove(&self, spend: &Spend) -> Result<CertificateProof, CertificateProverError> {
        let instance = spend.check()?;
        self.threads.install(|| {
            let circuit = proof::caught(|| Ok(CertificateCircuit::new(spend)))?;
            let rows = circuit.instance();
            check_rows(&rows, &instance)?;
            let proof = self.engine.prove(&self.params, circuit, &rows)?;
            self.verifier.verify_elements(&rows, &proof).map_err(ProofError::from)?;
            Ok(CertificateProof { instance, proof })
        })
    }

    /// Checks a proof made elsewhere. That its anchor was final and its nullifier is new is for L1 to say.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, made: &CertificateProof) -> Result<(), ProofError> {
        Ok(self.verifier.verify(&made.instance.rows(), &made.proof)?)
    }
}

/// The rules and the circuit compute the public inputs independently; they must agree.
fn check_rows(circuit: &[Fr], rules: &CertificateInstance) -> Result<(), ProverError> {
    if circuit.len() != ROWS.len() {
        return Err(ProverError::InstanceMismatch { row: "(surplus)" });
    }
    let differing =
        ROWS.iter().zip(circuit).zip(rules.rows()).find(|((_, found), expected)| **found != imported(expected));
    differing.map_or(Ok(()), |((row, _), _)| Err(ProverError::InstanceMismatch { row }))
}
