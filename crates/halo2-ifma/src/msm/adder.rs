//! Many additions of points at a time, in rounds that share their inversions.

use std::{arch::x86_64::*, iter, ops::Range};

use halo2curves::{
    bn256::{Fq, G1},
    ff::Field,
    group::{Curve, Group, prime::PrimeCurveAffine},
};

use super::{
    BASE, INDEX, MINUS,
    point::{Point, affine, pack, row_of, signed_point, store_row, unpack},
    sort::Sorted,
};
use crate::lanes::{LANES, Lanes, transposed};

/// Additions that share an inversion: their rows take 320 kB, less than the second-level cache.
const BATCH: usize = 2048;
/// Chains of products, and of their inverses, that run side by side to hide the latency of a product.
const CHAINS: usize = 2;
/// Buckets, in bits, over which a task takes the weighted sum in one go.
const BLOCK_BITS: u32 = 12;
/// Additions ahead of which a base is fetched.
const AHEAD: usize = 4 * LANES;

/// Eight additions between the two passes of a batch.
#[derive(Clone, Copy)]
struct Row {
    /// Difference of the y times the product of the `dx` before: becomes the slope.
    slope: Lanes<Fq>,
    /// Difference of the x plus 2 p.
    dx: Lanes<Fq>,
    x: Lanes<Fq>,
    y: Lanes<Fq>,
}

/// Points of a bucket not yet added up: `count` in a row from `start`, and an operand left over from a round before,
/// unless `NONE`.
#[derive(Clone, Copy)]
struct Run {
    bucket: u32,
    start: u32,
    count: u32,
    extra: u32,
}

const NONE: u32 = u32::MAX;
/// Jobs are written eight at a time, and looked at after that.
const ROOM: usize = BATCH + CHAINS * LANES;

/// Does additions in batches, and keeps the memory for that. An operand is an entry with `BASE`, or a place in the
/// arena.
pub(super) struct Adder {
    /// The buckets' sums, then what the rounds leave, each after the other.
    arena: Vec<Point>,
    jobs: usize,
    left: Box<[u32; ROOM]>,
    right: Box<[u32; ROOM]>,
    out: Box<[u32; ROOM]>,
    rows: Vec<Row>,
    /// Sums that the scalar arithmetic had to take, and their places.
    exceptions: Vec<(u32, Point)>,
    runs: Vec<Run>,
    /// Buckets that have entries.
    filled: Vec<bool>,
}

impl Adder {
    pub(super) fn new() -> Self {
        let row = Row { slope: Lanes::ZERO, dx: Lanes::ZERO, x: Lanes::ZERO, y: Lanes::ZERO };
        let [left, right, out] = [(); 3].map(|()| Box::new([0; ROOM]));
        Self {
            arena: Vec::new(),
            jobs: 0,
            left,
            right,
            out,
            rows: vec![row; ROOM / LANES],
            exceptions: Vec::new(),
            runs: Vec::new(),
            filled: Vec::new(),
        }
    }

    /// Sums over the entries in `range`, to be weighted by the powers of two from the first window on.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn run(
        &mut self,
        bases: &[Point],
        sorted: &Sorted,
        range: Range<usize>,
        width: u32,
        windows: usize,
    ) -> Vec<G1> {
        let bucket = |entry: usize| sorted.ends.partition_point(|end| *end as usize <= entry) - 1;
        let (first, last) = (bucket(range.start), bucket(range.end - 1));
        let block = BLOCK_BITS.min(width - 1);
        let low = first >> block << block;
        let buckets = (((last >> block) + 1) << block) - low;
        // Every addition but the last of a run takes a place.
        let places = buckets + range.len();
        if self.arena.len() < places {
            self.arena.resize(places, Point::INFINITY);
        }
        self.arena[..buckets].fill(Point::INFINITY);

        self.filled.clear();
        self.filled.resize(buckets, false);
        self.runs.clear();
        let mut start = range.start as u32;
        for (bucket, end) in ((first - low) as u32..).zip(&sorted.ends[first + 1..=last + 1]) {
            let end = (*end).min(range.end as u32);
            self.filled[bucket as usize] = start < end;
            match end - start {
                0 => {}
                1 => self.arena[bucket as usize] = signed_point(bases, sorted.entries[start as usize]),
                count => self.runs.push(Run { bucket, start, count, extra: NONE }),
            }
            start = end;
        }
        let mut place = self.halve::<true>(bases, &sorted.entries, buckets as u32);
        while !self.runs.is_empty() {
            place = self.halve::<false>(bases, &[], place);
        }
        self.weigh(buckets, block);

        let mut bits = vec![G1::identity(); windows * width as usize];
        for (start, number) in (0..buckets).step_by(1 << block).zip((low..).step_by(1 << block)) {
            let bits = &mut bits[(number >> (width - 1)) * width as usize..][..width as usize];
            // The first bucket has weight one.
            let weight = (number & ((1 << (width - 1)) - 1)) + 1;
            let [total, ..] = unpack(&[self.arena[start]; LANES]);
            for (bit, sum) in bits.iter_mut().enumerate() {
                if bit < block as usize {
                    let [part, ..] = unpack(&[self.arena[start + (1 << bit)]; LANES]);
                    *sum += part;
                }
                if weight >> bit & 1 == 1 {
                    *sum += total;
                }
            }
        }
        bits
    }

    /// Adds neighbours in every run, whose points are `entries` of the bases or in the arena. Sums go to the arena from
    /// `place` on, the last one of a run to its bucket. Returns the next place.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn halve<const BASES: bool>(&mut self, bases: &[Point], entries: &[u32], mut place: u32) -> u32 {
        let operand = |i: u32| if BASES { entries[i as usize] | BASE } else { i };
        let mut kept = 0;
        for i in 0..self.runs.len() {
            // Lengths are random, so as little as possible branches on them: more is written than counts.
            let Run { bucket, start, count, extra } = self.runs[i];
            let (odd, more) = (count % 2, u32::from(extra != NONE));
            let last = count + more == 2;
            let out = if last { bucket } else { place };
            for done in (0..count / 2).step_by(LANES) {
                if self.jobs >= BATCH {
                    self.flush::<BASES>(bases);
                }
                let start = start.wrapping_add(2 * done);
                let pairs: [u32; 2 * LANES] = if BASES {
                    entries[start as usize..].first_chunk().copied().unwrap_or_default()
                } else {
                    std::array::from_fn(|i| start.wrapping_add(i as u32))
                };
                let jobs = self.jobs..self.jobs.wrapping_add(LANES);
                for (j, left) in self.left[jobs.clone()].iter_mut().enumerate() {
                    *left = pairs[2 * j] | if BASES { BASE } else { 0 };
                }
                for (j, right) in self.right[jobs.clone()].iter_mut().enumerate() {
                    *right = pairs[2 * j + 1] | if BASES { BASE } else { 0 };
                }
                for (j, place) in self.out[jobs].iter_mut().enumerate() {
                    *place = out.wrapping_add(done).wrapping_add(j as u32);
                }
                self.jobs = self.jobs.wrapping_add((count / 2 - done).min(LANES as u32) as usize);
            }
            if self.jobs >= BATCH {
                self.flush::<BASES>(bases);
            }
            let (single, out) = (operand(start + count - 1), out + count / 2);
            (self.left[self.jobs], self.right[self.jobs], self.out[self.jobs]) = (single, extra, out);
            self.jobs = self.jobs.wrapping_add((odd & more) as usize);
            let sums = count / 2 + (odd & more);
            let extra = [[extra, extra], [single, NONE]][odd as usize][more as usize];
            self.runs[kept] = Run { bucket, start: place, count: sums, extra };
            kept += usize::from(!last);
            place += if last { 0 } else { sums };
        }
        self.runs.truncate(kept);
        self.flush::<BASES>(bases);
        place
    }

    /// In each block, place 0 becomes the sum of all buckets, and place 2^i that of the buckets whose place has bit i.
    ///
    /// In step i, the places with the lower bits 0 and 2^j, j < i, take up what lies 2^i above them; the place 2^i
    /// itself then stays behind as the first of those with bit i. That is two additions a bucket altogether.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn weigh(&mut self, buckets: usize, block: u32) {
        for step in 0..block {
            for place in iter::once(0).chain((0..step).map(|bit| 1 << bit)) {
                for left in (place..buckets).step_by(2 << step) {
                    let right = left + (1 << step);
                    if !self.filled[right] {
                        continue;
                    }
                    if !self.filled[left] {
                        (self.arena[left], self.filled[left]) = (self.arena[right], true);
                    } else {
                        self.push::<false>(&[], left as u32, right as u32, left as u32);
                    }
                }
            }
            self.flush::<false>(&[]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn push<const BASES: bool>(&mut self, bases: &[Point], left: u32, right: u32, out: u32) {
        if self.jobs >= BATCH {
            self.flush::<BASES>(bases);
        }
        (self.left[self.jobs], self.right[self.jobs], self.out[self.jobs]) = (left, right, out);
        self.jobs = self.jobs.wrapping_add(1);
    }

    /// Does the additions, reading all points before it writes a sum. With `BASES`, all operands are bases.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn flush<const BASES: bool>(&mut self, bases: &[Point]) {
        let (jobs, Some(last)) = (self.jobs, self.jobs.checked_sub(1)) else { return };
        let padded = jobs.next_multiple_of(CHAINS * LANES);
        for operands in [&mut self.left, &mut self.right, &mut self.out] {
            let last = operands[last];
            operands[jobs..padded].fill(last);
        }
        let (left, _) = self.left[..padded].as_chunks::<LANES>();
        let (right, _) = self.right[..padded].as_chunks::<LANES>();
        let (out, _) = self.out[..padded].as_chunks::<LANES>();
        let mut products = [Lanes::ONE; CHAINS];
        for (i, ((left, right), row)) in left.iter().zip(right).zip(&mut self.rows).enumerate() {
            if BASES {
                let ahead = (i * LANES + AHEAD).min(padded - LANES);
                for operand in self.left[ahead..ahead + LANES].iter().chain(&self.right[ahead..ahead + LANES]) {
                    _mm_prefetch::<_MM_HINT_T0>(bases.as_ptr().wrapping_add((operand & INDEX) as usize).cast());
                }
            }
            let mut exceptions = prepare::<BASES>(bases, &self.arena, left, right, row, &mut products[i % CHAINS]);
            while exceptions != 0 {
                let lane = exceptions.trailing_zeros() as usize;
                let [left, right] = [left[lane], right[lane]]
                    .map(|operand| affine(point::<BASES>(bases, &self.arena, operand), operand & MINUS != 0));
                let [sum, ..] = pack(&[(left.to_curve() + right).to_affine(); LANES]);
                self.exceptions.push((out[i][lane], sum));
                exceptions &= exceptions - 1;
            }
        }
        // The inverse of the product of a chain: that of all, times the other chain's product.
        let inverse = inverted(products[0].mul(products[1]));
        let mut inverses = [inverse.mul(products[1]), inverse.mul(products[0])];
        let (out, _) = out.as_chunks::<CHAINS>();
        let (rows, _) = self.rows.as_chunks::<CHAINS>();
        for (out, rows) in out.iter().zip(rows).rev() {
            finish(&mut self.arena, out, rows, &mut inverses);
        }
        for (place, sum) in self.exceptions.drain(..) {
            self.arena[place as usize] = sum;
        }
        self.jobs = 0;
    }
}

/// The point of an operand.
#[inline]
fn point<'a, const BASES: bool>(bases: &'a [Point], arena: &'a [Point], operand: u32) -> &'a Point {
    let source = if BASES || operand & BASE != 0 { bases } else { arena };
    &source[(operand & INDEX) as usize]
}

/// First pass over eight additions: fills the row, and goes on with the product of the differences. Returns the lanes
/// that are no ordinary additions, if any: some have infinity, equal or opposite points. They count as one in the
/// product.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn prepare<const BASES: bool>(
    bases: &[Point],
    arena: &[Point],
    left: &[u32; 8],
    right: &[u32; 8],
    row: &mut Row,
    product: &mut Lanes<Fq>,
) -> u8 {
    let [a, b, c, d, e, f, g, h] = transposed(left.map(|operand| row_of(point::<BASES>(bases, arena, operand))));
    let [i, j, k, l, m, n, o, p] = transposed(right.map(|operand| row_of(point::<BASES>(bases, arena, operand))));
    let (x, y) = (Lanes::unpacked([a, b, c, d]), Lanes::unpacked([e, f, g, h]));
    let (other_x, other_y) = (Lanes::unpacked([i, j, k, l]), Lanes::unpacked([m, n, o, p]));
    // SAFETY: eight operands are 32 bytes; the load needs no alignment. Their highest bit is the sign.
    let minus = |operands: &[u32; 8]| _mm256_movepi32_mask(unsafe { _mm256_loadu_si256(operands.as_ptr().cast()) });
    let (y, other_y) = (y.flipped(minus(left)), other_y.flipped(minus(right)));
    let zero = _mm512_setzero_si512();
    let mut dx = other_x.sub::<1>(x);
    let exceptions = dx.maybe_multiple() | _mm512_cmpeq_epi64_mask(e, zero) | _mm512_cmpeq_epi64_mask(m, zero);
    if exceptions != 0 {
        dx = dx.select(exceptions, Lanes::ONE);
    }
    *row = Row { slope: other_y.sub::<1>(y).product(*product).carried(), dx, x, y };
    *product = product.product(dx).carried();
    exceptions
}

/// Second pass: the sums, from the last row on. `inverses` are those of the products up to and with these rows, and
/// then up to them.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn finish(arena: &mut [Point], out: &[[u32; LANES]; CHAINS], rows: &[Row; CHAINS], inverses: &mut [Lanes<Fq>; CHAINS]) {
    let [first, second] = rows;
    let slopes = [first.slope.product(inverses[0]).carried(), second.slope.product(inverses[1]).carried()];
    *inverses = [inverses[0].product(first.dx).carried(), inverses[1].product(second.dx).carried()];
    let squares = [slopes[0].product(slopes[0]), slopes[1].product(slopes[1])];
    // x3 = slope^2 - x1 - x2, where x2 = dx + x1 - 2 p: another multiple of p does not matter, but would leave the
    // range of `settled`.
    let two_p = Lanes::ZERO.sub::<1>(Lanes::ZERO);
    let sum_x = |square: Lanes<Fq>, row: &Row| square.plus(two_p).minus(row.dx).minus(row.x).minus(row.x).settled();
    let xs = [sum_x(squares[0], first), sum_x(squares[1], second)];
    let products = [slopes[0].product(first.x.sub::<1>(xs[0])), slopes[1].product(second.x.sub::<1>(xs[1]))];
    let ys = [products[0].minus(first.y).settled(), products[1].minus(second.y).settled()];
    for ((out, x), y) in out.iter().zip(xs).zip(ys) {
        let ([a, b, c, d], [e, f, g, h]) = (x.packed(), y.packed());
        for (place, row) in out.iter().zip(transposed([a, b, c, d, e, f, g, h])) {
            store_row(&mut arena[*place as usize], row);
        }
    }
}

/// Inverses of eight elements, none zero, by one inversion.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn inverted(elements: Lanes<Fq>) -> Lanes<Fq> {
    let two = elements.mul(elements.turned::<1>());
    let four = two.mul(two.turned::<2>());
    // The other seven: one, two and four from the next lane on.
    let others = elements.turned::<1>().mul(two.turned::<2>()).mul(four.turned::<4>());
    let mut all = [Fq::ZERO; LANES];
    four.mul(four.turned::<4>()).store(&mut all);
    let inverse: Option<Fq> = all[0].invert().into();
    others.mul(Lanes::splat(&inverse.unwrap_or(Fq::ZERO)))
}
