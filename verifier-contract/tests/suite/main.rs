//! The contract as its clients meet it, beside the fake; and the generated verifiers of this project's circuits
//!
//! One binary: a test file is a module.
#![allow(clippy::unwrap_used, clippy::panic)]

#[cfg(feature = "codegen")]
mod codegen;
mod l1;
