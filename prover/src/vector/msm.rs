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
/// Bit of an operand that says that it is an entry, not a place in the arena.
const BASE: u32 = 1 << 30;
const INDEX: u32 = BASE - 1;

/// A point: four words of x and of y in form 2^260, below 1.1 p and, in bases, below p. Zeros are infinity: y = 0 is
/// not on the curve.
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
fn row_of(point: &Point) -> __m512i {
    // SAFETY: a point is 64 bytes, aligned.
    unsafe { _mm512_load_si512((&raw const point.0).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn store_row(point: &mut Point, row: __m512i) {
    // SAFETY: as in `row_of`.
    unsafe { _mm512_store_si512((&raw mut point.0).cast(), row) };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn pack(points: &[G1Affine; LANES]) -> [Point; LANES] {
    let coordinate = |values: [Fq; LANES]| Lanes::load(&values).mul(Lanes::ONE).reduced().packed();
    let ([a, b, c, d], [e, f, g, h]) =
        (coordinate(points.map(|point| point.x)), coordinate(points.map(|point| point.y)));
    let mut packed = [Point::INFINITY; LANES];
    for (point, row) in packed.iter_mut().zip(transposed([a, b, c, d, e, f, g, h])) {
        store_row(point, row);
    }
    packed
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn unpack(points: &[Point; LANES]) -> [G1Affine; LANES] {
    let [a, b, c, d, e, f, g, h] = transposed(points.each_ref().map(|point| row_of(point)));
    let (mut x, mut y) = ([Fq::ZERO; LANES], [Fq::ZERO; LANES]);
    Lanes::unpacked([a, b, c, d]).store(&mut x);
    Lanes::unpacked([e, f, g, h]).store(&mut y);
    let mut pairs = x.into_iter().zip(y);
    [(); LANES].map(|()| pairs.next().map_or(G1Affine::identity(), |(x, y)| G1Affine { x, y }))
}

/// Bases of a commitment key, prepared once; 64 bytes each.
pub struct Bases {
    points: Vec<Point>,
    /// Whoever has bases has a processor with the instructions.
    _ifma: Ifma,
    /// What the threads that are not at work leave for the next.
    adders: Mutex<Vec<Adder>>,
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
        Self { points: packed, _ifma: ifma, adders: Mutex::new(Vec::new()) }
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
            let classes: Vec<[Class; 2]> = now.par_iter().map(|column| self.classes(column)).collect();
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
                    let sorted = self.sorted(class, &windows);
                    let first = windows.start * class.width as usize;
                    let parts: Vec<Part> = sorted
                        .tasks(task)
                        .into_par_iter()
                        .with_max_len(1)
                        .map(|range| {
                            let mut adder =
                                self.adders.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_else(Adder::new);
                            // SAFETY: `self._ifma` says that the processor has the instructions.
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

    /// The scalars of a column without the zeros, in two classes of different length: a column of bytes often ends in a
    /// few random rows.
    fn classes(&self, column: &[Fr]) -> [Class; 2] {
        let mut octets = vec![Octet::ZERO; column.len().div_ceil(LANES)];
        octets.par_chunks_mut(1 << 10).zip(column.par_chunks(LANES << 10)).for_each(|(octets, scalars)| {
            // SAFETY: `self._ifma` says that the processor has the instructions.
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

    /// A class of a few scalars.
    fn serial(&self, class: &Class) -> G1 {
        let mut sum = G1::identity();
        if class.windows == 0 && !class.entries.is_empty() {
            let place = |i: usize| class.words[i / LANES].map(|word| word[i % LANES]);
            let scalars: Vec<Fr> = (0..class.entries.len()).map(|i| Fr::from_raw(place(i))).collect();
            // SAFETY: `self._ifma` says that the processor has the instructions.
            let bases: Vec<G1Affine> = class
                .entries
                .iter()
                .map(|entry| unsafe { affine(&self.points[(entry & INDEX) as usize], entry & MINUS != 0) })
                .collect();
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
            // SAFETY: `self._ifma` says that the processor has the instructions.
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

/// Signed digits of `width` bits from bit `first` on: 0, or the absolute value plus `base`, and in the highest bit the
/// sign.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn digits(words: &[[[u64; LANES]; 4]], first: usize, width: u32, base: u32, codes: &mut [u32]) {
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

/// Entries by bucket, those without a bucket first. Bucket `b` of window `w` is number `w 2^(width - 1) + b`, counting
/// from one.
struct Sorted {
    entries: Vec<u32>,
    /// Where the entries of each number end.
    ends: Vec<u32>,
}

impl Sorted {
    /// Ranges of about as many entries, cut anywhere: buckets may well be very uneven.
    fn tasks(&self, size: usize) -> Vec<Range<usize>> {
        let first = self.ends.first().map_or(0, |end| *end as usize);
        let count = self.ends.last().map_or(0, |end| *end as usize) - first;
        let tasks = count.div_ceil(size);
        (0..tasks).map(|i| first + count * i / tasks..first + count * (i + 1) / tasks).collect()
    }
}

/// A point or its negative.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn affine(point: &Point, minus: bool) -> G1Affine {
    let [point, ..] = unpack(&[*point; LANES]);
    if minus { -point } else { point }
}

/// The point of an entry.
#[inline]
fn signed_point(points: &[Point], entry: u32) -> Point {
    let mut point = points[(entry & INDEX) as usize];
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
struct Adder {
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
    fn new() -> Self {
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
    fn run(&mut self, bases: &[Point], sorted: &Sorted, range: Range<usize>, width: u32, windows: usize) -> Vec<G1> {
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

#[cfg(test)]
mod tests;
