//! Files that are there completely or not at all. Most are never overwritten; a wallet is replaced as a whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Writes a new file of the owner's alone: a synced temporary file is linked to its name, which fails if the name is
/// taken.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is such a file; other file system errors.
pub(crate) fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let mut tag = [0u8; 8];
    getrandom::fill(&mut tag).map_err(|_| io::Error::other("no randomness"))?;
    let temporary = directory.join(format!(".{}.tmp", hex::encode(tag)));
    let written = write_synced(&temporary, bytes).and_then(|()| std::fs::hard_link(&temporary, path));
    let removed = std::fs::remove_file(&temporary);
    written?;
    removed?;
    File::open(directory)?.sync_all()
}

/// Replaces a file as a whole, or makes it: a synced temporary file takes its name. A crash leaves the old content or
/// the new one, and at most a temporary file beside it.
///
/// # Errors
/// File system errors; the old content stands then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = stage(path, bytes)?;
    if let Err(error) = std::fs::rename(&temporary, path) {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory_of(path))?.sync_all()
}

/// The first half of [`replace`]: the content under a temporary name.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut tag = [0u8; 8];
    getrandom::fill(&mut tag).map_err(|_| io::Error::other("no randomness"))?;
    let temporary = directory_of(path).join(format!("{}{}.tmp", staged_prefix(path), hex::encode(tag)));
    match write_synced(&temporary, bytes) {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = std::fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Removes what a crash left of replacing `path`. Only for who holds the lock of that file.
pub(crate) fn remove_staged(path: &Path) -> io::Result<()> {
    let prefix = staged_prefix(path);
    for entry in std::fs::read_dir(directory_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".tmp") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn staged_prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A lock that ends with the process; `None` if another holds it.
pub(crate) fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A directory of the owner's alone.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Reads at most `limit` bytes; a longer file is an error.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(bytes) }
}
