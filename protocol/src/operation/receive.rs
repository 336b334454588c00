//! `receive`: takes in a claim that another member opened for this owner (`docs/spec/operations/receive.md`).

use super::{ClaimOf, Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::In,
    claim: Some(ClaimOf::Owner),
    record: Some((RecordKind::Receive, Subject::Claim)),
    ..Effect::nothing(Kind::Receive, "received")
};
