//! Energy in 2^-16 Wh.

use serde::{Deserialize, Serialize};

use super::Wh;

/// Bits of a Wh: what a share may be cut to.
pub const FINE_BITS: u32 = 16;

/// Energy, 2^-16 Wh. A share of a market is a product of a Wh and a ratio of 17 bits, and it stays exact until a period is
/// summed (SETTLE.4 of version 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FineWh(pub u64);

impl FineWh {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole Wh below 2^48.
    #[must_use]
    pub fn of(wh: Wh) -> Self {
        Self(wh.0 << FINE_BITS)
    }

    /// `wh ratio`: the share of one order. The ratio is at most 2^16, which is all of it.
    #[must_use]
    pub fn share(wh: Wh, ratio: u32) -> Self {
        Self(wh.0 * u64::from(ratio))
    }

    /// Whole Wh, rounded down.
    #[must_use]
    pub const fn floor(self) -> Wh {
        Wh(self.0 >> FINE_BITS)
    }

    /// What is left without `other`; `None` if that is more.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(fine) => Some(Self(fine)),
            None => None,
        }
    }
}

/// For sums that bounds keep below 64 bits. Overflow stops the program in every profile.
impl std::ops::Add for FineWh {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::AddAssign for FineWh {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// For a part of a whole. A larger part stops the program in every profile.
impl std::ops::Sub for FineWh {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::iter::Sum for FineWh {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

impl From<FineWh> for i128 {
    fn from(fine: FineWh) -> Self {
        fine.0.into()
    }
}

impl From<FineWh> for u128 {
    fn from(fine: FineWh) -> Self {
        fine.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A share is linear in the order, at most all of it, and never more than a Wh off when it is rounded.
        #[test]
        fn shares_add_up(a in 0u64..1 << 31, b in 0u64..1 << 31, ratio in 0u32..=1 << FINE_BITS) {
            let (one, other) = (FineWh::share(Wh(a), ratio), FineWh::share(Wh(b), ratio));
            prop_assert_eq!(one + other, FineWh::share(Wh(a + b), ratio));
            prop_assert!(one <= FineWh::of(Wh(a)));
            prop_assert_eq!(FineWh::share(Wh(a), 1 << FINE_BITS), FineWh::of(Wh(a)));
            prop_assert_eq!(FineWh::of(Wh(a)).floor(), Wh(a));
            prop_assert_eq!(u128::from(one.floor().0), (u128::from(a) * u128::from(ratio)) >> FINE_BITS);
            prop_assert_eq!(FineWh::of(Wh(a)).checked_sub(one).map(|rest| rest + one), Some(FineWh::of(Wh(a))));
            prop_assert_eq!(one.checked_sub(one + FineWh(1)), None);
        }
    }
}
