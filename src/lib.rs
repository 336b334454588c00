//! The umbrella of Gridveil: commands for people, and the demonstration that runs every part together.
//!
//! Nothing here decides what the protocol decides: markets are cleared by [`gridveil_protocol::market`], periods are
//! settled by [`gridveil_protocol::settlement::apply`].
#![forbid(unsafe_code)]

pub mod audit;
pub mod demo;
pub mod devnet;
pub mod genesis;
pub mod homes;
pub mod ledger;
pub mod market;
pub mod mdm;
pub mod member;
pub mod operator;
pub mod packets;
pub mod proofs;
pub mod queue;
pub mod sequencer;
pub mod simulate;
pub mod text;
pub mod time_of_use;
