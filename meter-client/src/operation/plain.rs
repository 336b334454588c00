//! Operations whose message has nothing but an amount, or nothing at all: the table of effects says what is checked.

use gridveil_protocol::operation::{Flow, Kind, SignedOperation, Subject, slot::OperationError};

use super::{Actor, BuildError, check_units};

/// Builds `kind` with `amount_nano`, which is 0 where no money moves.
///
/// # Errors
/// [`BuildError`]: [`BuildError::Rules`] also for a kind that has other fields.
pub fn build(actor: &Actor<'_>, kind: Kind, amount_nano: u64) -> Result<SignedOperation, BuildError> {
    let effect = kind.effect();
    // Only the meter data manager's signature keeps the rules from being asked below.
    if effect.mdm {
        return Err(OperationError::Mdm.into());
    }
    match (effect.flow, effect.whole_units) {
        (Flow::None, _) => {}
        (_, true) => check_units(amount_nano)?,
        (_, false) if amount_nano == 0 => return Err(BuildError::ZeroAmount),
        (_, false) => {}
    }
    let mut operation = actor.draft(kind)?;
    if effect.flow == Flow::Out {
        actor.check_out(amount_nano)?;
    }
    let paid = effect.record.is_some_and(|(_, subject)| subject == Subject::Payout);
    if paid && actor.account.payout == [0; 20] {
        return Err(BuildError::NoPayout);
    }
    operation.amount = amount_nano;
    actor.sign(operation)
}
