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

mod assign;

use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression, VirtualCells};
use halo2curves::ff::Field;

pub use self::assign::{ReadingWitness, assign_origin, assign_slot};
use super::columns::{Columns, LOOKED_UP, Selector};
use crate::{Fr, gadgets::power, trace::Cell};

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
