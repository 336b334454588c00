//! The contract as its clients meet it, beside the fake; and the generated verifiers of this project's circuits
//!
//! One binary: a test file is a module.
#![allow(clippy::unwrap_used, clippy::panic)]

mod calldata;
mod clients;
#[cfg(feature = "codegen")]
mod codegen;
mod council;
mod ending;
mod fake;
mod l1;
mod logs;
mod nodes;
mod notes;
mod sending;
mod signers;
