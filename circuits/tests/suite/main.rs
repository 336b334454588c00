//! The circuits against the rules: mutants, attacks, agreement, golden files
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod agreement;
mod attacks;
mod bypass;
mod certificate;
mod certificate_cells;
mod chips;
mod common;
mod compositions;
mod cost;
mod deletion;
mod determined;
mod direct;
mod free_cells;
mod idle_slots;
mod lines;
mod mutants;
mod operations;
mod rows;
mod settlement;
mod unusual;
mod verify;
