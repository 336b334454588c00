//! Poseidon over BN254's scalar field: one permutation of width 5 with circomlib's constants (`docs/spec/state.md`, Hashing).

use std::sync::LazyLock;

use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field};

/// State width.
pub const WIDTH: usize = 5;
/// Elements absorbed by one permutation.
pub const RATE: usize = WIDTH - 1;
/// Full rounds, half before and half after the partial ones.
pub const FULL_ROUNDS: usize = 8;
/// Partial rounds (S-box on element 0 only).
pub const PARTIAL_ROUNDS: usize = 60;

/// Round constants (`ROUNDS x WIDTH`) and MDS matrix of circomlib's `poseidon` with four inputs.
#[derive(Clone, Debug)]
pub struct Constants {
    /// `round[r][j]` is added to element `j` before the S-box of round `r`.
    pub round: Vec<[Fr; WIDTH]>,
    /// `next[i] = sum_j mds[i][j] * state[j]`.
    pub mds: [[Fr; WIDTH]; WIDTH],
}

/// The constants, built once.
pub static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    let width = u8::try_from(WIDTH).unwrap_or(u8::MAX);
    let Ok(p) = light_poseidon::parameters::bn254_x5::get_poseidon_parameters::<Fr>(width) else {
        unreachable!("light-poseidon carries circomlib's constants for widths 2 to 13")
    };
    let mut mds = [[Fr::ZERO; WIDTH]; WIDTH];
    for (row, source) in mds.iter_mut().zip(&p.mds) {
        for (cell, value) in row.iter_mut().zip(source) {
            *cell = *value;
        }
    }
    let round = p.ark.chunks(WIDTH).map(|c| std::array::from_fn(|j| c.get(j).copied().unwrap_or(Fr::ZERO))).collect();
    Constants { round, mds }
});

fn quintic(x: Fr) -> Fr {
    x.square().square() * x
}

/// The permutation.
pub fn permute(state: &mut [Fr; WIDTH]) {
    let constants = &*CONSTANTS;
    for (r, round) in constants.round.iter().enumerate() {
        for (x, c) in state.iter_mut().zip(round) {
            *x += c;
        }
        let full = !(FULL_ROUNDS / 2..FULL_ROUNDS / 2 + PARTIAL_ROUNDS).contains(&r);
        let boxes = if full { WIDTH } else { 1 };
        for x in state.iter_mut().take(boxes) {
            *x = quintic(*x);
        }
        let old = *state;
        for (x, row) in state.iter_mut().zip(&constants.mds) {
            *x = Fr::sum_of_products(row, &old);
        }
    }
}

/// circomlib `poseidon([a,b,c,d])`.
#[must_use]
pub fn hash4(inputs: [Fr; RATE]) -> Fr {
    let [a, b, c, d] = inputs;
    let mut state = [Fr::ZERO, a, b, c, d];
    permute(&mut state);
    state[0]
}

/// `P(a, b, 0, 0)`.
#[must_use]
pub fn hash2(a: Fr, b: Fr) -> Fr {
    hash4([a, b, Fr::ZERO, Fr::ZERO])
}

/// What a sponge is used for: the domain tag. Listed once, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Use {
    /// Schnorr challenge over a packet.
    Packet = 1,
    /// Private part of a leaf.
    Private = 2,
    /// Community header.
    Header = 3,
    /// Certificate note.
    Note = 4,
    /// Tariff of a period.
    Tariff = 5,
    /// Context of a packet.
    Context = 6,
    /// Off-circuit: owner requests (receipts), see [`crate::schnorr`].
    Request = 7,
}

impl Use {
    /// Initial capacity: `use * 2^32 + length`.
    #[must_use]
    pub fn tag(self, length: usize) -> Fr {
        Fr::from(((self as u64) << 32) + length as u64)
    }
}

/// Sponge over a fixed number of elements, one output.
#[must_use]
pub fn sponge(purpose: Use, elements: &[Fr]) -> Fr {
    let mut state = [Fr::ZERO; WIDTH];
    state[0] = purpose.tag(elements.len());
    for block in elements.chunks(RATE) {
        for (x, e) in state.iter_mut().skip(1).zip(block) {
            *x += e;
        }
        permute(&mut state);
    }
    state[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use light_poseidon::PoseidonHasher;

    #[test]
    fn circomlib_vector() {
        // circomlibjs test/poseidon.js: poseidon([1,2,3,4])
        let digest = hash4([1u64, 2, 3, 4].map(Fr::from));
        assert_eq!(
            hex::encode(crate::field::to_bytes(&digest)),
            "299c867db6c1fdd79dcefa40e4510b9837e60ebb1ce0663dbaa525df65250465"
        );
    }

    #[test]
    fn agrees_with_light_poseidon_also_with_a_tag() {
        let inputs = [5u64, 6, 7, 8].map(Fr::from);
        let mut reference = light_poseidon::Poseidon::<Fr>::new_circom(4).unwrap();
        assert_eq!(reference.hash(&inputs).unwrap(), hash4(inputs));
        let tag = Use::Note.tag(4);
        let mut reference = light_poseidon::Poseidon::<Fr>::with_domain_tag_circom(4, tag).unwrap();
        assert_eq!(reference.hash(&inputs).unwrap(), sponge(Use::Note, &inputs));
    }

    #[test]
    fn length_and_use_separate() {
        let x = [Fr::from(1u64), Fr::ZERO];
        assert_ne!(sponge(Use::Note, &x), sponge(Use::Note, &x[..1]));
        assert_ne!(sponge(Use::Note, &x), sponge(Use::Header, &x));
    }
}
