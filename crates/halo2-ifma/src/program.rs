//! Polynomial identities as straight-line programs over eight rows at a time.
//!
//! Expressions become a graph in which equal subexpressions are one node ([`graph`]); weighted sums of them are rewritten
//! for fewer products ([`combine`]); the graph becomes instructions over a small file of registers ([`compile`]), which
//! stays in the nearest cache. Every node carries the bound of its values (in units of p, see [`crate::lanes`]), and
//! reductions are inserted where a bound would be passed.

mod combine;
mod compile;
mod graph;
#[cfg(test)]
mod tests;

use halo2curves::bn256::Fr;
use rayon::prelude::*;

use crate::{
    fft::{TASK, Values, splats},
    lanes::{Ifma, LANES, LIMBS, Lanes, Packed},
};

pub use graph::{Graph, Node, Source};

/// A column and a rotation in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Index into the columns a program runs over.
    pub column: usize,
    /// Rows ahead.
    pub rotation: i32,
}

#[derive(Clone, Copy, Debug)]
enum Instruction {
    Load { to: u32, query: Query },
    Add { to: u32, a: u32, b: u32 },
    Sub { to: u32, a: u32, b: u32, log: u32 },
    Mul { to: u32, a: u32, b: u32 },
    Reduce { to: u32, a: u32 },
}

/// Instructions, constants and how many registers they need.
#[derive(Debug)]
pub struct Program {
    instructions: Vec<Instruction>,
    constants: Vec<Fr>,
    registers: usize,
    output: u32,
}

impl Program {
    /// Instructions, products among them, and registers beside the constants.
    #[must_use]
    pub fn size(&self) -> [usize; 3] {
        let products =
            self.instructions.iter().filter(|instruction| matches!(instruction, Instruction::Mul { .. })).count();
        [self.instructions.len(), products, self.registers]
    }

    /// Runs over all rows of `columns` (each below 2 p, all of one length). The results are below 2 p.
    #[must_use]
    pub fn run(&self, ifma: Ifma, columns: &[&[Packed<Fr>]]) -> Values {
        let blocks = columns.first().map_or(0, |column| column.len());
        assert!(blocks.is_power_of_two() && blocks >= PAIR && columns.iter().all(|column| column.len() == blocks));
        let mut out = vec![Packed::ZERO; blocks];
        let constants: Vec<[u64; LIMBS]> = splats(ifma, &self.constants).into_iter().map(Lanes::first).collect();
        out.par_chunks_mut(TASK).enumerate().for_each_init(
            || vec![[Lanes::ZERO; PAIR]; self.registers],
            // SAFETY: `ifma` says that the processor has the instructions.
            |registers, (task, out)| unsafe { self.task(&constants, columns, registers, out, task * TASK) },
        );
        out
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn task(
        &self,
        constants: &[[u64; LIMBS]],
        columns: &[&[Packed<Fr>]],
        registers: &mut [[Lanes<Fr>; PAIR]],
        out: &mut [Packed<Fr>],
        first: usize,
    ) {
        for (pair, out) in out.as_chunks_mut::<PAIR>().0.iter_mut().enumerate() {
            let block = first + PAIR * pair;
            for instruction in &self.instructions {
                match *instruction {
                    Instruction::Load { to, query } => {
                        registers[to as usize] = [
                            rotated(columns[query.column], block, query.rotation),
                            rotated(columns[query.column], block + 1, query.rotation),
                        ];
                    }
                    Instruction::Add { to, a, b } => {
                        let ([a0, a1], [b0, b1]) = (operand(constants, registers, a), operand(constants, registers, b));
                        registers[to as usize] = [a0.add(b0), a1.add(b1)];
                    }
                    Instruction::Sub { to, a, b, log } => {
                        let ([a0, a1], [b0, b1]) = (operand(constants, registers, a), operand(constants, registers, b));
                        registers[to as usize] = [a0.sub_log(b0, log), a1.sub_log(b1, log)];
                    }
                    Instruction::Mul { to, a, b } => {
                        let ([a0, a1], [b0, b1]) = (operand(constants, registers, a), operand(constants, registers, b));
                        registers[to as usize] = [a0.mul(b0), a1.mul(b1)];
                    }
                    Instruction::Reduce { to, a } => {
                        let [a0, a1] = operand(constants, registers, a);
                        registers[to as usize] = [a0.nearly_reduced(), a1.nearly_reduced()];
                    }
                }
            }
            *out = operand(constants, registers, self.output).map(|lanes| Packed::new(lanes.nearly_reduced()));
        }
    }
}

/// Blocks an instruction works on: two, so that one's products fill the waits of the other's.
const PAIR: usize = 2;

/// A register, or (the indices from [`CONSTANTS`] on) a constant.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn operand(constants: &[[u64; LIMBS]], registers: &[[Lanes<Fr>; PAIR]], index: u32) -> [Lanes<Fr>; PAIR] {
    if index < CONSTANTS {
        registers[index as usize]
    } else {
        [Lanes::broadcast(&constants[(index - CONSTANTS) as usize]); PAIR]
    }
}

/// Operands from here on are constants.
const CONSTANTS: u32 = 1 << 31;

/// Eight values of a column, `rotation` rows ahead of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn rotated(column: &[Packed<Fr>], block: usize, rotation: i32) -> Lanes<Fr> {
    // Lengths are powers of two, so that a negative rotation wraps by masking.
    let mask = column.len() - 1;
    let (ahead, shift) =
        (rotation.div_euclid(LANES as i32) as isize as usize, rotation.rem_euclid(LANES as i32) as usize);
    let place = block.wrapping_add(ahead) & mask;
    let packed =
        if shift == 0 { column[place] } else { column[place].window(column[place.wrapping_add(1) & mask], shift) };
    packed.lanes()
}
