//! `withdraw`: whole units to the account's payout address on L1.

use gridveil_protocol::operation::{Kind, SignedOperation};

use super::{Actor, BuildError, plain};

/// Pays out.
///
/// # Errors
/// [`BuildError`].
pub fn build(actor: &Actor<'_>, amount_nano: u64) -> Result<SignedOperation, BuildError> {
    plain::build(actor, Kind::Withdraw, amount_nano)
}
