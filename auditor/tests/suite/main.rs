//! What an auditor finds: honest chains, and the same with one lie at a time
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod ledger;
mod native;
mod replay;
mod totals;
mod upgrade;
