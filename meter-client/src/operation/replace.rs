//! `replace`: the member consents to another meter; the meter data manager countersigns.

use gridveil_protocol::{
    operation::{Kind, SignedOperation},
    schnorr::PublicKey,
};

use super::{Actor, BuildError};

/// Consents.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, meter: PublicKey) -> Result<SignedOperation, BuildError> {
    let mut operation = actor.draft(Kind::Replace)?;
    if actor.account.meter == Some(meter) {
        return Err(BuildError::SameMeter);
    }
    operation.meter = Some(meter);
    actor.sign(operation)
}
