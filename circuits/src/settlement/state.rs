//! Header and trees: SETTLE.2, 11, 13.

use gridveil_protocol::tree::Children;
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::poseidon::Input,
    gadgets::{Builder, power},
    trace::{Cell, Name},
};

pub(super) use crate::field::imported;

/// Cells of the 23 header elements, in order.
#[derive(Clone, Copy, Debug)]
pub struct HeaderCells(pub [Cell; 23]);

/// Positions in [`HeaderCells`].
pub mod at {
    /// Mechanism.
    pub const MECHANISM: usize = 0;
    /// Seconds.
    pub const INTERVAL_LENGTH: usize = 1;
    /// m.
    pub const INTERVALS: usize = 2;
    /// The meter data manager's key.
    pub const MDM: [usize; 2] = [3, 4];
    /// Next interval.
    pub const NEXT: usize = 5;
    /// Supplier account.
    pub const SUPPLIER_ACCOUNT: usize = 6;
    /// Fee account.
    pub const FEE_ACCOUNT: usize = 7;
    /// Reserve.
    pub const RESERVE: usize = 8;
    /// Count of header operations.
    pub const NONCE: usize = 9;
    /// First total (import); the others follow.
    pub const TOTALS: usize = 10;
    /// Sum of debts.
    pub const DEBT: usize = 16;
    /// Corrected packets.
    pub const CORRECTIONED: usize = 19;
    /// Certificate counter.
    pub const CERTIFICATES: usize = 20;
    /// h1, h2.
    pub const SALTS: [usize; 2] = [21, 22];
}

/// A path with one leaf replaced: old and new root over the same siblings.
#[derive(Clone, Copy, Debug)]
pub struct Replaced {
    /// Root before.
    pub old: Cell,
    /// Root after.
    pub new: Cell,
}

/// Rows a level of [`replace`] takes.
pub const LEVEL_ROWS: usize = 19;

/// Opens `old` at `index` (whose base-4 digits it also binds) and puts `new` there.
/// Names of its free bits start at `first_name`.
pub fn replace(
    b: &mut Builder,
    (clause, name, first_name): Name,
    index: Cell,
    path: &[Children],
    old: Cell,
    new: Cell,
) -> Replaced {
    let mut digits = crate::gadgets::limbs(b.value(index))[0];
    let mut terms = Vec::new();
    let mut roots = Replaced { old, new };
    for (level, children) in path.iter().enumerate() {
        b.block(LEVEL_ROWS);
        let (low, high) = (digits & 1 == 1, digits & 2 == 2);
        digits >>= 2;
        let bits = [
            b.bit((clause, name, first_name + 2 * level), low),
            b.bit((clause, name, first_name + 2 * level + 1), high),
        ];
        let weight = u32::try_from(2 * level).unwrap_or(u32::MAX);
        terms.extend([(power(weight), bits[0]), (power(weight + 1), bits[1])]);
        let siblings = (clause, "sibling", 2 * (first_name + 2 * level));
        roots = level_up(b, bits, siblings, children, roots);
    }
    b.block(path.len());
    let sum = b.linear(&terms, Fr::ZERO);
    b.equal(sum, index);
    roots
}

fn level_up(
    b: &mut Builder,
    [low, high]: [Cell; 2],
    (clause, name, first_name): Name,
    children: &Children,
    node: Replaced,
) -> Replaced {
    let one = Fr::ONE;
    let both = b.mul(low, high);
    // place 0, 1, 2, 3
    let places = [b.linear(&[(-one, low), (-one, high), (one, both)], one), b.sub(low, both), b.sub(high, both), both];
    let children: [Input; 4] =
        std::array::from_fn(|i| Input::Free(b.trace.free((clause, name, first_name + i), imported(&children[i]))));
    let (old_root, cells) = b.hash4(children);
    let difference = b.sub(node.new, node.old);
    let mut replaced = [Input::Zero; 4];
    for ((place, child), slot) in places.into_iter().zip(cells).zip(&mut replaced) {
        // place (child - old) = 0
        let gap = b.sub(child, node.old);
        b.assert_product_zero(place, gap);
        *slot = Input::Copy(b.mul_add(one, place, difference, one, child));
    }
    let (new_root, _) = b.hash4(replaced);
    Replaced { old: old_root, new: new_root }
}
