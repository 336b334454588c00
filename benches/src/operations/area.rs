//! Rows of the parts of a statement, counted in tables of real batches.

use gridveil_circuits::{
    chips::columns::ADVICE,
    settlement::{RESERVED_ROWS, build},
    trace::{RowHalf, Trace},
};
use gridveil_protocol::{params::Shape, settlement::compute};
use serde::{Deserialize, Serialize};

use super::Before;
use crate::{figure::Figure, native};

/// Rows of the table that statements are counted in.
const COUNTING_ROWS: usize = 1 << 19;

/// Where a shape's rows go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Name.
    pub name: String,
    /// log2 of the rows.
    pub k: Figure,
    /// The same in version 1.
    pub k_before: Figure,
    /// Rows in use.
    pub rows: Figure,
    /// The same in version 1.
    pub rows_before: Figure,
    /// Part of the usable rows in use.
    pub fill: Figure,
    /// Operation slots.
    pub operation_slots: Figure,
    /// Rows of one more operation slot.
    pub rows_per_operation_slot: Figure,
    /// Rows of one more slot.
    pub rows_a_slot: Figure,
    /// The same in version 1, if it is known.
    pub rows_a_slot_before: Option<Figure>,
    /// Rows that serve the correction.
    pub correction: Figure,
    /// Rows that serve the header slot.
    pub header_slot: Figure,
    /// Rows that serve the queue of notes.
    pub queue: Figure,
    /// Rows that serve the beginning of a community.
    pub beginning: Figure,
    /// Rows that serve the data vector, with the tree of final leaves.
    pub data: Figure,
    /// Cells since version 1, shared by the slots.
    pub cells_added_a_slot: Figure,
}

fn table(shape: Shape) -> anyhow::Result<Trace> {
    Ok(build(&compute(native::batch(shape)?), Trace::new(COUNTING_ROWS)))
}

/// A shape like `shape` of so many slots and operation slots, in the counting table.
const fn like(shape: &Shape, members: usize, operations: usize) -> Shape {
    Shape { name: "counted", id: 0, members, operations, ..*shape }
}

/// Two sizes whose members trees have the same depth, the larger twice the smaller: their difference has no level of a
/// path in it.
fn pair(members: usize) -> [usize; 2] {
    let small = [8, 32, 128].into_iter().rfind(|n| *n <= members.max(8)).unwrap_or(8);
    [small, 2 * small]
}

/// Counts.
///
/// # Errors
/// A batch that cannot be made.
pub fn area(shape: Shape, before: &Before) -> anyhow::Result<Area> {
    let trace = table(shape)?;
    let rows = trace.next_row();
    let serving = |prefix: &str| {
        Figure::measured(
            (0..rows).filter(|row| trace.clause(*row, RowHalf::Main).starts_with(prefix)).count() as f64,
            "",
        )
    };
    let operation_slot = rows - table(like(&shape, shape.members, shape.operations - 1))?.next_row();
    let [small, large] = pair(shape.members);
    let slots = table(like(&shape, large, 0))?.next_row() - table(like(&shape, small, 0))?.next_row();
    Ok(Area {
        name: shape.name.into(),
        k: Figure::computed(shape.k.into(), ""),
        k_before: Figure::computed(before.k.into(), ""),
        rows: Figure::measured(rows as f64, ""),
        rows_before: Figure::measured(before.rows as f64, ""),
        fill: Figure::computed(rows as f64 / ((1usize << shape.k) - RESERVED_ROWS) as f64, ""),
        operation_slots: Figure::assumed(shape.operations as f64, ""),
        rows_per_operation_slot: Figure::measured(operation_slot as f64, ""),
        rows_a_slot: Figure::measured(slots as f64 / small as f64, ""),
        rows_a_slot_before: before.rows_a_slot.map(|rows| Figure::measured(rows, "")),
        correction: serving("ADJUST."),
        header_slot: serving("HEADER."),
        queue: serving("NOTES."),
        beginning: serving("STATE.INIT"),
        data: serving("SETTLE.14"),
        cells_added_a_slot: Figure::computed(
            (rows as f64 - before.rows as f64) * ADVICE as f64 / shape.members as f64,
            "",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_small_shape_add_up() {
        let shape = Shape::by_name("tiny-4x2").unwrap();
        let before = Before { name: shape.name.into(), k: 12, rows: 3_849, ..Before::default() };
        let area = area(shape, &before).unwrap();
        let parts = area.rows_per_operation_slot.value * area.operation_slots.value
            + area.correction.value
            + area.header_slot.value
            + area.queue.value
            + area.beginning.value;
        assert!(parts > 0.0 && parts + area.rows_a_slot.value * 4.0 < area.rows.value * 1.1, "{area:?}");
        assert!(
            [&area.correction, &area.header_slot, &area.queue, &area.data].into_iter().all(|part| part.value > 0.0),
            "{area:?}"
        );
    }

    #[test]
    fn sizes_that_are_compared_have_paths_of_one_length() {
        let depth = |n: usize| n.ilog2().div_ceil(2);
        for members in [4, 32, 128, 512] {
            let [small, large] = pair(members);
            assert_eq!(depth(small), depth(large));
        }
    }
}
