//! `deposit`: takes in a deposit made on L1 for this owner (`docs/spec/operations/deposit.md`).

use super::{ClaimOf, Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::In,
    whole_units: true,
    claim: Some(ClaimOf::Owner),
    record: Some((RecordKind::Deposit, Subject::Claim)),
    ..Effect::nothing(Kind::Deposit, "deposit")
};
