//! Records of a settlement: a hash chain that unused ones skip, and further words of the data polynomial (OP.10,
//! OP.11).

use gridveil_protocol::record::{EXTRA_SHIFT, UNITS_SHIFT};
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::poseidon::Input,
    gadgets::{Builder, power},
    trace::Cell,
};

/// One record, seen by L1 if `visible` is 1.
#[derive(Clone, Copy, Debug)]
struct RecordCells {
    visible: Cell,
    words: [Cell; 2],
}

/// The chain so far.
#[derive(Debug)]
pub struct Records {
    digest: Cell,
    all: Vec<RecordCells>,
}

impl Records {
    /// No records.
    #[must_use]
    pub const fn new(zero: Cell) -> Self {
        Self { digest: zero, all: Vec::new() }
    }

    /// Adds a record: 2 rows of the block.
    pub fn push(&mut self, b: &mut Builder, visible: Cell, words: [Cell; 2]) {
        b.set_clause("OP.10");
        let [w0, w1] = words.map(Input::Copy);
        let (absorbed, _) = b.hash4([Input::Copy(self.digest), w0, w1, Input::Zero]);
        self.digest = b.select(visible, absorbed, self.digest);
        self.all.push(RecordCells { visible, words });
    }

    /// `ops_digest`.
    #[must_use]
    pub const fn digest(&self) -> Cell {
        self.digest
    }

    /// Horner's rule over the words of the visible records, from the last one on: 4 rows a record, in a block of its
    /// own.
    pub fn evaluate(&self, b: &mut Builder, z: Cell) -> Cell {
        b.block(4 * self.all.len());
        b.set_clause("OP.11");
        let mut y = b.zero();
        for record in self.all.iter().rev() {
            let [w0, w1] = record.words;
            let with_w1 = b.mul_add(Fr::ONE, y, z, Fr::ONE, w1);
            let with_both = b.mul_add(Fr::ONE, with_w1, z, Fr::ONE, w0);
            y = b.select(record.visible, with_both, y);
        }
        y
    }
}

/// `code + units 2^8 + extra 2^56`.
pub fn first_word(b: &mut Builder, code: Cell, units: Cell, extra: Cell) -> Cell {
    b.linear(&[(Fr::ONE, code), (power(UNITS_SHIFT), units), (power(EXTRA_SHIFT), extra)], Fr::ZERO)
}
