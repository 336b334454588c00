//! Opening many polynomials at many points (SHPLONK: Boneh, Drake, Fisch, Gabizon, "Efficient polynomial commitment
//! schemes for multiple points and polynomials", 2020/081), in the order halo2's verifier expects.

use halo2curves::{
    bn256::{Fr, G1Affine},
    ff::Field,
};
use rayon::prelude::*;

use crate::{
    error::ProveError,
    lanes::Ifma,
    polynomial::{self, combination, divide, evaluate_short},
    transcript::Messages,
};

/// One polynomial, one point, the value there.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Coefficients. The same polynomial is the same slice.
    pub polynomial: &'a [Fr],
    /// Point.
    pub point: Fr,
    /// Value at the point.
    pub value: Fr,
}

/// Polynomials opened at the same points.
struct Set<'a> {
    points: Vec<Fr>,
    polynomials: Vec<&'a [Fr]>,
    /// Values, polynomial by polynomial, in the order of `points`.
    values: Vec<Vec<Fr>>,
}

/// Sets in the order their first polynomial appears, polynomials in the order they appear.
fn sets<'a>(openings: &[Opening<'a>]) -> Vec<Set<'a>> {
    // Each polynomial with its points and the values there.
    #[allow(clippy::type_complexity)]
    let mut polynomials: Vec<(&'a [Fr], Vec<(Fr, Fr)>)> = Vec::new();
    for opening in openings {
        let entry = (opening.point, opening.value);
        match polynomials.iter_mut().find(|(polynomial, _)| std::ptr::eq(*polynomial, opening.polynomial)) {
            Some((_, points)) => points.push(entry),
            None => polynomials.push((opening.polynomial, vec![entry])),
        }
    }
    let mut sets: Vec<Set<'a>> = Vec::new();
    for (polynomial, mut entries) in polynomials {
        entries.sort_by_key(|(point, _)| *point);
        let (points, values): (Vec<Fr>, Vec<Fr>) = entries.into_iter().unzip();
        match sets.iter_mut().find(|set| set.points == points) {
            Some(set) => {
                set.polynomials.push(polynomial);
                set.values.push(values);
            }
            None => sets.push(Set { points, polynomials: vec![polynomial], values: vec![values] }),
        }
    }
    sets
}

/// 1, `base`, its square, ...
pub(crate) fn powers(base: Fr) -> impl Iterator<Item = Fr> {
    std::iter::successors(Some(Fr::ONE), move |power| Some(*power * base))
}

/// Writes the two points of the opening.
///
/// # Errors
/// [`ProveError::Transcript`].
pub fn open(
    ifma: Ifma,
    transcript: &mut dyn Messages,
    openings: &[Opening<'_>],
    commit: impl Fn(&[Fr]) -> Vec<G1Affine>,
) -> Result<(), ProveError> {
    let y: Fr = transcript.challenge();
    let v: Fr = transcript.challenge();
    let sets = sets(openings);
    let mut all: Vec<Fr> = sets.iter().flat_map(|set| set.points.iter().copied()).collect();
    all.sort();
    all.dedup();

    // Each set in one polynomial, weighted with powers of y, and what it takes at the points.
    let combined: Vec<(Vec<Fr>, Vec<Fr>)> = sets
        .par_iter()
        .map(|set| {
            let terms: Vec<(&[Fr], Fr)> = set.polynomials.iter().copied().zip(powers(y)).collect();
            let values: Vec<Fr> = (0..set.points.len())
                .map(|point| set.values.iter().zip(powers(y)).map(|(values, weight)| values[point] * weight).sum())
                .collect();
            (combination(ifma, &terms), polynomial::interpolate(&set.points, &values))
        })
        .collect();
    let quotients: Vec<Vec<Fr>> = sets
        .par_iter()
        .zip(&combined)
        .map(|(set, (sum, low))| {
            let mut quotient = sum.clone();
            for (coefficient, low) in quotient.iter_mut().zip(low) {
                *coefficient -= low;
            }
            for point in &set.points {
                divide(&mut quotient, *point);
            }
            quotient
        })
        .collect();
    let h = combination(ifma, &quotients.iter().map(Vec::as_slice).zip(powers(v)).collect::<Vec<_>>());
    drop(quotients);
    transcript.points(&commit(&h))?;

    let u: Fr = transcript.challenge();
    let vanishing = |points: &mut dyn Iterator<Item = Fr>| points.map(|point| u - point).product::<Fr>();
    let missing: Vec<Fr> = sets
        .iter()
        .map(|set| vanishing(&mut all.iter().copied().filter(|point| !set.points.contains(point))))
        .collect();
    // Normalised by the first set's factor, as the verifier does.
    let scale = missing.first().and_then(|first| Option::<Fr>::from(first.invert())).unwrap_or(Fr::ZERO);
    let mut constant = Fr::ZERO;
    let mut terms: Vec<(&[Fr], Fr)> = Vec::new();
    for (((sum, low), missing), weight) in combined.iter().zip(&missing).zip(powers(v)) {
        let weight = weight * missing * scale;
        constant += evaluate_short(low, u) * weight;
        terms.push((sum, weight));
    }
    terms.push((&h, -vanishing(&mut all.iter().copied()) * scale));
    let mut last = combination(ifma, &terms);
    if let Some(first) = last.first_mut() {
        *first -= constant;
    }
    divide(&mut last, u);
    transcript.points(&commit(&last))?;
    Ok(())
}
