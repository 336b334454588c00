//! Bytes to text.

use crate::SourceError;

/// Text of a file: UTF-8, UTF-16 with a byte order mark, or `encoding` if it is named. What is none of them is read as
/// Windows-1252 only if it has its letters and nothing that it leaves undefined.
///
/// # Errors
/// [`SourceError::NotText`].
pub fn decode(bytes: &[u8], encoding: Option<&str>) -> Result<String, SourceError> {
    let named = match encoding {
        Some(name) => Some(encoding_rs::Encoding::for_label(name.as_bytes()).ok_or(SourceError::NotText)?),
        None => encoding_rs::Encoding::for_bom(bytes).map(|(encoding, _)| encoding),
    };
    if let Some(encoding) = named {
        let (text, _, bad) = encoding.decode(bytes);
        return if bad { Err(SourceError::NotText) } else { Ok(text.into_owned()) };
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if bytes.iter().any(|b| matches!(b, 0..=8 | 14..=31 | 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)) => {
            Err(SourceError::NotText)
        }
        Err(_) => Ok(encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheets_encodings_are_read() {
        assert_eq!(decode("\u{feff}Qualität".as_bytes(), None).unwrap(), "Qualität");
        assert_eq!(decode(b"Qualit\xe4t", None).unwrap(), "Qualität");
        assert_eq!(decode(b"\xff\xfeM\0\xe5\0", None).unwrap(), "Må");
        assert_eq!(decode(b"\x00\xff\x01", None), Err(SourceError::NotText));
        assert_eq!(decode(b"x", Some("no-such")), Err(SourceError::NotText));
        assert_eq!(decode(b"\xff\xfe\x00", None), Err(SourceError::NotText));
    }
}
