//! What curve arithmetic needs besides: packed words that stay in form 2^260, signs, and sums brought back below 1.1 p.

use std::{arch::x86_64::*, marker::PhantomData};

use super::{LANES, LIMB_BITS, LIMB_MASK, LIMBS, Lanes, Modulus, all_lanes};

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
