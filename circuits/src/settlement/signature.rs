//! A Schnorr signature over a sponge: key on the curve, challenge canonical, chain tied to both.

use gridveil_protocol::{poseidon::Use, schnorr};
use halo2curves::ff::Field;

use super::state::imported;
use crate::{
    Fr,
    chips::{arith::Operand, poseidon::Input, schnorr as chain},
    gadgets::{Builder, limbs, power},
    trace::Cell,
};

/// Asserts that `signature` is that of `key` over `message`, under the current clause. Returns the cells of the message.
///
/// `key` must not be (0, 0): the caller puts a constant key in its place.
pub fn verify(b: &mut Builder, index: usize, key: [Cell; 2], purpose: Use, signature: &schnorr::Signature, message: Vec<Input>) -> (Cell, Vec<Cell>) {
    let [x, y] = key;
    let q2 = key_point(b, index, x, y);
    let mut inputs = vec![Input::Free(imported(&signature.r_x)), Input::Copy(x)];
    inputs.extend(message);
    let (digest, cells) = b.sponge(purpose, &inputs);
    let r_x = cells.first().copied().unwrap_or(digest);
    let values = (b.value(x), b.value(y));
    let [a, c, ..] = limbs(b.value(digest));
    let digits = schnorr::digits(&signature.s, a, c);
    let zero = b.zero();
    let end = chain::assign_chain(&mut b.trace, zero, values, &digits, index);
    b.equal(end.key.0, x);
    b.equal(end.key.1, y);
    b.equal(end.q2.0, q2.0);
    b.equal(end.q2.1, q2.1);
    b.equal(end.end.0, r_x);
    challenge(b, index, digest, end.halves);
    (digest, cells.into_iter().skip(2).collect())
}

/// `on ? key : the public empty-slot key`.
pub fn key_or_nobody(b: &mut Builder, on: Cell, key: [Cell; 2]) -> [Cell; 2] {
    let (x, y) = schnorr::empty_slot_key().public().xy();
    let mut coordinate = |key: Cell, nobody: Fr| {
        // nobody + on (key - nobody)
        let k = [Fr::ONE, Fr::ZERO, -nobody, Fr::ZERO, nobody];
        b.row(k, [Operand::Copy(key), Operand::Copy(on), Operand::Unused])
    };
    [coordinate(key[0], imported(&x)), coordinate(key[1], imported(&y))]
}

/// The key is on the curve, and `Q2 = phi(P) - P`.
fn key_point(b: &mut Builder, index: usize, x: Cell, y: Cell) -> (Cell, Cell) {
    let one = Fr::ONE;
    let square = b.mul(x, x);
    let cubic = b.row([one, Fr::ZERO, Fr::ZERO, Fr::ZERO, -Fr::from(17)], [Operand::Copy(square), Operand::Copy(x), Operand::Unused]);
    let y_squared = b.mul(y, y);
    b.equal(cubic, y_squared);
    let beta = chain::beta();
    let (slope, _) = chain::second_point((b.value(x), b.value(y)));
    let slope = b.witness(("SETTLE.1", "slope", index), slope);
    // slope (beta - 1) x = 2 y
    let rest = b.mul_add(beta - one, slope, x, -Fr::from(2), y);
    b.assert_zero(rest);
    let q2x = b.mul_add(one, slope, slope, -(beta + one), x);
    let run = b.sub(x, q2x);
    let q2y = b.mul_add(one, slope, run, one, y);
    (q2x, q2y)
}

/// `digest = halves + 2^128 high` with `high` below the modulus' own bits from 128 up: the only decomposition of a canonical digest.
fn challenge(b: &mut Builder, index: usize, digest: Cell, halves: Cell) {
    let [_, _, low, top] = limbs(b.value(digest));
    let [_, _, modulus_low, modulus_top] = limbs(-Fr::ONE);
    let join = |low: u64, top: u64| crate::gadgets::wide(u128::from(low) | u128::from(top) << 64);
    let high = b.witness(("SETTLE.1", "digest_high", index), join(low, top));
    let sum = b.linear(&[(Fr::ONE, halves), (power(128), high)], Fr::ZERO);
    b.equal(sum, digest);
    b.assert_range(high, 128);
    let below = b.linear(&[(-Fr::ONE, high)], join(modulus_low, modulus_top) - Fr::ONE);
    b.assert_range(below, 128);
}
