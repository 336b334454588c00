//! The operations that the statements are written with: sums, products, selections, range checks and hashes over cells.
//! No column shows here.
//!
//! Arithmetic, range rows and free cells share a *block* of rows: three cursors run through it, so a block costs the
//! longest of the three.
//!
//! Every operation is `#[track_caller]`: a constraint is of the line of a statement that asks for it, so that a test can
//! take that line's away (`trace/sites.rs`).

use std::sync::LazyLock;

use halo2curves::ff::{Field, PrimeField};

use crate::{
    Fr,
    chips::{
        arith::{self, Coefficients, Operand},
        poseidon::{self, Input},
        range,
    },
    trace::{Cell, Name, RowHalf, Trace},
};

/// Column of free witness cells, beside the arithmetic.
const FREE: usize = 1;

/// `2^n`.
#[must_use]
pub fn power(n: u32) -> Fr {
    // A witness asks a hundred thousand times, and always for the same few.
    static POWERS: LazyLock<[Fr; 256]> = LazyLock::new(|| {
        let mut powers = [Fr::ONE; 256];
        for i in 1..powers.len() {
            powers[i] = powers[i - 1].double();
        }
        powers
    });
    POWERS.get(n as usize).copied().unwrap_or_else(|| Fr::from(2u64).pow([u64::from(n)]))
}

/// Little-endian 64-bit limbs of the canonical value.
#[must_use]
pub fn limbs(x: Fr) -> [u64; 4] {
    let bytes = x.to_repr();
    let bytes: &[u8] = bytes.as_ref();
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|i| words.get(i).copied().map_or(0, u64::from_le_bytes))
}

/// A 128-bit integer.
#[must_use]
pub fn wide(x: u128) -> Fr {
    let half = |x: u128| Fr::from(u64::try_from(x & u128::from(u64::MAX)).unwrap_or(u64::MAX));
    half(x) + half(x >> 64) * power(64)
}

/// Bits `from..from+width` of the canonical value (`width` <= 32).
fn bits(limbs: &[u64; 4], from: u32, width: u32) -> u64 {
    (0..width)
        .map(|i| from + i)
        .map(|at| ((limbs.get((at / 64) as usize).copied().unwrap_or(0) >> (at % 64)) & 1) << (at - from))
        .sum()
}

/// Writes the statement into a [`Trace`].
#[derive(Debug)]
pub struct Builder {
    /// The table being written.
    pub trace: Trace,
    table_bits: u32,
    zero: Cell,
    arith_next: usize,
    range_next: usize,
    free_next: usize,
    end: usize,
    /// The hash permutations: permutations in consecutive rows.
    permutations: poseidon::Permutations,
}

impl Builder {
    /// Starts a table; the first rows are the public inputs, then the zero cell. Returns their cells.
    #[must_use]
    pub fn new(mut trace: Trace, table_bits: u32, public: &[Fr]) -> (Self, Vec<Cell>) {
        let none = Coefficients([Fr::ZERO; 5]);
        let start = trace.alloc_rows(public.len() + 1);
        let cells = (start..).zip(public).map(|(row, value)| arith::assign_public(&mut trace, row, *value)).collect();
        let zero = arith::assign(&mut trace, start + public.len(), none, Fr::ZERO);
        let permutations = poseidon::Permutations::start(&mut trace, zero);
        let next = trace.next_row();
        (
            Self {
                trace,
                table_bits,
                zero,
                arith_next: next,
                range_next: next,
                free_next: next,
                end: next,
                permutations,
            },
            cells,
        )
    }

    /// Opens a block of `rows` rows for the arithmetic and range operations that follow. A test compares the number,
    /// which is part of a key, with what the block comes to.
    pub fn block(&mut self, rows: usize) {
        let start = self.trace.open_block(rows);
        (self.arith_next, self.range_next, self.free_next, self.end) = (start, start, start, start + rows);
    }

    /// A cell takes the row before `next`.
    fn reach(&mut self, next: usize, what: &str) {
        assert!(next <= self.end, "block too small for its {what}");
        self.trace.reach(next);
    }

    /// The clause that following operations serve.
    pub fn set_clause(&mut self, clause: &'static str) {
        self.trace.set_clause(clause);
    }

    /// The cell that is zero.
    #[must_use]
    pub const fn zero(&self) -> Cell {
        self.zero
    }

    /// Value of a cell.
    #[must_use]
    pub fn value(&self, cell: Cell) -> Fr {
        self.trace.value(cell)
    }

    fn arith_row(&mut self) -> usize {
        let row = self.arith_next;
        self.arith_next += 1;
        self.reach(self.arith_next, "arithmetic");
        row
    }

    /// `k0 a b + k1 a + k2 b + k3 c + k4` in a new cell.
    #[track_caller]
    pub fn row(&mut self, k: [Fr; 5], operands: [Operand; 3]) -> Cell {
        let row = self.arith_row();
        let [a, b, c] = arith::assign_operands(&mut self.trace, row, operands);
        let result = k[0] * a * b + k[1] * a + k[2] * b + k[3] * c + k[4];
        let result = self.trace.computed(row, result);
        arith::assign(&mut self.trace, row, Coefficients(k), result)
    }

    /// A free witness cell: no constraint yet.
    pub fn witness(&mut self, name: Name, value: Fr) -> Cell {
        let value = self.trace.free(name, value);
        let row = self.free_next;
        self.free_next += 1;
        self.reach(self.free_next, "free cells");
        self.trace.set(FREE, row, value)
    }

    /// A constant.
    #[track_caller]
    pub fn constant(&mut self, value: Fr) -> Cell {
        self.row([Fr::ZERO, Fr::ZERO, Fr::ZERO, Fr::ZERO, value], [Operand::Unused; 3])
    }

    /// `sum k_i x_i + constant`; any number of terms.
    #[track_caller]
    pub fn linear(&mut self, terms: &[(Fr, Cell)], constant: Fr) -> Cell {
        let mut rest = terms.chunks(3);
        let first = rest.next().unwrap_or(&[]);
        let mut sum = self.linear_row(first, constant);
        for pair in terms.get(first.len()..).unwrap_or(&[]).chunks(2) {
            let mut row = vec![(Fr::ONE, sum)];
            row.extend_from_slice(pair);
            sum = self.linear_row(&row, Fr::ZERO);
        }
        sum
    }

    #[track_caller]
    fn linear_row(&mut self, terms: &[(Fr, Cell)], constant: Fr) -> Cell {
        let k = |i: usize| terms.get(i).map_or(Fr::ZERO, |t| t.0);
        let operand = |i: usize| terms.get(i).map_or(Operand::Unused, |t| Operand::Copy(t.1));
        self.row([Fr::ZERO, k(0), k(1), k(2), constant], [operand(0), operand(1), operand(2)])
    }

    /// `x - y`.
    #[track_caller]
    pub fn sub(&mut self, x: Cell, y: Cell) -> Cell {
        self.linear(&[(Fr::ONE, x), (-Fr::ONE, y)], Fr::ZERO)
    }

    /// `x y`.
    #[track_caller]
    pub fn mul(&mut self, x: Cell, y: Cell) -> Cell {
        self.mul_add(Fr::ONE, x, y, Fr::ZERO, self.zero)
    }

    /// `k x y + l z`.
    #[track_caller]
    pub fn mul_add(&mut self, k: Fr, x: Cell, y: Cell, l: Fr, z: Cell) -> Cell {
        self.row([k, Fr::ZERO, Fr::ZERO, l, Fr::ZERO], [Operand::Copy(x), Operand::Copy(y), Operand::Copy(z)])
    }

    /// `bit ? x : y`.
    #[track_caller]
    pub fn select(&mut self, bit: Cell, x: Cell, y: Cell) -> Cell {
        let difference = self.sub(x, y);
        self.mul_add(Fr::ONE, bit, difference, Fr::ONE, y)
    }

    /// `(1 - bit) x`.
    #[track_caller]
    pub fn unless(&mut self, bit: Cell, x: Cell) -> Cell {
        self.row(
            [-Fr::ONE, Fr::ONE, Fr::ZERO, Fr::ZERO, Fr::ZERO],
            [Operand::Copy(x), Operand::Copy(bit), Operand::Unused],
        )
    }

    /// Ties two cells.
    #[track_caller]
    pub fn equal(&mut self, a: Cell, b: Cell) {
        self.trace.equal(a, b);
    }

    /// `x = 0`.
    #[track_caller]
    pub fn assert_zero(&mut self, x: Cell) {
        self.trace.equal(x, self.zero);
    }

    /// `x y = 0`.
    #[track_caller]
    pub fn assert_product_zero(&mut self, x: Cell, y: Cell) {
        let product = self.mul(x, y);
        self.assert_zero(product);
    }

    /// `x (x - 1) = 0`.
    #[track_caller]
    pub fn assert_boolean(&mut self, x: Cell) {
        let k = [Fr::ONE, -Fr::ONE, Fr::ZERO, Fr::ZERO, Fr::ZERO];
        let row = self.row(k, [Operand::Copy(x), Operand::Copy(x), Operand::Unused]);
        self.assert_zero(row);
    }

    /// A free boolean.
    #[track_caller]
    pub fn bit(&mut self, name: Name, value: bool) -> Cell {
        let cell = self.witness(name, Fr::from(u64::from(value)));
        self.assert_boolean(cell);
        cell
    }

    /// 1 if `x = 0`, else 0.
    #[track_caller]
    pub fn is_zero(&mut self, name: Name, x: Cell) -> Cell {
        let inverse = self.value(x).invert();
        let inverse = self.witness(name, Option::from(inverse).unwrap_or(Fr::ZERO));
        let k = [-Fr::ONE, Fr::ZERO, Fr::ZERO, Fr::ZERO, Fr::ONE];
        let zero = self.row(k, [Operand::Copy(x), Operand::Copy(inverse), Operand::Unused]);
        self.assert_product_zero(x, zero);
        zero
    }

    /// Is `x` above, or below, `y`? Both are below 2^16. Returns two bits, never both 1.
    #[track_caller]
    pub fn compare(&mut self, names: [Name; 2], x: Cell, y: Cell) -> (Cell, Cell) {
        let gap = self.sub(x, y);
        let value = self.value(gap);
        let negative = limbs(value)[3] != 0;
        let above = self.bit(names[0], !negative && value != Fr::ZERO);
        let below = self.bit(names[1], negative);
        // The distance less one is (above - below) gap - above - below, and gap (1 - above - below) = 0. Both bits on
        // would make the distance -2.
        let direction = self.sub(above, below);
        let k = [Fr::ONE, Fr::ONE, Fr::ZERO, -Fr::from(2), Fr::ZERO];
        let distance = self.row(k, [Operand::Copy(direction), Operand::Copy(gap), Operand::Copy(above)]);
        // direction gap + direction - 2 above = direction gap - above - below
        self.assert_range(distance, 16);
        let different = self.linear(&[(Fr::ONE, above), (Fr::ONE, below)], Fr::ZERO);
        let rest = self.unless(different, gap);
        self.assert_zero(rest);
        (above, below)
    }

    /// `0 <= x < 2^width`. `width` is a multiple of 8.
    #[track_caller]
    pub fn assert_range(&mut self, x: Cell, width: u32) {
        let rounded = width.next_multiple_of(self.table_bits);
        self.decompose(x, self.value(x), &[rounded]);
        if rounded > width {
            // x below 2^rounded and 2^(rounded-width) x below 2^rounded: as integers, so x is below 2^width.
            let scaled = self.linear(&[(power(rounded - width), x)], Fr::ZERO);
            self.decompose(scaled, self.value(scaled), &[rounded]);
        }
    }

    /// Splits `x` into fields of the given widths, **most significant first**, each a multiple of 8 (of the table's
    /// bits in wide tables). The caller keeps the total below the modulus. Returns the fields in the
    /// same order.
    #[track_caller]
    pub fn unpack(&mut self, x: Cell, widths: &[u32]) -> Vec<Cell> {
        // Zero is copied first.
        let value = self.trace.written(1, self.value(x));
        let prefixes = self.decompose(x, value, widths);
        let mut fields = Vec::with_capacity(widths.len());
        let mut before: Option<Cell> = None;
        for (prefix, width) in prefixes.into_iter().zip(widths) {
            fields.push(match before {
                None => prefix,
                Some(before) => self.linear(&[(Fr::ONE, prefix), (-power(*width), before)], Fr::ZERO),
            });
            before = Some(prefix);
        }
        fields
    }

    /// The fields of `x`, whose value is written as `value`, each with all fields above it.
    #[track_caller]
    fn decompose(&mut self, x: Cell, value: Fr, widths: &[u32]) -> Vec<Cell> {
        let value = limbs(value);
        let mut at: u32 = widths.iter().sum();
        let rows = 1 + widths.iter().map(|w| range::rows(*w, self.table_bits)).sum::<usize>();
        let mut row = self.range_next;
        self.range_next += rows;
        self.reach(self.range_next, "ranges");
        self.trace.copy_to(self.zero, range::RUNNING, row);
        self.trace.mark(row, RowHalf::Range);
        let mut prefixes = Vec::with_capacity(widths.len());
        for width in widths {
            let entries: Vec<u64> = (0..width / self.table_bits)
                .map(|_| {
                    at -= self.table_bits;
                    bits(&value, at, self.table_bits)
                })
                .collect();
            row = range::assign_step(&mut self.trace, row, self.table_bits, &entries);
            prefixes.push(Cell { column: range::RUNNING, row });
        }
        if let Some(last) = prefixes.last() {
            self.trace.equal(*last, x);
        }
        prefixes
    }

    /// `P(a, b, c, d)`; absent inputs are zero.
    #[track_caller]
    pub fn hash4(&mut self, inputs: [Input; 4]) -> (Cell, [Cell; 4]) {
        let cells = self.permutations.permute(&mut self.trace, Some(Fr::ZERO), inputs);
        (self.permutations.output(), cells)
    }

    /// `P` of children of which one is `node`, or, if `None`, the output of the last hash.
    #[track_caller]
    pub fn level(&mut self, node: Option<Cell>, children: [Input; 4]) -> Cell {
        self.permutations.level(&mut self.trace, node, children);
        self.permutations.output()
    }

    /// Ties a public input to the cell that determines it.
    #[track_caller]
    pub fn publish(&mut self, target: Cell, cell: Cell) {
        let value = self.trace.written(0, self.value(cell));
        self.trace.set(target.column, target.row, value);
        self.equal(target, cell);
    }

    /// A sponge; returns output and input cells.
    #[track_caller]
    pub fn sponge(&mut self, purpose: gridveil_protocol::poseidon::DomainTag, inputs: &[Input]) -> (Cell, Vec<Cell>) {
        let tag = Fr::from(((purpose as u64) << 32) + inputs.len() as u64);
        self.permutations.sponge(&mut self.trace, tag, inputs)
    }

    /// Root of a dense tree.
    #[track_caller]
    pub fn dense_root(&mut self, leaves: &[Cell]) -> Cell {
        let inputs: Vec<Input> = leaves.iter().map(|leaf| Input::Copy(*leaf)).collect();
        self.dense_root_of(&inputs).0
    }

    /// Root of a dense tree over two or more inputs, and the leaves' cells.
    #[track_caller]
    pub fn dense_root_of(&mut self, leaves: &[Input]) -> (Cell, Vec<Cell>) {
        let (mut level, mut cells) = (Vec::new(), Vec::with_capacity(leaves.len()));
        for chunk in leaves.chunks(4) {
            let (node, inputs) = self.hash4(std::array::from_fn(|j| chunk.get(j).copied().unwrap_or(Input::Zero)));
            level.push(node);
            cells.extend(inputs.into_iter().take(chunk.len()));
        }
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(4));
            for nodes in level.chunks(4) {
                let child = |j: usize| nodes.get(j).map_or(Input::Zero, |cell| Input::Copy(*cell));
                above.push(self.hash4(std::array::from_fn(child)).0);
            }
            level = above;
        }
        (level.first().copied().unwrap_or(self.zero), cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_canonical_values() {
        let x = power(200) + Fr::from(0xabcd_u64);
        assert_eq!(bits(&limbs(x), 0, 16), 0xabcd);
        assert_eq!(bits(&limbs(x), 196, 8), 16);
    }
}
