//! Version 3 of the statement: a district of communities is settled in one proof (`docs/spec/district.md`).
//!
//! It is written beside version 2 ([`crate::settlement`]), which the program still runs on, and shares with it what is the
//! same: field, hashes, signatures, trees and units (`docs/adr/0049-version-3-beside-version-2.md`).

pub mod account;
pub mod bill;
pub mod market;
pub mod packet;
pub mod recovery;
pub mod seed;
pub mod tariff;
pub mod words;
