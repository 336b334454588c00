//! What one slot's period comes to: energy, money and the unsold energy of each hour (SETTLE.7 to SETTLE.10 of version 3).
//!
//! Everything is summed in 2^-16 Wh and in ticks x 2^-16 Wh, exactly, and rounded down once a period. The supplier is the
//! counterparty of every rest: what it gets is what the accounts and the fee account do not.

use super::tariff::{ClassPrices, FineMoney, IntervalTariff, Tariff};
use crate::{
    account::Registers,
    units::{FineWh, Nano, Ticks, Wh},
};

/// Energy of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    /// Taken from the network, Wh.
    pub import: Wh,
    /// Fed in, Wh.
    pub export: Wh,
    /// Bought locally: a part of the import.
    pub bought: FineWh,
    /// Sold locally: a part of the export.
    pub sold: FineWh,
}

/// Sums of a period before any rounding.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Wh.
    pub import: Wh,
    /// Wh.
    pub export: Wh,
    /// 2^-16 Wh.
    pub bought: FineWh,
    /// 2^-16 Wh.
    pub sold: FineWh,
    /// Locally sold less locally bought energy at the market price.
    pub trade: FineMoney,
    /// To the supplier less from it.
    pub supply: FineMoney,
    /// Network and local fees.
    pub fees: FineMoney,
    /// Fed in and not sold locally, by hour, 2^-16 Wh.
    pub unsold: Vec<FineWh>,
}

impl std::fmt::Debug for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sums(hidden)")
    }
}

/// What a period changes in an account and in the pools.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// Added to `balance - debt`, nano.
    pub delta: Nano,
    /// Added to the fee account, nano.
    pub fees: Nano,
    /// Added to the registers, Wh.
    pub registers: Registers,
}

impl std::fmt::Debug for Bill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bill(hidden)")
    }
}

fn priced(energy: FineWh, ticks: i32) -> FineMoney {
    FineMoney(i128::from(energy) * i128::from(ticks))
}

impl Sums {
    /// No interval yet, of a period of `hours` hours.
    #[must_use]
    pub fn new(hours: usize) -> Self {
        Self { unsold: vec![FineWh::ZERO; hours], ..Self::default() }
    }

    /// Adds an interval of hour `hour` of the period, at its price and the account's class's prices.
    pub fn add(&mut self, hour: usize, energy: &Energy, tick: Ticks, prices: &ClassPrices) {
        let residual_import = FineWh::of(energy.import) - energy.bought;
        let residual_export = FineWh::of(energy.export) - energy.sold;
        let tick = i32::from(tick.0);
        self.import += energy.import;
        self.export += energy.export;
        self.bought += energy.bought;
        self.sold += energy.sold;
        self.trade += priced(energy.sold, tick) - priced(energy.bought, tick);
        self.supply += priced(residual_import, prices.energy.ticks()) - priced(residual_export, prices.feed_in.ticks());
        self.fees += priced(residual_import, prices.network.ticks()) + priced(energy.bought, prices.local_fee.ticks());
        if let Some(unsold) = self.unsold.get_mut(hour) {
            *unsold += residual_export;
        }
    }

    /// Rounds: each of the two amounts once. `fixed` is the fixed fee of an active account, nano.
    #[must_use]
    pub fn bill(&self, fixed: u32) -> Bill {
        let fixed = Nano(i128::from(fixed));
        Bill {
            delta: (self.trade - self.supply - self.fees).floor() - fixed,
            fees: self.fees.floor() + fixed,
            registers: Registers {
                import: self.import,
                export: self.export,
                bought: self.bought.floor(),
                sold: self.sold.floor(),
            },
        }
    }

    /// Whole Wh that were fed in and not sold, by hour, each rounded down: what a certificate note is of.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Wh> {
        self.unsold.iter().map(|unsold| unsold.floor()).collect()
    }
}

impl Bill {
    /// Added to the supplier account: what accounts and fee account do not get. With the other two it is zero.
    #[must_use]
    pub fn supplier(bills: &[Self]) -> Nano {
        let zero = Nano::ZERO;
        zero - bills.iter().map(|bill| bill.delta + bill.fees).sum()
    }
}

/// The prices of a class and the fixed fee of its active accounts.
#[must_use]
pub fn class_of(tariff: &Tariff, interval: &IntervalTariff, class: u8) -> (ClassPrices, u32) {
    let class = usize::from(class);
    (
        interval.classes.get(class).copied().unwrap_or_default(),
        tariff.fixed_nano.get(class).copied().unwrap_or_default(),
    )
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
