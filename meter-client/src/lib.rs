//! A member's side of Gridveil: reads the meter's file, signs a period's packet, hands it in, and checks the settlement
//! that followed.
//!
//! The operator is not trusted: a statement holds only if the bill recomputed from the member's own readings and the
//! published tariff leads to a root that the contract on L1 has finalised.
#![forbid(unsafe_code)]

pub mod bill;
pub mod calendar;
pub mod cli;
pub mod device;
mod http;
pub mod key_store;
pub mod l1;
pub mod live;
pub mod operation;
pub mod outbox;
pub mod packet;
pub mod proposal;
pub mod recover;
pub mod service;
pub mod source;
pub mod statement;
pub mod submit;
pub mod sync;
pub mod wallet;
