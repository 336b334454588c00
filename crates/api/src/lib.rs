//! The sequencer's HTTP API as types: what a request holds, what an answer holds, and the codes of refusals
//! (`docs/spec/api.md`). The server writes these types and clients read them, so there is one definition of the wire.
//!
//! - [`public`]: meters and members. [`admin`]: the operator.
//! - [`code`]: the table of refusals. [`problem`]: the document that carries one.
//!
//! What is signed (packets, operations, receipts) is `gridveil_protocol`'s and travels as it is.
//!
//! Architecture invariant: this crate reads no socket, file or clock, and knows neither server nor client.
//!
//! Readers take members that they do not know for granted: a newer server may say more. A member that is absent where
//! it is listed here is refused.
#![forbid(unsafe_code)]

pub mod admin;
pub mod code;
#[cfg(test)]
mod page;
pub mod problem;
pub mod public;

pub use code::{Code, CodeName, Fault};
pub use gridveil_protocol::codec::Bytes32;
pub use problem::{Members, Problem};
