//! Records: what of a settlement's operations L1 must see, two words each (`docs/spec/operations.md`, Records and binding).

use crate::{
    field::{Fr, shifted},
    poseidon::hash4,
};
use ark_ff::AdditiveGroup;

/// First bytes of `w0`.
pub mod code {
    /// A deposit was taken in.
    pub const DEPOSIT: u64 = 1;
    /// Units are owed to a payout address.
    pub const WITHDRAW: u64 = 2;
    /// A claim between members opened.
    pub const SEND: u64 = 3;
    /// A claim between members taken in.
    pub const RECEIVE: u64 = 4;
    /// The head of the forced queue was served.
    pub const FORCED: u64 = 10;
    /// A substituted period was adjusted.
    pub const ADJUST: u64 = 11;
    /// Units moved from the operator's funds to a float.
    pub const FLOAT_IN: u64 = 16;
    /// Units moved from a float to the treasury.
    pub const FLOAT_OUT: u64 = 17;
    /// Units moved from an accrual to the treasury.
    pub const ACCRUAL_OUT: u64 = 18;
    /// A queued note was appended.
    pub const NOTE: u64 = 20;
    /// A community began.
    pub const INIT: u64 = 21;
}

/// Bit of `w0` at which the units begin.
pub const UNITS_SHIFT: u32 = 8;
/// Bit of `w0` at which slot or interval begins.
pub const EXTRA_SHIFT: u32 = 56;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// `kind | units<<8 | x<<56`.
    pub w0: Fr,
    /// Claim, address, commitment or note.
    pub w1: Fr,
}

impl Record {
    /// A record of `code` about `units` whole units.
    #[must_use]
    pub fn new(code: u64, units: u64, extra: u32, w1: Fr) -> Self {
        Self { w0: Fr::from(code) + shifted(units, UNITS_SHIFT) + shifted(u64::from(extra), EXTRA_SHIFT), w1 }
    }

    /// The digest after this record.
    #[must_use]
    pub fn absorbed(&self, digest: Fr) -> Fr {
        hash4([digest, self.w0, self.w1, Fr::ZERO])
    }
}

/// `ops_digest`: 0 for no records.
#[must_use]
pub fn digest(records: &[Record]) -> Fr {
    records.iter().fold(Fr::ZERO, |digest, record| record.absorbed(digest))
}

/// The records as words of the data vector.
pub fn words(records: &[Record]) -> impl Iterator<Item = Fr> + '_ {
    records.iter().flat_map(|record| [record.w0, record.w1])
}
