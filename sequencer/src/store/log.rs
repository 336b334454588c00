//! The append-only log: the truth of the sequencer (`docs/spec/log.md`).
//!
//! Length-prefixed records, each chained to the one before by BLAKE3. A record is acknowledged after `fdatasync`. On
//! opening, every record is checked. A last record whose end was never written is none, and is cut off before the next one
//! is written. Anything else that fails its check is an error that names the offset.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use gridveil_keystore::{durable, random};

/// First bytes of a log file.
pub const MAGIC: [u8; 8] = *b"GRIDVLOG";
/// Format version. It goes up whenever a record is written differently, names in its JSON included.
pub const VERSION: u32 = 5;
/// The format before, whose bodies are not sealed as a whole. Such a log is read, and goes on as it is.
pub const IN_CLEAR: u32 = 4;
/// Bytes of the file header.
pub const FILE_HEADER_BYTES: u64 = 64;
/// Bytes of a record before its body.
pub const RECORD_HEADER_BYTES: u64 = 32;
/// Bytes of the chain value after a body.
pub const CHAIN_BYTES: u64 = 32;
/// Largest body. A settlement of the largest shape needs about 0.5 MiB.
pub const MAX_BODY_BYTES: u32 = 16 << 20;

const _: () = assert!(RECORD_HEADER_BYTES + CHAIN_BYTES == 64);

/// A log that cannot be opened, read or written. Offsets are bytes from the start of the file. No variant carries a
/// path or content.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("log: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the log open.
    #[error("log: another process has it open")]
    Locked,
    /// Not a log, or a damaged file header.
    #[error("log: file header is damaged, or not that of a log")]
    FileHeader,
    /// A log that another release wrote.
    #[error(
        "log: it has format {found}, this program reads and writes {VERSION} and {IN_CLEAR}: open it with the release that wrote it"
    )]
    Version {
        /// Its format.
        found: u32,
    },
    /// A record header fails its check.
    #[error("log: record header at offset {offset} is damaged")]
    RecordHeader {
        /// Where the record starts.
        offset: u64,
    },
    /// A body or its chain value fails its check.
    #[error("log: record {height} at offset {offset} is damaged")]
    Record {
        /// Number of the record.
        height: u64,
        /// Where the record starts.
        offset: u64,
    },
    /// A body that is empty or too large.
    #[error("log: a body of {got} bytes (1 to {MAX_BODY_BYTES} allowed)")]
    BodyLength {
        /// Bytes given.
        got: usize,
    },
    /// An earlier write or sync failed: what is on disk is unknown until the log is opened again.
    #[error("log: closed after a failed write; open it again")]
    Poisoned,
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io { what, source }
}

/// One record read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Number, from 0.
    pub height: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// Kind.
    pub kind: u16,
    /// Body.
    pub body: Vec<u8>,
    /// Chain value after it.
    pub chain: [u8; 32],
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("height", &self.height).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a log's file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random identity.
    pub id: [u8; 16],
    /// Format.
    pub version: u32,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Number of records.
    pub height: u64,
    /// Bytes.
    pub end: u64,
    /// Chain value of the last record (of the file header, if there is none).
    pub chain: [u8; 32],
}

/// An open log, locked against other processes.
#[derive(Debug)]
pub struct Log {
    file: File,
    id: [u8; 16],
    version: u32,
    tip: Tip,
    /// Bytes after the last record: of one that was not written to its end.
    torn: u64,
    poisoned: bool,
}

/// Reads records of an open log while the writer appends.
#[derive(Debug)]
pub struct LogReader {
    file: File,
}

fn header_check(chain: &[u8; 32], first: &[u8; 16]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("gridveil log record header v1");
    hasher.update(chain).update(first);
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

fn record_chain(chain: &[u8; 32], header: &[u8; 32], body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("gridveil log record v1");
    *hasher.update(chain).update(header).update(body).finalize().as_bytes()
}

fn file_header(id: &[u8; 16], version: u32) -> [u8; 64] {
    let mut out = [0; 64];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&version.to_be_bytes());
    out[16..32].copy_from_slice(id);
    let check = *blake3::hash(&out[..32]).as_bytes();
    out[32..].copy_from_slice(&check);
    out
}

struct RecordHeader {
    length: u32,
    kind: u16,
    height: u64,
}

impl RecordHeader {
    fn encode(&self, chain: &[u8; 32]) -> [u8; 32] {
        let mut first = [0; 16];
        first[..4].copy_from_slice(&self.length.to_be_bytes());
        first[4..6].copy_from_slice(&self.kind.to_be_bytes());
        first[8..16].copy_from_slice(&self.height.to_be_bytes());
        let mut out = [0; 32];
        out[..16].copy_from_slice(&first);
        out[16..].copy_from_slice(&header_check(chain, &first));
        out
    }

    fn decode(bytes: &[u8; 32], chain: &[u8; 32]) -> Option<Self> {
        let (mut first, mut length, mut kind, mut height) = ([0; 16], [0; 4], [0; 2], [0; 8]);
        first.copy_from_slice(&bytes[..16]);
        length.copy_from_slice(&bytes[..4]);
        kind.copy_from_slice(&bytes[4..6]);
        height.copy_from_slice(&bytes[8..16]);
        let header = Self {
            length: u32::from_be_bytes(length),
            kind: u16::from_be_bytes(kind),
            height: u64::from_be_bytes(height),
        };
        let good = header_check(chain, &first) == bytes[16..] && bytes[6..8] == [0, 0];
        (good && (1..=MAX_BODY_BYTES).contains(&header.length)).then_some(header)
    }
}

impl Log {
    /// Opens the log, creating it where there is none, and gives every record to `each` in order.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn open<E: From<LogError>>(
        path: &Path,
        mut each: impl FnMut(&Identity, Record) -> Result<(), E>,
    ) -> Result<Self, E> {
        Self::open_or_create(path, None, &mut each)
    }

    /// A new log with the identity of another: what is sealed for that opens here.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn create(path: &Path, id: [u8; 16]) -> Result<Self, LogError> {
        Self::open_or_create(path, Some(id), &mut |_, _| Ok(()))
    }

    fn open_or_create<E: From<LogError>>(
        path: &Path,
        id: Option<[u8; 16]>,
        each: &mut impl FnMut(&Identity, Record) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(io_error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LogError::Locked.into()),
            Err(std::fs::TryLockError::Error(e)) => return Err(io_error("lock")(e).into()),
        }
        let size = file.metadata().map_err(io_error("size"))?.len();
        let identity = read_or_create(&file, size, path, id)?;
        let Identity { id, version } = identity;
        let header = file_header(&id, version);
        let mut chain = [0; 32];
        chain.copy_from_slice(&header[32..]);
        let size = size.max(FILE_HEADER_BYTES);
        let mut scan = Scan {
            reader: BufReader::with_capacity(1 << 16, &file),
            size,
            tip: Tip { height: 0, end: FILE_HEADER_BYTES, chain },
        };
        scan.reader.seek(SeekFrom::Start(FILE_HEADER_BYTES)).map_err(io_error("seek"))?;
        while let Some(record) = scan.next()? {
            each(&identity, record)?;
        }
        let tip = scan.tip;
        drop(scan);
        // It is cut off before the next record is written, and not before: where the index or L1 know of more records, the
        // log is refused, and what is left of them stays.
        let torn = size - tip.end;
        if torn > 0 {
            tracing::warn!(
                bytes = torn,
                height = tip.height,
                "the last record is incomplete: it was never acknowledged"
            );
        }
        Ok(Self { file, id, version, tip, torn, poisoned: false })
    }

    /// Where the log ends.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// Random identity of the file.
    #[must_use]
    pub const fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Identity and format.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        Identity { id: self.id, version: self.version }
    }

    /// A reader of the same file.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn reader(&self) -> Result<LogReader, LogError> {
        Ok(LogReader { file: self.file.try_clone().map_err(io_error("clone"))? })
    }

    /// Reads every record again, in order.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn scan<E: From<LogError>>(&self, mut each: impl FnMut(Record) -> Result<(), E>) -> Result<(), E> {
        let mut chain = [0; 32];
        chain.copy_from_slice(&file_header(&self.id, self.version)[32..]);
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        reader.seek(SeekFrom::Start(FILE_HEADER_BYTES)).map_err(io_error("seek"))?;
        let mut scan = Scan { reader, size: self.tip.end, tip: Tip { height: 0, end: FILE_HEADER_BYTES, chain } };
        while let Some(record) = scan.next()? {
            each(record)?;
        }
        Ok(())
    }

    /// Appends records with one write and one sync (group commit) and returns the offset of each. When it returns, they
    /// are durable.
    ///
    /// # Errors
    /// [`LogError`]. After a failed write the log refuses everything until it is opened again.
    pub fn append(&mut self, records: &[(u16, Vec<u8>)]) -> Result<Vec<u64>, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(records.len());
        let mut tip = self.tip;
        for (kind, body) in records {
            let length = u32::try_from(body.len()).ok().filter(|n| (1..=MAX_BODY_BYTES).contains(n));
            let length = length.ok_or(LogError::BodyLength { got: body.len() })?;
            let header = RecordHeader { length, kind: *kind, height: tip.height }.encode(&tip.chain);
            offsets.push(tip.end);
            tip.chain = record_chain(&tip.chain, &header, body);
            tip.end += RECORD_HEADER_BYTES + u64::from(length) + CHAIN_BYTES;
            tip.height += 1;
            bytes.extend(header);
            bytes.extend(body);
            bytes.extend(tip.chain);
        }
        self.poisoned = true;
        if self.torn > 0 {
            let cut = self.file.set_len(self.tip.end).and_then(|()| self.file.sync_all());
            cut.map_err(io_error("cut of the torn tail"))?;
            self.torn = 0;
        }
        self.file.write_all_at(&bytes, self.tip.end).map_err(io_error("append"))?;
        self.file.sync_data().map_err(io_error("sync"))?;
        self.poisoned = false;
        self.tip = tip;
        Ok(offsets)
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

struct Scan<R> {
    reader: R,
    size: u64,
    tip: Tip,
}

impl<R: Read> Scan<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut out = [0; N];
        self.reader.read_exact(&mut out).map_err(io_error("read"))?;
        Ok(out)
    }

    /// The next record; `None` at the end, and where the last record was not written to its end.
    fn next(&mut self) -> Result<Option<Record>, LogError> {
        let offset = self.tip.end;
        let left = self.size - offset;
        if left < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let header: [u8; 32] = self.take()?;
        let Some(fields) = RecordHeader::decode(&header, &self.tip.chain) else {
            // A record has a body and a chain value, which is never zero: with nothing but zeros after the header it
            // was never whole.
            return if self.only_zeros()? { Ok(None) } else { Err(LogError::RecordHeader { offset }) };
        };
        let damaged = LogError::Record { height: self.tip.height, offset };
        if fields.height != self.tip.height {
            return Err(damaged);
        }
        let whole = RECORD_HEADER_BYTES + u64::from(fields.length) + CHAIN_BYTES;
        if left < whole {
            return Ok(None);
        }
        let mut body = vec![0; usize::try_from(fields.length).unwrap_or(0)];
        self.reader.read_exact(&mut body).map_err(io_error("read"))?;
        let stored: [u8; 32] = self.take()?;
        let chain = record_chain(&self.tip.chain, &header, &body);
        if stored != chain {
            // The file was made longer, but the end of the record never reached the disk: BLAKE3 never gives zeros.
            return if stored == [0; 32] && self.only_zeros()? { Ok(None) } else { Err(damaged) };
        }
        self.tip = Tip { height: self.tip.height + 1, end: offset + whole, chain };
        Ok(Some(Record { height: fields.height, offset, kind: fields.kind, body, chain }))
    }

    fn only_zeros(&mut self) -> Result<bool, LogError> {
        let mut block = [0; 4096];
        loop {
            let n = self.reader.read(&mut block).map_err(io_error("read"))?;
            if n == 0 {
                return Ok(true);
            }
            if block.iter().take(n).any(|b| *b != 0) {
                return Ok(false);
            }
        }
    }
}

impl LogReader {
    /// Body of the record of `kind` at `offset`. The chain was checked on opening; here the lengths and the kind are.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn read(&self, offset: u64, kind: u16) -> Result<Vec<u8>, LogError> {
        let mut header = [0; 32];
        self.file.read_exact_at(&mut header, offset).map_err(io_error("read"))?;
        let [a, b, c, d, k0, k1, ..] = header;
        let length = u32::from_be_bytes([a, b, c, d]);
        if u16::from_be_bytes([k0, k1]) != kind || !(1..=MAX_BODY_BYTES).contains(&length) {
            return Err(LogError::RecordHeader { offset });
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut body, offset + RECORD_HEADER_BYTES).map_err(io_error("read"))?;
        Ok(body)
    }
}

/// Is there a log: more than what an interrupted creation leaves?
///
/// # Errors
/// [`LogError::Io`].
pub fn is_there(path: &Path) -> Result<bool, LogError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("open")(error)),
    };
    let mut magic = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(io_error("read of the file header"))?;
    // Zeros: the header did not reach the disk, and no key was made before it had.
    Ok(magic.iter().any(|byte| *byte != 0))
}

/// Name of the log inside a data directory.
#[must_use]
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join("sequencer.log")
}

#[cfg(test)]
mod tests;
