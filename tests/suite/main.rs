//! The whole system as its people use it: the binary `gridveil`, processes, a chain
//!
//! One binary: a test file is a module, and set-up is shared.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod config;
mod demo;
mod deploy;
mod fleet;
mod front;
mod kill;
mod live;
mod load;
mod market;
mod member;
mod simulate;
mod situations;
mod terminal;
mod tls;
mod tutorial;
mod upgrade;
mod watch;
