//! Polynomials in coefficients: values at a point, linear combinations, division.

use halo2curves::{
    bn256::Fr,
    ff::{BatchInvert, Field},
};
use rayon::prelude::*;

use crate::{
    fft::TASK,
    lanes::{Ifma, LANES, Lanes, Packed},
};

/// Sums of products between two reductions: each is below 1.2 p, and a lane holds 84 p.
const SUMS: usize = 32;

/// Value at `x`. Lengths are multiples of 32.
#[must_use]
pub fn evaluate(ifma: Ifma, coefficients: &[Fr], x: Fr) -> Fr {
    /// Four chains of eight lanes each, so that products overlap: lane `l` of chain `c` sums coefficients `32 i + 8 c +
    /// l`.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(coefficients: &[[Fr; 4 * LANES]], step: Fr) -> [[Fr; LANES]; 4] {
        let step = Lanes::splat(&step);
        let mut sums = [Lanes::ZERO; 4];
        for block in coefficients.iter().rev() {
            for (sum, eight) in sums.iter_mut().zip(block.as_chunks().0) {
                *sum = sum.mul(step).add(Lanes::load(eight));
            }
        }
        let mut out = [[Fr::ZERO; LANES]; 4];
        for (sum, out) in sums.into_iter().zip(&mut out) {
            sum.store(out);
        }
        out
    }
    let _ = ifma;
    let (blocks, rest) = coefficients.as_chunks();
    assert!(rest.is_empty(), "whole blocks");
    // SAFETY: `ifma` says that the processor has the instructions.
    let sums = unsafe { run(blocks, x.pow_vartime([4 * LANES as u64])) };
    sums.as_flattened().iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
}

/// Sum of weight times polynomial; all of one length, a multiple of eight.
#[must_use]
pub fn combination(ifma: Ifma, terms: &[(&[Fr], Fr)]) -> Vec<Fr> {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(terms: &[(&[Fr], Fr)], first: usize, out: &mut [[Fr; LANES]]) {
        let mut sums = vec![Lanes::ZERO; out.len()];
        for (index, (polynomial, weight)) in terms.iter().enumerate() {
            let weight = Lanes::splat(weight);
            let blocks = polynomial[first * LANES..].as_chunks().0;
            for (sum, block) in sums.iter_mut().zip(blocks) {
                *sum = sum.add(Lanes::load(block).mul(weight));
                if index % SUMS == SUMS - 1 {
                    *sum = sum.nearly_reduced();
                }
            }
        }
        for (sum, out) in sums.into_iter().zip(out) {
            sum.store(out);
        }
    }
    let _ = ifma;
    let mut out = vec![Fr::ZERO; terms.first().map_or(0, |(polynomial, _)| polynomial.len())];
    assert!(terms.iter().all(|(polynomial, _)| polynomial.len() == out.len()));
    out.as_chunks_mut().0.par_chunks_mut(TASK).enumerate().for_each(|(task, out)| {
        // SAFETY: as above.
        unsafe { run(terms, task * TASK, out) };
    });
    out
}

/// Sum of `weight times f(ratio X)`, of polynomials `f` in packed coefficients below 2 p.
#[must_use]
pub fn rescaled(ifma: Ifma, terms: &[(&[Packed<Fr>], Fr, Fr)]) -> Vec<Fr> {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn run(terms: &[(&[Packed<Fr>], Fr, Fr)], first: usize, out: &mut [[Fr; LANES]]) {
        let mut sums = vec![Lanes::ZERO; out.len()];
        for (coefficients, ratio, weight) in terms {
            let mut lanes = [*weight * ratio.pow_vartime([(first * LANES) as u64]); LANES];
            for i in 1..LANES {
                lanes[i] = lanes[i - 1] * ratio;
            }
            let step = Lanes::splat(&ratio.pow_vartime([LANES as u64]));
            let mut power = Lanes::load(&lanes).mul(Lanes::ONE);
            for (sum, packed) in sums.iter_mut().zip(&coefficients[first..]) {
                *sum = sum.add(packed.lanes().mul(power)).nearly_reduced();
                power = power.mul(step);
            }
        }
        for (sum, out) in sums.into_iter().zip(out) {
            sum.store(out);
        }
    }
    let _ = ifma;
    let mut out = vec![Fr::ZERO; terms.first().map_or(0, |(coefficients, ..)| coefficients.len() * LANES)];
    assert!(terms.iter().all(|(coefficients, ..)| coefficients.len() * LANES == out.len()));
    out.as_chunks_mut().0.par_chunks_mut(TASK).enumerate().for_each(|(task, out)| {
        // SAFETY: as above.
        unsafe { run(terms, task * TASK, out) };
    });
    out
}

/// Quotient by `X - root`; the remainder is dropped. In place: the highest coefficient becomes zero.
pub fn divide(coefficients: &mut [Fr], root: Fr) {
    let mut carried = Fr::ZERO;
    for coefficient in coefficients.iter_mut().rev() {
        let next = *coefficient + carried * root;
        *coefficient = carried;
        carried = next;
    }
}

/// Coefficients of the polynomial of least degree through `(point, value)`, points distinct.
#[must_use]
pub fn interpolate(points: &[Fr], values: &[Fr]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; points.len()];
    for (i, (point, value)) in points.iter().zip(values).enumerate() {
        let others: Vec<Fr> = points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| *other).collect();
        let mut basis = vec![Fr::ONE];
        for other in &others {
            basis.insert(0, Fr::ZERO);
            for j in 0..basis.len() - 1 {
                let above = basis[j + 1];
                basis[j] -= above * other;
            }
        }
        let scale = others.iter().map(|other| *point - other).product::<Fr>().invert().unwrap_or(Fr::ZERO) * value;
        for (out, basis) in out.iter_mut().zip(basis) {
            *out += basis * scale;
        }
    }
    out
}

/// Value at `x` of a short polynomial.
#[must_use]
pub fn evaluate_short(coefficients: &[Fr], x: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
}

/// Inverses in place; zeros stay.
pub fn invert(values: &mut [Fr]) {
    values.par_chunks_mut(1 << 12).for_each(|chunk| {
        chunk.iter_mut().batch_invert();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn polynomials_agree_with_horner() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let mut draw = |n: usize| (0..n).map(|_| Fr::random(&mut rng)).collect::<Vec<_>>();
        let (a, b, weights) = (draw(4096), draw(4096), draw(3));
        let x = weights[2];
        if let Some(ifma) = Ifma::detect() {
            assert_eq!(evaluate(ifma, &a, x), evaluate_short(&a, x));
            let terms: Vec<_> = (0..70)
                .map(|i| if i % 2 == 0 { (a.as_slice(), weights[0]) } else { (b.as_slice(), weights[1]) })
                .collect();
            let sum = combination(ifma, &terms);
            assert!(
                sum.iter()
                    .zip(a.iter().zip(&b))
                    .all(|(sum, (a, b))| *sum == (weights[0] * a + weights[1] * b) * Fr::from(35))
            );
        } else {
            println!("skipped in part: this processor has no AVX-512 IFMA");
        }
        let mut quotient = a.clone();
        quotient[0] -= evaluate_short(&a, x);
        let numerator = quotient.clone();
        divide(&mut quotient, x);
        let at = weights[0];
        assert_eq!(evaluate_short(&quotient, at) * (at - x), evaluate_short(&numerator, at));
        assert_eq!(quotient.last(), Some(&Fr::ZERO));
        let (points, values) = (&a[..5], &b[..5]);
        let through = interpolate(points, values);
        assert!(points.iter().zip(values).all(|(point, value)| evaluate_short(&through, *point) == *value));
        let mut inverses = vec![a[0], Fr::ZERO, a[1]];
        invert(&mut inverses);
        assert_eq!(inverses, [a[0].invert().unwrap(), Fr::ZERO, a[1].invert().unwrap()]);
    }
}
