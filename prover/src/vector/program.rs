//! Polynomial identities as straight-line programs over eight rows at a time.
//!
//! Expressions become a graph in which equal subexpressions are one node; the graph becomes instructions over a small
//! file of registers, which stays in the nearest cache. Every node carries the bound of its values (in units of p, see
//! [`super::lanes`]), and reductions are inserted where a bound would be passed.

use std::collections::{HashMap, HashSet};

use halo2_proofs::plonk::Expression;
use halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use rayon::prelude::*;

use super::{
    fft::{TASK, Values, splats},
    lanes::{Ifma, LANES, LIMBS, Lanes, Packed},
};

/// A value in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(u32);

/// A column and a rotation in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Index into the columns a program runs over.
    pub column: usize,
    /// Rows ahead.
    pub rotation: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
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
    kinds: Vec<Kind>,
    bounds: Vec<u32>,
    seen: HashMap<Kind, Node>,
    constants: Vec<Fr>,
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

    fn kind(&self, node: Node) -> Kind {
        self.kinds[node.0 as usize]
    }

    fn bound(&self, node: Node) -> u32 {
        self.bounds[node.0 as usize]
    }

    fn value(&self, node: Node) -> Option<Fr> {
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

    /// Sum of `weight times identity`. Products with the same selector (a column below `selectors`) share that product,
    /// and what is linear in them is summed before it is multiplied: a matrix of constants costs a row, not a matrix,
    /// of products.
    pub fn combine(&mut self, terms: &[(Node, Fr)], selectors: usize) -> Node {
        let mut groups = Groups::new();
        for (node, weight) in terms {
            self.split(*node, *weight, selectors, &mut groups);
        }
        let atoms = self.factors(terms);
        let (mut total, mut needed) = (self.constant(Fr::ZERO), HashSet::new());
        for (factor, group) in groups {
            // Sums that several identities share are cheaper left whole; which way is better, the counts say.
            let [whole, flat] = [self.weighted(&group), self.flattened(&group, &atoms)];
            let mut sum = if self.products(flat, &mut needed.clone()) < self.products(whole, &mut needed.clone()) {
                flat
            } else {
                whole
            };
            self.products(sum, &mut needed);
            if let Some(factor) = factor {
                sum = self.mul(sum, factor);
            }
            total = self.add(total, sum);
        }
        total
    }

    /// Takes a sum apart where a part of it is a product with a selector; other sums stay whole.
    fn split(&self, node: Node, weight: Fr, selectors: usize, groups: &mut Groups) {
        let is_selector = |node: Node| matches!(self.kind(node), Kind::Query(query) if query.column < selectors);
        let has_selector =
            |node: Node| self.any(node, &|kind| matches!(kind, Kind::Mul(a, b) if is_selector(a) || is_selector(b)));
        let (factor, rest) = match self.kind(node) {
            Kind::Mul(a, b) if is_selector(a) => (Some(a), b),
            Kind::Mul(a, b) if is_selector(b) => (Some(b), a),
            Kind::Add(a, b) if has_selector(node) => {
                self.split(a, weight, selectors, groups);
                return self.split(b, weight, selectors, groups);
            }
            Kind::Sub(a, b) if has_selector(node) => {
                self.split(a, weight, selectors, groups);
                return self.split(b, -weight, selectors, groups);
            }
            _ => (None, node),
        };
        match groups.iter_mut().find(|(other, _)| *other == factor) {
            Some((_, group)) => group.push((rest, weight)),
            None => groups.push((factor, vec![(rest, weight)])),
        }
    }

    /// Is there such a node in the sum that `node` is?
    fn any(&self, node: Node, wanted: &dyn Fn(Kind) -> bool) -> bool {
        let kind = self.kind(node);
        wanted(kind)
            || match kind {
                Kind::Add(a, b) | Kind::Sub(a, b) => self.any(a, wanted) || self.any(b, wanted),
                Kind::Reduce(a) => self.any(a, wanted),
                _ => false,
            }
    }

    fn weighted(&mut self, group: &[(Node, Fr)]) -> Node {
        let zero = self.constant(Fr::ZERO);
        group.iter().fold(zero, |sum, (node, weight)| {
            let weight = self.constant(*weight);
            let term = self.mul(*node, weight);
            self.add(sum, term)
        })
    }

    fn flattened(&mut self, group: &[(Node, Fr)], atoms: &HashSet<Node>) -> Node {
        let mut form = LinearForm::default();
        for (node, weight) in group {
            self.flatten(*node, *weight, atoms, &mut form);
        }
        let terms: Vec<(Node, Fr)> =
            form.order.iter().filter_map(|atom| Some((*atom, *form.coefficients.get(atom)?))).collect();
        let (sum, constant) = (self.weighted(&terms), self.constant(form.constant));
        self.add(sum, constant)
    }

    /// Products below a node that are not below those in `seen`, which it joins.
    fn products(&self, node: Node, seen: &mut HashSet<Node>) -> usize {
        if !seen.insert(node) {
            return 0;
        }
        match self.kind(node) {
            Kind::Constant(_) | Kind::Query(_) => 0,
            Kind::Reduce(a) => self.products(a, seen),
            Kind::Add(a, b) | Kind::Sub(a, b) => self.products(a, seen) + self.products(b, seen),
            Kind::Mul(a, b) => 1 + self.products(a, seen) + self.products(b, seen),
        }
    }

    /// Factors of products other than the terms themselves: they are computed anyway.
    fn factors(&self, terms: &[(Node, Fr)]) -> HashSet<Node> {
        let mut outer = HashSet::new();
        for (node, _) in terms {
            self.summands(*node, &mut outer);
        }
        let products = self.kinds.iter().enumerate().filter(|(index, _)| !outer.contains(&Node(*index as u32)));
        products
            .filter_map(|(_, kind)| match kind {
                Kind::Mul(a, b) if self.value(*a).is_none() && self.value(*b).is_none() => Some([*a, *b]),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn summands(&self, node: Node, seen: &mut HashSet<Node>) {
        if seen.insert(node)
            && let Kind::Add(a, b) | Kind::Sub(a, b) = self.kind(node)
        {
            self.summands(a, seen);
            self.summands(b, seen);
        }
    }

    fn flatten(&self, node: Node, weight: Fr, atoms: &HashSet<Node>, form: &mut LinearForm) {
        match self.kind(node) {
            Kind::Constant(_) => form.constant += weight * self.value(node).unwrap_or(Fr::ZERO),
            _ if atoms.contains(&node) => form.add(node, weight),
            Kind::Reduce(a) => self.flatten(a, weight, atoms, form),
            Kind::Add(a, b) => {
                self.flatten(a, weight, atoms, form);
                self.flatten(b, weight, atoms, form);
            }
            Kind::Sub(a, b) => {
                self.flatten(a, weight, atoms, form);
                self.flatten(b, -weight, atoms, form);
            }
            Kind::Mul(a, b) => match (self.value(a), self.value(b)) {
                (Some(x), _) => self.flatten(b, weight * x, atoms, form),
                (_, Some(y)) => self.flatten(a, weight * y, atoms, form),
                _ => form.add(node, weight),
            },
            Kind::Query(_) => form.add(node, weight),
        }
    }

    /// The program that computes `output`.
    #[must_use]
    pub fn compile(&self, output: Node) -> Program {
        Compiler::new(self).run(output)
    }
}

/// Weighted identities by the selector they have in common.
type Groups = Vec<(Option<Node>, Vec<(Node, Fr)>)>;

/// A constant and multiples of nodes, in the order met.
#[derive(Default)]
struct LinearForm {
    constant: Fr,
    order: Vec<Node>,
    coefficients: HashMap<Node, Fr>,
}

impl LinearForm {
    fn add(&mut self, node: Node, weight: Fr) {
        let order = &mut self.order;
        *self.coefficients.entry(node).or_insert_with(|| {
            order.push(node);
            Fr::ZERO
        }) += weight;
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

struct Compiler<'a> {
    graph: &'a Graph,
    uses: Vec<u32>,
    register: Vec<Option<u32>>,
    free: Vec<u32>,
    program: Program,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph) -> Self {
        let constants = graph.constants.clone();
        let program = Program { instructions: Vec::new(), constants, registers: 0, output: 0 };
        Self {
            graph,
            uses: vec![0; graph.kinds.len()],
            register: vec![None; graph.kinds.len()],
            free: Vec::new(),
            program,
        }
    }

    fn operands(&self, node: Node) -> [Option<Node>; 2] {
        match self.graph.kind(node) {
            Kind::Constant(_) | Kind::Query(_) => [None, None],
            Kind::Add(a, b) | Kind::Sub(a, b) | Kind::Mul(a, b) => [Some(a), Some(b)],
            Kind::Reduce(a) => [Some(a), None],
        }
    }

    fn count(&mut self, node: Node) {
        self.uses[node.0 as usize] += 1;
        if self.uses[node.0 as usize] == 1 {
            for operand in self.operands(node).into_iter().flatten() {
                self.count(operand);
            }
        }
    }

    fn run(mut self, output: Node) -> Program {
        self.count(output);
        self.program.output = self.emit(output);
        self.program
    }

    /// Computes a node if it has not been, operands first; returns its register.
    fn emit(&mut self, node: Node) -> u32 {
        if let Some(register) = self.register[node.0 as usize] {
            return register;
        }
        if let Kind::Constant(index) = self.graph.kind(node) {
            return CONSTANTS + index as u32;
        }
        let operands = self.operands(node);
        let [a, b] = operands.map(|operand| operand.map(|operand| self.emit(operand)));
        for operand in operands.into_iter().flatten() {
            self.release(operand);
        }
        let to = self.free.pop().unwrap_or_else(|| {
            self.program.registers += 1;
            (self.program.registers - 1) as u32
        });
        self.register[node.0 as usize] = Some(to);
        let (a, b) = (a.unwrap_or(0), b.unwrap_or(0));
        self.program.instructions.push(match self.graph.kind(node) {
            Kind::Query(query) => Instruction::Load { to, query },
            Kind::Add(..) => Instruction::Add { to, a, b },
            Kind::Sub(_, subtrahend) => {
                Instruction::Sub { to, a, b, log: self.graph.bound(subtrahend).next_power_of_two().ilog2() }
            }
            Kind::Mul(..) | Kind::Constant(_) => Instruction::Mul { to, a, b },
            Kind::Reduce(_) => Instruction::Reduce { to, a },
        });
        to
    }

    fn release(&mut self, node: Node) {
        let uses = &mut self.uses[node.0 as usize];
        *uses -= 1;
        if *uses == 0
            && let Some(register) = self.register[node.0 as usize]
        {
            self.free.push(register);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::fft::Transform;
    use halo2_proofs::{
        plonk::{ConstraintSystem, VirtualCells},
        poly::Rotation,
    };
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    /// A random expression over three advice columns and a fixed one.
    fn random(rng: &mut ChaCha20Rng, cells: &[Expression<Fr>], depth: u32) -> Expression<Fr> {
        if depth == 0 || rng.gen_ratio(1, 8) {
            return match rng.gen_range(0..6) {
                0 => Expression::Constant(Fr::from(rng.r#gen::<u64>()) - Fr::from(7)),
                1 => Expression::Constant(Fr::from(rng.gen_range(0..2))),
                _ => cells[rng.gen_range(0..cells.len())].clone(),
            };
        }
        let mut sub = || random(rng, cells, depth - 1);
        let (a, b) = (sub(), sub());
        match rng.gen_range(0..5) {
            0 => a + b,
            1 => a - b,
            2 => -a,
            3 => a * Fr::from(rng.r#gen::<u64>()),
            _ => a * b,
        }
    }

    #[test]
    fn programs_agree_with_expressions() {
        let Some(ifma) = Ifma::detect() else {
            println!("skipped: this processor has no AVX-512 IFMA");
            return;
        };
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let mut meta = ConstraintSystem::<Fr>::default();
        let (advice, fixed) = ([(); 3].map(|()| meta.advice_column()), meta.fixed_column());
        let mut cells = Vec::new();
        meta.create_gate("cells", |meta: &mut VirtualCells<'_, Fr>| {
            for rotation in [-9, -8, -1, 0, 1, 7, 8, 13, 64] {
                cells.extend(advice.map(|column| meta.query_advice(column, Rotation(rotation))));
            }
            cells.push(meta.query_fixed(fixed, Rotation::cur()));
            vec![cells[0].clone()]
        });
        let (k, n) = (7, 1usize << 7);
        let transform = Transform::new(ifma, k).unwrap();
        let columns: Vec<Vec<Fr>> = (0..4).map(|_| (0..n).map(|_| Fr::random(&mut rng)).collect()).collect();
        // Values on the subgroup of the interpolated columns: the columns again, as vectors.
        let values: Vec<Values> = columns
            .iter()
            .map(|column| transform.evaluate(&transform.interpolate(column), &transform.coset(Fr::ONE)))
            .collect();
        let slices: Vec<&[Packed<Fr>]> = values.iter().map(Vec::as_slice).collect();
        let number = |source| match source {
            Source::Fixed(_) | Source::Instance(_) => 3,
            Source::Advice(index) => index,
        };
        for round in 0..60 {
            let terms: Vec<(Expression<Fr>, Fr)> =
                (0..5).map(|_| (random(&mut rng, &cells, 1 + round % 7), Fr::random(&mut rng))).collect();
            let mut graph = Graph::default();
            let nodes: Vec<(Node, Fr)> =
                terms.iter().map(|(expression, weight)| (graph.expression(expression, &number), *weight)).collect();
            let output = graph.combine(&nodes, if round % 2 == 0 { 4 } else { 0 });
            let out = graph.compile(output).run(ifma, &slices);
            let out = transform.interpolate_shifted(out);
            let want: Vec<Fr> = (0..n)
                .map(|row| {
                    let at = |column: usize, rotation: i32| {
                        columns[column][(row as i32 + rotation).rem_euclid(n as i32) as usize]
                    };
                    terms.iter().fold(Fr::ZERO, |sum, (expression, weight)| {
                        let value = expression.evaluate(
                            &|constant| constant,
                            &|_| unreachable!(),
                            &|query| at(3, query.rotation().0),
                            &|query| at(query.column_index(), query.rotation().0),
                            &|_| unreachable!(),
                            &|_| unreachable!(),
                            &|a| -a,
                            &|a, b| a + b,
                            &|a, b| a * b,
                            &|a, factor| a * factor,
                        );
                        sum + value * weight
                    })
                })
                .collect();
            let want = transform.interpolate(&want);
            let got = crate::vector::fft::to_words(ifma, &out);
            assert_eq!(got, want, "round {round}");
        }
    }
}
