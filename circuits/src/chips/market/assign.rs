//! Writes the rows of readings: what the gates then check.

use super::*;
use crate::{
    gadgets::limbs,
    trace::{RowHalf, Trace},
};

/// Writes the rows above the first slot: running sums of zero.
#[track_caller]
pub fn assign_origin(trace: &mut Trace, geometry: Geometry, start: usize, zero: Cell) {
    for interval in 0..geometry.intervals {
        for target in running(geometry, start, interval) {
            trace.copy_to(zero, target.column, target.row);
        }
    }
}

/// One reading as the meter signed it, and whether it lies in the active window (from, until bits).
#[derive(Clone, Copy, Debug)]
pub struct ReadingWitness {
    /// Units of scale.
    pub import: u16,
    /// Units of scale.
    pub export: u16,
    /// The interval is at or after active_from.
    pub started: bool,
    /// The interval is at or after active_until.
    pub ended: bool,
}

/// Writes the rows of one slot.
#[track_caller]
pub fn assign_slot(
    trace: &mut Trace,
    geometry: Geometry,
    start: usize,
    (slot, zero): (usize, Cell),
    cells: &SlotCells,
    intervals: &[IntervalCells],
    readings: &[ReadingWitness],
) -> SlotResult {
    let group = gridveil_protocol::params::INTERVALS_PER_GROUP;
    for place in [ACC1, ACC2, ACC3, PACK] {
        let target = cell(place, start);
        trace.copy_to(zero, target.column, target.row);
    }
    let mut groups = Vec::new();
    for (t, (interval, reading)) in intervals.iter().zip(readings).enumerate() {
        let row = start + geometry.rows() * t;
        assign_reading(trace, geometry, row, slot * geometry.intervals + t, t % group != 0, cells, interval, reading);
        if (t + 1) % group == 0 || t + 1 == geometry.intervals {
            groups.push(cell(PACK, row + geometry.rows()));
        }
    }
    let end = start + geometry.rows() * geometry.intervals;
    for place in [WINDOW_FROM, WINDOW_UNTIL] {
        let target = cell(place, end);
        trace.set(target.column, target.row, Fr::ONE);
    }
    SlotResult { sums: [ACC1, ACC2, ACC3].map(|place| cell(place, end)), groups }
}

#[allow(clippy::too_many_arguments)]
#[track_caller]
fn assign_reading(
    trace: &mut Trace,
    geometry: Geometry,
    row: usize,
    index: usize,
    keep: bool,
    slot: &SlotCells,
    interval: &IntervalCells,
    reading: &ReadingWitness,
) {
    let mut w = Writer { trace, geometry, row };
    let copies = [
        (slot.buy_limit, BUY_LIMIT),
        (slot.sell_limit, SELL_LIMIT),
        (slot.scale, SCALE),
        (slot.flag, FLAG),
        (interval.price, PRICE),
        (interval.ratio, RATIO),
        (interval.side, SIDE),
        (interval.supply, SUPPLY_PRICES),
        (interval.feed_in, FEED_IN_PRICES),
        (interval.local, LOCAL_PRICES),
        (interval.buyers[0], BUY_STRICT),
        (interval.buyers[1], BUY_MARGINAL),
        (interval.sellers[0], SELL_STRICT),
        (interval.sellers[1], SELL_MARGINAL),
    ];
    for (source, place) in copies {
        w.copy(source, place);
    }
    let mut free = |clause, name, value: u64| w.trace.free((clause, name, index), Fr::from(value));
    let (import, export) =
        (free("SETTLE.3", "import", u64::from(reading.import)), free("SETTLE.3", "export", u64::from(reading.export)));
    let (from, until) =
        (free("SETTLE.2", "started", u64::from(reading.started)), free("SETTLE.2", "ended", u64::from(reading.ended)));
    w.set(WINDOW_FROM, from);
    w.set(WINDOW_UNTIL, until);
    w.look_up(0, import);
    w.look_up(1, export);
    let buy = w.standing(index, ["buyer_above", "buyer_below"], (BUY_LIMIT, BUY_ABOVE, BUY_BELOW), import, 2);
    let sell = w.standing(index, ["seller_above", "seller_below"], (SELL_LIMIT, SELL_ABOVE, SELL_BELOW), export, 3);

    let scale = w.get(SCALE);
    let (demand, supply) = (import * scale, export * scale);
    let [above_b, _, equal_b] = buy;
    let [_, below_s, equal_s] = sell;
    let weights = |better: Fr, equal: Fr, strict: Fr, marginal: Fr| {
        [better * strict, better * marginal + equal * (strict + marginal)]
    };
    let buyer = weights(above_b, equal_b, w.get(BUY_STRICT), w.get(BUY_MARGINAL)).map(|x| x * demand);
    let seller = weights(below_s, equal_s, w.get(SELL_STRICT), w.get(SELL_MARGINAL)).map(|x| x * supply);
    for (place, growth) in
        [(DEMAND_STRICT, buyer[0]), (DEMAND_EQUAL, buyer[1]), (SUPPLY_STRICT, seller[0]), (SUPPLY_EQUAL, seller[1])]
    {
        let before = w.before(place);
        w.set(place, before + growth);
    }
    let side = w.get(SIDE);
    let weight = w.get(SUPPLY_EQUAL) + side * (w.get(DEMAND_EQUAL) - w.get(SUPPLY_EQUAL));
    let q = w.ration(index, weight * w.get(RATIO));
    let share = q - w.before(CUMULATIVE);
    let bought = buyer[0] + (Fr::ONE - side) * buyer[1] + side * share;
    let sold = seller[0] + side * seller[1] + (Fr::ONE - side) * share;
    w.set(BOUGHT, bought);
    w.set(SOLD, sold);

    let acc1 = w.get(ACC1) + (demand - bought) * w.get(SUPPLY_PRICES);
    let acc2 = w.get(ACC2) + (supply - sold) * w.get(FEED_IN_PRICES) + bought * w.get(LOCAL_PRICES) * power(128);
    let price = w.get(PRICE);
    let terms = [demand, supply, bought, sold, sold * price, bought * price, from, until];
    let acc3 = terms.into_iter().zip(shift_powers()).fold(w.get(ACC3), |sum, (term, shift)| sum + term * shift);
    let kept = if keep { w.get(PACK) * power(32) } else { Fr::ZERO };
    let pack = kept + import * power(16) + export;
    for (place, value) in [(ACC1, acc1), (ACC2, acc2), (ACC3, acc3), (PACK, pack)] {
        w.set_next(place, value);
    }
    if keep {
        trace.constant(0, row, Fr::ONE);
    }
    let distance = if trace.value(cell(FLAG, row)) == Fr::ZERO { "SETTLE.5" } else { "SETTLE.1b" };
    for index in 0..LOOKUPS {
        trace.set_clause(match index {
            0 | 1 => "SETTLE.3",
            2 | 3 => distance,
            _ => "SETTLE.6",
        });
        trace.mark(row + index * geometry.rows() / LOOKUPS, RowHalf::Range);
    }
    trace.set_clause("SETTLE.6");
    trace.enable(Selector::Market, row);
    for offset in 0..geometry.rows() {
        trace.enable(Selector::Lookup, row + offset);
    }
}

fn shift_powers() -> [Fr; 8] {
    static POWERS: std::sync::LazyLock<[Fr; 8]> = std::sync::LazyLock::new(|| ACC3_SHIFTS.map(power));
    *POWERS
}

struct Writer<'a> {
    trace: &'a mut Trace,
    geometry: Geometry,
    row: usize,
}

impl Writer<'_> {
    fn set(&mut self, (column, row): Place, value: Fr) {
        self.trace.set(column, self.row + row, value);
    }

    fn set_next(&mut self, (column, row): Place, value: Fr) {
        self.trace.set(column, self.row + row + self.geometry.rows(), value);
    }

    #[track_caller]
    fn copy(&mut self, source: Cell, (column, row): Place) {
        self.trace.copy_to(source, column, self.row + row);
    }

    fn get(&self, place: Place) -> Fr {
        self.trace.value(cell(place, self.row))
    }

    fn before(&self, place: Place) -> Fr {
        self.trace.value(cell(place, self.row - self.geometry.stride()))
    }

    fn look_up(&mut self, index: usize, value: Fr) {
        if self.geometry.table_bits >= 16 {
            self.trace.set(LOOKED_UP[index % 2], self.row + index / 2, value);
        } else {
            // A value out of range keeps its excess in the high half, where the table refuses it.
            let low = Fr::from(limbs(value)[0] & 0xff);
            let high = (value - low) * eight_bits_inverse();
            self.trace.set(LOOKED_UP[0], self.row + index, high);
            self.trace.set(LOOKED_UP[1], self.row + index, low);
        }
    }

    /// Writes one side's standing; returns above, below, equal.
    fn standing(
        &mut self,
        index: usize,
        names: [&'static str; 2],
        (limit, above, below): (Place, Place, Place),
        reading: Fr,
        distance: usize,
    ) -> [Fr; 3] {
        let (limit, flag) = (self.get(limit), self.get(FLAG));
        let gap = limit - self.get(PRICE);
        let trades = flag == Fr::ZERO;
        let is_negative = limbs(gap)[3] != 0;
        let bit = |on: bool| Fr::from(u64::from(on));
        let is_above = self.trace.free(("SETTLE.5", names[0], index), bit(trades && !is_negative && gap != Fr::ZERO));
        let is_below = self.trace.free(("SETTLE.5", names[1], index), bit(trades && is_negative));
        self.set(above, is_above);
        self.set(below, is_below);
        self.look_up(distance, is_above * (gap - Fr::ONE) - is_below * (gap + Fr::ONE) + flag * (limit - reading));
        [is_above, is_below, Fr::ONE - is_above - is_below - flag]
    }

    /// Writes Q and the remainder of `product = 2^32 Q + remainder`; returns Q.
    fn ration(&mut self, index: usize, product: Fr) -> Fr {
        let [low, high, ..] = limbs(product);
        let q = Fr::from((low >> 32) | (high << 32));
        let q = self.trace.free(("SETTLE.6", "cumulative", index), q);
        let remainder = product - q * power(32);
        self.set(CUMULATIVE, q);
        for (first, value) in [(4, q), (6, remainder)] {
            let low = Fr::from(limbs(value)[0] & 0xffff);
            self.look_up(first, low);
            self.look_up(first + 1, (value - low) * sixteen_bits_inverse());
        }
        q
    }
}

fn inverse_power(n: u32) -> Fr {
    Option::from(power(n).invert()).unwrap_or(Fr::ZERO)
}

fn eight_bits_inverse() -> Fr {
    static INVERSE: std::sync::LazyLock<Fr> = std::sync::LazyLock::new(|| inverse_power(8));
    *INVERSE
}

fn sixteen_bits_inverse() -> Fr {
    static INVERSE: std::sync::LazyLock<Fr> = std::sync::LazyLock::new(|| inverse_power(16));
    *INVERSE
}
