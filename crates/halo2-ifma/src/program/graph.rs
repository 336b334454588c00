//! Expressions as a graph: equal subexpressions are one node, and every node knows the bound of its values.

use std::collections::HashMap;

use halo2_proofs::plonk::Expression;
use halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};

use super::{Program, Query, compile::Compiler};

/// A value in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Constant(usize),
    Query(Query),
    Add(Node, Node),
    Sub(Node, Node),
    Mul(Node, Node),
    Reduce(Node),
}

/// Bound above which operands of sums are reduced first. A product of two at the limit is below 14 p; a lane holds 84
/// p.
const LIMIT: u32 = 32;
/// Bound of a product: `1 + A B / 84`, rounded up.
const fn product_bound(a: u32, b: u32) -> u32 {
    1 + (a * b).div_ceil(84)
}

/// The graph under construction.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) kinds: Vec<Kind>,
    bounds: Vec<u32>,
    seen: HashMap<Kind, Node>,
    pub(super) constants: Vec<Fr>,
    known: HashMap<[u8; 32], usize>,
}

impl Graph {
    fn node(&mut self, kind: Kind, bound: u32) -> Node {
        if let Some(node) = self.seen.get(&kind) {
            return *node;
        }
        let node = Node(self.kinds.len() as u32);
        self.kinds.push(kind);
        self.bounds.push(bound);
        self.seen.insert(kind, node);
        node
    }

    pub(super) fn kind(&self, node: Node) -> Kind {
        self.kinds[node.0 as usize]
    }

    pub(super) fn bound(&self, node: Node) -> u32 {
        self.bounds[node.0 as usize]
    }

    pub(super) fn value(&self, node: Node) -> Option<Fr> {
        if let Kind::Constant(index) = self.kind(node) { self.constants.get(index).copied() } else { None }
    }

    fn reduced(&mut self, node: Node) -> Node {
        if self.bound(node) <= 2 { node } else { self.node(Kind::Reduce(node), 2) }
    }

    /// A constant.
    pub fn constant(&mut self, value: Fr) -> Node {
        let index = *self.known.entry(value.to_repr()).or_insert_with(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        self.node(Kind::Constant(index), 1)
    }

    /// A column's value, below 2 p.
    pub fn query(&mut self, column: usize, rotation: i32) -> Node {
        self.node(Kind::Query(Query { column, rotation }), 2)
    }

    /// Sum.
    pub fn add(&mut self, a: Node, b: Node) -> Node {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => return self.constant(x + y),
            (Some(x), _) if x == Fr::ZERO => return b,
            (_, Some(y)) if y == Fr::ZERO => return a,
            _ => {}
        }
        let (mut a, mut b) = (a.min(b), a.max(b));
        if self.bound(a) + self.bound(b) > LIMIT {
            (a, b) = (self.reduced(a), self.reduced(b));
        }
        let bound = self.bound(a) + self.bound(b);
        self.node(Kind::Add(a, b), bound)
    }

    /// Difference.
    pub fn sub(&mut self, a: Node, b: Node) -> Node {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => return self.constant(x - y),
            (_, Some(y)) if y == Fr::ZERO => return a,
            _ => {}
        }
        let (mut a, mut b) = (a, b);
        if self.bound(a) + self.bound(b).next_power_of_two() > LIMIT {
            (a, b) = (self.reduced(a), self.reduced(b));
        }
        let bound = self.bound(a) + self.bound(b).next_power_of_two();
        self.node(Kind::Sub(a, b), bound)
    }

    /// Product.
    pub fn mul(&mut self, a: Node, b: Node) -> Node {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => return self.constant(x * y),
            (Some(x), _) if x == Fr::ONE => return b,
            (_, Some(y)) if y == Fr::ONE => return a,
            (Some(x), _) | (_, Some(x)) if x == Fr::ZERO => return self.constant(Fr::ZERO),
            _ => {}
        }
        let (a, b) = (a.min(b), a.max(b));
        let bound = product_bound(self.bound(a), self.bound(b));
        self.node(Kind::Mul(a, b), bound)
    }

    /// A halo2 expression; `column` numbers its columns.
    pub fn expression(&mut self, expression: &Expression<Fr>, column: &dyn Fn(Source) -> usize) -> Node {
        match expression {
            Expression::Constant(value) => self.constant(*value),
            // Keys are made without selector columns of halo2's own, and without later phases.
            Expression::Selector(_) | Expression::Challenge(_) => {
                unreachable!("the circuit has neither selectors nor challenges")
            }
            Expression::Fixed(query) => self.query(column(Source::Fixed(query.column_index())), query.rotation().0),
            Expression::Advice(query) => self.query(column(Source::Advice(query.column_index())), query.rotation().0),
            Expression::Instance(query) => {
                self.query(column(Source::Instance(query.column_index())), query.rotation().0)
            }
            Expression::Negated(inner) => {
                let (zero, inner) = (self.constant(Fr::ZERO), self.expression(inner, column));
                self.sub(zero, inner)
            }
            Expression::Sum(a, b) => match &**b {
                Expression::Negated(b) => {
                    let (a, b) = (self.expression(a, column), self.expression(b, column));
                    self.sub(a, b)
                }
                b => {
                    let (a, b) = (self.expression(a, column), self.expression(b, column));
                    self.add(a, b)
                }
            },
            Expression::Product(a, b) => {
                let (a, b) = (self.expression(a, column), self.expression(b, column));
                self.mul(a, b)
            }
            Expression::Scaled(a, factor) => {
                let (a, factor) = (self.expression(a, column), self.constant(*factor));
                self.mul(a, factor)
            }
        }
    }

    /// The program that computes `output`.
    #[must_use]
    pub fn compile(&self, output: Node) -> Program {
        Compiler::new(self).run(output)
    }
}

/// What an expression queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Fixed column.
    Fixed(usize),
    /// Advice column.
    Advice(usize),
    /// Instance column.
    Instance(usize),
}
