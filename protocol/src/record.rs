//! Records: what of a settlement's operations L1 must see, two words each (`docs/spec/operations.md`, Records and
//! binding).

use crate::{
    field::{Fr, shifted, to_bytes},
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
    /// A substituted period was corrected.
    pub const CORRECTION: u64 = 11;
    /// Units moved from the operator's funds to a supplier account.
    pub const SUPPLIER_IN: u64 = 16;
    /// Units moved from a supplier account to the treasury.
    pub const SUPPLIER_OUT: u64 = 17;
    /// Units moved from a fee account to the treasury.
    pub const FEE_OUT: u64 = 18;
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

    /// Reads a record from its two words; the contract refuses the same words.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(w0: Fr, w1: Fr) -> Result<Parsed, RecordError> {
        let bytes = to_bytes(&w0);
        let number = |from: usize, to: usize| {
            bytes.iter().take(to).skip(from).fold(0u64, |acc, byte| acc << 8 | u64::from(*byte))
        };
        // Big-endian: kind in byte 31, units in 25..31, slot or interval in 21..25.
        if bytes.iter().take(21).any(|byte| *byte != 0) {
            return Err(RecordError::High);
        }
        let (kind, units) = (number(31, 32), number(25, 31));
        let extra = u32::try_from(number(21, 25)).map_err(|_| RecordError::High)?;
        let counts =
            [code::DEPOSIT, code::WITHDRAW, code::FORCED, code::SUPPLIER_IN, code::SUPPLIER_OUT, code::FEE_OUT]
                .contains(&kind);
        let places = [code::FORCED, code::CORRECTION].contains(&kind);
        if !counts && ![code::SEND, code::RECEIVE, code::CORRECTION, code::NOTE, code::INIT].contains(&kind) {
            return Err(RecordError::Kind(kind));
        }
        if (!counts && units != 0) || (!places && extra != 0) {
            return Err(RecordError::Unused(kind));
        }
        Ok(Parsed { kind, units, extra, w1 })
    }

    /// The digest after this record.
    #[must_use]
    pub fn absorbed(&self, digest: Fr) -> Fr {
        hash4([digest, self.w0, self.w1, Fr::ZERO])
    }
}

/// A record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// One of [`code`].
    pub kind: u64,
    /// Whole units, below 2^48.
    pub units: u64,
    /// Slot of a forced withdrawal, first interval of a correction.
    pub extra: u32,
    /// Claim, address, commitment or note.
    pub w1: Fr,
}

/// Why two words are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Bits above the record's 88.
    #[error("bits above the record's fields are set")]
    High,
    /// No such kind.
    #[error("there is no record of kind {0}")]
    Kind(u64),
    /// Units or a place where the kind has none.
    #[error("a record of kind {0} has a field that it does not use")]
    Unused(u64),
}

/// The records that words of a data vector hold, in order.
///
/// # Errors
/// Position of the record that is none, and why; an odd last word is [`RecordError::High`].
pub fn read(words: &[Fr]) -> Result<Vec<(Record, Parsed)>, (usize, RecordError)> {
    let one = |(index, pair): (usize, &[Fr])| match pair {
        [w0, w1] => {
            Record::parse(*w0, *w1).map(|parsed| (Record { w0: *w0, w1: *w1 }, parsed)).map_err(|error| (index, error))
        }
        _ => Err((index, RecordError::High)),
    };
    words.chunks(2).enumerate().map(one).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written() {
        let w1 = Fr::from(77u64);
        for (kind, units, extra) in [
            (1, 5, 0),
            (2, (1 << 48) - 1, 0),
            (3, 0, 0),
            (4, 0, 0),
            (10, 9, 511),
            (10, 0, 3),
            (11, 0, u32::MAX),
            (16, 1, 0),
            (17, 1, 0),
            (18, 1, 0),
            (20, 0, 0),
            (21, 0, 0),
        ] {
            let record = Record::new(kind, units, extra, w1);
            assert_eq!(Record::parse(record.w0, record.w1), Ok(Parsed { kind, units, extra, w1 }), "{kind}");
        }
        for (kind, units, extra) in [(3, 1, 0), (20, 1, 0), (21, 0, 1), (1, 1, 1), (11, 1, 1)] {
            assert_eq!(Record::parse(Record::new(kind, units, extra, w1).w0, w1), Err(RecordError::Unused(kind)));
        }
        for kind in [0, 5, 9, 12, 15, 19, 22, 255] {
            assert_eq!(Record::parse(Record::new(kind, 0, 0, w1).w0, w1), Err(RecordError::Kind(kind)));
        }
        assert_eq!(Record::parse(Fr::from(2u64) + shifted(1, 88), w1), Err(RecordError::High));
        assert_eq!(read(&[Fr::from(4u64), w1, w1]), Err((1, RecordError::High)));
        assert_eq!(read(&[Fr::from(4u64), w1]).map(|r| r.len()), Ok(1));
    }
}
