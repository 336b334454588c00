//! The contract on a local chain: verifiers, rollup, communities, all under one account.

use anyhow::{Context as _, ensure};
use gridveil_protocol::{
    certificate,
    community::Community,
    field::{Fr, to_bytes},
    init,
    instance::ROWS,
    params::Shape,
};
use gridveil_prover::{certificate::CertificateProver, prover::Prover};
use gridveil_verifier_contract::{
    CommunityParams, EthersClient, OperatorL1, RollupConfig, VerifierInit,
    anvil::ANVIL_KEYS,
    codegen::{GeneratedVerifier, artifact::VerifierArtifact, generate_settlement_verifier},
};

use super::scenario::TARIFF_SET;
use crate::{ledger::Ledger, simulate::SHAPE};

/// Name of the committed verifier of [`SHAPE`].
const NAME: &str = "SettlementHome32x24";
/// Name of the committed verifier of certificate proofs.
const CERTIFICATE_NAME: &str = "CertificateSpend";
/// The committed verifiers, compiled in.
const SETTLEMENT_ARTIFACT: &str = include_str!("../../../verifier-contract/artifacts/SettlementHome32x24.json");
const CERTIFICATE_ARTIFACT: &str = include_str!("../../../verifier-contract/artifacts/CertificateSpend.json");

/// What is generated here is what is committed.
fn check(committed: &str, verifier: &GeneratedVerifier) -> anyhow::Result<()> {
    let committed: VerifierArtifact = serde_json::from_str(committed).with_context(|| verifier.name.clone())?;
    ensure!(
        committed.is_of(verifier),
        "{}: the circuit is not the one the committed verifier is for (make generate)",
        verifier.name
    );
    Ok(())
}

/// The contract with the verifiers of these very circuits, and everything registered. The state tree is empty. Also
/// gives the verifier's bytes.
pub async fn deploy_verified(
    url: &str,
    communities: &[Community],
    prover: &Prover,
    wallet: &CertificateProver,
) -> anyhow::Result<(EthersClient, u64)> {
    let shape = communities.first().context("no community")?.shape;
    let (params, keys) = prover.params(shape.name).zip(prover.keys(shape.name)).context("the prover has no keys")?;
    let verifier = generate_settlement_verifier(params, &keys.vk, vec![ROWS.len()], NAME)?;
    // Smaller shapes are for trying things: no verifier of theirs is committed.
    if shape.name == SHAPE {
        check(SETTLEMENT_ARTIFACT, &verifier)?;
    }
    let certificates = generate_settlement_verifier(
        wallet.params(),
        &wallet.keys().vk,
        vec![certificate::ROWS.len()],
        CERTIFICATE_NAME,
    )?;
    check(CERTIFICATE_ARTIFACT, &certificates)?;
    let deployer = EthersClient::connect(url, ANVIL_KEYS.first().copied(), None).await?;
    let account = deployer.account().context("no account")?;
    let root = to_bytes(&Ledger::new(Fr::from(0u64), []).root());
    let mut config = RollupConfig::single_account(account, root, true);
    let certificate_verifier = deployer.deploy_code(&certificates.creation).await?;
    config.certificate_verifier = Some((certificate_verifier, u32::try_from(certificates.stats.proof_bytes)?));
    let l1 = register(&deployer, &config, communities, &verifier.creation, u32::try_from(verifier.stats.proof_bytes)?)
        .await?;
    Ok((l1, u64::try_from(verifier.stats.runtime_bytes)?))
}

/// The committed verifier of [`SHAPE`]: the code that creates it, and the bytes of a proof.
///
/// # Errors
/// The artifact is none.
pub fn committed() -> anyhow::Result<(Vec<u8>, u32)> {
    let artifact: VerifierArtifact = serde_json::from_str(SETTLEMENT_ARTIFACT).context(NAME)?;
    let digits = artifact.bytecode.strip_prefix("0x").unwrap_or(&artifact.bytecode);
    Ok((hex::decode(digits).context(NAME)?, artifact.proof_length))
}

/// Deploys the verifier of [`SHAPE`] and the rollup that starts from these communities, all of them registered under
/// one account.
///
/// # Errors
/// No communities, or L1.
pub async fn deploy(
    url: &str,
    communities: &[Community],
    verifier: &[u8],
    proof_length: u32,
) -> anyhow::Result<EthersClient> {
    let root = to_bytes(&Ledger::new(Fr::from(0u64), communities.iter().cloned()).root());
    let deployer = EthersClient::connect(url, ANVIL_KEYS.first().copied(), None).await?;
    let account = deployer.account().context("no account")?;
    register(&deployer, &RollupConfig::single_account(account, root, true), communities, verifier, proof_length).await
}

async fn register(
    deployer: &EthersClient,
    config: &RollupConfig,
    communities: &[Community],
    verifier: &[u8],
    proof_length: u32,
) -> anyhow::Result<EthersClient> {
    let shape = communities.first().context("no community")?.shape;
    let (slots, m) = (u32::try_from(shape.members)?, u16::try_from(shape.intervals)?);
    let init =
        VerifierInit { shape: shape.id, slots, m, verifier: deployer.deploy_code(verifier).await?, proof_length };
    let l1 = deployer.deploy_rollup(config, &[init]).await?;
    let length = communities.first().context("no community")?.header.interval_length;
    l1.open_tariff_set(TARIFF_SET, length, m).await?;
    for Community { index, header, .. } in communities {
        let (community, interval_length_s) = (*index, header.interval_length);
        let genesis_terms = to_bytes(&init::genesis_terms(header));
        l1.register_community(CommunityParams {
            community,
            shape: shape.id,
            interval_length_s,
            m,
            tariff_set: TARIFF_SET,
            genesis_terms,
        })
        .await?;
    }
    Ok(l1)
}

pub(super) fn shape() -> anyhow::Result<Shape> {
    Shape::by_name(SHAPE).context("the shape of homes is missing")
}
