//! `withdraw`: pays whole units to the leaf's payout address (`docs/spec/operations/withdraw.md`).

use super::{Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::Out,
    whole_units: true,
    record: Some((RecordKind::Withdraw, Subject::Payout)),
    ..Effect::nothing(Kind::Withdraw, "withdrawal")
};
