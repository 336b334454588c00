//! Records: the part of a settlement's operations that L1 must see, two words each (`docs/spec/operations.md`, Records
//! and binding).

use crate::{
    field::{Fr, shifted, to_bytes},
    poseidon::hash4,
};
use ark_ff::AdditiveGroup;

/// What L1 does with a record. Whoever follows L1 (its memory in tests, the sequencer's choice, the auditor) asks for this
/// and not for the kind, so that a kind which does what another does is a line in the table of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Takes in an open deposit of these units; the second word is its claim.
    TakeDeposit,
    /// Owes units to the account in the second word.
    PayAccount,
    /// Opens the claim in the second word.
    OpenClaim,
    /// Takes in the open claim in the second word.
    TakeClaim,
    /// Serves the head of the community's forced queue.
    ServeForced,
    /// Books a substituted period's difference at the tariff in the second word.
    Correct,
    /// Moves units from the operator's funds into the pool.
    FundPool,
    /// Moves units from the pool to the treasury.
    PayTreasury,
    /// Appends the head of the queue of notes.
    AppendNote,
    /// Begins a community with the terms in the second word.
    Begin,
}

/// What the second word of a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondWord {
    /// Zero.
    Nothing,
    /// An L1 address, below 2^160.
    Account,
    /// Any field element.
    Element,
}

/// Makes [`RecordKind`] of lines `name = number, action, second word`.
macro_rules! records {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $action:ident, $second:ident;)+) => {
        /// What a record tells L1, with its number: the first byte of `w0`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RecordKind {
            $($(#[$doc])* $kind = $number,)+
        }

        impl RecordKind {
            /// Every kind, in the order of the numbers.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$kind),+];

            /// What L1 does with it.
            #[must_use]
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$kind => Action::$action,)+
                }
            }

            /// What its second word may be.
            #[must_use]
            pub const fn second_word(self) -> SecondWord {
                match self {
                    $(Self::$kind => SecondWord::$second,)+
                }
            }
        }
    };
}

records! {
    /// A deposit was taken in.
    Deposit = 1, TakeDeposit, Element;
    /// Units are owed to a payout address.
    Withdraw = 2, PayAccount, Account;
    /// A claim between members opened.
    Send = 3, OpenClaim, Element;
    /// A claim between members taken in.
    Receive = 4, TakeClaim, Element;
    /// The head of the forced queue was served.
    Forced = 10, ServeForced, Account;
    /// A substituted period was corrected.
    Correction = 11, Correct, Element;
    /// Units moved from the operator's funds to a supplier account.
    SupplierIn = 16, FundPool, Nothing;
    /// Units moved from a supplier account to the treasury.
    SupplierOut = 17, PayTreasury, Nothing;
    /// Units moved from a fee account to the treasury.
    FeeOut = 18, PayTreasury, Nothing;
    /// A queued note was appended.
    Note = 20, AppendNote, Element;
    /// A community began.
    Init = 21, Begin, Element;
}

impl RecordKind {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// Does the record count units?
    #[must_use]
    pub const fn has_units(self) -> bool {
        match self.action() {
            Action::TakeDeposit | Action::PayAccount | Action::ServeForced | Action::FundPool | Action::PayTreasury => {
                true
            }
            Action::OpenClaim | Action::TakeClaim | Action::Correct | Action::AppendNote | Action::Begin => false,
        }
    }

    /// Does the record name a slot or an interval?
    #[must_use]
    pub const fn has_extra(self) -> bool {
        matches!(self.action(), Action::ServeForced | Action::Correct)
    }

    /// May a record of this kind have this second word (canonical bytes, most significant first)?
    #[must_use]
    pub fn admits(self, word: &[u8; 32]) -> bool {
        match self.second_word() {
            SecondWord::Nothing => *word == [0; 32],
            SecondWord::Account => word.iter().take(12).all(|byte| *byte == 0),
            SecondWord::Element => true,
        }
    }
}

impl From<RecordKind> for u8 {
    fn from(kind: RecordKind) -> Self {
        kind as Self
    }
}

impl TryFrom<u64> for RecordKind {
    type Error = RecordError;

    /// The kind of that number.
    ///
    /// # Errors
    /// [`RecordError::UnknownKind`] for a number that no kind has.
    fn try_from(code: u64) -> Result<Self, RecordError> {
        Self::ALL.into_iter().find(|kind| kind.code() == code).ok_or(RecordError::UnknownKind(code))
    }
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
    /// A record of `kind` about `units` whole units.
    #[must_use]
    pub fn new(kind: RecordKind, units: u64, extra: u32, w1: Fr) -> Self {
        Self { w0: Fr::from(kind.code()) + shifted(units, UNITS_SHIFT) + shifted(u64::from(extra), EXTRA_SHIFT), w1 }
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
        let kind = RecordKind::try_from(kind)?;
        if (!kind.has_units() && units != 0) || (!kind.has_extra() && extra != 0) {
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
    /// What it tells.
    pub kind: RecordKind,
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
    /// A number that no kind has.
    #[error("there is no record of kind {0}")]
    UnknownKind(u64),
    /// Units or a place where the kind has none.
    #[error("a record of kind {} has a field that it does not use", .0.code())]
    Unused(RecordKind),
}

/// The records that words of a data vector hold, in order.
///
/// # Errors
/// Position of the first pair of words that is no record, and why; an odd last word is [`RecordError::High`].
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
    use proptest::prelude::*;

    #[test]
    fn records_are_read_as_written() {
        let w1 = Fr::from(77u64);
        for (number, units, extra) in [
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
            let kind = RecordKind::try_from(number).unwrap();
            let record = Record::new(kind, units, extra, w1);
            assert_eq!(record.w0, Fr::from(number) + shifted(units, 8) + shifted(u64::from(extra), 56));
            assert_eq!(Record::parse(record.w0, record.w1), Ok(Parsed { kind, units, extra, w1 }), "{number}");
        }
        for (number, units, extra) in [(3, 1, 0), (20, 1, 0), (21, 0, 1), (1, 1, 1), (11, 1, 1)] {
            let kind = RecordKind::try_from(number).unwrap();
            assert_eq!(Record::parse(Record::new(kind, units, extra, w1).w0, w1), Err(RecordError::Unused(kind)));
        }
        for number in [0, 5, 9, 12, 15, 19, 22, 255] {
            assert_eq!(Record::parse(Fr::from(number), w1), Err(RecordError::UnknownKind(number)));
        }
        assert_eq!(Record::parse(Fr::from(2u64) + shifted(1, 88), w1), Err(RecordError::High));
        assert_eq!(read(&[Fr::from(4u64), w1, w1]), Err((1, RecordError::High)));
        assert_eq!(read(&[Fr::from(4u64), w1]).map(|r| r.len()), Ok(1));
    }

    #[test]
    fn a_second_word_is_zero_an_address_or_any_element() {
        let mut words = [[0; 32]; 3];
        (words[1][12], words[2][11]) = (1, 1);
        for kind in RecordKind::ALL {
            let expected = match kind {
                RecordKind::SupplierIn | RecordKind::SupplierOut | RecordKind::FeeOut => [true, false, false],
                RecordKind::Withdraw | RecordKind::Forced => [true, true, false],
                _ => [true; 3],
            };
            assert_eq!(words.each_ref().map(|word| kind.admits(word)), expected, "{kind:?}");
        }
    }

    #[test]
    fn kinds_are_listed_once_by_number() {
        assert!(RecordKind::ALL.is_sorted_by(|a, b| a.code() < b.code()));
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::try_from(kind.code()), Ok(kind));
            assert_eq!(u64::from(u8::from(kind)), kind.code());
        }
    }

    proptest! {
        #[test]
        fn a_number_is_a_kind_or_refused_by_its_number(number in prop_oneof![0u64..=300, any::<u64>()]) {
            let listed = RecordKind::ALL.iter().any(|kind| kind.code() == number);
            match RecordKind::try_from(number) {
                Ok(kind) => prop_assert!(listed && kind.code() == number),
                Err(error) => prop_assert!(!listed && error == RecordError::UnknownKind(number)),
            }
        }
    }
}
