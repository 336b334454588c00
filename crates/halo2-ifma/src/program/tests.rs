//! Programs against plain evaluation of the expressions.

use super::*;
use crate::fft::Transform;
use halo2_proofs::{
    plonk::{ConstraintSystem, Expression, VirtualCells},
    poly::Rotation,
};
use halo2curves::ff::Field;
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
        let got = crate::fft::to_words(ifma, &out);
        assert_eq!(got, want, "round {round}");
    }
}
