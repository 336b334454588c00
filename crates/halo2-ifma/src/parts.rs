//! What the vector engine keeps of a proving key: polynomials in coefficients, without values and without halo2's
//! tables.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use halo2_proofs::{
    SerdeFormat,
    plonk::{Any, Circuit, ProvingKey, VerifyingKey, permutation},
    poly::EvaluationDomain,
};
use halo2curves::{
    bn256::{Fr, G1Affine},
    ff::Field,
};

use crate::lanes::words_mut;

/// Columns of a key. The polynomials are in coefficients.
pub struct Parts {
    /// The verifying key, [`slim`].
    pub(crate) vk: VerifyingKey<G1Affine>,
    /// Fixed columns.
    pub(crate) fixed: Vec<Vec<Fr>>,
    /// The permutation's columns.
    pub(crate) sigmas: Vec<Vec<Fr>>,
    /// Fixed columns that look-ups and copies read row by row: their values are computed for each proof.
    pub(crate) read_by_row: HashSet<usize>,
    /// `X`, and the polynomial that is 1 at the first row and 0 at the others.
    marks: [Vec<Fr>; 2],
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("fixed", &self.fixed.len())
            .field("sigmas", &self.sigmas.len())
            .finish_non_exhaustive()
    }
}

/// The key without its domain's tables for transforms, which no verifier uses: half a gigabyte at 2^20 rows.
#[must_use]
fn slim(vk: &VerifyingKey<G1Affine>) -> VerifyingKey<G1Affine> {
    let mut domain = EvaluationDomain::new(vk.cs().degree() as u32, vk.get_domain().k());
    domain.fft_data.clear();
    domain.fft_data.shrink_to_fit();
    let permutation = permutation::VerifyingKey::from_commitments(vk.permutation().commitments().clone());
    let slim = VerifyingKey::from_parts(
        domain,
        vk.fixed_commitments().clone(),
        permutation,
        vk.cs().clone(),
        Vec::new(),
        vk.compress_selectors(),
    );
    if slim.transcript_repr() == vk.transcript_repr() { slim } else { vk.clone() }
}

/// Fixed columns whose values, not only their polynomials, a proof needs.
fn read_by_row(vk: &VerifyingKey<G1Affine>) -> HashSet<usize> {
    let mut columns: HashSet<usize> = HashSet::new();
    for expression in
        vk.cs().lookups().iter().flat_map(|lookup| lookup.input_expressions().iter().chain(lookup.table_expressions()))
    {
        columns.extend(expression.extract_fixed());
    }
    let copied = vk.cs().permutation().get_columns();
    columns
        .extend(copied.iter().filter(|column| matches!(column.column_type(), Any::Fixed)).map(|column| column.index()));
    columns
}

impl Parts {
    /// Columns beside those of the circuit.
    pub(crate) const MARKS: usize = 2;
    /// The first of them: `X`.
    pub(crate) const X: usize = 0;
    /// The second: the first row.
    pub(crate) const FIRST: usize = 1;

    /// Copies what is needed of a key.
    #[must_use]
    pub fn of(pk: &ProvingKey<G1Affine>) -> Self {
        Self {
            vk: slim(pk.get_vk()),
            fixed: pk.fixed_polys().iter().map(|column| column.to_vec()).collect(),
            sigmas: pk.permutation().polys().iter().map(|column| column.to_vec()).collect(),
            read_by_row: read_by_row(pk.get_vk()),
            marks: [vec![Fr::ZERO, Fr::ONE], pk.l0().to_vec()],
        }
    }

    /// Reads what is needed of a key that [`ProvingKey::write`] wrote in [`SerdeFormat::RawBytesUnchecked`], a column
    /// at a time: the whole key is larger than what a proof needs. Elements are not compared with the modulus: the
    /// bytes must be known to be whole.
    ///
    /// # Errors
    /// Of the reader; lengths that do not fit the key.
    pub fn read<R: Read, C: Circuit<Fr>>(reader: &mut R, circuit: C::Params) -> io::Result<Self> {
        let vk = VerifyingKey::<G1Affine>::read::<R, C>(reader, SerdeFormat::RawBytesUnchecked, circuit)?;
        let n = 1usize << vk.get_domain().k();
        let vk = slim(&vk);
        let first = polynomial(reader, n, true)?;
        // The last usable row, and the usable rows: both follow from the first.
        for _ in 0..2 {
            polynomial(reader, n, false)?;
        }
        let mut columns = |count: usize| {
            polynomials(reader, n, count, false)?;
            polynomials(reader, n, count, true)
        };
        Ok(Self {
            fixed: columns(vk.cs().num_fixed_columns())?,
            sigmas: columns(vk.cs().permutation().get_columns().len())?,
            read_by_row: read_by_row(&vk),
            marks: [vec![Fr::ZERO, Fr::ONE], first],
            vk,
        })
    }

    /// The verifying key.
    #[must_use]
    pub fn vk(&self) -> &VerifyingKey<G1Affine> {
        &self.vk
    }

    /// Coefficients of the columns that do not depend on the witness: fixed, permutation, marks.
    pub(crate) fn known_columns(&self) -> impl Iterator<Item = &[Fr]> {
        self.fixed.iter().chain(&self.sigmas).chain(&self.marks).map(Vec::as_slice)
    }
}

fn length(reader: &mut impl Read, expected: usize) -> io::Result<()> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    if u32::from_be_bytes(bytes) as usize == expected {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "a column of another length than the key's"))
    }
}

/// One polynomial of n elements, each four little-endian words in Montgomery form; empty if not to be kept.
fn polynomial(reader: &mut impl Read, n: usize, keep: bool) -> io::Result<Vec<Fr>> {
    const ELEMENTS: usize = 1 << 12;
    length(reader, n)?;
    let (mut out, mut bytes) = (vec![Fr::ZERO; if keep { n } else { 0 }], vec![0u8; 32 * ELEMENTS.min(n)]);
    for part in 0..n.div_ceil(ELEMENTS) {
        reader.read_exact(&mut bytes)?;
        let words = words_mut(&mut out).chunks_mut(ELEMENTS).nth(part);
        for (word, bytes) in words.into_iter().flatten().flatten().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
    }
    Ok(out)
}

fn polynomials(reader: &mut impl Read, n: usize, count: usize, keep: bool) -> io::Result<Vec<Vec<Fr>>> {
    length(reader, count)?;
    (0..count).map(|_| polynomial(reader, n, keep)).collect()
}
