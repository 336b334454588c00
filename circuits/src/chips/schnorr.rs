//! Schnorr's signed-digit chain `s G - e P` over Grumpkin (`docs/spec/state.md`, Packet): 129 rows, rotations 0 to +2.
//!
//! A step takes two rows, most significant digit first; one more row holds what the last step leaves.
//!
//! | row | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | a | `xa` | `halves` | `lambda1` | `lambda2` | `xw` | `px` | `py` | `q2x` | `q2y` | `ya` |
//! | b | `va` | `vc` | `f0` | `f1` | `f2` | `f3` | `gx` | `inverse` | `lambda_w` | |
//! | a' | `xa'` | `halves'` | | | | `px` | `py` | `q2x` | `q2y` | `ya'` |
//!
//! `T = (2 va - 1) (vc ? Q2 : Q1)` with `Q1 = (beta^2 px, py)`; `F = (2 f0 - 1) table[f1 + 2 f2 + 4 f3]`; `W = T + F`;
//! the accumulator goes from `A` to `(A + W) + A`. It starts at the constant point `H = protocol::schnorr::start()`:
//! constants 0, 1, 2 of the first row a are `first = 1` and `H`, those of every other row a are 0.
//!
//! What each clause stops:
//! - bits are boolean: a digit outside {-1, 1} selects a point between the table's (the interpolation is a polynomial),
//!   so a forged `F`;
//! - `gx`, and `F`'s y as an expression, are the table's interpolation: a free fixed point would solve the equation for
//!   any digest;
//! - `T` is an expression in the key cells of its own row, and these are carried to every step: a base of the prover's
//!   choice in any step (the caller ties the first row to the leaf's key, and `q2` to `phi(P) - P`);
//! - `halves' = 2 halves + va + 2^64 vb`, `vb = va xor vc`, from a zero cell to the cell the caller compares with the
//!   digest: other digits than the challenge's. 64 boolean digits a half, so the final value determines all of them;
//! - `(gx - tx)(xw - xa) inverse = 1`: with equal x the slope equation reads `lambda 0 = 0`, the slope and all that
//!   follows would be free;
//! - the third division, by `xa - xr` for `xr = x(A + W)`: its equation `(lambda1 + lambda2)(xa - xr) = 2 ya` has no
//!   solution for `xr = xa`, because `ya != 0`: the order of Grumpkin is odd, no point has y = 0. So an accumulator at
//!   infinity cannot occur either. This uses that `A` is on the curve, thus that `P` is: the formulas do not contain
//!   the curve's constant. **The caller must ensure that the key is on the curve**;
//! - `first xa = hx`, `first ya = hy`: a start of the prover's choice shifts the end to any point. A fixed start other
//!   than `W` keeps the first additions apart: from `W_0`, an honest chain would be exceptional whenever `W_1 = W_0`,
//!   about one signature in 32;
//! - `xa', ya'` of a step are the cells `xa, ya` of the next: no step starts anywhere else; the last step's are `end`;
//! - `first` is a constant, on in one row: a chain restarted at a later step would forget the more significant digits.

use std::sync::LazyLock;

use gridveil_protocol::schnorr::{self as native, STEPS, StepDigits};
use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression};
use halo2curves::{
    ff::{BatchInvert, Field},
    group::{Curve, Group},
    grumpkin::{G1, G1Affine},
};

use super::columns::{Columns, Selector};
use crate::{
    Fr,
    field::imported,
    trace::{Cell, Trace},
};

/// Rows of one chain.
pub const ROWS: usize = 2 * STEPS + 1;

/// Column of a cell in row a.
mod a {
    pub const X: usize = 0;
    pub const HALVES: usize = 1;
    pub const LAMBDA_1: usize = 2;
    pub const LAMBDA_2: usize = 3;
    pub const XW: usize = 4;
    pub const PX: usize = 5;
    pub const PY: usize = 6;
    pub const Q2X: usize = 7;
    pub const Q2Y: usize = 8;
    pub const Y: usize = 9;
}

/// Column of a cell in row b.
mod b {
    pub const VARIABLE_SIGN: usize = 0;
    pub const VARIABLE_CHOICE: usize = 1;
    pub const FIXED_SIGN: usize = 2;
    pub const FIXED_CHOICE: [usize; 3] = [3, 4, 5];
    pub const GX: usize = 6;
    pub const INVERSE: usize = 7;
    pub const LAMBDA_W: usize = 8;
}

/// A point given by its coordinates.
type Point = (Fr, Fr);

/// The cells a chain shares with the rest of the circuit.
#[derive(Clone, Copy, Debug)]
pub struct ChainCells {
    /// `P`, for the caller to tie to the leaf's key.
    pub key: (Cell, Cell),
    /// `phi(P) - P`, for the caller to tie to [`second_point`]'s equations on `key`.
    pub q2: (Cell, Cell),
    /// `A + 2^64 B`.
    pub halves: Cell,
    /// `s G - e P`. Only x is in a copyable column.
    pub end: (Cell, Cell),
}

/// Constants of the curve.
struct Tables {
    beta: Fr,
    beta_squared: Fr,
    two_64: Fr,
    /// The accumulator before the first step.
    start: Point,
    /// Fixed points by `f1 + 2 f2 + 4 f3`.
    fixed: [Point; 8],
    /// Multilinear coefficients of the fixed points' coordinates, by the set of factors `f1, f2, f3`.
    interpolation: [[Fr; 8]; 2],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let fixed = native::fixed_table().map(|p| (imported(&p.x), imported(&p.y)));
    let coefficients = |mut values: [Fr; 8]| {
        for bit in 0..3 {
            for i in (0..8).filter(|i| (i >> bit) & 1 == 1) {
                let below = values[i - (1 << bit)];
                values[i] -= below;
            }
        }
        values
    };
    let beta = imported(&native::endomorphism().beta);
    Tables {
        beta,
        beta_squared: beta.square(),
        two_64: Fr::from(u64::MAX) + Fr::ONE,
        start: (imported(&native::start().1.x), imported(&native::start().1.y)),
        fixed,
        interpolation: [coefficients(fixed.map(|p| p.0)), coefficients(fixed.map(|p| p.1))],
    }
});

/// `Q2 = phi(P) - P` of a key `(x, y)`, and the slope that leads to it:
/// `slope (beta - 1) x = 2 y`, `q2x = slope^2 - (beta + 1) x`, `q2y = slope (x - q2x) + y`.
///
/// The equations fix the slope for every point of the curve (no point with x = 0 has y = 0), but **not for (0, 0)**,
/// the key of an empty slot: there the slope and `Q2` would be free, and so would the signature. Such a slot must use
/// another, constant key.
#[must_use]
pub fn second_point(key: (Fr, Fr)) -> (Fr, (Fr, Fr)) {
    let (x, y) = key;
    let beta = TABLES.beta;
    let slope = y.double() * ((beta - Fr::ONE) * x).invert().unwrap_or(Fr::ZERO);
    let q2x = slope.square() - (beta + Fr::ONE) * x;
    (slope, (q2x, slope * (x - q2x) + y))
}

/// `beta`, the cube root of unity with `phi(x, y) = (beta x, y)`.
#[must_use]
pub fn beta() -> Fr {
    TABLES.beta
}

/// The gate of a step.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    let tables = &*TABLES;
    meta.create_gate("Schnorr step", |v| {
        let on = columns.selector(v, Selector::Sign);
        let [first, hx, hy] = [0, 1, 2].map(|i| columns.constant(v, i));
        let mut at = |column: usize, rotation: i32| columns.cell(v, column, rotation);
        let one = || Expression::Constant(Fr::ONE);
        let sign = |bit: &Expression<Fr>| bit.clone() + bit.clone() - one();

        let [xa, halves, lambda_1, lambda_2, xw] = [a::X, a::HALVES, a::LAMBDA_1, a::LAMBDA_2, a::XW].map(|c| at(c, 0));
        let [px, py, q2x, q2y, ya] = [a::PX, a::PY, a::Q2X, a::Q2Y, a::Y].map(|c| at(c, 0));
        let [va, vc, f0] = [b::VARIABLE_SIGN, b::VARIABLE_CHOICE, b::FIXED_SIGN].map(|c| at(c, 1));
        let choice = b::FIXED_CHOICE.map(|c| at(c, 1));
        let [gx, inverse, lambda_w] = [b::GX, b::INVERSE, b::LAMBDA_W].map(|c| at(c, 1));
        let [xa_next, ya_next, halves_next] = [a::X, a::Y, a::HALVES].map(|c| at(c, 2));
        let carried = [a::PX, a::PY, a::Q2X, a::Q2Y].map(|c| at(c, 2));

        let vb = va.clone() + vc.clone() - (va.clone() + va.clone()) * vc.clone();
        let q1x = px.clone() * Expression::Constant(tables.beta_squared);
        let tx = q1x.clone() + vc.clone() * (q2x.clone() - q1x);
        let ty = sign(&va) * (py.clone() + vc.clone() * (q2y.clone() - py.clone()));
        let [fx, fy] = &tables.interpolation;
        let fx = interpolate(fx, &choice);
        let gy = sign(&f0) * interpolate(fy, &choice);
        let yw = lambda_w.clone() * (gx.clone() - xw.clone()) - gy.clone();
        let xr = lambda_1.clone() * lambda_1.clone() - xa.clone() - xw.clone();
        let x_end = lambda_2.clone() * lambda_2.clone() - xa.clone() - xr.clone();
        let y_end = lambda_2.clone() * (xa.clone() - xa_next.clone()) - ya.clone();
        let gap = gx.clone() - tx.clone();

        let mut clauses: Vec<(&'static str, Expression<Fr>)> = Vec::with_capacity(20);
        for (name, bit) in ["va^2 = va", "vc^2 = vc", "f0^2 = f0", "f1^2 = f1", "f2^2 = f2", "f3^2 = f3"]
            .into_iter()
            .zip([&va, &vc, &f0].into_iter().chain(&choice))
        {
            clauses.push((name, bit.clone() * bit.clone() - bit.clone()));
        }
        clauses.extend([
            ("halves' = 2 halves + va + 2^64 (va xor vc)", {
                halves_next - halves.clone() - halves - va - vb * Expression::Constant(tables.two_64)
            }),
            ("gx = table(f1, f2, f3)", gx.clone() - fx),
            ("lambda_w (gx - tx) = gy - ty", lambda_w.clone() * gap.clone() - gy + ty),
            ("xw = lambda_w^2 - tx - gx", xw.clone() - lambda_w.clone() * lambda_w + tx + gx),
            ("lambda1 (xw - xa) = yw - ya", lambda_1.clone() * (xw.clone() - xa.clone()) - yw + ya.clone()),
            (
                "(lambda1 + lambda2) (xa - xr) = 2 ya",
                (lambda_1 + lambda_2) * (xa.clone() - xr) - ya.clone() - ya.clone(),
            ),
            ("(gx - tx) (xw - xa) inverse = 1", gap * (xw - xa.clone()) * inverse - one()),
            ("xa' = lambda2^2 - xa - xr", xa_next - x_end),
            ("ya' = lambda2 (xa - xa') - ya", ya_next - y_end),
            ("first xa = hx", first.clone() * xa - hx),
            ("first ya = hy", first * ya - hy),
        ]);
        for ((name, here), there) in
            ["px' = px", "py' = py", "q2x' = q2x", "q2y' = q2y"].into_iter().zip([px, py, q2x, q2y]).zip(carried)
        {
            clauses.push((name, there - here));
        }
        Constraints::with_selector(on, clauses)
    });
}

/// The multilinear polynomial with these coefficients, nested so that few products are needed.
fn interpolate(c: &[Fr; 8], f: &[Expression<Fr>; 3]) -> Expression<Fr> {
    let constant = |i: usize| Expression::Constant(c[i]);
    let pair = |i: usize| constant(i) + f[0].clone() * constant(i + 1);
    pair(0) + f[1].clone() * pair(2) + f[2].clone() * (pair(4) + f[1].clone() * pair(6))
}

fn interpolate_values(c: &[Fr; 8], f: &[Fr; 3]) -> Fr {
    let pair = |i: usize| c[i] + f[0] * c[i + 1];
    pair(0) + f[1] * pair(2) + f[2] * (pair(4) + f[1] * pair(6))
}

/// Writes a chain: 129 rows. `zero` is a copyable cell tied to 0 elsewhere. A chain with an exceptional addition gets
/// values the gate refuses.
///
/// Free cells are named `(clause, name, index * 64 + step)`, with names `variable_sign`, `variable_choice`,
/// `fixed_sign`, `fixed_choice_1..3`, `lambda_w`, `lambda1`, `lambda2`, `inverse`; `(clause, "q2x" | "q2y", index)` are
/// tied by the caller.
#[track_caller]
pub fn assign_chain(
    trace: &mut Trace,
    zero: Cell,
    key: (Fr, Fr),
    digits: &[StepDigits],
    (clause, index): (&'static str, usize),
) -> ChainCells {
    const NO_DIGITS: StepDigits =
        StepDigits { variable_sign: false, variable_choice: false, fixed_sign: false, fixed_choice: [false; 3] };
    let (px, py) = key;
    let (_, (q2x, q2y)) = second_point(key);
    let q2 = (trace.free((clause, "q2x", index), q2x), trace.free((clause, "q2y", index), q2y));
    let start = trace.alloc_rows(ROWS);
    let digits: [StepDigits; STEPS] = std::array::from_fn(|i| digits.get(i).copied().unwrap_or(NO_DIGITS));
    let hints = inverse_hints(&variable_points(key, q2), &digits);

    let nothing = trace.copy_to(zero, a::HALVES, start);
    let mut state = State { accumulator: TABLES.start, halves: trace.value(nothing) };
    for (i, value) in [Fr::ONE, TABLES.start.0, TABLES.start.1].into_iter().enumerate() {
        trace.constant(i, start, value);
    }
    for (step, (digit, hint)) in digits.iter().zip(&hints).enumerate() {
        let row = start + 2 * step;
        for (column, value) in [(a::PX, px), (a::PY, py), (a::Q2X, q2.0), (a::Q2Y, q2.1)] {
            trace.set(column, row, value);
        }
        state = assign_step(trace, row, (key, q2), &state, digit, hint, (clause, index * STEPS + step));
    }
    let end_row = start + 2 * STEPS;
    let (x, y) = state.accumulator;
    for (column, value) in [(a::PX, px), (a::PY, py), (a::Q2X, q2.0), (a::Q2Y, q2.1)] {
        trace.set(column, end_row, value);
    }
    let at = |column: usize, row: usize| Cell { column, row };
    ChainCells {
        key: (at(a::PX, start), at(a::PY, start)),
        q2: (at(a::Q2X, start), at(a::Q2Y, start)),
        halves: trace.set(a::HALVES, end_row, state.halves),
        end: (trace.set(a::X, end_row, x), trace.set(a::Y, end_row, y)),
    }
}

/// What a step hands to the next.
struct State {
    accumulator: Point,
    halves: Fr,
}

/// Inverses of `gx - tx`, `xw - xa`, `xa - xr` of one step, right for untampered digits of an unexceptional chain.
type Hint = [Fr; 3];

fn assign_step(
    trace: &mut Trace,
    row: usize,
    (key, q2): (Point, Point),
    state: &State,
    digit: &StepDigits,
    hint: &Hint,
    (clause, index): (&'static str, usize),
) -> State {
    let tables = &*TABLES;
    let mut bit = |column: usize, name: &'static str, value: bool| {
        let value = trace.free((clause, name, index), Fr::from(u64::from(value)));
        trace.set(column, row + 1, value);
        value
    };
    let va = bit(b::VARIABLE_SIGN, "variable_sign", digit.variable_sign);
    let vc = bit(b::VARIABLE_CHOICE, "variable_choice", digit.variable_choice);
    let f0 = bit(b::FIXED_SIGN, "fixed_sign", digit.fixed_sign);
    let names = ["fixed_choice_1", "fixed_choice_2", "fixed_choice_3"];
    let choice: [Fr; 3] = std::array::from_fn(|i| bit(b::FIXED_CHOICE[i], names[i], digit.fixed_choice[i]));
    let mut free = |name: &'static str, value: Fr| trace.free((clause, name, index), value);

    let sign = |bit: Fr| bit.double() - Fr::ONE;
    let q1x = tables.beta_squared * key.0;
    let tx = q1x + vc * (q2.0 - q1x);
    let ty = sign(va) * (key.1 + vc * (q2.1 - key.1));
    let gx = interpolate_values(&tables.interpolation[0], &choice);
    let gy = sign(f0) * interpolate_values(&tables.interpolation[1], &choice);
    let inverse_gap = inverse(gx - tx, hint[0]);
    let lambda_w = free("lambda_w", (gy - ty) * inverse_gap);
    let xw = lambda_w.square() - tx - gx;
    let yw = lambda_w * (gx - xw) - gy;
    let (xa, ya) = state.accumulator;
    let inverse_sum = inverse(xw - xa, hint[1]);
    let lambda_1 = free("lambda1", (yw - ya) * inverse_sum);
    let xr = lambda_1.square() - xa - xw;
    let lambda_2 = free("lambda2", ya.double() * inverse(xa - xr, hint[2]) - lambda_1);
    let product = free("inverse", inverse_gap * inverse_sum);
    let x_end = lambda_2.square() - xa - xr;
    let accumulator = (x_end, lambda_2 * (xa - x_end) - ya);

    for (column, value) in [
        (a::X, xa),
        (a::HALVES, state.halves),
        (a::LAMBDA_1, lambda_1),
        (a::LAMBDA_2, lambda_2),
        (a::XW, xw),
        (a::Y, ya),
    ] {
        trace.set(column, row, value);
    }
    for (column, value) in [(b::GX, gx), (b::INVERSE, product), (b::LAMBDA_W, lambda_w)] {
        trace.set(column, row + 1, value);
    }
    trace.enable(Selector::Sign, row);
    let vb = va + vc - (va * vc).double();
    State { accumulator, halves: state.halves.double() + va + tables.two_64 * vb }
}

/// `hint` if it is the inverse, else the inverse, else zero.
fn inverse(x: Fr, hint: Fr) -> Fr {
    if x * hint == Fr::ONE { hint } else { x.invert().unwrap_or(Fr::ZERO) }
}

fn variable_points(key: Point, q2: Point) -> [Point; 2] {
    [(TABLES.beta_squared * key.0, key.1), q2]
}

/// All divisors of a chain in three batch inversions and one batch normalisation. Hints only: nothing relies on them.
fn inverse_hints(variable: &[Point; 2], digits: &[StepDigits; STEPS]) -> Vec<Hint> {
    let points: Vec<(Point, Point)> = digits
        .iter()
        .map(|d| {
            let signed = |positive: bool, (x, y): Point| (x, if positive { y } else { -y });
            let [c1, c2, c3] = d.fixed_choice.map(usize::from);
            let t = variable[usize::from(d.variable_choice)];
            (signed(d.variable_sign, t), signed(d.fixed_sign, TABLES.fixed[c1 + 2 * c2 + 4 * c3]))
        })
        .collect();
    let gaps = inverted(points.iter().map(|(t, g)| g.0 - t.0));
    let sums: Vec<Point> = points
        .iter()
        .zip(&gaps)
        .map(|((t, g), gap)| {
            let slope = (g.1 - t.1) * gap;
            let x = slope.square() - t.0 - g.0;
            (x, slope * (g.0 - x) - g.1)
        })
        .collect();
    let mut running = Vec::with_capacity(STEPS);
    let mut accumulator = G1::from(G1Affine { x: TABLES.start.0, y: TABLES.start.1 });
    for (x, y) in &sums {
        running.push(accumulator);
        accumulator = accumulator.double() + G1Affine { x: *x, y: *y };
    }
    let mut before = vec![G1Affine::default(); STEPS];
    G1::batch_normalize(&running, &mut before);
    let chord = inverted(sums.iter().zip(&before).map(|(w, acc)| w.0 - acc.x));
    let last = inverted(sums.iter().zip(&before).zip(&chord).map(|((w, acc), inverse)| {
        let slope = (w.1 - acc.y) * inverse;
        acc.x - (slope.square() - acc.x - w.0)
    }));
    (0..STEPS).map(|i| [gaps[i], chord[i], last[i]]).collect()
}

fn inverted(values: impl Iterator<Item = Fr>) -> Vec<Fr> {
    let mut values: Vec<Fr> = values.collect();
    values.iter_mut().batch_invert();
    values
}
