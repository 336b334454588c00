//! The verifier as a straight-line program: a hash-consed graph of field operations, the transcript, and the two
//! multi-scalar multiplications whose results enter the pairing.

use std::collections::HashMap;

use halo2curves::bn256::Fr;
use halo2curves::ff::{Field, PrimeField};

/// A node of the graph. Operands always come before the node that uses them.
pub(crate) type Id = u32;

/// One field operation. Constants are little-endian canonical bytes, so that nodes hash and compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Const([u8; 32]),
    /// Calldata word, an instance or an evaluation; checked to be canonical before use.
    Word(u32),
    /// Transcript challenge.
    Challenge(u32),
    Add(Id, Id),
    Sub(Id, Id),
    Mul(Id, Id),
    Neg(Id),
    Inv(Id),
}

impl Op {
    /// The operands of the operation.
    pub(crate) fn operands(&self) -> impl Iterator<Item = Id> + use<> {
        let (a, b) = match *self {
            Op::Const(_) | Op::Word(_) | Op::Challenge(_) => (None, None),
            Op::Neg(a) | Op::Inv(a) => (Some(a), None),
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) => (Some(a), Some(b)),
        };
        a.into_iter().chain(b)
    }
}

/// A curve point of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    Identity,
    /// Affine coordinates, little-endian canonical bytes.
    Const([u8; 32], [u8; 32]),
    /// Two calldata words.
    Calldata(u32),
    /// Result of a multi-scalar multiplication.
    Msm(u32),
}

/// What one calldata word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    Scalar,
    Coordinate,
}

/// Words absorbed before one squeeze, a range of calldata words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub start: u32,
    pub end: u32,
}

/// The recorded program.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub nodes: Vec<Op>,
    cons: HashMap<Op, Id>,
    /// Kind of each calldata word, in order.
    pub words: Vec<WordKind>,
    /// First word of the transcript (the verifying key's digest), little-endian.
    pub initial_state: Option<[u8; 32]>,
    /// Closed segments, one a challenge, in order.
    pub segments: Vec<Segment>,
    pub msms: Vec<Vec<(Id, Point)>>,
    /// First thing the recorder was asked for and cannot express.
    pub fault: Option<&'static str>,
}

pub(crate) fn constant_bytes(value: &Fr) -> [u8; 32] {
    value.to_repr()
}

impl Program {
    pub(crate) fn intern(&mut self, op: Op) -> Id {
        if let Some(id) = self.cons.get(&op) {
            return *id;
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(op);
        self.cons.insert(op, id);
        id
    }

    pub(crate) fn op(&self, id: Id) -> Op {
        self.nodes[id as usize]
    }

    pub(crate) fn constant(&mut self, value: &Fr) -> Id {
        self.intern(Op::Const(constant_bytes(value)))
    }

    /// The value of a constant node.
    pub(crate) fn as_constant(&self, id: Id) -> Option<Fr> {
        match self.op(id) {
            Op::Const(bytes) => Option::from(Fr::from_repr(bytes)),
            _ => None,
        }
    }

    pub(crate) fn add(&mut self, a: Id, b: Id) -> Id {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(x), Some(y)) => return self.constant(&(x + y)),
            (Some(x), None) if x == Fr::ZERO => return b,
            (None, Some(y)) if y == Fr::ZERO => return a,
            _ => {}
        }
        match (self.op(a), self.op(b)) {
            (_, Op::Neg(b)) => self.sub(a, b),
            (Op::Neg(a), _) => self.sub(b, a),
            _ => self.intern(Op::Add(a.min(b), a.max(b))),
        }
    }

    pub(crate) fn sub(&mut self, a: Id, b: Id) -> Id {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(x), Some(y)) => return self.constant(&(x - y)),
            (Some(x), None) if x == Fr::ZERO => return self.neg(b),
            (None, Some(y)) => {
                let minus = self.constant(&-y);
                return self.add(a, minus);
            }
            _ => {}
        }
        if a == b {
            return self.constant(&Fr::ZERO);
        }
        match self.op(b) {
            Op::Neg(b) => self.add(a, b),
            // a - (-c) x = a + c x is already a product with a negated constant, see `neg`.
            _ => self.intern(Op::Sub(a, b)),
        }
    }

    pub(crate) fn neg(&mut self, a: Id) -> Id {
        if let Some(x) = self.as_constant(a) {
            return self.constant(&-x);
        }
        match self.op(a) {
            Op::Neg(a) => a,
            Op::Sub(a, b) => self.sub(b, a),
            Op::Mul(c, x) if self.as_constant(c).is_some() => {
                let minus = self.neg(c);
                self.mul(minus, x)
            }
            _ => self.intern(Op::Neg(a)),
        }
    }

    pub(crate) fn mul(&mut self, a: Id, b: Id) -> Id {
        let (a, b) = match (self.as_constant(a), self.as_constant(b)) {
            (Some(x), Some(y)) => return self.constant(&(x * y)),
            (None, Some(_)) => (b, a),
            (Some(_), None) => (a, b),
            (None, None) => (a.min(b), a.max(b)),
        };
        if let Some(c) = self.as_constant(a) {
            if c == Fr::ZERO || c == Fr::ONE {
                return if c == Fr::ZERO { a } else { b };
            }
            if c == -Fr::ONE {
                return self.neg(b);
            }
            // Two constant factors are not merged: the inner product is often shared, and so are the constants.
            if let Op::Neg(x) = self.op(b) {
                let minus = self.neg(a);
                return self.mul(minus, x);
            }
        }
        match (self.op(a), self.op(b)) {
            (Op::Neg(x), Op::Neg(y)) => self.mul(x, y),
            (Op::Neg(x), _) => {
                let product = self.mul(x, b);
                self.neg(product)
            }
            (_, Op::Neg(y)) => {
                let product = self.mul(a, y);
                self.neg(product)
            }
            _ => self.intern(Op::Mul(a, b)),
        }
    }

    pub(crate) fn inv(&mut self, a: Id) -> Id {
        if let Some(x) = self.as_constant(a) {
            let inverse: Option<Fr> = x.invert().into();
            return self.constant(&inverse.unwrap_or(Fr::ZERO));
        }
        self.intern(Op::Inv(a))
    }

    /// Montgomery's trick: one inversion for all values.
    pub(crate) fn batch_invert(&mut self, values: &[Id]) -> Vec<Id> {
        let mut unique: Vec<Id> = Vec::new();
        for value in values {
            if self.as_constant(*value).is_none() && !unique.contains(value) {
                unique.push(*value);
            }
        }
        let mut prefix = Vec::with_capacity(unique.len());
        for value in &unique {
            let product = match prefix.last() {
                Some(last) => self.mul(*last, *value),
                None => *value,
            };
            prefix.push(product);
        }
        let mut inverses: HashMap<Id, Id> = HashMap::new();
        if let Some(last) = prefix.last() {
            let mut running = self.inv(*last);
            for index in (0..unique.len()).rev() {
                let value = unique[index];
                if index == 0 {
                    inverses.insert(value, running);
                } else {
                    let inverse = self.mul(prefix[index - 1], running);
                    inverses.insert(value, inverse);
                    running = self.mul(running, value);
                }
            }
        }
        values
            .iter()
            .map(|value| match inverses.get(value) {
                Some(inverse) => *inverse,
                None => self.inv(*value),
            })
            .collect()
    }
}
