//! One reading of one slot: standing at the price, allocation, money and packing (SETTLE.2 to SETTLE.7).
//!
//! A reading takes a block of `rows` rows; a slot's blocks follow each other (interval by interval), and one more row
//! ends them. The same interval of the slot before lies `stride` rows above, so the community's running sums are plain
//! rotations.
//!
//! | row | 0 | 1 | 2 | 3 | 5 | 6 | 7 | 8 |
//! |---|---|---|---|---|---|---|---|---|
//! | 0 | `acc1` | `acc2` | `A` | `B` | `acc3` | `pack` | `lim_b` | `lim_s` |
//! | 1 | `D>` | `D=` | `gt_b` | `lt_b` | `S<` | `S=` | `Q` | `scale` |
//! | 2 | `p` | `ratio` | `gt_s` | `lt_s` | `side` | `supply` | `feed_in` | `local` |
//! | 3 | `xb` | `yb` | `bought` | `sold` | `xs` | `ys` | `flag` | |
//!
//! Looked up (columns 4 and 9; two 16-bit entries a row, or one of two 8-bit halves): import, export, u_b, u_s, Q low,
//! Q high, remainder low, high.

use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression, VirtualCells};
use halo2curves::ff::Field;

use super::columns::{Columns, LOOKED_UP, Selector};
use crate::{
    Fr,
    gadgets::{limbs, power},
    trace::{Cell, RowHalf, Trace},
};

/// Looked-up values of a block, in order.
pub const LOOKUPS: usize = 8;

/// Where a value sits in a block: column, row.
type Place = (usize, usize);

const ACC1: Place = (0, 0);
const ACC2: Place = (1, 0);
const WINDOW_FROM: Place = (2, 0);
const WINDOW_UNTIL: Place = (3, 0);
const ACC3: Place = (5, 0);
const PACK: Place = (6, 0);
const BUY_LIMIT: Place = (7, 0);
const SELL_LIMIT: Place = (8, 0);
const DEMAND_STRICT: Place = (0, 1);
const DEMAND_EQUAL: Place = (1, 1);
const BUY_ABOVE: Place = (2, 1);
const BUY_BELOW: Place = (3, 1);
const SUPPLY_STRICT: Place = (5, 1);
const SUPPLY_EQUAL: Place = (6, 1);
const CUMULATIVE: Place = (7, 1);
const SCALE: Place = (8, 1);
const PRICE: Place = (0, 2);
const RATIO: Place = (1, 2);
const SELL_ABOVE: Place = (2, 2);
const SELL_BELOW: Place = (3, 2);
const SIDE: Place = (5, 2);
const SUPPLY_PRICES: Place = (6, 2);
const FEED_IN_PRICES: Place = (7, 2);
const LOCAL_PRICES: Place = (8, 2);
const BUY_STRICT: Place = (0, 3);
const BUY_MARGINAL: Place = (1, 3);
const BOUGHT: Place = (2, 3);
const SOLD: Place = (3, 3);
const SELL_STRICT: Place = (5, 3);
const SELL_MARGINAL: Place = (6, 3);
const FLAG: Place = (7, 3);

/// Offsets of the fields of `acc3`, least significant first: import, export, bought, sold (32 bits), trade of sold, of
/// bought (48), A (16), B (8).
pub const ACC3_SHIFTS: [u32; 8] = [0, 32, 64, 96, 128, 176, 224, 240];
/// Widths of the same fields, most significant first.
pub const ACC3_WIDTHS: [u32; 8] = [8, 16, 48, 48, 32, 32, 32, 32];

/// Geometry of the market rows of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bits of a range-table entry: 16 or 8.
    pub table_bits: u32,
    /// m.
    pub intervals: usize,
}

impl Geometry {
    /// Rows of one reading.
    #[must_use]
    pub const fn rows(&self) -> usize {
        if self.table_bits >= 16 { LOOKUPS / 2 } else { LOOKUPS }
    }

    /// Rows of one slot.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.rows() * self.intervals + 1
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
const fn rotation(rows: usize) -> i32 {
    rows as i32
}

/// A gate's view of the cells.
struct View<'a, 'b> {
    columns: &'a Columns,
    geometry: Geometry,
    cells: &'a mut VirtualCells<'b, Fr>,
}

impl View<'_, '_> {
    fn at(&mut self, (column, row): Place) -> Expression<Fr> {
        self.columns.cell(self.cells, column, rotation(row))
    }

    fn next(&mut self, (column, row): Place) -> Expression<Fr> {
        self.columns.cell(self.cells, column, rotation(row + self.geometry.rows()))
    }

    /// Growth of a running sum over the slot before.
    fn growth(&mut self, place: Place) -> Expression<Fr> {
        let (column, row) = place;
        let before = self.columns.cell(self.cells, column, rotation(row) - rotation(self.geometry.stride()));
        self.at(place) - before
    }

    fn looked_up(&mut self, index: usize) -> Expression<Fr> {
        if self.geometry.table_bits >= 16 {
            return self.columns.cell(self.cells, LOOKED_UP[index % 2], rotation(index / 2));
        }
        let [high, low] = LOOKED_UP.map(|column| self.columns.cell(self.cells, column, rotation(index)));
        high * power(8) + low
    }
}

fn one() -> Expression<Fr> {
    Expression::Constant(Fr::ONE)
}

/// Named equations of one gate.
type Equations = Vec<(&'static str, Expression<Fr>)>;

/// Adds the gates.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns, geometry: Geometry) {
    let gate = |meta: &mut ConstraintSystem<Fr>, name: &'static str, build: &dyn Fn(&mut View<'_, '_>) -> Equations| {
        meta.create_gate(name, |cells| {
            let on = columns.selector(cells, Selector::Market);
            let constraints = build(&mut View { columns, geometry, cells });
            Constraints::with_selector(on, constraints)
        });
    };
    gate(meta, "SETTLE.2 window", &|v| {
        let (from, until) = (v.at(WINDOW_FROM), v.at(WINDOW_UNTIL));
        let (from_next, until_next) = (v.next(WINDOW_FROM), v.next(WINDOW_UNTIL));
        let outside = one() - from.clone() + until.clone();
        let (import, export) = (v.looked_up(0), v.looked_up(1));
        vec![
            ("A (A - 1) = 0", from.clone() * (from.clone() - one())),
            ("B (B - 1) = 0", until.clone() * (until.clone() - one())),
            ("A (1 - A') = 0", from * (one() - from_next)),
            ("B (1 - B') = 0", until * (one() - until_next)),
            ("import (1 - A + B) = 0", import * outside.clone()),
            ("export (1 - A + B) = 0", export * outside),
        ]
    });
    gate(meta, "SETTLE.5 standing of the buyer", &|v| standing(v, BUY_LIMIT, BUY_ABOVE, BUY_BELOW, 0, 2));
    gate(meta, "SETTLE.5 standing of the seller", &|v| standing(v, SELL_LIMIT, SELL_ABOVE, SELL_BELOW, 1, 3));
    gate(meta, "SETTLE.6 demand and supply", &|v| {
        let scale = v.at(SCALE);
        let (demand, supply) = (v.looked_up(0) * scale.clone(), v.looked_up(1) * scale);
        let buyer = (v.at(BUY_ABOVE), v.at(BUY_BELOW), v.at(BUY_STRICT), v.at(BUY_MARGINAL));
        let seller = (v.at(SELL_BELOW), v.at(SELL_ABOVE), v.at(SELL_STRICT), v.at(SELL_MARGINAL));
        let flag = v.at(FLAG);
        let weights =
            |(better, worse, strict, marginal): (Expression<Fr>, Expression<Fr>, Expression<Fr>, Expression<Fr>)| {
                let equal = one() - better.clone() - worse - flag.clone();
                (better.clone() * strict.clone(), better * marginal.clone() + equal * (strict + marginal))
            };
        let ((buy_strict, buy_marginal), (sell_strict, sell_marginal)) = (weights(buyer), weights(seller));
        vec![
            ("D> grows by strict import", v.growth(DEMAND_STRICT) - buy_strict * demand.clone()),
            ("D= grows by marginal import", v.growth(DEMAND_EQUAL) - buy_marginal * demand),
            ("S< grows by strict export", v.growth(SUPPLY_STRICT) - sell_strict * supply.clone()),
            ("S= grows by marginal export", v.growth(SUPPLY_EQUAL) - sell_marginal * supply),
        ]
    });
    gate(meta, "SETTLE.6 rationing", &|v| {
        let side = v.at(SIDE);
        let (demand, supply) = (v.at(DEMAND_EQUAL), v.at(SUPPLY_EQUAL));
        let weight = supply.clone() + side.clone() * (demand - supply);
        let q = v.at(CUMULATIVE);
        let remainder = v.looked_up(6) + v.looked_up(7) * power(16);
        let halves = v.looked_up(4) + v.looked_up(5) * power(16);
        let share = v.growth(CUMULATIVE);
        let (demand_strict, demand_equal) = (v.growth(DEMAND_STRICT), v.growth(DEMAND_EQUAL));
        let (supply_strict, supply_equal) = (v.growth(SUPPLY_STRICT), v.growth(SUPPLY_EQUAL));
        let not_side = one() - side.clone();
        vec![
            ("C ratio = 2^32 Q + remainder", weight * v.at(RATIO) - q.clone() * power(32) - remainder),
            ("Q < 2^32", q - halves),
            ("bought", v.at(BOUGHT) - demand_strict - not_side.clone() * demand_equal - side.clone() * share.clone()),
            ("sold", v.at(SOLD) - supply_strict - side * supply_equal - not_side * share),
        ]
    });
    gate(meta, "SETTLE.7 sums of the period", &|v| {
        let (import, export, scale) = (v.looked_up(0), v.looked_up(1), v.at(SCALE));
        let (bought, sold, price) = (v.at(BOUGHT), v.at(SOLD), v.at(PRICE));
        let (import_wh, export_wh) = (import.clone() * scale.clone(), export.clone() * scale);
        let supply = (import_wh.clone() - bought.clone()) * v.at(SUPPLY_PRICES);
        let feed_in = (export_wh.clone() - sold.clone()) * v.at(FEED_IN_PRICES);
        let local = bought.clone() * v.at(LOCAL_PRICES) * power(128);
        let terms = [
            import_wh,
            export_wh,
            bought.clone(),
            sold.clone(),
            sold * price.clone(),
            bought * price,
            v.at(WINDOW_FROM),
            v.at(WINDOW_UNTIL),
        ];
        let packed =
            terms.into_iter().zip(ACC3_SHIFTS).fold(v.at(ACC3), |sum, (term, shift)| sum + term * power(shift));
        let keep = v.columns.constant(v.cells, 0);
        vec![
            ("acc1' = acc1 + import_residual supply", v.next(ACC1) - v.at(ACC1) - supply),
            (
                "acc2' = acc2 + export_residual feed_in + 2^128 bought local",
                v.next(ACC2) - v.at(ACC2) - feed_in - local,
            ),
            ("acc3' = acc3 + energies, trades, window", v.next(ACC3) - packed),
            (
                "pack' = keep 2^32 pack + 2^16 import + export",
                v.next(PACK) - keep * v.at(PACK) * power(32) - import * power(16) - export,
            ),
        ]
    });
}

/// Is the limit above, below or at the price? For a substituted slot the limit is the cap, and the reading stays below it
/// instead.
fn standing(
    v: &mut View<'_, '_>,
    limit: Place,
    above: Place,
    below: Place,
    reading: usize,
    distance: usize,
) -> Equations {
    let (limit, above, below) = (v.at(limit), v.at(above), v.at(below));
    let (price, flag, reading, distance) = (v.at(PRICE), v.at(FLAG), v.looked_up(reading), v.looked_up(distance));
    let equal = one() - above.clone() - below.clone() - flag.clone();
    let gap = limit.clone() - price;
    vec![
        ("above (above - 1) = 0", above.clone() * (above.clone() - one())),
        ("below (below - 1) = 0", below.clone() * (below.clone() - one())),
        ("above below = 0", above.clone() * below.clone()),
        ("flag (above + below) = 0", flag.clone() * (above.clone() + below.clone())),
        ("equal (limit - p) = 0", equal * gap.clone()),
        (
            "distance = above (limit - p - 1) + below (p - limit - 1) + flag (limit - reading)",
            distance - above * (gap.clone() - one()) + below * (gap + one()) - flag * (limit - reading),
        ),
    ]
}

/// Cells of one interval that every reading of it copies.
#[derive(Clone, Copy, Debug)]
pub struct IntervalCells {
    /// Clearing tick.
    pub price: Cell,
    /// Rationing ratio.
    pub ratio: Cell,
    /// 1: demand is rationed.
    pub side: Cell,
    /// Packed energy and network prices.
    pub supply: Cell,
    /// Packed feed-in prices.
    pub feed_in: Cell,
    /// Packed local fees.
    pub local: Cell,
    /// Buyers above the price are strict, marginal.
    pub buyers: [Cell; 2],
    /// Sellers below the price are strict, marginal.
    pub sellers: [Cell; 2],
}

/// Cells of one slot that every reading of it copies.
#[derive(Clone, Copy, Debug)]
pub struct SlotCells {
    /// Buy limit; -1 for a debtor; the import cap if substituted.
    pub buy_limit: Cell,
    /// Sell limit; the export cap if substituted.
    pub sell_limit: Cell,
    /// Wh per reading unit.
    pub scale: Cell,
    /// Substituted?
    pub flag: Cell,
}

/// The community's running sums of one interval after some slot: D>, D=, S<, S=, Q.
pub type Running = [Cell; 5];
const RUNNING: [Place; 5] = [DEMAND_STRICT, DEMAND_EQUAL, SUPPLY_STRICT, SUPPLY_EQUAL, CUMULATIVE];

/// What a slot's rows come to.
#[derive(Clone, Debug)]
pub struct SlotResult {
    /// acc1, acc2, acc3.
    pub sums: [Cell; 3],
    /// Packed reading groups.
    pub groups: Vec<Cell>,
}

fn cell((column, row): Place, start: usize) -> Cell {
    Cell { column, row: start + row }
}

/// Running sums of `interval` after the slot whose rows start at `start`.
#[must_use]
pub fn running(geometry: Geometry, start: usize, interval: usize) -> Running {
    RUNNING.map(|place| cell(place, start + geometry.rows() * interval))
}

/// Writes the rows above the first slot: running sums of zero.
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
