//! `send`: opens a claim for another owner.

use gridveil_protocol::{
    field::Fr,
    operation::{Kind, SignedOperation},
};

use super::{Actor, BuildError, Claim};

/// Sends to an owner commitment; `payout` is where L1 pays the recipient if the rollup is frozen before. The claim goes
/// to the recipient.
///
/// # Errors
/// [`BuildError`].
pub fn build(
    actor: &Actor<'_>,
    recipient: Fr,
    payout: [u8; 20],
    amount_nano: u64,
) -> Result<(SignedOperation, Claim), BuildError> {
    if amount_nano == 0 {
        return Err(BuildError::ZeroAmount);
    }
    if recipient == Fr::from(0u64) {
        return Err(BuildError::NoRecipient);
    }
    if payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    let mut operation = actor.draft(Kind::Send)?;
    actor.check_out(amount_nano)?;
    let claim = Claim::new(recipient, amount_nano, payout)?;
    (operation.amount, operation.party, operation.payout) = (amount_nano, recipient, payout);
    [operation.salts[0], operation.salts[1]] = claim.salts;
    Ok((actor.sign(operation)?, claim))
}
