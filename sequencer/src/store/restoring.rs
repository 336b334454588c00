//! Putting back what a backup has, of a sequencer that does not run (`docs/how-to/restore.md`).

use std::path::Path;

use super::{
    StoreError, add,
    data_keys::{self, DataKeyError, DataKeys},
    log::{self, Log},
    log_state::LogState,
};

/// What became of the key files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredKeys {
    /// Put back.
    pub restored: usize,
    /// There already, and right.
    pub there: usize,
}

/// Puts back the key files of `data` that are missing, from those in `from`. All of them are opened first; one that is
/// there stays. After a crash it goes on where it was. Without `write` it says what it would do.
///
/// # Errors
/// [`StoreError`]: no log, a sequencer that runs, a key file of another log or master key. Nothing is overwritten.
pub fn restore_keys(data: &Path, master_key_file: &Path, from: &Path, write: bool) -> Result<RestoredKeys, StoreError> {
    let path = log::path_in(data);
    if !log::is_there(&path)? {
        let key_files = data_keys::count_files(&data.join("keys"))?;
        return Err(StoreError::LogGone { key_files, index: false });
    }
    let mut log_state = LogState::default();
    let log = Log::open::<StoreError>(&path, |_, record| add(&mut log_state, &record).map(drop))?;
    let keys = DataKeys::open(&data.join("keys"), master_key_file, log.id())?;
    let (mut missing, mut report) = (Vec::new(), RestoredKeys::default());
    for (community, state) in &log_state.communities {
        let (community, slots) = (*community, state.shape.members);
        match keys.load(community, slots) {
            Ok(()) => report.there += 1,
            Err(DataKeyError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                missing.push((community, keys.check(from, community, slots)?));
            }
            Err(DataKeyError::KeyFile { .. }) => return Err(DataKeyError::InTheWay { community }.into()),
            Err(error) => return Err(error.into()),
        }
    }
    for (community, bytes) in missing {
        if write {
            keys.put_back(community, &bytes)?;
        }
        report.restored += 1;
    }
    Ok(report)
}
