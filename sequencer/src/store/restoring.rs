//! Putting back what a backup has, and sealing a log of the format before, of a sequencer that does not run (`docs/how-to/restore.md`).

use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _, path::Path};

use gridveil_keystore::durable;

use super::{
    StoreError,
    bodies::Bodies,
    data_keys::{self, DataKeyError, DataKeys},
    index,
    log::{self, IN_CLEAR, Log},
    log_state::LogState,
    opening::{self, add},
    snapshots,
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
    let master = data_keys::read_master_key(master_key_file)?;
    let (log, log_state) = opening::structure(data, &master)?;
    let keys = DataKeys::open(&data.join("keys"), master_key_file, log.id())?;
    let (mut missing, mut report) = (Vec::new(), RestoredKeys::default());
    for (community, state) in &log_state.communities {
        let (community, slots) = (*community, state.shape.members);
        match keys.load(community, slots, &BTreeSet::new()) {
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

/// Overwrites a file and removes it. One that is the log itself, under a second name, loses that name alone.
fn remove(file: &Path, log: &Path) -> std::io::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let inode = |path: &Path| std::fs::metadata(path).map(|of| (of.dev(), of.ino()));
    if inode(file)? != inode(log)? {
        index::overwrite(file)?;
    }
    std::fs::remove_file(file)
}

/// Bytes that are written with one sync.
const GROUP_BYTES: usize = 16 << 20;

/// Seals a log of the format before: its records as they are, in bodies that say nothing in clear. The old file is
/// overwritten. Gives the number of records; `None` if the log is sealed. After a crash it is made again: the log is
/// whole at any time, under its name.
///
/// # Errors
/// [`StoreError`]; the log is as it was.
pub fn seal_log(data: &Path, master_key_file: &Path) -> Result<Option<u64>, StoreError> {
    let (path, sealed, clear) =
        (log::path_in(data), data.join("sequencer.log.sealed"), data.join("sequencer.log.clear"));
    if !log::is_there(&path)? {
        return Err(StoreError::LogGone { key_files: data_keys::count_files(&data.join("keys"))?, index: false });
    }
    let master = data_keys::read_master_key(master_key_file)?;
    let remove = |file: &Path| remove(file, &path).map_err(StoreError::Directory);
    remove(&sealed)?;
    let mut log_state = LogState::default();
    let old = Log::open::<StoreError>(&path, |identity, record| {
        add(&mut log_state, &Bodies::of(&master, identity), record).map(drop)
    })?;
    if old.identity().version != IN_CLEAR {
        // A file of a sealing that was killed at its last step.
        remove(&clear)?;
        return Ok(None);
    }
    let mut new = Log::create(&sealed, old.id())?;
    let bodies = Bodies::of(&master, &new.identity());
    let (mut group, mut bytes) = (Vec::new(), 0);
    old.scan::<StoreError>(|record| {
        let body = bodies.seal(record.kind, record.body)?;
        bytes += body.len();
        group.push((record.kind, body));
        if bytes >= GROUP_BYTES {
            new.append(&std::mem::take(&mut group))?;
            bytes = 0;
        }
        Ok(())
    })?;
    if !group.is_empty() {
        new.append(&group)?;
    }
    // The index and the snapshots know the records at their old places, and would be evidence of another log.
    snapshots::remove_all(data).map_err(StoreError::Directory)?;
    let places = data.join("index");
    if places.exists() {
        index::overwrite_all(&places).and_then(|()| std::fs::remove_dir_all(&places)).map_err(StoreError::Directory)?;
    }
    remove(&clear)?;
    std::fs::hard_link(&path, &clear)
        .and_then(|()| std::fs::rename(&sealed, &path))
        .and_then(|()| durable::sync_directory(data))
        .map_err(StoreError::Directory)?;
    remove(&clear)?;
    Ok(Some(new.tip().height))
}
