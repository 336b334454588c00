//! Files that hold a secret in the clear: keys and tokens. Only their owner reads them.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::durable;

/// Most bytes a secret has, blanks around it included.
const MAX_BYTES: u64 = 4096;

/// Why a secret is not read. Carries no part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The group or everybody can read or write it.
    #[error("is readable by others; its mode must be 0600")]
    ReadableByOthers,
    /// Longer than any secret.
    #[error("is longer than a secret")]
    TooLong,
}

/// Writes a new secret file, whole or not at all. Never overwrites.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is such a file; other file system errors.
pub fn create(path: &Path, secret: &[u8]) -> io::Result<()> {
    durable::create_new(path, secret)
}

/// Reads a secret file, which must be its owner's alone.
///
/// # Errors
/// [`SecretFileError`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let file = File::open(path)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o077 != 0 {
        return Err(SecretFileError::ReadableByOthers);
    }
    // Of its final size from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 1));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(SecretFileError::TooLong) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, b"secret").unwrap();
        assert_eq!(create(&path, b"another").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap().as_slice(), b"secret");
        assert!(matches!(read(&dir.path().join("none")), Err(SecretFileError::Io(_))));
    }

    #[test]
    fn a_file_longer_than_a_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, &[b'a'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(read(&path), Err(SecretFileError::TooLong)));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, b"secret").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(SecretFileError::ReadableByOthers)), "{mode:o}");
        }
    }
}
