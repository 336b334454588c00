//! Weighted sums of identities, rewritten so that they cost fewer products.

use std::collections::{HashMap, HashSet};

use halo2curves::{bn256::Fr, ff::Field};

use super::graph::{Graph, Kind, Node};

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

impl Graph {
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
}
