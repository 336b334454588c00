//! `deployment.json`, from what was deployed.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use gridveil_keystore::durable::{self, Access};
use gridveil_prover::srs::{Srs, SrsSource};
use gridveil_verifier_contract::{
    Address, EthersClient, Role,
    artifact::Contract,
    deployment::{
        CertificateVerifier, Contracts, Deployed, DeploymentFile, FORM, Hex, Holders, SettlementVerifier, Setup,
        Timelock,
    },
    ethers_client::Found,
    verifiers::code_hash,
};

use super::{deployed, plan::Plan, state::Progress};

/// The file of a deployment whose every step is done; what is fixed is read from the chain.
///
/// # Errors
/// L1, or a step that is not done.
pub async fn of(l1: &EthersClient, plan: &Plan<'_>, progress: &Progress, srs: &Srs) -> anyhow::Result<DeploymentFile> {
    let address = |name: &str| deployed(progress, name).with_context(|| format!("{name} is not deployed"));
    let rollup = address(Contract::Rollup.name())?;
    let chain = l1.at_contract(rollup).inspect(None).await?;
    let found = |found: &Found| Deployed { address: Hex(found.address), code_hash: Hex(code_hash(&found.code)) };
    let timelock = match &plan.config.timelock {
        None => None,
        Some(config) => {
            let at = address(Contract::Timelock.name())?;
            Some(Timelock {
                address: Hex(at),
                code_hash: Hex(code_hash(&l1.code(at).await?)),
                from_block: progress.from_block,
                delay_s: config.delay_s,
                proposers: config.proposers.clone(),
                executors: config.executors.clone(),
            })
        }
    };
    let holder = |role: Role| -> anyhow::Result<Holders> {
        let account =
            plan.config.roles.get(&role).map_or_else(|| address(Contract::Timelock.name()), |one| Ok(one.0))?;
        Ok(Holders { role, accounts: vec![Hex(account)] })
    };
    let (settlement, certificate) = verifiers(plan, &address)?;
    Ok(DeploymentFile {
        form: FORM,
        chain_id: plan.config.chain_id,
        rpc: plan.config.public_rpc.clone(),
        created_block: chain.created_block,
        contracts: Contracts {
            rollup: found(&chain.rollup),
            registry: found(&chain.registry),
            certificates: found(&chain.certificates),
            exits: found(&chain.exits),
            poseidon: found(&chain.poseidon),
            timelock,
            audit_heads: None,
        },
        setup: setup(srs, &plan.config.source),
        settlement,
        certificate,
        terms: terms(plan, &address)?,
        roles: Role::ALL.into_iter().map(holder).collect::<anyhow::Result<_>>()?,
        council: plan.config.council().map(Hex),
    })
}

type AddressOf<'a> = dyn Fn(&str) -> anyhow::Result<Address> + 'a;

/// What the configuration fixes: not what the chain says, which is compared with it afterwards.
fn terms(plan: &Plan<'_>, address: &AddressOf<'_>) -> anyhow::Result<gridveil_verifier_contract::deployment::Terms> {
    let (rollup, _) = plan.rollup(&|name| address(name).ok())?;
    Ok(gridveil_verifier_contract::deployment::Terms {
        genesis_root: Hex(rollup.genesis_root),
        token: plan.config.token,
        token_per_unit: rollup.token_per_unit,
        forced_deadline_s: rollup.forced_deadline_s,
        refund_delay_s: rollup.refund_delay_s,
        verifier_delay_s: rollup.verifier_delay_s,
        forced_bond_wei: rollup.forced_bond_wei,
        enforce_future_tariffs: rollup.enforce_future_tariffs,
        treasury: Hex(rollup.treasury),
    })
}

fn setup(srs: &Srs, source: &SrsSource) -> Setup {
    let (file, blake2b) = match source {
        SrsSource::InsecureDev => (None, None),
        SrsSource::Ptau { path, blake2b_512 } => {
            (path.file_name().map(|name| name.to_string_lossy().into_owned()), Some(Hex(*blake2b_512)))
        }
    };
    Setup { name: srs.id().to_string(), file, blake2b }
}

fn verifiers(
    plan: &Plan<'_>,
    address: &AddressOf<'_>,
) -> anyhow::Result<(Vec<SettlementVerifier>, CertificateVerifier)> {
    let mut settlement = Vec::new();
    let mut certificate = None;
    for made in plan.made {
        let name = made.name.clone();
        let (circuit_version, proof_length) = (made.circuit_version, made.proof_length());
        let (address, code_hash) = (Hex(address(&name)?), Hex(code_hash(&made.code.runtime)));
        match made.shape {
            None => certificate = Some(CertificateVerifier { name, circuit_version, proof_length, address, code_hash }),
            Some(shape) => settlement.push(SettlementVerifier {
                name,
                circuit_version,
                shape: shape.name.to_owned(),
                shape_id: shape.id,
                slots: u32::try_from(shape.members)?,
                m: u16::try_from(shape.intervals)?,
                proof_length,
                address,
                code_hash,
            }),
        }
    }
    Ok((settlement, certificate.context("no verifier of certificates")?))
}

/// Writes the file, for everybody to read.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, file: &DeploymentFile) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(file)? + "\n";
    durable::replace_with(path, Access::Mask, |out| out.write_all(json.as_bytes()))
        .with_context(|| path.display().to_string())
}
