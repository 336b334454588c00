//! Green Button: the ESPI Atom feed that utilities hand to their customers.
//!
//! An Atom entry's `self` link places what it holds: `.../UsagePoint/{u}/MeterReading/{r}/IntervalBlock/..`; a
//! MeterReading entry's `related` link names its ReadingType, which says what the values mean. A feed without links and
//! with one ReadingType can only mean that one. Usage points and reading types are chosen first; values of others are
//! never parsed, so gas in decimals beside electricity is no fault.
//!
//! Read is electrical energy (`uom` 72): direction 1 delivered, 19 received, 4 net, 20 total (refused, or import where
//! the member says so). Energies of intervals (`accumulationBehaviour` 4, 0 or absent) or registers (1, 2, 3, 9), whose
//! differences are taken. Energy is `value * 10^powerOfTenMultiplier`, exact. Readings of one interval with different
//! `tou`, `consumptionTier` or `cpp` are parts of it, and added.
//!
//! Peculiarities of real feeds:
//! - A feed joined from daily feeds repeats usage points, meter readings and reading types: accepted if they say the
//!   same. A reading given twice with the same value is merged and counted.
//! - PG&E writes 24 readings into the 23-hour day of spring: the block's last reading falls on the first interval of
//!   the next day's block. Where the two differ, the reading of the block that *begins* with this interval is kept,
//!   because there it is inside its own day; the interval is listed in [`crate::Series::overlaps`] and cannot be signed
//!   unless the caller accepts it. Any other contradiction is an error.
//! - In autumn it leaves the repeated hour out: a gap.

mod feed;
mod parser;

use crate::{Choice, SourceError, model::Decoded};

/// Reads every usage point that has energy.
///
/// # Errors
/// [`SourceError`].
pub fn decode(text: &str, choice: &Choice) -> Result<Decoded, SourceError> {
    let entries = parser::Parser::new(text).entries()?;
    feed::Feed::of(entries)?.decoded(choice)
}

#[cfg(test)]
mod tests;
