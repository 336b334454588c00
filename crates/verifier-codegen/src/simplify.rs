//! Rewrites of the recorded program that keep every value modulo the field, and cost less code.
//!
//! - The opening's constant term is a sum of some eighty products with powers of the batching challenges, each power
//!   made separately: it becomes Horner's rule.
//! - The quotient's numerator is Horner's rule in one challenge, where neighbours share their selector: the selector is
//!   taken out.

use std::collections::{BTreeMap, HashMap};

use halo2curves::bn256::Fr;

use crate::program::{Id, Op, Program};

/// A product: atoms with exponents.
pub(crate) type Monomial = BTreeMap<Id, u64>;

/// Opens every product of a program, whoever uses it.
#[derive(Default)]
pub(crate) struct Factors {
    known: HashMap<Id, Monomial>,
}

impl Factors {
    pub(crate) fn new(_: &Program) -> Self {
        Self::default()
    }

    /// The factors of `id` that are not products themselves, with exponents (saturating).
    pub(crate) fn monomial(&mut self, program: &Program, id: Id) -> Monomial {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let monomial = match program.op(id) {
            Op::Mul(a, b) => {
                let mut product = self.monomial(program, a);
                for (atom, exponent) in self.monomial(program, b) {
                    let sum = product.entry(atom).or_default();
                    *sum = sum.saturating_add(exponent);
                }
                product
            }
            _ => Monomial::from([(id, 1)]),
        };
        self.known.insert(id, monomial.clone());
        monomial
    }
}

/// Products and sums of a program, seen through its values' number of uses.
pub(crate) struct Simplifier<'a> {
    program: &'a mut Program,
    /// Uses of each value, when the pass began.
    uses: Vec<usize>,
    /// Values that are powers of one challenge.
    powers: HashMap<Id, Option<(Id, u64)>>,
    done: HashMap<Id, Id>,
}

/// How often each value is used by the program's multi-scalar multiplications.
pub(crate) fn use_counts(program: &Program, roots: impl Iterator<Item = Id>) -> Vec<usize> {
    let mut uses = vec![0usize; program.nodes.len()];
    for id in roots {
        uses[id as usize] += 1;
    }
    for id in (0..program.nodes.len()).rev() {
        if uses[id] > 0 {
            for operand in program.nodes[id].operands() {
                uses[operand as usize] += 1;
            }
        }
    }
    uses
}

impl<'a> Simplifier<'a> {
    pub(crate) fn new(program: &'a mut Program, uses: Vec<usize>) -> Self {
        Self { program, uses, powers: HashMap::new(), done: HashMap::new() }
    }

    fn single_use(&self, id: Id) -> bool {
        self.uses.get(id as usize).is_none_or(|uses| *uses <= 1)
    }

    /// `id` as a power of a challenge. Recursion is as deep as the exponent's chain.
    fn power(&mut self, id: Id) -> Option<(Id, u64)> {
        if let Some(known) = self.powers.get(&id) {
            return *known;
        }
        let power = match self.program.op(id) {
            Op::Challenge(_) => Some((id, 1)),
            Op::Mul(a, b) => match (self.power(a), self.power(b)) {
                (Some((x, m)), Some((y, n))) if x == y => m.checked_add(n).map(|sum| (x, sum)),
                _ => None,
            },
            _ => None,
        };
        self.powers.insert(id, power);
        power
    }

    /// The factors of `id`: products used once and powers of challenges are opened.
    pub(crate) fn monomial(&mut self, id: Id) -> Monomial {
        let mut out = Monomial::new();
        self.collect_factors(id, true, &mut out);
        out
    }

    fn collect_factors(&mut self, id: Id, top: bool, out: &mut Monomial) {
        if let Some((challenge, exponent)) = self.power(id) {
            *out.entry(challenge).or_default() += exponent;
            return;
        }
        match self.program.op(id) {
            Op::Mul(a, b) if top || self.single_use(id) => {
                self.collect_factors(a, false, out);
                self.collect_factors(b, false, out);
            }
            _ => *out.entry(id).or_default() += 1,
        }
    }

    /// The signed terms of the sum at `id`.
    fn collect_terms(&mut self, id: Id, negative: bool, top: bool, out: &mut Vec<(bool, Id)>) {
        match self.program.op(id) {
            Op::Add(a, b) if top || self.single_use(id) => {
                self.collect_terms(a, negative, false, out);
                self.collect_terms(b, negative, false, out);
            }
            Op::Sub(a, b) if top || self.single_use(id) => {
                self.collect_terms(a, negative, false, out);
                self.collect_terms(b, !negative, false, out);
            }
            Op::Neg(a) => self.collect_terms(a, !negative, false, out),
            _ => out.push((negative, id)),
        }
    }

    /// The same value with its sums factored.
    pub(crate) fn factor(&mut self, id: Id) -> Id {
        if let Some(done) = self.done.get(&id) {
            return *done;
        }
        let chain = self.horner_chain(id);
        let result = match self.program.op(id) {
            _ if chain.is_some() => chain.map_or(id, |(challenge, terms)| self.group(challenge, &terms)),
            Op::Add(..) | Op::Sub(..) | Op::Neg(_) => {
                let mut terms = Vec::new();
                self.collect_terms(id, false, true, &mut terms);
                let mut products: Vec<(bool, Monomial)> = Vec::with_capacity(terms.len());
                for (negative, term) in terms {
                    let mut factored = Monomial::new();
                    for (atom, exponent) in self.monomial(term) {
                        let atom = self.factor(atom);
                        *factored.entry(atom).or_default() += exponent;
                    }
                    products.push((negative, factored));
                }
                self.sum(products)
            }
            Op::Mul(a, b) if self.power(id).is_none() && self.single_use(id) => {
                let (a, b) = (self.factor(a), self.factor(b));
                self.program.mul(a, b)
            }
            _ => id,
        };
        self.done.insert(id, result);
        result
    }

    /// `id` as Horner's rule in one challenge, at least eight terms: `((t0 y + t1) y + t2) ...`, first term first.
    fn horner_chain(&self, id: Id) -> Option<(Id, Vec<(bool, Id)>)> {
        let mut found: Option<Id> = None;
        let mut terms = Vec::new();
        let mut at = id;
        loop {
            let (a, b, negative) = match self.program.op(at) {
                Op::Add(a, b) => (a, b, false),
                Op::Sub(a, b) => (a, b, true),
                _ => break,
            };
            let step = |side: Id| match self.program.op(side) {
                Op::Mul(x, y) if self.single_use(side) => [(x, y), (y, x)].into_iter().find(|(challenge, rest)| {
                    matches!(self.program.op(*challenge), Op::Challenge(_))
                        && found.is_none_or(|found| found == *challenge)
                        && self.single_use(*rest)
                        && matches!(self.program.op(*rest), Op::Add(..) | Op::Sub(..) | Op::Mul(..))
                }),
                _ => None,
            };
            let (challenge, rest, term) = match (step(a), if negative { None } else { step(b) }) {
                (Some((challenge, rest)), _) => (challenge, rest, b),
                (None, Some((challenge, rest))) => (challenge, rest, a),
                (None, None) => break,
            };
            found = Some(challenge);
            terms.push((negative, term));
            at = rest;
        }
        terms.push((false, at));
        terms.reverse();
        found.filter(|_| terms.len() >= 8).map(|challenge| (challenge, terms))
    }

    /// Horner's rule with neighbouring terms that share a proof word (their selector) taken together.
    fn group(&mut self, challenge: Id, terms: &[(bool, Id)]) -> Id {
        let mut monomials = Vec::with_capacity(terms.len());
        for (negative, term) in terms {
            let mut monomial = Monomial::new();
            for (atom, exponent) in self.monomial(*term) {
                let atom = self.factor(atom);
                *monomial.entry(atom).or_default() += exponent;
            }
            monomials.push((*negative, monomial));
        }
        let mut accumulator: Option<Id> = None;
        let mut start = 0;
        while start < monomials.len() {
            let selectors: Vec<Id> = monomials[start]
                .1
                .keys()
                .copied()
                .filter(|atom| matches!(self.program.op(*atom), Op::Word(_)))
                .collect();
            let run =
                |atom: &Id| monomials[start..].iter().take_while(|(_, monomial)| monomial.contains_key(atom)).count();
            let best = selectors
                .iter()
                .map(|atom| (run(atom), *atom))
                .max_by_key(|(length, atom)| (*length, std::cmp::Reverse(*atom)));
            let (length, selector) = match best {
                Some((length, selector)) if length > 1 => (length, Some(selector)),
                _ => (1, None),
            };
            let mut inner: Option<Id> = None;
            for (negative, monomial) in &monomials[start..start + length] {
                let mut monomial = monomial.clone();
                if let Some(selector) = selector {
                    divide(&mut monomial, &Monomial::from([(selector, 1)]));
                }
                let term = self.sum(vec![(false, monomial)]);
                let shifted = inner.map(|inner| self.program.mul(inner, challenge));
                inner = Some(match (shifted, *negative) {
                    (None, false) => term,
                    (None, true) => self.program.neg(term),
                    (Some(sum), false) => self.program.add(sum, term),
                    (Some(sum), true) => self.program.sub(sum, term),
                });
            }
            if let Some(inner) = inner {
                let group = match selector {
                    Some(selector) => self.program.mul(selector, inner),
                    None => inner,
                };
                accumulator = Some(match accumulator {
                    None => group,
                    Some(above) => {
                        let mut power = challenge;
                        for _ in 1..length {
                            power = self.program.mul(power, challenge);
                        }
                        let shifted = self.program.mul(above, power);
                        self.program.add(shifted, group)
                    }
                });
            }
            start += length;
        }
        match accumulator {
            Some(value) => value,
            None => self.program.constant(&Fr::zero()),
        }
    }

    fn product(&mut self, monomial: &Monomial) -> Id {
        let mut out = None;
        for (atom, exponent) in monomial {
            for _ in 0..*exponent {
                out = Some(match out {
                    Some(product) => self.program.mul(product, *atom),
                    None => *atom,
                });
            }
        }
        match out {
            Some(product) => product,
            None => self.program.constant(&Fr::one()),
        }
    }

    /// A sum of signed products: common factors first, then Horner's rule in the challenge that most terms have.
    fn sum(&mut self, mut terms: Vec<(bool, Monomial)>) -> Id {
        if terms.is_empty() {
            return self.program.constant(&Fr::zero());
        }
        if let [(negative, monomial)] = terms.as_slice() {
            let (negative, monomial) = (*negative, monomial.clone());
            let product = self.product(&monomial);
            return if negative { self.program.neg(product) } else { product };
        }
        // All terms negative: one negation outside.
        if terms.iter().all(|(negative, _)| *negative) {
            let positive = terms.into_iter().map(|(_, monomial)| (false, monomial)).collect();
            let sum = self.sum(positive);
            return self.program.neg(sum);
        }
        let mut common = terms[0].1.clone();
        for (_, monomial) in &terms[1..] {
            common = common
                .into_iter()
                .filter_map(|(atom, exponent)| monomial.get(&atom).map(|other| (atom, exponent.min(*other))))
                .collect();
        }
        if !common.is_empty() {
            for (_, monomial) in &mut terms {
                divide(monomial, &common);
            }
            let inner = self.sum(terms);
            let factor = self.product(&common);
            return self.program.mul(factor, inner);
        }
        let mut counts: BTreeMap<Id, usize> = BTreeMap::new();
        for (_, monomial) in &terms {
            for (atom, exponent) in monomial {
                // Long powers (the vanishing polynomial's) are values of their own.
                if *exponent <= 64 && self.program.as_constant(*atom).is_none() {
                    *counts.entry(*atom).or_default() += 1;
                }
            }
        }
        let best = counts
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .max_by_key(|(atom, count)| (*count, std::cmp::Reverse(*atom)));
        let Some((atom, _)) = best else {
            let mut out = None;
            for (negative, monomial) in &terms {
                let product = self.product(monomial);
                out = Some(match (out, *negative) {
                    (None, false) => product,
                    (None, true) => self.program.neg(product),
                    (Some(sum), false) => self.program.add(sum, product),
                    (Some(sum), true) => self.program.sub(sum, product),
                });
            }
            return match out {
                Some(sum) => sum,
                None => self.program.constant(&Fr::zero()),
            };
        };
        let mut by_exponent: BTreeMap<u64, Vec<(bool, Monomial)>> = BTreeMap::new();
        for (negative, mut monomial) in terms {
            let exponent = monomial.get(&atom).copied().filter(|exponent| *exponent <= 64).unwrap_or(0);
            divide(&mut monomial, &BTreeMap::from([(atom, exponent)]));
            by_exponent.entry(exponent).or_default().push((negative, monomial));
        }
        // Horner's rule from the highest power down; a gap costs one more product each.
        let mut accumulator: Option<(u64, Id)> = None;
        for (exponent, terms) in by_exponent.into_iter().rev() {
            let coefficient = self.sum(terms);
            accumulator = Some(match accumulator {
                None => (exponent, coefficient),
                Some((above, value)) => {
                    let shifted = self.shift(value, atom, above - exponent);
                    (exponent, self.program.add(shifted, coefficient))
                }
            });
        }
        match accumulator {
            Some((exponent, value)) => self.shift(value, atom, exponent),
            None => self.program.constant(&Fr::zero()),
        }
    }

    fn shift(&mut self, mut value: Id, atom: Id, times: u64) -> Id {
        for _ in 0..times {
            value = self.program.mul(value, atom);
        }
        value
    }
}

fn divide(monomial: &mut Monomial, by: &Monomial) {
    for (atom, exponent) in by {
        if let Some(own) = monomial.get_mut(atom) {
            *own = own.saturating_sub(*exponent);
            if *own == 0 {
                monomial.remove(atom);
            }
        }
    }
}

/// Rewrites the program's multi-scalar multiplications.
pub(crate) fn simplify(program: &mut Program) {
    let roots: Vec<Id> = program.msms.iter().flatten().map(|(scalar, _)| *scalar).collect();
    let uses = use_counts(program, roots.into_iter());
    let mut msms = std::mem::take(&mut program.msms);
    let mut simplifier = Simplifier::new(program, uses);
    for (scalar, _) in msms.iter_mut().flatten() {
        *scalar = simplifier.factor(*scalar);
    }
    program.msms = msms;
}
