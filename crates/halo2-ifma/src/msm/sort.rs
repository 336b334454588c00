//! Signed digits of scalars, sorted by bucket.

use std::{arch::x86_64::*, ops::Range};

use super::{MINUS, scalars::Class};
use crate::lanes::{Ifma, LANES};

/// Entries by bucket, those without a bucket first. Bucket `b` of window `w` is number `w 2^(width - 1) + b`, counting
/// from one.
pub(super) struct Sorted {
    pub(super) entries: Vec<u32>,
    /// Where the entries of each number end.
    pub(super) ends: Vec<u32>,
}

impl Sorted {
    /// Entries of windows `windows` in the order of their buckets.
    pub(super) fn new(ifma: Ifma, class: &Class, windows: &Range<usize>) -> Self {
        let _ = ifma;
        let padded = class.words.len() * LANES;
        let mut codes = vec![0u32; padded * windows.len()];
        let mut ends = vec![0u32; (windows.len() << (class.width - 1)) + 1];
        for (i, codes) in codes.chunks_exact_mut(padded).enumerate() {
            // SAFETY: `ifma` says that the processor has the instructions.
            unsafe {
                digits(
                    &class.words,
                    (windows.start + i) * class.width as usize,
                    class.width,
                    (i << (class.width - 1)) as u32,
                    codes,
                )
            };
            for code in &codes[..class.entries.len()] {
                let end = &mut ends[(code & !MINUS) as usize];
                *end = end.wrapping_add(1);
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            (sum, *end) = (sum + *end, sum);
        }
        // Read sixteen at a time.
        let mut entries = vec![0u32; sum as usize + 2 * LANES];
        for codes in codes.chunks_exact(padded) {
            for (code, entry) in codes.iter().zip(&class.entries) {
                let end = &mut ends[(code & !MINUS) as usize];
                entries[*end as usize] = entry ^ (code & MINUS);
                *end = end.wrapping_add(1);
            }
        }
        Self { entries, ends }
    }

    /// Ranges of about as many entries, cut anywhere: buckets may well be very uneven.
    pub(super) fn tasks(&self, size: usize) -> Vec<Range<usize>> {
        let first = self.ends.first().map_or(0, |end| *end as usize);
        let count = self.ends.last().map_or(0, |end| *end as usize) - first;
        let tasks = count.div_ceil(size);
        (0..tasks).map(|i| first + count * i / tasks..first + count * (i + 1) / tasks).collect()
    }
}

/// Signed digits of `width` bits from bit `first` on: 0, or the absolute value plus `base`, and in the highest bit the
/// sign.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn digits(words: &[[[u64; LANES]; 4]], first: usize, width: u32, base: u32, codes: &mut [u32]) {
    // Booth: digit i is bits first - 1 .. first + width, rounded up after halving, less 2^width if the highest bit is
    // set.
    let (word, shift) = (first.saturating_sub(1) / 64, first.saturating_sub(1) % 64);
    let (right, left) = (_mm_cvtsi64_si128(shift as i64), _mm_cvtsi64_si128(64 - shift as i64));
    let start = _mm_cvtsi64_si128(i64::from(first == 0));
    let mask = _mm512_set1_epi64((2 << width) - 1);
    let (one, two_to_width, zero) = (_mm512_set1_epi64(1), _mm512_set1_epi64(1 << width), _mm512_setzero_si512());
    for (words, codes) in words.iter().zip(codes.chunks_exact_mut(LANES)) {
        let plane = |word: usize| {
            // SAFETY: a plane is eight words; the load needs no alignment.
            words.get(word).map_or(zero, |plane| unsafe { _mm512_loadu_si512(plane.as_ptr().cast()) })
        };
        let bits = _mm512_or_si512(_mm512_srl_epi64(plane(word), right), _mm512_sll_epi64(plane(word + 1), left));
        let bits = _mm512_and_si512(_mm512_sll_epi64(bits, start), mask);
        let negative = _mm512_cmpge_epu64_mask(bits, two_to_width);
        let half = _mm512_srli_epi64::<1>(_mm512_add_epi64(bits, one));
        let value = _mm512_mask_sub_epi64(half, negative, two_to_width, half);
        let code = _mm512_mask_add_epi64(
            value,
            _mm512_test_epi64_mask(value, value),
            value,
            _mm512_set1_epi64(i64::from(base)),
        );
        let code = _mm512_mask_or_epi64(code, negative, code, _mm512_set1_epi64(i64::from(MINUS)));
        // SAFETY: eight codes of four bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(code)) };
    }
}
