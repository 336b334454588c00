//! Verifiers made from circuit and ceremony, to deploy or to compare with what was deployed.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use gridveil_auditor::deployment::GeneratedCode;
use gridveil_circuits::{certificate::CertificateCircuit, settlement::SettlementCircuit, version::SettlementSize};
use gridveil_protocol::{
    certificate::{self, CERTIFICATE_VERSION},
    instance,
    params::Shape,
    version::CircuitVersion,
};
use gridveil_prover::{
    keys::verifying_key,
    progress::Progress,
    srs::{Params, Srs},
    statement::Statement,
};
use gridveil_verifier_contract::{
    codegen::{GeneratedVerifier, Solc, generate_with, holds_key, installed_solc},
    deployment::INSECURE,
};

/// A verifier that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Circuit version.
    pub circuit_version: u32,
    /// Shape; none of certificates.
    pub shape: Option<Shape>,
    /// Its name in the deployment file.
    pub name: String,
    /// Its code.
    pub code: GeneratedVerifier,
}

impl Made {
    /// Circuit version and shape's identifier, 0 of certificates.
    #[must_use]
    pub fn key(&self) -> (u32, u32) {
        (self.circuit_version, self.shape.map_or(0, |shape| shape.id))
    }

    /// Exact proof length, bytes.
    #[must_use]
    pub fn proof_length(&self) -> u32 {
        u32::try_from(self.code.stats.proof_bytes).unwrap_or(u32::MAX)
    }
}

/// What makes verifiers.
pub struct Workshop<'a> {
    srs: &'a Srs,
    solc: Solc,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for Workshop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("srs", self.srs).finish_non_exhaustive()
    }
}

impl<'a> Workshop<'a> {
    /// With the solc of this folder, or of one above it.
    ///
    /// # Errors
    /// There is none, or one of another version.
    pub fn open(folder: &Path, srs: &'a Srs, progress: &'a dyn Progress) -> anyhow::Result<Self> {
        Ok(Self { srs, solc: installed_solc(folder)?, progress })
    }

    /// Verifiers of these shapes in a circuit version, and the verifier of certificates.
    ///
    /// # Errors
    /// No such circuit, no parameters of its size, or the compiler.
    pub fn all(&self, version: CircuitVersion, shapes: &[Shape]) -> anyhow::Result<Vec<Made>> {
        let settlement = shapes.iter().map(|shape| self.settlement(version, *shape));
        settlement.chain([self.certificate()]).collect()
    }

    /// The verifier of a shape.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn settlement(&self, version: CircuitVersion, shape: Shape) -> anyhow::Result<Made> {
        let size = SettlementSize::new(version, shape).with_context(|| shape.name)?;
        let number = u32::try_from(version.number())?;
        self.make::<SettlementCircuit>(size, (number, Some(shape)), &shape.verifier_name(), instance::ROWS.len())
    }

    /// The verifier of certificates.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn certificate(&self) -> anyhow::Result<Made> {
        let number = u32::try_from(CERTIFICATE_VERSION)?;
        self.make::<CertificateCircuit>((), (number, None), "CertificateSpend", certificate::ROWS.len())
    }

    fn make<S: Statement>(
        &self,
        size: S::Params,
        (circuit_version, shape): (u32, Option<Shape>),
        name: &str,
        instances: usize,
    ) -> anyhow::Result<Made> {
        let params: std::sync::Arc<Params> = self.srs.params(S::k(&size), self.progress)?;
        self.progress.stage("making the verifying key", name);
        let vk = verifying_key::<S>(size, &params)?;
        self.progress.stage("generating and compiling", name);
        let code = generate_with(&self.solc, &params, &vk, &[instances], name)?;
        self.progress.finish();
        ensure!(
            holds_key(&code.runtime, &params, &vk),
            "{name}: the compiled verifier has not all points of the circuit's key: nothing is deployed"
        );
        let name = if self.srs.is_insecure() { format!("{INSECURE}-{name}") } else { name.to_owned() };
        Ok(Made { circuit_version, shape, name, code })
    }
}

/// The same for the auditor.
#[must_use]
pub fn by_key(made: &[Made]) -> BTreeMap<(u32, u32), GeneratedCode> {
    let code =
        |made: &Made| GeneratedCode { runtime: made.code.runtime.clone(), pool_bytes: made.code.stats.pool_bytes };
    made.iter().map(|made| (made.key(), code(made))).collect()
}
