//! Scalars as signed integers, in classes of like length.

use std::{arch::x86_64::*, ops::Range};

use halo2curves::{bn256::Fr, ff::Field};
use rayon::prelude::*;

use super::TASK;
use crate::lanes::{Ifma, LANES, Lanes};

/// The scalars of a column without the zeros, in two classes of different length: a column of bytes often ends in a
/// few random rows.
pub(super) fn classes(ifma: Ifma, column: &[Fr]) -> [Class; 2] {
    let _ = ifma;
    let mut octets = vec![Octet::ZERO; column.len().div_ceil(LANES)];
    octets.par_chunks_mut(1 << 10).zip(column.par_chunks(LANES << 10)).for_each(|(octets, scalars)| {
        // SAFETY: `ifma` says that the processor has the instructions.
        unsafe { integers(octets, scalars) };
    });
    let mut counts = [0usize; 256];
    octets.iter().flat_map(|octet| octet.bits).for_each(|bits| counts[usize::from(bits)] += 1);
    let all: usize = counts[1..].iter().sum();
    let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    let (mut best, mut narrow) = ((f64::INFINITY, 0), 0);
    for (bits, count) in counts.iter().enumerate().take(longest + 1) {
        if bits > 0 {
            narrow += count;
        }
        if *count > 0 || bits == longest {
            let cost = Method::best(narrow, bits).1 + Method::best(all - narrow, longest).1;
            if cost < best.0 {
                best = (cost, bits);
            }
        }
    }
    let narrow = counts[..=best.1].iter().skip(1).sum();
    let mut classes = [Class::new(narrow, best.1), Class::new(all - narrow, longest)];
    for (octet, first) in octets.iter().zip((0..).step_by(LANES)) {
        for lane in 0..LANES {
            let bits = usize::from(octet.bits[lane]);
            if bits > 0 {
                let entry = (first + lane as u32) | u32::from(octet.negative >> lane & 1) << 31;
                classes[usize::from(bits > best.1)].push(entry, octet.words.each_ref().map(|word| word[lane]));
            }
        }
    }
    classes
}

/// Eight scalars as integers of least absolute value.
#[derive(Clone)]
#[repr(align(64))]
struct Octet {
    words: [[u64; LANES]; 4],
    bits: [u8; LANES],
    negative: u8,
}

impl Octet {
    const ZERO: Self = Self { words: [[0; LANES]; 4], bits: [0; LANES], negative: 0 };
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn integers(octets: &mut [Octet], scalars: &[Fr]) {
    for (octet, scalars) in octets.iter_mut().zip(scalars.chunks(LANES)) {
        let mut eight = [Fr::ZERO; LANES];
        eight[..scalars.len()].copy_from_slice(scalars);
        let (planes, negative) = Lanes::load(&eight).integers();
        for (words, plane) in octet.words.iter_mut().zip(planes) {
            // SAFETY: a register is eight words; the store needs no alignment.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), plane) };
        }
        octet.negative = negative;
        for (lane, bits) in octet.bits.iter_mut().enumerate() {
            let top = (0..4).rev().find(|word| octet.words[*word][lane] != 0);
            *bits = top.map_or(0, |word| (64 * (word as u32 + 1) - octet.words[word][lane].leading_zeros()) as u8);
        }
    }
}

/// How to sum a class: by `msm_serial` of halo2curves, or by windows of a width.
#[derive(Clone, Copy)]
enum Method {
    Serial,
    Windows(u32),
}

impl Method {
    /// The cheapest for `scalars` of up to `bits` bits, and its cost in affine additions.
    fn best(scalars: usize, bits: usize) -> (Self, f64) {
        let count = scalars as f64;
        if scalars == 0 {
            return (Self::Serial, 0.0);
        }
        // A projective addition takes twenty times as long; windows have three bits, and seven points a bucket sum.
        let serial = if scalars < 32 { 20.0 * (bits / 3 + 1) as f64 * (count + 10.0) } else { f64::INFINITY };
        (2..=16).fold((Self::Serial, serial), |best, width| {
            // An entry is sorted and added once, a bucket twice; with each window goes a share of the small batches at
            // the end.
            let windows = (bits as u32 + 1).div_ceil(width);
            let cost = 3000.0 + f64::from(windows) * (1.2 * count + 1.1 * f64::from(1 << width) + 100.0);
            if cost < best.1 { (Self::Windows(width), cost) } else { best }
        })
    }
}

/// Scalars to be treated alike.
pub(super) struct Class {
    /// Index of the base, and whether the scalar is negative.
    pub(super) entries: Vec<u32>,
    /// Words of the absolute values, eight scalars at a time.
    pub(super) words: Vec<[[u64; LANES]; 4]>,
    /// Bits of a window.
    pub(super) width: u32,
    /// None if serial.
    pub(super) windows: usize,
}

impl Class {
    fn new(scalars: usize, bits: usize) -> Self {
        let (width, windows) = match Method::best(scalars, bits).0 {
            Method::Serial => (1, 0),
            // As the last window has to be there, they may as well be equal.
            Method::Windows(width) => {
                let windows = (bits as u32 + 1).div_ceil(width);
                ((bits as u32 + 1).div_ceil(windows).max(2), windows as usize)
            }
        };
        let words = vec![[[0; LANES]; 4]; scalars.div_ceil(LANES)];
        Self { entries: Vec::with_capacity(scalars), words, width, windows }
    }

    fn push(&mut self, entry: u32, words: [u64; 4]) {
        let (place, lane) = (self.entries.len() / LANES, self.entries.len() % LANES);
        for (plane, word) in self.words[place].iter_mut().zip(words) {
            plane[lane] = word;
        }
        self.entries.push(entry);
    }

    /// Windows to be sorted together: several if they are small.
    pub(super) fn units(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let most = (TASK.end / self.entries.len().max(1)).min(1 << (16 - self.width)).max(1);
        let windows = self.windows;
        (0..windows).step_by(most).map(move |first| first..windows.min(first + most))
    }
}
