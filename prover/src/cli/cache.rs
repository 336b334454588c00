//! One folder for what is made once and then read: proving parameters and keys.

use std::path::PathBuf;

use clap::Args;

/// The option `--cache`, the same in every command.
#[derive(Clone, Debug, Default, Args)]
pub struct CacheArgs {
    /// Directory of proving parameters and keys [default: $XDG_CACHE_HOME/gridveil, ~/.cache/gridveil]
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    /// This directory.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self { cache: Some(directory) }
    }

    /// The directory that is named, else the user's cache folder.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(default_directory)
    }
}

fn default_directory() -> PathBuf {
    let cache = from_variable("XDG_CACHE_HOME").or_else(|| from_variable("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(|| PathBuf::from(".cache")).join("gridveil")
}

/// A folder that the environment names.
pub(super) fn from_variable(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
