//! Files that are there completely or not at all.
//!
//! A file is written under a temporary name beside its own and synced. Then it takes its name in one step. Then the
//! directory is synced, so that the name survives a power cut too.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::random;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: mode 0600.
    Owner,
    /// Whom the process's file mode creation mask lets.
    Mask,
}

/// Writes a new file of the owner's alone. A name that is taken is left as it is.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is such a file; other file system errors.
pub fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = stage(path, bytes)?;
    // A link fails where a rename would overwrite.
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    linked?;
    removed?;
    sync_parent(path)
}

/// Replaces a file of the owner's alone as a whole, or makes it. A crash leaves the old content or the new one, and at
/// most a temporary file beside it.
///
/// # Errors
/// File system errors; the old content stands then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(&stage(path, bytes)?, path)
}

/// As [`replace`], for content that is written piece by piece.
///
/// # Errors
/// File system errors, and what `fill` returns; the old content stands then.
pub fn replace_with(path: &Path, access: Access, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    publish(&stage_with(directory_of(path), path, access, fill)?, path)
}

/// As [`replace_with`], with the temporary file in another directory of the same file system. For a directory whose
/// files are listed, so that nobody sees a half-written one.
///
/// # Errors
/// As [`replace_with`].
pub fn replace_through(
    directory: &Path,
    path: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    publish(&stage_with(directory, path, access, fill)?, path)
}

/// The first half of [`replace`]: writes and syncs the content under a temporary name and returns that. For tests of a
/// crash between the two halves.
///
/// # Errors
/// File system errors; nothing is left then.
pub fn stage(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    stage_with(directory_of(path), path, Access::Owner, |file| file.write_all(bytes))
}

fn stage_with(
    directory: &Path,
    path: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let tag = random::<8>().map_err(io::Error::other)?;
    let temporary = directory.join(format!("{}{}.tmp", staged_prefix(path), hex::encode(tag)));
    let mut file = open_new(&temporary, access)?;
    match fill(&mut file).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// The second half: the temporary file takes the name, durably.
fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    if let Err(error) = fs::rename(temporary, path) {
        let _ = fs::remove_file(temporary);
        return Err(error);
    }
    sync_parent(path)
}

fn open_new(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(path)
}

/// Removes what a crash left of replacing `path`. The caller must hold the lock of that file.
///
/// # Errors
/// File system errors.
pub fn remove_staged(path: &Path) -> io::Result<()> {
    let prefix = staged_prefix(path);
    for entry in fs::read_dir(directory_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".tmp") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn staged_prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a creation, renaming or removal inside `directory` durable.
///
/// # Errors
/// File system errors.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    // Other systems have no handle of a directory to sync.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// [`sync_directory`] of the directory that `path` is in.
///
/// # Errors
/// File system errors.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_directory(directory_of(path))
}

/// Opens, or makes, the lock file at `path` and takes its lock, which ends with the process; `None` if another process
/// holds it.
///
/// # Errors
/// File system errors.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a directory of the owner's alone (mode 0700), and those above it.
///
/// # Errors
/// File system errors.
pub fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if it is longer; other file system errors.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_never_overwrites_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create_new(&path, b"first").unwrap();
        assert_eq!(create_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_replacement_is_whole_or_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        replace(&path, b"first").unwrap();
        replace(&path, b"second").unwrap();
        let failed = replace_with(&path, Access::Mask, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["file"]);
        // What a crash leaves is removed by the name of its file alone.
        stage(&path, b"third").unwrap();
        stage(&other, b"another's").unwrap();
        remove_staged(&path).unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn a_file_through_another_directory_is_never_seen_half() {
        let dir = tempfile::tempdir().unwrap();
        let (listed, hidden) = (dir.path().join("listed"), dir.path().join("hidden"));
        fs::create_dir(&listed).unwrap();
        fs::create_dir(&hidden).unwrap();
        let seen_meanwhile = |file: &mut File| {
            file.write_all(b"whole")?;
            assert!(names(&listed).is_empty() && names(&hidden).len() == 1);
            Ok(())
        };
        replace_through(&hidden, &listed.join("file"), Access::Mask, seen_meanwhile).unwrap();
        assert_eq!(fs::read(listed.join("file")).unwrap(), b"whole");
        assert!(names(&hidden).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let at = |name: &str| dir.path().join(name);
        create_new(&at("new"), b"").unwrap();
        replace(&at("replaced"), b"").unwrap();
        let _lock = lock(&at("lock")).unwrap().unwrap();
        private_directory(&at("a/b")).unwrap();
        assert_eq!(["new", "replaced", "lock"].map(|name| mode(&at(name))), [0o600; 3]);
        assert_eq!(mode(&at("a/b")), 0o700);
    }

    #[test]
    fn one_lock_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock(&path).unwrap();
        assert!(held.is_some() && lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_longer_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"1234").unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap(), b"1234");
        assert_eq!(read_bounded(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
