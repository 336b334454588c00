//! Values as expressions: which are nested into their user and which are computed once, how deep and how long each is.

use std::collections::HashMap;

use halo2curves::{bn256::Fr, ff::PrimeField};

use super::big_endian;
use crate::program::{Id, Op, Program};

/// Stack slots one expression may take: 16 reachable, less the variables and a return label.
const fn max_need(variables: usize) -> usize {
    15 - variables
}

/// Largest multiple of the modulus that fits 256 bits.
const MAX_BOUND: u8 = 5;
/// An expression used twice is written twice if it takes at most this many bytes.
const DUPLICATE_BYTES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
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

/// Where a value is kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Home {
    Memory(usize),
    Variable(usize),
}

/// What is known of every value: where it is computed, what that costs, and how it is written.
pub(super) struct Emitter<'a> {
    pub(super) program: &'a Program,
    pub(super) form: Vec<Form>,
    /// Stack slots an expression takes.
    need: Vec<usize>,
    /// Bytes of code.
    bytes: Vec<usize>,
    /// A value is at most so many times the modulus.
    bound: Vec<u8>,
    /// Subtracted somewhere, so canonical.
    must_reduce: Vec<bool>,
    /// Constants written as the negative of another one.
    pub(super) negatives: HashMap<Id, Id>,
    pub(super) home: HashMap<Id, Home>,
    max_need: usize,
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

/// How often each value is used, from the scalars that are written, and which values are subtracted somewhere.
fn liveness(program: &Program, written: &[Id]) -> (Vec<usize>, Vec<bool>) {
    let count = program.nodes.len();
    let mut uses = vec![0usize; count];
    for scalar in written {
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
    (uses, must_reduce)
}

/// Pairs of large constants that are each other's negative share one: the second is written by the first, which takes
/// over its uses.
fn shared_negatives(program: &Program, uses: &mut [usize]) -> HashMap<Id, Id> {
    let mut negatives: HashMap<Id, Id> = HashMap::new();
    let constants: HashMap<[u8; 32], Id> = (0..program.nodes.len() as Id)
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
    negatives
}

impl<'a> Emitter<'a> {
    /// Plans the code for the scalars in `written`, with so many stack variables besides the modulus. Also returns how
    /// often each value is used.
    pub(super) fn new(program: &'a Program, written: &[Id], stack_variables: usize) -> (Self, Vec<usize>) {
        let count = program.nodes.len();
        let (mut uses, must_reduce) = liveness(program, written);
        let negatives = shared_negatives(program, &mut uses);
        let mut emitter = Self {
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
        (emitter, uses)
    }

    /// Values that are computed once, in order.
    pub(super) fn cells(&self) -> Vec<Id> {
        (0..self.program.nodes.len() as Id).filter(|id| self.form[*id as usize] == Form::Cell).collect()
    }

    /// Values that are read, with how often, the most read first.
    pub(super) fn by_heat(&self, written: &[Id]) -> Vec<(Id, usize)> {
        let mut counts: HashMap<Id, usize> = HashMap::new();
        for id in self.cells() {
            self.count_definition(id, &mut counts);
        }
        for scalar in written {
            self.count(*scalar, &mut counts);
        }
        let mut by_heat: Vec<(Id, usize)> = counts.into_iter().collect();
        by_heat.sort_by_key(|(id, uses)| (std::cmp::Reverse(*uses), *id));
        by_heat
    }
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
    pub(super) fn value(&self, id: Id) -> String {
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
    pub(super) fn definition(&self, id: Id) -> String {
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
