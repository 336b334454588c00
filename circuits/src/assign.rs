//! Assigns a finished [`Trace`] to halo2, in one region, so that row `r` of the table is row `r` of the circuit.

use halo2_proofs::{
    circuit::{Cell as Placed, Layouter, Value},
    plonk::Error,
};
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::columns::{Columns, SELECTORS},
    trace::{Cell, Trace},
};

/// Assigns every cell, constant, selector and copy of `trace`, and the range table `0..2^table_bits`.
///
/// # Errors
/// Those of halo2: the table does not fit the circuit's rows, or a copied column has no equality.
pub fn assign(
    trace: &Trace,
    columns: &Columns,
    layouter: &mut impl Layouter<Fr>,
    table_bits: u32,
) -> Result<(), Error> {
    layouter.assign_region(
        || "table",
        |mut region| {
            for (index, column) in columns.advice.iter().enumerate() {
                for (row, cells) in trace.advice().iter().enumerate() {
                    region.assign_advice(*column, row, Value::known(cells[index]));
                }
            }
            for (index, column) in columns.constants.iter().enumerate() {
                for (row, values) in trace.constants().iter().enumerate() {
                    if values[index] != Fr::ZERO {
                        region.assign_fixed(*column, row, values[index]);
                    }
                }
            }
            for (index, column) in columns.selectors.iter().enumerate().take(SELECTORS) {
                for row in (0..trace.advice().len()).filter(|row| trace.selected(index, *row)) {
                    region.assign_fixed(*column, row, Fr::ONE);
                }
            }
            let placed = |cell: &Cell| Placed { row_offset: cell.row, column: columns.advice[cell.column].into() };
            for (a, b) in trace.copies() {
                region.constrain_equal(placed(a), placed(b));
            }
            Ok(())
        },
    )?;
    layouter.assign_table(
        || "range",
        |mut table| {
            for row in 0..1usize << table_bits {
                table.assign_cell(|| "range", columns.table, row, || Value::known(Fr::from(row as u64)))?;
            }
            Ok(())
        },
    )
}
