//! Commitments against `halo2curves` and naive sums.

#![allow(clippy::type_complexity)]

use std::iter;

use super::{sort::digits, *};
use halo2curves::{
    ff::{Field, PrimeField},
    group::Curve,
    msm::msm_best,
};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

fn detected() -> Option<Ifma> {
    let ifma = Ifma::detect();
    if ifma.is_none() {
        println!("skipped: this processor has no AVX-512 IFMA");
    }
    ifma
}

/// Random steps from a random point: much cheaper than random points.
fn points(rng: &mut ChaCha20Rng, count: usize) -> Vec<G1Affine> {
    let (start, step) = (G1::random(&mut *rng), G1::random(&mut *rng));
    let points: Vec<G1> = iter::successors(Some(start), |point| Some(point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

/// By definition for a few, otherwise by halo2curves, which takes no infinity as a base.
fn expected(bases: &[G1Affine], scalars: &[Fr]) -> G1 {
    if scalars.len() <= 40 {
        return scalars.iter().zip(bases).fold(G1::identity(), |sum, (scalar, base)| sum + *base * scalar);
    }
    let finite = scalars.iter().zip(bases).filter(|(_, base)| !bool::from(base.is_identity()));
    let (scalars, bases): (Vec<Fr>, Vec<G1Affine>) = finite.map(|(scalar, base)| (*scalar, *base)).unzip();
    msm_best(&scalars, &bases)
}

fn check(ifma: Ifma, bases: &[G1Affine], columns: &[Vec<Fr>], what: &str) {
    let columns: Vec<&[Fr]> = columns.iter().map(Vec::as_slice).collect();
    let sums = Bases::new(ifma, bases).commit(&columns);
    assert_eq!(sums.len(), columns.len(), "{what}");
    for (i, (sum, column)) in sums.iter().zip(columns).enumerate() {
        assert_eq!(*sum, expected(&bases[..column.len()], column), "{what}, column {i} of {} scalars", column.len());
    }
}

/// Columns of every kind that proofs have, and of some they do not.
fn columns(rng: &mut ChaCha20Rng, size: usize) -> Vec<Vec<Fr>> {
    let full = |rng: &mut ChaCha20Rng| Fr::random(rng);
    let one = full(rng);
    let kinds: [&dyn Fn(&mut ChaCha20Rng) -> Fr; 16] = [
        &full,
        &|_| Fr::ZERO,
        &|_| Fr::ONE,
        &|_| -Fr::ONE,
        &|_| one,
        &|rng| if rng.r#gen() { Fr::ONE } else { -Fr::ONE },
        &|rng| if rng.r#gen() { one } else { -one },
        &|rng| Fr::from(u64::from(rng.r#gen::<bool>())),
        &|rng| Fr::from(u64::from(rng.r#gen::<u8>())),
        &|rng| Fr::from(u64::from(rng.r#gen::<u16>())),
        &|rng| -Fr::from(u64::from(rng.next_u32())),
        &|rng| Fr::from(rng.next_u64()),
        &|rng| if rng.gen_range(0..10) == 0 { full(rng) } else { Fr::ZERO },
        &|rng| if rng.gen_range(0..100) == 0 { full(rng) } else { Fr::from(u64::from(rng.r#gen::<u8>())) },
        // Carries through all windows, and the longest scalars.
        &|rng| Fr::from(2).pow_vartime([rng.gen_range(0..256)]) - Fr::from(rng.gen_range(0..2)),
        &|rng| [Fr::TWO_INV, -Fr::TWO_INV, Fr::TWO_INV - Fr::ONE][rng.gen_range(0..3)],
    ];
    let mut columns: Vec<Vec<Fr>> = kinds.iter().map(|kind| (0..size).map(|_| kind(rng)).collect()).collect();
    // Blinding rows at the end.
    let mut blinded = columns[8].clone();
    blinded.iter_mut().rev().take(6).for_each(|scalar| *scalar = full(rng));
    columns.push(blinded);
    columns
}

#[test]
fn columns_of_all_sizes_agree() {
    let Some(ifma) = detected() else { return };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let bases = points(&mut rng, 3000);
    let random: Vec<usize> = (0..12).map(|_| rng.gen_range(0..3000)).collect();
    for size in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40].into_iter().chain(random) {
        let columns = columns(&mut rng, size);
        check(ifma, &bases, &columns, "distinct bases");
    }
    let uneven: Vec<Vec<Fr>> =
        [5, 0, 3000, 100, 1].map(|size| (0..size).map(|_| Fr::random(&mut rng)).collect()).into();
    check(ifma, &bases, &uneven, "uneven columns");
    check(ifma, &bases, &[], "no column");
    check(ifma, &[], &[Vec::new()], "no bases");
    assert_eq!(format!("{:?}", Bases::new(ifma, &bases)), "Bases { len: 3000, .. }");
}

/// Doublings, cancellations and infinity at every step.
#[test]
fn any_bases_agree() {
    let Some(ifma) = detected() else { return };
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let distinct = points(&mut rng, 700);
    let (first, infinity) = (distinct[0], G1Affine::identity());
    let few = |rng: &mut ChaCha20Rng| [distinct[1], -distinct[1], distinct[2], infinity][rng.gen_range(0..4)];
    let kinds: [&dyn Fn(&mut ChaCha20Rng, usize) -> G1Affine; 7] = [
        &|_, _| infinity,
        &|_, _| first,
        &|_, i| if i % 2 == 0 { first } else { -first },
        &|rng, _| if rng.r#gen() { first } else { -first },
        &|rng, _| few(rng),
        &|rng, i| if rng.gen_range(0..10) == 0 { few(rng) } else { distinct[i] },
        // 1, 2, 3 ... times a point: sums of some are equal to sums of others.
        &|_, i| (first * Fr::from(i as u64)).to_affine(),
    ];
    for (kind, base) in kinds.iter().enumerate() {
        for size in [1, 2, 9, 33, 700] {
            let bases: Vec<G1Affine> = (0..size).map(|i| base(&mut rng, i)).collect();
            let columns = columns(&mut rng, size);
            check(ifma, &bases, &columns, &format!("bases of kind {kind}"));
        }
    }
}

/// Several tasks a window, buckets in several tasks, several batches a round.
#[test]
fn long_columns_agree() {
    let Some(ifma) = detected() else { return };
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let size = 1 << 14;
    let bases = points(&mut rng, 5 * size);
    let columns = columns(&mut rng, size);
    check(ifma, &bases, &columns, "2^14");
    let (same, bit) = (vec![Fr::ONE; 5 * size], (0..5 * size).map(|_| Fr::from(rng.gen_range(0..2))).collect());
    let pairs = (0..5 * size as u64).map(|i| Fr::from(i / 2 % 8192)).collect();
    check(ifma, &bases, &[same, bit, pairs], "skewed");
}

#[test]
fn digits_make_up_the_scalars() {
    let Some(_) = detected() else { return };
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let words: Vec<[[u64; LANES]; 4]> =
        (0..50).map(|_| [(); 4].map(|()| [(); LANES].map(|()| rng.next_u64()))).collect();
    for width in 2..=16 {
        let mut sums = vec![Fr::ZERO; words.len() * LANES];
        for window in (0..257u32.div_ceil(width)).rev() {
            let mut codes = vec![0; sums.len()];
            // SAFETY: the instructions were just detected.
            unsafe { digits(&words, (window * width) as usize, width, 0, &mut codes) };
            for (sum, code) in sums.iter_mut().zip(codes) {
                let digit = Fr::from(u64::from(code & !MINUS));
                assert!(code & !MINUS <= 1 << (width - 1));
                *sum = *sum * Fr::from(1 << width) + if code & MINUS == 0 { digit } else { -digit };
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            assert_eq!(sum, Fr::from_raw(words[i / LANES].map(|word| word[i % LANES])), "width {width}");
        }
    }
}
