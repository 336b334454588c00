//! `replace`: gives the account another meter, from the next period on (`docs/spec/operations/replace.md`).

use super::{Change, Effect, Kind};

/// What it does.
pub const EFFECT: Effect =
    Effect { mdm: true, meter: Change::Set, finalises: true, ..Effect::nothing(Kind::Replace, "meter replaced") };
