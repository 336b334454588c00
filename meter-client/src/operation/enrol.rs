//! `enrol`: a new account in an empty slot. The meter data manager offers terms, the member consents, the meter data manager countersigns.

use gridveil_protocol::{
    account::Terms,
    operation::{Kind, Operation, SignedOperation},
    owner::owner_of,
    schnorr::PublicKey,
};

use super::{Actor, BuildError, fresh_salts};

/// Consents to the terms with this owner key and meter. `actor.account` is the empty slot with its nonce; the salts are
/// the member's own, and open its first leaf.
///
/// # Errors
/// [`BuildError`].
pub fn build(
    actor: &Actor<'_>,
    meter: PublicKey,
    payout: [u8; 20],
    terms: Terms,
) -> Result<SignedOperation, BuildError> {
    if actor.account.meter.is_some() {
        return Err(BuildError::InUse);
    }
    if !terms.exist() {
        return Err(BuildError::Terms);
    }
    if payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    actor.room()?;
    let operation = Operation {
        party: owner_of(actor.secret).commitment(),
        payout,
        salts: fresh_salts()?,
        meter: Some(meter),
        terms: Some(terms),
        ..Operation::new(Kind::Enrol, actor.community, actor.slot, actor.account.nonce)
    };
    actor.sign(operation)
}
