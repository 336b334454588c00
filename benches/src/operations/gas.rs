//! Gas of the contract's entry points: whole transactions on a local chain, with real proofs under verifiers generated
//! for the measurement.

use std::path::Path;

use anyhow::Context as _;
use gridveil_circuits::{certificate::CertificateCircuit, verify::proof_bytes};
use gridveil_protocol::{
    certificate::{self, CERTIFICATE_VERSION},
    field::Fr,
    fixture::{
        Extras, Recipe,
        certificate::{owner_key, plan},
        resign_operation, with_operations,
    },
    instance::{self, domain},
    market::Mechanism,
    operation::Kind,
    params::{Shape, UNIT_NANO},
    record,
    settlement::{SettlementInput, Transition, apply, compute},
    tree::DenseTree,
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    keys::verifying_key,
    progress::Silent,
    srs::{Params, Srs},
    statement::Statement as _,
};
use gridveil_verifier_contract::{
    Address, CertificateCall, ChainL1 as _, EthersClient, ExitCall, ExitClaimCall, MemberL1 as _, RollupConfig,
    SettlementL1 as _, TxReceipt, VerifierInit, Word,
    anvil::{ANVIL_KEYS, Anvil},
    codegen::generate_settlement_verifier,
};
use halo2_proofs::plonk::VerifyingKey;
use halo2curves::bn256::G1Affine;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{prepare, settle_call, word},
    figure::Figure,
    run::{LOCAL_CHAIN_ID, move_to},
};

/// Units of each deposit that is settled: enough for the account that leaves.
const DEPOSIT_UNITS: u64 = 1_000_000;
/// The settlement of eight records: three deposits, three withdrawals, two claims sent.
const EIGHT: [Kind; 8] = [
    Kind::Deposit,
    Kind::Deposit,
    Kind::Deposit,
    Kind::Withdraw,
    Kind::Withdraw,
    Kind::Withdraw,
    Kind::Send,
    Kind::Send,
];

/// One entry point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gas {
    /// Function of the contract.
    pub entry: String,
    /// What the transaction did.
    pub what: String,
    /// The whole transaction.
    pub gas: Figure,
}

fn gas(entry: &str, what: &str, used: u64) -> Gas {
    Gas { entry: entry.into(), what: what.into(), gas: Figure::measured(used as f64, "gas") }
}

/// A batch with operations of `kinds`; amounts are whole units that the vault can pay.
fn batch(shape: Shape, kinds: &[Kind]) -> anyhow::Result<SettlementInput> {
    let recipe = Recipe { shape, seed: 1, mechanism: Mechanism::Auction, used: shape.members };
    let mut input = with_operations(&recipe, kinds, Extras::default())?;
    for index in 0..input.operations.slots.len() {
        if let Some(signed) = input.operations.slots.get_mut(index) {
            let deposit = signed.operation.kind == Kind::Deposit;
            signed.operation.amount = UNIT_NANO * if deposit { DEPOSIT_UNITS } else { 1 };
        }
        resign_operation(&mut input, index)?;
    }
    Ok(input)
}

/// For another contract.
fn moved(mut input: SettlementInput, contract: &Address) -> anyhow::Result<SettlementInput> {
    move_to(&mut input, contract)?;
    for index in 0..input.operations.slots.len() {
        resign_operation(&mut input, index)?;
    }
    Ok(input)
}

/// A chain with verifiers, on which rollups are deployed.
struct World {
    shape: Shape,
    deployer: EthersClient,
    account: Address,
    settlement: VerifierInit,
    certificate: (Address, u32),
}

impl World {
    async fn rollup(&self, root: &Fr) -> anyhow::Result<EthersClient> {
        let config = RollupConfig {
            certificate_verifier: Some(self.certificate),
            ..RollupConfig::single_account(self.account, word(root), false)
        };
        Ok(self.deployer.deploy_rollup(&config, &[self.settlement]).await?)
    }

    /// A rollup that has settled operations of `kinds`, and the gas of that settlement.
    async fn settled(
        &self,
        kinds: &[Kind],
        prove: &dyn Fn(SettlementInput) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<(EthersClient, Transition, u64)> {
        let input = batch(self.shape, kinds)?;
        let before = compute(input.clone()).instance;
        let client = self.rollup(&before.old_root).await?;
        prepare(&client, &self.shape, &input, &before.tariff_commitment).await?;
        let transition = apply(moved(input, &client.contract())?)?;
        let proof = prove(transition.input.clone())?;
        let words = transition.data.get(self.shape.members + 2..).unwrap_or_default();
        let records = record::read(words).map_err(|(index, error)| anyhow::anyhow!("record {index}: {error}"))?;
        for (_, deposit) in records.iter().filter(|(_, record)| record.kind == record::RecordKind::Deposit) {
            client.deposit(word(&deposit.w1), deposit.units).await?;
        }
        let receipt = client.settle(settle_call(&transition, proof)?).await.context("settle")?;
        Ok((client, transition, receipt.gas_used))
    }
}

/// Measures every entry point with a shape's key and its proofs; `cache` has parameters.
///
/// # Errors
/// The chain is missing or refused.
pub fn measure(
    shape: Shape,
    srs: &Srs,
    (params, vk): (&Params, &VerifyingKey<G1Affine>),
    cache: &Path,
    prove: &dyn Fn(SettlementInput) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<Gas>> {
    let certificates = CertificateProver::open(&CertificateProverConfig::local(cache.to_path_buf()), &Silent)?;
    // Those of an open prover have no bases.
    let certificate_params = srs.params(CertificateCircuit::k(&()), &Silent)?;
    let certificate_vk = verifying_key::<CertificateCircuit>((), &certificate_params)?;
    let verifier = generate_settlement_verifier(params, vk, vec![instance::ROWS.len()], "GridveilVerifier")?;
    let spending = generate_settlement_verifier(
        &certificate_params,
        &certificate_vk,
        vec![certificate::ROWS.len()],
        "CertificateSpend",
    )?;
    let anvil = Anvil::spawn()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await?;
        let init = VerifierInit {
            shape: shape.id,
            slots: u32::try_from(shape.members)?,
            m: u16::try_from(shape.intervals)?,
            verifier: deployer.deploy_code(&verifier.creation).await?,
            proof_length: u32::try_from(proof_bytes(vk.cs()))?,
        };
        let certificate =
            (deployer.deploy_code(&spending.creation).await?, u32::try_from(proof_bytes(certificate_vk.cs()))?);
        let account = deployer.account().context("deployer's account")?;
        let world = World { shape, deployer, account, settlement: init, certificate };
        let mut out = Vec::new();
        for (kinds, what) in [(&[][..], "no record"), (&[Kind::Deposit][..], "1 record: a deposit")] {
            let (_, _, used) = world.settled(kinds, prove).await?;
            out.push(gas("settle", what, used));
        }
        let (client, transition, used) = world.settled(&EIGHT, prove).await?;
        out.push(gas("settle", "8 records: 3 deposits, 3 withdrawals, 2 claims", used));
        out.extend(entry_points(&client, &transition).await?);
        for (seed, what) in [(0, "transfer"), (1, "public retirement")] {
            out.push(gas("certify", what, certify(&world, &certificates, seed).await?));
        }
        Ok(out)
    })
}

fn small(value: u64) -> Word {
    word(&Fr::from(value))
}

/// Everything without a proof, on a rollup that has settled.
async fn entry_points(client: &EthersClient, t: &Transition) -> anyhow::Result<Vec<Gas>> {
    let mut out = Vec::new();
    let used = |receipt: TxReceipt| receipt.gas_used;
    let community = t.input.community.index;
    out.push(gas("deposit", "", used(client.deposit(small(11), 5).await?)));
    out.push(gas("requestRefund", "", used(client.request_refund(small(11)).await?)));
    client.set_local_time(client.timestamp().await? + 6 * 3600 + 10).await?;
    out.push(gas("refund", "", used(client.refund(small(11)).await?)));
    let withdrawn =
        t.applied.slots.iter().filter_map(|operation_slot| Some(&operation_slot.used.as_ref()?.0.operation));
    let slot = withdrawn.clone().find(|o| o.kind == Kind::Withdraw).context("a withdrawal")?.slot;
    let payee = t.after.accounts.get(usize::from(slot)).context("an account")?.payout;
    out.push(gas("withdraw", "", used(client.withdraw(payee).await?)));
    let leaving = t.after.accounts.iter().position(|account| account.balance > 0).context("an account with means")?;
    out.push(gas("forceWithdraw", "", used(client.force_withdraw(community, u32::try_from(leaving)?).await?)));
    client.set_local_time(client.timestamp().await? + 7 * 24 * 3600 + 10).await?;
    out.push(gas("freeze", "", used(client.freeze(community).await?)));
    out.push(gas("exit", &format!("{} slots", t.after.accounts.len()), used(client.exit(opening(t, leaving)?).await?)));
    let sent = withdrawn.clone().find(|o| o.kind == Kind::Send).context("a claim")?;
    let [sa, sb, ..] = sent.salts.map(|salt| word(&salt));
    let call = ExitClaimCall { recipient: word(&sent.party), amount: sent.amount, payout: sent.payout, sa, sb };
    out.push(gas("exitClaim", "", used(client.exit_claim(call).await?)));
    Ok(out)
}

/// The way of `slot`'s leaf to the state root after `t`.
fn opening(t: &Transition, slot: usize) -> anyhow::Result<ExitCall> {
    let account = t.after.accounts.get(slot).context("an account")?;
    let members = DenseTree::new(&t.after.leaves());
    let community = t.input.community.index;
    let mut siblings = Vec::new();
    for (path, mut at) in [(&members.path(slot), slot), (&t.input.state_path, usize::try_from(community)?)] {
        for children in path {
            siblings.extend(children.iter().enumerate().filter(|(place, _)| *place != at % 4).map(|(_, x)| word(x)));
            at /= 4;
        }
    }
    let [.., header_leaf, certificates_root] = t.data.get(..t.after.accounts.len() + 2).context("data")? else {
        anyhow::bail!("data without a header");
    };
    let [s1, s2] = account.salts.exit;
    Ok(ExitCall {
        community,
        slot: u32::try_from(slot)?,
        balance: account.balance,
        payout: account.payout,
        s1: word(&s1),
        s2: word(&s2),
        private_commitment: word(&account.private_commitment()),
        header_leaf: word(header_leaf),
        certificates_root: word(certificates_root),
        siblings,
    })
}

/// A rollup whose state is that of a seeded note, and the note spent on it.
async fn certify(world: &World, prover: &CertificateProver, seed: u64) -> anyhow::Result<u64> {
    let mut plan = plan(seed);
    let client = world.rollup(&plan.clone().sign(&owner_key(seed))?.compute().anchor).await?;
    plan.domain = domain(LOCAL_CHAIN_ID, &client.contract(), CERTIFICATE_VERSION);
    let made = prover.prove(&plan.sign(&owner_key(seed))?)?;
    let call = CertificateCall::new(&made.instance, made.proof)?;
    Ok(client.certify(call).await.context("certify")?.gas_used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_the_records_they_name_and_are_valid() {
        let shape = Shape { members: 16, operations: 8, ..Shape::by_name("tiny-4x2").unwrap() };
        for (kinds, records) in [(&[][..], 0), (&[Kind::Deposit][..], 1), (&EIGHT[..], 8)] {
            let t = apply(moved(batch(shape, kinds).unwrap(), &[7; 20]).unwrap()).unwrap();
            assert_eq!(t.data.len(), shape.members + 2 + 2 * records);
            assert_eq!(opening(&t, 3).unwrap().siblings.len(), 3 * (2 + 8));
        }
    }
}
