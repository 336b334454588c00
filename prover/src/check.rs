//! Checks results that were made elsewhere. It needs verifying keys only, and makes them when the first result of a
//! version and shape comes.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_circuits::{settlement::SettlementCircuit, verify::Verifier, version::SettlementSize};
use gridveil_protocol::{settlement, version::CircuitVersion};

use crate::{
    job::{ProofJob, ProofResult},
    keys::verifying_key,
    progress::Progress,
    prover::ProverError,
    srs::{Srs, verifier_params},
    statement::Settling,
};

/// Checks that a proof proves what a job asks. Needs no proving key.
pub struct Checker<S = SettlementCircuit> {
    srs: Srs,
    /// By version and shape.
    keys: Mutex<BTreeMap<(CircuitVersion, &'static str), Arc<Verifier>>>,
    statement: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Checker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").field("srs", &self.srs.id()).finish_non_exhaustive()
    }
}

impl<S: Settling> Checker<S> {
    /// A checker under these parameters.
    #[must_use]
    pub const fn new(srs: Srs) -> Self {
        Self { srs, keys: Mutex::new(BTreeMap::new()), statement: PhantomData }
    }

    /// Checks that `result` is a proof of `job`. The public inputs are computed from the job by the rules. Those of the
    /// result are ignored, so a proof of anything else is [`crate::proof::ProofError::Invalid`]. Milliseconds, but for
    /// the first job of a shape.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn check(&self, job: &ProofJob, result: &ProofResult, progress: &dyn Progress) -> Result<(), ProverError> {
        let shape = job.input.community.shape;
        let size = SettlementSize::new(CircuitVersion::new(job.circuit_version), shape)?;
        if job.shape != shape.name {
            return Err(ProverError::Shape(job.shape.clone()));
        }
        let transition = settlement::apply(job.input.clone())?;
        Ok(self.key(size, progress)?.verify(&transition.instance.rows(), &result.proof)?)
    }

    fn key(&self, size: SettlementSize, progress: &dyn Progress) -> Result<Arc<Verifier>, ProverError> {
        // Held while a key is made, so that no key is made twice. Everybody else would wait for it anyway.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, name) = (size.version(), size.shape().name);
        if let Some(key) = keys.get(&(version, name)) {
            return Ok(Arc::clone(key));
        }
        let params = self.srs.params(S::k(&size), progress)?;
        progress.stage("making the verifying key", name);
        let vk = verifying_key::<S>(size, &params)?;
        progress.finish();
        let key = Arc::new(Verifier::new(vk, Arc::new(verifier_params(&params)), S::ROWS));
        keys.insert((version, name), Arc::clone(&key));
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::fixture::job,
        progress::Silent,
        proof::ProofError,
        prover::{Prove, Prover, ProverConfig},
        srs::SrsSource,
        statement::toy::Toy,
    };
    use gridveil_circuits::version::UnknownVersion;
    use gridveil_protocol::params::SHAPES;

    #[test]
    fn a_proof_is_of_its_job_and_of_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let srs = || Srs::for_chain(31_337, SrsSource::InsecureDev, dir.path()).unwrap();
        let config = ProverConfig { threads: Some(2), ..ProverConfig::local(dir.path(), vec![SHAPES[0]]) };
        let prover = Prover::<Toy>::open(&config, &Silent).unwrap();
        let (first, second) = (job(1), job(2));
        let result = prover.prove_job(&first, &Silent).unwrap();
        let checker = Checker::<Toy>::new(srs());
        checker.check(&first, &result, &Silent).unwrap();
        assert!(matches!(checker.check(&second, &result, &Silent), Err(ProverError::Proof(ProofError::Invalid))));
        // What a result says of itself is not believed.
        let mut bad = ProofResult { job: second.id().unwrap(), batch: 2, ..result.clone() };
        assert!(matches!(checker.check(&second, &bad, &Silent), Err(ProverError::Proof(ProofError::Invalid))));
        bad.proof.pop();
        assert!(matches!(checker.check(&first, &bad, &Silent), Err(ProverError::Proof(ProofError::Length { .. }))));
        // Nor is a byte too many overlooked.
        let trailing = ProofResult { proof: [result.proof.as_slice(), &[0]].concat(), ..result.clone() };
        assert!(matches!(
            checker.check(&first, &trailing, &Silent),
            Err(ProverError::Proof(ProofError::Length { .. }))
        ));
        assert!(matches!(prover.verify(&trailing), Err(ProverError::Proof(ProofError::Length { .. }))));
        let other = ProofJob { circuit_version: 9, ..first };
        assert!(matches!(
            checker.check(&other, &result, &Silent),
            Err(ProverError::UnknownVersion(UnknownVersion { version })) if version.number() == 9
        ));
    }
}
