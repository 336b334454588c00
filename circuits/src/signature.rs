//! A Schnorr signature over a sponge's output: key, chain and challenge tied to each other (`docs/spec/state.md`,
//! Packet).

use gridveil_protocol::{field::Scalar, schnorr};
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::{arith::Operand, schnorr as chain},
    gadgets::{Builder, limbs, power, wide},
    trace::Cell,
};

/// The clause that a signature serves, and which of several it is.
pub type Label = (&'static str, usize);

/// A key on the curve, and `Q2 = phi(P) - P`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    x: Cell,
    y: Cell,
    q2: (Cell, Cell),
}

impl Key {
    /// The key is on the curve, and `Q2 = phi(P) - P`.
    pub fn new(b: &mut Builder, (clause, index): Label, x: Cell, y: Cell) -> Self {
        let one = Fr::ONE;
        let square = b.mul(x, x);
        let cubic = b.row(
            [one, Fr::ZERO, Fr::ZERO, Fr::ZERO, -Fr::from(17)],
            [Operand::Copy(square), Operand::Copy(x), Operand::Unused],
        );
        let y_squared = b.mul(y, y);
        b.equal(cubic, y_squared);
        let beta = chain::beta();
        let (slope, _) = chain::second_point((b.value(x), b.value(y)));
        let slope = b.witness((clause, "slope", index), slope);
        // slope (beta - 1) x = 2 y
        let rest = b.mul_add(beta - one, slope, x, -Fr::from(2), y);
        b.assert_zero(rest);
        let q2x = b.mul_add(one, slope, slope, -(beta + one), x);
        let run = b.sub(x, q2x);
        let q2y = b.mul_add(one, slope, run, one, y);
        Self { x, y, q2: (q2x, q2y) }
    }
}

/// `x(s G - e P) = r_x` with `e` from the digest.
pub fn verify(b: &mut Builder, (clause, index): Label, key: &Key, r_x: Cell, digest: Cell, s: &Scalar) {
    let point = (b.value(key.x), b.value(key.y));
    let [a, c, ..] = limbs(b.value(digest));
    let digits = schnorr::digits(s, a, c);
    let zero = b.zero();
    let end = chain::assign_chain(&mut b.trace, zero, point, &digits, (clause, index));
    b.equal(end.key.0, key.x);
    b.equal(end.key.1, key.y);
    b.equal(end.q2.0, key.q2.0);
    b.equal(end.q2.1, key.q2.1);
    b.equal(end.end.0, r_x);
    challenge(b, (clause, index), digest, end.halves);
}

/// `digest = halves + 2^128 high` with `high` below the modulus' own bits from 128 up: the only decomposition of a
/// canonical digest.
fn challenge(b: &mut Builder, (clause, index): Label, digest: Cell, halves: Cell) {
    let [_, _, low, top] = limbs(b.value(digest));
    let [_, _, modulus_low, modulus_top] = limbs(-Fr::ONE);
    let join = |low: u64, top: u64| wide(u128::from(low) | u128::from(top) << 64);
    let high = b.witness((clause, "digest_high", index), join(low, top));
    let sum = b.linear(&[(Fr::ONE, halves), (power(128), high)], Fr::ZERO);
    b.equal(sum, digest);
    b.assert_range(high, 128);
    let below = b.linear(&[(-Fr::ONE, high)], join(modulus_low, modulus_top) - Fr::ONE);
    b.assert_range(below, 128);
}
