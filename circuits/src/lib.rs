//! The rules of `gridveil-protocol` as halo2 circuits.
//!
//! Layers: [`trace`] (cells, copies, labels: a witness table laid out by hand) <- [`chips`] (columns, gates) <-
//! `settlement`, `certificate` (read like the specification). The table is built once from concrete values and assigned
//! into halo2 in one region, so that the layout is exactly the area plan. [`verify`] is the one verifier of proofs.
#![forbid(unsafe_code)]

pub mod assign;
pub mod certificate;
pub mod chips;
pub mod field;
pub mod gadgets;
pub mod settlement;
pub mod signature;
pub mod trace;
pub mod verify;
pub mod version;

/// BN254 scalar field, this crate's implementation (`halo2curves`), independent of the one in `protocol` (`ark-ff`).
pub type Fr = halo2curves::bn256::Fr;
