//! Record after record, for who looks for a few of them.

use std::os::unix::fs::FileExt as _;

use super::{CHAIN_BYTES, LogError, LogReader, MAX_BODY_BYTES, RECORD_HEADER_BYTES, io_error};

/// What a record says before its body. The chain was checked on opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Kind.
    pub kind: u16,
    /// Number of the record.
    pub height: u64,
    /// Where the next record begins.
    pub end: u64,
}

impl LogReader {
    /// The head of the record at `offset`; `None` at the end of the log.
    ///
    /// # Errors
    /// [`LogError`], also where no record begins.
    pub fn head(&self, offset: u64) -> Result<Option<Head>, LogError> {
        let size = self.file.metadata().map_err(io_error("size"))?.len();
        if size.saturating_sub(offset) < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let mut header = [0; 32];
        self.file.read_exact_at(&mut header, offset).map_err(io_error("read"))?;
        let [a, b, c, d, k0, k1, 0, 0, h0, h1, h2, h3, h4, h5, h6, h7, ..] = header else {
            return Err(LogError::RecordHeader { offset });
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if !(1..=MAX_BODY_BYTES).contains(&length) {
            return Err(LogError::RecordHeader { offset });
        }
        Ok(Some(Head {
            kind: u16::from_be_bytes([k0, k1]),
            height: u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            end: offset + RECORD_HEADER_BYTES + u64::from(length) + CHAIN_BYTES,
        }))
    }
}
