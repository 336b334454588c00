//! Why a store is not opened, read or written.

use super::{
    data_keys::DataKeyError, erasures::ErasureError, log::LogError, log_state::OrderError, record::RecordError,
};

/// A store that cannot be opened, read or written. No variant carries content, keys or paths.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Directory of the data.
    #[error("data directory: {0}")]
    Directory(std::io::Error),
    /// Log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Keys.
    #[error(transparent)]
    DataKeys(#[from] DataKeyError),
    /// List of erasures.
    #[error(transparent)]
    Erasures(#[from] ErasureError),
    /// A record's body.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record that does not follow.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Index.
    #[error("index: {0}")]
    Index(#[from] sled::Error),
    /// Keys or an index without the log that they belong to.
    #[error(
        "store: {key_files} key files{} are there, and no log: the log was lost or moved. Put the newest log back \
         (docs/how-to/restore.md). A new log needs an empty directory: no key is ever replaced",
        if *.index { " and an index" } else { "" }
    )]
    LogGone {
        /// Key files in the directory.
        key_files: usize,
        /// Is there an index?
        index: bool,
    },
    /// The index or a snapshot has seen more of the log, or another one.
    #[error(
        "store: the index or a snapshot has seen {seen} records of the log, and the log {}: it is an old copy, or another log. \
         Put the newest log back; if it is lost, docs/how-to/restore.md says what to do",
        if has < seen { format!("has {has}") } else { "has others".to_owned() }
    )]
    OldLog {
        /// Records in the log.
        has: u64,
        /// Records that were seen.
        seen: u64,
    },
    /// What the records say does not add up.
    #[error("store: {0}")]
    Inconsistent(&'static str),
}

impl StoreError {
    /// Was what is asked for erased with its account?
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        matches!(self, Self::DataKeys(DataKeyError::Erased { .. }))
    }
}
