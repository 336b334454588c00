//! Integers with units in their names and types. No floating point anywhere.

use serde::{Deserialize, Serialize};

/// Market price or order limit: ticks of 100 nano-currency per Wh (0.01 ct/kWh).
pub type Ticks = u16;
/// Energy, Wh.
pub type Wh = u64;
/// Index of an interval: unix seconds / interval length, UTC.
pub type Interval = u32;

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
        /// One of the two is zero, and their difference is the value that was split.
        #[test]
        fn a_value_is_owned_or_owed(nano in prop_oneof![any::<i128>(), -(1i128 << 64)..=1 << 64, -9i128..9]) {
            let (balance, debt) = Nano(nano).split();
            prop_assert!(balance == 0 || debt == 0);
            prop_assert_eq!(Nano::from(balance) - Nano::from(debt) == Nano(nano), Nano(nano).fits());
        }
    }
}
