//! SETTLE.7 of one interval: the money for a slot's energy.

use crate::{
    account::Registers,
    tariff::ClassPrices,
    units::{Nano, Ticks, Wh},
};

/// Money of one interval, nano (SETTLE.7). Also what a member recomputes from its own readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BillLine {
    /// Local trade at the market price.
    pub trade: Nano,
    /// Supplier: energy less feed-in.
    pub supply: Nano,
    /// Network and local fees.
    pub fees: Nano,
}

/// SETTLE.7 for one interval.
#[must_use]
pub fn bill_line(energy: &Registers, prices: &ClassPrices, tick: Ticks) -> BillLine {
    let wh = |x: Wh| i128::from(x);
    let (bought, sold) = (wh(energy.bought), wh(energy.sold));
    let (import_residual, export_residual) = (wh(energy.import) - bought, wh(energy.export) - sold);
    let price = tick.nano_per_wh();
    BillLine {
        trade: Nano((sold - bought) * price),
        supply: Nano(import_residual * i128::from(prices.energy) - export_residual * i128::from(prices.feed_in)),
        fees: Nano(import_residual * i128::from(prices.network) + bought * i128::from(prices.local_fee)),
    }
}
