//! Poseidon, width 5, circomlib's constants (`docs/spec/state.md`, Hashing): 21 rows a permutation, rotations 0 and +1.
//!
//! | row | columns 0..4 | columns 5..9 | selector |
//! |---|---|---|---|
//! | 0 | state that came out of the last permutation | 5..8 the four elements absorbed | New or Chain |
//! | 1..3 | S-box inputs of full rounds 0..2 | their squares | Full |
//! | 4 | S-box inputs of full round 3 | squares | Entry |
//! | 5..15 | S-box inputs of five partial rounds, left to right | squares | Partial |
//! | 16 | the last five partial rounds | squares | Exit |
//! | 17..20 | S-box inputs of full rounds 64..67 | squares | Full |
//!
//! The row after the last is row 0 of the next permutation; its columns 0..4 are the output state.
//!
//! S-box inputs `x` include the round constant; with `y = x^2` the S-box is `s = y^2 x`. A partial round maps `v` to `M
//! (s, v_1, .., v_4) + C`. Only the S-box inputs `z_i` of partial rounds are kept: with `N` = the identity without its
//! first entry and `t = M w`, `w` the S-boxes of row 4,
//! - Entry: `z_i = e0 (M N)^i t + sum_{j<i} e0 (M N)^(i-1-j) M e0 s_j + const`;
//! - Partial: `z_(r+5) = sum_{k<5} a_k z_(r+k) + g_k s_(r+k) + const`, the recurrence of `M`'s characteristic
//!   polynomial, the same nine coefficients for all rounds (`a_0 = 0`: of round r only the S-box output goes on);
//! - Exit, to the S-box inputs `Y` of round 64: `Y_0 = z_60` by the recurrence, and backwards with `T = M^-1`
//!   `s_(59-i) = e0 T (N T)^i Y + sum_{j<i} e0 T (N T)^(i-1-j) e0 z_(59-j) + const` for `i < 4`.
//!
//! The six selectors exclude each other (a row has one of them or none; [`Permutations`] is the only writer), so that the
//! transitions share one gate.
//!
//! What each clause stops:
//! - squares on every row with an S-box: a free `y` would make the S-box any multiple of `x`, and collisions trivial;
//! - every transition is five independent equations in the next row's five `x`: no cell of a permutation is free once
//!   row 0 is given (for Exit: `e0, e0 T, .., e0 T (N T)^3` are independent, asserted by a test);
//! - New sets the capacity to the tag and the rate to the inputs alone: a prover-chosen state would open any root to
//!   any leaf;
//! - the tag is a constant: a note cannot be read as a header, nor a sponge of one length as one of another;
//! - Chain adds to the state of its own row, which the last Full row has determined: blocks cannot be swapped between
//!   sponges;
//! - no sponge goes on from a boundary row that no permutation has written ([`Permutations::permute`] refuses to lay that out);
//! - padding is copied from a zero cell: `P(a,b,c,d)` cannot pass for `P(a,b,0,0)`.

mod linear;

use std::sync::LazyLock;

use gridveil_protocol::poseidon as native;
use halo2_proofs::plonk::{ConstraintSystem, Expression};
use halo2curves::ff::Field;

use self::linear::{COEFFICIENTS, add, apply, inverse, without_first};
use super::columns::{Columns, Selector};
use crate::{
    Fr,
    field::imported,
    trace::{self as witness, Cell, Trace},
};

/// Rows of one permutation.
pub const ROWS: usize = 21;
/// Elements absorbed by one permutation.
pub const RATE: usize = native::RATE;

const WIDTH: usize = native::WIDTH;
const HALF: usize = native::FULL_ROUNDS / 2;
const PARTIAL: usize = native::PARTIAL_ROUNDS;
/// Column of the first absorbed element in a boundary row.
pub(crate) const INPUT: usize = 5;

type Row = [Fr; WIDTH];
type Matrix = [Row; WIDTH];

/// An element to absorb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The value of a copyable cell, tied to it.
    Copy(Cell),
    /// A witness; the caller ties the cell it gets back.
    Free(Fr),
    /// Zero, tied to the permutations's zero cell.
    Zero,
}

/// A stack of permutations in consecutive rows.
#[derive(Clone, Copy, Debug)]
pub struct Permutations {
    row: usize,
    /// The boundary row's state is the output of a permutation.
    written: bool,
    zero: Cell,
}

impl Permutations {
    /// Takes the first boundary row. `zero` is a copyable cell that is tied to 0 elsewhere.
    pub fn start(trace: &mut Trace, zero: Cell) -> Self {
        Self { row: trace.alloc_rows(1), written: false, zero }
    }

    /// One permutation: a new sponge with capacity `tag`, or (`None`) the last sponge goes on. Returns the cells of the
    /// inputs.
    ///
    /// # Panics
    /// If a sponge is to go on that has not begun, or that other rows separate from its last permutation: a fault of
    /// the layout, whatever the witness.
    #[track_caller]
    pub fn permute(&mut self, trace: &mut Trace, tag: Option<Fr>, inputs: [Input; RATE]) -> [Cell; RATE] {
        if trace.next_row() != self.row + 1 {
            (self.row, self.written) = (trace.alloc_rows(1), false);
        }
        assert!(tag.is_some() || self.written, "a sponge goes on in the row that its last permutation wrote");
        self.written = true;
        // The row was taken by the last permutation; its gate serves this one.
        trace.mark(self.row, witness::RowHalf::Main);
        trace.mark(self.row, witness::RowHalf::Range);
        let mut cells = [self.zero; RATE];
        for (column, (cell, input)) in (INPUT..).zip(cells.iter_mut().zip(inputs)) {
            *cell = match input {
                Input::Copy(source) => trace.copy_to(source, column, self.row),
                Input::Free(value) => trace.set(column, self.row, value),
                Input::Zero => trace.copy_to(self.zero, column, self.row),
            };
        }
        trace.alloc_rows(ROWS);
        let mut state: Row = std::array::from_fn(|j| {
            let chained = if tag.is_none() { trace.value(Cell { column: j, row: self.row }) } else { Fr::ZERO };
            chained + j.checked_sub(1).map_or(Fr::ZERO, |i| trace.value(cells[i]))
        });
        state[0] += tag.unwrap_or(Fr::ZERO);
        add(&mut state, &SCHEDULE[0].constants);
        self.write_rows(trace, state);
        for (offset, step) in SCHEDULE.iter().enumerate() {
            let selector = if offset > 0 || tag.is_some() { step.selector } else { Selector::Chain };
            trace.enable(selector, self.row + offset);
            for (j, value) in step.constants.iter().enumerate() {
                trace.constant(j, self.row + offset, *value);
            }
        }
        trace.constant(0, self.row, SCHEDULE[0].constants[0] + tag.unwrap_or(Fr::ZERO));
        self.row += ROWS;
        cells
    }

    /// Rows 1 to 21 from the S-box inputs of row 1.
    fn write_rows(&self, trace: &mut Trace, mut x: Row) {
        let c = &*COEFFICIENTS;
        for (offset, step) in SCHEDULE.iter().enumerate().skip(1) {
            let row = self.row + offset;
            let y = x.map(|x| x.square());
            for j in 0..WIDTH {
                trace.set(j, row, x[j]);
                trace.set(WIDTH + j, row, y[j]);
            }
            let s: Row = std::array::from_fn(|j| y[j].square() * x[j]);
            x = match step.selector {
                Selector::Entry => c.entry_values(&s, &step.constants),
                Selector::Partial => c.partial_values(&x, &s, &step.constants),
                Selector::Exit => {
                    // z_60 is Y_0; the other four follow from the S-box outputs by the inverse of the Exit equations.
                    let first = c.next_partial(&x, &s) + step.constants[0];
                    let known = std::array::from_fn(|j| match j.checked_sub(1) {
                        None => first,
                        Some(i) => {
                            let sum: Fr = (0..i).map(|k| c.exit_z[i - 1 - k] * x[WIDTH - 1 - k]).sum();
                            s[WIDTH - 1 - i] - sum - step.constants[j]
                        }
                    });
                    apply(&c.exit_inverse, &known)
                }
                _ => {
                    let mut next = apply(&c.mds, &s);
                    add(&mut next, &step.constants);
                    next
                }
            };
        }
        for (j, value) in x.iter().enumerate() {
            trace.set(j, self.row + ROWS, *value);
        }
    }

    /// `P` of children of which one is `node` ([`super::path`]); of the last permutation's output if `None`. Returns
    /// the cells of the children.
    ///
    /// # Panics
    /// If there is no last permutation, or other rows separate this one from it: a fault of the layout.
    #[track_caller]
    pub fn level(&mut self, trace: &mut Trace, node: Option<Cell>, children: [Input; RATE]) -> [Cell; RATE] {
        match node {
            Some(node) => {
                (self.row, self.written) = (trace.alloc_rows(1), false);
                trace.copy_to(node, super::path::NODE, self.row);
            }
            None => assert!(
                self.written && trace.next_row() == self.row + 1,
                "a level goes on in the row that the last permutation wrote"
            ),
        }
        trace.enable(Selector::MEMBER, self.row);
        self.permute(trace, Some(Fr::ZERO), children)
    }

    /// The output of the last permutation; no circuit value before the first.
    #[must_use]
    pub const fn output(&self) -> Cell {
        Cell { column: 0, row: self.row }
    }

    /// `P(a, b, c, d)`.
    #[track_caller]
    pub fn hash4(&mut self, trace: &mut Trace, inputs: [Input; RATE]) -> Cell {
        self.permute(trace, Some(Fr::ZERO), inputs);
        self.output()
    }

    /// `Sponge` with capacity `tag` (`protocol::poseidon::DomainTag::tag`); returns the output and the cells of the inputs,
    /// in order.
    ///
    /// # Panics
    /// If there is nothing to absorb: a fault of the layout.
    #[track_caller]
    pub fn sponge(&mut self, trace: &mut Trace, tag: Fr, inputs: &[Input]) -> (Cell, Vec<Cell>) {
        assert!(!inputs.is_empty(), "a sponge absorbs at least one element");
        let mut cells = Vec::with_capacity(inputs.len() + RATE);
        for (index, block) in inputs.chunks(RATE).enumerate() {
            let block = std::array::from_fn(|i| block.get(i).copied().unwrap_or(Input::Zero));
            cells.extend(self.permute(trace, (index == 0).then_some(tag), block));
        }
        cells.truncate(inputs.len());
        (self.output(), cells)
    }
}

/// One row's selector and constants.
struct Step {
    selector: Selector,
    constants: Row,
}

/// Selectors and constants of the 21 rows.
static SCHEDULE: LazyLock<[Step; ROWS]> = LazyLock::new(|| {
    let c = &*COEFFICIENTS;
    let rounds: Vec<Row> = native::CONSTANTS.round.iter().map(|r| std::array::from_fn(|j| imported(&r[j]))).collect();
    let alpha: Row = std::array::from_fn(|k| c.partial_z[k] + c.partial_s[k]);
    // The constant part of z_i when every s_j enters on its own (Entry), and when it enters as u_j = s_j - z_j
    // (Partial).
    let (mut alone, mut whole) = (rounds[HALF], rounds[HALF]);
    let (mut entry, mut constant_part) = ([Fr::ZERO; WIDTH], vec![whole[0]]);
    for i in 0..PARTIAL {
        if let Some(e) = entry.get_mut(i) {
            *e = alone[0];
        }
        alone = apply(&c.mds, &without_first(alone));
        add(&mut alone, &rounds[HALF + 1 + i]);
        whole = apply(&c.mds, &whole);
        add(&mut whole, &rounds[HALF + 1 + i]);
        constant_part.push(whole[0]);
    }
    let partial = |r: usize| constant_part[r + WIDTH] - (0..WIDTH).map(|k| alpha[k] * constant_part[r + k]).sum::<Fr>();
    let mut exit = [partial(PARTIAL - WIDTH); WIDTH];
    let t = inverse(&c.mds);
    let mut back = [Fr::ZERO; WIDTH];
    for i in 0..WIDTH - 1 {
        for (b, constant) in back.iter_mut().zip(&rounds[HALF + PARTIAL - i]) {
            *b -= constant;
        }
        back = apply(&t, &back);
        exit[i + 1] = back[0];
        back = without_first(back);
    }
    std::array::from_fn(|row| {
        let (selector, constants) = match row {
            0 => (Selector::New, rounds[0]),
            1..=3 => (Selector::Full, rounds[row]),
            4 => (Selector::Entry, entry),
            5..=15 => (Selector::Partial, std::array::from_fn(|j| partial(WIDTH * (row - 5) + j))),
            16 => (Selector::Exit, exit),
            _ => (Selector::Full, rounds.get(HALF + PARTIAL + row - 16).copied().unwrap_or([Fr::ZERO; WIDTH])),
        };
        Step { selector, constants }
    })
});

/// The two gates.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    let c = &*COEFFICIENTS;
    meta.create_gate("Poseidon: x' = next S-box inputs (full, entry, partial, exit, absorb)", |v| {
        let [full, entry, partial, exit, new, chain] =
            [Selector::Full, Selector::Entry, Selector::Partial, Selector::Exit, Selector::New, Selector::Chain]
                .map(|s| columns.selector(v, s));
        let constants: Vec<_> = (0..WIDTH).map(|j| columns.constant(v, j)).collect();
        let mut z = Vec::with_capacity(2 * WIDTH);
        let mut s = Vec::with_capacity(2 * WIDTH);
        for rotation in [0, 1] {
            for j in 0..WIDTH {
                let (x, y) = (columns.cell(v, j, rotation), columns.cell(v, WIDTH + j, rotation));
                s.push(y.clone() * y * x.clone());
                z.push(x);
            }
        }
        let next = &z[WIDTH..];
        let t: Vec<_> = c.mds.iter().map(|row| combine(row, &s)).collect();
        let absorb = new + chain.clone();
        let forward = full.clone() + entry.clone() + partial.clone() + absorb.clone();
        let all = forward.clone() + exit.clone();
        let recurrence = |j: usize| combine(&c.partial_z, &z[j..]) + combine(&c.partial_s, &s[j..]);
        (0..WIDTH)
            .map(|j| {
                let held = chain.clone() * z[j].clone();
                let Some(i) = j.checked_sub(1) else {
                    return all.clone() * (next[0].clone() - constants[0].clone())
                        - (full.clone() + entry.clone()) * t[0].clone()
                        - (partial.clone() + exit.clone()) * recurrence(0)
                        - held;
                };
                let from_entry = combine(&c.entry_t[i][1..], &t[1..])
                    + (0..j).map(|k| scaled(c.entry_s[i - k], &s[WIDTH + k])).reduce(|a, b| a + b).unwrap_or(zero());
                let to_exit = (0..i)
                    .map(|k| scaled(c.exit_z[i - 1 - k], &z[WIDTH - 1 - k]))
                    .fold(combine(&c.exit_y[i], next), |a, b| a + b);
                forward.clone() * next[j].clone() + exit.clone() * (s[WIDTH - j].clone() - to_exit)
                    - all.clone() * constants[j].clone()
                    - full.clone() * t[j].clone()
                    - entry.clone() * from_entry
                    - partial.clone() * recurrence(j)
                    - absorb.clone() * columns.cell(v, INPUT + i, 0)
                    - held
            })
            .collect::<Vec<_>>()
    });
    meta.create_gate("Poseidon: y = x^2", |v| {
        let on = [Selector::Full, Selector::Entry, Selector::Partial, Selector::Exit]
            .map(|s| columns.selector(v, s))
            .into_iter()
            .reduce(|a, b| a + b)
            .unwrap_or(zero());
        (0..WIDTH)
            .map(|j| {
                let (x, y) = (columns.cell(v, j, 0), columns.cell(v, WIDTH + j, 0));
                on.clone() * (y - x.clone() * x)
            })
            .collect::<Vec<_>>()
    });
}

const fn zero() -> Expression<Fr> {
    Expression::Constant(Fr::zero())
}

fn scaled(coefficient: Fr, value: &Expression<Fr>) -> Expression<Fr> {
    value.clone() * Expression::Constant(coefficient)
}

/// `sum coefficients_k values_k` over the shorter of the two, without terms that are zero.
fn combine(coefficients: &[Fr], values: &[Expression<Fr>]) -> Expression<Fr> {
    let terms = coefficients.iter().zip(values).filter(|(c, _)| **c != Fr::ZERO);
    terms.map(|(c, x)| scaled(*c, x)).reduce(|a, b| a + b).unwrap_or(zero())
}
