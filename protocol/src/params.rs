//! Every bound of the protocol in one place, each with the reason it holds.

/// Tariff classes a period's tariff carries. Two fit the packed price limbs of [`crate::tariff`].
pub const CLASSES: usize = 2;
/// Readings packed in one field element of a packet: 7 intervals x (16 + 16) bits = 224 bits.
pub const INTERVALS_PER_GROUP: usize = 7;
/// Arity of every Merkle tree (ADR 0001).
pub const ARITY: usize = 4;
/// Depth of the state tree: 4^8 = 65,536 communities.
pub const STATE_DEPTH: usize = 8;
/// Depth of the append-only certificates tree: 4^10 settlements of one community.
pub const CERTIFICATES_DEPTH: usize = 10;
/// Largest number of slots of a shape.
pub const MAX_MEMBERS: usize = 512;
/// Largest number of intervals of a period.
pub const MAX_INTERVALS: usize = 96;
/// Largest account scale: Wh per reading unit.
pub const MAX_SCALE: u64 = 100;
/// Nano-currency per price tick and Wh (0.01 ct/kWh).
pub const NANO_PER_TICK: i64 = 100;
/// Prices are committed as `price + PRICE_OFFSET`, so that limbs are never negative.
pub const PRICE_OFFSET: i64 = 1 << 31;
/// Bits of one packed price limb, and of one per-period sum of price x energy.
pub const PRICE_LIMB_BITS: u32 = 64;
/// Leading 64 bits of the field modulus: the top limb of four stays below it, so four limbs never wrap.
pub const MODULUS_TOP: u64 = 0x3064_4e72_e131_a029;
/// Bits of one lifetime energy register of an account.
pub const REGISTER_BITS: u32 = 62;
/// Fractional bits of the rationing ratio (ADR 0002).
pub const RATIO_BITS: u32 = 32;
/// Number of the circuit version that a new deployment begins with; part of the domain of every statement.
pub const CIRCUIT_VERSION: u64 = crate::version::CircuitVersion::CURRENT.number();
/// Deposits are capped on L1, so balances cannot overflow a u64 (nano-currency).
pub const MAX_TOTAL_DEPOSITS_NANO: u64 = 1 << 62;

/// Nano-currency of one unit, the public denomination of everything that crosses L1.
pub const UNIT_NANO: u64 = 10_000_000;
/// Bits of a number of units.
pub const UNITS_BITS: u32 = 48;
/// Certificate notes a settlement takes from L1's queue. They use no operation slots.
pub const QUEUE: usize = 16;
/// Requests that wait at most in a community's forced queue on L1 (FORCED.3).
pub const FORCED_QUEUE: usize = 8;

const READING_BOUND: u64 = 1 << 16;

// A period's sum of (offset) price x energy of one account fits even the top limb, so that four limbs stay below the
// modulus.
const _: () = assert!(
    (MAX_INTERVALS as u128) * (MAX_SCALE as u128) * ((READING_BOUND - 1) as u128) * (1u128 << 32) < MODULUS_TOP as u128
);
// An interval's community total fits 32 bits, so that ratio x weight never wraps and the range checks are two 16-bit
// limbs.
const _: () = assert!((MAX_MEMBERS as u64) * MAX_SCALE * (READING_BOUND - 1) < 1 << RATIO_BITS);
// A register grows by less than 2^30 Wh a period, and there are fewer than 2^32 periods.
const _: () = assert!((MAX_INTERVALS as u64) * MAX_SCALE * (READING_BOUND - 1) < 1 << 30);
const _: () = assert!(30 + 32 <= REGISTER_BITS);

/// Size of a settlement statement. Each shape has its own pinned keys and verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Name used in file names, keys and the L1 registry.
    pub name: &'static str,
    /// Identifier on L1.
    pub id: u32,
    /// Slots N, a power of two, 4..=512.
    pub members: usize,
    /// Intervals m of a period, 2..=96.
    pub intervals: usize,
    /// Operation slots: account operations of one settlement.
    pub operations: usize,
    /// log2 of the circuit's rows.
    pub k: u32,
    /// Bits of one range-table entry (16 where 2^16 rows exist, 8 in the small shapes).
    pub table_bits: u32,
}

/// The shapes that exist. `tiny-4x2` is for tests of the rules, not for deployment.
pub const SHAPES: [Shape; 4] = [
    Shape { name: "tiny-4x2", id: 1, members: 4, intervals: 2, operations: 3, k: 13, table_bits: 8 },
    Shape { name: "home-32x24", id: 2, members: 32, intervals: 24, operations: 32, k: 16, table_bits: 8 },
    Shape { name: "district-128x96", id: 3, members: 128, intervals: 96, operations: 64, k: 18, table_bits: 16 },
    Shape { name: "district-512x96", id: 4, members: 512, intervals: 96, operations: 12, k: 19, table_bits: 16 },
];

// A full forced queue is served by one batch, and leaves operation slots to the others.
const _: () = {
    let deployed = Shape::deployed();
    let mut left = deployed.as_slice();
    while let [shape, rest @ ..] = left {
        assert!(shape.operations >= FORCED_QUEUE + 4);
        left = rest;
    }
};

impl Default for Shape {
    /// The smallest shape.
    fn default() -> Self {
        SHAPES[0]
    }
}

impl Shape {
    /// The shape of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        SHAPES.into_iter().find(|shape| shape.name == name)
    }

    /// The shape of that identifier on L1.
    #[must_use]
    pub fn by_id(id: u32) -> Option<Self> {
        SHAPES.into_iter().find(|shape| shape.id == id)
    }

    /// Those for deployment: all but the first.
    #[must_use]
    pub const fn deployed() -> [Self; SHAPES.len() - 1] {
        let [_tiny, deployed @ ..] = SHAPES;
        deployed
    }

    /// Name of its verifier's artifact: `SettlementHome32x24` for `home-32x24`.
    #[must_use]
    pub fn verifier_name(&self) -> String {
        let words = self.name.split('-').map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        });
        std::iter::once("Settlement".to_owned()).chain(words).collect()
    }

    /// Reading groups of one packet.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.intervals.div_ceil(INTERVALS_PER_GROUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_shape_is_found_by_name_and_by_identifier() {
        for shape in SHAPES {
            assert_eq!((Shape::by_name(shape.name), Shape::by_id(shape.id)), (Some(shape), Some(shape)));
        }
        assert_eq!(
            Shape::deployed().map(|shape| shape.verifier_name()),
            ["SettlementHome32x24", "SettlementDistrict128x96", "SettlementDistrict512x96"]
        );
    }

    proptest! {
        #[test]
        fn what_is_found_has_the_identifier(id in prop_oneof![0u32..16, any::<u32>()]) {
            prop_assert_eq!(Shape::by_id(id).map_or(id, |shape| shape.id), id);
            prop_assert_eq!(Shape::by_id(id).is_some(), SHAPES.iter().any(|shape| shape.id == id));
        }
    }
}
