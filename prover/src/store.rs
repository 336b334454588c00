//! Checksummed files: written whole or not at all, read only if every byte is as written.
//!
//! Layout: magic (8) | label length, u32 LE | label | body | BLAKE3 of everything before (32). The label says what the
//! file is, so a file put in another's place is refused like a damaged one.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use gridveil_keystore::durable::{self, Access};

const MAGIC: &[u8; 8] = b"GVCACHE1";
const DIGEST_BYTES: u64 = 32;
const BUFFER_BYTES: usize = 1 << 20;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{path}: {what}")]
    Corrupt {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    fn corrupt(path: &Path, what: &'static str) -> Self {
        Self::Corrupt { path: path.to_path_buf(), what }
    }
}

/// Writes and hashes. It never returns an error to its caller, because halo2's key serialisation unwraps every write
/// and would panic. The first error is kept and reported at the end.
struct Latch<'a> {
    file: BufWriter<&'a File>,
    hasher: blake3::Hasher,
    failed: Option<io::Error>,
}

impl Write for Latch<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_none() {
            self.hasher.update(bytes);
            self.failed = self.file.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `bytes` to `path`: afterwards the file is there whole and durable, or not at all.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    durable::replace_with(path, Access::Mask, |file| file.write_all(bytes)).map_err(StoreError::io(path))
}

/// Writes a labelled, checksummed file atomically.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write(path: &Path, label: &str, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
    }
    durable::replace_with(path, Access::Mask, |file| write_to(file, label, body)).map_err(StoreError::io(path))
}

fn write_to(file: &File, label: &str, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut latch =
        Latch { file: BufWriter::with_capacity(BUFFER_BYTES, file), hasher: blake3::Hasher::new(), failed: None };
    let length = u32::try_from(label.len()).map_err(|_| io::Error::other("label too long"))?;
    latch.write_all(MAGIC)?;
    latch.write_all(&length.to_le_bytes())?;
    latch.write_all(label.as_bytes())?;
    body(&mut latch)?;
    if let Some(error) = latch.failed {
        return Err(error);
    }
    let digest = latch.hasher.finalize();
    latch.file.write_all(digest.as_bytes())?;
    latch.file.flush()
}

/// Opens a file written by [`write`](fn@write), after checking every byte of it; the reader stands at the body and ends
/// with it. `None` if there is no such file.
///
/// # Errors
/// [`StoreError::Corrupt`] if the file is damaged or has another label; [`StoreError::Io`].
pub fn open(path: &Path, label: &str) -> Result<Option<impl Read + use<>>, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(path)(error)),
    };
    let length = file.metadata().map_err(StoreError::io(path))?.len();
    let head = (MAGIC.len() + 4 + label.len()) as u64;
    let Some(body) = length.checked_sub(head + DIGEST_BYTES) else {
        return Err(StoreError::corrupt(path, "shorter than its header: made again"));
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&mut file).take(head + body)).map_err(StoreError::io(path))?;
    let mut stored = [0; DIGEST_BYTES as usize];
    file.read_exact(&mut stored).map_err(StoreError::io(path))?;
    if hasher.finalize() != blake3::Hash::from_bytes(stored) {
        return Err(StoreError::corrupt(path, "checksum does not match its contents"));
    }
    file.seek(SeekFrom::Start(0)).map_err(StoreError::io(path))?;
    let mut start = vec![0; MAGIC.len() + 4 + label.len()];
    file.read_exact(&mut start).map_err(StoreError::io(path))?;
    let size = u32::try_from(label.len()).unwrap_or(u32::MAX).to_le_bytes();
    if start != [MAGIC.as_slice(), &size, label.as_bytes()].concat() {
        return Err(StoreError::corrupt(path, "is not the file its name says"));
    }
    Ok(Some(BufReader::with_capacity(BUFFER_BYTES, file.take(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(path: &Path, label: &str) -> Result<Option<Vec<u8>>, StoreError> {
        open(path, label)?.map_or(Ok(None), |mut reader| {
            let mut out = Vec::new();
            reader.read_to_end(&mut out).map_err(StoreError::io(path))?;
            Ok(Some(out))
        })
    }

    #[test]
    fn what_was_written_is_read_and_every_flipped_byte_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub").join("file");
        assert!(body(&path, "a label").unwrap().is_none());
        write(&path, "a label", |w| w.write_all(b"some body")).unwrap();
        assert_eq!(body(&path, "a label").unwrap().unwrap(), b"some body");
        assert!(matches!(body(&path, "b label"), Err(StoreError::Corrupt { .. })));
        assert!(matches!(
            body(&path, "a label longer than the whole file, so that it cannot fit into it"),
            Err(StoreError::Corrupt { .. })
        ));
        let good = fs::read(&path).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(body(&path, "a label"), Err(StoreError::Corrupt { .. })), "byte {position}");
            fs::write(&path, &good[..position]).unwrap();
            assert!(matches!(body(&path, "a label"), Err(StoreError::Corrupt { .. })), "{position} bytes");
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(write(&path, "l", |_| Err(io::Error::other("no"))).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
