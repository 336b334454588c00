//! The prover as its callers meet it: real proofs, queues, and processes that are killed
//!
//! One binary: a test file is a module, and set-up is shared.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod certificate;
mod common;
mod kill;
mod many;
mod queue;
mod settlement;
