//! The prover: the messages of halo2's `create_proof` (KZG, SHPLONK), computed on the vector unit.
//!
//! The proof is what `halo2_proofs::plonk::create_proof` would write for the same witness and the same random choices,
//! and the verifiers are halo2's and the generated contract: nothing here is trusted for soundness. Blinding is halo2's
//! too: the last rows of every committed column and a random polynomial of full degree.

use std::collections::HashMap;

use halo2_proofs::{
    SerdeFormat,
    plonk::{Any, Column, ConstraintSystem, Expression, VerifyingKey},
    poly::commitment::Params as _,
    transcript::{Transcript as _, TranscriptWrite, TranscriptWriterBuffer},
};
use halo2curves::{
    bn256::{Fr, G1, G1Affine},
    ff::{Field, PrimeField},
    group::Curve,
    serde::SerdeObject,
};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{
    fft::{Coset, SUPPORTED, Transform, Values},
    lanes::{Ifma, Packed, words},
    msm::Bases,
    parts::Parts,
    polynomial,
    program::{Graph, Node, Source},
    shplonk::{self, Opening},
};
use crate::{
    proof::{ProofError, Transcript, check_witness, randomness},
    srs::Params,
};

/// A proving key and parameters, prepared for the vector unit.
pub struct VectorKey {
    ifma: Ifma,
    parts: Parts,
    transform: Transform,
    cosets: Vec<Coset>,
    coefficient_bases: Bases,
    value_bases: Bases,
    /// Values of the columns that do not depend on the witness, coset by coset, if there is room for them.
    known: Vec<Vec<Values>>,
}

/// Most memory the values of known columns may take: all of them at 2^17 rows. They save one transform in two.
const KNOWN_BYTES: usize = 512 << 20;

impl std::fmt::Debug for VectorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorKey").field("cosets", &self.cosets.len()).finish_non_exhaustive()
    }
}

/// Columns of a program, in this order.
#[derive(Clone, Copy)]
struct Numbering {
    fixed: usize,
    sigmas: usize,
    marks: usize,
    advice: usize,
    instance: usize,
    products: usize,
    lookups: usize,
}

impl Numbering {
    fn new(vk: &VerifyingKey<G1Affine>) -> Self {
        let cs = vk.cs();
        let sigmas = cs.num_fixed_columns();
        let marks = sigmas + cs.permutation().get_columns().len();
        let advice = marks + Parts::MARKS;
        let instance = advice + cs.num_advice_columns();
        let products = instance + cs.num_instance_columns();
        let lookups = products + sets(vk);
        Self { fixed: 0, sigmas, marks, advice, instance, products, lookups }
    }

    fn source(&self, source: Source) -> usize {
        match source {
            Source::Fixed(index) => self.fixed + index,
            Source::Advice(index) => self.advice + index,
            Source::Instance(index) => self.instance + index,
        }
    }

    fn column(&self, column: Column<Any>) -> usize {
        self.source(match column.column_type() {
            Any::Fixed => Source::Fixed(column.index()),
            Any::Advice(_) => Source::Advice(column.index()),
            Any::Instance => Source::Instance(column.index()),
        })
    }
}

/// Columns of one permutation product.
fn chunk(vk: &VerifyingKey<G1Affine>) -> usize {
    vk.cs().degree() - 2
}

fn sets(vk: &VerifyingKey<G1Affine>) -> usize {
    vk.cs().permutation().get_columns().len().div_ceil(chunk(vk))
}

struct Lookup {
    product: Vec<Fr>,
    input: Vec<Fr>,
    table: Vec<Fr>,
}

impl VectorKey {
    /// Are circuits of this kind made here? One instance column, no challenges between phases, 2^6 to 2^24 rows.
    #[must_use]
    pub fn supports(cs: &ConstraintSystem<Fr>, k: u32) -> bool {
        let one_phase = cs.num_challenges() == 0 && cs.advice_column_phase().iter().all(|phase| *phase == 0);
        one_phase && cs.num_instance_columns() == 1 && SUPPORTED.contains(&k)
    }

    /// `None` if the circuit is not of a kind made here, or the parameters are not of the key's size.
    #[must_use]
    pub fn new(ifma: Ifma, params: &Params, parts: Parts) -> Option<Self> {
        let (cs, k) = (parts.vk.cs(), params.k());
        let columns =
            parts.fixed.len() == cs.num_fixed_columns() && parts.sigmas.len() == cs.permutation().get_columns().len();
        if !Self::supports(cs, k) || parts.vk.get_domain().k() != k || !columns {
            return None;
        }
        let n = params.n() as usize;
        keep_large_blocks_apart();
        let transform = Transform::new(ifma, params.k())?;
        // Distinct cosets, none of them the subgroup: the powers 1, 2, ... of a generator of the whole group.
        let cosets =
            (1..cs.degree() as u64).map(|i| transform.coset(Fr::MULTIPLICATIVE_GENERATOR.pow_vartime([i]))).collect();
        let [coefficient_bases, value_bases] = bases(params)?.map(|points| Bases::new(ifma, &points));
        let mut key = Self { ifma, parts, transform, cosets, coefficient_bases, value_bases, known: Vec::new() };
        if key.known_columns().count() * n * key.cosets.len() * size_of::<Fr>() <= KNOWN_BYTES {
            let columns: Vec<&[Fr]> = key.known_columns().collect();
            let known = |coset| columns.par_iter().map(|column| key.transform.evaluate(column, coset)).collect();
            key.known = key.cosets.iter().map(known).collect();
        }
        Some(key)
    }

    /// Coefficients of the columns that do not depend on the witness, in the order of [`Numbering`].
    fn known_columns(&self) -> impl Iterator<Item = &[Fr]> {
        self.parts.known_columns()
    }

    fn commit(bases: &Bases, columns: &[&[Fr]]) -> Vec<G1Affine> {
        let sums = bases.commit(columns);
        let mut points = vec![G1Affine::default(); sums.len()];
        G1::batch_normalize(&sums, &mut points);
        points
    }

    fn commit_values(&self, columns: &[&[Fr]]) -> Vec<G1Affine> {
        Self::commit(&self.value_bases, columns)
    }

    fn commit_coefficients(&self, columns: &[&[Fr]]) -> Vec<G1Affine> {
        Self::commit(&self.coefficient_bases, columns)
    }

    /// A proof of the witness in `advice` (one vector a column, at most as long as the usable rows). It is not checked.
    ///
    /// # Errors
    /// [`ProofError::Invalid`] if a looked-up value is not in its table; other false witnesses make false proofs.
    pub fn prove(&self, advice: Vec<Vec<Fr>>, instance: &[Fr]) -> Result<Vec<u8>, ProofError> {
        let (vk, cs, n) = (&self.parts.vk, self.parts.vk.cs(), 1usize << self.transform.k());
        let blinding = cs.blinding_factors();
        let usable = n - (blinding + 1);
        let mut rng = randomness()?;
        check_witness(cs, n, &advice, instance)?;
        let mut transcript = Transcript::init(Vec::new());
        vk.hash_into(&mut transcript).map_err(transcript_error)?;
        for value in instance {
            transcript.common_scalar(*value).map_err(transcript_error)?;
        }
        let mut instance = instance.to_vec();
        instance.resize(n, Fr::ZERO);

        let mut advice = advice;
        for column in &mut advice {
            column.resize(usable, Fr::ZERO);
            column.resize_with(n, || Fr::random(&mut rng));
        }
        write_points(&mut transcript, &self.commit_values(&slices(&advice)))?;
        let theta: Fr = *transcript.squeeze_challenge_scalar::<()>();

        let fixed = self.parts.fixed.par_iter().enumerate();
        let fixed: Vec<Vec<Fr>> = fixed
            .map(
                |(index, column)| {
                    if self.parts.read_by_row.contains(&index) { self.transform.values(column) } else { Vec::new() }
                },
            )
            .collect();
        let values = ColumnValues { fixed: &fixed, advice: &advice, instance: &instance };
        let mut permuted = Vec::new();
        for lookup in cs.lookups() {
            let compressed = |expressions: &[Expression<Fr>]| values.compressed(expressions, theta);
            let (input, table) = (compressed(lookup.input_expressions()), compressed(lookup.table_expressions()));
            let (mut sorted, mut matched) = permute(&input[..usable], &table[..usable]).ok_or(ProofError::Invalid)?;
            sorted.resize_with(n, || Fr::random(&mut rng));
            matched.resize_with(n, || Fr::random(&mut rng));
            write_points(&mut transcript, &self.commit_values(&[&sorted, &matched]))?;
            permuted.push((input, table, sorted, matched));
        }
        let beta: Fr = *transcript.squeeze_challenge_scalar::<()>();
        let gamma: Fr = *transcript.squeeze_challenge_scalar::<()>();

        let mut products = self.permutation_products(&values, beta, gamma, &mut rng);
        for (input, table, sorted, matched) in &permuted {
            products.push(lookup_product([input, table, sorted, matched], beta, gamma, blinding, &mut rng));
        }
        write_points(&mut transcript, &self.commit_values(&slices(&products)))?;

        let random = random_polynomial(n, &mut rng);
        write_points(&mut transcript, &self.commit_coefficients(&[&random]))?;
        let y: Fr = *transcript.squeeze_challenge_scalar::<()>();

        drop(fixed);
        let interpolated = |columns: Vec<Vec<Fr>>| {
            columns.into_par_iter().map(|column| self.transform.interpolate(&column)).collect::<Vec<_>>()
        };
        let mut products = interpolated(products);
        let lookup_products = products.split_off(sets(vk));
        let lookups: Vec<Lookup> = permuted
            .into_iter()
            .zip(lookup_products)
            .map(|((_, _, input, table), product)| Lookup {
                product,
                input: self.transform.interpolate(&input),
                table: self.transform.interpolate(&table),
            })
            .collect();
        let instance = self.transform.interpolate(&instance);
        let advice = interpolated(advice);

        let mut witness: Vec<&[Fr]> = slices(&advice);
        witness.push(&instance);
        witness.extend(slices(&products));
        witness.extend(lookups.iter().flat_map(|lookup| [lookup.product.as_slice(), &lookup.input, &lookup.table]));
        let pieces = self.quotient(&witness, [beta, gamma, theta, y]);
        write_points(&mut transcript, &self.commit_coefficients(&slices(&pieces)))?;

        let x: Fr = *transcript.squeeze_challenge_scalar::<()>();
        let xn = x.pow_vartime([n as u64]);
        let quotient = polynomial::combination(
            self.ifma,
            &pieces.iter().map(Vec::as_slice).zip(shplonk::powers(xn)).collect::<Vec<_>>(),
        );
        drop(pieces);

        let (now, next, previous, last) = (0, 1, -1, -(blinding as i32 + 1));
        let Parts { fixed, sigmas, .. } = &self.parts;
        // As written: every evaluation but the quotient's, which the verifier computes.
        let mut written: Vec<(&[Fr], i32)> = Vec::new();
        written.extend(cs.advice_queries().iter().map(|(column, at)| (advice[column.index()].as_slice(), at.0)));
        written.extend(cs.fixed_queries().iter().map(|(column, at)| (fixed[column.index()].as_slice(), at.0)));
        written.push((&random, now));
        written.extend(sigmas.iter().map(|sigma| (sigma.as_slice(), now)));
        for (index, product) in products.iter().enumerate() {
            written.extend([(product.as_slice(), now), (product, next)]);
            if index + 1 < products.len() {
                written.push((product, last));
            }
        }
        for Lookup { product, input, table } in &lookups {
            written.extend([(product.as_slice(), now), (product, next), (input, now), (input, previous), (table, now)]);
        }
        let point = |rotation: i32| {
            let power = self.transform.omega().pow_vartime([u64::from(rotation.unsigned_abs())]);
            x * if rotation < 0 { power.invert().unwrap_or(Fr::ZERO) } else { power }
        };
        let evaluations: Vec<Fr> =
            written.par_iter().map(|(poly, at)| polynomial::evaluate(self.ifma, poly, point(*at))).collect();
        for value in &evaluations {
            transcript.write_scalar(*value).map_err(transcript_error)?;
        }
        let known: HashMap<(*const Fr, i32), Fr> =
            written.iter().zip(&evaluations).map(|((poly, at), value)| ((poly.as_ptr(), *at), *value)).collect();

        // As opened: halo2's order decides which polynomials share a set of points, and the weights.
        let mut opened: Vec<(&[Fr], i32)> = Vec::new();
        opened.extend(cs.advice_queries().iter().map(|(column, at)| (advice[column.index()].as_slice(), at.0)));
        opened.extend(products.iter().flat_map(|product| [(product.as_slice(), now), (product, next)]));
        opened.extend(products.iter().rev().skip(1).map(|product| (product.as_slice(), last)));
        for Lookup { product, input, table } in &lookups {
            opened.extend([(product.as_slice(), now), (input, now), (table, now), (input, previous), (product, next)]);
        }
        opened.extend(cs.fixed_queries().iter().map(|(column, at)| (fixed[column.index()].as_slice(), at.0)));
        opened.extend(sigmas.iter().map(|sigma| (sigma.as_slice(), now)));
        opened.extend([(quotient.as_slice(), now), (&random, now)]);
        let openings: Vec<Opening<'_>> = opened
            .into_iter()
            .map(|(polynomial, rotation)| {
                let value = known.get(&(polynomial.as_ptr(), rotation)).copied();
                let value = value.unwrap_or_else(|| polynomial::evaluate(self.ifma, polynomial, point(rotation)));
                Opening { polynomial, point: point(rotation), value }
            })
            .collect();
        shplonk::open(self.ifma, &mut transcript, &openings, |polynomial| self.commit_coefficients(&[polynomial]))?;
        Ok(transcript.finalize())
    }

    /// Products of fractions over the columns tied by copies, set after set, each starting where the one before ended.
    fn permutation_products(
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

    /// Pieces of n coefficients of the quotient by `X^n - 1` of all identities, weighted with powers of y.
    fn quotient(&self, witness: &[&[Fr]], challenges: [Fr; 4]) -> Vec<Vec<Fr>> {
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

/// Blocks of 8 MiB and more go back to the system when they are freed. The allocator would otherwise learn to keep
/// them, and with columns of 16 MiB (2^19 rows) its gaps cost a quarter of the memory; smaller ones it is told to keep,
/// which saves the pages' faults.
fn keep_large_blocks_apart() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: plain integers. Other threads may allocate meanwhile: what they race on are two tuning words.
        ONCE.call_once(|| unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 8 << 20);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 32 << 20);
        });
    }
}

/// Both bases of the parameters. halo2 lends one of them only; its file format has both.
fn bases(params: &Params) -> Option<[Vec<G1Affine>; 2]> {
    const POINT: usize = 64;
    let n = params.n() as usize;
    let mut bytes = Vec::with_capacity(4 + 2 * n * POINT + 256);
    params.write_custom(&mut bytes, SerdeFormat::RawBytesUnchecked).ok()?;
    let points = |from: usize| -> Option<Vec<G1Affine>> {
        let bytes = bytes.get(from..from + n * POINT)?;
        Some(bytes.par_chunks_exact(POINT).map(G1Affine::from_raw_bytes_unchecked).collect())
    };
    Some([points(4)?, points(4 + n * POINT)?])
}

/// All identities of the argument, in halo2's order: gates, permutation, look-ups.
fn identities(graph: &mut Graph, vk: &VerifyingKey<G1Affine>, [beta, gamma, theta, y]: [Fr; 4]) -> Node {
    let (cs, numbering) = (vk.cs(), Numbering::new(vk));
    let number = |source| numbering.source(source);
    let mut terms: Vec<Node> = Vec::new();
    for polynomial in cs.gates().iter().flat_map(|gate| gate.polynomials()) {
        terms.push(graph.expression(polynomial, &number));
    }
    let one = graph.constant(Fr::ONE);
    let [beta, gamma, theta] = [beta, gamma, theta].map(|challenge| graph.constant(challenge));
    let (x, first) = (graph.query(numbering.marks + Parts::X, 0), graph.query(numbering.marks + Parts::FIRST, 0));
    // The polynomial that is 1 at the last usable row is the one of the first row, so many rows ahead; the blinding
    // rows are between.
    let unusable = cs.blinding_factors() as i32 + 1;
    let last = graph.query(numbering.marks + Parts::FIRST, unusable);
    let active = (1..=unusable).fold(one, |active, ahead| {
        let row = graph.query(numbering.marks + Parts::FIRST, ahead);
        graph.sub(active, row)
    });
    let starts_at_one = |graph: &mut Graph, z: Node| {
        let off = graph.sub(one, z);
        graph.mul(first, off)
    };
    let ends_as_bit = |graph: &mut Graph, z: Node| {
        let square = graph.mul(z, z);
        let off = graph.sub(square, z);
        graph.mul(last, off)
    };

    let sets = sets(vk);
    let z = |graph: &mut Graph, set: usize, rotation: i32| graph.query(numbering.products + set, rotation);
    if sets > 0 {
        let (first_z, last_z) = (z(graph, 0, 0), z(graph, sets - 1, 0));
        terms.push(starts_at_one(graph, first_z));
        terms.push(ends_as_bit(graph, last_z));
        for set in 1..sets {
            let (this, before) = (z(graph, set, 0), z(graph, set - 1, -(cs.blinding_factors() as i32 + 1)));
            let off = graph.sub(this, before);
            terms.push(graph.mul(first, off));
        }
    }
    let mut delta = Fr::ONE;
    let beta_x = graph.mul(beta, x);
    let columns = cs.permutation().get_columns();
    for (set, columns) in columns.chunks(chunk(vk)).enumerate() {
        let (mut left, mut right) = (z(graph, set, 1), z(graph, set, 0));
        for (index, column) in columns.iter().enumerate() {
            let value = graph.query(numbering.column(*column), 0);
            let shifted = graph.add(value, gamma);
            let sigma = graph.query(numbering.sigmas + set * chunk(vk) + index, 0);
            let term = graph.mul(beta, sigma);
            let term = graph.add(term, shifted);
            left = graph.mul(left, term);
            let factor = graph.constant(delta);
            let term = graph.mul(beta_x, factor);
            let term = graph.add(term, shifted);
            right = graph.mul(right, term);
            delta *= Fr::DELTA;
        }
        let off = graph.sub(left, right);
        terms.push(graph.mul(active, off));
    }

    for (index, lookup) in cs.lookups().iter().enumerate() {
        let column = numbering.lookups + 3 * index;
        let mut compressed = |expressions: &[Expression<Fr>]| {
            let zero = graph.constant(Fr::ZERO);
            expressions.iter().fold(zero, |sum, expression| {
                let (sum, value) = (graph.mul(sum, theta), graph.expression(expression, &number));
                graph.add(sum, value)
            })
        };
        let (input, table) = (compressed(lookup.input_expressions()), compressed(lookup.table_expressions()));
        let [z, next] = [0, 1].map(|rotation| graph.query(column, rotation));
        let [sorted, before] = [0, -1].map(|rotation| graph.query(column + 1, rotation));
        let matched = graph.query(column + 2, 0);
        terms.push(starts_at_one(graph, z));
        terms.push(ends_as_bit(graph, z));
        let mut side = |z: Node, a: Node, s: Node| {
            let (a, s) = (graph.add(a, beta), graph.add(s, gamma));
            let product = graph.mul(z, a);
            graph.mul(product, s)
        };
        let (left, right) = (side(next, sorted, matched), side(z, input, table));
        let off = graph.sub(left, right);
        terms.push(graph.mul(active, off));
        let apart = graph.sub(sorted, matched);
        terms.push(graph.mul(first, apart));
        let new = graph.sub(sorted, before);
        let both = graph.mul(apart, new);
        terms.push(graph.mul(active, both));
    }

    // Horner's rule from the first identity: the last has weight 1.
    let mut weighted: Vec<(Node, Fr)> = terms.into_iter().rev().zip(shplonk::powers(y)).collect();
    weighted.reverse();
    graph.combine(&weighted, numbering.sigmas)
}

struct ColumnValues<'a> {
    fixed: &'a [Vec<Fr>],
    advice: &'a [Vec<Fr>],
    instance: &'a [Fr],
}

impl ColumnValues<'_> {
    fn column(&self, column: Column<Any>) -> &[Fr] {
        match column.column_type() {
            Any::Fixed => &self.fixed[column.index()],
            Any::Advice(_) => &self.advice[column.index()],
            Any::Instance => self.instance,
        }
    }

    /// Values of several expressions in one, weighted with powers of theta.
    fn compressed(&self, expressions: &[Expression<Fr>], theta: Fr) -> Vec<Fr> {
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

/// The input sorted by the table's order, and the table arranged so that the first of equal inputs stands beside its
/// table entry. `None` if an input is not in the table.
fn permute(input: &[Fr], table: &[Fr]) -> Option<(Vec<Fr>, Vec<Fr>)> {
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
fn lookup_product(
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

fn random_polynomial(n: usize, rng: &mut ChaCha20Rng) -> Vec<Fr> {
    const ROWS: usize = 1 << 12;
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let mut out = vec![Fr::ZERO; n];
    out.par_chunks_mut(ROWS).enumerate().for_each(|(stream, chunk)| {
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream(stream as u64);
        chunk.fill_with(|| Fr::random(&mut rng));
    });
    out
}

fn slices(columns: &[Vec<Fr>]) -> Vec<&[Fr]> {
    columns.iter().map(Vec::as_slice).collect()
}

pub(super) fn write_points(transcript: &mut Transcript, points: &[G1Affine]) -> Result<(), ProofError> {
    points.iter().try_for_each(|point| transcript.write_point(*point)).map_err(transcript_error)
}

fn transcript_error(_: std::io::Error) -> ProofError {
    ProofError::Halo2(halo2_proofs::plonk::Error::Opening)
}
