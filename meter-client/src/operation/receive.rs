//! `receive`: takes in a claim that another member opened.

use gridveil_protocol::operation::{Kind, SignedOperation};

use super::{Actor, BuildError, Claim};

/// Takes it in. The caller checks that the claim is open on L1.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, claim: &Claim) -> Result<SignedOperation, BuildError> {
    if claim.amount == 0 {
        return Err(BuildError::ZeroAmount);
    }
    let mut operation = actor.draft(Kind::Receive)?;
    if claim.recipient != actor.account.owner {
        return Err(BuildError::NotForThisAccount);
    }
    (operation.amount, operation.payout) = (claim.amount, claim.payout);
    [operation.salts[0], operation.salts[1]] = claim.salts;
    actor.sign(operation)
}
