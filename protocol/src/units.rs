//! Integers with units in their names and types. No floating point anywhere.

use serde::{Deserialize, Serialize};

use crate::params::NANO_PER_TICK;

/// Energy, Wh.
pub type Wh = u64;
/// Index of an interval: unix seconds / interval length, UTC.
pub type Interval = u32;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

        /// One of the two is zero, and their difference is the value that was split.
        #[test]
        fn a_value_is_owned_or_owed(nano in prop_oneof![any::<i128>(), -(1i128 << 64)..=1 << 64, -9i128..9]) {
            let (balance, debt) = Nano(nano).split();
            prop_assert!(balance == 0 || debt == 0);
            prop_assert_eq!(Nano::from(balance) - Nano::from(debt) == Nano(nano), Nano(nano).fits());
        }
    }
}
