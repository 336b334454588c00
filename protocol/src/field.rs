//! The field every commitment lives in, and its only byte encoding.

use ark_ff::{BigInteger, PrimeField};

/// BN254 scalar field = base field of Grumpkin.
pub type Fr = ark_bn254::Fr;
/// Scalar field of Grumpkin (order of the group) = BN254 base field.
pub type Scalar = ark_grumpkin::Fr;

/// A byte string that is not a canonical field element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical field element (32 bytes big-endian, below the modulus)")]
pub struct NotCanonical;

/// 32 bytes, big-endian, canonical.
#[must_use]
pub fn to_bytes<F: PrimeField>(x: &F) -> [u8; 32] {
    let bytes = x.into_bigint().to_bytes_be();
    let mut out = [0u8; 32];
    let start = 32usize.saturating_sub(bytes.len());
    for (o, b) in out.iter_mut().skip(start).zip(bytes) {
        *o = b;
    }
    out
}

/// Inverse of [`to_bytes`]; refuses values that are not below the modulus.
///
/// # Errors
/// [`NotCanonical`] if the value is not below the modulus.
pub fn from_bytes<F: PrimeField>(bytes: &[u8; 32]) -> Result<F, NotCanonical> {
    let x = F::from_be_bytes_mod_order(bytes);
    if to_bytes(&x) == *bytes { Ok(x) } else { Err(NotCanonical) }
}

/// Reduces 32 bytes modulo the field (only for hash outputs that the specification reduces).
#[must_use]
pub fn reduce<F: PrimeField>(bytes: &[u8]) -> F {
    F::from_be_bytes_mod_order(bytes)
}

/// `value * 2^shift` as a field element.
#[must_use]
pub fn shifted(value: u64, shift: u32) -> Fr {
    let mut limbs = [0u64; 4];
    let (limb, bit) = ((shift / 64) as usize, shift % 64);
    if let Some(low) = limbs.get_mut(limb) {
        *low = value << bit;
    }
    if bit > 0
        && let Some(high) = limbs.get_mut(limb + 1)
    {
        *high = value >> (64 - bit);
    }
    Fr::from(ark_ff::BigInt::new(limbs))
}

/// Fields side by side in one element: the sum of `value * 2^shift`.
#[must_use]
pub fn packed<const N: usize>(fields: [(u64, u32); N]) -> Fr {
    fields.into_iter().map(|(value, shift)| shifted(value, shift)).sum()
}

/// A signed integer as a field element (negative values wrap to `r - |x|`).
#[must_use]
pub fn signed(x: i128) -> Fr {
    let magnitude = Fr::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

/// serde of field elements as `0x` + 64 lower-case hex digits.
pub mod hex_fr {
    use super::{Fr, from_bytes, to_bytes};
    use crate::hex::{hex0, parse0};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `0x…`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(x: &Fr, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex0(to_bytes(x)))
    }

    /// Reads `0x…`, refusing anything not canonical.
    ///
    /// # Errors
    /// Malformed or non-canonical hex.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Fr, D::Error> {
        let text = String::deserialize(d)?;
        parse(&text).ok_or_else(|| D::Error::custom("expected 0x and 64 hex digits of a canonical field element"))
    }

    /// Parses one element.
    #[must_use]
    pub fn parse(text: &str) -> Option<Fr> {
        from_bytes(&parse0(text)?).ok()
    }

    /// Arrays and vectors of elements.
    pub mod seq {
        use super::{Fr, hex0, parse, to_bytes};
        use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

        /// Writes a list of `0x…`.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(xs: &[Fr], s: S) -> Result<S::Ok, S::Error> {
            xs.iter().map(|x| hex0(to_bytes(x))).collect::<Vec<_>>().serialize(s)
        }

        /// Reads a list of exactly the target's length.
        ///
        /// # Errors
        /// Malformed element or wrong count.
        pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<Fr>>>(d: D) -> Result<T, D::Error> {
            let texts = Vec::<String>::deserialize(d)?;
            let xs: Option<Vec<Fr>> = texts.iter().map(|t| parse(t)).collect();
            let xs = xs.ok_or_else(|| D::Error::custom("expected a list of 0x field elements"))?;
            T::try_from(xs).map_err(|_| D::Error::custom("wrong number of field elements"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_canonical_and_modulus_is_refused() {
        let modulus: [u8; 32] = Fr::MODULUS.to_bytes_be().try_into().unwrap_or([0; 32]);
        assert_eq!(from_bytes::<Fr>(&modulus), Err(NotCanonical));
        let x = shifted(u64::MAX, 100);
        assert_eq!(from_bytes::<Fr>(&to_bytes(&x)), Ok(x));
        assert_eq!(shifted(3, 70), Fr::from(3u64) * Fr::from(1u128 << 70));
        assert_eq!(signed(-5) + Fr::from(5u64), Fr::from(0u64));
    }
}
