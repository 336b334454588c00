//! Bytes as `0x` and hex digits: the one form in which they are shown, sent and read.

/// `0x` and two lower-case digits a byte.
#[must_use]
pub fn hex0(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Exactly `N` bytes out of `0x` and their digits, of either case.
#[must_use]
pub fn parse0<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut bytes).ok()?;
    Some(bytes)
}

/// serde of byte arrays as `0x` hex.
pub mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `0x…`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::hex0(bytes))
    }

    /// Reads exactly N bytes.
    ///
    /// # Errors
    /// Malformed hex or another length.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(d)?;
        let mut out = [0u8; N];
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        hex::decode_to_slice(digits, &mut out).map_err(|_| D::Error::custom(format!("expected {N} bytes of hex")))?;
        Ok(out)
    }
}

/// serde of bytes of any number as `0x` hex.
pub mod hex_vec {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `0x…`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::hex0(bytes))
    }

    /// Reads all bytes there are.
    ///
    /// # Errors
    /// Malformed hex.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(|_| D::Error::custom("expected bytes in hex"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_nothing_else_is_read() {
        assert_eq!(hex0([0, 0xab]), "0x00ab");
        assert_eq!(parse0("0x00aB"), Some([0, 0xab]));
        for bad in ["00ab", "0x00a", "0x00abcd", "0x0g00", "0X00ab", ""] {
            assert_eq!(parse0::<2>(bad), None, "{bad}");
        }
    }
}
