//! Chips: each configures gates over the shared columns and writes rows of a [`crate::trace::Trace`].

pub mod arith;
pub mod columns;
pub mod market;
pub mod path;
pub mod poseidon;
pub mod range;
pub mod schnorr;
