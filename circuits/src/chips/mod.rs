//! Chips: each configures gates over the shared columns and writes rows of a [`crate::trace::Trace`].

pub mod columns;
pub mod poseidon;
pub mod schnorr;
