//! The development setup: anyone can compute its secret, so anyone can forge proofs under it. Local chains only.

use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use halo2curves::{
    bn256::{Bn256, Fr, G1, G1Affine, G2Affine},
    ff::{Field, PrimeField},
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

/// The public seed of the public "secret".
pub const SEED: [u8; 32] = *b"gridveil-INSECURE-public-dev-tau";

/// tau, known to everybody.
#[must_use]
pub fn tau() -> Fr {
    Fr::random(ChaCha20Rng::from_seed(SEED))
}

const WINDOW_BITS: usize = 8;
const WINDOWS: usize = 256 / WINDOW_BITS;

/// Multiples of the generator: entry `d - 1` of window `w` is `d * 2^(8 w) * G`.
pub(super) fn table() -> Vec<Vec<G1Affine>> {
    let mut base = G1::generator();
    (0..WINDOWS)
        .map(|_| {
            let step = base;
            let mut multiples = vec![G1::identity(); (1 << WINDOW_BITS) - 1];
            let mut sum = G1::identity();
            for multiple in &mut multiples {
                sum += step;
                *multiple = sum;
            }
            base = sum + step;
            normalize(&multiples)
        })
        .collect()
}

fn normalize(points: &[G1]) -> Vec<G1Affine> {
    let mut out = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut out);
    out
}

/// `scalar * G` for each scalar.
pub(super) fn multiples(table: &[Vec<G1Affine>], scalars: &[Fr]) -> Vec<G1Affine> {
    const CHUNK: usize = 1024;
    let multiple = |scalar: &Fr| {
        let digits = scalar.to_repr();
        let windows = table.iter().zip(digits.as_ref());
        windows.fold(G1::identity(), |sum, (multiples, digit)| {
            match usize::from(*digit).checked_sub(1).and_then(|i| multiples.get(i)) {
                Some(point) => sum + point,
                None => sum,
            }
        })
    };
    scalars
        .par_chunks(CHUNK)
        .flat_map_iter(|chunk| normalize(&chunk.iter().map(multiple).collect::<Vec<_>>()))
        .collect()
}

/// The parameters of size `2^k`.
#[must_use]
pub fn params(k: u32) -> ParamsKZG<Bn256> {
    let (tau, n) = (tau(), 1usize << k);
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(power * tau)).take(n).collect();
    // L_i(tau) = omega^i (tau^n - 1) / (n (tau - omega^i)), over the n-th roots of unity.
    let omega = (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
    let roots: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |root| Some(root * omega)).take(n).collect();
    let scale = (tau.pow_vartime([n as u64]) - Fr::ONE) * Fr::from(n as u64).invert().unwrap_or(Fr::ONE);
    let lagrange: Vec<Fr> =
        roots.par_iter().map(|root| scale * root * (tau - root).invert().unwrap_or(Fr::ZERO)).collect();
    let table = table();
    let g2 = G2Affine::generator();
    super::assemble(k, multiples(&table, &powers), Some(multiples(&table, &lagrange)), g2, (g2 * tau).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::{SerdeFormat, poly::commitment::ParamsProver};

    fn bytes(params: &ParamsKZG<Bn256>) -> Vec<u8> {
        let mut out = Vec::new();
        params.write_custom(&mut out, SerdeFormat::RawBytes).unwrap();
        out
    }

    #[test]
    fn the_fast_setup_is_halo2s_setup() {
        for k in [1, 4, 7] {
            let slow = ParamsKZG::<Bn256>::setup(k, ChaCha20Rng::from_seed(SEED));
            assert_eq!(bytes(&params(k)), bytes(&slow), "k = {k}");
        }
        assert_eq!(params(3).get_g()[1], (G1Affine::generator() * tau()).to_affine());
    }
}
