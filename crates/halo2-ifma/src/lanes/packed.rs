//! Elements as they are kept in memory.

use std::{arch::x86_64::*, marker::PhantomData};

use super::{LIMBS, Lanes, Modulus, all_lanes};

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
