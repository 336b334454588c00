//! The prover: the messages of halo2's `create_proof` (KZG, SHPLONK), computed on the vector unit.
//!
//! The proof is what `halo2_proofs::plonk::create_proof` would write for the same witness and the same random choices,
//! and the verifiers are halo2's and contracts made from the key: nothing here is trusted for soundness. Blinding is
//! halo2's too: the last rows of every committed column and a random polynomial of full degree.

use halo2_proofs::{
    plonk::Expression,
    transcript::{EncodedChallenge, TranscriptWrite},
};
use halo2curves::{
    bn256::{Fr, G1Affine},
    ff::Field,
};
use rand::{CryptoRng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use crate::{
    VectorKey,
    arguments::{ColumnValues, lookup_product, permute},
    error::ProveError,
    identities::{Challenges, sets},
    opening::{Lookup, Witness},
    polynomial, shplonk,
    transcript::{Messages, Written},
    witness,
};

/// A look-up's columns as values.
struct Permuted {
    input: Vec<Fr>,
    table: Vec<Fr>,
    /// The input in the table's order, blinded.
    sorted: Vec<Fr>,
    /// The table beside it, blinded.
    matched: Vec<Fr>,
}

impl VectorKey {
    /// Writes a proof of the witness in `advice` (one vector a column, at most as long as the usable rows) and of the
    /// public inputs in `instance`. It is not checked, and callers check it: a prover handed a false witness makes a
    /// false proof without a word.
    ///
    /// `rng` seeds the generator of the blinding: it must not be predictable. The work is done on the current rayon
    /// pool.
    ///
    /// # Errors
    /// [`ProveError`]; [`ProveError::NotInTable`] is the one false witness that is noticed.
    pub fn prove<E, T>(
        &self,
        advice: Vec<Vec<Fr>>,
        instance: &[Fr],
        rng: impl RngCore + CryptoRng,
        transcript: &mut T,
    ) -> Result<(), ProveError>
    where
        E: EncodedChallenge<G1Affine>,
        T: TranscriptWrite<G1Affine, E>,
    {
        let rng = ChaCha20Rng::from_rng(rng).map_err(|_| ProveError::Randomness)?;
        self.write(advice, instance, rng, &mut Written::new(transcript))
    }

    fn write(
        &self,
        mut advice: Vec<Vec<Fr>>,
        instance: &[Fr],
        mut rng: ChaCha20Rng,
        transcript: &mut dyn Messages,
    ) -> Result<(), ProveError> {
        let (vk, cs, n) = (&self.parts.vk, self.parts.vk.cs(), 1usize << self.transform.k());
        let blinding = cs.blinding_factors();
        witness::check(cs, n, &advice, instance)?;
        transcript.common_scalar(vk.transcript_repr())?;
        for value in instance {
            transcript.common_scalar(*value)?;
        }
        let mut instance = instance.to_vec();
        instance.resize(n, Fr::ZERO);
        for column in &mut advice {
            column.resize(n - (blinding + 1), Fr::ZERO);
            column.resize_with(n, || Fr::random(&mut rng));
        }
        transcript.points(&self.commit_values(&slices(&advice)))?;
        let theta = transcript.challenge();

        let fixed = self.fixed_by_row();
        let values = ColumnValues { fixed: &fixed, advice: &advice, instance: &instance };
        let permuted = self.permuted(&values, theta, &mut rng, transcript)?;
        let (beta, gamma) = (transcript.challenge(), transcript.challenge());

        let mut products = self.permutation_products(&values, beta, gamma, &mut rng);
        for Permuted { input, table, sorted, matched } in &permuted {
            products.push(lookup_product([input, table, sorted, matched], beta, gamma, blinding, &mut rng));
        }
        transcript.points(&self.commit_values(&slices(&products)))?;
        let random = random_polynomial(n, &mut rng);
        transcript.points(&self.commit_coefficients(&[&random]))?;
        let y = transcript.challenge();

        drop(fixed);
        let witness = self.interpolated(advice, instance, products, permuted);
        let pieces = self.quotient(&witness.columns(), &Challenges { theta, beta, gamma, y });
        transcript.points(&self.commit_coefficients(&slices(&pieces)))?;

        let x = transcript.challenge();
        let xn = x.pow_vartime([n as u64]);
        let quotient = polynomial::combination(
            self.ifma,
            &pieces.iter().map(Vec::as_slice).zip(shplonk::powers(xn)).collect::<Vec<_>>(),
        );
        drop(pieces);
        self.open(&witness, &random, &quotient, x, transcript)
    }

    /// Values of the fixed columns that look-ups or copies read by row; nothing of the others.
    fn fixed_by_row(&self) -> Vec<Vec<Fr>> {
        let values = |(index, column): (usize, &Vec<Fr>)| {
            if self.parts.read_by_row.contains(&index) { self.transform.values(column) } else { Vec::new() }
        };
        self.parts.fixed.par_iter().enumerate().map(values).collect()
    }

    /// Writes the commitments to the permuted columns of each look-up.
    fn permuted(
        &self,
        values: &ColumnValues<'_>,
        theta: Fr,
        rng: &mut ChaCha20Rng,
        transcript: &mut dyn Messages,
    ) -> Result<Vec<Permuted>, ProveError> {
        let (cs, n) = (self.parts.vk.cs(), values.instance.len());
        let usable = n - (cs.blinding_factors() + 1);
        let mut permuted = Vec::new();
        for lookup in cs.lookups() {
            let compressed = |expressions: &[Expression<Fr>]| values.compressed(expressions, theta);
            let (input, table) = (compressed(lookup.input_expressions()), compressed(lookup.table_expressions()));
            let (mut sorted, mut matched) =
                permute(&input[..usable], &table[..usable]).ok_or(ProveError::NotInTable)?;
            sorted.resize_with(n, || Fr::random(&mut *rng));
            matched.resize_with(n, || Fr::random(&mut *rng));
            transcript.points(&self.commit_values(&[&sorted, &matched]))?;
            permuted.push(Permuted { input, table, sorted, matched });
        }
        Ok(permuted)
    }

    /// Values as polynomials; those of `products` are of the permutation first.
    fn interpolated(
        &self,
        advice: Vec<Vec<Fr>>,
        instance: Vec<Fr>,
        products: Vec<Vec<Fr>>,
        permuted: Vec<Permuted>,
    ) -> Witness {
        let all = |columns: Vec<Vec<Fr>>| {
            columns.into_par_iter().map(|column| self.transform.interpolate(&column)).collect::<Vec<_>>()
        };
        let mut products = all(products);
        let lookup_products = products.split_off(sets(&self.parts.vk));
        let lookups = permuted
            .into_iter()
            .zip(lookup_products)
            .map(|(Permuted { sorted, matched, .. }, product)| Lookup {
                product,
                input: self.transform.interpolate(&sorted),
                table: self.transform.interpolate(&matched),
            })
            .collect();
        let instance = self.transform.interpolate(&instance);
        Witness { advice: all(advice), instance, products, lookups }
    }
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
