//! The published tariff of one period in version 3: prices in ticks of 100 nano per Wh (SETTLE.7).

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, shifted},
    params::{CLASSES, NANO_PER_TICK},
    poseidon::{DomainTag, sponge},
    units::{FINE_BITS, Nano, Ticks},
};

/// Prices are committed as `price + PRICE_OFFSET`, 17 bits, so that limbs are never negative.
pub const PRICE_OFFSET: i32 = 1 << 16;
/// Bits of a limb: of one packed price, and of one sum of price x energy of a period.
pub const LIMB_BITS: u32 = 63;

// Four sums of a period fit an element: 96 intervals x 6,553,500 Wh in 2^-16 x prices below 2^17.
const _: () = assert!(96u128 * 6_553_500 * (1 << FINE_BITS) * (1 << 17) < 1 << LIMB_BITS);
const _: () = assert!(4 * LIMB_BITS < 253);

/// A price: ticks of 100 nano-currency per Wh (0.01 ct/kWh), negative allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(i32);

/// A price that does not fit: `-65,536..=65,535` ticks, 6.55 of the currency per kWh either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price of {ticks} ticks of 0.0001 per kWh is beyond 6.5535")]
pub struct PriceError {
    /// What was asked for.
    pub ticks: i64,
}

impl Price {
    /// Of ticks.
    ///
    /// # Errors
    /// [`PriceError`].
    pub fn new(ticks: i64) -> Result<Self, PriceError> {
        let fits = (-i64::from(PRICE_OFFSET)..i64::from(PRICE_OFFSET)).contains(&ticks);
        i32::try_from(ticks).ok().filter(|_| fits).map(Self).ok_or(PriceError { ticks })
    }

    /// Ticks.
    #[must_use]
    pub const fn ticks(self) -> i32 {
        self.0
    }

    fn limb(self) -> u64 {
        u64::try_from(self.0 + PRICE_OFFSET).unwrap_or(0)
    }
}

/// Prices of one class in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassPrices {
    /// Energy bought from the supplier.
    pub energy: Price,
    /// Network fee on energy bought from the supplier.
    pub network: Price,
    /// Paid for energy sold to the supplier.
    pub feed_in: Price,
    /// Fee on locally bought energy.
    pub local_fee: Price,
}

/// Tariff of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalTariff {
    /// By class.
    pub classes: [ClassPrices; CLASSES],
    /// Highest effective buy limit.
    pub cap: Ticks,
    /// Lowest effective sell limit.
    pub floor: Ticks,
    /// Price of the mechanisms that have a published one.
    pub reference: Ticks,
}

fn pack(limbs: [Price; 4]) -> Fr {
    limbs.into_iter().zip(0u32..).map(|(price, i)| shifted(price.limb(), i * LIMB_BITS)).sum()
}

impl IntervalTariff {
    /// The three committed elements: `energy_0, energy_1, network_0, network_1`; `feed_in_0, feed_in_1, local_0, local_1`;
    /// `cap | floor<<16 | reference<<32`.
    #[must_use]
    pub fn elements(&self) -> [Fr; 3] {
        let [c0, c1] = self.classes;
        let bounds = u64::from(self.cap) | u64::from(self.floor) << 16 | u64::from(self.reference) << 32;
        [
            pack([c0.energy, c1.energy, c0.network, c1.network]),
            pack([c0.feed_in, c1.feed_in, c0.local_fee, c1.local_fee]),
            Fr::from(bounds),
        ]
    }

    /// Is every price nearer to zero than `bound` ticks? L1 fixes the bound of a tariff set (SETTLE.7).
    #[must_use]
    pub fn within(&self, bound: u32) -> bool {
        let prices = self.classes.iter().flat_map(|c| [c.energy, c.network, c.feed_in, c.local_fee]);
        prices.into_iter().all(|price| price.0.unsigned_abs() < bound)
    }
}

/// Tariff of a period: one entry an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// m entries.
    pub intervals: Vec<IntervalTariff>,
    /// A fixed fee of every active account, nano a period, by class.
    pub fixed_nano: [u32; CLASSES],
}

impl Tariff {
    /// `tariff_commitment`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let [first, second] = self.fixed_nano;
        let fixed = Fr::from(u64::from(first) | u64::from(second) << 32);
        let elements: Vec<Fr> = self.intervals.iter().flat_map(IntervalTariff::elements).chain([fixed]).collect();
        sponge(DomainTag::DistrictTariff, &elements)
    }
}

/// Price x energy, 2^-16 Wh x ticks: exact until a period is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FineMoney(pub i128);

impl FineMoney {
    /// Nano-currency, rounded down.
    #[must_use]
    pub fn floor(self) -> Nano {
        Nano((self.0 * i128::from(NANO_PER_TICK)) >> FINE_BITS)
    }
}

impl std::ops::Add for FineMoney {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for FineMoney {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::AddAssign for FineMoney {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
