//! Meter files, read into one form. Nothing is guessed.
//!
//! Every format becomes [`Import`]s of [`Series`]. A fault that could lead to a signed wrong figure is a typed error
//! with its line. Known peculiarities of a format are accepted, counted and shown ([`Import`]). Errors never carry a
//! reading.

pub mod csv;
pub mod green_button;
mod series;

use std::{io::Read, path::Path};

use gridveil_protocol::units::Wh;

pub use series::{CutError, Entry, Gap, Overlap, Series};

/// Largest meter file that is read.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most readings of one file: 28 years of quarter hours.
pub const MAX_READINGS: usize = 1_000_000;

/// Place in a file, one-based. Column 0: the whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, bytes of the line in XML, field number in CSV.
    pub column: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column {
            0 => write!(f, "line {}", self.line),
            column => write!(f, "line {}, column {column}", self.line),
        }
    }
}

/// Why a meter file is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// File system.
    #[error("cannot read the meter file: {0}")]
    Io(std::io::ErrorKind),
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("the meter file has more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// More than [`MAX_READINGS`].
    #[error("{at}: more than {MAX_READINGS} readings in one file")]
    TooManyReadings {
        /// Where the limit was passed.
        at: Place,
    },
    /// Not UTF-8.
    #[error("the meter file is not UTF-8 text")]
    NotText,
    /// Neither of the known formats.
    #[error("not a known meter file: expected ESPI (Green Button) XML or CSV with a header line")]
    UnknownFormat,
    /// A row or element that the format does not allow.
    #[error("{at}: {what}")]
    Malformed {
        /// Where.
        at: Place,
        /// What was expected.
        what: &'static str,
    },
    /// A column the format needs is missing.
    #[error("header: {0}")]
    Columns(&'static str),
    /// Two readings of one interval that differ.
    #[error("{at}: interval starting at {start} was already given, with another reading, in line {first_line}")]
    Duplicate {
        /// The second one.
        at: Place,
        /// Unix seconds.
        start: i64,
        /// Line of the first.
        first_line: u64,
    },
    /// A start that is no multiple of the interval length.
    #[error("{at}: interval starting at {start} is not aligned to {length} s")]
    Misaligned {
        /// Where.
        at: Place,
        /// Unix seconds.
        start: i64,
        /// Seconds.
        length: u32,
    },
    /// A length that the protocol cannot carry.
    #[error("{at}: intervals of {length} s; supported lengths divide 3600 s and are at least 60 s")]
    Length {
        /// Where.
        at: Place,
        /// Seconds.
        length: u64,
    },
    /// Two lengths in one series.
    #[error("{at}: interval of {length} s in a series of {expected} s")]
    MixedLengths {
        /// Where.
        at: Place,
        /// Seconds.
        length: u32,
        /// Seconds.
        expected: u32,
    },
    /// A negative energy.
    #[error("{at}: negative energy")]
    Negative {
        /// Where.
        at: Place,
    },
    /// Energy that is no whole number of Wh.
    #[error("{at}: energy is not a whole number of Wh")]
    NotWhole {
        /// Where.
        at: Place,
    },
    /// Energy beyond 2^32 Wh in one interval: certainly not a reading.
    #[error("{at}: energy of one interval is 2^32 Wh or more")]
    Implausible {
        /// Where.
        at: Place,
    },
    /// The file holds nothing to read.
    #[error("no energy readings in the meter file")]
    Empty,
    /// One reading does not say how long an interval is.
    #[error("a single reading does not give the interval length: name it")]
    UnknownLength,
    /// Several meters and none chosen.
    #[error("the file holds {count} meters; choose one of: {names}")]
    SeveralMeters {
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The chosen meter is not in the file.
    #[error("no meter {0:?} in the file")]
    NoSuchMeter(String),
    /// A link or reading type that nothing in the file defines.
    #[error("{at}: {what} is not defined in the file")]
    Undefined {
        /// Where it is used.
        at: Place,
        /// What is missing.
        what: &'static str,
    },
    /// One identifier, two meanings.
    #[error("{at}: {what} is defined a second time with another content")]
    Redefined {
        /// The second definition.
        at: Place,
        /// What.
        what: &'static str,
    },
    /// A flow direction that is neither import (1) nor export (19).
    #[error("{at}: flow direction {direction}; only 1 (delivered) and 19 (received) are registers of one direction")]
    FlowDirection {
        /// Where.
        at: Place,
        /// ESPI code.
        direction: i64,
    },
    /// Resampling to a length that is no multiple.
    #[error("cannot resample intervals of {from} s to {to} s")]
    Resample {
        /// Seconds.
        from: u32,
        /// Seconds.
        to: u32,
    },
}

/// One meter's readings and what had to be said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Name of the meter in the file: `home` of a CSV, usage point of a Green Button feed; empty if the file names
    /// none.
    pub meter: String,
    /// The readings.
    pub series: Series,
    /// Readings in the file, duplicates included.
    pub readings: usize,
    /// Sum of the readings in the file, duplicates included, Wh (import and export).
    pub total_wh: [Wh; 2],
    /// Identical duplicates that were merged.
    pub merged: usize,
    /// Intervals left out because only one of two registers reports them.
    pub incomplete: usize,
}

/// Formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns, see [`csv`].
    Csv,
    /// ESPI Atom XML, see [`green_button`].
    GreenButton,
}

/// Which meter of a file, and how to read it.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Format; found from the first bytes if absent.
    pub format: Option<Format>,
    /// Meter (CSV `home`, or usage point); needed only where a file holds several.
    pub meter: Option<String>,
    /// Interval length of a CSV, seconds; otherwise the smallest distance between two starts.
    pub length: Option<u32>,
}

/// Reads a file.
///
/// # Errors
/// [`SourceError`].
pub fn read_file(path: &Path, choice: &Choice) -> Result<Import, SourceError> {
    let file = std::fs::File::open(path).map_err(|e| SourceError::Io(e.kind()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| SourceError::Io(e.kind()))?;
    read(&bytes, choice)
}

/// Reads a file's bytes.
///
/// # Errors
/// [`SourceError`].
pub fn read(bytes: &[u8], choice: &Choice) -> Result<Import, SourceError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SourceError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SourceError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match choice.format.map_or_else(|| guess(text), Ok)? {
        Format::Csv => csv::read(text, choice.meter.as_deref(), choice.length),
        Format::GreenButton => choose(green_button::read(text)?, choice.meter.as_deref()),
    }
}

fn guess(text: &str) -> Result<Format, SourceError> {
    let start = text.trim_start();
    if start.starts_with('<') {
        Ok(Format::GreenButton)
    } else if start.lines().next().is_some_and(|line| line.contains("interval_start")) {
        Ok(Format::Csv)
    } else {
        Err(SourceError::UnknownFormat)
    }
}

fn choose(imports: Vec<Import>, meter: Option<&str>) -> Result<Import, SourceError> {
    match meter {
        None if imports.len() > 1 => Err(several(imports.iter().map(|i| i.meter.as_str()))),
        None => imports.into_iter().next().ok_or(SourceError::Empty),
        Some(name) => {
            imports.into_iter().find(|i| i.meter == name).ok_or_else(|| SourceError::NoSuchMeter(name.to_owned()))
        }
    }
}

/// Names the first twenty.
fn several<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> SourceError {
    let count = names.len();
    let mut list = names.take(20).collect::<Vec<_>>().join(", ");
    if count > 20 {
        list.push_str(", ...");
    }
    SourceError::SeveralMeters { count, names: list }
}

/// A length that divides an hour.
fn checked_length(length: u64, at: Place) -> Result<u32, SourceError> {
    match u32::try_from(length) {
        Ok(l) if (60..=3600).contains(&l) && 3600 % l == 0 => Ok(l),
        _ => Err(SourceError::Length { at, length }),
    }
}

fn checked_start(start: i64, length: u32, at: Place) -> Result<i64, SourceError> {
    if start < 0 || start % i64::from(length) != 0 {
        Err(SourceError::Misaligned { at, start, length })
    } else {
        Ok(start)
    }
}
