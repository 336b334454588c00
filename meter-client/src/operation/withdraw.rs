//! `withdraw`: whole units to the account's payout address on L1.

use gridveil_protocol::operation::{Kind, SignedOperation};

use super::{Actor, BuildError, check_units};

/// Pays out.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, amount_nano: u64) -> Result<SignedOperation, BuildError> {
    check_units(amount_nano)?;
    let mut operation = actor.draft(Kind::Withdraw)?;
    actor.check_out(amount_nano)?;
    if actor.account.payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    operation.amount = amount_nano;
    actor.sign(operation)
}
