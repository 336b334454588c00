//! The quotient of all identities by the polynomial that vanishes on the rows.

use halo2curves::{bn256::Fr, ff::Field};
use rayon::prelude::*;

use crate::{
    VectorKey,
    fft::Values,
    identities::{Challenges, identities},
    lanes::Packed,
    polynomial,
    program::Graph,
};

impl VectorKey {
    /// Pieces of n coefficients of the quotient by `X^n - 1` of all identities, weighted with powers of y.
    pub(crate) fn quotient(&self, witness: &[&[Fr]], challenges: &Challenges) -> Vec<Vec<Fr>> {
        let mut graph = Graph::default();
        let output = identities(&mut graph, &self.parts.vk, challenges);
        let program = graph.compile(output);
        tracing::debug!(size = ?program.size(), "program of the identities");
        let mut room: Vec<Values> = Vec::new();
        let shares: Vec<Values> = self
            .cosets
            .iter()
            .enumerate()
            .map(|(index, coset)| {
                let known = self.known.get(index).map_or(&[] as &[Values], Vec::as_slice);
                let coefficients: Vec<&[Fr]> =
                    self.known_columns().skip(known.len()).chain(witness.iter().copied()).collect();
                room.resize_with(coefficients.len(), || self.transform.blank());
                room.par_iter_mut()
                    .zip(coefficients)
                    .for_each(|(room, column)| self.transform.evaluate_into(column, coset, room));
                let columns: Vec<&[Packed<Fr>]> = known.iter().chain(&room).map(Vec::as_slice).collect();
                self.transform.interpolate_shifted(program.run(self.ifma, &columns))
            })
            .collect();
        drop(room);
        self.pieces(&shares)
    }

    /// On the coset `s H`, `X^n` is the constant `s^n`: there the quotient is a polynomial of n coefficients, the
    /// pieces weighted with powers of `s^n`. As many cosets as pieces determine them.
    fn pieces(&self, shares: &[Values]) -> Vec<Vec<Fr>> {
        let n = 1usize << self.transform.k();
        let at: Vec<Fr> = self.cosets.iter().map(|coset| coset.shift.pow_vartime([n as u64])).collect();
        // Columns of the inverse of the matrix of powers: coefficients of the Lagrange polynomials. Division by X^n - 1
        // is a factor too.
        let inverse: Vec<Vec<Fr>> = (0..at.len())
            .map(|i| {
                let unit: Vec<Fr> = (0..at.len()).map(|j| if i == j { Fr::ONE } else { Fr::ZERO }).collect();
                let vanishing = (at[i] - Fr::ONE).invert().unwrap_or(Fr::ZERO);
                polynomial::interpolate(&at, &unit).into_iter().map(|c| c * vanishing).collect()
            })
            .collect();
        let ratios: Vec<Fr> = self.cosets.iter().map(|coset| coset.shift.invert().unwrap_or(Fr::ZERO)).collect();
        let terms = |piece: usize| {
            shares
                .iter()
                .zip(&ratios)
                .zip(&inverse)
                .map(move |((share, ratio), column)| (share.as_slice(), *ratio, column[piece]))
        };
        (0..at.len()).map(|piece| polynomial::rescaled(self.ifma, &terms(piece).collect::<Vec<_>>())).collect()
    }
}
