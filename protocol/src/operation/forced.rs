//! `forced`: pays the whole units of the balance because L1's queue asks for it, or nothing if the requester is not the
//! payout address (`docs/spec/operations/forced.md`).

use super::{Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::Out,
    whole_units: true,
    all_units: true,
    record: Some((RecordKind::Forced, Subject::Requester)),
    ..Effect::nothing(Kind::Forced, "forced withdrawal")
};
