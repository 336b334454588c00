//! The client as a member runs it
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cli;
mod live;
mod member;
mod server;
mod swap;
