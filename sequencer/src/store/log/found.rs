//! A log that is locked and not read yet: from where on it is read is decided by who opens it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use gridveil_keystore::{durable, random};

use super::{
    CHAIN_BYTES, FILE_HEADER_BYTES, IN_CLEAR, Identity, Log, LogError, LogReader, MAGIC, Record, Scan, Tip, VERSION,
    file_header, io_error,
};

/// A locked log.
#[derive(Debug)]
pub struct Found {
    file: File,
    identity: Identity,
    size: u64,
}

impl Found {
    /// The log at `path`, made where there is none, with this identity if one is given.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn at(path: &Path, id: Option<[u8; 16]>) -> Result<Self, LogError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(io_error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked),
            Err(TryLockError::Error(error)) => return Err(io_error("lock")(error)),
        }
        let size = file.metadata().map_err(io_error("size"))?.len();
        let identity = read_or_create(&file, size, path, id)?;
        Ok(Self { file, identity, size: size.max(FILE_HEADER_BYTES) })
    }

    /// Identity and format.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Does the log have this chain value where it ended once?
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn has(&self, tip: &Tip) -> Result<bool, LogError> {
        if tip.end < FILE_HEADER_BYTES || tip.end > self.size {
            return Ok(false);
        }
        let mut chain = [0; 32];
        self.file.read_exact_at(&mut chain, tip.end - CHAIN_BYTES).map_err(io_error("read"))?;
        Ok(chain == tip.chain)
    }

    /// Gives every record from a place on to `each`, in order, and changes nothing. Gives the place after the last.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn scan<E: From<LogError>>(&self, from: Tip, mut each: impl FnMut(Record) -> Result<(), E>) -> Result<Tip, E> {
        let mut scan = Scan::of(&self.file, from, self.size);
        while let Some(record) = scan.next()? {
            each(record)?;
        }
        Ok(scan.tip())
    }

    /// The same, and opens it: a last record that is not whole is cut off.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn read<E: From<LogError>>(self, from: Tip, each: impl FnMut(Record) -> Result<(), E>) -> Result<Log, E> {
        let tip = self.scan(from, each)?;
        let Self { file, identity: Identity { id, version }, size } = self;
        if tip.end < size {
            tracing::warn!(
                bytes = size - tip.end,
                height = tip.height,
                "cut an incomplete last record that was never acknowledged"
            );
            file.set_len(tip.end).and_then(|()| file.sync_all()).map_err(io_error("cut of the torn tail"))?;
        }
        Ok(Log { file, id, version, tip, poisoned: false })
    }

    /// A reader of the file.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn reader(&self) -> Result<LogReader, LogError> {
        Ok(LogReader { file: self.file.try_clone().map_err(io_error("clone"))? })
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.size
    }
}

fn read_or_create(file: &File, size: u64, path: &Path, wanted: Option<[u8; 16]>) -> Result<Identity, LogError> {
    let mut header = [0; 64];
    let there = usize::try_from(size.min(FILE_HEADER_BYTES)).unwrap_or(64);
    file.read_exact_at(&mut header[..there], 0).map_err(io_error("read of the file header"))?;
    let (mut id, mut version) = ([0; 16], [0; 4]);
    id.copy_from_slice(&header[16..32]);
    version.copy_from_slice(&header[8..12]);
    if let Some(version) = [VERSION, IN_CLEAR].into_iter().find(|version| header == file_header(&id, *version)) {
        return Ok(Identity { id, version });
    }
    if there == 64 && header[..8] == MAGIC && ![VERSION, IN_CLEAR].contains(&u32::from_be_bytes(version)) {
        return Err(LogError::Version { found: u32::from_be_bytes(version) });
    }
    // Creation interrupted: nothing but (a prefix of) a header was written, so nothing was ever acknowledged.
    let started = MAGIC.iter().zip(&header[..there]).all(|(a, b)| a == b || *b == 0);
    if size > FILE_HEADER_BYTES || !started || (there == 64 && header != [0; 64]) {
        return Err(LogError::FileHeader);
    }
    id = match wanted {
        Some(wanted) => wanted,
        None => random().map_err(|error| io_error("random identity")(io::Error::other(error)))?,
    };
    file.set_len(0)
        .and_then(|()| file.write_all_at(&file_header(&id, VERSION), 0))
        .and_then(|()| file.sync_all())
        .map_err(io_error("creation"))?;
    durable::sync_parent(path).map_err(io_error("sync of the directory"))?;
    Ok(Identity { id, version: VERSION })
}
