//! A statement of retirement against L1 alone. The certificate's proof was checked by the contract when it took the
//! retirement.

use gridveil_protocol::{
    certificate::{Kind, ShownRetirement, StatementError},
    field::to_bytes,
    hex::hex_bytes,
};
use gridveil_verifier_contract::{AuditorL1, L1Error, RollupEffect, RollupEvent, Word};
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
    /// Can nothing undo it any more? While its notes wait in L1's queue, L1 undoes it if its circuit version is retired.
    pub settled: bool,
}

/// What became of the new notes of a spending.
enum Fate {
    Waiting,
    /// In the state, or never to be: the spending stands.
    Settled,
    /// The spending was undone in this block.
    Undone(u64),
}

/// The fate of the new notes of `events[at]`, which is this spending.
fn fate(events: &[RollupEvent], at: usize, spent: &Spent) -> Fate {
    let is_freeze =
        |event: &RollupEvent| matches!(event.effect, RollupEffect::Frozen { .. } | RollupEffect::FrozenForNotes { .. });
    if events.iter().take(at).any(is_freeze) {
        return Fate::Settled;
    }
    let of = |event: &RollupEvent| {
        if let RollupEffect::NotesDropped { nullifier, undone, .. } = event.effect
            && nullifier == spent.nullifier
        {
            return Some(if undone { Fate::Undone(event.block) } else { Fate::Settled });
        }
        let is_first = |note| spent.notes.first() == Some(&note);
        let appended = matches!(event.effect, RollupEffect::NoteAppended { note, .. } if is_first(note));
        appended.then_some(Fate::Settled)
    };
    events.iter().skip(at).find_map(of).unwrap_or(Fate::Waiting)
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
    let mut found = Err(RetirementError::Unknown);
    // Whoever knows the salts may have retired something of theirs under the same commitment: any one that fits will do.
    for (at, event) in events.iter().enumerate() {
        let Some(spent) = Spent::of(&event.effect).filter(|spent| spent.retirement == commitment) else { continue };
        let retired = |settled| Retired { block: event.block, tx: event.tx, sealed: shown.sealed, settled };
        let holds = Disclosed::of(&spent).check(shown).and_then(|()| match fate(&events, at, &spent) {
            Fate::Undone(block) => Err(RetirementError::Undone { block }),
            Fate::Settled => Ok(retired(true)),
            Fate::Waiting => Ok(retired(false)),
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
