//! The bytes of an audit log, and the check of a file by somebody who has no key: the chain is over what is sealed.

use std::{fs::File, os::unix::fs::FileExt as _};

/// First bytes of a file.
pub const MAGIC: [u8; 8] = *b"GRIDVAUD";
/// Format.
pub const VERSION: u32 = 1;
/// Bytes of the file header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an entry that are sealed. Every entry has as many, so that its length tells nothing.
pub const PLAIN_BYTES: usize = 1024;
/// Nonce and tag of a sealed body.
const SEAL_BYTES: usize = 40;
/// Bytes of a sealed body.
pub const BODY_BYTES: usize = PLAIN_BYTES + SEAL_BYTES;
/// Bytes of an entry: its number, its sealed body, its chain value.
pub const ENTRY_BYTES: usize = 8 + BODY_BYTES + 32;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system refused.
    #[error("read: {0}")]
    Io(std::io::Error),
    /// Not an audit log, or a damaged file header.
    #[error("the file header is damaged, or not that of an audit log")]
    Header,
    /// Another release's.
    #[error("format {found}, and this program reads {VERSION}: take the release that wrote it")]
    Version {
        /// Its format.
        found: u32,
    },
    /// An entry was changed, removed, put in or moved.
    #[error("entry {number} at offset {offset} is not the one that follows on those before it")]
    Entry {
        /// Number, from 0.
        number: u64,
        /// First byte.
        offset: u64,
    },
}

/// The file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Random identity.
    pub id: [u8; 16],
}

impl Header {
    /// Its bytes; the last 32 are the chain value that the first entry follows on.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_be_bytes());
        out[16..32].copy_from_slice(&self.id);
        let check = *blake3::hash(&out[..32]).as_bytes();
        out[32..].copy_from_slice(&check);
        out
    }

    fn chain(&self) -> [u8; 32] {
        let mut chain = [0; 32];
        chain.copy_from_slice(&self.encode()[32..]);
        chain
    }
}

/// Where a log ends: what L1 is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Entries.
    pub count: u64,
    /// Chain value of the last one; of the file header, if there is none.
    pub chain: [u8; 32],
}

fn chained(before: &[u8; 32], number: u64, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("gridveil audit entry v1");
    *hasher.update(before).update(&number.to_be_bytes()).update(body).finalize().as_bytes()
}

/// First byte of an entry.
#[must_use]
pub const fn offset_of(number: u64) -> u64 {
    HEADER_BYTES as u64 + number.saturating_mul(ENTRY_BYTES as u64)
}

impl Head {
    /// The bytes of the next entry, and where the log ends with it.
    #[must_use]
    pub fn next(&self, body: &[u8]) -> (Vec<u8>, Self) {
        let chain = chained(&self.chain, self.count, body);
        let bytes = [&self.count.to_be_bytes()[..], body, &chain].concat();
        (bytes, Self { count: self.count + 1, chain })
    }
}

/// The file header; `None` for a file that was never begun: empty, or zeros.
///
/// # Errors
/// [`FormatError`].
pub fn header_of(file: &File, size: u64) -> Result<Option<Header>, FormatError> {
    let mut header = [0; HEADER_BYTES];
    let there = usize::try_from(size.min(HEADER_BYTES as u64)).unwrap_or(HEADER_BYTES);
    file.read_exact_at(header.get_mut(..there).unwrap_or_default(), 0).map_err(FormatError::Io)?;
    let (mut id, mut version) = ([0; 16], [0; 4]);
    id.copy_from_slice(&header[16..32]);
    version.copy_from_slice(&header[8..12]);
    let found = Header { id };
    if there == HEADER_BYTES && header == found.encode() {
        return Ok(Some(found));
    }
    let version = u32::from_be_bytes(version);
    if there == HEADER_BYTES && header[..8] == MAGIC && version != VERSION {
        return Err(FormatError::Version { found: version });
    }
    let started = MAGIC.iter().zip(&header[..there]).all(|(a, b)| a == b || *b == 0);
    let never = size < HEADER_BYTES as u64 && started || size == HEADER_BYTES as u64 && header == [0; HEADER_BYTES];
    if never { Ok(None) } else { Err(FormatError::Header) }
}

/// What an entry is if it is not a whole one that follows.
fn is_torn(file: &File, from: u64, entry: &[u8]) -> Result<bool, FormatError> {
    // The file was made longer, and the end of the entry never reached the disk: BLAKE3 never gives zeros.
    if entry.last_chunk::<32>() != Some(&[0; 32]) {
        return Ok(false);
    }
    let mut block = [0; ENTRY_BYTES];
    let read = file.read_at(&mut block, from).map_err(FormatError::Io)?;
    // Only the last one is written when it breaks off.
    Ok(read == 0)
}

/// Goes through every entry, in order, and gives each one's number and sealed body. Where the log ends: before a last entry
/// that was not written to its end.
///
/// # Errors
/// [`FormatError`] with the first entry that does not follow, or what `each` refuses.
pub fn scan<E: From<FormatError>>(file: &File, mut each: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<Head, E> {
    heads(file, |head, body| each(head.count - 1, body))
}

/// The same, with the head after each entry.
///
/// # Errors
/// As there.
pub fn heads<E: From<FormatError>>(
    file: &File,
    mut each: impl FnMut(&Head, &[u8]) -> Result<(), E>,
) -> Result<Head, E> {
    let size = file.metadata().map_err(FormatError::Io)?.len();
    let Some(header) = header_of(file, size)? else { return Err(FormatError::Header.into()) };
    let mut head = Head { count: 0, chain: header.chain() };
    let mut entry = vec![0; ENTRY_BYTES];
    loop {
        let offset = offset_of(head.count);
        if size.saturating_sub(offset) < ENTRY_BYTES as u64 {
            return Ok(head);
        }
        file.read_exact_at(&mut entry, offset).map_err(FormatError::Io)?;
        let body = entry.get(8..8 + BODY_BYTES).unwrap_or_default();
        let (bytes, next) = head.next(body);
        if bytes != entry {
            if is_torn(file, offset + ENTRY_BYTES as u64, &entry)? {
                return Ok(head);
            }
            return Err(FormatError::Entry { number: head.count, offset }.into());
        }
        each(&next, body)?;
        head = next;
    }
}
