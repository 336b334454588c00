//! One field, two implementations: `protocol` computes with `ark-ff`, the circuits with `halo2curves`.

use gridveil_protocol::field;
use halo2curves::ff::Field;

use crate::Fr;

/// The same element in this crate's implementation of the field.
#[must_use]
pub fn imported(x: &field::Fr) -> Fr {
    let mut bytes = field::to_bytes(x);
    bytes.reverse();
    // Canonical by construction.
    Option::from(Fr::from_bytes(&bytes)).unwrap_or(Fr::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_have_the_same_numbers() {
        for x in [0u64, 1, u64::MAX] {
            assert_eq!(imported(&field::Fr::from(x)), Fr::from(x));
            assert_eq!(imported(&-field::Fr::from(x)), -Fr::from(x));
        }
    }
}
