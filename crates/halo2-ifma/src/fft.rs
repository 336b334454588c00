//! Fourier transforms over the scalar field, eight columns of a matrix at a time.
//!
//! A transform of 2^k points is one of a matrix (Bailey, "FFTs in external or hierarchical memory", 1990): transforms
//! of the columns, a twiddle factor for every entry, transforms of the rows. Eight neighbouring columns are the eight
//! lanes, so no butterfly crosses a lane, and each short transform stays in the nearest cache. Transforms on a coset `g
//! H` need no products of their own: the powers of `g` are in the twiddle factors of the short transforms.

use std::{marker::PhantomData, sync::Mutex};

use halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use rayon::prelude::*;

use crate::lanes::{Ifma, LANES, Lanes, Packed};

/// Smallest and largest supported `k`: both sides of the matrix have at least eight entries, and sums stay below 84 p.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 6..=24;

/// Values of a polynomial, in order, each below 2 p.
pub type Values = Vec<Packed<Fr>>;

/// Twiddle factors of short transforms at the points `shift * root^j`, stage after stage.
#[derive(Debug)]
struct Short {
    log: u32,
    factors: Vec<Lanes<Fr>>,
}

/// Twiddle factors of a transform to the coset `shift * H`.
#[derive(Debug)]
pub struct Coset {
    /// The coset's shift.
    pub shift: Fr,
    columns: Short,
    rows: Short,
}

/// Transforms of 2^k points.
#[derive(Debug)]
pub struct Transform {
    ifma: Ifma,
    k: u32,
    /// `omega^(c j)` for column `c` and entry `j` of its transform, by block of eight columns.
    forward: Vec<Lanes<Fr>>,
    /// The same of the inverse, with `1 / n`.
    inverse: Vec<Lanes<Fr>>,
    /// Matrices that are not in use: a fresh one costs as much as a fifth of a transform.
    spare: Mutex<Vec<Vec<Lanes<Fr>>>>,
    subgroup: Coset,
    subgroup_inverse: Coset,
    omega: Fr,
}

/// Writes of several threads to distinct places of one slice.
struct Scattered<'a, T>(*mut T, usize, PhantomData<&'a mut [T]>);

// SAFETY: the threads that share it write to distinct places, see `put`.
unsafe impl<T: Send> Sync for Scattered<'_, T> {}

impl<'a, T> Scattered<'a, T> {
    fn new(slice: &'a mut [T]) -> Self {
        Self(slice.as_mut_ptr(), slice.len(), PhantomData)
    }

    /// # Safety
    /// No other thread reads or writes place `index`.
    unsafe fn put(&self, index: usize, value: T) {
        assert!(index < self.1);
        // SAFETY: within the slice; alone at this place, says the caller.
        unsafe { self.0.add(index).write(value) };
    }
}

impl Short {
    /// Of 2^log points, `root` of that order.
    fn new(ifma: Ifma, log: u32, root: Fr, shift: Fr) -> Self {
        let mut factors = Vec::with_capacity((1 << log) - 1);
        for stage in 0..log {
            let (mut root, mut point) = (root, shift);
            for _ in stage + 1..log {
                (root, point) = (root.square(), point.square());
            }
            for _ in 0..1 << stage {
                factors.push(point);
                point *= root;
            }
        }
        Self { log, factors: splats(ifma, &factors) }
    }

    /// Factors of the stage that joins transforms of 2^stage points.
    fn stage(&self, stage: u32) -> &[Lanes<Fr>] {
        let size = 1usize << stage;
        &self.factors[size - 1..2 * size - 1]
    }

    /// Eight transforms in place, entries in bit-reversed order before. Entries below `A p` become entries below `(A +
    /// 2 log) p`, which must be at most 84.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(&self, entries: &mut [Lanes<Fr>]) {
        let mut stage = 0;
        if self.log % 2 == 1 {
            let factor = self.stage(0)[0];
            for pair in entries.chunks_exact_mut(2) {
                let product = pair[1].mul(factor);
                (pair[0], pair[1]) = (pair[0].add(product), pair[0].sub::<1>(product));
            }
            stage = 1;
        }
        while stage < self.log {
            let half = 1usize << stage;
            let inner = self.stage(stage);
            let (outer_low, outer_high) = self.stage(stage + 1).split_at(half);
            for group in entries.chunks_exact_mut(4 * half) {
                let (low, high) = group.split_at_mut(2 * half);
                let ((a0, a1), (a2, a3)) = (low.split_at_mut(half), high.split_at_mut(half));
                let quads = a0.iter_mut().zip(a1).zip(a2).zip(a3);
                for ((((((a0, a1), a2), a3), inner), outer_low), outer_high) in
                    quads.zip(inner).zip(outer_low).zip(outer_high)
                {
                    let (t1, t3) = (a1.mul(*inner), a3.mul(*inner));
                    let (b0, b1) = (a0.plus(t1), a0.sub_lazy::<1>(t1));
                    let (b2, b3) = (a2.add(t3), a2.sub::<1>(t3));
                    let (u2, u3) = (b2.mul(*outer_low), b3.mul(*outer_high));
                    (*a0, *a2) = (b0.add(u2), b0.sub::<1>(u2));
                    (*a1, *a3) = (b1.add(u3), b1.sub::<1>(u3));
                }
            }
            stage += 2;
        }
    }
}

/// Every element in all lanes of a vector of its own, reduced.
pub(crate) fn splats(ifma: Ifma, elements: &[Fr]) -> Vec<Lanes<Fr>> {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(elements: &[Fr]) -> Vec<Lanes<Fr>> {
        elements.iter().map(|element| Lanes::splat(element)).collect()
    }
    let _ = ifma;
    // SAFETY: `ifma` says that the processor has the instructions.
    unsafe { run(elements) }
}

/// Vectors as elements again.
#[cfg(test)]
pub fn to_words(ifma: Ifma, values: &[Packed<Fr>]) -> Vec<Fr> {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(values: &[Packed<Fr>], out: &mut [[Fr; LANES]]) {
        for (packed, out) in values.iter().zip(out) {
            packed.lanes().store(out);
        }
    }
    let _ = ifma;
    let mut out = vec![Fr::ZERO; values.len() * LANES];
    // SAFETY: `ifma` says that the processor has the instructions.
    blocks_mut(&mut out)
        .par_chunks_mut(TASK)
        .zip(values.par_chunks(TASK))
        .for_each(|(out, values)| unsafe { run(values, out) });
    out
}

/// Blocks of eight a task takes.
pub const TASK: usize = 128;

impl Transform {
    /// Of 2^k points; `None` outside [`SUPPORTED`].
    #[must_use]
    pub fn new(ifma: Ifma, k: u32) -> Option<Self> {
        if !SUPPORTED.contains(&k) {
            return None;
        }
        let omega = (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
        let omega_inverse = omega.invert().unwrap_or(Fr::ONE);
        let n_inverse = Fr::from(1 << k).invert().unwrap_or(Fr::ONE);
        let mut transform = Self {
            ifma,
            k,
            forward: Vec::new(),
            inverse: Vec::new(),
            spare: Mutex::default(),
            subgroup: Coset::new(ifma, k, omega, Fr::ONE),
            subgroup_inverse: Coset::new(ifma, k, omega_inverse, Fr::ONE),
            omega,
        };
        transform.forward = transform.twiddles(omega, Fr::ONE);
        transform.inverse = transform.twiddles(omega_inverse, n_inverse);
        Some(transform)
    }

    /// The generator of the subgroup.
    #[must_use]
    pub fn omega(&self) -> Fr {
        self.omega
    }

    /// log2 of the number of points.
    #[must_use]
    pub const fn k(&self) -> u32 {
        self.k
    }

    const fn log_rows(k: u32) -> u32 {
        k / 2
    }

    /// `scale * root^(c j)`: block of columns by block of columns, entry by entry.
    fn twiddles(&self, root: Fr, scale: Fr) -> Vec<Lanes<Fr>> {
        let (rows, columns) = (1usize << Self::log_rows(self.k), 1usize << (self.k - Self::log_rows(self.k)));
        let mut out = vec![Lanes::ZERO; rows * columns / LANES];
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
        fn run(out: &mut [Lanes<Fr>], first: Fr, root: Fr, scale: Fr) {
            let mut steps = [first; LANES];
            for i in 1..LANES {
                steps[i] = steps[i - 1] * root;
            }
            let steps = Lanes::load(&steps).mul(Lanes::ONE).reduced();
            let mut current = Lanes::splat(&scale);
            for out in out {
                *out = current;
                current = current.mul(steps).reduced();
            }
        }
        out.par_chunks_mut(rows).enumerate().for_each(|(block, out)| {
            let first = root.pow_vartime([(block * LANES) as u64]);
            // SAFETY: `self.ifma` says that the processor has the instructions.
            unsafe { run(out, first, root, scale) };
        });
        out
    }

    /// Twiddle factors to evaluate on `shift * H`.
    #[must_use]
    pub fn coset(&self, shift: Fr) -> Coset {
        Coset::new(self.ifma, self.k, self.omega, shift)
    }

    /// Coefficients of the polynomial with these values on the subgroup.
    #[must_use]
    pub fn interpolate(&self, values: &[Fr]) -> Vec<Fr> {
        assert_eq!(values.len(), 1 << self.k);
        let mut out = vec![Fr::ZERO; values.len()];
        self.transform(
            Source::Words(values),
            Sink::Words(Scattered::new(blocks_mut(&mut out))),
            &self.inverse,
            &self.subgroup_inverse,
        );
        out
    }

    /// Values on the subgroup of the polynomial with these coefficients.
    #[must_use]
    pub fn values(&self, coefficients: &[Fr]) -> Vec<Fr> {
        assert!(coefficients.len() <= 1 << self.k);
        let mut out = vec![Fr::ZERO; 1 << self.k];
        self.transform(
            Source::Words(coefficients),
            Sink::Words(Scattered::new(blocks_mut(&mut out))),
            &self.forward,
            &self.subgroup,
        );
        out
    }

    /// Values on a coset of the polynomial with these coefficients, below 2 p. Fewer coefficients than points are
    /// padded with zeros.
    #[must_use]
    pub fn evaluate(&self, coefficients: &[Fr], coset: &Coset) -> Values {
        let mut out = self.blank();
        self.evaluate_into(coefficients, coset, &mut out);
        out
    }

    /// Room for the values of one polynomial.
    #[must_use]
    pub fn blank(&self) -> Values {
        vec![Packed::ZERO; (1 << self.k) / LANES]
    }

    /// [`Transform::evaluate`] into room that is there.
    pub fn evaluate_into(&self, coefficients: &[Fr], coset: &Coset, out: &mut Values) {
        assert!(coefficients.len() <= 1 << self.k && out.len() == (1 << self.k) / LANES);
        self.transform(Source::Words(coefficients), Sink::Packed(Scattered::new(out)), &self.forward, coset);
    }

    /// From the values of `f` on `shift * H`, the coefficients of `f(shift X)`, below 2 p: entry `i` times `shift^i`.
    /// In place.
    #[must_use]
    pub fn interpolate_shifted(&self, mut values: Values) -> Values {
        let matrix = self.columns(&Source::Packed(&values), &self.inverse, &self.subgroup_inverse);
        self.rows(matrix, &Sink::Packed(Scattered::new(&mut values)), &self.subgroup_inverse);
        values
    }

    fn transform(&self, source: Source<'_>, sink: Sink<'_>, twiddles: &[Lanes<Fr>], coset: &Coset) {
        let matrix = self.columns(&source, twiddles, coset);
        self.rows(matrix, &sink, coset);
    }

    /// First half: transforms of the columns, into a matrix of eight columns after eight columns.
    fn columns(&self, source: &Source<'_>, twiddles: &[Lanes<Fr>], coset: &Coset) -> Vec<Lanes<Fr>> {
        let (rows, columns) = (1usize << coset.columns.log, 1usize << coset.rows.log);
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        let mut matrix = spare.unwrap_or_else(|| vec![Lanes::ZERO; rows * columns / LANES]);
        matrix.par_chunks_mut(rows).zip(twiddles.par_chunks(rows)).enumerate().for_each(
            |(block, (entries, twiddles))| {
                // SAFETY: `self.ifma` says that the processor has the instructions.
                unsafe { column_pass(source, &coset.columns, entries, twiddles, block, columns / LANES) };
            },
        );
        matrix
    }

    /// Second half: transforms of the rows.
    fn rows(&self, matrix: Vec<Lanes<Fr>>, sink: &Sink<'_>, coset: &Coset) {
        let (rows, columns) = (1usize << coset.columns.log, 1usize << coset.rows.log);
        (0..rows / LANES).into_par_iter().for_each_init(
            || vec![Lanes::ZERO; columns],
            // SAFETY: as above; each call writes the places of its own group of rows.
            |entries, group| unsafe { row_pass(&matrix, &coset.rows, entries, sink, group, rows) },
        );
        if let Ok(mut spare) = self.spare.lock() {
            spare.push(matrix);
        }
    }
}

impl Coset {
    fn new(ifma: Ifma, k: u32, omega: Fr, shift: Fr) -> Self {
        let rows = Transform::log_rows(k);
        let columns = k - rows;
        // Entry (r, c) is coefficient `r columns + c`: the columns' transforms are at powers of `shift^columns`, the
        // rows' of `shift`.
        let power = |exponent: u32, x: Fr| (0..exponent).fold(x, |x, _| x.square());
        Self {
            shift,
            columns: Short::new(ifma, rows, power(columns, omega), power(columns, shift)),
            rows: Short::new(ifma, columns, power(rows, omega), shift),
        }
    }
}

enum Source<'a> {
    Words(&'a [Fr]),
    Packed(&'a [Packed<Fr>]),
}

impl Source<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn block(&self, index: usize) -> Lanes<Fr> {
        match self {
            Self::Packed(values) => values[index].lanes(),
            Self::Words(values) => {
                let rest = values.get(index * LANES..).unwrap_or(&[]);
                match rest.first_chunk() {
                    Some(block) => Lanes::load(block),
                    None if rest.is_empty() => Lanes::ZERO,
                    None => {
                        let mut block = [Fr::ZERO; LANES];
                        block[..rest.len()].copy_from_slice(rest);
                        Lanes::load(&block)
                    }
                }
            }
        }
    }
}

enum Sink<'a> {
    Words(Scattered<'a, [Fr; LANES]>),
    Packed(Scattered<'a, Packed<Fr>>),
}

fn blocks_mut(values: &mut [Fr]) -> &mut [[Fr; LANES]] {
    values.as_chunks_mut().0
}

/// Transforms of eight columns, each entry times its twiddle factor, below 2 p.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn column_pass(
    source: &Source<'_>,
    short: &Short,
    entries: &mut [Lanes<Fr>],
    twiddles: &[Lanes<Fr>],
    block: usize,
    row_blocks: usize,
) {
    for (row, entry) in entries.iter_mut().enumerate() {
        *entry = source.block(reversed(row, short.log) * row_blocks + block);
    }
    short.run(entries);
    for (entry, twiddle) in entries.iter_mut().zip(twiddles) {
        *entry = entry.mul(*twiddle);
    }
}

/// Transforms of eight rows of the matrix, entry `j` of row `i` to place `i + rows j`.
///
/// # Safety
/// The processor has the instructions, and no two calls at a time have the same group.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn row_pass(
    matrix: &[Lanes<Fr>],
    short: &Short,
    entries: &mut [Lanes<Fr>],
    sink: &Sink<'_>,
    group: usize,
    rows: usize,
) {
    for (block, eight) in matrix.chunks_exact(rows).enumerate() {
        let mut square = [Lanes::ZERO; LANES];
        square.copy_from_slice(&eight[group * LANES..(group + 1) * LANES]);
        Lanes::transpose(&mut square);
        for (i, lanes) in square.into_iter().enumerate() {
            entries[reversed(block * LANES + i, short.log)] = lanes;
        }
    }
    short.run(entries);
    for (j, entry) in entries.iter().enumerate() {
        let place = group + rows / LANES * j;
        match sink {
            Sink::Words(out) => {
                let mut block = [Fr::ZERO; LANES];
                entry.store(&mut block);
                // SAFETY: `place` is this group's alone.
                unsafe { out.put(place, block) };
            }
            // SAFETY: as above.
            Sink::Packed(out) => unsafe { out.put(place, Packed::new(entry.nearly_reduced())) },
        }
    }
}

fn reversed(index: usize, bits: u32) -> usize {
    index.reverse_bits() >> (usize::BITS - bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2curves::ff::Field;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn horner(coefficients: &[Fr], x: Fr) -> Fr {
        coefficients.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
    }

    #[test]
    fn transforms_agree_with_evaluation() {
        let Some(ifma) = Ifma::detect() else {
            println!("skipped: this processor has no AVX-512 IFMA");
            return;
        };
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for k in 6..=13 {
            let transform = Transform::new(ifma, k).unwrap();
            let n = 1usize << k;
            let coefficients: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
            let shift = Fr::random(&mut rng);
            let coset = transform.coset(shift);
            let values = transform.evaluate(&coefficients, &coset);
            let words = to_words(ifma, &values);
            for j in [0, 1, 7, 8, n / 2 + 3, n - 1] {
                assert_eq!(
                    words[j],
                    horner(&coefficients, shift * transform.omega().pow_vartime([j as u64])),
                    "k {k}, place {j}"
                );
            }
            let on_subgroup = transform.values(&coefficients);
            assert_eq!(on_subgroup[5], horner(&coefficients, transform.omega().pow_vartime([5])));
            assert_eq!(transform.interpolate(&on_subgroup), coefficients);
            let mut power = Fr::ONE;
            for (got, want) in to_words(ifma, &transform.interpolate_shifted(values.clone())).iter().zip(&coefficients)
            {
                assert_eq!(*got, *want * power);
                power *= shift;
            }
            // Fewer coefficients than points.
            let short = transform.evaluate(&coefficients[..11], &coset);
            assert_eq!(
                to_words(ifma, &short)[9],
                horner(&coefficients[..11], shift * transform.omega().pow_vartime([9]))
            );
        }
        assert!(Transform::new(ifma, 5).is_none());
    }
}
