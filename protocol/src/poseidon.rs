//! Poseidon over BN254's scalar field: one permutation of width 5 with circomlib's constants (`docs/spec/state.md`,
//! Hashing).

use std::sync::LazyLock;

use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

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

/// A partial round without its dense matrix: what element 0 becomes, and what of it the others gain.
#[derive(Clone, Copy, Debug)]
struct Sparse {
    /// Added to element 0 before the S-box.
    constant: Fr,
    first_row: [Fr; WIDTH],
    first_column: [Fr; WIDTH - 1],
}

/// The same permutation with sparse partial rounds (Grassi et al., "Poseidon", 2019/458, appendix B): constants that no
/// S-box meets are carried into later rounds, and of each matrix only the part that acts on element 0 stays where it
/// is.
#[derive(Debug)]
struct Schedule {
    /// Partial rounds but the last.
    partial: Vec<Sparse>,
    /// Constant of the last partial round, and the matrix after it.
    last: (Fr, [[Fr; WIDTH]; WIDTH]),
    /// Constants of the first full round after them.
    resumed: [Fr; WIDTH],
}

static SCHEDULE: LazyLock<Schedule> = LazyLock::new(|| {
    let Constants { round, mds } = &*CONSTANTS;
    let constants = |index: usize| round.get(index).copied().unwrap_or([Fr::ZERO; WIDTH]);
    let (mut carried, mut matrix, mut partial, mut last) = ([Fr::ZERO; WIDTH], *mds, Vec::new(), Fr::ZERO);
    for index in 0..PARTIAL_ROUNDS {
        let own = constants(FULL_ROUNDS / 2 + index);
        let mut total: [Fr; WIDTH] = std::array::from_fn(|j| own[j] + carried[j]);
        let constant = std::mem::replace(&mut total[0], Fr::ZERO);
        carried = times(mds, &total);
        if index + 1 == PARTIAL_ROUNDS {
            last = constant;
            break;
        }
        // matrix = diag(1, inner) x sparse, and diag(1, inner) commutes with the S-box of the next round.
        let mut inner = matrix;
        (inner[0], inner[0][0]) = ([Fr::ZERO; WIDTH], Fr::ONE);
        let column: [Fr; WIDTH] =
            std::array::from_fn(|i| if i == 0 { Fr::ZERO } else { std::mem::replace(&mut inner[i][0], Fr::ZERO) });
        let solved = solve(inner, column);
        partial.push(Sparse { constant, first_row: matrix[0], first_column: std::array::from_fn(|i| solved[i + 1]) });
        matrix = std::array::from_fn(|i| std::array::from_fn(|j| (0..WIDTH).map(|k| mds[i][k] * inner[k][j]).sum()));
    }
    let next = constants(FULL_ROUNDS / 2 + PARTIAL_ROUNDS);
    Schedule { partial, last: (last, matrix), resumed: std::array::from_fn(|j| next[j] + carried[j]) }
});

fn times(matrix: &[[Fr; WIDTH]; WIDTH], vector: &[Fr; WIDTH]) -> [Fr; WIDTH] {
    std::array::from_fn(|i| Fr::sum_of_products(&matrix[i], vector))
}

/// The vector that `matrix` takes to `target`, by elimination. The matrices here are invertible: their rows are of MDS
/// matrices.
fn solve(mut matrix: [[Fr; WIDTH]; WIDTH], mut target: [Fr; WIDTH]) -> [Fr; WIDTH] {
    for column in 0..WIDTH {
        let pivot = (column..WIDTH).find(|row| !matrix[*row][column].is_zero()).unwrap_or(column);
        matrix.swap(column, pivot);
        target.swap(column, pivot);
        let scale = matrix[column][column].inverse().unwrap_or(Fr::ZERO);
        matrix[column] = matrix[column].map(|x| x * scale);
        target[column] *= scale;
        let (pivot_row, pivot_target) = (matrix[column], target[column]);
        for row in (0..WIDTH).filter(|row| *row != column) {
            let factor = matrix[row][column];
            for (cell, pivot) in matrix[row].iter_mut().zip(pivot_row) {
                *cell -= factor * pivot;
            }
            target[row] -= factor * pivot_target;
        }
    }
    target
}

/// The permutation.
pub fn permute(state: &mut [Fr; WIDTH]) {
    let (Constants { round, mds }, schedule) = (&*CONSTANTS, &*SCHEDULE);
    let full = |state: &mut [Fr; WIDTH], constants: &[Fr; WIDTH]| {
        let boxes = std::array::from_fn(|j| quintic(state[j] + constants[j]));
        *state = times(mds, &boxes);
    };
    for constants in round.iter().take(FULL_ROUNDS / 2) {
        full(state, constants);
    }
    for Sparse { constant, first_row, first_column } in &schedule.partial {
        let s = quintic(state[0] + constant);
        state[0] = s;
        let first = Fr::sum_of_products(first_row, state);
        for (x, factor) in state.iter_mut().skip(1).zip(first_column) {
            *x += s * factor;
        }
        state[0] = first;
    }
    state[0] = quintic(state[0] + schedule.last.0);
    *state = times(&schedule.last.1, state);
    full(state, &schedule.resumed);
    for constants in round.iter().skip(FULL_ROUNDS / 2 + PARTIAL_ROUNDS + 1) {
        full(state, constants);
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
pub enum DomainTag {
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
    /// Message and Schnorr challenge of an account operation.
    Operation = 8,
    /// Message and Schnorr challenge of a header operation.
    HeaderOperation = 9,
    /// Certificate nullifier.
    Nullifier = 10,
    /// Commitment of an owner's nullifier key.
    NullifierKey = 11,
    /// Retirement of a certificate.
    Retirement = 12,
    /// Schnorr challenge of a certificate operation.
    Certificate = 13,
    /// Version 3: salts, masks and the next seed from a seed ([`crate::district::seed`]).
    Seed = 14,
    /// Version 3: what an owner signs of its seed.
    SeedCommitment = 15,
    /// Version 3: private part of a leaf.
    DistrictPrivate = 16,
    /// Version 3: tariff of a period.
    DistrictTariff = 17,
    /// Version 3: Schnorr challenge over a packet.
    DistrictPacket = 18,
    /// Version 3: a packet that a correction replaced.
    PacketVersion = 19,
}

impl DomainTag {
    /// Initial capacity: `use * 2^32 + length`.
    #[must_use]
    pub fn tag(self, length: usize) -> Fr {
        Fr::from(((self as u64) << 32) + length as u64)
    }
}

/// The four rate outputs of one permutation over at most four elements, for a keyed generator: the first element is a
/// secret. The fifth output, the capacity's, is never used: whoever had all five could compute the permutation backwards.
#[must_use]
pub fn expand(purpose: DomainTag, elements: &[Fr; RATE - 1]) -> [Fr; RATE] {
    let [a, b, c] = *elements;
    let mut state = [purpose.tag(elements.len()), a, b, c, Fr::ZERO];
    permute(&mut state);
    let [_, outputs @ ..] = state;
    outputs
}

/// Sponge over a fixed number of elements, one output.
#[must_use]
pub fn sponge(purpose: DomainTag, elements: &[Fr]) -> Fr {
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
    fn sparse_rounds_are_the_same_permutation() {
        let Constants { round, mds } = &*CONSTANTS;
        let mut state: [Fr; WIDTH] = std::array::from_fn(|j| Fr::from(j as u64));
        for _ in 0..20 {
            let mut plain = state;
            for (r, constants) in round.iter().enumerate() {
                let full = !(FULL_ROUNDS / 2..FULL_ROUNDS / 2 + PARTIAL_ROUNDS).contains(&r);
                for (j, (x, c)) in plain.iter_mut().zip(constants).enumerate() {
                    *x += c;
                    if full || j == 0 {
                        *x = quintic(*x);
                    }
                }
                plain = times(mds, &plain);
            }
            permute(&mut state);
            assert_eq!(state, plain);
        }
    }

    #[test]
    fn agrees_with_light_poseidon_also_with_a_tag() {
        let inputs = [5u64, 6, 7, 8].map(Fr::from);
        let mut reference = light_poseidon::Poseidon::<Fr>::new_circom(4).unwrap();
        assert_eq!(reference.hash(&inputs).unwrap(), hash4(inputs));
        let tag = DomainTag::Note.tag(4);
        let mut reference = light_poseidon::Poseidon::<Fr>::with_domain_tag_circom(4, tag).unwrap();
        assert_eq!(reference.hash(&inputs).unwrap(), sponge(DomainTag::Note, &inputs));
    }

    #[test]
    fn length_and_use_separate() {
        let x = [Fr::from(1u64), Fr::ZERO];
        assert_ne!(sponge(DomainTag::Note, &x), sponge(DomainTag::Note, &x[..1]));
        assert_ne!(sponge(DomainTag::Note, &x), sponge(DomainTag::Header, &x));
    }
}
