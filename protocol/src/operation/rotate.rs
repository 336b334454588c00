//! `rotate`: gives the account another owner key and payout address (`docs/spec/operations/rotate.md`).

use super::{Change, Effect, Kind};

/// What it does.
pub const EFFECT: Effect =
    Effect { owner: Change::Set, payout: Change::Set, ..Effect::nothing(Kind::Rotate, "owner key changed") };
