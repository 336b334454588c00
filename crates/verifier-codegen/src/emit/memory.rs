//! Where everything lies in the verifier's memory.

use std::collections::HashMap;

use super::{
    PairingConstants, big_endian,
    expression::{Emitter, Form, Home},
};
use crate::{
    CodegenError,
    program::{Id, Op, Point, Program},
};

/// Scratch of the precompile calls, after eight cells with one-byte addresses.
pub(super) const SCRATCH: usize = 0x100;
const HOT_CELLS: usize = SCRATCH / 0x20;
const SCRATCH_BYTES: usize = 0xc0;

/// Start of each segment's hash input, and the memory address of each calldata word.
pub(super) struct TranscriptLayout {
    pub bases: Vec<usize>,
    pub words: Vec<usize>,
    /// `(memory, calldata, bytes)` to copy.
    pub copies: Vec<(usize, usize, usize)>,
    pub end: usize,
}

fn transcript_layout(program: &Program, start: usize) -> TranscriptLayout {
    let total = program.words.len();
    let mut layout = TranscriptLayout { bases: Vec::new(), words: vec![0; total], copies: Vec::new(), end: start };
    let tail = program.segments.last().map_or(0, |segment| segment.end as usize);
    let ranges = program.segments.iter().map(|s| (s.start as usize, s.end as usize)).chain([(tail, total)]);
    for (from, to) in ranges {
        layout.bases.push(layout.end);
        let data = layout.end + 0x20;
        for word in from..to {
            layout.words[word] = data + 0x20 * (word - from);
        }
        if to > from {
            layout.copies.push((data, 0x20 * from, 0x20 * (to - from)));
        }
        // An empty segment hashes one more byte.
        layout.end = data + 0x20 * (to - from).max(1);
    }
    layout
}

/// Places of the cells, the transcript, the pairing's input and the pool.
pub(super) struct Memory {
    pub transcript: TranscriptLayout,
    /// The pairing's input. Its left point comes first.
    pub pairing: usize,
    /// The pairing's right point, in the middle of the pool.
    pub right: usize,
    /// The constants that one `datacopy` brings in.
    pub pool_at: usize,
    pub pool: Vec<[u8; 32]>,
    /// The key's points in the pool.
    points: HashMap<Point, usize>,
}

impl Memory {
    /// Gives every cell, word and constant a home: the most read ones in stack variables, the next at the lowest
    /// addresses.
    pub(super) fn new(emitter: &mut Emitter<'_>, by_heat: &[(Id, usize)], variables: &[Id]) -> Self {
        for (index, id) in variables.iter().enumerate() {
            emitter.home.insert(*id, Home::Variable(index));
        }
        let mut hot: Vec<Id> = by_heat
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| emitter.form[*id as usize] == Form::Cell && !variables.contains(id))
            .collect();
        let cold = hot.split_off(hot.len().min(HOT_CELLS));
        for (index, id) in hot.iter().enumerate() {
            emitter.home.insert(*id, Home::Memory(0x20 * index));
        }
        let mut next = SCRATCH + SCRATCH_BYTES;
        for id in &cold {
            emitter.home.insert(*id, Home::Memory(next));
            next += 0x20;
        }
        let transcript = transcript_layout(emitter.program, next);
        for id in 0..emitter.program.nodes.len() as Id {
            if let Op::Word(word) = emitter.program.op(id) {
                emitter.home.entry(id).or_insert(Home::Memory(transcript.words[word as usize]));
            }
        }
        let pairing = transcript.end;
        let (right, pool_at) = (pairing + 0x40 + 0x80, pairing + 0x40);
        Self { transcript, pairing, right, pool_at, pool: Vec::new(), points: HashMap::new() }
    }

    /// Fills the pool: g2, one key point in the place of the pairing's right point, -s g2, the other key points,
    /// constants. `terms` are those of both sides.
    ///
    /// # Errors
    /// [`CodegenError::Unsupported`] if there is no key point for that place, or the right side reads it.
    pub(super) fn fill(
        &mut self,
        emitter: &mut Emitter<'_>,
        pairing: &PairingConstants,
        terms: &[(Id, Point)],
        right: &[(Id, Point)],
    ) -> Result<(), CodegenError> {
        let mut key_points: Vec<([u8; 32], [u8; 32])> = Vec::new();
        for (_, base) in terms {
            if let Point::Const(x, y) = base
                && !key_points.contains(&(*x, *y))
            {
                key_points.push((*x, *y));
            }
        }
        let right_has_key_point = right.iter().any(|(_, base)| matches!(base, Point::Const(..)));
        if key_points.is_empty() || right_has_key_point {
            return Err(CodegenError::Unsupported("a circuit without fixed columns, or a key point on the right side"));
        }
        self.pool.extend(pairing.g2);
        for (index, (x, y)) in key_points.iter().enumerate() {
            self.points.insert(Point::Const(*x, *y), self.end());
            self.pool.push(big_endian(x));
            self.pool.push(big_endian(y));
            if index == 0 {
                self.pool.extend(pairing.minus_s_g2);
            }
        }
        for id in 0..emitter.program.nodes.len() as Id {
            if let (Form::Pooled, Op::Const(bytes)) = (emitter.form[id as usize], emitter.program.op(id))
                && !emitter.home.contains_key(&id)
            {
                emitter.home.insert(id, Home::Memory(self.end()));
                self.pool.push(big_endian(&bytes));
            }
        }
        Ok(())
    }

    /// After the pool.
    pub(super) fn end(&self) -> usize {
        self.pool_at + 0x20 * self.pool.len()
    }

    /// Where a point lies.
    ///
    /// # Errors
    /// [`CodegenError::Unsupported`] if it is nowhere.
    pub(super) fn locate(&self, point: Point) -> Result<usize, CodegenError> {
        match point {
            Point::Calldata(word) => Ok(self.transcript.words[word as usize]),
            Point::Const(..) | Point::Identity | Point::Msm(_) => {
                let nested = CodegenError::Unsupported("a nested multi-scalar multiplication");
                self.points.get(&point).copied().ok_or(nested)
            }
        }
    }
}
