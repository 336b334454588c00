//! Integers with units in their names and types. No floating point anywhere.

mod fine;

pub use fine::{FINE_BITS, FineWh};

use serde::{Deserialize, Serialize};

use crate::params::NANO_PER_TICK;

/// Energy, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wh(pub u64);

impl Wh {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than there is.
    pub const MAX: Self = Self(u64::MAX);

    /// Energy of `units` that a meter counts, each of `scale` Wh. 24 bits hold it.
    #[must_use]
    pub fn of_units(units: u16, scale: u8) -> Self {
        Self(u64::from(units) * u64::from(scale))
    }

    /// The sum; `None` beyond 64 bits.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(wh) => Some(Self(wh)),
            None => None,
        }
    }

    /// What is left without `other`; `None` if that is more.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(wh) => Some(Self(wh)),
            None => None,
        }
    }

    /// The sum, or the largest number.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left without `other`, or nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Do `bits` bits (below 64) hold it?
    #[must_use]
    pub const fn fits(self, bits: u32) -> bool {
        self.0 >> bits == 0
    }
}

/// For sums that bounds keep below 64 bits. Overflow stops the program in every profile.
impl std::ops::Add for Wh {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::AddAssign for Wh {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// For a part of a whole. A larger part stops the program in every profile.
impl std::ops::Sub for Wh {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::SubAssign for Wh {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Wh {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

impl<'a> std::iter::Sum<&'a Self> for Wh {
    fn sum<I: Iterator<Item = &'a Self>>(iter: I) -> Self {
        iter.copied().sum()
    }
}

impl From<Wh> for u64 {
    fn from(wh: Wh) -> Self {
        wh.0
    }
}

impl From<Wh> for u128 {
    fn from(wh: Wh) -> Self {
        wh.0.into()
    }
}

impl From<Wh> for i128 {
    fn from(wh: Wh) -> Self {
        wh.0.into()
    }
}

impl std::fmt::Display for Wh {
    /// The number of Wh.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// Index of an interval: unix seconds / interval length, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Interval(pub u32);

impl Interval {
    /// The first one: 1970 began with it.
    pub const ZERO: Self = Self(0);
    /// The last one. As an end it means no end.
    pub const MAX: Self = Self(u32::MAX);

    /// The interval that `unix_s` lies in, for intervals of `length_s` seconds; `None` before 1970, after the last
    /// interval, and for a length of 0.
    #[must_use]
    pub fn of_time(unix_s: i64, length_s: u16) -> Option<Self> {
        let index = unix_s.checked_div_euclid(i64::from(length_s))?;
        u32::try_from(index).ok().map(Self)
    }

    /// The interval `count` later; `None` after the last.
    #[must_use]
    pub const fn checked_add(self, count: u32) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// The interval `count` before; `None` before the first.
    #[must_use]
    pub const fn checked_sub(self, count: u32) -> Option<Self> {
        match self.0.checked_sub(count) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// The interval `count` later, or the last.
    #[must_use]
    pub const fn saturating_add(self, count: u32) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Intervals from `earlier` to this one; negative if this one is before it. 33 bits hold it.
    #[must_use]
    pub fn distance(self, earlier: Self) -> i64 {
        i64::from(self.0) - i64::from(earlier.0)
    }

    /// Unix seconds at which it begins, for intervals of `length_s` seconds. 48 bits hold it.
    #[must_use]
    pub fn start(self, length_s: u16) -> u64 {
        u64::from(self.0) * u64::from(length_s)
    }

    /// This one and those after it, the last one included.
    pub fn onwards(self) -> impl Iterator<Item = Self> {
        (self.0..=u32::MAX).map(Self)
    }
}

/// For a count that a header bounds: a period never ends after [`Interval::MAX`] (`PeriodOverflow`). Overflow stops the
/// program in every profile.
impl std::ops::Add<u32> for Interval {
    type Output = Self;
    fn add(self, count: u32) -> Self {
        Self(self.0 + count)
    }
}

impl std::ops::AddAssign<u32> for Interval {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

/// As for a sum: only for a count that is known to be smaller.
impl std::ops::Sub<u32> for Interval {
    type Output = Self;
    fn sub(self, count: u32) -> Self {
        Self(self.0 - count)
    }
}

impl From<Interval> for u64 {
    fn from(interval: Interval) -> Self {
        Self::from(interval.0)
    }
}

impl From<Interval> for i64 {
    fn from(interval: Interval) -> Self {
        Self::from(interval.0)
    }
}

impl TryFrom<u64> for Interval {
    type Error = std::num::TryFromIntError;

    fn try_from(index: u64) -> Result<Self, Self::Error> {
        u32::try_from(index).map(Self)
    }
}

impl std::str::FromStr for Interval {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for Interval {
    /// Its index.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// Market price or order limit: ticks of 100 nano-currency per Wh (0.01 ct/kWh).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub u16);

impl Ticks {
    /// The lowest price: nothing.
    pub const ZERO: Self = Self(0);
    /// The highest price, 6.5535 per kWh.
    pub const MAX: Self = Self(u16::MAX);

    /// The price `more` ticks above; `None` above the highest.
    #[must_use]
    pub const fn checked_add(self, more: u16) -> Option<Self> {
        match self.0.checked_add(more) {
            Some(ticks) => Some(Self(ticks)),
            None => None,
        }
    }

    /// Halfway between two prices, rounded down.
    #[must_use]
    pub const fn midpoint(self, other: Self) -> Self {
        Self(self.0.midpoint(other.0))
    }

    /// Nano-currency of one Wh at this price.
    #[must_use]
    pub fn nano_per_wh(self) -> i128 {
        i128::from(self.0) * i128::from(NANO_PER_TICK)
    }
}

impl From<Ticks> for u64 {
    fn from(ticks: Ticks) -> Self {
        Self::from(ticks.0)
    }
}

impl std::str::FromStr for Ticks {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for Ticks {
    /// Currency per kWh with four decimals, exact.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000))
    }
}

/// Signed money, nano-currency (1e-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nano(pub i128);

impl Nano {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// What of it is owned and what is owed, one of them zero: `balance - debt` is the sum again while it [`fits`]
    /// (SETTLE.8). Each stops at 2^64 - 1.
    ///
    /// [`fits`]: Self::fits
    #[must_use]
    pub fn split(self) -> (u64, u64) {
        let magnitude = u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX);
        if self.0 < 0 { (0, magnitude) } else { (magnitude, 0) }
    }

    /// Do 64 bits hold its magnitude?
    #[must_use]
    pub const fn fits(self) -> bool {
        self.0.unsigned_abs() >> 64 == 0
    }
}

impl From<u64> for Nano {
    fn from(nano: u64) -> Self {
        Self(i128::from(nano))
    }
}

/// Amounts are of 64 bits and there are at most millions of them: sums stay far below 127 bits. Overflow stops the
/// program in every profile.
impl std::ops::Add for Nano {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Nano {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Neg for Nano {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::ops::AddAssign for Nano {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Nano {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Nano {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), |a, b| a + b)
    }
}

impl std::fmt::Display for Nano {
    /// Currency units with nine decimals, exact.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// On paper energy is its number of Wh. Sums and differences are those of the numbers, or none.
        #[test]
        fn energy_is_written_as_a_number(a: u64, b: u64, units: u16, scale: u8, bits in 0u32..64) {
            let (one, other) = (Wh(a), Wh(b));
            let json = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(&json, &a.to_string());
            prop_assert_eq!(serde_json::from_str::<Wh>(&json).unwrap(), one);
            prop_assert_eq!(format!("{one:>22}"), format!("{a:>22}"));
            prop_assert_eq!(one.checked_add(other).map(u64::from), a.checked_add(b));
            prop_assert_eq!(one.checked_sub(other).map(u64::from), a.checked_sub(b));
            prop_assert_eq!(one.saturating_add(other).0, a.saturating_add(b));
            prop_assert_eq!(one.saturating_sub(other).0, a.saturating_sub(b));
            prop_assert_eq!(one.fits(bits), u128::from(one) < 1 << bits);
            prop_assert_eq!(i128::from(Wh::of_units(units, scale)), i128::from(units) * i128::from(scale));
            if let Some(sum) = one.checked_add(other) {
                prop_assert_eq!([one, other].iter().sum::<Wh>(), sum);
                prop_assert_eq!(sum - other, one);
            }
        }

        /// On paper an interval is its index.
        #[test]
        fn intervals_are_written_as_a_number(index: u32, count: u32, length_s in 1u16..=3600) {
            let interval = Interval(index);
            let json = serde_json::to_string(&interval).unwrap();
            prop_assert_eq!(&json, &index.to_string());
            prop_assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
            prop_assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval);
            prop_assert_eq!(Interval::try_from(u64::from(interval)).unwrap(), interval);
            prop_assert!(Interval::try_from(u64::from(interval) + (1 << 32)).is_err());
            prop_assert_eq!(interval.checked_add(count).map(u64::from), index.checked_add(count).map(u64::from));
            prop_assert_eq!(interval.checked_sub(count).map(u64::from), index.checked_sub(count).map(u64::from));
            prop_assert_eq!(interval.saturating_add(count).0, index.saturating_add(count));
            let start = i64::try_from(interval.start(length_s)).unwrap();
            let last_second = start + i64::from(length_s) - 1;
            prop_assert_eq!(Interval::of_time(start, length_s), Some(interval));
            prop_assert_eq!(Interval::of_time(last_second, length_s), Some(interval));
            prop_assert_eq!(Interval::of_time(last_second + 1, length_s), interval.checked_add(1));
            prop_assert_eq!(Interval::of_time(start - 1, length_s), interval.checked_sub(1));
            prop_assert_eq!(Interval::of_time(start, 0), None);
            let onwards: Vec<_> = interval.onwards().take(3).map(i64::from).collect();
            let expected: Vec<_> = (i64::from(index)..=i64::from(u32::MAX)).take(3).collect();
            prop_assert_eq!(onwards, expected);
            let other = Interval(count);
            prop_assert_eq!(interval.distance(other), -other.distance(interval));
            prop_assert_eq!(interval > other, interval.distance(other) > 0);
            if let Some(later) = interval.checked_add(count) {
                prop_assert_eq!(later.distance(interval), i64::from(count));
                prop_assert_eq!((interval + count, later - count), (later, interval));
            }
        }

        /// On paper a price is its number of ticks; shown, it is currency per kWh.
        #[test]
        fn ticks_are_written_as_a_number(number: u16, more: u16) {
            let ticks = Ticks(number);
            let json = serde_json::to_string(&ticks).unwrap();
            prop_assert_eq!(&json, &number.to_string());
            prop_assert_eq!(serde_json::from_str::<Ticks>(&json).unwrap(), ticks);
            prop_assert_eq!(number.to_string().parse::<Ticks>().unwrap(), ticks);
            prop_assert_eq!(ticks.checked_add(more).map(u64::from), number.checked_add(more).map(u64::from));
            prop_assert_eq!(ticks.nano_per_wh(), i128::from(u64::from(ticks)) * 100);
            // Nano of a kWh and of the figure that is shown: 1 tick is 0.0001 of the currency.
            let shown = ticks.to_string().replace('.', "").parse::<i128>().unwrap();
            prop_assert_eq!(shown * 100_000, ticks.nano_per_wh() * 1000);
        }

        /// On paper signed money is its number of nano; shown, it is currency with nine decimals.
        #[test]
        fn money_is_written_as_a_number(a in -(1i128 << 90)..1 << 90, b in -(1i128 << 90)..1 << 90) {
            let (one, other) = (Nano(a), Nano(b));
            let json = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(&json, &a.to_string());
            prop_assert_eq!(serde_json::from_str::<Nano>(&json).unwrap(), one);
            prop_assert_eq!(one.to_string().replace('.', "").parse::<i128>().unwrap(), a);
            prop_assert_eq!([one, other].into_iter().sum::<Nano>(), Nano(a + b));
            prop_assert_eq!((one - other, -one), (Nano(a - b), Nano(-a)));
            let (mut up, mut down) = (one, one);
            up += other;
            down -= other;
            prop_assert_eq!((up, down), (one + other, one - other));
        }

        /// One of the two is zero, and their difference is the value that was split.
        #[test]
        fn a_value_is_owned_or_owed(nano in prop_oneof![any::<i128>(), -(1i128 << 64)..=1 << 64, -9i128..9]) {
            let (balance, debt) = Nano(nano).split();
            prop_assert!(balance == 0 || debt == 0);
            prop_assert_eq!(Nano::from(balance) - Nano::from(debt) == Nano(nano), Nano(nano).fits());
        }
    }
}
