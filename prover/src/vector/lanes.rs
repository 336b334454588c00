//! Eight field elements at a time: 52-bit limbs and the AVX-512 IFMA multiply-and-add.
//!
//! An element is five limbs of 52 bits in Montgomery form with factor 2^260, one element a lane of five 512-bit
//! registers. The moduli of BN254 have 254 bits, so a lane has room for values up to 84 p; sums are not reduced, and a
//! product of values below `A p` and `B p` is below `(1 + A B / 84) p`. Each function says which bound it needs and
//! keeps. (Gueron, Krasnov, "Accelerating big integer arithmetic using Intel IFMA extensions", 2016.)
//!
//! Everything here only speeds up an honest prover: a wrong product makes a proof that does not verify, never a false
//! one that does.

use std::{arch::x86_64::*, marker::PhantomData};

use halo2curves::bn256::{Fq, Fr};

/// Lanes of a vector.
pub const LANES: usize = 8;
/// Limbs of an element.
pub const LIMBS: usize = 5;
const LIMB_BITS: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// Proof that this processor has the instructions; only [`Ifma::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Ifma(());

impl Ifma {
    /// `None` on a processor without AVX-512 F, DQ, VL and IFMA.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma");
        has.then_some(Self(()))
    }
}

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

/// Eight elements.
#[derive(Clone, Copy)]
pub struct Lanes<M>([__m512i; LIMBS], PhantomData<M>);

impl<M: Modulus> std::fmt::Debug for Lanes<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}

const fn all_lanes(limbs: [u64; LIMBS]) -> [__m512i; LIMBS] {
    let mut planes = [[0u64; LANES]; LIMBS];
    let mut i = 0;
    while i < LIMBS {
        planes[i] = [limbs[i]; LANES];
        i += 1;
    }
    // SAFETY: a 512-bit register is eight 64-bit words; every bit pattern is a value.
    unsafe { std::mem::transmute::<[[u64; LANES]; LIMBS], [__m512i; LIMBS]>(planes) }
}

impl<M: Modulus> Lanes<M> {
    /// Eight zeros.
    pub const ZERO: Self = Self(all_lanes([0; LIMBS]), PhantomData);
    /// Eight ones.
    pub const ONE: Self = Self(all_lanes(M::UNIT), PhantomData);
    const P: [__m512i; LIMBS] = all_lanes(M::LIMBS);
    const TO_WORDS: Self = Self(all_lanes(M::TO_WORDS), PhantomData);

    /// The same element in every lane, below p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn splat(element: &M) -> Self {
        let [a, b, c, d] = words(std::slice::from_ref(element))[0];
        Self::from_planes([a, b, c, d].map(|word| _mm512_set1_epi64(word as i64))).mul(Self::ONE).reduced()
    }

    /// The same limbs in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn broadcast(limbs: &[u64; LIMBS]) -> Self {
        Self(limbs.map(|limb| _mm512_set1_epi64(limb as i64)), PhantomData)
    }

    /// The limbs of the first lane.
    #[must_use]
    pub fn first(self) -> [u64; LIMBS] {
        // SAFETY: a 512-bit register is eight 64-bit words; every bit pattern is a value.
        self.0.map(|plane| unsafe { std::mem::transmute::<__m512i, [u64; LANES]>(plane) }[0])
    }

    /// Eight elements; below p times 16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn load(elements: &[M; LANES]) -> Self {
        let pointer = elements.as_ptr().cast::<__m512i>();
        // SAFETY: eight elements are 32 words, four registers; the loads need no alignment.
        let [r0, r1, r2, r3] = unsafe { [0, 1, 2, 3].map(|i| _mm512_loadu_si512(pointer.add(i))) };
        // Each register holds two elements. First word 0 and 1 (then 2 and 3) of four elements side by side, then by
        // word.
        let low = _mm512_set_epi64(13, 9, 5, 1, 12, 8, 4, 0);
        let high = _mm512_set_epi64(15, 11, 7, 3, 14, 10, 6, 2);
        let (a01, a23) = (_mm512_permutex2var_epi64(r0, low, r1), _mm512_permutex2var_epi64(r0, high, r1));
        let (b01, b23) = (_mm512_permutex2var_epi64(r2, low, r3), _mm512_permutex2var_epi64(r2, high, r3));
        Self::from_planes([
            _mm512_shuffle_i64x2::<0b01_00_01_00>(a01, b01),
            _mm512_shuffle_i64x2::<0b11_10_11_10>(a01, b01),
            _mm512_shuffle_i64x2::<0b01_00_01_00>(a23, b23),
            _mm512_shuffle_i64x2::<0b11_10_11_10>(a23, b23),
        ])
    }

    /// From four planes of words in Montgomery form 2^256: shifted left by four bits on the way, which is form 2^260.
    /// Below 16 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn from_planes([a, b, c, d]: [__m512i; 4]) -> Self {
        let mask = _mm512_set1_epi64(LIMB_MASK as i64);
        let limbs = [
            _mm512_and_si512(_mm512_slli_epi64::<4>(a), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<48>(a), _mm512_slli_epi64::<16>(b)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<36>(b), _mm512_slli_epi64::<28>(c)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<40>(d)), mask),
            _mm512_srli_epi64::<12>(d),
        ];
        Self(limbs, PhantomData)
    }

    /// Four planes of words in Montgomery form 2^256, below p. Takes any value below 84 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn to_planes(self) -> [__m512i; 4] {
        self.mul(Self::TO_WORDS).reduced().packed()
    }

    /// Writes eight elements. Takes any value below 84 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub fn store(self, elements: &mut [M; LANES]) {
        let [w0, w1, w2, w3] = self.to_planes();
        let pairs = |x, y| {
            // Elements 0..4 and 4..8 of two planes, interleaved: x0 y0 x1 y1 ...
            let first = _mm512_permutex2var_epi64(x, _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), y);
            let second = _mm512_permutex2var_epi64(x, _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4), y);
            (first, second)
        };
        let ((a01, b01), (a23, b23)) = (pairs(w0, w1), pairs(w2, w3));
        let join = |x, y| {
            let first = _mm512_permutex2var_epi64(x, _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), y);
            let second = _mm512_permutex2var_epi64(x, _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4), y);
            (first, second)
        };
        let ((r0, r1), (r2, r3)) = (join(a01, a23), join(b01, b23));
        let pointer = elements.as_mut_ptr().cast::<__m512i>();
        for (i, register) in [r0, r1, r2, r3].into_iter().enumerate() {
            // SAFETY: as in `load`; the values are below the modulus.
            unsafe { _mm512_storeu_si512(pointer.add(i), register) };
        }
    }

    /// Product, below `(1 + A B / 84) p`. Limbs of both factors must be carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn mul(self, other: Self) -> Self {
        self.product(other).carried()
    }

    /// Sum; bounds add up.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn add(self, other: Self) -> Self {
        self.plus(other).carried()
    }

    /// Sum without carrying: not a factor of a product before [`Lanes::carried`]. At most 2^11 sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self.0;
        for (sum, limb) in sum.iter_mut().zip(other.0) {
            *sum = _mm512_add_epi64(*sum, limb);
        }
        Self(sum, PhantomData)
    }

    /// Difference plus `2^LOG p`, for a subtrahend of at most that. The bound is that of `self` and `2^LOG` together.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn sub<const LOG: u32>(self, other: Self) -> Self {
        self.sub_lazy::<LOG>(other).carried()
    }

    /// [`Lanes::sub`] without carrying, see [`Lanes::plus`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn sub_lazy<const LOG: u32>(self, other: Self) -> Self {
        let multiple = Self(Self::P.map(|p| _mm512_slli_epi64::<LOG>(p)), PhantomData);
        self.minus(other).plus(multiple)
    }

    /// [`Lanes::sub`] with the power of two given at run time.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn sub_log(self, other: Self, log: u32) -> Self {
        let count = _mm_cvtsi32_si128(log as i32);
        let multiple = Self(Self::P.map(|p| _mm512_sll_epi64(p, count)), PhantomData);
        self.minus(other).plus(multiple).carried()
    }

    /// Every limb but the highest within 52 bits again. Limbs may be negative as long as the value is not.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn carried(self) -> Self {
        let mask = _mm512_set1_epi64(LIMB_MASK as i64);
        let [a, b, c, d, e] = self.0;
        let b = _mm512_add_epi64(b, _mm512_srai_epi64::<LIMB_BITS>(a));
        let c = _mm512_add_epi64(c, _mm512_srai_epi64::<LIMB_BITS>(b));
        let d = _mm512_add_epi64(d, _mm512_srai_epi64::<LIMB_BITS>(c));
        let e = _mm512_add_epi64(e, _mm512_srai_epi64::<LIMB_BITS>(d));
        let masked = [a, b, c, d].map(|limb| _mm512_and_si512(limb, mask));
        Self([masked[0], masked[1], masked[2], masked[3], e], PhantomData)
    }

    /// Below 2 p, from below 84 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn nearly_reduced(self) -> Self {
        // The quotient by p, estimated from the highest limbs and never too large; p's highest limb has 46 bits, so it
        // is at most 1 short.
        let reciprocal = _mm512_set1_pd((1.0 - 1e-12) / (M::LIMBS[4] + 1) as f64);
        let quotient = _mm512_cvttpd_epu64(_mm512_mul_pd(_mm512_cvtepu64_pd(self.0[4]), reciprocal));
        let (zero, mut limbs) = (_mm512_setzero_si512(), self.0);
        for j in 0..LIMBS {
            limbs[j] = _mm512_sub_epi64(limbs[j], _mm512_madd52lo_epu64(zero, Self::P[j], quotient));
            if j + 1 < LIMBS {
                limbs[j + 1] = _mm512_sub_epi64(limbs[j + 1], _mm512_madd52hi_epu64(zero, Self::P[j], quotient));
            }
        }
        Self(limbs, PhantomData).carried()
    }

    /// Below p, from below 2 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn reduced(self) -> Self {
        let mut less = self.0;
        for (less, p) in less.iter_mut().zip(Self::P) {
            *less = _mm512_sub_epi64(*less, p);
        }
        let less = Self(less, PhantomData).carried();
        let negative = _mm512_movepi64_mask(less.0[4]);
        let mut limbs = self.0;
        for (limb, less) in limbs.iter_mut().zip(less.0) {
            *limb = _mm512_mask_mov_epi64(less, negative, *limb);
        }
        Self(limbs, PhantomData)
    }

    /// `other` in the lanes of `mask`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn select(self, mask: u8, other: Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm512_mask_mov_epi64(*limb, mask, other);
        }
        Self(limbs, PhantomData)
    }

    /// Lane `j` of vector `i` becomes lane `i` of vector `j`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub fn transpose(rows: &mut [Self; LANES]) {
        for limb in 0..LIMBS {
            let planes = transposed(rows.each_ref().map(|row| row.0[limb]));
            for (row, plane) in rows.iter_mut().zip(planes) {
                row.0[limb] = plane;
            }
        }
    }
}

/// What curve arithmetic needs besides: packed words that stay in form 2^260, signs, and sums brought back below 1.1 p.
impl<M: Modulus> Lanes<M> {
    /// (i - 5) p in lane i.
    const MULTIPLES: [__m512i; LIMBS] = {
        let (mut planes, mut i) = ([[0u64; LANES]; LIMBS], 0);
        while i < LIMBS * LANES {
            planes[i / LANES][i % LANES] =
                M::LIMBS[i / LANES].wrapping_mul((i % LANES) as u64).wrapping_sub(M::LIMBS[i / LANES] * 5);
            i += 1;
        }
        // SAFETY: a 512-bit register is eight 64-bit words; every bit pattern is a value.
        unsafe { std::mem::transmute::<[[u64; LANES]; LIMBS], [__m512i; LIMBS]>(planes) }
    };

    /// From four planes of the words of the value as it is here.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn unpacked([a, b, c, d]: [__m512i; 4]) -> Self {
        let mask = _mm512_set1_epi64(LIMB_MASK as i64);
        let limbs = [
            _mm512_and_si512(a, mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d)), mask),
            _mm512_srli_epi64::<16>(d),
        ];
        Self(limbs, PhantomData)
    }

    /// Four planes of the words of the value, which must be carried and below 2^256, more than 5 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn packed(self) -> [__m512i; 4] {
        let [a, b, c, d, e] = self.0;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }

    /// Difference of limbs, neither carried nor made positive: for [`Lanes::carried`] or [`Lanes::settled`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let mut difference = self.0;
        for (difference, limb) in difference.iter_mut().zip(other.0) {
            *difference = _mm512_sub_epi64(*difference, limb);
        }
        Self(difference, PhantomData)
    }

    /// p - value in the lanes of `mask`, not carried; for values of at most p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn flipped(self, mask: u8) -> Self {
        let mut limbs = self.0;
        for (limb, p) in limbs.iter_mut().zip(Self::P) {
            *limb = _mm512_mask_sub_epi64(*limb, mask, p, *limb);
        }
        Self(limbs, PhantomData)
    }

    /// Product as [`Lanes::mul`], not carried.
    // Neighbouring limbs of several arrays: an index is plainer than zipped iterators.
    #[allow(clippy::needless_range_loop)]
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn product(self, other: Self) -> Self {
        let zero = _mm512_setzero_si512();
        let inverse = _mm512_set1_epi64(M::INVERSE as i64);
        let (a, b) = (self.0, other.0);
        let mut t = [zero; LIMBS];
        for factor in b {
            let mut top = zero;
            // What does not wait for the quotient comes first.
            t[0] = _mm512_madd52lo_epu64(t[0], a[0], factor);
            let q = _mm512_madd52lo_epu64(zero, t[0], inverse);
            for j in 1..LIMBS {
                t[j] = _mm512_madd52lo_epu64(t[j], a[j], factor);
                t[j] = _mm512_madd52hi_epu64(t[j], a[j - 1], factor);
            }
            top = _mm512_madd52hi_epu64(top, a[LIMBS - 1], factor);
            t[0] = _mm512_madd52lo_epu64(t[0], Self::P[0], q);
            for j in 1..LIMBS {
                t[j] = _mm512_madd52lo_epu64(t[j], Self::P[j], q);
                t[j] = _mm512_madd52hi_epu64(t[j], Self::P[j - 1], q);
            }
            top = _mm512_madd52hi_epu64(top, Self::P[LIMBS - 1], q);
            t = [_mm512_add_epi64(t[1], _mm512_srli_epi64::<LIMB_BITS>(t[0])), t[2], t[3], t[4], top];
        }
        Self(t, PhantomData)
    }

    /// The lanes moved down by `BY`, the lowest ones to the top.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn turned<const BY: i32>(self) -> Self {
        Self(self.0.map(|limb| _mm512_alignr_epi64::<BY>(limb, limb)), PhantomData)
    }

    /// Carried and below 1.1 p, from anything between -4.9 p and 2.5 p, carried or not.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn settled(self) -> Self {
        // Only the highest limb, with 5 p added, estimates the quotient: 84 is a little less than 2^52 over the highest
        // limb of p. So the estimate is at most 1.06 too low, and never too high, as what the uncarried limbs hide is
        // less than a 2^40th of p.
        let top = _mm512_add_epi64(self.0[LIMBS - 1], _mm512_set1_epi64(5 * M::LIMBS[LIMBS - 1] as i64));
        let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), top, _mm512_set1_epi64(84));
        let mut limbs = self.0;
        for (limb, multiples) in limbs.iter_mut().zip(Self::MULTIPLES) {
            *limb = _mm512_sub_epi64(*limb, _mm512_permutexvar_epi64(quotient, multiples));
        }
        Self(limbs, PhantomData).carried()
    }

    /// Lanes that may hold p, 2 p or 3 p: all that do, and one in 2^50 of the others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn maybe_multiple(self) -> u8 {
        (1..=3).fold(0, |mask, factor: u64| {
            let low = _mm512_set1_epi64((M::LIMBS[0].wrapping_mul(factor) & LIMB_MASK) as i64);
            mask | _mm512_cmpeq_epi64_mask(self.0[0], low)
        })
    }

    /// The elements as integers of least absolute value: planes of the words of that, and the lanes that are negative.
    /// Below 16 p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn integers(self) -> ([__m512i; 4], u8) {
        let one = Self(all_lanes([1, 0, 0, 0, 0]), PhantomData);
        let positive = self.mul(one).reduced();
        let negative = Self::ZERO.sub::<0>(positive);
        let mask = _mm512_movepi64_mask(negative.minus(positive).carried().0[LIMBS - 1]);
        (positive.select(mask, negative).packed(), mask)
    }
}

/// Eight elements in four words each, as they are kept in memory. Values below 2^256, which is more than 5 p.
#[derive(Clone, Copy)]
pub struct Packed<M>([__m512i; 4], PhantomData<M>);

impl<M: Modulus> Packed<M> {
    /// Eight zeros.
    pub const ZERO: Self = {
        let [a, b, c, d, _] = all_lanes([0; LIMBS]);
        Self([a, b, c, d], PhantomData)
    };

    /// From lanes below 2^256.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn new(lanes: Lanes<M>) -> Self {
        Self(lanes.packed(), PhantomData)
    }

    /// The lanes again.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn lanes(self) -> Lanes<M> {
        Lanes::unpacked(self.0)
    }

    /// Eight consecutive lanes of two vectors in a row, from lane `shift` (below 8) of the first.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    #[must_use]
    pub fn window(self, next: Self, shift: usize) -> Self {
        let index = _mm512_add_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(shift as i64));
        let mut words = self.0;
        for (word, next) in words.iter_mut().zip(next.0) {
            *word = _mm512_permutex2var_epi64(*word, index, next);
        }
        Self(words, PhantomData)
    }
}

impl<M: Modulus> std::fmt::Debug for Packed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packed")
    }
}

/// Transposes eight registers of eight words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
#[must_use]
pub fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let (a0, a1) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpackhi_epi64(r0, r1));
    let (a2, a3) = (_mm512_unpacklo_epi64(r2, r3), _mm512_unpackhi_epi64(r2, r3));
    let (a4, a5) = (_mm512_unpacklo_epi64(r4, r5), _mm512_unpackhi_epi64(r4, r5));
    let (a6, a7) = (_mm512_unpacklo_epi64(r6, r7), _mm512_unpackhi_epi64(r6, r7));
    // Pairs of words, four of each kind: (0, 2, 4, 6) of two rows at a time.
    let quad = |x, y, z, w| {
        let (low, high) = (_mm512_shuffle_i64x2::<0b10_00_10_00>(x, y), _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y));
        let (low2, high2) = (_mm512_shuffle_i64x2::<0b10_00_10_00>(z, w), _mm512_shuffle_i64x2::<0b11_01_11_01>(z, w));
        [
            _mm512_shuffle_i64x2::<0b10_00_10_00>(low, low2),
            _mm512_shuffle_i64x2::<0b10_00_10_00>(high, high2),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(low, low2),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(high, high2),
        ]
    };
    let ([c0, c2, c4, c6], [c1, c3, c5, c7]) = (quad(a0, a2, a4, a6), quad(a1, a3, a5, a7));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2curves::ff::{Field, FromUniformBytes, PrimeField};
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    trait Sample: Modulus + PrimeField<Repr = [u8; 32]> {
        fn sample(rng: &mut ChaCha20Rng) -> Self;
    }
    macro_rules! sample {
        ($field:ty) => {
            impl Sample for $field {
                /// Uniform, or an edge.
                fn sample(rng: &mut ChaCha20Rng) -> Self {
                    let mut bytes = [0; 64];
                    rng.fill_bytes(&mut bytes);
                    match rng.next_u32() % 8 {
                        0 => Self::ZERO,
                        1 => Self::ONE,
                        2 => -Self::ONE,
                        3 => Self::from(rng.next_u64()),
                        _ => Self::from_uniform_bytes(&bytes),
                    }
                }
            }
        };
    }
    sample!(Fr);
    sample!(Fq);

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn agree<F: Sample>() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        for round in 0..2_000 {
            let [a, b, c]: [[F; LANES]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| F::sample(&mut rng)));
            let (x, y, z) = (Lanes::load(&a), Lanes::load(&b), Lanes::load(&c));
            let check = |lanes: Lanes<F>, value: &dyn Fn(usize) -> F, what: &str| {
                let mut out = [F::ZERO; LANES];
                lanes.store(&mut out);
                for (i, out) in out.iter().enumerate() {
                    assert_eq!(*out, value(i), "{what}, lane {i}, round {round}");
                    assert!(
                        words(std::slice::from_ref(out))[0].iter().rev().lt(F::WORDS.iter().rev()),
                        "{what} is not reduced"
                    );
                }
            };
            check(x, &|i| a[i], "load");
            check(x.mul(y), &|i| a[i] * b[i], "mul");
            check(x.add(y), &|i| a[i] + b[i], "add");
            check(x.sub::<4>(y), &|i| a[i] - b[i], "sub");
            check(x.add(y).add(z).mul(z.sub::<4>(x)), &|i| (a[i] + b[i] + c[i]) * (c[i] - a[i]), "lazy");
            // Up to 64 p, as after a transform of 2^20.
            check((0..3).fold(x.mul(y), |sum, _| sum.add(z)), &|i| a[i] * b[i] + c[i].double() + c[i], "sums");
            check(x.mul(y).reduced(), &|i| a[i] * b[i], "reduced");
            let large = (0..4).fold(x, |sum, _| sum.add(z));
            check(large.nearly_reduced().reduced(), &|i| a[i] + c[i].double().double(), "nearly reduced");
            for shift in 0..LANES {
                let (x, y) = (x.nearly_reduced(), y.nearly_reduced());
                check(
                    Packed::new(x).window(Packed::new(y), shift).lanes(),
                    &|i| if i + shift < LANES { a[i + shift] } else { b[i + shift - LANES] },
                    "window",
                );
            }
            check(Lanes::splat(&a[3]), &|_| a[3], "splat");
            check(x.select(0b1010_0101, y), &|i| if 0b1010_0101 >> i & 1 == 1 { b[i] } else { a[i] }, "select");
            let one = Lanes::<F>::ONE;
            let (p, q) = (x.mul(one).mul(y), y.mul(one).mul(z));
            check(
                p.minus(q).minus(x.mul(one)).minus(y.mul(one)).settled(),
                &|i| a[i] * b[i] - b[i] * c[i] - a[i] - b[i],
                "settled",
            );
            check(q.plus(p).settled(), &|i| a[i] * b[i] + b[i] * c[i], "settled sum");
            check(Lanes::unpacked(p.packed()), &|i| a[i] * b[i], "packed");
            check(x.product(y).carried(), &|i| a[i] * b[i], "product");
            check(x.turned::<3>(), &|i| a[(i + 3) % LANES], "turned");
            let settled = p.minus(q).minus(p).minus(p).settled();
            check(Lanes::unpacked(settled.packed()), &|i| -(a[i] * b[i] + b[i] * c[i]), "packed settled");
            check(
                p.reduced().flipped(0b0110_1001).carried(),
                &|i| if 0b0110_1001 >> i & 1 == 1 { -a[i] * b[i] } else { a[i] * b[i] },
                "flipped",
            );
            let multiple = x.mul(one).reduced().sub::<1>(y.mul(one).reduced()).maybe_multiple();
            assert_eq!(multiple, (0..LANES).fold(0, |mask, i| mask | u8::from(a[i] == b[i]) << i));
            // Towards the ends of what `settled` takes, limbs uncarried, and multiples of p itself.
            let p_lanes = Lanes::<F>(Lanes::<F>::P, PhantomData);
            let lowest = Lanes::ZERO.minus(p_lanes).minus(p_lanes).minus(p_lanes);
            check(lowest.minus(p.reduced()).settled(), &|i| -(a[i] * b[i]), "settled, lowest");
            check(p_lanes.plus(p.reduced().flipped(u8::MAX)).settled(), &|i| -(a[i] * b[i]), "settled, highest");
            for multiple in [p_lanes, p_lanes.plus(p_lanes), p_lanes.plus(p_lanes).plus(p_lanes)] {
                assert_eq!(multiple.carried().maybe_multiple(), u8::MAX);
            }
            let (planes, negative) = x.integers();
            // SAFETY: four registers are 32 words.
            let planes = unsafe { std::mem::transmute::<[__m512i; 4], [[u64; LANES]; 4]>(planes) };
            for i in 0..LANES {
                let mut repr = [0; 32];
                for (bytes, plane) in repr.chunks_exact_mut(8).zip(planes) {
                    bytes.copy_from_slice(&plane[i].to_le_bytes());
                }
                let magnitude = F::from_repr(repr).expect("below p");
                assert_eq!(
                    if negative >> i & 1 == 1 { -magnitude } else { magnitude },
                    a[i],
                    "integers, lane {i}, round {round}"
                );
                assert!(repr[31] < 0x19, "more than p / 2");
            }
            let grid: [[F; LANES]; LANES] = std::array::from_fn(|_| std::array::from_fn(|_| F::sample(&mut rng)));
            let mut rows = grid.each_ref().map(|row| Lanes::load(row));
            Lanes::transpose(&mut rows);
            for (j, row) in rows.into_iter().enumerate() {
                check(row, &|i| grid[i][j], "transpose");
            }
        }
        assert_eq!(
            {
                let mut out = [F::ZERO; LANES];
                Lanes::<F>::ONE.store(&mut out);
                out
            },
            [F::ONE; LANES]
        );
    }

    #[test]
    fn lanes_agree_with_the_scalar_fields() {
        let Some(Ifma(())) = Ifma::detect() else {
            println!("skipped: this processor has no AVX-512 IFMA");
            return;
        };
        // SAFETY: the instructions were just detected.
        unsafe {
            agree::<Fr>();
            agree::<Fq>();
        }
    }
}
