//! Evaluations of all polynomials, and their opening.

use std::collections::HashMap;

use halo2curves::{bn256::Fr, ff::Field};
use rayon::prelude::*;

use crate::{
    VectorKey,
    error::ProveError,
    polynomial,
    shplonk::{self, Opening},
    transcript::Messages,
};

/// A look-up's polynomials.
pub(crate) struct Lookup {
    pub product: Vec<Fr>,
    /// The permuted input.
    pub input: Vec<Fr>,
    /// The permuted table.
    pub table: Vec<Fr>,
}

/// What depends on the witness, in coefficients.
pub(crate) struct Witness {
    pub advice: Vec<Vec<Fr>>,
    pub instance: Vec<Fr>,
    /// Of the permutation.
    pub products: Vec<Vec<Fr>>,
    pub lookups: Vec<Lookup>,
}

impl Witness {
    /// In the order of [`crate::identities::Numbering`].
    pub fn columns(&self) -> Vec<&[Fr]> {
        let mut columns: Vec<&[Fr]> = self.advice.iter().map(Vec::as_slice).collect();
        columns.push(&self.instance);
        columns.extend(self.products.iter().map(Vec::as_slice));
        columns
            .extend(self.lookups.iter().flat_map(|lookup| [lookup.product.as_slice(), &lookup.input, &lookup.table]));
        columns
    }
}

/// Rotations, in rows.
const NOW: i32 = 0;
const NEXT: i32 = 1;
const PREVIOUS: i32 = -1;

/// A polynomial and a rotation of the point.
type At<'a> = (&'a [Fr], i32);

impl VectorKey {
    /// From row 0 to the last usable row, backwards.
    fn last(&self) -> i32 {
        -(self.parts.vk.cs().blinding_factors() as i32 + 1)
    }

    /// Evaluations in the order the verifier reads them: every one but the quotient's, which it computes.
    fn written<'a>(&'a self, witness: &'a Witness, random: &'a [Fr]) -> Vec<At<'a>> {
        let (cs, last) = (self.parts.vk.cs(), self.last());
        let Witness { advice, products, lookups, .. } = witness;
        let fixed = &self.parts.fixed;
        let mut written: Vec<At<'a>> = Vec::new();
        written.extend(cs.advice_queries().iter().map(|(column, at)| (advice[column.index()].as_slice(), at.0)));
        written.extend(cs.fixed_queries().iter().map(|(column, at)| (fixed[column.index()].as_slice(), at.0)));
        written.push((random, NOW));
        written.extend(self.parts.sigmas.iter().map(|sigma| (sigma.as_slice(), NOW)));
        for (index, product) in products.iter().enumerate() {
            written.extend([(product.as_slice(), NOW), (product, NEXT)]);
            if index + 1 < products.len() {
                written.push((product, last));
            }
        }
        for Lookup { product, input, table } in lookups {
            written.extend([(product.as_slice(), NOW), (product, NEXT), (input, NOW), (input, PREVIOUS), (table, NOW)]);
        }
        written
    }

    /// Evaluations in the order they are opened: halo2's order decides which polynomials share a set of points, and the
    /// weights.
    fn opened<'a>(&'a self, witness: &'a Witness, random: &'a [Fr], quotient: &'a [Fr]) -> Vec<At<'a>> {
        let (cs, last) = (self.parts.vk.cs(), self.last());
        let Witness { advice, products, lookups, .. } = witness;
        let fixed = &self.parts.fixed;
        let mut opened: Vec<At<'a>> = Vec::new();
        opened.extend(cs.advice_queries().iter().map(|(column, at)| (advice[column.index()].as_slice(), at.0)));
        opened.extend(products.iter().flat_map(|product| [(product.as_slice(), NOW), (product, NEXT)]));
        opened.extend(products.iter().rev().skip(1).map(|product| (product.as_slice(), last)));
        for Lookup { product, input, table } in lookups {
            opened.extend([(product.as_slice(), NOW), (input, NOW), (table, NOW), (input, PREVIOUS), (product, NEXT)]);
        }
        opened.extend(cs.fixed_queries().iter().map(|(column, at)| (fixed[column.index()].as_slice(), at.0)));
        opened.extend(self.parts.sigmas.iter().map(|sigma| (sigma.as_slice(), NOW)));
        opened.extend([(quotient, NOW), (random, NOW)]);
        opened
    }

    /// Writes all evaluations at `x` and its rotations, and the proof that they are right.
    pub(crate) fn open(
        &self,
        witness: &Witness,
        random: &[Fr],
        quotient: &[Fr],
        x: Fr,
        transcript: &mut dyn Messages,
    ) -> Result<(), ProveError> {
        let point = |rotation: i32| {
            let power = self.transform.omega().pow_vartime([u64::from(rotation.unsigned_abs())]);
            x * if rotation < 0 { power.invert().unwrap_or(Fr::ZERO) } else { power }
        };
        let written = self.written(witness, random);
        let evaluations: Vec<Fr> =
            written.par_iter().map(|(poly, at)| polynomial::evaluate(self.ifma, poly, point(*at))).collect();
        for value in &evaluations {
            transcript.scalar(*value)?;
        }
        let known: HashMap<(*const Fr, i32), Fr> =
            written.iter().zip(&evaluations).map(|((poly, at), value)| ((poly.as_ptr(), *at), *value)).collect();
        let openings: Vec<Opening<'_>> = self
            .opened(witness, random, quotient)
            .into_iter()
            .map(|(polynomial, rotation)| {
                let value = known.get(&(polynomial.as_ptr(), rotation)).copied();
                let value = value.unwrap_or_else(|| polynomial::evaluate(self.ifma, polynomial, point(rotation)));
                Opening { polynomial, point: point(rotation), value }
            })
            .collect();
        shplonk::open(self.ifma, transcript, &openings, |polynomial| self.commit_coefficients(&[polynomial]))
    }
}
