//! The rules of Gridveil, natively. Pure: no I/O, no clock, no proving system.
//!
//! [`settlement::apply`] is the one state transition; the circuit proves it, the sequencer calls it, the auditor and
//! the members rely on it. Clause ids (`SETTLE.6`) are those of `docs/spec/settlement.md`.
#![forbid(unsafe_code)]
// Tests may say "all others": what a rule does not name there has one answer.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod account;
pub mod bill;
pub mod certificate;
pub mod codec;
pub mod community;
pub mod correction;
pub mod district;
pub mod field;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod header;
pub mod header_operation;
pub mod hex;
pub mod init;
pub mod instance;
pub mod market;
pub mod note;
pub mod opening;
pub mod operation;
pub mod operation_slots;
pub mod owner;
pub mod packet;
pub mod params;
pub mod poseidon;
pub mod receipt;
pub mod record;
pub mod schnorr;
pub mod settlement;
pub mod tariff;
pub mod tree;
pub mod units;
pub mod version;
