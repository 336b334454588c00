//! A statement of retirement against L1 alone. The certificate's proof was checked by the contract when it took the
//! retirement.

use gridveil_protocol::{
    certificate::{Kind, ShownRetirement, StatementError},
    field::to_bytes,
    hex::hex_bytes,
};
use gridveil_verifier_contract::{AuditorL1, L1Error, RollupEffect, Word};
use serde::Serialize;

use crate::certificates::Spent;

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
    /// L1 had it, and undid it.
    #[error(
        "L1 undid the retirement in block {block}: its circuit version was retired before a batch took its notes in"
    )]
    Undone {
        /// Block.
        block: u64,
    },
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
    let undone_later = |at: usize, nullifier: Word| {
        events.iter().skip(at).find(|event| {
            matches!(event.effect, RollupEffect::NotesDropped { nullifier: of, undone: true, .. } if of == nullifier)
        })
    };
    let mut found = Err(RetirementError::Unknown);
    // Whoever knows the salts may have retired something of theirs under the same commitment: any one that fits will do.
    for (at, event) in events.iter().enumerate() {
        let Some(spent) = Spent::of(&event.effect).filter(|spent| spent.retirement == commitment) else { continue };
        let holds = Disclosed::of(&spent).check(shown).and_then(|()| match undone_later(at, spent.nullifier) {
            Some(undone) => Err(RetirementError::Undone { block: undone.block }),
            None => Ok(Retired { block: event.block, tx: event.tx, sealed: shown.sealed }),
        });
        match holds {
            Ok(retired) => return Ok(retired),
            Err(error) if found == Err(RetirementError::Unknown) => found = Err(error),
            Err(_) => {}
        }
    }
    found
}

/// The commitment that a statement opens.
pub(crate) fn opened(shown: &ShownRetirement) -> Result<Word, RetirementError> {
    shown.statement.verify(shown.commitment)?;
    Ok(to_bytes(&shown.commitment))
}

/// What L1 has of a retirement beside its commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disclosed {
    pub(crate) disclosed: Word,
    pub(crate) beneficiary: Word,
    pub(crate) kind: u16,
}

impl Disclosed {
    pub(crate) const fn of(spent: &Spent) -> Self {
        Self { disclosed: spent.disclosed, beneficiary: spent.beneficiary, kind: spent.kind }
    }

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
