//! `send`: opens a claim for another owner, of this or another community (`docs/spec/operations/send.md`).

use super::{ClaimOf, Effect, Flow, Kind, Subject};
use crate::record::RecordKind;

/// What it does.
pub const EFFECT: Effect = Effect {
    flow: Flow::Out,
    claim: Some(ClaimOf::Party),
    record: Some((RecordKind::Send, Subject::Claim)),
    ..Effect::nothing(Kind::Send, "sent")
};
