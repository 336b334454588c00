//! The range table and running decompositions.
//!
//! Where [`Selector::Lookup`] is on, columns 4 and 9 hold entries of the table `0..2^b`. A decomposition runs in column
//! 8: `next = cur 2^(2b) + c4 2^b + c9` ([`Selector::Range`]) or `next = cur 2^b + c9` ([`Selector::Half`]), from a
//! zero cell.

use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression};

use super::columns::{Columns, LOOKED_UP, Selector};
use crate::{
    Fr,
    trace::{Cell, RowHalf, Trace},
};

/// Column of the running value.
pub const RUNNING: usize = 8;

/// Adds lookups and gates; `table_bits` is b.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns, table_bits: u32) {
    for column in LOOKED_UP {
        meta.lookup("c4, c9 < 2^b", |v| {
            let on = columns.selector(v, Selector::Lookup);
            vec![(on * columns.cell(v, column, 0), columns.table)]
        });
    }
    let entry = Fr::from(1u64 << table_bits);
    meta.create_gate("next = cur 2^(2b) + c4 2^b + c9", |v| {
        let [high, low] = LOOKED_UP.map(|column| columns.cell(v, column, 0));
        let (cur, next) = (columns.cell(v, RUNNING, 0), columns.cell(v, RUNNING, 1));
        let shift = Expression::Constant(entry);
        let sum = (cur * shift.clone() + high) * shift + low;
        Constraints::with_selector(
            columns.selector(v, Selector::Range),
            [("next = cur 2^(2b) + c4 2^b + c9", next - sum)],
        )
    });
    meta.create_gate("next = cur 2^b + c9", |v| {
        let low = columns.cell(v, LOOKED_UP[1], 0);
        let (cur, next) = (columns.cell(v, RUNNING, 0), columns.cell(v, RUNNING, 1));
        let sum = cur * Expression::Constant(entry) + low;
        Constraints::with_selector(columns.selector(v, Selector::Half), [("next = cur 2^b + c9", next - sum)])
    });
}

/// Rows of a step of `bits` bits: whole rows of `2b` bits, and one of `b` if they are odd.
#[must_use]
pub const fn rows(bits: u32, table_bits: u32) -> usize {
    (bits.div_ceil(table_bits) as usize).div_ceil(2)
}

/// Writes one step (`bits` a multiple of b) from the running value at `row`; returns the row after.
/// `digits` are the step's bits, most significant first in table entries.
pub fn assign_step(trace: &mut Trace, row: usize, table_bits: u32, entries: &[u64]) -> usize {
    let shift = Fr::from(1u64 << table_bits);
    let mut row = row;
    let odd = entries.len() % 2 == 1;
    let (first, rest) = entries.split_at(usize::from(odd));
    let mut running = trace.value(Cell { column: RUNNING, row });
    for pair in first.chunks(1).chain(rest.chunks(2)) {
        for (entry, column) in pair.iter().rev().zip(LOOKED_UP.into_iter().rev()) {
            trace.set(column, row, Fr::from(*entry));
        }
        for entry in pair {
            running = running * shift + Fr::from(*entry);
        }
        trace.enable(if pair.len() == 2 { Selector::Range } else { Selector::Half }, row);
        trace.enable(Selector::Lookup, row);
        trace.mark(row, RowHalf::Range);
        row += 1;
        trace.set(RUNNING, row, running);
        trace.mark(row, RowHalf::Range);
    }
    row
}
