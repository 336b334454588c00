//! Facts of one interval, shared by all slots: tariff, price and rationing (SETTLE.4 to SETTLE.6).

use gridveil_protocol::{
    market::{Clearing, Rationed},
    params::RATIO_BITS,
};
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::{
        arith::Operand,
        market::{IntervalCells, Running},
    },
    gadgets::{Builder, power},
    trace::Cell,
};

/// Rows of [`open`].
pub const OPEN_ROWS: usize = 25;
/// Rows of [`close`].
pub const CLOSE_ROWS: usize = 22;

/// Prices and flags of interval `t`. `tariff` are its four committed elements.
pub fn open(b: &mut Builder, t: usize, mechanism: Cell, tariff: &[Cell; 4], clearing: &Clearing) -> IntervalCells {
    let [supply, feed_in, local, bounds] = *tariff;
    b.set_clause("SETTLE.5");
    let fields = b.unpack(bounds, &[16, 16, 16]);
    let [reference, floor, cap] = [0, 1, 2].map(|i| fields.get(i).copied().unwrap_or(bounds));
    b.set_clause("SETTLE.6");
    let price = b.witness(("SETTLE.6", "tick", t), Fr::from(u64::from(clearing.tick)));
    b.assert_range(price, 16);
    let off_reference = b.sub(price, reference);
    b.assert_product_zero(mechanism, off_reference);
    let ratio = b.witness(("SETTLE.4", "ratio", t), Fr::from(clearing.ratio));
    let side = b.bit(("SETTLE.6", "side", t), clearing.rationed == Rationed::Demand);
    b.set_clause("SETTLE.5");
    let (cap_above, cap_below) = b.compare([("SETTLE.5", "cap_above", t), ("SETTLE.5", "cap_below", t)], cap, price);
    let (floor_above, floor_below) =
        b.compare([("SETTLE.5", "floor_above", t), ("SETTLE.5", "floor_below", t)], floor, price);
    let buyers = standing_flags(b, mechanism, cap_above, cap_below);
    let sellers = standing_flags(b, mechanism, floor_below, floor_above);
    IntervalCells { price, ratio, side, supply, feed_in, local, buyers, sellers }
}

/// Are orders with a better limit than the price strict, or marginal? `better`: the bound itself is better than the
/// price; `worse`: it is worse. Auction: strict if the bound is better, marginal if it is at the price. Community
/// price: marginal unless the bound is worse.
fn standing_flags(b: &mut Builder, mechanism: Cell, better: Cell, worse: Cell) -> [Cell; 2] {
    let by_key = b.mul(mechanism, better);
    let strict = b.sub(better, by_key);
    let marginal = b.linear(&[(-Fr::ONE, strict), (-Fr::ONE, worse)], Fr::ONE);
    [strict, marginal]
}

/// Uniqueness of the price, the rationed side, its ratio, and equality of the two sides' volumes.
pub fn close(b: &mut Builder, t: usize, mechanism: Cell, cells: &IntervalCells, totals: &Running) {
    let [demand_strict, demand_equal, supply_strict, supply_equal, rationed] = *totals;
    let one = Fr::ONE;
    b.set_clause("SETTLE.6");
    let demand = b.linear(&[(one, demand_strict), (one, demand_equal)], Fr::ZERO);
    let supply = b.linear(&[(one, supply_strict), (one, supply_equal)], Fr::ZERO);
    // D>(p) <= S<=(p)
    let left_for_marginal_demand = b.sub(supply, demand_strict);
    b.assert_range(left_for_marginal_demand, 32);
    // p = 0 or D>=(p) > S<(p), in the auction
    let left_for_marginal_supply = b.sub(demand, supply_strict);
    let less_one = b.linear(&[(one, left_for_marginal_supply)], -one);
    let price_is_zero = b.is_zero(("SETTLE.6", "price_inverse", t), cells.price);
    let unless_zero = b.unless(price_is_zero, less_one);
    let in_auction = b.unless(mechanism, unless_zero);
    b.assert_range(in_auction, 32);
    // side = 1 and D >= S, or side = 0 and S > D: 2 side e + side - e - 1 with e = D - S
    let excess = b.sub(demand, supply);
    let k = [Fr::from(2), one, -one, Fr::ZERO, -one];
    let side_is_longer = b.row(k, [Operand::Copy(cells.side), Operand::Copy(excess), Operand::Unused]);
    b.assert_range(side_is_longer, 32);
    let remaining = b.select(cells.side, left_for_marginal_demand, left_for_marginal_supply);
    let weight = b.select(cells.side, demand_equal, supply_equal);
    // ratio = ceil(2^32 R / W), 0 if W = 0: exactly then the marginal orders of the longer side add up to R, and both
    // sides to V.
    b.set_clause("SETTLE.4");
    let over = b.mul_add(one, cells.ratio, weight, -power(RATIO_BITS), remaining);
    b.assert_range(over, 32);
    b.assert_range(cells.ratio, 48);
    let no_weight = b.is_zero(("SETTLE.6", "weight_inverse", t), weight);
    let slack = b.linear(&[(one, weight), (-one, over)], -one);
    let slack = b.unless(no_weight, slack);
    b.assert_range(slack, 32);
    b.assert_product_zero(no_weight, cells.ratio);
    let unserved = b.sub(remaining, rationed);
    b.assert_zero(unserved);
}
