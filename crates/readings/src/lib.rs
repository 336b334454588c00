//! Meter files, read into intervals of whole watt-hours: right, or refused with what was found, where, and what to do.
//!
//! Every source goes one way. A decoder ([`csv`], [`green_button`], …) turns bytes into [`model::Channel`]s: readings with
//! instant, length, direction, exact energy, quality and the line they came from. [`normalise`] turns registers into
//! differences, adds the parts of an interval, splits a net register and refuses what contradicts itself. [`validate`] looks
//! for what no household does. What comes out is an [`Import`]: one meter's [`Series`] and every [`Finding`] about it.
//! Nothing is guessed: what a file leaves open is asked for.
#![forbid(unsafe_code)]

pub mod energy;
mod error;
pub mod folder;
pub mod formats;
pub mod intensity;
pub mod live;
pub mod model;
pub mod normalise;
mod read;
pub mod register;
pub mod report;
pub mod rules;
pub mod series;
mod text;
pub mod validate;
pub mod zone;

pub use error::{MAX_COLUMNS, MAX_FILE_BYTES, MAX_READINGS, Place, SourceError};
pub use formats::{Format, csv, green_button, mscons, nem12, ocmf, p1, sml, xlsx};
pub use read::{Choice, Import, read, read_file};
pub use rules::{Effect, Finding, Rule};
pub use series::{Entry, Gap, Overlap, Series};
