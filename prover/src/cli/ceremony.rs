//! Where proving parameters come from: the same options in every command.

use std::path::PathBuf;

use clap::Args;

use crate::srs::{SrsError, SrsSource};

/// The options `--ptau` and `--ptau-blake2b`.
#[derive(Clone, Debug, Default, Args)]
pub struct CeremonyArgs {
    /// Powers-of-tau ceremony file (snarkjs format); without it, the INSECURE development setup of local chains
    #[arg(long, value_name = "FILE")]
    ptau: Option<PathBuf>,
    /// BLAKE2b-512 the ceremony file must have [default: the published one of the Hermez file of its power]
    #[arg(long, value_name = "HEX", requires = "ptau")]
    ptau_blake2b: Option<String>,
}

impl CeremonyArgs {
    /// Where the parameters come from.
    ///
    /// # Errors
    /// [`SrsError`]: no hash that the file must have, or no ceremony file.
    pub fn source(&self) -> Result<SrsSource, SrsError> {
        SrsSource::pinned(self.ptau.as_deref(), self.ptau_blake2b.as_deref())
    }
}
