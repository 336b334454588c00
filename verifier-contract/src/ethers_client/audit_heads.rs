//! Heads of the operator's audit log: a contract beside the rollup, through the rollup's client.

use ethers::abi::Token;
use ethers::contract::EthEvent;
use ethers::types::Address as EthAddress;

use super::bindings::{AuditHeadFilter, AuditHeads as Bound};
use super::{EthersClient, block_of, creation, decode_log, malformed};
use crate::artifact::Contract;
use crate::client::{AuditHeadsL1, L1Error, L1Future};
use crate::types::{Address, AuditHead, TxReceipt, Word};

/// The heads that a contract has, and the key that may add to them.
#[derive(Clone, Debug)]
pub struct AuditHeads {
    client: EthersClient,
    contract: Address,
}

/// Creation code of the contract, for a rollup.
///
/// # Errors
/// [`L1Error::Malformed`] if the artifact was damaged before this program was built.
pub fn audit_heads_creation(rollup: Address) -> Result<Vec<u8>, L1Error> {
    let mut code = creation(Contract::AuditHeads)?;
    code.extend(ethers::abi::encode(&[Token::Address(rollup.into())]));
    Ok(code)
}

impl AuditHeads {
    /// Those of a contract; `client` is its rollup's.
    #[must_use]
    pub const fn new(client: EthersClient, contract: Address) -> Self {
        Self { client, contract }
    }

    /// Deploys the contract for the client's rollup.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn deploy(client: EthersClient) -> Result<Self, L1Error> {
        let contract = client.deploy_code(&audit_heads_creation(client.contract)?).await?;
        Ok(Self { client, contract })
    }

    /// The contract.
    #[must_use]
    pub const fn contract(&self) -> Address {
        self.contract
    }

    /// Is the contract this program's, and for the client's rollup? Otherwise its events say nothing.
    ///
    /// # Errors
    /// [`L1Error`]; `Malformed` says what differs.
    pub async fn check(&self) -> Result<(), L1Error> {
        let code = self.client.code(self.contract).await?;
        let immutables = Contract::AuditHeads.artifact().map_err(malformed)?.compare(&code).map_err(malformed)?;
        let mut rollup = Word::default();
        rollup[12..].copy_from_slice(&self.client.contract);
        if immutables == [rollup] { Ok(()) } else { Err(malformed("the audit heads are another rollup's")) }
    }

    fn at(&self) -> EthAddress {
        self.contract.into()
    }
}

impl AuditHeadsL1 for AuditHeads {
    fn publish(&self, count: u64, head: Word) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let bound = Bound::new(self.at(), self.client.provider.clone());
            self.client.transact_at(self.at(), bound.publish(count, head).calldata()).await
        })
    }

    fn published(&self) -> L1Future<'_, u64> {
        Box::pin(async move {
            let bound = Bound::new(self.at(), self.client.provider.clone());
            self.client.view_at(self.at(), bound.count().calldata()).await
        })
    }

    fn heads(&self, from_block: u64) -> L1Future<'_, Vec<AuditHead>> {
        Box::pin(async move {
            let asked = vec![self.at()];
            let logs = self.client.logs_of(asked, Some(AuditHeadFilter::signature()), from_block).await?;
            let one = |log: &ethers::types::Log| {
                let AuditHeadFilter { count, head } = decode_log(log)?;
                Ok(AuditHead { block: block_of(log)?, count, head })
            };
            logs.iter().map(one).collect()
        })
    }
}
