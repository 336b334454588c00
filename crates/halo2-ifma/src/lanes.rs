//! Eight field elements at a time: 52-bit limbs and the AVX-512 IFMA multiply-and-add.
//!
//! An element is five limbs of 52 bits in Montgomery form with factor 2^260, one element a lane of five 512-bit
//! registers. The moduli of BN254 have 254 bits, so a lane has room for values up to 84 p; sums are not reduced, and a
//! product of values below `A p` and `B p` is below `(1 + A B / 84) p`. Each function says which bound it needs and
//! keeps. (Gueron, Krasnov, "Accelerating big integer arithmetic using Intel IFMA extensions", 2016.)
//!
//! Everything here only speeds up an honest prover: a wrong product makes a proof that does not verify, never a false
//! one that does.

mod curve;
mod field;
mod packed;
#[cfg(test)]
mod tests;

use std::{arch::x86_64::*, marker::PhantomData};

pub use field::{LIMBS, Modulus, words, words_mut};
pub use packed::Packed;

use field::{LIMB_BITS, LIMB_MASK};

/// Lanes of a vector.
pub const LANES: usize = 8;

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
