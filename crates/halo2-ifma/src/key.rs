//! A proving key prepared for the vector unit.

use halo2_proofs::{
    SerdeFormat,
    plonk::ConstraintSystem,
    poly::{commitment::Params as _, kzg::commitment::ParamsKZG},
};
use halo2curves::{
    bn256::{Bn256, Fr, G1, G1Affine},
    ff::{Field, PrimeField},
    group::Curve,
    serde::SerdeObject,
};
use rayon::prelude::*;

use crate::{
    error::Unsupported,
    fft::{Coset, SUPPORTED, Transform, Values},
    lanes::Ifma,
    msm::Bases,
    parts::Parts,
};

/// A proving key and parameters, prepared for the vector unit.
pub struct VectorKey {
    pub(crate) ifma: Ifma,
    pub(crate) parts: Parts,
    pub(crate) transform: Transform,
    pub(crate) cosets: Vec<Coset>,
    coefficient_bases: Bases,
    value_bases: Bases,
    /// Values of the columns that do not depend on the witness, coset by coset, if there is room for them.
    pub(crate) known: Vec<Vec<Values>>,
}

/// Most memory the values of known columns may take: all of them at 2^17 rows. They save one transform in two.
const KNOWN_BYTES: usize = 512 << 20;

impl std::fmt::Debug for VectorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorKey").field("cosets", &self.cosets.len()).finish_non_exhaustive()
    }
}

impl VectorKey {
    /// Are circuits of this kind proved here? One instance column, no challenges between phases, 2^6 to 2^24 rows.
    ///
    /// # Errors
    /// [`Unsupported`]: what the circuit has that is not.
    pub fn supports(cs: &ConstraintSystem<Fr>, k: u32) -> Result<(), Unsupported> {
        if cs.num_challenges() > 0 || cs.advice_column_phase().iter().any(|phase| *phase != 0) {
            Err(Unsupported::Phases)
        } else if cs.num_instance_columns() != 1 {
            Err(Unsupported::InstanceColumns(cs.num_instance_columns()))
        } else if SUPPORTED.contains(&k) {
            Ok(())
        } else {
            Err(Unsupported::Rows { k, least: *SUPPORTED.start(), most: *SUPPORTED.end() })
        }
    }

    /// Prepares a key. The parameters are not needed afterwards: the commitment bases are copied, 128 bytes a row.
    ///
    /// # Errors
    /// [`Unsupported`]: the circuit is not of a kind proved here, or the parameters are not of the key's size.
    pub fn new(ifma: Ifma, params: &ParamsKZG<Bn256>, parts: Parts) -> Result<Self, Unsupported> {
        let (cs, k) = (parts.vk.cs(), params.k());
        Self::supports(cs, k)?;
        let (expected, got) =
            (cs.num_fixed_columns() + cs.permutation().get_columns().len(), parts.fixed.len() + parts.sigmas.len());
        if expected != got {
            return Err(Unsupported::Columns { expected, got });
        }
        let other_size = Unsupported::Parameters { parameters: k, key: parts.vk.get_domain().k() };
        if parts.vk.get_domain().k() != k {
            return Err(other_size);
        }
        let n = params.n() as usize;
        keep_large_blocks_apart();
        let transform = Transform::new(ifma, k).ok_or(other_size)?;
        // Distinct cosets, none of them the subgroup: the powers 1, 2, ... of a generator of the whole group.
        let cosets =
            (1..cs.degree() as u64).map(|i| transform.coset(Fr::MULTIPLICATIVE_GENERATOR.pow_vartime([i]))).collect();
        let [coefficient_bases, value_bases] = bases(params).ok_or(other_size)?.map(|points| Bases::new(ifma, &points));
        let mut key = Self { ifma, parts, transform, cosets, coefficient_bases, value_bases, known: Vec::new() };
        if key.known_columns().count() * n * key.cosets.len() * size_of::<Fr>() <= KNOWN_BYTES {
            let columns: Vec<&[Fr]> = key.known_columns().collect();
            let known = |coset| columns.par_iter().map(|column| key.transform.evaluate(column, coset)).collect();
            key.known = key.cosets.iter().map(known).collect();
        }
        Ok(key)
    }

    /// Coefficients of the columns that do not depend on the witness, in the order of [`crate::identities::Numbering`].
    pub(crate) fn known_columns(&self) -> impl Iterator<Item = &[Fr]> {
        self.parts.known_columns()
    }

    /// Sums over the columns, in affine coordinates.
    fn commit(bases: &Bases, columns: &[&[Fr]]) -> Vec<G1Affine> {
        let sums = bases.commit(columns);
        let mut points = vec![G1Affine::default(); sums.len()];
        G1::batch_normalize(&sums, &mut points);
        points
    }

    /// Commitments to columns of values, one a row.
    pub(crate) fn commit_values(&self, columns: &[&[Fr]]) -> Vec<G1Affine> {
        Self::commit(&self.value_bases, columns)
    }

    /// Commitments to polynomials in coefficients.
    pub(crate) fn commit_coefficients(&self, columns: &[&[Fr]]) -> Vec<G1Affine> {
        Self::commit(&self.coefficient_bases, columns)
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
fn bases(params: &ParamsKZG<Bn256>) -> Option<[Vec<G1Affine>; 2]> {
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
