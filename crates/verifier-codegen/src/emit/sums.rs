//! The two multi-scalar multiplications, as runs of terms that one loop adds up.

use std::collections::HashMap;

use halo2curves::bn256::Fr;

use crate::{
    CodegenError,
    program::{Id, Op, Point, Program},
    simplify::{Factors, Monomial},
};

/// Terms of a sum whose scalars form a geometric progression in a challenge.
pub(super) struct Run {
    pub terms: Vec<(Id, Point)>,
    /// The challenge; `None` for a single term.
    pub ratio: Option<Id>,
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

/// Is the value the constant one?
pub(super) fn is_one(program: &Program, id: Id) -> bool {
    program.as_constant(id) == Some(Fr::one())
}

/// One side of the pairing.
pub(super) struct Sum {
    /// Terms, without multiples of the identity.
    pub terms: Vec<(Id, Point)>,
    /// The same in runs.
    pub runs: Vec<Run>,
}

impl Sum {
    /// The sum that a point is.
    ///
    /// # Errors
    /// [`CodegenError::Unsupported`] if it is not the result of a multi-scalar multiplication.
    pub(super) fn of(program: &Program, point: Point) -> Result<Self, CodegenError> {
        let terms: Vec<(Id, Point)> = match point {
            Point::Msm(index) => {
                program.msms[index as usize].iter().copied().filter(|(_, base)| *base != Point::Identity).collect()
            }
            Point::Identity | Point::Const(..) | Point::Calldata(_) => {
                return Err(CodegenError::Unsupported("an accumulator that is not a sum"));
            }
        };
        let runs = geometric_runs(program, &terms);
        Ok(Self { terms, runs })
    }

    /// Is it one point, with the coefficient one?
    pub(super) fn single(&self, program: &Program) -> Option<Point> {
        match self.terms.as_slice() {
            [(scalar, point)] if is_one(program, *scalar) => Some(*point),
            _ => None,
        }
    }
}

/// The scalars that are written: the first of each run, and its ratio.
pub(super) fn written<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Id> {
    runs.flat_map(|run| [Some(run.terms[0].0), run.ratio]).flatten().collect()
}
