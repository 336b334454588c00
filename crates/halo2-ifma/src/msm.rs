//! Sums of scalar times point over BN254 G1, the commitments of the prover, eight point additions at a time.
//!
//! Pippenger's bucket method with signed digits (Booth, "A signed binary multiplication technique", 1951). All
//! additions but the last few hundred are affine and share their inversions (Montgomery's trick; Bernstein, Doumen,
//! Lange, Oosterwijk, "Faster batch forgery identification", 2012): six products each. The entries of a window are
//! sorted by bucket, the run of every bucket is halved in rounds of independent additions, and the weighted sum of the
//! buckets is a butterfly of additions that are independent as well.
//!
//! The affine formula fails for equal or opposite points and for infinity. Lanes where that may be so are found by
//! comparing one limb, and computed by the scalar curve arithmetic instead. Everything else, like the time taken, may
//! depend on the scalars.

mod adder;
mod point;
mod scalars;
mod sort;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Mutex};

use halo2curves::{
    bn256::{Fr, G1, G1Affine},
    group::{Group, prime::PrimeCurveAffine},
    msm::msm_serial,
};
use rayon::prelude::*;

use crate::lanes::{Ifma, LANES};

use adder::Adder;
use point::{Point, affine, pack};
use scalars::{Class, classes};
use sort::Sorted;

/// Entries of a task: enough that its last small batches do not matter, and few enough for several tasks a thread.
const TASK: Range<usize> = 1 << 14..1 << 16;
/// Scalars in work at a time, in columns of any number: they take 40 bytes, and 36 when sorted out.
const SCALARS: usize = 1 << 21;
/// Bit of an entry that says that its point is to be subtracted.
const MINUS: u32 = 1 << 31;
/// Bit of an operand that says that it is an entry, not a place in the arena.
const BASE: u32 = 1 << 30;
/// Bits of an entry or an operand that are a place.
const INDEX: u32 = BASE - 1;

/// Bases of a commitment key, prepared once; 64 bytes each.
pub struct Bases {
    points: Vec<Point>,
    /// Whoever has bases has a processor with the instructions.
    ifma: Ifma,
    /// What the threads that are not at work leave for the next.
    adders: Mutex<Vec<Adder>>,
}

impl std::fmt::Debug for Bases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bases").field("len", &self.points.len()).finish_non_exhaustive()
    }
}

impl Bases {
    /// Prepares bases.
    #[must_use]
    pub fn new(ifma: Ifma, points: &[G1Affine]) -> Self {
        let mut packed = vec![Point::INFINITY; points.len()];
        packed.par_chunks_mut(LANES).zip(points.par_chunks(LANES)).with_min_len(256).for_each(|(packed, points)| {
            let mut eight = [G1Affine::identity(); LANES];
            eight[..points.len()].copy_from_slice(points);
            // SAFETY: `ifma` says that the processor has the instructions.
            let eight = unsafe { pack(&eight) };
            packed.copy_from_slice(&eight[..points.len()]);
        });
        Self { points: packed, ifma, adders: Mutex::new(Vec::new()) }
    }

    /// The sum of scalar times base over each column, whose scalars belong to the first bases; none may be longer than
    /// the bases.
    ///
    /// On the current thread pool, by column, window and part of a window. Takes up to 80 bytes for each of at most
    /// 2^21 scalars (or one longer column) at a time, 8 bytes for each scalar of the windows being sorted, one or two a
    /// thread, and up to 7 MB a thread, which stay for the next call.
    #[must_use]
    pub fn commit(&self, columns: &[&[Fr]]) -> Vec<G1> {
        let (mut sums, mut rest) = (Vec::with_capacity(columns.len()), columns);
        while !rest.is_empty() {
            let mut scalars = 0;
            let fit = rest.iter().take_while(|column| {
                scalars += column.len();
                scalars <= SCALARS
            });
            let (now, later) = rest.split_at(fit.count().max(1));
            let classes: Vec<[Class; 2]> = now.par_iter().map(|column| classes(self.ifma, column)).collect();
            let classes: Vec<(usize, &Class)> =
                classes.iter().enumerate().flat_map(|(i, pair)| pair.iter().map(move |class| (i, class))).collect();
            let units: Vec<_> = classes
                .iter()
                .flat_map(|&(column, class)| class.units().map(move |windows| (column, class, windows)))
                .collect();
            let work: usize = units.iter().map(|(_, class, windows)| class.entries.len() * windows.len()).sum();
            let task = (work / (4 * rayon::current_num_threads())).clamp(TASK.start, TASK.end);
            let parts: Vec<Part> = units
                .into_par_iter()
                .with_max_len(1)
                .flat_map(|(column, class, windows)| {
                    let sorted = Sorted::new(self.ifma, class, &windows);
                    let first = windows.start * class.width as usize;
                    let parts: Vec<Part> = sorted
                        .tasks(task)
                        .into_par_iter()
                        .with_max_len(1)
                        .map(|range| {
                            let mut adder =
                                self.adders.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_else(Adder::new);
                            // SAFETY: `self.ifma` says that the processor has the instructions.
                            let bits = unsafe { adder.run(&self.points, &sorted, range, class.width, windows.len()) };
                            if let Ok(mut pool) = self.adders.lock() {
                                pool.push(adder);
                            }
                            Part { column, first, bits }
                        })
                        .collect();
                    parts
                })
                .collect();
            let serial: Vec<G1> = classes.par_iter().map(|(_, class)| self.serial(class)).collect();
            let mut bits = vec![Vec::new(); now.len()];
            for part in parts {
                let bits: &mut Vec<G1> = &mut bits[part.column];
                bits.resize(bits.len().max(part.first + part.bits.len()), G1::identity());
                bits[part.first..].iter_mut().zip(part.bits).for_each(|(sum, bit)| *sum += bit);
            }
            for (bits, serial) in bits.into_iter().zip(serial.chunks(2)) {
                let sum = bits.into_iter().rev().fold(G1::identity(), |sum, bit| sum.double() + bit);
                sums.push(serial.iter().fold(sum, |sum, serial| sum + serial));
            }
            rest = later;
        }
        sums
    }

    /// A class of a few scalars.
    fn serial(&self, class: &Class) -> G1 {
        let mut sum = G1::identity();
        if class.windows == 0 && !class.entries.is_empty() {
            let place = |i: usize| class.words[i / LANES].map(|word| word[i % LANES]);
            let scalars: Vec<Fr> = (0..class.entries.len()).map(|i| Fr::from_raw(place(i))).collect();
            // SAFETY: `self.ifma` says that the processor has the instructions.
            let bases: Vec<G1Affine> = class
                .entries
                .iter()
                .map(|entry| unsafe { affine(&self.points[(entry & INDEX) as usize], entry & MINUS != 0) })
                .collect();
            msm_serial(&scalars, &bases, &mut sum);
        }
        sum
    }
}

/// What a task adds up: sums to be weighted by the powers of two from `first` on.
struct Part {
    column: usize,
    first: usize,
    bits: Vec<G1>,
}
