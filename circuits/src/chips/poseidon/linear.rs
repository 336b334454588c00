//! The linear layers of a permutation: matrices, and the coefficients by which rows follow from each other.

use std::sync::LazyLock;

use gridveil_protocol::{field, poseidon as native};
use halo2curves::ff::Field;

use super::{Matrix, Row, WIDTH};
use crate::{Fr, field::imported};

/// Coefficients of the linear layers.
pub(super) struct Coefficients {
    pub(super) mds: Matrix,
    /// `e0 (M N)^i` on `t`, for `z_i`, `i` from 1; entry 0 of each is zero.
    pub(super) entry_t: [Row; 4],
    /// `e0 (M N)^d M e0`.
    pub(super) entry_s: [Fr; 4],
    /// Coefficients of `z_(r+k)` and `s_(r+k)` in `z_(r+5)`; that of `z_r` is zero.
    pub(super) partial_z: Row,
    pub(super) partial_s: Row,
    /// `e0 T (N T)^i` on `Y`.
    pub(super) exit_y: [Row; 4],
    /// `e0 T (N T)^d e0`.
    pub(super) exit_z: [Fr; 3],
    /// Inverse of the rows `e0, exit_y`.
    pub(super) exit_inverse: Matrix,
}

impl Coefficients {
    fn new() -> Self {
        let mds = matrix(&native::CONSTANTS.mds);
        let t = inverse(&mds);
        let mut entry = [E0; 5];
        let mut krylov = [E0; 6];
        let mut exit = [multiply_row(&E0, &t); 4];
        for i in 1..entry.len() {
            let row = multiply_row(&entry[i - 1], &mds);
            entry[i] = without_first(row);
        }
        for i in 1..krylov.len() {
            krylov[i] = multiply_row(&krylov[i - 1], &mds);
        }
        for i in 1..exit.len() {
            exit[i] = multiply_row(&without_first(exit[i - 1]), &t);
        }
        // e0 M^5 = sum_k alpha_k e0 M^k, and with u = s - z: gamma_j = m_(5-j) - sum_{k>j} alpha_k m_(k-j), m_k = e0
        // M^k e0.
        let alpha = recurrence(&krylov);
        let gamma: Row = std::array::from_fn(|j| {
            krylov[WIDTH - j][0] - (j + 1..WIDTH).map(|k| alpha[k] * krylov[k - j][0]).sum::<Fr>()
        });
        let exit_matrix = std::array::from_fn(|j: usize| j.checked_sub(1).map_or(E0, |i| exit[i]));
        Self {
            mds,
            entry_t: std::array::from_fn(|i| entry[i + 1]),
            entry_s: std::array::from_fn(|d| multiply_row(&entry[d], &mds)[0]),
            partial_z: std::array::from_fn(|k| alpha[k] - gamma[k]),
            partial_s: gamma,
            exit_y: exit,
            exit_z: std::array::from_fn(|d| exit[d][0]),
            exit_inverse: inverse(&exit_matrix),
        }
    }

    pub(super) fn entry_values(&self, s: &Row, constants: &Row) -> Row {
        let t = apply(&self.mds, s);
        let mut z = [Fr::ZERO; WIDTH];
        let mut boxes = [Fr::ZERO; WIDTH];
        for i in 0..WIDTH {
            z[i] = constants[i]
                + i.checked_sub(1).map_or(t[0], |e| {
                    dot(&self.entry_t[e], &t) + (0..i).map(|j| self.entry_s[i - 1 - j] * boxes[j]).sum::<Fr>()
                });
            boxes[i] = quintic(z[i]);
        }
        z
    }

    pub(super) fn next_partial(&self, z: &Row, s: &Row) -> Fr {
        dot(&self.partial_z, z) + dot(&self.partial_s, s)
    }

    pub(super) fn partial_values(&self, z: &Row, s: &Row, constants: &Row) -> Row {
        let (mut z, mut s) = (*z, *s);
        for constant in constants {
            let next = self.next_partial(&z, &s) + constant;
            z.rotate_left(1);
            s.rotate_left(1);
            z[WIDTH - 1] = next;
            s[WIDTH - 1] = quintic(next);
        }
        z
    }
}

pub(super) static COEFFICIENTS: LazyLock<Coefficients> = LazyLock::new(Coefficients::new);

const E0: Row = [Fr::one(), Fr::zero(), Fr::zero(), Fr::zero(), Fr::zero()];

fn quintic(x: Fr) -> Fr {
    x.square().square() * x
}

fn dot(a: &Row, b: &Row) -> Fr {
    a.iter().zip(b).map(|(a, b)| *a * b).sum()
}

pub(super) fn add(a: &mut Row, b: &Row) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

pub(super) fn apply(m: &Matrix, x: &Row) -> Row {
    std::array::from_fn(|i| dot(&m[i], x))
}

fn multiply_row(x: &Row, m: &Matrix) -> Row {
    std::array::from_fn(|j| (0..WIDTH).map(|i| x[i] * m[i][j]).sum())
}

pub(super) fn without_first(mut x: Row) -> Row {
    x[0] = Fr::ZERO;
    x
}

fn matrix(m: &[[field::Fr; WIDTH]; WIDTH]) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| imported(&m[i][j])))
}

/// `alpha` with `rows[5] = sum_k alpha_k rows[k]`.
fn recurrence(rows: &[Row; WIDTH + 1]) -> Row {
    let basis = std::array::from_fn(|k| rows[k]);
    multiply_row(&rows[WIDTH], &inverse(&basis))
}

/// Gauss-Jordan. The matrices are constants; that each is invertible is a test.
pub(super) fn inverse(m: &Matrix) -> Matrix {
    let mut left = *m;
    let mut right: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { Fr::ONE } else { Fr::ZERO }));
    for column in 0..WIDTH {
        let pivot = (column..WIDTH).find(|row| left[*row][column] != Fr::ZERO).unwrap_or(column);
        left.swap(column, pivot);
        right.swap(column, pivot);
        let scale = left[column][column].invert().unwrap_or(Fr::ZERO);
        for j in 0..WIDTH {
            left[column][j] *= scale;
            right[column][j] *= scale;
        }
        let (pivot_left, pivot_right) = (left[column], right[column]);
        for row in (0..WIDTH).filter(|row| *row != column) {
            let factor = left[row][column];
            for j in 0..WIDTH {
                left[row][j] -= factor * pivot_left[j];
                right[row][j] -= factor * pivot_right[j];
            }
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverted_matrices_are_invertible() {
        let c = &*COEFFICIENTS;
        let identity = |m: &Matrix, n: &Matrix| {
            (0..WIDTH).all(|i| (0..WIDTH).all(|j| multiply_row(&m[i], n)[j] == if i == j { Fr::ONE } else { Fr::ZERO }))
        };
        assert!(identity(&c.mds, &inverse(&c.mds)));
        let exit: Matrix = std::array::from_fn(|j: usize| j.checked_sub(1).map_or(E0, |i| c.exit_y[i]));
        assert!(identity(&exit, &c.exit_inverse));
        let mut krylov = [E0; WIDTH];
        for i in 1..WIDTH {
            krylov[i] = multiply_row(&krylov[i - 1], &c.mds);
        }
        assert!(identity(&krylov, &inverse(&krylov)));
    }
}
