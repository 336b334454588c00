//! `close`: pays everything out and empties the slot.

use gridveil_protocol::{
    operation::{Kind, SignedOperation},
    params::UNIT_NANO,
};

use super::{Actor, BuildError};

/// Closes. The balance is named exactly, so the open period must not bill the account any more, and nothing else may
/// wait.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, open_claims: usize) -> Result<SignedOperation, BuildError> {
    let mut operation = actor.draft(Kind::Close)?;
    if actor.waiting > 0 {
        return Err(BuildError::Waiting);
    }
    if open_claims > 0 {
        return Err(BuildError::OpenClaims { open: open_claims });
    }
    actor.check_out(0)?;
    let (until, open) = (actor.account.terms.active_until, actor.open_interval);
    if until > open {
        return Err(BuildError::StillActive { until, open });
    }
    operation.amount = actor.account.balance - actor.account.balance % UNIT_NANO;
    if operation.amount > 0 && actor.account.payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    actor.sign(operation)
}
