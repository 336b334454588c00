//! Points as they are kept, and as `halo2curves` has them.

use std::arch::x86_64::*;

use halo2curves::{
    bn256::{Fq, G1Affine},
    ff::Field,
    group::prime::PrimeCurveAffine,
};

use super::{INDEX, MINUS};
use crate::lanes::{LANES, Lanes, Modulus, transposed};

/// A point: four words of x and of y in form 2^260, below 1.1 p and, in bases, below p. Zeros are infinity: y = 0 is
/// not on the curve.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Point([u64; 8]);

impl Point {
    pub(super) const INFINITY: Self = Self([0; 8]);

    #[inline]
    pub(super) fn is_infinity(&self) -> bool {
        let [_, _, _, _, a, b, c, d] = self.0;
        a | b | c | d == 0
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn row_of(point: &Point) -> __m512i {
    // SAFETY: a point is 64 bytes, aligned.
    unsafe { _mm512_load_si512((&raw const point.0).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn store_row(point: &mut Point, row: __m512i) {
    // SAFETY: as in `row_of`.
    unsafe { _mm512_store_si512((&raw mut point.0).cast(), row) };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn pack(points: &[G1Affine; LANES]) -> [Point; LANES] {
    let coordinate = |values: [Fq; LANES]| Lanes::load(&values).mul(Lanes::ONE).reduced().packed();
    let ([a, b, c, d], [e, f, g, h]) =
        (coordinate(points.map(|point| point.x)), coordinate(points.map(|point| point.y)));
    let mut packed = [Point::INFINITY; LANES];
    for (point, row) in packed.iter_mut().zip(transposed([a, b, c, d, e, f, g, h])) {
        store_row(point, row);
    }
    packed
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn unpack(points: &[Point; LANES]) -> [G1Affine; LANES] {
    let [a, b, c, d, e, f, g, h] = transposed(points.each_ref().map(|point| row_of(point)));
    let (mut x, mut y) = ([Fq::ZERO; LANES], [Fq::ZERO; LANES]);
    Lanes::unpacked([a, b, c, d]).store(&mut x);
    Lanes::unpacked([e, f, g, h]).store(&mut y);
    let mut pairs = x.into_iter().zip(y);
    [(); LANES].map(|()| pairs.next().map_or(G1Affine::identity(), |(x, y)| G1Affine { x, y }))
}

/// A point or its negative.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn affine(point: &Point, minus: bool) -> G1Affine {
    let [point, ..] = unpack(&[*point; LANES]);
    if minus { -point } else { point }
}

/// The point of an entry.
#[inline]
pub(super) fn signed_point(points: &[Point], entry: u32) -> Point {
    let mut point = points[(entry & INDEX) as usize];
    if entry & MINUS != 0 && !point.is_infinity() {
        let (_, y) = point.0.split_at_mut(4);
        let mut borrow = false;
        for (y, p) in y.iter_mut().zip(<Fq as Modulus>::WORDS) {
            let (less, first) = p.overflowing_sub(*y);
            let (less, second) = less.overflowing_sub(u64::from(borrow));
            (*y, borrow) = (less, first || second);
        }
    }
    point
}
