//! The running products of the permutation and of the look-ups.

use std::collections::HashMap;

use halo2_proofs::plonk::{Any, Column, Expression};
use halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use crate::{VectorKey, identities::chunk, lanes::words, polynomial};

/// Values of the circuit's columns, row by row.
pub(crate) struct ColumnValues<'a> {
    /// Empty where no argument reads the column by row.
    pub fixed: &'a [Vec<Fr>],
    /// Blinded.
    pub advice: &'a [Vec<Fr>],
    /// With zeros after the public inputs.
    pub instance: &'a [Fr],
}

impl ColumnValues<'_> {
    /// A column's values.
    pub fn column(&self, column: Column<Any>) -> &[Fr] {
        match column.column_type() {
            Any::Fixed => &self.fixed[column.index()],
            Any::Advice(_) => &self.advice[column.index()],
            Any::Instance => self.instance,
        }
    }

    /// Values of several expressions in one, weighted with powers of theta.
    pub fn compressed(&self, expressions: &[Expression<Fr>], theta: Fr) -> Vec<Fr> {
        let n = self.instance.len();
        let at = |row: usize, rotation: i32| row.wrapping_add(rotation as isize as usize) & (n - 1);
        let value = |expression: &Expression<Fr>, row: usize| {
            expression.evaluate(
                &|constant| constant,
                &|_| Fr::ZERO,
                &|query| self.fixed[query.column_index()][at(row, query.rotation().0)],
                &|query| self.advice[query.column_index()][at(row, query.rotation().0)],
                &|query| self.instance[at(row, query.rotation().0)],
                &|_| Fr::ZERO,
                &|a| -a,
                &|a, b| a + b,
                &|a, b| a * b,
                &|a, factor| a * factor,
            )
        };
        (0..n)
            .into_par_iter()
            .with_min_len(1 << 10)
            .map(|row| expressions.iter().fold(Fr::ZERO, |sum, e| sum * theta + value(e, row)))
            .collect()
    }
}

impl VectorKey {
    /// Products of fractions over the columns tied by copies, set after set, each starting where the one before ended.
    pub(crate) fn permutation_products(
        &self,
        values: &ColumnValues<'_>,
        beta: Fr,
        gamma: Fr,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Vec<Fr>> {
        const ROWS: usize = 1 << 12;
        let columns = self.parts.vk.cs().permutation().get_columns();
        let blinding = self.parts.vk.cs().blinding_factors();
        let omega = self.transform.omega();
        let (mut start, mut delta) = (Fr::ONE, Fr::ONE);
        let mut out = Vec::new();
        for (columns, sigmas) in
            columns.chunks(chunk(&self.parts.vk)).zip(self.parts.sigmas.chunks(chunk(&self.parts.vk)))
        {
            let mut fractions = vec![Fr::ONE; values.instance.len()];
            let sigmas: Vec<Vec<Fr>> = sigmas.par_iter().map(|sigma| self.transform.values(sigma)).collect();
            let columns: Vec<(&[Fr], &[Fr], Fr)> = columns
                .iter()
                .zip(&sigmas)
                .map(|(column, sigma)| {
                    let shift = delta * beta;
                    delta *= Fr::DELTA;
                    (values.column(*column), &sigma[..], shift)
                })
                .collect();
            fractions.par_chunks_mut(ROWS).enumerate().for_each(|(task, fractions)| {
                let first = task * ROWS;
                for (values, sigma, _) in &columns {
                    for ((fraction, value), sigma) in fractions.iter_mut().zip(&values[first..]).zip(&sigma[first..]) {
                        *fraction *= beta * sigma + gamma + value;
                    }
                }
                polynomial::invert(fractions);
                let power = omega.pow_vartime([first as u64]);
                for (values, _, shift) in &columns {
                    let mut identity = power * shift;
                    for (fraction, value) in fractions.iter_mut().zip(&values[first..]) {
                        *fraction *= identity + gamma + value;
                        identity *= omega;
                    }
                }
            });
            let product = running(fractions, start, blinding, rng);
            start = product[product.len() - (blinding + 1)];
            out.push(product);
        }
        out
    }
}

/// The input sorted by the table's order, and the table arranged so that the first of equal inputs stands beside its
/// table entry. `None` if an input is not in the table.
pub(crate) fn permute(input: &[Fr], table: &[Fr]) -> Option<(Vec<Fr>, Vec<Fr>)> {
    let mut ranks: HashMap<[u64; 4], usize> = HashMap::with_capacity(table.len());
    let (mut distinct, mut copies): (Vec<Fr>, Vec<usize>) = (Vec::new(), Vec::new());
    for (entry, word) in table.iter().zip(words(table)) {
        let rank = *ranks.entry(*word).or_insert(distinct.len());
        if rank == distinct.len() {
            distinct.push(*entry);
            copies.push(0);
        }
        copies[rank] += 1;
    }
    let mut counts = vec![0usize; distinct.len()];
    for word in words(input) {
        counts[*ranks.get(word)?] += 1;
    }
    let left = distinct
        .iter()
        .zip(&copies)
        .zip(&counts)
        .flat_map(|((entry, copies), count)| std::iter::repeat_n(*entry, copies - usize::from(*count > 0)));
    let mut left = left.into_iter();
    let (mut sorted, mut matched) = (Vec::with_capacity(input.len()), Vec::with_capacity(input.len()));
    for (entry, count) in distinct.iter().zip(&counts).filter(|(_, count)| **count > 0) {
        sorted.extend(std::iter::repeat_n(*entry, *count));
        matched.push(*entry);
        matched.extend(left.by_ref().take(count - 1));
    }
    Some((sorted, matched))
}

/// The look-up's running product.
pub(crate) fn lookup_product(
    [input, table, sorted, matched]: [&[Fr]; 4],
    beta: Fr,
    gamma: Fr,
    blinding: usize,
    rng: &mut ChaCha20Rng,
) -> Vec<Fr> {
    let mut fractions: Vec<Fr> = sorted.par_iter().zip(matched).map(|(a, s)| (beta + a) * (gamma + s)).collect();
    polynomial::invert(&mut fractions);
    fractions.par_iter_mut().zip(input).zip(table).for_each(|((fraction, a), s)| *fraction *= (beta + a) * (gamma + s));
    running(fractions, Fr::ONE, blinding, rng)
}

/// Product of all fractions before a row, from `start`; the last rows are random.
fn running(mut fractions: Vec<Fr>, start: Fr, blinding: usize, rng: &mut ChaCha20Rng) -> Vec<Fr> {
    let mut product = start;
    for fraction in &mut fractions {
        let next = product * *fraction;
        *fraction = product;
        product = next;
    }
    let kept = fractions.len() - blinding;
    for blind in &mut fractions[kept..] {
        *blind = Fr::random(&mut *rng);
    }
    fractions
}
