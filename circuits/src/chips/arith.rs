//! One multiply-and-add a row: `c0 = k0 c5 c6 + k1 c5 + k2 c6 + k3 c7 + k4`; and rows whose `c0` is a public input.
//!
//! Columns 0, 5, 6, 7 are copyable; the coefficients are constants of the row. Public inputs have a selector of their
//! own: the instance column enters no other row, so surplus public inputs (which halo2 does not refuse) reach nothing.

use halo2_proofs::{
    plonk::{ConstraintSystem, Constraints},
    poly::Rotation,
};
use halo2curves::ff::Field;

use super::columns::{Columns, Selector};
use crate::{
    Fr,
    trace::{Cell, RowHalf, Trace},
};

/// Columns of result and operands.
pub const RESULT: usize = 0;
/// First operand.
pub const A: usize = 5;
/// Second operand.
pub const B: usize = 6;
/// Addend.
pub const C: usize = 7;

/// Adds the gates.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("c0 = k0 c5 c6 + k1 c5 + k2 c6 + k3 c7 + k4", |v| {
        let [result, a, b, c] = [RESULT, A, B, C].map(|column| columns.cell(v, column, 0));
        let [k0, k1, k2, k3, k4] = std::array::from_fn(|i| columns.constant(v, i));
        let sum = (k0 * b.clone() + k1) * a + k2 * b + k3 * c + k4;
        Constraints::with_selector(
            columns.selector(v, Selector::Arith),
            [("c0 = k0 c5 c6 + k1 c5 + k2 c6 + k3 c7 + k4", result - sum)],
        )
    });
    meta.create_gate("c0 = public", |v| {
        let (result, public) = (columns.cell(v, RESULT, 0), v.query_instance(columns.instance, Rotation::cur()));
        Constraints::with_selector(columns.selector(v, Selector::Public), [("c0 = public", result - public)])
    });
}

/// Writes a public input; its row in the table is its row in the instance.
pub fn assign_public(trace: &mut Trace, row: usize, value: Fr) -> Cell {
    trace.enable(Selector::Public, row);
    trace.mark(row, RowHalf::Main);
    trace.set(RESULT, row, value)
}

/// One row's coefficients `k0..k4`.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients(pub [Fr; 5]);

/// Operand of a row.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// Tied to an earlier cell.
    Copy(Cell),
    /// Zero and without influence (its coefficient is zero).
    Unused,
}

/// Writes a row's operands; returns what they hold.
#[track_caller]
pub fn assign_operands(trace: &mut Trace, row: usize, operands: [Operand; 3]) -> [Fr; 3] {
    let mut values = [Fr::ZERO; 3];
    for ((operand, column), value) in operands.into_iter().zip([A, B, C]).zip(&mut values) {
        if let Operand::Copy(cell) = operand {
            let cell = trace.copy_to(cell, column, row);
            *value = trace.value(cell);
        }
    }
    values
}

/// Writes a row's coefficients and result, which the gate then checks.
pub fn assign(trace: &mut Trace, row: usize, k: Coefficients, result: Fr) -> Cell {
    for (i, value) in k.0.into_iter().enumerate() {
        trace.constant(i, row, value);
    }
    trace.enable(Selector::Arith, row);
    trace.mark(row, RowHalf::Main);
    trace.set(RESULT, row, result)
}
