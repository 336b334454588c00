//! From the recorded program to a Yul object.
//!
//! Memory, from low addresses: the hottest cells (one-byte addresses), scratch of the precompile calls, the other
//! cells, the transcript (each segment preceded by a word for the previous hash), and the pool: the pairing input's
//! constants, the key's commitments and the field constants used more than once, brought in by one `datacopy`.
//!
//! A value used once is nested into the expression that uses it; expressions are cut where the EVM stack would get too
//! deep. Sums are lazy: a value carries a bound `k` (it is at most `k` times the modulus, `k <= 5 < 2^256 / r`), and is
//! reduced only by `mulmod`, or by `addmod` when the bound would overflow or a subtraction needs the canonical value.

use std::collections::HashMap;
use std::fmt::Write;

use halo2curves::bn256::Fr;
use halo2curves::ff::PrimeField;

use super::CodegenError;
use super::program::{Id, Op, Point, Program, WordKind};
use super::simplify::{Factors, Monomial};

/// Most values kept in stack variables besides the modulus.
pub(super) const STACK_VARIABLES: usize = 5;

/// Stack slots one expression may take: 16 reachable, less the variables and a return label.
const fn max_need(variables: usize) -> usize {
    15 - variables
}

/// Largest multiple of the modulus that fits 256 bits.
const MAX_BOUND: u8 = 5;
/// An expression used twice is written twice if it takes at most this many bytes.
const DUPLICATE_BYTES: usize = 10;

const SCALAR_MODULUS: &str = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
const BASE_MODULUS: &str = "0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";

/// The pairing's two G2 points, each `x.c1, x.c0, y.c1, y.c0`, big-endian words.
pub(super) struct PairingConstants {
    pub g2: [[u8; 32]; 4],
    pub minus_s_g2: [[u8; 32]; 4],
}

/// A Yul object and what went into it.
pub(super) struct Emitted {
    pub yul: String,
    pub calldata_bytes: usize,
    pub pool_bytes: usize,
    pub multiplications: usize,
    pub additions: usize,
    pub cells: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Dead,
    /// Written where it is used.
    Inline,
    /// Computed once into memory or a stack variable.
    Cell,
    /// Constant in the pool.
    Pooled,
    /// Word of the transcript.
    Word,
}

#[derive(Clone, Copy, Debug)]
enum Home {
    Memory(usize),
    Variable(usize),
}

struct Emitter<'a> {
    program: &'a Program,
    form: Vec<Form>,
    need: Vec<usize>,
    bytes: Vec<usize>,
    bound: Vec<u8>,
    must_reduce: Vec<bool>,
    /// Constants written as the negative of another one.
    negatives: HashMap<Id, Id>,
    home: HashMap<Id, Home>,
    max_need: usize,
}

fn big_endian(bytes: &[u8; 32]) -> [u8; 32] {
    let mut out = *bytes;
    out.reverse();
    out
}

fn short_hex(bytes: &[u8; 32]) -> (String, usize) {
    let big = big_endian(bytes);
    let start = big.iter().position(|byte| *byte != 0).unwrap_or(31);
    let text = hex::encode(&big[start..]);
    (format!("0x{text}"), 32 - start)
}

/// How an inline constant is written: itself, or its distance below the modulus.
fn constant_text(bytes: &[u8; 32]) -> (String, usize, usize) {
    let (plain, plain_len) = short_hex(bytes);
    let value: Option<Fr> = Fr::from_repr(*bytes).into();
    let (minus, minus_len) = short_hex(&(-value.unwrap_or_default()).to_repr());
    let plain_bytes = if plain == "0x00" { 1 } else { plain_len + 1 };
    if minus_len + 3 < plain_bytes { (format!("sub(q, {minus})"), minus_len + 3, 2) } else { (plain, plain_bytes, 1) }
}

impl Emitter<'_> {
    fn is_leaf(&self, id: Id) -> bool {
        self.form[id as usize] != Form::Inline || matches!(self.program.op(id), Op::Const(_))
    }

    fn leaf_need(&self, id: Id) -> usize {
        if self.form[id as usize] == Form::Inline { self.need[id as usize] } else { 1 }
    }

    fn leaf_bytes(&self, id: Id) -> usize {
        if self.form[id as usize] == Form::Inline { self.bytes[id as usize] } else { 4 }
    }

    /// The two operands, the deeper one last: the EVM evaluates the last argument first.
    fn ordered(&self, a: Id, b: Id) -> (Id, Id) {
        if self.leaf_need(a) > self.leaf_need(b) { (b, a) } else { (a, b) }
    }

    fn sub_need(&self, b: Id) -> usize {
        self.leaf_need(b).max(2)
    }

    /// True if the sum at `id` stays unreduced, and the bound it gets.
    fn sum_bound(&self, id: Id) -> (bool, u8) {
        let total = match self.program.op(id) {
            Op::Add(a, b) => self.bound[a as usize] + self.bound[b as usize],
            Op::Sub(a, _) => self.bound[a as usize] + 1,
            _ => 1,
        };
        let lazy = total <= MAX_BOUND && !self.must_reduce[id as usize];
        (lazy, if lazy { total } else { 1 })
    }

    fn measure(&mut self, id: Id) {
        let index = id as usize;
        let (need, bytes, bound) = match self.program.op(id) {
            Op::Const(_) if self.negatives.contains_key(&id) => (2, 6, 1),
            Op::Const(value) => {
                let (_, bytes, need) = constant_text(&value);
                (need, bytes, 1)
            }
            Op::Word(_) | Op::Challenge(_) => (1, 4, 1),
            Op::Mul(a, b) => {
                let (first, second) = self.ordered(a, b);
                let need = (1 + self.leaf_need(second)).max(2 + self.leaf_need(first));
                (need, 2 + self.leaf_bytes(a) + self.leaf_bytes(b), 1)
            }
            Op::Add(a, b) => {
                let (first, second) = self.ordered(a, b);
                let (lazy, bound) = self.sum_bound(id);
                let extra = usize::from(!lazy);
                let need = self.leaf_need(second).max(1 + self.leaf_need(first)) + extra;
                (need, 1 + extra + self.leaf_bytes(a) + self.leaf_bytes(b), bound)
            }
            Op::Sub(a, b) => {
                let (lazy, bound) = self.sum_bound(id);
                let extra = usize::from(!lazy);
                let (x, y) = (self.leaf_need(a), self.sub_need(b));
                let need = x.max(y).max(1 + x.min(y)) + extra;
                (need, 3 + extra + self.leaf_bytes(a) + self.leaf_bytes(b), bound)
            }
            Op::Neg(a) => (self.sub_need(a), 2 + self.leaf_bytes(a), 1),
            Op::Inv(a) => (1 + self.leaf_need(a), 10, 1),
        };
        self.need[index] = need;
        self.bytes[index] = bytes;
        self.bound[index] = bound;
    }

    /// Decides for every live node where it is computed.
    fn plan(&mut self, uses: &[usize]) {
        for id in 0..self.program.nodes.len() as Id {
            let index = id as usize;
            if uses[index] == 0 {
                continue;
            }
            self.measure(id);
            while self.need[index] > self.max_need {
                let deepest =
                    self.program.op(id).operands().filter(|a| !self.is_leaf(*a)).max_by_key(|a| self.need[*a as usize]);
                let Some(deepest) = deepest else { break };
                self.form[deepest as usize] = Form::Cell;
                self.measure(id);
            }
            self.form[index] = match self.program.op(id) {
                Op::Const(_) if self.negatives.contains_key(&id) => Form::Inline,
                Op::Const(_) => {
                    if uses[index] * self.bytes[index] > 32 + 4 * uses[index] {
                        Form::Pooled
                    } else {
                        Form::Inline
                    }
                }
                Op::Word(_) => Form::Word,
                Op::Challenge(_) | Op::Inv(_) => Form::Cell,
                _ if uses[index] == 1 => Form::Inline,
                _ if uses[index] == 2 && self.bytes[index] <= DUPLICATE_BYTES => Form::Inline,
                _ => Form::Cell,
            };
        }
    }

    /// Counts how often each value with a home is read by the code for `id`.
    fn count(&self, id: Id, counts: &mut HashMap<Id, usize>) {
        if self.form[id as usize] == Form::Inline {
            if let Some(positive) = self.negatives.get(&id) {
                self.count(*positive, counts);
            }
            for operand in self.program.op(id).operands() {
                self.count(operand, counts);
            }
        } else {
            *counts.entry(id).or_default() += 1;
        }
    }

    fn count_definition(&self, id: Id, counts: &mut HashMap<Id, usize>) {
        for operand in self.program.op(id).operands() {
            self.count(operand, counts);
        }
    }

    /// The value of `id` where it is used.
    fn value(&self, id: Id) -> String {
        if self.form[id as usize] == Form::Inline {
            return self.definition(id);
        }
        match self.home.get(&id) {
            Some(Home::Variable(index)) => format!("v{index}"),
            Some(Home::Memory(at)) => format!("mload({at:#x})"),
            None => format!("unplaced_{id}"),
        }
    }

    /// The expression that computes `id`.
    fn definition(&self, id: Id) -> String {
        match self.program.op(id) {
            Op::Const(value) => match self.negatives.get(&id) {
                Some(positive) => format!("sub(q, {})", self.value(*positive)),
                None => constant_text(&value).0,
            },
            Op::Mul(a, b) => {
                let (first, second) = self.ordered(a, b);
                format!("mulmod({}, {}, q)", self.value(first), self.value(second))
            }
            Op::Add(a, b) => {
                let (first, second) = self.ordered(a, b);
                let (first, second) = (self.value(first), self.value(second));
                if self.sum_bound(id).0 {
                    format!("add({first}, {second})")
                } else {
                    format!("addmod({first}, {second}, q)")
                }
            }
            Op::Sub(a, b) => {
                let minus = format!("sub(q, {})", self.value(b));
                let plus = self.value(a);
                let (first, second) = if self.leaf_need(a) > self.sub_need(b) { (minus, plus) } else { (plus, minus) };
                if self.sum_bound(id).0 {
                    format!("add({first}, {second})")
                } else {
                    format!("addmod({first}, {second}, q)")
                }
            }
            Op::Neg(a) => format!("sub(q, {})", self.value(a)),
            Op::Inv(a) => format!("invert(q, {})", self.value(a)),
            Op::Word(_) | Op::Challenge(_) => format!("unplaced_{id}"),
        }
    }
}

/// Start of each segment's hash input, and the memory address of each calldata word.
struct TranscriptLayout {
    bases: Vec<usize>,
    words: Vec<usize>,
    /// `(memory, calldata, bytes)` to copy.
    copies: Vec<(usize, usize, usize)>,
    end: usize,
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

/// Terms of a sum whose scalars form a geometric progression in a challenge.
struct Run {
    terms: Vec<(Id, Point)>,
    /// The challenge; `None` for a single term.
    ratio: Option<Id>,
}

/// Orders the terms of a sum in runs: the opening's scalars are powers of the batching challenge within each set.
fn geometric_runs(program: &Program, terms: &[(Id, Point)]) -> Vec<Run> {
    let mut factors = Factors::new(program);
    let mut monomials: Vec<Monomial> = terms.iter().map(|(scalar, _)| factors.monomial(program, *scalar)).collect();
    for monomial in &mut monomials {
        monomial.retain(|atom, _| !is_one(program, *atom));
    }
    let challenges: Vec<Id> =
        (0..program.nodes.len() as Id).filter(|id| matches!(program.op(*id), Op::Challenge(_))).collect();
    let index_of: HashMap<&Monomial, usize> =
        monomials.iter().enumerate().map(|(index, monomial)| (monomial, index)).collect();
    let mut taken = vec![false; terms.len()];
    let mut runs: Vec<Run> = Vec::new();
    let best_for = |start: usize, taken: &[bool]| -> (usize, Option<Id>, Vec<usize>) {
        let mut best = (1, None, vec![start]);
        for challenge in &challenges {
            let mut chain = vec![start];
            let mut at = monomials[start].clone();
            loop {
                *at.entry(*challenge).or_default() += 1;
                match index_of.get(&at) {
                    Some(next) if !taken[*next] && !chain.contains(next) => chain.push(*next),
                    _ => break,
                }
            }
            if chain.len() > best.0 {
                best = (chain.len(), Some(*challenge), chain);
            }
        }
        best
    };
    while taken.iter().any(|taken| !taken) {
        let longest = (0..terms.len())
            .filter(|index| !taken[*index])
            .map(|start| best_for(start, &taken))
            .max_by_key(|(length, _, chain)| (*length, std::cmp::Reverse(chain[0])));
        let Some((_, ratio, chain)) = longest else { break };
        for index in &chain {
            taken[*index] = true;
        }
        runs.push(Run { terms: chain.iter().map(|index| terms[*index]).collect(), ratio });
    }
    runs
}

fn is_one(program: &Program, id: Id) -> bool {
    program.as_constant(id) == Some(Fr::one())
}

/// Writes the Yul object for the check `e(lhs, g2) e(rhs, -s g2) = 1`, with at most [`STACK_VARIABLES`] variables.
#[allow(clippy::too_many_lines)]
pub(super) fn emit(
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
    let msm_terms = |point: Point| -> Result<Vec<(Id, Point)>, CodegenError> {
        match point {
            Point::Msm(index) => {
                Ok(program.msms[index as usize].iter().copied().filter(|(_, base)| *base != Point::Identity).collect())
            }
            Point::Identity | Point::Const(..) | Point::Calldata(_) => {
                Err(CodegenError::Unsupported("an accumulator that is not a sum"))
            }
        }
    };
    let (lhs_terms, rhs_terms) = (msm_terms(lhs)?, msm_terms(rhs)?);
    let lhs_runs = geometric_runs(program, &lhs_terms);
    let rhs_runs = geometric_runs(program, &rhs_terms);
    // What is written: the first scalar of each run, and the ratio.
    let all_runs: Vec<&Run> = lhs_runs.iter().chain(&rhs_runs).collect();
    let all_terms: Vec<(Id, Point)> = all_runs.iter().flat_map(|run| &run.terms).copied().collect();
    let written: Vec<Id> = all_runs.iter().flat_map(|run| [Some(run.terms[0].0), run.ratio]).flatten().collect();

    // Liveness and uses.
    let count = program.nodes.len();
    let mut uses = vec![0usize; count];
    for scalar in &written {
        uses[*scalar as usize] += 1;
    }
    let mut must_reduce = vec![false; count];
    for id in (0..count).rev() {
        if uses[id] > 0 {
            for operand in program.nodes[id].operands() {
                uses[operand as usize] += 1;
            }
            if let Op::Sub(_, b) | Op::Neg(b) = program.nodes[id] {
                must_reduce[b as usize] = true;
            }
        }
    }
    // Pairs of large constants that are each other's negative share one.
    let mut negatives: HashMap<Id, Id> = HashMap::new();
    let constants: HashMap<[u8; 32], Id> = (0..count as Id)
        .filter(|id| uses[*id as usize] > 0)
        .filter_map(|id| if let Op::Const(bytes) = program.op(id) { Some((bytes, id)) } else { None })
        .collect();
    for (bytes, id) in &constants {
        let value: Option<Fr> = Fr::from_repr(*bytes).into();
        let negative = constants.get(&(-value.unwrap_or_default()).to_repr());
        if let Some(negative) = negative.filter(|negative| *id < **negative && constant_text(bytes).1 > 16) {
            negatives.insert(*negative, *id);
            uses[*id as usize] += uses[*negative as usize];
        }
    }
    let mut emitter = Emitter {
        negatives,
        program,
        form: vec![Form::Dead; count],
        need: vec![0; count],
        bytes: vec![0; count],
        bound: vec![1; count],
        must_reduce,
        home: HashMap::new(),
        max_need: max_need(stack_variables),
    };
    emitter.plan(&uses);

    // How often each placed value is read.
    let mut counts: HashMap<Id, usize> = HashMap::new();
    let cells: Vec<Id> = (0..count as Id).filter(|id| emitter.form[*id as usize] == Form::Cell).collect();
    for id in &cells {
        emitter.count_definition(*id, &mut counts);
    }
    for scalar in &written {
        emitter.count(*scalar, &mut counts);
    }
    let mut by_heat: Vec<(Id, usize)> = counts.iter().map(|(id, uses)| (*id, *uses)).collect();
    by_heat.sort_by_key(|(id, uses)| (std::cmp::Reverse(*uses), *id));
    let variables: Vec<Id> = by_heat.iter().take(stack_variables).map(|(id, _)| *id).collect();
    for (index, id) in variables.iter().enumerate() {
        emitter.home.insert(*id, Home::Variable(index));
    }

    // Memory.
    let mut hot: Vec<Id> = by_heat
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| emitter.form[*id as usize] == Form::Cell && !variables.contains(id))
        .collect();
    let cold = hot.split_off(hot.len().min(8));
    for (index, id) in hot.iter().enumerate() {
        emitter.home.insert(*id, Home::Memory(0x20 * index));
    }
    let scratch = 0x100;
    let mut next = scratch + 0xc0;
    for id in &cold {
        emitter.home.insert(*id, Home::Memory(next));
        next += 0x20;
    }
    let transcript = transcript_layout(program, next);
    for id in 0..count as Id {
        if let Op::Word(word) = program.op(id) {
            emitter.home.entry(id).or_insert(Home::Memory(transcript.words[word as usize]));
        }
    }
    let pairing_at = transcript.end;
    let rhs_save = pairing_at + 0x40 + 0x80;
    let pool_at = pairing_at + 0x40;

    // The pool: g2, one key point in the place of the pairing's right G1, -s g2, the other key points, constants.
    let mut key_points: Vec<([u8; 32], [u8; 32])> = Vec::new();
    for (_, base) in &all_terms {
        if let Point::Const(x, y) = base
            && !key_points.contains(&(*x, *y))
        {
            key_points.push((*x, *y));
        }
    }
    let rhs_has_key_point = rhs_terms.iter().any(|(_, base)| matches!(base, Point::Const(..)));
    if key_points.is_empty() || rhs_has_key_point {
        return Err(CodegenError::Unsupported("a circuit without fixed columns, or a key point on the right side"));
    }
    let mut pool: Vec<[u8; 32]> = pairing.g2.to_vec();
    let mut point_at: HashMap<Point, usize> = HashMap::new();
    for (index, (x, y)) in key_points.iter().enumerate() {
        point_at.insert(Point::Const(*x, *y), pool_at + 0x20 * pool.len());
        pool.push(big_endian(x));
        pool.push(big_endian(y));
        if index == 0 {
            pool.extend(pairing.minus_s_g2);
        }
    }
    for id in 0..count as Id {
        if let (Form::Pooled, Op::Const(bytes)) = (emitter.form[id as usize], program.op(id))
            && !emitter.home.contains_key(&id)
        {
            emitter.home.insert(id, Home::Memory(pool_at + 0x20 * pool.len()));
            pool.push(big_endian(&bytes));
        }
    }
    let locate = |point: Point| -> Result<usize, CodegenError> {
        match point {
            Point::Calldata(word) => Ok(transcript.words[word as usize]),
            Point::Const(..) | Point::Identity | Point::Msm(_) => {
                point_at.get(&point).copied().ok_or(CodegenError::Unsupported("a nested multi-scalar multiplication"))
            }
        }
    };

    let mut out = String::new();
    let calldata_bytes = 0x20 * program.words.len();
    let mut line = |text: String| {
        let _ = writeln!(out, "      {text}");
    };
    line(format!("if iszero(eq(calldatasize(), {calldata_bytes:#x})) {{ revert(0, 0) }}"));
    line(format!("let q := {SCALAR_MODULUS}"));
    line(format!("datacopy({pool_at:#x}, dataoffset(\"pool\"), datasize(\"pool\"))"));
    for (kind, start, end) in runs(&program.words) {
        line(match kind {
            WordKind::Coordinate => format!("check_points({start:#x}, {end:#x})"),
            WordKind::Scalar => format!("check_scalars(q, {start:#x}, {end:#x})"),
        });
    }
    let state = hex::encode(big_endian(&initial_state));
    line(format!("mstore({:#x}, 0x{state})", transcript.bases[0]));
    for (memory, calldata, bytes) in &transcript.copies {
        line(format!("calldatacopy({memory:#x}, {calldata:#x}, {bytes:#x})"));
    }
    for (index, segment) in program.segments.iter().enumerate() {
        let (base, next) = (transcript.bases[index], transcript.bases[index + 1]);
        let words = (segment.end - segment.start) as usize;
        let bytes = if words == 0 {
            line(format!("mstore8({:#x}, 1)", base + 0x20));
            0x21
        } else {
            0x20 * (words + 1)
        };
        line(format!("mstore({next:#x}, keccak256({base:#x}, {bytes:#x}))"));
    }
    for id in 0..count as Id {
        let op = program.op(id);
        let text = match (emitter.form[id as usize], op) {
            (Form::Cell, Op::Challenge(index)) => format!("mod(mload({:#x}), q)", transcript.bases[index as usize + 1]),
            (Form::Cell, _) => emitter.definition(id),
            (Form::Word, Op::Word(word)) if variables.contains(&id) => {
                format!("mload({:#x})", transcript.words[word as usize])
            }
            (Form::Pooled, Op::Const(_)) if variables.contains(&id) => emitter.definition(id),
            _ => continue,
        };
        match emitter.home.get(&id) {
            Some(Home::Variable(index)) => line(format!("let v{index} := {text}")),
            Some(Home::Memory(at)) => line(format!("mstore({at:#x}, {text})")),
            None => return Err(CodegenError::Unsupported("a value without a place")),
        }
    }
    let accumulate = |runs: &[Run], line: &mut dyn FnMut(String)| -> Result<(), CodegenError> {
        // A term with the coefficient one starts the sum: it leads its run.
        let first = runs.iter().position(|run| is_one(program, run.terms[0].0));
        match first {
            Some(index) => line(format!("mcopy({scratch:#x}, {:#x}, 0x40)", locate(runs[index].terms[0].1)?)),
            None => line(format!("calldatacopy({scratch:#x}, calldatasize(), 0x40)")),
        }
        for (index, run) in runs.iter().enumerate() {
            let places = run.terms.iter().map(|(_, point)| locate(*point)).collect::<Result<Vec<_>, _>>()?;
            let Some(ratio) = run.ratio else {
                if Some(index) != first {
                    line(format!("term({:#x}, {})", places[0], emitter.value(run.terms[0].0)));
                }
                continue;
            };
            let ratio = emitter.value(ratio);
            let mut rest = places.as_slice();
            if Some(index) == first {
                line(format!("{{ let s := {ratio}"));
                rest = &rest[1..];
            } else {
                line(format!("{{ let s := {}", emitter.value(run.terms[0].0)));
            }
            while let Some(start) = rest.first() {
                let consecutive = rest.iter().enumerate().take_while(|(i, at)| **at == start + 0x40 * i).count();
                if consecutive >= 4 {
                    let end = start + 0x40 * consecutive;
                    line(format!(
                        "for {{ let at := {start:#x} }} lt(at, {end:#x}) {{ at := add(at, 0x40) }} {{ term(at, s) s := mulmod(s, {ratio}, q) }}"
                    ));
                    rest = &rest[consecutive..];
                } else {
                    let last = rest.len() == 1;
                    line(if last {
                        format!("term({start:#x}, s)")
                    } else {
                        format!("term({start:#x}, s) s := mulmod(s, {ratio}, q)")
                    });
                    rest = &rest[1..];
                }
            }
            line("}".to_owned());
        }
        Ok(())
    };
    // The right side first where it needs a sum: its place in the pairing input still holds a key point.
    let rhs_from = match rhs_terms.as_slice() {
        [(scalar, point)] if is_one(program, *scalar) => locate(*point)?,
        _ => {
            accumulate(&rhs_runs, &mut line)?;
            let save = pool_at + 0x20 * pool.len();
            line(format!("mcopy({save:#x}, {scratch:#x}, 0x40)"));
            save
        }
    };
    accumulate(&lhs_runs, &mut line)?;
    line(format!("mcopy({pairing_at:#x}, {scratch:#x}, 0x40)"));
    line(format!("mcopy({rhs_save:#x}, {rhs_from:#x}, 0x40)"));
    line(format!("if iszero(staticcall(gas(), 8, {pairing_at:#x}, 0x180, 0, 0x20)) {{ revert(0, 0) }}"));
    line("if iszero(eq(mload(0), 1)) { revert(0, 0) }".to_owned());
    line("return(0, 0x20)".to_owned());

    let pool_bytes = 0x20 * pool.len();
    if pool_at + pool_bytes + 0x40 > 0xffff {
        return Err(CodegenError::Unsupported("more than 64 KiB of memory"));
    }
    let pool_hex: String = pool.iter().map(hex::encode).collect();
    let (point, product, factor) = (scratch + 0x40, scratch + 0x40, scratch + 0x80);
    let yul = format!(
        r#"// SPDX-License-Identifier: Apache-2.0
// Generated by gridveil-codegen. Calldata: instances, then the proof; returns the word 1, or reverts.
object "{name}" {{
  code {{
    datacopy(0, dataoffset("runtime"), datasize("runtime"))
    return(0, datasize("runtime"))
  }}
  object "runtime" {{
    code {{
{out}
      // Every point of the proof is on the curve, with canonical coordinates, and not the identity.
      function check_points(at, end) {{
        let p := {BASE_MODULUS}
        for {{ }} lt(at, end) {{ at := add(at, 0x40) }} {{
          let x := calldataload(at)
          let y := calldataload(add(at, 0x20))
          if iszero(and(and(lt(x, p), lt(y, p)), eq(mulmod(y, y, p), addmod(mulmod(x, mulmod(x, x, p), p), 3, p)))) {{ revert(0, 0) }}
        }}
      }}
      // Every instance and evaluation is canonical.
      function check_scalars(modulus, at, end) {{
        for {{ }} lt(at, end) {{ at := add(at, 0x20) }} {{ if iszero(lt(calldataload(at), modulus)) {{ revert(0, 0) }} }}
      }}
      // Adds scalar * point to the accumulator.
      function term(point, scalar) {{
        mcopy({point:#x}, point, 0x40)
        mstore({factor:#x}, scalar)
        if iszero(staticcall(gas(), 7, {product:#x}, 0x60, {product:#x}, 0x40)) {{ revert(0, 0) }}
        if iszero(staticcall(gas(), 6, {scratch:#x}, 0x80, {scratch:#x}, 0x40)) {{ revert(0, 0) }}
      }}
      // x^(modulus - 2); zero has no inverse and gives zero.
      function invert(modulus, x) -> inverse {{
        mstore({s0:#x}, 0x20)
        mstore({s1:#x}, 0x20)
        mstore({s2:#x}, 0x20)
        mstore({s3:#x}, x)
        mstore({s4:#x}, sub(modulus, 2))
        mstore({s5:#x}, modulus)
        if iszero(staticcall(gas(), 5, {s0:#x}, 0xc0, {s0:#x}, 0x20)) {{ revert(0, 0) }}
        inverse := mload({s0:#x})
      }}
    }}
    data "pool" hex"{pool_hex}"
  }}
}}
"#,
        s0 = scratch,
        s1 = scratch + 0x20,
        s2 = scratch + 0x40,
        s3 = scratch + 0x60,
        s4 = scratch + 0x80,
        s5 = scratch + 0xa0,
    );
    let live = |wanted: fn(&Op) -> bool| (0..count).filter(|id| uses[*id] > 0 && wanted(&program.nodes[*id])).count();
    Ok(Emitted {
        yul,
        calldata_bytes,
        pool_bytes,
        multiplications: live(|op| matches!(op, Op::Mul(..))),
        additions: live(|op| matches!(op, Op::Add(..) | Op::Sub(..) | Op::Neg(_))),
        cells: cells.len(),
    })
}
