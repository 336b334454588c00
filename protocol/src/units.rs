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
