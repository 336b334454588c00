//! The commands of the people who run and use a rollup: one file a role.
//!
//! Nothing here decides what the protocol decides. Nothing here belongs to the demonstration: `gridveil-demo` depends
//! on this crate, never the other way round (`docs/adr/0011-rooms.md`).
#![forbid(unsafe_code)]

pub mod audit;
pub mod common;
pub mod config;
pub mod deployment;
pub mod export;
pub mod mdm;
pub mod member;
pub mod meter;
pub mod operator;
pub mod prices;
pub mod proofs;
pub mod prover;
pub mod provers;
pub mod queue;
pub mod rpc_file;
pub mod sequencer;
pub mod time_of_use;
pub mod verifiers;
pub mod verify_deployment;

pub use gridveil_meter_client::cli::household;
