//! Signatures of the settlement: a sponge over key and message, and the public key that signs where no signature is
//! needed.

use gridveil_protocol::{poseidon::DomainTag, schnorr};
use halo2curves::ff::Field;

use super::state::imported;
use crate::{
    Fr,
    chips::{arith::Operand, poseidon::Input},
    gadgets::Builder,
    signature::{self, Key},
    trace::Cell,
};

/// Asserts that `signature` is that of `key` over `message`, under the current clause. Returns the digest and the cells
/// of the message. Free cells are named by SETTLE.1 and `index`.
///
/// `key` must not be (0, 0): the caller puts a constant key in its place.
pub fn verify(
    b: &mut Builder,
    index: usize,
    [x, y]: [Cell; 2],
    purpose: DomainTag,
    signature: &schnorr::Signature,
    message: Vec<Input>,
) -> (Cell, Vec<Cell>) {
    let label = ("SETTLE.1", index);
    let key = Key::new(b, label, x, y);
    let mut inputs = vec![Input::Free(imported(&signature.r_x)), Input::Copy(x)];
    inputs.extend(message);
    let (digest, cells) = b.sponge(purpose, &inputs);
    let r_x = cells.first().copied().unwrap_or(digest);
    signature::verify(b, label, &key, r_x, digest, &signature.s);
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
