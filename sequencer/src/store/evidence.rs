//! Evidence that a log is gone, or is an old copy or another one (`docs/spec/log.md`, LOG.8).

use std::path::Path;

use super::{
    StoreError, data_keys,
    log::{self, Record},
};

/// Keys or an index belong to a log: where it is gone, no other begins beside them.
pub(super) fn check_there(directory: &Path, path: &Path) -> Result<(), StoreError> {
    if log::is_there(path)? {
        return Ok(());
    }
    let (key_files, index) =
        (data_keys::count_files(&directory.join("keys"))?, directory.join("index").join("conf").exists());
    if key_files > 0 || index { Err(StoreError::LogGone { key_files, index }) } else { Ok(()) }
}

/// What the index has seen of the log, as evidence that something of it is lost: the index is written after the log.
#[derive(Default)]
pub(super) struct Evidence {
    pub seen: Option<(u64, [u8; 32])>,
}

impl Evidence {
    pub fn compare(&self, record: &Record) -> Result<(), StoreError> {
        match self.seen {
            Some((seen, chain)) if seen == record.height + 1 && chain != record.chain => {
                Err(StoreError::OldLog { has: seen, seen })
            }
            _ => Ok(()),
        }
    }

    pub fn check(&self, has: u64) -> Result<(), StoreError> {
        match self.seen {
            Some((seen, _)) if seen > has => Err(StoreError::OldLog { has, seen }),
            _ => Ok(()),
        }
    }
}
