//! `terms`: the member consents to other terms; the meter data manager countersigns.

use gridveil_protocol::{
    account::Terms,
    operation::{Kind, SignedOperation},
};

use super::{Actor, BuildError};

/// Consents.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, terms: Terms) -> Result<SignedOperation, BuildError> {
    if !terms.exist() {
        return Err(BuildError::Terms);
    }
    let mut operation = actor.draft(Kind::Terms)?;
    operation.terms = Some(terms);
    actor.sign(operation)
}
