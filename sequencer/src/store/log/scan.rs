//! Reading a log from front to back. It takes no offset of the file with it, so that others read and write meanwhile.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
};

use super::{CHAIN_BYTES, LogError, RECORD_HEADER_BYTES, Record, RecordHeader, Tip, io_error, record_chain};

/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 16;

/// A file from a place on.
struct Onward<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Onward<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The records of a file, one after the other.
pub(super) struct Scan<'a> {
    reader: BufReader<Onward<'a>>,
    size: u64,
    tip: Tip,
}

impl<'a> Scan<'a> {
    /// From a place on, up to `size`.
    pub(super) fn of(file: &'a File, from: Tip, size: u64) -> Self {
        let reader = BufReader::with_capacity(AT_ONCE, Onward { file, at: from.end });
        Self { reader, size, tip: from }
    }

    /// How far it has come.
    pub(super) const fn tip(&self) -> Tip {
        self.tip
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut out = [0; N];
        self.reader.read_exact(&mut out).map_err(io_error("read"))?;
        Ok(out)
    }

    /// The next record; `None` at the end, and where the last record was not written to its end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, LogError> {
        let offset = self.tip.end;
        let left = self.size.saturating_sub(offset);
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
