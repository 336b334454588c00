//! All identities of a circuit's argument as one program.

use halo2_proofs::plonk::{Any, Column, Expression, VerifyingKey};
use halo2curves::{
    bn256::{Fr, G1Affine},
    ff::{Field, PrimeField},
};

use crate::{
    parts::Parts,
    program::{Graph, Node, Source},
    shplonk,
};

/// Columns of a program, in this order.
#[derive(Clone, Copy)]
pub(crate) struct Numbering {
    fixed: usize,
    sigmas: usize,
    marks: usize,
    advice: usize,
    instance: usize,
    products: usize,
    lookups: usize,
}

impl Numbering {
    fn new(vk: &VerifyingKey<G1Affine>) -> Self {
        let cs = vk.cs();
        let sigmas = cs.num_fixed_columns();
        let marks = sigmas + cs.permutation().get_columns().len();
        let advice = marks + Parts::MARKS;
        let instance = advice + cs.num_advice_columns();
        let products = instance + cs.num_instance_columns();
        let lookups = products + sets(vk);
        Self { fixed: 0, sigmas, marks, advice, instance, products, lookups }
    }

    fn source(&self, source: Source) -> usize {
        match source {
            Source::Fixed(index) => self.fixed + index,
            Source::Advice(index) => self.advice + index,
            Source::Instance(index) => self.instance + index,
        }
    }

    fn column(&self, column: Column<Any>) -> usize {
        self.source(match column.column_type() {
            Any::Fixed => Source::Fixed(column.index()),
            Any::Advice(_) => Source::Advice(column.index()),
            Any::Instance => Source::Instance(column.index()),
        })
    }
}

/// Columns of one permutation product.
pub(crate) fn chunk(vk: &VerifyingKey<G1Affine>) -> usize {
    vk.cs().degree() - 2
}

/// Number of permutation products.
pub(crate) fn sets(vk: &VerifyingKey<G1Affine>) -> usize {
    vk.cs().permutation().get_columns().len().div_ceil(chunk(vk))
}

/// The verifier's challenges before the quotient.
#[derive(Clone, Copy)]
pub(crate) struct Challenges {
    /// Joins the expressions of a look-up.
    pub theta: Fr,
    /// Of the permutation's and the look-ups' products.
    pub beta: Fr,
    /// Likewise.
    pub gamma: Fr,
    /// Joins the identities.
    pub y: Fr,
}

/// Nodes that many identities share.
struct Shared {
    one: Node,
    beta: Node,
    gamma: Node,
    theta: Node,
    x: Node,
    /// 1 at the first row.
    first: Node,
    /// 1 at the last usable row.
    last: Node,
    /// 1 at the rows before that.
    active: Node,
}

impl Shared {
    fn new(graph: &mut Graph, numbering: &Numbering, blinding: i32, challenges: &Challenges) -> Self {
        let one = graph.constant(Fr::ONE);
        let [beta, gamma, theta] =
            [challenges.beta, challenges.gamma, challenges.theta].map(|challenge| graph.constant(challenge));
        let (x, first) = (graph.query(numbering.marks + Parts::X, 0), graph.query(numbering.marks + Parts::FIRST, 0));
        // The polynomial that is 1 at the last usable row is the one of the first row, so many rows ahead; the blinding
        // rows are between.
        let unusable = blinding + 1;
        let last = graph.query(numbering.marks + Parts::FIRST, unusable);
        let active = (1..=unusable).fold(one, |active, ahead| {
            let row = graph.query(numbering.marks + Parts::FIRST, ahead);
            graph.sub(active, row)
        });
        Self { one, beta, gamma, theta, x, first, last, active }
    }

    fn starts_at_one(&self, graph: &mut Graph, z: Node) -> Node {
        let off = graph.sub(self.one, z);
        graph.mul(self.first, off)
    }

    fn ends_as_bit(&self, graph: &mut Graph, z: Node) -> Node {
        let square = graph.mul(z, z);
        let off = graph.sub(square, z);
        graph.mul(self.last, off)
    }
}

/// All identities, in halo2's order: gates, permutation, look-ups; weighted with powers of y.
pub(crate) fn identities(graph: &mut Graph, vk: &VerifyingKey<G1Affine>, challenges: &Challenges) -> Node {
    let (cs, numbering) = (vk.cs(), Numbering::new(vk));
    let number = |source| numbering.source(source);
    let mut terms: Vec<Node> = Vec::new();
    for polynomial in cs.gates().iter().flat_map(|gate| gate.polynomials()) {
        terms.push(graph.expression(polynomial, &number));
    }
    let shared = Shared::new(graph, &numbering, cs.blinding_factors() as i32, challenges);
    permutation(graph, vk, &numbering, &shared, &mut terms);
    lookups(graph, vk, &numbering, &shared, &mut terms);
    // Horner's rule from the first identity: the last has weight 1.
    let mut weighted: Vec<(Node, Fr)> = terms.into_iter().rev().zip(shplonk::powers(challenges.y)).collect();
    weighted.reverse();
    graph.combine(&weighted, numbering.sigmas)
}

fn permutation(
    graph: &mut Graph,
    vk: &VerifyingKey<G1Affine>,
    numbering: &Numbering,
    shared: &Shared,
    terms: &mut Vec<Node>,
) {
    let (cs, sets) = (vk.cs(), sets(vk));
    let z = |graph: &mut Graph, set: usize, rotation: i32| graph.query(numbering.products + set, rotation);
    if sets > 0 {
        let (first_z, last_z) = (z(graph, 0, 0), z(graph, sets - 1, 0));
        terms.push(shared.starts_at_one(graph, first_z));
        terms.push(shared.ends_as_bit(graph, last_z));
        for set in 1..sets {
            let (this, before) = (z(graph, set, 0), z(graph, set - 1, -(cs.blinding_factors() as i32 + 1)));
            let off = graph.sub(this, before);
            terms.push(graph.mul(shared.first, off));
        }
    }
    let mut delta = Fr::ONE;
    let beta_x = graph.mul(shared.beta, shared.x);
    let columns = cs.permutation().get_columns();
    for (set, columns) in columns.chunks(chunk(vk)).enumerate() {
        let (mut left, mut right) = (z(graph, set, 1), z(graph, set, 0));
        for (index, column) in columns.iter().enumerate() {
            let value = graph.query(numbering.column(*column), 0);
            let shifted = graph.add(value, shared.gamma);
            let sigma = graph.query(numbering.sigmas + set * chunk(vk) + index, 0);
            let term = graph.mul(shared.beta, sigma);
            let term = graph.add(term, shifted);
            left = graph.mul(left, term);
            let factor = graph.constant(delta);
            let term = graph.mul(beta_x, factor);
            let term = graph.add(term, shifted);
            right = graph.mul(right, term);
            delta *= Fr::DELTA;
        }
        let off = graph.sub(left, right);
        terms.push(graph.mul(shared.active, off));
    }
}

fn lookups(
    graph: &mut Graph,
    vk: &VerifyingKey<G1Affine>,
    numbering: &Numbering,
    shared: &Shared,
    terms: &mut Vec<Node>,
) {
    let number = |source| numbering.source(source);
    for (index, lookup) in vk.cs().lookups().iter().enumerate() {
        let column = numbering.lookups + 3 * index;
        let mut compressed = |expressions: &[Expression<Fr>]| {
            let zero = graph.constant(Fr::ZERO);
            expressions.iter().fold(zero, |sum, expression| {
                let (sum, value) = (graph.mul(sum, shared.theta), graph.expression(expression, &number));
                graph.add(sum, value)
            })
        };
        let (input, table) = (compressed(lookup.input_expressions()), compressed(lookup.table_expressions()));
        let [z, next] = [0, 1].map(|rotation| graph.query(column, rotation));
        let [sorted, before] = [0, -1].map(|rotation| graph.query(column + 1, rotation));
        let matched = graph.query(column + 2, 0);
        terms.push(shared.starts_at_one(graph, z));
        terms.push(shared.ends_as_bit(graph, z));
        let mut side = |z: Node, a: Node, s: Node| {
            let (a, s) = (graph.add(a, shared.beta), graph.add(s, shared.gamma));
            let product = graph.mul(z, a);
            graph.mul(product, s)
        };
        let (left, right) = (side(next, sorted, matched), side(z, input, table));
        let off = graph.sub(left, right);
        terms.push(graph.mul(shared.active, off));
        let apart = graph.sub(sorted, matched);
        terms.push(graph.mul(shared.first, apart));
        let new = graph.sub(sorted, before);
        let both = graph.mul(apart, new);
        terms.push(graph.mul(shared.active, both));
    }
}
