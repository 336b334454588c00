//! The list of erasures, `<data>/erased`: which keys were overwritten. It is durable before the first of them is, and is
//! kept apart from the log, so that a backup from before is erased again.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use gridveil_keystore::{SealError, durable};

use super::{
    StoreError,
    data_keys::{DataKeys, KeyName},
    log_state::LogState,
};

const MAGIC: &[u8] = b"GVERAS01";
/// Bytes of the largest list: a million erasures.
const MOST_BYTES: u64 = 64 << 20;

/// A list that is not taken. No variant carries what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The operating system refused.
    #[error("erasures: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It does not open.
    #[error("erasures: the list is damaged, of another log, or sealed under another master key")]
    List,
    /// It cannot be sealed.
    #[error("erasures: the list cannot be sealed: {0}")]
    Seal(SealError),
    /// It names an account that lives in this log.
    #[error(
        "erasures: the list has an erased account that still lives in this log (community {community}, slot {slot}): the \
         log is older than the list. Put the newest log back (docs/how-to/restore.md)"
    )]
    Lives {
        /// Community.
        community: u32,
        /// Slot.
        slot: u16,
    },
}

fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> ErasureError {
    move |source| ErasureError::Io { what, source }
}

/// Where it is in a data directory.
#[must_use]
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join("erased")
}

fn context(log_id: &[u8; 16]) -> Vec<u8> {
    [&b"gridveil erasures v1"[..], log_id].concat()
}

/// The list at `path`; empty if there is none.
///
/// # Errors
/// [`ErasureError`].
pub fn read(path: &Path, keys: &DataKeys) -> Result<BTreeSet<KeyName>, ErasureError> {
    let sealed = match durable::read_bounded(path, MOST_BYTES) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(io_error("read of the list")(error)),
    };
    let plain = keys.master().open(MAGIC, &context(&keys.log_id()), &sealed).map_err(|_| ErasureError::List)?;
    serde_json::from_slice(&plain).map_err(|_| ErasureError::List)
}

/// Adds to the list, durably.
///
/// # Errors
/// [`ErasureError`]; the list is as it was.
pub fn add(path: &Path, keys: &DataKeys, names: impl IntoIterator<Item = KeyName>) -> Result<(), ErasureError> {
    let mut all = read(path, keys)?;
    let before = all.len();
    all.extend(names);
    if all.len() == before {
        return Ok(());
    }
    let plain = serde_json::to_vec(&all).map_err(|_| ErasureError::List)?;
    let sealed = keys.master().seal(MAGIC, &context(&keys.log_id()), &plain).map_err(ErasureError::Seal)?;
    durable::replace(path, &sealed).map_err(io_error("write of the list"))
}

/// What is in the list and not in the log: an erasure that was interrupted, or a backup from before. A living account in
/// the list shows that the log is old.
pub(super) fn unfinished(path: &Path, keys: &DataKeys, log_state: &LogState) -> Result<BTreeSet<KeyName>, StoreError> {
    let names = read(path, keys)?;
    for &(community, slot, generation) in &names {
        let state = log_state.communities.get(&community);
        if !state.is_some_and(|state| state.switches.has_ended(slot, generation)) {
            return Err(ErasureError::Lives { community, slot }.into());
        }
    }
    Ok(names.difference(&log_state.erased).copied().collect())
}
