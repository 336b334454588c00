//! The published tariff of one period: retail prices by class and interval, and the bounds of the local market.

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, shifted},
    params::{CLASSES, PRICE_LIMB_BITS, PRICE_OFFSET},
    poseidon::{DomainTag, sponge},
    units::Ticks,
};

/// Prices of one class in one interval, nano-currency per Wh (= micro-currency per kWh). Negative allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassPrices {
    /// Energy bought from the supplier.
    pub energy: i32,
    /// Network fee on energy bought from the supplier.
    pub network: i32,
    /// Paid for energy sold to the supplier.
    pub feed_in: i32,
    /// Fee on locally bought energy.
    pub local_fee: i32,
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
    /// Price of the community-price mechanism.
    pub reference: Ticks,
}

fn pack(limbs: &[i32]) -> Fr {
    limbs
        .iter()
        .zip(0u32..)
        .map(|(price, i)| shifted(u64::try_from(i64::from(*price) + PRICE_OFFSET).unwrap_or(0), i * PRICE_LIMB_BITS))
        .sum()
}

impl IntervalTariff {
    /// The four committed elements: supply, feed_in, local, bounds (`docs/spec/state.md`, Tariff).
    #[must_use]
    pub fn elements(&self) -> [Fr; 4] {
        let [c0, c1] = self.classes;
        let bounds = u64::from(self.cap) | u64::from(self.floor) << 16 | u64::from(self.reference) << 32;
        [
            pack(&[c0.energy, c1.energy, c0.network, c1.network]),
            pack(&[c0.feed_in, c1.feed_in]),
            pack(&[c0.local_fee, c1.local_fee]),
            Fr::from(bounds),
        ]
    }
}

/// Tariff of a period: one entry an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// m entries.
    pub intervals: Vec<IntervalTariff>,
}

impl Tariff {
    /// `tariff_commitment`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let elements: Vec<Fr> = self.intervals.iter().flat_map(IntervalTariff::elements).collect();
        sponge(DomainTag::Tariff, &elements)
    }
}
