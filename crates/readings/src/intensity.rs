//! How much CO2 a kilowatt-hour from the network causes, hour by hour.
//!
//! A CSV of our own: `interval_start,g_co2_per_kwh`, then a row an interval. The start is RFC 3339 with an offset
//! (`2026-11-01T00:00:00+01:00`) or unix seconds; the intensity is whole grams. A row is for the time until the next one, at
//! most an hour. The figures are somebody's estimate of a grid; nothing that is signed or settled depends on them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{MAX_FILE_BYTES, error::shown};

/// Names of the columns.
const HEADER: &str = "interval_start,g_co2_per_kwh";
/// A row holds for so many seconds at most.
const HOLDS_S: u64 = 3_600;
/// Grams: more than any fuel causes.
const MAX_G: u32 = 5_000;

/// Why a file of intensities is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntensityError {
    /// Not ours.
    #[error("line 1: {0:?}; expected {HEADER}")]
    Header(String),
    /// A row.
    #[error("line {line}: {what}")]
    Row {
        /// Line.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Too long.
    #[error("the file has more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
}

/// Grams of CO2 a kilowatt-hour, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intensity(BTreeMap<u64, u32>);

impl Intensity {
    /// Reads a file.
    ///
    /// # Errors
    /// [`IntensityError`].
    pub fn parse(text: &str) -> Result<Self, IntensityError> {
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(IntensityError::TooLarge);
        }
        let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
        let header = lines.next().map_or("", |(_, line)| line.trim());
        if header != HEADER {
            return Err(IntensityError::Header(shown(header)));
        }
        let mut rows = BTreeMap::new();
        for (line, row) in lines.filter(|(_, row)| !row.trim().is_empty()) {
            let wrong = |what: String| IntensityError::Row { line, what };
            let (start, grams) = row.split_once(',').ok_or_else(|| wrong("not two columns".to_owned()))?;
            let (start, grams) = (start.trim(), grams.trim());
            let seconds = start.parse().ok().or_else(|| start.parse::<Timestamp>().ok().map(Timestamp::as_second));
            let seconds = seconds.and_then(|seconds: i64| u64::try_from(seconds).ok()).ok_or_else(|| {
                wrong(format!("{:?} is neither a time with its offset nor unix seconds", shown(start)))
            })?;
            let grams = grams.parse().ok().filter(|grams| *grams <= MAX_G);
            let grams = grams.ok_or_else(|| wrong(format!("not whole grams from 0 to {MAX_G}")))?;
            if rows.insert(seconds, grams).is_some() {
                return Err(wrong("a second row for the same time".to_owned()));
            }
        }
        Ok(Self(rows))
    }

    /// Grams a kilowatt-hour at a time, unix seconds; `None` where no row holds.
    #[must_use]
    pub fn at(&self, seconds: u64) -> Option<u32> {
        let (start, grams) = self.0.range(..=seconds).next_back()?;
        (seconds - start < HOLDS_S).then_some(*grams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_until_the_next_and_for_an_hour_at_most() {
        let file = "interval_start,g_co2_per_kwh\n1970-01-01T01:00:00+01:00,300\n900,100\n\n7200,50\n";
        let intensity = Intensity::parse(file).unwrap();
        let at = [0, 899, 900, 4_499, 4_500, 7_200, 10_800].map(|seconds| intensity.at(seconds));
        assert_eq!(at, [Some(300), Some(300), Some(100), Some(100), None, Some(50), None]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, said) in [
            ("a,b\n", "line 1: \"a,b\"; expected interval_start,g_co2_per_kwh"),
            ("", "line 1: \"\"; expected interval_start,g_co2_per_kwh"),
            ("interval_start,g_co2_per_kwh\n0;3\n", "line 2: not two columns"),
            ("interval_start,g_co2_per_kwh\n0,3.5\n", "line 2: not whole grams from 0 to 5000"),
            ("interval_start,g_co2_per_kwh\n0,5001\n", "line 2: not whole grams from 0 to 5000"),
            ("interval_start,g_co2_per_kwh\n0,3\n0,4\n", "line 3: a second row for the same time"),
            (
                "interval_start,g_co2_per_kwh\n2026-01-01T00:00,3\n",
                "line 2: \"2026-01-01T00:00\" is neither a time with its offset nor unix seconds",
            ),
        ] {
            assert_eq!(Intensity::parse(text).unwrap_err().to_string(), said);
        }
    }
}
