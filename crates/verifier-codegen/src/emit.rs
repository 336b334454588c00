//! From the recorded program to a Yul object.
//!
//! Memory, from low addresses: the hottest cells (one-byte addresses), scratch of the precompile calls, the other
//! cells, the transcript (each segment preceded by a word for the previous hash), and the pool: the pairing input's
//! constants, the key's commitments and the field constants used more than once, brought in by one `datacopy`.
//!
//! A value used once is nested into the expression that uses it; expressions are cut where the EVM stack would get too
//! deep. Sums are lazy: a value carries a bound `k` (it is at most `k` times the modulus, `k <= 5 < 2^256 / r`), and is
//! reduced only by `mulmod`, or by `addmod` when the bound would overflow or a subtraction needs the canonical value.

mod body;
mod expression;
mod memory;
mod object;
mod sums;

use crate::{
    CodegenError,
    program::{Id, Op, Point, Program},
};

use body::Body;
use expression::Emitter;
use memory::Memory;
use sums::Sum;

/// Most values kept in stack variables besides the modulus.
pub(crate) const STACK_VARIABLES: usize = 5;

const SCALAR_MODULUS: &str = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
const BASE_MODULUS: &str = "0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";

/// The pairing's two G2 points, each `x.c1, x.c0, y.c1, y.c0`, big-endian words.
pub(crate) struct PairingConstants {
    pub g2: [[u8; 32]; 4],
    pub minus_s_g2: [[u8; 32]; 4],
}

/// A Yul object and what went into it.
pub(crate) struct Emitted {
    pub yul: String,
    pub calldata_bytes: usize,
    pub pool_bytes: usize,
    pub multiplications: usize,
    pub additions: usize,
    pub cells: usize,
}

fn big_endian(bytes: &[u8; 32]) -> [u8; 32] {
    let mut out = *bytes;
    out.reverse();
    out
}

/// Writes the Yul object for the check `e(lhs, g2) e(rhs, -s g2) = 1`, with at most [`STACK_VARIABLES`] variables.
pub(crate) fn emit(
    program: &Program,
    name: &str,
    (lhs, rhs): (Point, Point),
    pairing: &PairingConstants,
    stack_variables: usize,
) -> Result<Emitted, CodegenError> {
    if let Some(fault) = program.fault {
        return Err(CodegenError::Unsupported(fault));
    }
    let Some(initial_state) = program.initial_state else {
        return Err(CodegenError::Unsupported("a transcript without an initial state"));
    };
    let (lhs, rhs) = (Sum::of(program, lhs)?, Sum::of(program, rhs)?);
    let written = sums::written(lhs.runs.iter().chain(&rhs.runs));
    let (mut emitter, uses) = Emitter::new(program, &written, stack_variables);
    let by_heat = emitter.by_heat(&written);
    let variables: Vec<Id> = by_heat.iter().take(stack_variables).map(|(id, _)| *id).collect();
    let mut memory = Memory::new(&mut emitter, &by_heat, &variables);
    memory.fill(&mut emitter, pairing, &key_order(&lhs, &rhs), &rhs.terms)?;

    let mut body = Body { emitter: &emitter, memory: &memory, out: String::new() };
    body.checks();
    body.transcript(&initial_state);
    body.cells(&variables)?;
    // The right side first where it needs a sum: its place in the pairing input still holds a key point.
    let right = match rhs.single(program) {
        Some(point) => memory.locate(point)?,
        None => {
            body.accumulate(&rhs.runs)?;
            body.save()
        }
    };
    body.accumulate(&lhs.runs)?;
    body.pairing(right);

    if memory.end() + 0x40 > 0xffff {
        return Err(CodegenError::Unsupported("more than 64 KiB of memory"));
    }
    let live = |wanted: fn(&Op) -> bool| {
        (0..program.nodes.len()).filter(|id| uses[*id] > 0 && wanted(&program.nodes[*id])).count()
    };
    Ok(Emitted {
        yul: object::object(name, &body.out, &memory.pool),
        calldata_bytes: 0x20 * program.words.len(),
        pool_bytes: 0x20 * memory.pool.len(),
        multiplications: live(|op| matches!(op, Op::Mul(..))),
        additions: live(|op| matches!(op, Op::Add(..) | Op::Sub(..) | Op::Neg(_))),
        cells: emitter.cells().len(),
    })
}

/// The terms of both sides, run by run: the order in which the key's points lie in the pool, so that a run's points lie
/// side by side.
fn key_order(lhs: &Sum, rhs: &Sum) -> Vec<(Id, Point)> {
    lhs.runs.iter().chain(&rhs.runs).flat_map(|run| &run.terms).copied().collect()
}
