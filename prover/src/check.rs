//! A check of results made elsewhere, by whoever asked for them: verifying keys only, made when the first result of a
//! shape comes.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::{params::Shape, settlement};
use halo2_proofs::plonk::VerifyingKey;
use halo2curves::bn256::{Fr, G1Affine};

use crate::{
    job::{ProofJob, ProofResult},
    keys::verifying_key,
    progress::Progress,
    proof,
    prover::{ProverError, convert},
    srs::{Params, Srs, verifier_params},
    statement::Settling,
};

struct Key {
    params: Params,
    vk: VerifyingKey<G1Affine>,
}

/// Checks that a proof proves what a job asks. Needs no proving key.
pub struct Checker<S = SettlementCircuit> {
    srs: Srs,
    keys: Mutex<BTreeMap<&'static str, Arc<Key>>>,
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

    /// Checks that `result` is a proof of `job`. The public inputs are computed from the job by the rules: those of the
    /// result are not looked at, so a proof of anything else is [`proof::ProofError::Invalid`]. Milliseconds, but for
    /// the first job of a shape.
    ///
    /// # Errors
    /// [`ProverError`].
    pub fn check(&self, job: &ProofJob, result: &ProofResult, progress: &dyn Progress) -> Result<(), ProverError> {
        if job.circuit_version != S::VERSION {
            return Err(ProverError::Version { expected: S::VERSION, got: job.circuit_version });
        }
        let shape = job.input.community.shape;
        if job.shape != shape.name {
            return Err(ProverError::Shape(job.shape.clone()));
        }
        let transition = settlement::apply(job.input.clone())?;
        let instance: Vec<Fr> = transition.instance.rows().iter().map(convert).collect();
        let key = self.key(shape, progress)?;
        Ok(proof::verify(&key.vk, &key.params, &instance, &result.proof)?)
    }

    fn key(&self, shape: Shape, progress: &dyn Progress) -> Result<Arc<Key>, ProverError> {
        // Held while a key is made: nobody makes one twice, and everybody else would wait for it anyway.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(shape.name) {
            return Ok(Arc::clone(key));
        }
        let params = self.srs.params(S::k(&shape), progress)?;
        progress.stage("making the verifying key", shape.name);
        let vk = verifying_key::<S>(shape, &params)?;
        progress.finish();
        let key = Arc::new(Key { params: verifier_params(&params), vk });
        keys.insert(shape.name, Arc::clone(&key));
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
        let other = ProofJob { circuit_version: 9, ..first };
        assert!(matches!(checker.check(&other, &result, &Silent), Err(ProverError::Version { .. })));
    }
}
