//! The statements of the runtime code, in order.

use std::fmt::Write;

use super::{
    SCALAR_MODULUS, big_endian,
    expression::{Emitter, Form, Home},
    memory::{Memory, SCRATCH},
    sums::{Run, is_one},
};
use crate::{
    CodegenError,
    program::{Id, Op, WordKind},
};

/// Ranges of equal word kind, in bytes of calldata.
fn runs(words: &[WordKind]) -> Vec<(WordKind, usize, usize)> {
    let mut runs: Vec<(WordKind, usize, usize)> = Vec::new();
    for (index, kind) in words.iter().enumerate() {
        match runs.last_mut() {
            Some((last, _, end)) if last == kind => *end = 0x20 * (index + 1),
            _ => runs.push((*kind, 0x20 * index, 0x20 * (index + 1))),
        }
    }
    runs
}

/// Statements so far, and what they are written from.
pub(super) struct Body<'a> {
    pub emitter: &'a Emitter<'a>,
    pub memory: &'a Memory,
    pub out: String,
}

impl Body<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "      {}", text.as_ref());
    }

    /// The length of the calldata, the modulus, the pool, and the check of every word.
    pub(super) fn checks(&mut self) {
        let words = &self.emitter.program.words;
        self.line(format!("if iszero(eq(calldatasize(), {:#x})) {{ revert(0, 0) }}", 0x20 * words.len()));
        self.line(format!("let q := {SCALAR_MODULUS}"));
        self.line(format!("datacopy({:#x}, dataoffset(\"pool\"), datasize(\"pool\"))", self.memory.pool_at));
        for (kind, start, end) in runs(words) {
            self.line(match kind {
                WordKind::Coordinate => format!("check_points({start:#x}, {end:#x})"),
                WordKind::Scalar => format!("check_scalars(q, {start:#x}, {end:#x})"),
            });
        }
    }

    /// The transcript's hashes, each into the first word of the next segment.
    pub(super) fn transcript(&mut self, initial_state: &[u8; 32]) {
        let (memory, program) = (self.memory, self.emitter.program);
        let transcript = &memory.transcript;
        let state = hex::encode(big_endian(initial_state));
        self.line(format!("mstore({:#x}, 0x{state})", transcript.bases[0]));
        for (memory, calldata, bytes) in &transcript.copies {
            self.line(format!("calldatacopy({memory:#x}, {calldata:#x}, {bytes:#x})"));
        }
        for (index, segment) in program.segments.iter().enumerate() {
            let (base, next) = (transcript.bases[index], transcript.bases[index + 1]);
            let words = (segment.end - segment.start) as usize;
            let bytes = if words == 0 {
                self.line(format!("mstore8({:#x}, 1)", base + 0x20));
                0x21
            } else {
                0x20 * (words + 1)
            };
            self.line(format!("mstore({next:#x}, keccak256({base:#x}, {bytes:#x}))"));
        }
    }

    /// Every value that is computed once.
    ///
    /// # Errors
    /// [`CodegenError::Unsupported`] if one has no place.
    pub(super) fn cells(&mut self, variables: &[Id]) -> Result<(), CodegenError> {
        let (emitter, transcript) = (self.emitter, &self.memory.transcript);
        for id in 0..emitter.program.nodes.len() as Id {
            let op = emitter.program.op(id);
            let text = match (emitter.form[id as usize], op) {
                (Form::Cell, Op::Challenge(index)) => {
                    format!("mod(mload({:#x}), q)", transcript.bases[index as usize + 1])
                }
                (Form::Cell, _) => emitter.definition(id),
                (Form::Word, Op::Word(word)) if variables.contains(&id) => {
                    format!("mload({:#x})", transcript.words[word as usize])
                }
                (Form::Pooled, Op::Const(_)) if variables.contains(&id) => emitter.definition(id),
                _ => continue,
            };
            match emitter.home.get(&id) {
                Some(Home::Variable(index)) => self.line(format!("let v{index} := {text}")),
                Some(Home::Memory(at)) => self.line(format!("mstore({at:#x}, {text})")),
                None => return Err(CodegenError::Unsupported("a value without a place")),
            }
        }
        Ok(())
    }

    /// Adds up a sum in the scratch.
    ///
    /// # Errors
    /// [`CodegenError::Unsupported`] if a point has no place.
    pub(super) fn accumulate(&mut self, runs: &[Run]) -> Result<(), CodegenError> {
        let (emitter, memory) = (self.emitter, self.memory);
        // A term with the coefficient one starts the sum: it leads its run.
        let first = runs.iter().position(|run| is_one(emitter.program, run.terms[0].0));
        match first {
            Some(index) => {
                self.line(format!("mcopy({SCRATCH:#x}, {:#x}, 0x40)", memory.locate(runs[index].terms[0].1)?));
            }
            None => self.line(format!("calldatacopy({SCRATCH:#x}, calldatasize(), 0x40)")),
        }
        for (index, run) in runs.iter().enumerate() {
            let places = run.terms.iter().map(|(_, point)| memory.locate(*point)).collect::<Result<Vec<_>, _>>()?;
            let starts = Some(index) == first;
            match run.ratio {
                Some(ratio) => self.run(run, &places, &emitter.value(ratio), starts),
                None if starts => {}
                None => self.line(format!("term({:#x}, {})", places[0], emitter.value(run.terms[0].0))),
            }
        }
        Ok(())
    }

    /// The terms of one run; the first is there already if the run starts the sum.
    fn run(&mut self, run: &Run, places: &[usize], ratio: &str, starts: bool) {
        let mut rest = places;
        if starts {
            self.line(format!("{{ let s := {ratio}"));
            rest = &rest[1..];
        } else {
            self.line(format!("{{ let s := {}", self.emitter.value(run.terms[0].0)));
        }
        while let Some(start) = rest.first() {
            let consecutive = rest.iter().enumerate().take_while(|(i, at)| **at == start + 0x40 * i).count();
            if consecutive >= 4 {
                let end = start + 0x40 * consecutive;
                self.line(format!(
                    "for {{ let at := {start:#x} }} lt(at, {end:#x}) {{ at := add(at, 0x40) }} {{ term(at, s) s := mulmod(s, {ratio}, q) }}"
                ));
                rest = &rest[consecutive..];
            } else {
                let last = rest.len() == 1;
                self.line(if last {
                    format!("term({start:#x}, s)")
                } else {
                    format!("term({start:#x}, s) s := mulmod(s, {ratio}, q)")
                });
                rest = &rest[1..];
            }
        }
        self.line("}");
    }

    /// Keeps the sum in the scratch after the pool; returns the place.
    pub(super) fn save(&mut self) -> usize {
        let save = self.memory.end();
        self.line(format!("mcopy({save:#x}, {SCRATCH:#x}, 0x40)"));
        save
    }

    /// The pairing of the sum in the scratch and the point at `right`, and the answer.
    pub(super) fn pairing(&mut self, right: usize) {
        let at = self.memory.pairing;
        self.line(format!("mcopy({at:#x}, {SCRATCH:#x}, 0x40)"));
        self.line(format!("mcopy({:#x}, {right:#x}, 0x40)", self.memory.right));
        self.line(format!("if iszero(staticcall(gas(), 8, {at:#x}, 0x180, 0, 0x20)) {{ revert(0, 0) }}"));
        self.line("if iszero(eq(mload(0), 1)) { revert(0, 0) }");
        self.line("return(0, 0x20)");
    }
}
