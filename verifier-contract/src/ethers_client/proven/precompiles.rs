//! The contracts that every chain has and that are no code: those that verifiers of proofs need, and copying.

use std::cell::RefCell;

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing as _;
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{BigInt, BigInteger as _, PrimeField, Zero as _};
use evm::GasMutState;
use evm::interpreter::{ExitError, ExitException, ExitFatal, ExitResult, ExitSucceed};
use evm::standard::PrecompileSet;
use evm::uint::{H160, U256, U256Ext as _};

const WORD: usize = 32;
/// Words of one pair of points of a pairing.
const PAIR: usize = 6;

/// Copying, powers of numbers of at most 32 bytes, and the curve of the proofs. Who calls another one is told so.
pub(super) struct Precompiles<'a> {
    pub(super) unknown: &'a RefCell<Option<&'static str>>,
}

impl<S: GasMutState, H> PrecompileSet<S, H> for Precompiles<'_> {
    fn execute(&self, address: H160, input: &[u8], state: &mut S, _: &mut H) -> Option<(ExitResult, Vec<u8>)> {
        let number = number(&address)?;
        let words = input.len().div_ceil(WORD) as u64;
        let pairs = (input.len() / (PAIR * WORD)) as u64;
        let (gas, answer) = match number {
            4 => (15 + 3 * words, Some(input.to_vec())),
            5 => (200, power(input)),
            6 => (150, sum(input)),
            7 => (6_000, product(input)),
            8 => (45_000 + 34_000 * pairs, pairing(input)),
            _ => {
                self.unknown.borrow_mut().get_or_insert("a precompiled contract that this program does not have");
                return Some((Err(ExitError::Fatal(ExitFatal::NotSupported)), Vec::new()));
            }
        };
        if number == 5 && answer.is_none() {
            self.unknown.borrow_mut().get_or_insert("a power of numbers of more than 32 bytes");
        }
        if let Err(error) = state.record_gas(gas.into()) {
            return Some((Err(error), Vec::new()));
        }
        Some(match answer {
            Some(answer) => (Ok(ExitSucceed::Returned), answer),
            None => (Err(ExitException::Other("not a point of the curve".into()).into()), Vec::new()),
        })
    }
}

/// The number of a precompiled contract: those that a fork has added so far, and the curve P-256.
fn number(address: &H160) -> Option<u16> {
    let (high, low) = address.0.split_last_chunk::<2>()?;
    let number = u16::from_be_bytes(*low);
    (high.iter().all(|byte| *byte == 0) && matches!(number, 1..=0x11 | 0x100)).then_some(number)
}

/// The word at a place, with zeros after the end of the input.
fn word(input: &[u8], at: usize) -> [u8; WORD] {
    let mut word = [0; WORD];
    let from = (at * WORD).min(input.len());
    let found = &input[from..(from + WORD).min(input.len())];
    word[..found.len()].copy_from_slice(found);
    word
}

/// `base ^ exponent mod modulus` (EIP-198) of numbers of 32 bytes or fewer; `None` of longer ones.
fn power(input: &[u8]) -> Option<Vec<u8>> {
    let length = |at| usize::try_from(u64::try_from(U256::from_big_endian(&word(input, at))).ok()?).ok();
    let (base, exponent, modulus) = (length(0)?, length(1)?, length(2)?);
    if [base, exponent, modulus].iter().any(|length| *length > WORD) {
        return None;
    }
    let mut rest = input.get(3 * WORD..).unwrap_or_default();
    let mut take = |length: usize| {
        let mut bytes = vec![0; length];
        let (found, after) = rest.split_at(length.min(rest.len()));
        bytes[..found.len()].copy_from_slice(found);
        rest = after;
        U256::from_big_endian(&bytes)
    };
    let (mut factor, exponent, m) = (take(base), take(exponent), take(modulus));
    let mut result = if m > U256::one() { U256::one() } else { U256::zero() };
    for bit in 0..exponent.bits() {
        if exponent.bit(bit) {
            result = result.mul_mod(factor, m);
        }
        factor = factor.mul_mod(factor, m);
    }
    let mut out = [0; WORD];
    result.to_big_endian(&mut out);
    Some(out[WORD - modulus..].to_vec())
}

/// A coordinate: a number below the field's modulus.
fn element(bytes: [u8; WORD]) -> Option<Fq> {
    // Of both, the least significant limb is the first.
    Fq::from_bigint(BigInt::new(U256::from_big_endian(&bytes).0))
}

/// A point of the curve; zeros are the point at infinity.
fn g1(input: &[u8], at: usize) -> Option<G1Affine> {
    let (x, y) = (element(word(input, at))?, element(word(input, at + 1))?);
    if x.is_zero() && y.is_zero() {
        return Some(G1Affine::zero());
    }
    let point = G1Affine::new_unchecked(x, y);
    point.is_on_curve().then_some(point)
}

/// A point of the group over the extension, imaginary parts first (EIP-197).
fn g2(input: &[u8], at: usize) -> Option<G2Affine> {
    let part = |offset| element(word(input, at + offset));
    let (x, y) = (Fq2::new(part(1)?, part(0)?), Fq2::new(part(3)?, part(2)?));
    if x.is_zero() && y.is_zero() {
        return Some(G2Affine::zero());
    }
    let point = G2Affine::new_unchecked(x, y);
    (point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve()).then_some(point)
}

fn bytes(point: G1Affine) -> Vec<u8> {
    let coordinates = point.xy().unwrap_or_default();
    [coordinates.0, coordinates.1].iter().flat_map(|x| x.into_bigint().to_bytes_be()).collect()
}

fn sum(input: &[u8]) -> Option<Vec<u8>> {
    Some(bytes((g1(input, 0)? + g1(input, 2)?).into_affine()))
}

fn product(input: &[u8]) -> Option<Vec<u8>> {
    // Any number is a factor, also one above the group's order.
    let factor = Fr::from_be_bytes_mod_order(&word(input, 2));
    Some(bytes((g1(input, 0)? * factor).into_affine()))
}

/// One if the product of the pairings is one.
fn pairing(input: &[u8]) -> Option<Vec<u8>> {
    if !input.len().is_multiple_of(PAIR * WORD) {
        return None;
    }
    let pairs = (0..input.len() / WORD).step_by(PAIR);
    let pairs: Vec<(G1Affine, G2Affine)> =
        pairs.map(|at| Some((g1(input, at)?, g2(input, at + 2)?))).collect::<Option<_>>()?;
    let (ones, twos): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut out = vec![0; WORD];
    out[WORD - 1] = u8::from(Bn254::multi_pairing(ones, twos).is_zero());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<u8> {
        words.iter().flat_map(|word| hex::decode(format!("{word:0>64}")).unwrap()).collect()
    }

    /// Twice the generator, and minus the generator: numbers of EIP-196 and of go-ethereum's tests.
    const TWICE: [&str; 2] = [
        "030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3",
        "15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4",
    ];
    const MINUS_Y: &str = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45";
    /// The generator over the extension.
    const G2: [&str; 4] = [
        "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2",
        "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed",
        "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b",
        "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa",
    ];

    #[test]
    fn points_are_added_and_multiplied() {
        assert_eq!(sum(&words(&["1", "2", "1", "2"])), Some(words(&TWICE)));
        assert_eq!(product(&words(&["1", "2", "2"])), Some(words(&TWICE)));
        assert_eq!(sum(&words(&["1", "2", "1", MINUS_Y])), Some(words(&["0", "0"])), "to infinity");
        assert_eq!(sum(&[]), Some(words(&["0", "0"])), "what is not there is zero");
        assert_eq!(sum(&words(&["1", "1"])), None, "not on the curve");
        let modulus = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";
        assert_eq!(sum(&words(&[modulus, "0"])), None, "a coordinate has one form");
    }

    #[test]
    fn a_pairing_and_its_inverse_are_one() {
        let (one, zero) = (words(&["1"]), words(&["0"]));
        let plus = [&["1", "2"][..], &G2].concat();
        let minus = [&["1", MINUS_Y][..], &G2].concat();
        assert_eq!(pairing(&words(&[plus.clone(), minus].concat())), Some(one.clone()));
        assert_eq!(pairing(&words(&plus)), Some(zero));
        assert_eq!(pairing(&[]), Some(one));
        assert_eq!(pairing(&[0; 31]), None);
        // Imaginary parts behind the real ones: another point, which is not of the curve.
        let exchanged = ["1", "2", G2[1], G2[0], G2[3], G2[2]];
        assert_eq!(pairing(&words(&exchanged)), None);
    }

    #[test]
    fn powers() {
        let of = |base, exponent, modulus| words(&["20", "20", "20", base, exponent, modulus]);
        assert_eq!(power(&of("3", "5", "7")), Some(words(&["5"])));
        assert_eq!(power(&of("3", "0", "7")), Some(words(&["1"])));
        assert_eq!(power(&of("3", "5", "1")), Some(words(&["0"])));
        assert_eq!(power(&of("3", "5", "0")), Some(words(&["0"])));
        assert_eq!(power(&words(&["1", "1", "1"])), Some(vec![0]));
        assert_eq!(power(&words(&["21", "20", "20"])), None);
        // Fermat: a^(p-1) is 1.
        let p = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";
        let p_minus_1 = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd46";
        assert_eq!(power(&of("1234567", p_minus_1, p)), Some(words(&["1"])));
    }

    #[test]
    fn only_what_is_precompiled_is_taken_for_it() {
        assert_eq!(number(&H160::from_low_u64_be(8)), Some(8));
        assert_eq!(number(&H160::from_low_u64_be(0x100)), Some(0x100));
        assert_eq!(number(&H160::zero()), None);
        assert_eq!(number(&H160::from_low_u64_be(0x1_0008)), None);
        assert_eq!(number(&H160::repeat_byte(8)), None);
    }
}
