//! L1 figures: a verifier generated from the measured key, a rollup on a local chain, one settled batch.

use anyhow::Context;
use gridveil_circuits::verify::proof_bytes;
use gridveil_protocol::{
    field::{Fr, to_bytes},
    instance::ROWS,
    params::{CIRCUIT_VERSION, Shape},
    settlement::{SettlementInput, Transition, compute},
};
use gridveil_prover::srs::Params;
use gridveil_verifier_contract::{
    ChainL1, CommunityParams, EthersClient, OperatorL1, RollupConfig, SettleCall, SettlementL1, VerifierInit, Word,
    anvil::{ANVIL_KEYS, Anvil},
    codegen::generate_settlement_verifier,
};
use halo2_proofs::plonk::VerifyingKey;
use halo2curves::bn256::G1Affine;
use tokio::runtime::Runtime;

const TARIFF_SET: u32 = 1;

/// A local chain with the rollup and one shape's verifier on it.
#[derive(Debug)]
pub struct Chain {
    verifier_bytes: usize,
    client: EthersClient,
    runtime: Runtime,
    // Dropped last: the chain ends with it.
    _anvil: Anvil,
}

pub(crate) fn word(x: &Fr) -> Word {
    to_bytes(x)
}

/// The batch of a transition, under tariff 0.
pub(crate) fn settle_call(transition: &Transition, proof: Vec<u8>) -> anyhow::Result<SettleCall> {
    Ok(SettleCall {
        circuit_version: u32::try_from(CIRCUIT_VERSION)?,
        community: transition.input.community.index,
        first_interval: transition.input.community.header.next_interval.0,
        tariff_index: 0,
        new_root: word(&transition.instance.new_root),
        community_new: word(&transition.instance.community_new),
        ops_digest: word(&transition.instance.ops_digest),
        data: transition.data.iter().map(word).collect(),
        proof,
    })
}

/// Opens the tariff set, registers the tariff and the community of a batch.
pub(crate) async fn prepare(
    client: &EthersClient,
    shape: &Shape,
    input: &SettlementInput,
    tariff: &Fr,
) -> anyhow::Result<()> {
    let header = &input.community.header;
    client.open_tariff_set(TARIFF_SET, header.interval_length, header.intervals).await?;
    client.register_tariff(TARIFF_SET, header.next_interval.0, word(tariff)).await?;
    let community = CommunityParams {
        community: input.community.index,
        shape: shape.id,
        interval_length_s: header.interval_length,
        m: header.intervals,
        tariff_set: TARIFF_SET,
        genesis_terms: word(&gridveil_protocol::init::genesis_terms(header)),
    };
    client.register_community(community).await?;
    Ok(())
}

impl Chain {
    /// Generates the verifier, starts the chain, deploys, and prepares it for `input`'s community, tariff and old root.
    ///
    /// # Errors
    /// `npm ci` was not run, the verifier does not fit, or the chain refused.
    pub fn deploy(
        shape: &Shape,
        params: &Params,
        vk: &VerifyingKey<G1Affine>,
        input: &SettlementInput,
    ) -> anyhow::Result<Self> {
        let verifier =
            generate_settlement_verifier(params, vk, vec![ROWS.len()], "GridveilVerifier").context("verifier")?;
        let anvil = Anvil::spawn()?;
        let runtime = Runtime::new()?;
        // The old root does not depend on the packets, so neither on the contract's address.
        let instance = compute(input.clone()).instance;
        let client = runtime.block_on(async {
            let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await?;
            let init = VerifierInit {
                shape: shape.id,
                slots: u32::try_from(shape.members)?,
                m: u16::try_from(shape.intervals)?,
                verifier: deployer.deploy_code(&verifier.creation).await?,
                proof_length: u32::try_from(proof_bytes(vk.cs()))?,
            };
            let account = deployer.account().context("deployer's account")?;
            // Room for two periods of the fixture's 96 hours.
            let mut config = RollupConfig::single_account(account, word(&instance.old_root), false);
            (config.forced_deadline_s, config.verifier_delay_s) = (10 * 24 * 3600, 17 * 24 * 3600);
            let client = deployer.deploy_rollup(&config, &[init]).await?;
            prepare(&client, shape, input, &instance.tariff_commitment).await?;
            anyhow::Ok(client)
        })?;
        Ok(Self { verifier_bytes: verifier.runtime.len(), client, runtime, _anvil: anvil })
    }

    /// Address of the rollup: what the batch's domain names.
    #[must_use]
    pub fn contract(&self) -> Option<[u8; 20]> {
        Some(self.client.contract())
    }

    /// Runtime bytecode of the verifier, bytes.
    #[must_use]
    pub const fn verifier_bytes(&self) -> Option<usize> {
        Some(self.verifier_bytes)
    }

    /// Settles; gas of the whole transaction.
    ///
    /// # Errors
    /// The contract refused.
    pub fn settle(&self, transition: &Transition, proof: Vec<u8>) -> anyhow::Result<u64> {
        let call = settle_call(transition, proof)?;
        let receipt = self.runtime.block_on(self.client.settle(call)).context("settle")?;
        Ok(receipt.gas_used)
    }
}
