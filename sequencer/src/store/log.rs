//! The append-only log: the truth of the sequencer (`docs/spec/log.md`).
//!
//! Length-prefixed records, each chained to the one before by BLAKE3. A record is acknowledged after `fdatasync`. On
//! opening, every record is checked. A last record whose end was never written is none, and is cut off before the next one
//! is written. Anything else that fails its check is an error that names the offset.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

mod found;
mod scan;

pub use found::Found;
use scan::Scan;

mod walk;

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

impl Record {
    /// Where a log ends after it.
    #[must_use]
    pub fn after(&self) -> Tip {
        let end = self.offset + RECORD_HEADER_BYTES + self.body.len() as u64 + CHAIN_BYTES;
        Tip { height: self.height + 1, end, chain: self.chain }
    }
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

impl Identity {
    /// Before the first record.
    #[must_use]
    pub fn start(&self) -> Tip {
        let mut chain = [0; 32];
        chain.copy_from_slice(&file_header(&self.id, self.version)[32..]);
        Tip { height: 0, end: FILE_HEADER_BYTES, chain }
    }
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
        let found = Found::at(path, None)?;
        let identity = found.identity();
        found.read(identity.start(), |record| each(&identity, record))
    }

    /// A new log with the identity of another: what is sealed for that opens here.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn create(path: &Path, id: [u8; 16]) -> Result<Self, LogError> {
        let found = Found::at(path, Some(id))?;
        let start = found.identity().start();
        found.read(start, |_| Ok(()))
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
    pub fn scan<E: From<LogError>>(&self, each: impl FnMut(Record) -> Result<(), E>) -> Result<(), E> {
        self.scan_from(self.identity().start(), each)
    }

    /// The same from a place on.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn scan_from<E: From<LogError>>(
        &self,
        from: Tip,
        mut each: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scan = Scan::of(&self.file, from, self.tip.end);
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

impl LogReader {
    /// Body of the record of `kind` at `offset`. It is checked as it was on opening: against the chain value before it,
    /// so that one that was damaged meanwhile, or stands in another's place, is found.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn read(&self, offset: u64, kind: u16) -> Result<Vec<u8>, LogError> {
        let damaged_header = LogError::RecordHeader { offset };
        let (mut chain, mut header) = ([0; 32], [0; 32]);
        let before = offset.checked_sub(CHAIN_BYTES).ok_or(LogError::RecordHeader { offset })?;
        self.file.read_exact_at(&mut chain, before).map_err(io_error("read"))?;
        self.file.read_exact_at(&mut header, offset).map_err(io_error("read"))?;
        let fields = RecordHeader::decode(&header, &chain).filter(|fields| fields.kind == kind);
        let fields = fields.ok_or(damaged_header)?;
        let length = usize::try_from(fields.length).unwrap_or(0);
        let mut body = vec![0; length + header.len()];
        self.file.read_exact_at(&mut body, offset + RECORD_HEADER_BYTES).map_err(io_error("read"))?;
        let stored = body.split_off(length);
        if stored == record_chain(&chain, &header, &body) {
            Ok(body)
        } else {
            Err(LogError::Record { height: fields.height, offset })
        }
    }

    /// Gives the records from one place to another, in order, while the writer appends behind them.
    ///
    /// # Errors
    /// [`LogError`], or what `each` refuses.
    pub fn scan<E: From<LogError>>(
        &self,
        from: Tip,
        to: &Tip,
        mut each: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scan = Scan::of(&self.file, from, to.end);
        while let Some(record) = scan.next()? {
            each(record)?;
        }
        // What is before `to` was whole once: an end that is missing is damage.
        if scan.tip() == *to { Ok(()) } else { Err(LogError::RecordHeader { offset: scan.tip().end }.into()) }
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
