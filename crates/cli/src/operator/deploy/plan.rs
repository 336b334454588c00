//! The transactions of a deployment, in order, and what each must have left on chain.

use anyhow::Context as _;
use gridveil_protocol::{field::to_bytes, hex::hex0, params::STATE_DEPTH, tree::SparseTree};
use gridveil_verifier_contract::{
    Address, Role, RollupConfig, VerifierInit,
    artifact::Contract,
    ethers_client::{Foundations, creation, rollup_creation, timelock_creation},
};

use super::config::Config;
use crate::verifiers::Made;

/// One transaction: a contract.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The upgrader's timelock.
    Timelock,
    /// What creates certificates and exits.
    Parts,
    /// The hasher.
    Poseidon,
    /// A verifier.
    Verifier(&'a Made),
    /// The rollup, whose constructor creates the registry, and has certificates and exits created.
    Rollup,
}

impl Step<'_> {
    /// Name, in the state and in tables.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Timelock => Contract::Timelock.name(),
            Self::Parts => Contract::Parts.name(),
            Self::Poseidon => Contract::Poseidon.name(),
            Self::Verifier(made) => &made.name,
            Self::Rollup => Contract::Rollup.name(),
        }
    }
}

/// Everything that is deployed.
#[derive(Debug)]
pub struct Plan<'a> {
    /// From the file.
    pub config: &'a Config,
    /// Verifiers, certificates' last.
    pub made: &'a [Made],
}

impl<'a> Plan<'a> {
    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step<'a>> {
        let timelock = self.config.timelock.as_ref().map(|_| Step::Timelock);
        let verifiers = self.made.iter().map(Step::Verifier);
        timelock.into_iter().chain([Step::Parts, Step::Poseidon]).chain(verifiers).chain([Step::Rollup]).collect()
    }

    /// Hash of everything that is deployed: a crashed deployment goes on with the same alone.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("gridveil deployment plan 1");
        hasher.update(blake3::hash(self.config.text.as_bytes()).as_bytes());
        for made in self.made {
            hasher.update(blake3::hash(&made.code.creation).as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Constructor arguments of the rollup; `address` gives those of earlier steps, by name.
    ///
    /// # Errors
    /// An earlier step has no address.
    pub fn rollup(
        &self,
        address: &dyn Fn(&str) -> Option<Address>,
    ) -> anyhow::Result<(RollupConfig, Vec<VerifierInit>)> {
        let of = |name: &str| address(name).with_context(|| format!("{name} is not deployed"));
        let config = self.config;
        let role = |role: Role| match config.roles.get(&role) {
            Some(account) => Ok(account.0),
            None => of(Contract::Timelock.name()),
        };
        let mut certificate_verifier = None;
        let mut verifiers = Vec::new();
        for made in self.made {
            let (verifier, proof_length) = (of(&made.name)?, made.proof_length());
            match made.shape {
                None => certificate_verifier = Some((verifier, proof_length)),
                Some(shape) => verifiers.push(VerifierInit {
                    shape: shape.id,
                    slots: u32::try_from(shape.members)?,
                    m: u16::try_from(shape.intervals)?,
                    verifier,
                    proof_length,
                }),
            }
        }
        let rollup = RollupConfig {
            admin: role(Role::Admin)?,
            operator: role(Role::Operator)?,
            mdm: role(Role::Mdm)?,
            tariff_authority: role(Role::TariffAuthority)?,
            regulator: role(Role::Regulator)?,
            upgrader: role(Role::Upgrader)?,
            council: config.council.0,
            genesis_root: to_bytes(&SparseTree::new(STATE_DEPTH).root()),
            circuit_version: u32::try_from(config.version.number())?,
            verifier_delay_s: config.verifier_delay_s,
            enforce_future_tariffs: true,
            certificate_verifier,
            token: Some(config.token.0),
            token_per_unit: config.token_per_unit,
            forced_deadline_s: config.forced_deadline_s,
            refund_delay_s: config.refund_delay_s,
            forced_bond_wei: config.forced_bond_wei,
            treasury: config.treasury.0,
        };
        Ok((rollup, verifiers))
    }

    /// Creation code of a step.
    ///
    /// # Errors
    /// An earlier step has no address.
    pub fn creation(&self, step: Step<'_>, address: &dyn Fn(&str) -> Option<Address>) -> anyhow::Result<Vec<u8>> {
        Ok(match step {
            Step::Timelock => {
                let timelock = self.config.timelock.as_ref().context("there is no timelock")?;
                let accounts = |list: &[gridveil_verifier_contract::deployment::Account]| -> Vec<Address> {
                    list.iter().map(|account| account.0).collect()
                };
                timelock_creation(timelock.delay_s, &accounts(&timelock.proposers), &accounts(&timelock.executors))?
            }
            Step::Parts => creation(Contract::Parts)?,
            Step::Poseidon => creation(Contract::Poseidon)?,
            Step::Verifier(made) => made.code.creation.clone(),
            Step::Rollup => {
                let (config, verifiers) = self.rollup(address)?;
                let of = |contract: Contract| {
                    address(contract.name()).with_context(|| format!("{} is not deployed", contract.name()))
                };
                let on = Foundations {
                    token: self.config.token.0,
                    parts: of(Contract::Parts)?,
                    poseidon: of(Contract::Poseidon)?,
                };
                rollup_creation(&config, on, &verifiers)?
            }
        })
    }

    /// Is this what the step leaves at an address?
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, step: Step<'_>, address: Address, code: &[u8]) -> anyhow::Result<()> {
        let wrong = |why: String| anyhow::anyhow!("{} at {}: {why}", step.name(), hex0(address));
        match step {
            Step::Verifier(made) if made.code.runtime == code => Ok(()),
            Step::Verifier(_) => Err(wrong("its code is not the verifier's".to_owned())),
            Step::Poseidon => {
                Contract::Poseidon.artifact()?.compare_library(code, address).map_err(|e| wrong(e.to_string()))
            }
            Step::Parts => Contract::Parts.artifact()?.compare(code).map(drop).map_err(|e| wrong(e.to_string())),
            Step::Timelock => Contract::Timelock.artifact()?.compare(code).map(drop).map_err(|e| wrong(e.to_string())),
            Step::Rollup => Contract::Rollup.artifact()?.compare(code).map(drop).map_err(|e| wrong(e.to_string())),
        }
    }
}
