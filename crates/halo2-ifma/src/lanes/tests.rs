//! Lanes against the scalar fields of `halo2curves`.

use super::*;
use halo2curves::{
    bn256::{Fq, Fr},
    ff::{Field, FromUniformBytes, PrimeField},
};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

trait Sample: Modulus + PrimeField<Repr = [u8; 32]> {
    fn sample(rng: &mut ChaCha20Rng) -> Self;
}
macro_rules! sample {
    ($field:ty) => {
        impl Sample for $field {
            /// Uniform, or an edge.
            fn sample(rng: &mut ChaCha20Rng) -> Self {
                let mut bytes = [0; 64];
                rng.fill_bytes(&mut bytes);
                match rng.next_u32() % 8 {
                    0 => Self::ZERO,
                    1 => Self::ONE,
                    2 => -Self::ONE,
                    3 => Self::from(rng.next_u64()),
                    _ => Self::from_uniform_bytes(&bytes),
                }
            }
        }
    };
}
sample!(Fr);
sample!(Fq);

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn agree<F: Sample>() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for round in 0..2_000 {
        let [a, b, c]: [[F; LANES]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| F::sample(&mut rng)));
        let (x, y, z) = (Lanes::load(&a), Lanes::load(&b), Lanes::load(&c));
        let check = |lanes: Lanes<F>, value: &dyn Fn(usize) -> F, what: &str| {
            let mut out = [F::ZERO; LANES];
            lanes.store(&mut out);
            for (i, out) in out.iter().enumerate() {
                assert_eq!(*out, value(i), "{what}, lane {i}, round {round}");
                assert!(
                    words(std::slice::from_ref(out))[0].iter().rev().lt(F::WORDS.iter().rev()),
                    "{what} is not reduced"
                );
            }
        };
        check(x, &|i| a[i], "load");
        check(x.mul(y), &|i| a[i] * b[i], "mul");
        check(x.add(y), &|i| a[i] + b[i], "add");
        check(x.sub::<4>(y), &|i| a[i] - b[i], "sub");
        check(x.add(y).add(z).mul(z.sub::<4>(x)), &|i| (a[i] + b[i] + c[i]) * (c[i] - a[i]), "lazy");
        // Up to 64 p, as after a transform of 2^20.
        check((0..3).fold(x.mul(y), |sum, _| sum.add(z)), &|i| a[i] * b[i] + c[i].double() + c[i], "sums");
        check(x.mul(y).reduced(), &|i| a[i] * b[i], "reduced");
        let large = (0..4).fold(x, |sum, _| sum.add(z));
        check(large.nearly_reduced().reduced(), &|i| a[i] + c[i].double().double(), "nearly reduced");
        for shift in 0..LANES {
            let (x, y) = (x.nearly_reduced(), y.nearly_reduced());
            check(
                Packed::new(x).window(Packed::new(y), shift).lanes(),
                &|i| if i + shift < LANES { a[i + shift] } else { b[i + shift - LANES] },
                "window",
            );
        }
        check(Lanes::splat(&a[3]), &|_| a[3], "splat");
        check(x.select(0b1010_0101, y), &|i| if 0b1010_0101 >> i & 1 == 1 { b[i] } else { a[i] }, "select");
        let one = Lanes::<F>::ONE;
        let (p, q) = (x.mul(one).mul(y), y.mul(one).mul(z));
        check(
            p.minus(q).minus(x.mul(one)).minus(y.mul(one)).settled(),
            &|i| a[i] * b[i] - b[i] * c[i] - a[i] - b[i],
            "settled",
        );
        check(q.plus(p).settled(), &|i| a[i] * b[i] + b[i] * c[i], "settled sum");
        check(Lanes::unpacked(p.packed()), &|i| a[i] * b[i], "packed");
        check(x.product(y).carried(), &|i| a[i] * b[i], "product");
        check(x.turned::<3>(), &|i| a[(i + 3) % LANES], "turned");
        let settled = p.minus(q).minus(p).minus(p).settled();
        check(Lanes::unpacked(settled.packed()), &|i| -(a[i] * b[i] + b[i] * c[i]), "packed settled");
        check(
            p.reduced().flipped(0b0110_1001).carried(),
            &|i| if 0b0110_1001 >> i & 1 == 1 { -a[i] * b[i] } else { a[i] * b[i] },
            "flipped",
        );
        let multiple = x.mul(one).reduced().sub::<1>(y.mul(one).reduced()).maybe_multiple();
        assert_eq!(multiple, (0..LANES).fold(0, |mask, i| mask | u8::from(a[i] == b[i]) << i));
        // Towards the ends of what `settled` takes, limbs uncarried, and multiples of p itself.
        let p_lanes = Lanes::<F>(Lanes::<F>::P, PhantomData);
        let lowest = Lanes::ZERO.minus(p_lanes).minus(p_lanes).minus(p_lanes);
        check(lowest.minus(p.reduced()).settled(), &|i| -(a[i] * b[i]), "settled, lowest");
        check(p_lanes.plus(p.reduced().flipped(u8::MAX)).settled(), &|i| -(a[i] * b[i]), "settled, highest");
        for multiple in [p_lanes, p_lanes.plus(p_lanes), p_lanes.plus(p_lanes).plus(p_lanes)] {
            assert_eq!(multiple.carried().maybe_multiple(), u8::MAX);
        }
        let (planes, negative) = x.integers();
        // SAFETY: four registers are 32 words.
        let planes = unsafe { std::mem::transmute::<[__m512i; 4], [[u64; LANES]; 4]>(planes) };
        for i in 0..LANES {
            let mut repr = [0; 32];
            for (bytes, plane) in repr.chunks_exact_mut(8).zip(planes) {
                bytes.copy_from_slice(&plane[i].to_le_bytes());
            }
            let magnitude = F::from_repr(repr).expect("below p");
            assert_eq!(
                if negative >> i & 1 == 1 { -magnitude } else { magnitude },
                a[i],
                "integers, lane {i}, round {round}"
            );
            assert!(repr[31] < 0x19, "more than p / 2");
        }
        let grid: [[F; LANES]; LANES] = std::array::from_fn(|_| std::array::from_fn(|_| F::sample(&mut rng)));
        let mut rows = grid.each_ref().map(|row| Lanes::load(row));
        Lanes::transpose(&mut rows);
        for (j, row) in rows.into_iter().enumerate() {
            check(row, &|i| grid[i][j], "transpose");
        }
    }
    assert_eq!(
        {
            let mut out = [F::ZERO; LANES];
            Lanes::<F>::ONE.store(&mut out);
            out
        },
        [F::ONE; LANES]
    );
}

#[test]
fn lanes_agree_with_the_scalar_fields() {
    let Some(Ifma(())) = Ifma::detect() else {
        println!("skipped: this processor has no AVX-512 IFMA");
        return;
    };
    // SAFETY: the instructions were just detected.
    unsafe {
        agree::<Fr>();
        agree::<Fq>();
    }
}
