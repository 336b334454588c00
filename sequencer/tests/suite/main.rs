//! The sequencer as its clients and its disk meet it
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod api;
mod chain;
mod common;
mod crowd;
mod emergency;
mod joining;
mod l1_away;
mod operations;
mod proving;
mod recovery;
mod restore;
mod snapshots;
mod thief;
mod thousands;
mod upgrade;
