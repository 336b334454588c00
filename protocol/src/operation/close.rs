//! `close`: pays the whole balance and empties the slot; what is less than a unit goes to the supplier account
//! (`docs/spec/operations/close.md`).

use super::{Change, Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::Out,
    whole_units: true,
    all_units: true,
    record: Some((RecordKind::Withdraw, Subject::Payout)),
    owner: Change::Clear,
    payout: Change::Clear,
    meter: Change::Clear,
    terms: Change::Clear,
    registers: Change::Clear,
    finalises: true,
    ..Effect::nothing(Kind::Close, "account closed")
};
