//! Sums of scalar times point over BN254 G1, the commitments of the prover, eight point additions at a time.
//!
//! Pippenger's bucket method with signed digits (Booth, "A signed binary multiplication technique", 1951). All additions but the last few
//! hundred are affine and share their inversions (Montgomery's trick; Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery
//! identification", 2012): six products each. The entries of a window are sorted by bucket, the run of every bucket is halved in rounds of
//! independent additions, and the weighted sum of the buckets is a butterfly of additions that are independent as well.
//!
//! The affine formula fails for equal or opposite points and for infinity. Lanes where that may be so are found by comparing one limb, and
//! computed by the scalar curve arithmetic instead. Everything else, like the time taken, may depend on the scalars.

use std::{arch::x86_64::*, iter, ops::Range, sync::Mutex};

use halo2curves::{
    bn256::{Fq, Fr, G1, G1Affine},
    ff::Field,
    group::{Curve, Group, prime::PrimeCurveAffine},
    msm::msm_serial,
};
use rayon::prelude::*;

use super::lanes::{Ifma, LANES, Lanes, transposed};

/// Additions that share an inversion: their rows take 320 kB, less than the second-level cache.
const BATCH: usize = 2048;
/// Chains of products, and of their inverses, that run side by side to hide the latency of a product.
const CHAINS: usize = 2;
/// Entries of a task: enough that its last small batches do not matter, and few enough for several tasks a thread.
const TASK: Range<usize> = 1 << 14..1 << 16;
/// Buckets, in bits, over which a task takes the weighted sum in one go.
const BLOCK_BITS: u32 = 12;
/// Scalars in work at a time, in columns of any number: they take 40 bytes, and 36 when sorted out.
const SCALARS: usize = 1 << 21;
/// Additions ahead of which a base is fetched.
const AHEAD: usize = 4 * LANES;
/// Bit of an entry that says that its point is to be subtracted.
const MINUS: u32 = 1 << 31;

/// A point: four words of x and of y in form 2^260, below 1.1 p and, in bases, below p. Zeros are infinity: y = 0 is not on the curve.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Point([u64; 8]);

impl Point {
    const INFINITY: Self = Self([0; 8]);

    fn is_infinity(&self) -> bool {
        let [_, _, _, _, a, b, c, d] = self.0;
        a | b | c | d == 0
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn row(point: &Point) -> __m512i {
    // SAFETY: a point is 64 bytes, aligned.
    unsafe { _mm512_load_si512((&raw const point.0).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn store_row(point: &mut Point, row: __m512i) {
    // SAFETY: as in `row`.
    unsafe { _mm512_store_si512((&raw mut point.0).cast(), row) };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn pack(points: &[G1Affine; LANES]) -> [Point; LANES] {
    let coordinate = |values: [Fq; LANES]| Lanes::load(&values).mul(Lanes::ONE).reduced().packed();
    let ([a, b, c, d], [e, f, g, h]) = (coordinate(points.map(|point| point.x)), coordinate(points.map(|point| point.y)));
    let mut packed = [Point::INFINITY; LANES];
    for (point, row) in packed.iter_mut().zip(transposed([a, b, c, d, e, f, g, h])) {
        store_row(point, row);
    }
    packed
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn unpack(points: &[Point; LANES]) -> [G1Affine; LANES] {
    let [a, b, c, d, e, f, g, h] = transposed(points.each_ref().map(|point| row(point)));
    let (mut x, mut y) = ([Fq::ZERO; LANES], [Fq::ZERO; LANES]);
    Lanes::unpacked([a, b, c, d]).store(&mut x);
    Lanes::unpacked([e, f, g, h]).store(&mut y);
    let mut pairs = x.into_iter().zip(y);
    [(); LANES].map(|()| pairs.next().map_or(G1Affine::identity(), |(x, y)| G1Affine { x, y }))
}

/// Bases of a commitment key, prepared once; 64 bytes each.
pub struct Bases {
    points: Vec<Point>,
    ifma: Ifma,
}

impl std::fmt::Debug for Bases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bases").field("len", &self.points.len()).finish_non_exhaustive()
    }
}

impl Bases {
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
        Self { points: packed, ifma }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The sum of scalar times base over each column, whose scalars belong to the first bases; none may be longer than the bases.
    ///
    /// On the current thread pool, by column, window and part of a window. Takes up to 80 bytes for each of at most 2^21 scalars (or one
    /// longer column) at a time, 12 bytes for each scalar of the windows being sorted, one or two a thread, and 12 MB a thread.
    #[must_use]
    pub fn commit(&self, columns: &[&[Fr]]) -> Vec<G1> {
        let scratch = Mutex::new(Vec::new());
        let (mut sums, mut rest) = (Vec::with_capacity(columns.len()), columns);
        while !rest.is_empty() {
            let mut scalars = 0;
            let fit = rest.iter().take_while(|column| {
                scalars += column.len();
                scalars <= SCALARS
            });
            let (now, later) = rest.split_at(fit.count().max(1));
            let classes: Vec<[Class; 2]> = now.par_iter().map(|column| self.classes(column)).collect();
            let classes: Vec<(usize, &Class)> = classes.iter().enumerate().flat_map(|(i, pair)| pair.iter().map(move |class| (i, class))).collect();
            let units: Vec<_> = classes.iter().flat_map(|&(column, class)| class.units().map(move |windows| (column, class, windows))).collect();
            let work: usize = units.iter().map(|(_, class, windows)| class.entries.len() * windows.len()).sum();
            let task = (work / (4 * rayon::current_num_threads())).clamp(TASK.start, TASK.end);
            let parts: Vec<Part> = units
                .into_par_iter()
                .with_max_len(1)
                .flat_map(|(column, class, windows)| {
                    let sorted = self.sorted(class, &windows);
                    let first = windows.start * class.width as usize;
                    let parts: Vec<Part> = sorted
                        .tasks(task)
                        .into_par_iter()
                        .with_max_len(1)
                        .map(|range| {
                            let mut own = scratch.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_else(Adder::new);
                            // SAFETY: `self.ifma` says that the processor has the instructions.
                            let bits = unsafe { own.run(&self.points, &sorted, range, class.width, windows.len()) };
                            if let Ok(mut pool) = scratch.lock() {
                                pool.push(own);
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

    /// The scalars of a column without the zeros, in two classes of different length: a column of bytes often ends in a few random rows.
    fn classes(&self, column: &[Fr]) -> [Class; 2] {
        let mut octets = vec![Octet::ZERO; column.len().div_ceil(LANES)];
        octets.par_chunks_mut(1 << 10).zip(column.par_chunks(LANES << 10)).for_each(|(octets, scalars)| {
            let _ = self.ifma;
            // SAFETY: `self.ifma` says that the processor has the instructions.
            unsafe { integers(octets, scalars) };
        });
        let mut counts = [0usize; 256];
        octets.iter().flat_map(|octet| octet.bits).for_each(|bits| counts[usize::from(bits)] += 1);
        let all: usize = counts[1..].iter().sum();
        let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let (mut best, mut narrow) = ((f64::INFINITY, 0), 0);
        for bits in 0..=longest {
            if bits > 0 {
                narrow += counts[bits];
            }
            if counts[bits] > 0 || bits == longest {
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

    /// A class of a few scalars.
    fn serial(&self, class: &Class) -> G1 {
        let mut sum = G1::identity();
        if class.windows == 0 && !class.entries.is_empty() {
            let place = |i: usize| class.words[i / LANES].map(|word| word[i % LANES]);
            let scalars: Vec<Fr> = (0..class.entries.len()).map(|i| Fr::from_raw(place(i))).collect();
            // SAFETY: `self.ifma` says that the processor has the instructions.
            let bases: Vec<G1Affine> = class.entries.iter().map(|entry| unsafe { scalar_point(&self.points, *entry) }).collect();
            msm_serial(&scalars, &bases, &mut sum);
        }
        sum
    }

    /// Entries of windows `windows` in the order of their buckets.
    fn sorted(&self, class: &Class, windows: &Range<usize>) -> Sorted {
        let padded = class.words.len() * LANES;
        let mut codes = vec![0u32; padded * windows.len()];
        let mut ends = vec![0u32; (windows.len() << (class.width - 1)) + 1];
        for (i, codes) in codes.chunks_exact_mut(padded).enumerate() {
            // SAFETY: `self.ifma` says that the processor has the instructions.
            unsafe { digits(&class.words, (windows.start + i) * class.width as usize, class.width, (i << (class.width - 1)) as u32, codes) };
            for code in &codes[..class.entries.len()] {
                let end = &mut ends[(code & !MINUS) as usize];
                *end = end.wrapping_add(1);
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            (sum, *end) = (sum + *end, sum);
        }
        let mut entries = vec![0u32; sum as usize];
        for codes in codes.chunks_exact(padded) {
            for (code, entry) in codes.iter().zip(&class.entries) {
                let end = &mut ends[(code & !MINUS) as usize];
                entries[*end as usize] = entry ^ (code & MINUS);
                *end = end.wrapping_add(1);
            }
        }
        Sorted { entries, ends }
    }
}

/// What a task adds up: sums to be weighted by the powers of two from `first` on.
struct Part {
    column: usize,
    first: usize,
    bits: Vec<G1>,
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
            *bits = top.map_or(0, |word| (64 * word + 64) as u8 - octet.words[word][lane].leading_zeros() as u8);
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
            // An entry is sorted and added once, a bucket twice; with each window goes a share of the small batches at the end.
            let windows = (bits as u32 + 1).div_ceil(width);
            let cost = 3000.0 + f64::from(windows) * (1.2 * count + 1.1 * f64::from(1 << width) + 100.0);
            if cost < best.1 { (Self::Windows(width), cost) } else { best }
        })
    }
}

/// Scalars to be treated alike.
struct Class {
    /// Index of the base, and whether the scalar is negative.
    entries: Vec<u32>,
    /// Words of the absolute values, eight scalars at a time.
    words: Vec<[[u64; LANES]; 4]>,
    width: u32,
    /// None if serial.
    windows: usize,
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
    fn units(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let most = (TASK.end / self.entries.len().max(1)).min(1 << (16 - self.width)).max(1);
        let windows = self.windows;
        (0..windows).step_by(most).map(move |first| first..windows.min(first + most))
    }
}

/// Signed digits of `width` bits from bit `first` on: 0, or the absolute value plus `base`, and in the highest bit the sign.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn digits(words: &[[[u64; LANES]; 4]], first: usize, width: u32, base: u32, codes: &mut [u32]) {
    // Booth: digit i is bits first - 1 .. first + width, rounded up after halving, less 2^width if the highest bit is set.
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
        let code = _mm512_mask_add_epi64(value, _mm512_test_epi64_mask(value, value), value, _mm512_set1_epi64(i64::from(base)));
        let code = _mm512_mask_or_epi64(code, negative, code, _mm512_set1_epi64(i64::from(MINUS)));
        // SAFETY: eight codes of four bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(code)) };
    }
}

/// Entries by bucket, those without a bucket first. Bucket `b` of window `w` is number `w 2^(width - 1) + b`, counting from one.
struct Sorted {
    entries: Vec<u32>,
    /// Where the entries of each number end.
    ends: Vec<u32>,
}

impl Sorted {
    /// Ranges of about as many entries, cut anywhere: buckets may well be very uneven.
    fn tasks(&self, size: usize) -> Vec<Range<usize>> {
        let first = self.ends.first().map_or(0, |end| *end as usize);
        let count = self.entries.len() - first;
        let tasks = count.div_ceil(size);
        (0..tasks).map(|i| first + count * i / tasks..first + count * (i + 1) / tasks).collect()
    }
}

/// The point of an entry.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn scalar_point(points: &[Point], entry: u32) -> G1Affine {
    let [point, ..] = unpack(&[points[(entry & !MINUS) as usize]; LANES]);
    if entry & MINUS == 0 { point } else { -point }
}

/// The same, still packed.
#[inline]
fn signed_point(points: &[Point], entry: u32) -> Point {
    let mut point = points[(entry & !MINUS) as usize];
    if entry & MINUS != 0 && !point.is_infinity() {
        let (_, y) = point.0.split_at_mut(4);
        let mut borrow = false;
        for (y, p) in y.iter_mut().zip(<Fq as super::lanes::Modulus>::WORDS) {
            let (less, first) = p.overflowing_sub(*y);
            let (less, second) = less.overflowing_sub(u64::from(borrow));
            (*y, borrow) = (less, first || second);
        }
    }
    point
}

/// An addition: entries of the bases, or places in the arena, and the place of the sum.
#[derive(Clone, Copy)]
struct Job {
    left: u32,
    right: u32,
    out: u32,
}

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

/// Does additions in batches, and keeps the memory for that.
struct Adder {
    arena: Vec<Point>,
    jobs: Vec<Job>,
    rows: Vec<Row>,
    /// Sums that the scalar arithmetic had to take, and their places.
    exceptions: Vec<(u32, Point)>,
    /// Places of the buckets' sums, and lengths of their runs.
    runs: Vec<(u32, u32)>,
}

impl Adder {
    fn new() -> Self {
        let row = Row { slope: Lanes::ZERO, dx: Lanes::ZERO, x: Lanes::ZERO, y: Lanes::ZERO };
        Self { arena: Vec::new(), jobs: Vec::with_capacity(BATCH), rows: vec![row; BATCH / LANES], exceptions: Vec::new(), runs: Vec::new() }
    }

    /// Sums over the entries in `range`, to be weighted by the powers of two from the first window on.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(&mut self, bases: &[Point], sorted: &Sorted, range: Range<usize>, width: u32, windows: usize) -> Vec<G1> {
        let bucket = |entry: usize| sorted.ends.partition_point(|end| *end as usize <= entry) - 1;
        let (first, last) = (bucket(range.start), bucket(range.end - 1));
        let block = BLOCK_BITS.min(width - 1);
        let low = first >> block << block;
        let buckets = ((last >> block) + 1 << block) - low;
        // A run of three or more leaves at most two thirds of itself.
        let most = (2 * range.len()).div_ceil(3);
        self.arena.clear();
        self.arena.resize(buckets, Point::INFINITY);
        self.arena.resize(buckets + 2 * most, Point::INFINITY);

        self.runs.clear();
        let starts = sorted.ends[first..=last].iter().map(|start| (*start as usize).max(range.start));
        let ends = sorted.ends[first + 1..=last + 1].iter().map(|end| (*end as usize).min(range.end));
        let lengths = starts.zip(ends).map(|(start, end)| (end - start) as u32);
        self.runs.extend(((first - low) as u32..).zip(lengths).filter(|(_, length)| *length > 0));
        self.halve::<true>(bases, &sorted.entries[range], 0, buckets as u32);
        let (mut from, mut to) = (buckets as u32, (buckets + most) as u32);
        while !self.runs.is_empty() {
            self.halve::<false>(bases, &[], from, to);
            (from, to) = (to, from);
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

    /// Adds neighbours in every run; single points go to the place of their bucket. Runs lie one after the other in `entries`, or in the
    /// arena at `from`, and go to the arena at `to`.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn halve<const BASES: bool>(&mut self, bases: &[Point], entries: &[u32], from: u32, to: u32) {
        let mut runs = std::mem::take(&mut self.runs);
        let (mut position, mut to) = (from, to);
        runs.retain_mut(|(bucket, length)| {
            let mut out = *bucket;
            let (mut left, rounded) = (position, *length / 2);
            position = position.wrapping_add(*length);
            if *length > 2 {
                out = to;
                to = to.wrapping_add(rounded + *length % 2);
            }
            let operand = |place: u32| if BASES { entries[place as usize] } else { place };
            for _ in 0..rounded {
                self.push::<BASES>(bases, Job { left: operand(left), right: operand(left.wrapping_add(1)), out });
                left = left.wrapping_add(2);
                out = out.wrapping_add(1);
            }
            if *length % 2 == 1 {
                self.arena[out as usize] = if BASES { signed_point(bases, operand(left)) } else { self.arena[left as usize] };
            }
            let again = *length > 2;
            *length = rounded + *length % 2;
            again
        });
        self.runs = runs;
        self.flush::<BASES>(bases);
    }

    /// In each block, place 0 becomes the sum of all buckets, and place 2^i that of the buckets whose place has bit i.
    ///
    /// In step i, the places with the lower bits 0 and 2^j, j < i, take up what lies 2^i above them; the place 2^i itself then stays behind
    /// as the first of those with bit i. That is two additions a bucket altogether.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn weigh(&mut self, buckets: usize, block: u32) {
        for step in 0..block {
            for start in (0..buckets).step_by(2 << step) {
                for place in iter::once(0).chain((0..step).map(|bit| 1 << bit)) {
                    let (left, right) = (start + place, start + place + (1 << step));
                    if self.arena[right].is_infinity() {
                        continue;
                    }
                    if self.arena[left].is_infinity() {
                        self.arena[left] = self.arena[right];
                    } else {
                        self.push::<false>(&[], Job { left: left as u32, right: right as u32, out: left as u32 });
                    }
                }
            }
            self.flush::<false>(&[]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn push<const BASES: bool>(&mut self, bases: &[Point], job: Job) {
        self.jobs.push(job);
        if self.jobs.len() == BATCH {
            self.flush::<BASES>(bases);
        }
    }

    /// Does the additions, reading all points before it writes a sum.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn flush<const BASES: bool>(&mut self, bases: &[Point]) {
        let Some(last) = self.jobs.last().copied() else { return };
        let padded = self.jobs.len().next_multiple_of(CHAINS * LANES);
        self.jobs.resize(padded, last);
        let (groups, _) = self.jobs.as_chunks::<LANES>();
        let (groups, _) = groups.as_chunks::<CHAINS>();
        let (rows, _) = self.rows.as_chunks_mut::<CHAINS>();
        let mut products = [Lanes::ONE; CHAINS];
        for (i, (groups, rows)) in groups.iter().zip(rows.iter_mut()).enumerate() {
            if BASES {
                let ahead = (i * CHAINS * LANES + AHEAD).min(padded);
                for job in self.jobs[ahead..].iter().take(CHAINS * LANES) {
                    for entry in [job.left, job.right] {
                        let point = bases.as_ptr().wrapping_add((entry & !MINUS) as usize);
                        // SAFETY: fetching ahead reads nothing, whatever the address.
                        unsafe { _mm_prefetch::<_MM_HINT_T0>(point.cast()) };
                    }
                }
            }
            let source: &[Point] = if BASES { bases } else { &self.arena };
            for ((jobs, row), product) in groups.iter().zip(rows).zip(&mut products) {
                let exceptions = prepare::<BASES>(source, jobs, row, product);
                if exceptions != 0 {
                    for (lane, job) in jobs.iter().enumerate().filter(|(lane, _)| exceptions >> lane & 1 == 1) {
                        let _ = lane;
                        let sum = (scalar_point(source, job.left).to_curve() + scalar_point(source, job.right)).to_affine();
                        let [sum, ..] = pack(&[sum; LANES]);
                        self.exceptions.push((job.out, sum));
                    }
                }
            }
        }
        // The inverse of everything before a chain's last row: that of all, times the other chain's product.
        let inverse = inverted(products[0].mul(products[1]));
        let mut inverses = [inverse.mul(products[1]), inverse.mul(products[0])];
        for (groups, rows) in groups.iter().zip(rows.iter_mut()).rev() {
            finish(&mut self.arena, groups, rows, &mut inverses);
        }
        for (place, sum) in self.exceptions.drain(..) {
            self.arena[place as usize] = sum;
        }
        self.jobs.clear();
    }
}

/// First pass over eight additions: fills the row, and goes on with the product of the differences. Returns the lanes that are no ordinary
/// additions, if any: some have infinity, equal or opposite points. They count as one in the product.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn prepare<const BASES: bool>(source: &[Point], jobs: &[Job; LANES], row_out: &mut Row, product: &mut Lanes<Fq>) -> u8 {
    let left = transposed(jobs.each_ref().map(|job| row(&source[(job.left & !MINUS) as usize])));
    let right = transposed(jobs.each_ref().map(|job| row(&source[(job.right & !MINUS) as usize])));
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (left, right);
    let (x, mut y) = (Lanes::unpacked([a, b, c, d]), Lanes::unpacked([e, f, g, h]));
    let (other_x, mut other_y) = (Lanes::unpacked([i, j, k, l]), Lanes::unpacked([m, n, o, p]));
    let zero = _mm512_setzero_si512();
    let mut dx = other_x.sub::<1>(x);
    let exceptions = dx.maybe_multiple() | _mm512_cmpeq_epi64_mask(e, zero) | _mm512_cmpeq_epi64_mask(m, zero);
    if BASES {
        let minus = |entry: fn(&Job) -> u32| jobs.iter().rev().fold(0u8, |mask, job| mask << 1 | (entry(job) >> 31) as u8);
        y = y.flipped(minus(|job| job.left));
        other_y = other_y.flipped(minus(|job| job.right));
    }
    if exceptions != 0 {
        dx = dx.select(exceptions, Lanes::ONE);
    }
    let dy = other_y.sub::<1>(y);
    *row_out = Row { slope: dy.mul(*product), dx, x, y };
    *product = product.mul(dx);
    exceptions
}

/// Second pass: the sums, from the last row on. `inverses` are those of the products up to and with these rows, and then up to them.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn finish(arena: &mut [Point], jobs: &[[Job; LANES]; CHAINS], rows: &[Row; CHAINS], inverses: &mut [Lanes<Fq>; CHAINS]) {
    let [first, second] = rows;
    let slopes = [first.slope.mul(inverses[0]), second.slope.mul(inverses[1])];
    *inverses = [inverses[0].mul(first.dx), inverses[1].mul(second.dx)];
    let squares = [slopes[0].square(), slopes[1].square()];
    // x3 = slope^2 - x1 - x2, where x2 = dx + x1 - 2 p: another multiple of p does not matter, but would leave the range of `settled`.
    let two_p = Lanes::ZERO.sub::<1>(Lanes::ZERO);
    let sum_x = |square: Lanes<Fq>, row: &Row| square.plus(two_p).minus(row.dx).minus(row.x).minus(row.x).settled();
    let xs = [sum_x(squares[0], first), sum_x(squares[1], second)];
    let products = [slopes[0].mul(first.x.sub::<1>(xs[0])), slopes[1].mul(second.x.sub::<1>(xs[1]))];
    let ys = [products[0].minus(first.y).settled(), products[1].minus(second.y).settled()];
    for ((jobs, x), y) in jobs.iter().zip(xs).zip(ys) {
        let ([a, b, c, d], [e, f, g, h]) = (x.packed(), y.packed());
        for (job, row) in jobs.iter().zip(transposed([a, b, c, d, e, f, g, h])) {
            store_row(&mut arena[job.out as usize], row);
        }
    }
}

/// Inverses of eight elements, none zero, by one inversion.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn inverted(elements: Lanes<Fq>) -> Lanes<Fq> {
    let turned = |lanes: Lanes<Fq>, by| lanes.window(lanes, by);
    let two = elements.mul(turned(elements, 1));
    let four = two.mul(turned(two, 2));
    // The other seven: one, two and four from the next lane on.
    let others = turned(elements, 1).mul(turned(two, 2)).mul(turned(four, 4));
    let mut all = [Fq::ZERO; LANES];
    four.mul(turned(four, 4)).store(&mut all);
    let inverse: Option<Fq> = all[0].invert().into();
    others.mul(Lanes::splat(&inverse.unwrap_or(Fq::ZERO)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2curves::msm::msm_best;
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    fn points(rng: &mut ChaCha20Rng, count: usize) -> Vec<G1Affine> {
        // Random steps from a random point: much cheaper than random points.
        let (start, step) = (G1::random(&mut *rng), G1::random(&mut *rng));
        let points: Vec<G1> = iter::successors(Some(start), |point| Some(point + step)).take(count).collect();
        let mut affine = vec![G1Affine::identity(); count];
        G1::batch_normalize(&points, &mut affine);
        affine
    }

    fn check(ifma: Ifma, bases: &[G1Affine], scalars: &[Fr], what: &str) {
        let prepared = Bases::new(ifma, bases);
        // halo2curves does not take infinity as a base.
        let (kept, used): (Vec<Fr>, Vec<G1Affine>) =
            scalars.iter().zip(bases).filter(|(_, base)| !bool::from(base.is_identity())).map(|(scalar, base)| (*scalar, *base)).unzip();
        let expected = if used.is_empty() { G1::identity() } else { msm_best(&kept, &used) };
        assert_eq!(prepared.commit(&[scalars]), vec![expected], "{what}");
    }

    fn detected() -> Option<Ifma> {
        let ifma = Ifma::detect();
        if ifma.is_none() {
            println!("skipped: this processor has no AVX-512 IFMA");
        }
        ifma
    }

    #[test]
    fn sizes_agree() {
        let Some(ifma) = detected() else { return };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let bases = points(&mut rng, 3000);
        for size in [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 1000, 2999] {
            let scalars: Vec<Fr> = (0..size).map(|_| Fr::random(&mut rng)).collect();
            check(ifma, &bases[..size], &scalars, &format!("{size} scalars"));
        }
    }
}
