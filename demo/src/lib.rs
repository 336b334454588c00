//! The demonstration: a month of real homes through the whole system, a local network to try commands on, and the market
//! and the rules without a chain.
//!
//! Nothing here decides what the protocol decides: markets are cleared by [`gridveil_protocol::market`], periods are
//! settled by [`gridveil_protocol::settlement::apply`]. Keys and salts of the demonstration's communities are public.
#![forbid(unsafe_code)]

pub mod data;
pub mod demo;
pub mod devnet;
pub mod fleet;
pub mod genesis;
pub mod homes;
pub mod ledger;
pub mod market;
pub mod packets;
pub mod simulate;
pub use gridveil_cli::time_of_use;
