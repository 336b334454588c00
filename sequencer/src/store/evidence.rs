//! Evidence that a log is gone, or is an old copy or another one (`docs/spec/log.md`, LOG.8).

use std::path::Path;

use super::{StoreError, data_keys, log};

/// Keys or an index belong to a log: where it is gone, no other begins beside them.
pub(super) fn check_there(directory: &Path, path: &Path) -> Result<(), StoreError> {
    if log::is_there(path)? {
        return Ok(());
    }
    let (key_files, index) =
        (data_keys::count_files(&directory.join("keys"))?, directory.join("index").join("conf").exists());
    if key_files > 0 || index { Err(StoreError::LogGone { key_files, index }) } else { Ok(()) }
}

/// What index and snapshots have seen of the log, as evidence that something of it is lost: they are written after the
/// log. Numbers of records, each with the chain value after them.
#[derive(Default)]
pub(super) struct Evidence {
    pub seen: Vec<(u64, [u8; 32])>,
}

impl Evidence {
    /// Of a log that has `chain` after `height` records.
    pub fn compare(&self, height: u64, chain: &[u8; 32]) -> Result<(), StoreError> {
        if self.seen.iter().any(|(seen, other)| *seen == height && other != chain) {
            return Err(StoreError::OldLog { has: height, seen: height });
        }
        Ok(())
    }

    /// Of a log that has so many records.
    pub fn check(&self, has: u64) -> Result<(), StoreError> {
        match self.seen.iter().map(|(seen, _)| *seen).max() {
            Some(seen) if seen > has => Err(StoreError::OldLog { has, seen }),
            _ => Ok(()),
        }
    }
}
