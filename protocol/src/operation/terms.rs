//! `terms`: changes window, caps, limits, technology, scale or class, from the next period on
//! (`docs/spec/operations/terms.md`).

use super::{Change, Effect, Kind};

/// What it does.
pub const EFFECT: Effect =
    Effect { mdm: true, terms: Change::Set, finalises: true, ..Effect::nothing(Kind::Terms, "terms changed") };
