//! The council, and what a proof that a verifier is unsound has led to.

use ethers::contract::EthEvent;
use ethers::providers::Middleware;
use ethers::types::{Address as EthAddress, H256, U256};

use super::bindings::{BatchSettledFilter, CouncilAppointedFilter};
use super::{EthersClient, Rpc, decode_log, malformed, request};
use crate::client::{ChainL1, L1Error, SettlementL1};
use crate::types::{Address, Appointed, Halt, ProvenStatement, RollupEffect, RollupEvent, Safe, SettledBatch, Word};

#[allow(clippy::all, clippy::unwrap_used, clippy::panic, missing_docs)]
mod safe {
    ethers::contract::abigen!(
        AnySafe,
        r#"[
            function getThreshold() external view returns (uint256)
            function getOwners() external view returns (address[])
        ]"#
    );
}

/// Most owners of a Safe that are read.
const MAX_OWNERS: usize = 1024;

/// A settlement that L1 took, as a statement and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledStatement {
    /// Circuit version of its verifier.
    pub circuit_version: u32,
    /// Shape's identifier.
    pub shape: u32,
    /// The batch.
    pub batch: u64,
    /// What was stated and proved.
    pub statement: ProvenStatement,
}

impl EthersClient {
    /// Who is the council, and who was appointed and is not yet.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn appointed(&self) -> Result<Appointed, L1Error> {
        self.appointed_after(&[], 0).await
    }

    /// The same, of events up to a block that are known, and logs from the next one on.
    pub(super) async fn appointed_after(&self, known: &[RollupEvent], from_block: u64) -> Result<Appointed, L1Error> {
        let registry = self.registry().await?;
        let council: EthAddress = self.view_at(registry.address(), registry.council().calldata()).await?;
        let now = self.timestamp().await?;
        let someone = |account: EthAddress| (account != EthAddress::zero()).then_some(account.0);
        let told = |event: &RollupEvent| {
            let RollupEffect::CouncilAppointed { council, from } = event.effect else { return None };
            Some((EthAddress::from(council), from))
        };
        let logs = self.registry_logs(CouncilAppointedFilter::signature(), from_block).await?;
        let last: Option<CouncilAppointedFilter> = logs.last().map(decode_log).transpose()?;
        let last = last.map(|last| (last.council, last.from)).or_else(|| known.iter().rev().find_map(told));
        let next = last.filter(|(_, from)| *from > now).map(|(council, from)| (someone(council), from));
        Ok(Appointed { council: someone(council), next })
    }

    /// What an account says of itself as a Safe; `None` if it says nothing of the kind.
    ///
    /// # Errors
    /// [`L1Error`] if the node does not answer.
    pub async fn safe(&self, account: Address) -> Result<Option<Safe>, L1Error> {
        let at = EthAddress::from(account);
        let bound: safe::AnySafe<Rpc> = safe::AnySafe::new(at, self.provider.clone());
        let none = |error: L1Error| if error.is_retryable() { Err(error) } else { Ok(None) };
        let threshold = match self.view_at::<U256>(at, bound.get_threshold().calldata()).await {
            Ok(threshold) => threshold,
            Err(error) => return none(error),
        };
        let owners = match self.view_at::<Vec<EthAddress>>(at, bound.get_owners().calldata()).await {
            Ok(owners) => owners,
            Err(error) => return none(error),
        };
        if owners.len() > MAX_OWNERS {
            return Err(malformed(format_args!("a Safe of more than {MAX_OWNERS} owners")));
        }
        let threshold = u64::try_from(threshold).unwrap_or(u64::MAX);
        Ok(Some(Safe { threshold, owners: owners.into_iter().map(|owner| owner.0).collect() }))
    }

    /// What follows for a shape from a proof that its verifier in use is unsound.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn halt_of(&self, shape: u32) -> Result<Halt, L1Error> {
        let registry = self.registry().await?;
        let (proven_at_s, held_until_s): (u64, u64) =
            self.view_at(registry.address(), registry.halt_of(shape).calldata()).await?;
        Ok(Halt { proven_at_s, held_until_s })
    }

    /// Is a verifier in use of the shape proven unsound, and no later one in use yet, nor two forced deadlines over?
    pub(super) async fn emergency_lasts(&self, shape: u32) -> Result<bool, L1Error> {
        let halt = self.halt_of(shape).await?;
        Ok(halt.proven_at_s != 0 && halt.lasts(self.timestamp().await?, self.forced_deadline_s().await?))
    }

    /// The statement and the proof of a settlement that L1 took, by its transaction.
    ///
    /// # Errors
    /// [`L1Error`]; `Malformed` if the transaction settled nothing here.
    pub async fn statement_of(&self, tx: Word) -> Result<SettledStatement, L1Error> {
        let receipt = request(self.provider.get_transaction_receipt(H256(tx))).await?;
        let receipt = receipt.ok_or_else(|| malformed("no such transaction, or it is not mined"))?;
        let rollup = EthAddress::from(self.contract);
        let settles = |log: &&ethers::types::Log| {
            log.address == rollup && log.topics.first() == Some(&BatchSettledFilter::signature())
        };
        let log = receipt.logs.iter().find(settles).ok_or_else(|| malformed("the transaction settled nothing here"))?;
        let batch: SettledBatch = self.settled(log).await?;
        let params = self.community(batch.call.community).await?;
        let params = params.ok_or_else(|| malformed("a batch of a community that is not registered"))?;
        let statement = ProvenStatement::of(self.chain_id, &self.contract, &params, &batch);
        Ok(SettledStatement {
            circuit_version: batch.call.circuit_version,
            shape: params.shape,
            batch: batch.batch,
            statement: statement.ok_or_else(|| malformed("a batch with a word that is no field element"))?,
        })
    }
}
