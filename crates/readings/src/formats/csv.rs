//! Columns: the CSV files of utilities' portals, a user's own, and our own.
//!
//! What the columns mean is a [`Mapping`]: separator, decimal sign, time columns (start or end), zone, energy columns with
//! direction and unit, quality. Profiles are mappings that come with the program ([`PROFILES`]); a user writes another one
//! in the same TOML. A file is recognised by its columns, in whatever order they stand.

mod header;
mod mapping;
mod numbers;
mod quality;
mod rows;
mod stamp;
mod times;

use crate::{Choice, SourceError, model::Decoded};

pub use mapping::{EnergyColumn, Mapping, PROFILES, Profile, profiles};
pub use quality::quality;
pub use rows::register_modulus;
pub use stamp::{Order, stamp};

/// Reads every meter of a file.
///
/// # Errors
/// [`SourceError`].
pub fn decode(text: &str, choice: &Choice) -> Result<Decoded, SourceError> {
    let (mapping, table) = header::find(text, choice)?;
    rows::decode(&mapping, &table, choice)
}

#[cfg(test)]
mod tests;
