//! Who signs on L1: key files.

use std::path::Path;

use anyhow::{Context as _, bail};
use gridveil_keystore::secret_file::{self, SecretFileError};

/// The key of a file that only its owner reads, hex.
///
/// # Errors
/// No such file, others may read it, or it holds no key. Names the file, and no part of the key.
pub fn key_file(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let bytes = match secret_file::read(path) {
        Ok(bytes) => bytes,
        Err(SecretFileError::ReadableByOthers) => {
            bail!("{name}: others may read this key: chmod 600 {name}, and take another key if somebody could have")
        }
        Err(error) => return Err(error).with_context(|| name.to_string()),
    };
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        Ok(digits.to_owned())
    } else {
        bail!("{name}: not an L1 key: 64 hex digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let digits = "ab".repeat(32);
        secret_file::create(&path, format!("0x{digits}\n").as_bytes()).unwrap();
        assert_eq!(key_file(&path).unwrap(), digits);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(key_file(&path).unwrap_err().to_string().contains("chmod 600"));
        let short = dir.path().join("short");
        secret_file::create(&short, &digits.as_bytes()[1..]).unwrap();
        let error = key_file(&short).unwrap_err().to_string();
        assert!(error.contains("64 hex digits") && !error.contains("abab"), "{error}");
    }
}
