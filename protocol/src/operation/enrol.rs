//! `enrol`: puts a new account into an empty slot (`docs/spec/operations/enrol.md`).

use super::{Change, Effect, Kind};

/// What it does.
pub const EFFECT: Effect = Effect {
    mdm: true,
    owner: Change::Set,
    payout: Change::Set,
    meter: Change::Set,
    terms: Change::Set,
    registers: Change::Clear,
    salts: Change::Set,
    finalises: true,
    ..Effect::nothing(Kind::Enrol, "account opened")
};
