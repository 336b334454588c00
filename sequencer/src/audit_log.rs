//! The audit log: who did what with a role, each entry before the act and its outcome after (`docs/spec/audit-log.md`).
//!
//! `format` has the bytes and the check of a file, with no key; `entry` what is in an entry, and how it is sealed; `publish`
//! brings the head to L1.
//!
//! Architecture invariant: no privileged act is begun before its entry is durable.

pub mod entry;
pub mod format;
pub mod publish;

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gridveil_keystore::{SealingKey, durable, random};

use entry::Sealing;
pub use entry::{Act, Entry, Outcome};
use format::{ENTRY_BYTES, Head, Header, offset_of};

use crate::staff::Principal;

/// Most bytes of a file: 1 GiB, 970,000 entries. A hundred acts a day are 13 years.
pub const MOST_BYTES: u64 = 1 << 30;
/// Most bytes that are given of it at once.
pub const PIECE_BYTES: usize = 1 << 20;

/// An audit log that is not written or opened. No variant carries a path or content.
#[derive(Debug, thiserror::Error)]
pub enum AuditLogError {
    /// The operating system refused.
    #[error("audit log: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("audit log: {0} (docs/how-to/staff.md)")]
    Format(#[from] format::FormatError),
    /// Another process has it open.
    #[error("audit log: another process has it open")]
    Locked,
    /// An entry does not open.
    #[error("audit log: entry {0} does not open: it was sealed under another master key, or a thief put it there")]
    Sealed(u64),
    /// An entry that is too long, or no randomness.
    #[error("audit log: an entry cannot be sealed")]
    Seal,
    /// No room.
    #[error("audit log: it has {MOST_BYTES} bytes, and takes no more entries")]
    Full,
    /// An earlier write failed.
    #[error("audit log: closed after a failed write; start again")]
    Poisoned,
}

fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> AuditLogError {
    move |source| AuditLogError::Io { what, source }
}

/// Name of the file inside a data directory.
#[must_use]
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join("audit.log")
}

struct Open {
    file: File,
    head: Head,
    poisoned: bool,
}

/// The open log. A clone is the same.
#[derive(Clone)]
pub struct AuditLog {
    open: Arc<Mutex<Open>>,
    sealing: Sealing,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditLog")
    }
}

fn create(file: &File, path: &Path) -> Result<Header, AuditLogError> {
    let id = random().map_err(|error| io_error("random identity")(std::io::Error::other(error)))?;
    let header = Header { id };
    file.set_len(0)
        .and_then(|()| file.write_all_at(&header.encode(), 0))
        .and_then(|()| file.sync_all())
        .map_err(io_error("creation"))?;
    durable::sync_parent(path).map_err(io_error("sync of the directory"))?;
    Ok(header)
}

impl AuditLog {
    /// Opens it, or makes it. Every entry is checked; a last one that was not written to its end is cut off; an act that was
    /// begun and has no outcome gets one that says so.
    ///
    /// # Errors
    /// [`AuditLogError`]; the file stays as it is.
    pub fn open(path: &Path, master: &SealingKey, now: u64) -> Result<Self, AuditLogError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(io_error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(AuditLogError::Locked),
            Err(std::fs::TryLockError::Error(error)) => return Err(io_error("lock")(error)),
        }
        let size = file.metadata().map_err(io_error("size"))?.len();
        let header = match format::header_of(&file, size)? {
            Some(header) => header,
            None => create(&file, path)?,
        };
        let sealing = Sealing::of(master, &header.id);
        let mut begun = BTreeSet::new();
        let head = format::scan(&file, |number, body| {
            let entry = sealing.open(number, body).ok_or(AuditLogError::Sealed(number))?;
            match entry.of {
                None if entry.outcome == Outcome::Begun => _ = begun.insert(number),
                None => {}
                Some(of) => _ = begun.remove(&of),
            }
            Ok::<(), AuditLogError>(())
        })?;
        let end = offset_of(head.count);
        if file.metadata().map_err(io_error("size"))?.len() > end {
            tracing::warn!(
                entries = head.count,
                "cut an incomplete last entry of the audit log, of an act that was not begun"
            );
            file.set_len(end).and_then(|()| file.sync_all()).map_err(io_error("cut of the torn tail"))?;
        }
        let log = Self { open: Arc::new(Mutex::new(Open { file, head, poisoned: false })), sealing };
        for of in begun {
            log.append(&Entry::outcome(now, of, Outcome::Interrupted, None))?;
        }
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it ends.
    #[must_use]
    pub fn head(&self) -> Head {
        self.lock().head
    }

    /// Who somebody is in it: the same for the same subject, and for nobody who has not the key a name.
    #[must_use]
    pub fn pseudonym(&self, principal: &Principal) -> String {
        if principal.is_break_glass() {
            return "break-glass".to_owned();
        }
        self.sealing.pseudonym(principal.grantee().as_bytes())
    }

    /// Adds an entry; when it returns, the entry is durable. Its number. Blocking.
    ///
    /// # Errors
    /// [`AuditLogError`]. After a failed write nothing is taken until the next start.
    pub fn append(&self, entry: &Entry) -> Result<u64, AuditLogError> {
        let mut open = self.lock();
        if open.poisoned {
            return Err(AuditLogError::Poisoned);
        }
        let number = open.head.count;
        let offset = offset_of(number);
        if offset + ENTRY_BYTES as u64 > MOST_BYTES {
            return Err(AuditLogError::Full);
        }
        let body = self.sealing.seal(number, entry).ok_or(AuditLogError::Seal)?;
        let (bytes, head) = open.head.next(&body);
        open.poisoned = true;
        open.file.write_all_at(&bytes, offset).map_err(io_error("append"))?;
        open.file.sync_data().map_err(io_error("sync"))?;
        open.poisoned = false;
        open.head = head;
        Ok(number)
    }

    /// Refuses everything from now on, as after a write that failed: for tests.
    #[doc(hidden)]
    pub fn fail_from_now_on(&self) {
        self.lock().poisoned = true;
    }

    /// As [`Self::append`], from an async task.
    ///
    /// # Errors
    /// As there.
    pub async fn add(&self, entry: Entry) -> Result<u64, AuditLogError> {
        let log = self.clone();
        let added = tokio::task::spawn_blocking(move || log.append(&entry)).await;
        added.unwrap_or(Err(AuditLogError::Poisoned))
    }

    /// Bytes of the file from an offset on, at most [`PIECE_BYTES`]: sealed, as they are. Blocking.
    ///
    /// # Errors
    /// [`AuditLogError::Io`].
    pub fn piece(&self, offset: u64) -> Result<Vec<u8>, AuditLogError> {
        let (file, end) = {
            let open = self.lock();
            (open.file.try_clone().map_err(io_error("clone"))?, offset_of(open.head.count))
        };
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(PIECE_BYTES)];
        file.read_exact_at(&mut bytes, offset).map_err(io_error("read"))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
