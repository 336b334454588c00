//! The two fields of BN254 as words and as limbs.

use halo2curves::bn256::{Fq, Fr};

/// Limbs of an element.
pub const LIMBS: usize = 5;
pub(super) const LIMB_BITS: u32 = 52;
pub(super) const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// A 254-bit prime field whose elements are four little-endian words in Montgomery form with factor 2^256, always below
/// the modulus.
///
/// # Safety
/// The type is a single field `[u64; 4]`: vectors are loaded from and stored to its slices.
pub unsafe trait Modulus: Copy + Send + Sync + 'static {
    /// The modulus.
    const WORDS: [u64; 4];
    /// The modulus in limbs.
    const LIMBS: [u64; LIMBS] = limbs(Self::WORDS);
    /// -1 / p modulo 2^52.
    const INVERSE: u64 = negative_inverse(Self::WORDS[0]) & LIMB_MASK;
    /// 2^256 mod p: multiplied by, it leads from factor 2^260 to 2^256.
    const TO_WORDS: [u64; LIMBS] = limbs(power_of_two(256, Self::WORDS));
    /// 1, that is 2^260 mod p.
    const UNIT: [u64; LIMBS] = limbs(power_of_two(260, Self::WORDS));
}

// SAFETY: `struct Fr([u64; 4])`.
unsafe impl Modulus for Fr {
    const WORDS: [u64; 4] =
        [0x43e1_f593_f000_0001, 0x2833_e848_79b9_7091, 0xb850_45b6_8181_585d, 0x3064_4e72_e131_a029];
}

// SAFETY: `struct Fq([u64; 4])`.
unsafe impl Modulus for Fq {
    const WORDS: [u64; 4] =
        [0x3c20_8c16_d87c_fd47, 0x9781_6a91_6871_ca8d, 0xb850_45b6_8181_585d, 0x3064_4e72_e131_a029];
}

const fn limbs(words: [u64; 4]) -> [u64; LIMBS] {
    let [a, b, c, d] = words;
    [
        a & LIMB_MASK,
        (a >> 52 | b << 12) & LIMB_MASK,
        (b >> 40 | c << 24) & LIMB_MASK,
        (c >> 28 | d << 36) & LIMB_MASK,
        d >> 16,
    ]
}

/// Newton's iteration doubles the correct bits.
const fn negative_inverse(p: u64) -> u64 {
    let (mut inverse, mut round) = (1u64, 0);
    while round < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
        round += 1;
    }
    inverse.wrapping_neg()
}

/// 2^exponent mod p, by doubling.
const fn power_of_two(exponent: u32, p: [u64; 4]) -> [u64; 4] {
    let (mut x, mut round) = ([1u64, 0, 0, 0], 0);
    while round < exponent {
        // p has 254 bits: 2x fits four words.
        let doubled = [x[0] << 1, x[1] << 1 | x[0] >> 63, x[2] << 1 | x[1] >> 63, x[3] << 1 | x[2] >> 63];
        let (mut less, mut borrow, mut i) = ([0u64; 4], false, 0);
        while i < 4 {
            let (a, first) = doubled[i].overflowing_sub(p[i]);
            let (b, second) = a.overflowing_sub(borrow as u64);
            (less[i], borrow) = (b, first || second);
            i += 1;
        }
        x = if borrow { doubled } else { less };
        round += 1;
    }
    x
}

/// The words of a slice of elements, without copying.
#[must_use]
pub fn words<M: Modulus>(elements: &[M]) -> &[[u64; 4]] {
    const { assert!(size_of::<M>() == size_of::<[u64; 4]>() && align_of::<M>() == align_of::<[u64; 4]>()) };
    // SAFETY: only `Fr` and `Fq` are `M`; both are structs of the single field `[u64; 4]`, and as they are no larger
    // than it, it lies at offset 0. Every bit pattern of the words is a value of theirs as far as Rust is concerned.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

/// The same, to write. What is written must be below the modulus.
#[must_use]
pub fn words_mut<M: Modulus>(elements: &mut [M]) -> &mut [[u64; 4]] {
    const { assert!(size_of::<M>() == size_of::<[u64; 4]>() && align_of::<M>() == align_of::<[u64; 4]>()) };
    // SAFETY: as in `words`; the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), elements.len()) }
}
