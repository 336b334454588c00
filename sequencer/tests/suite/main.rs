//! The sequencer as its clients and its disk meet it
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod api;
mod bulk;
mod chain;
mod common;
mod crowd;
mod described;
mod emergency;
mod events;
mod fuzzed;
mod joining;
mod l1_away;
mod malformed;
mod once;
mod operations;
mod pieces;
mod proving;
mod recovery;
mod restore;
mod roles;
mod seen;
mod snapshots;
mod thief;
mod thousands;
mod torn;
mod upgrade;
