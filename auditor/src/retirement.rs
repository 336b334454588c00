//! A statement of retirement against L1 alone. The certificate's proof was checked by the contract when it took the
//! retirement.

use gridveil_protocol::{
    certificate::{Kind, ShownRetirement, StatementError},
    field::to_bytes,
    hex::hex_bytes,
};
use gridveil_verifier_contract::{AuditorL1, L1Error, RollupEffect, Word};
use serde::Serialize;

/// Why a statement does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetirementError {
    /// Another chain or contract than the one asked.
    #[error("the statement is for another chain or contract")]
    OtherDeployment,
    /// It opens another commitment.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// L1 has no such retirement.
    #[error("L1 has no retirement with this commitment")]
    Unknown,
    /// Another purpose, or sealed where it was public.
    #[error("L1 has the retirement as another kind: purpose, or public where sealed was said")]
    Kind,
    /// What was published is not what is shown.
    #[error("CERT.5: L1 discloses another amount, period or beneficiary")]
    Disclosed,
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] L1Error),
}

/// A retirement that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// Block of the retirement.
    pub block: u64,
    /// Its transaction.
    #[serde(serialize_with = "hex_bytes::serialize")]
    pub tx: [u8; 32],
    /// Is it shown by its statement alone?
    pub sealed: bool,
}

/// Checks amount, period, technology, community and beneficiary of a shown retirement.
///
/// # Errors
/// [`RetirementError`].
pub async fn retirement(
    l1: &dyn AuditorL1,
    shown: &ShownRetirement,
    from_block: u64,
) -> Result<Retired, RetirementError> {
    if l1.chain_id().await? != shown.chain_id || l1.contract() != shown.contract {
        return Err(RetirementError::OtherDeployment);
    }
    let commitment = opened(shown)?;
    let events = l1.events(from_block).await?;
    let found = events.iter().find_map(|event| {
        let RollupEffect::CertificateSpent { retirement, disclosed, beneficiary, kind, .. } = event.effect else {
            return None;
        };
        (retirement == commitment).then_some((event, Disclosed { disclosed, beneficiary, kind }))
    });
    let (event, disclosed) = found.ok_or(RetirementError::Unknown)?;
    disclosed.check(shown)?;
    Ok(Retired { block: event.block, tx: event.tx, sealed: shown.sealed })
}

/// The commitment that a statement opens.
pub(crate) fn opened(shown: &ShownRetirement) -> Result<Word, RetirementError> {
    shown.statement.verify(shown.commitment)?;
    Ok(to_bytes(&shown.commitment))
}

/// What L1 has of a retirement beside its commitment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disclosed {
    pub(crate) disclosed: Word,
    pub(crate) beneficiary: Word,
    pub(crate) kind: u16,
}

impl Disclosed {
    /// Is it what is shown?
    pub(crate) fn check(&self, shown: &ShownRetirement) -> Result<(), RetirementError> {
        let statement = &shown.statement;
        if u64::from(self.kind) != Kind::new(shown.sealed, statement.purpose).code() {
            return Err(RetirementError::Kind);
        }
        let published = if shown.sealed {
            ([0; 32], [0; 32])
        } else {
            (to_bytes(&statement.info()), to_bytes(&statement.beneficiary))
        };
        if (self.disclosed, self.beneficiary) == published { Ok(()) } else { Err(RetirementError::Disclosed) }
    }
}
