//! `deposit`: takes in a deposit that L1 holds for this owner.

use gridveil_protocol::operation::{Kind, SignedOperation};

use super::{Actor, BuildError, Claim, check_units};

/// The claim to deposit to on L1: for this account's owner, refunded to the depositor if it is never taken in.
///
/// # Errors
/// [`BuildError`].
pub fn claim(actor: &Actor<'_>, amount_nano: u64) -> Result<Claim, BuildError> {
    check_units(amount_nano)?;
    actor.draft(Kind::Deposit)?;
    Claim::new(actor.account.owner, amount_nano, actor.account.payout)
}

/// Takes it in.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, claim: &Claim) -> Result<SignedOperation, BuildError> {
    check_units(claim.amount)?;
    let mut operation = actor.draft(Kind::Deposit)?;
    if claim.recipient != actor.account.owner {
        return Err(BuildError::NotForThisAccount);
    }
    (operation.amount, operation.payout) = (claim.amount, claim.payout);
    [operation.salts[0], operation.salts[1]] = claim.salts;
    actor.sign(operation)
}
