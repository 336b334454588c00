//! `rotate`: another owner key, another payout address, or both.

use gridveil_protocol::{
    operation::{Kind, SignedOperation},
    owner::OwnerKey,
};

use super::{Actor, BuildError};

/// Gives the account to `owner`. From then on it pays out to `payout`. `open_claims`: incoming claims for the
/// present key, which nobody could take in afterwards.
///
/// # Errors
/// [`BuildError`].
pub fn build(
    actor: &Actor<'_>,
    owner: &OwnerKey,
    payout: [u8; 20],
    open_claims: usize,
) -> Result<SignedOperation, BuildError> {
    let mut operation = actor.draft(Kind::Rotate)?;
    let party = owner.commitment();
    if party == actor.account.owner && payout == actor.account.payout {
        return Err(BuildError::SameOwner);
    }
    if payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    if open_claims > 0 && party != actor.account.owner {
        return Err(BuildError::OpenClaims { open: open_claims });
    }
    (operation.party, operation.payout) = (party, payout);
    actor.sign(operation)
}
