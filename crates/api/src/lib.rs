//! The sequencer's HTTP API as types: what a request holds, what an answer holds, and the codes of refusals
//! (`docs/spec/api.md`). The server writes these types and clients read them, so there is one definition of the wire.
//!
//! - [`public`]: meters and members. [`admin`]: the operator.
//! - [`beginning`]: communities that begin empty. [`export`]: what is held of one account.
//! - [`code`]: the table of refusals. [`problem`]: the document that carries one.
//!
//! Packets, operations and receipts are signed, and are types of `gridveil_protocol`. They are sent unchanged.
//!
//! Architecture invariant: this crate reads no socket, file or clock, and knows neither server nor client.
//!
//! A reader ignores fields that it does not know, because a newer server may send more. It refuses an answer that lacks
//! a field listed here.
#![forbid(unsafe_code)]

pub mod admin;
pub mod beginning;
pub mod code;
pub mod export;
pub mod grant;
#[cfg(test)]
mod page;
pub mod problem;
pub mod public;

pub use code::{Code, CodeName, Fault};
pub use gridveil_protocol::codec::Bytes32;
pub use problem::{Members, Problem};
