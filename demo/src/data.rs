//! Measured data and a tariff, compiled in: the demonstration runs in any folder (`data/README.md`).

use std::{borrow::Cow, path::Path};

use anyhow::Context as _;

/// A month of 17 homes, hourly.
pub const MONTH: &[u8] = include_bytes!("../../data/zne17-2017-05.csv");
/// A published time-of-use tariff.
pub const TARIFF: &str = include_str!("../../data/tou-two-season.json");
/// Name of [`TARIFF`] in messages.
pub const TARIFF_NAME: &str = "data/tou-two-season.json";

/// Readings with their name in messages: of a file, or of [`MONTH`].
///
/// # Errors
/// The file cannot be read.
pub fn readings(file: Option<&Path>) -> anyhow::Result<(Cow<'static, [u8]>, String)> {
    match file {
        None => Ok((Cow::Borrowed(MONTH), "data/zne17-2017-05.csv".into())),
        Some(path) => {
            let name = path.display().to_string();
            Ok((Cow::Owned(std::fs::read(path).with_context(|| name.clone())?), name))
        }
    }
}
