//! The readers over files: situations with their right values, and real samples where they are.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../examples/files.rs"]
mod files;
mod meter_files;
mod real_files;
mod situations;
