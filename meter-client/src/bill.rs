//! What a member pays over some days: by rate, to the last unit of money, from the receipts that were verified.

mod history;

use std::{collections::BTreeMap, ops::Range};

use gridveil_protocol::{
    account::Registers,
    bill::{BillLine, bill_line},
    correction::Correction,
    operation::Kind,
    receipt::{Receipt, ReceiptError},
    tariff::Tariff,
    units::{Interval, Nano, Wh},
};
use serde::Serialize;

pub use history::History;

use crate::{calendar::PeriodAt, statement::changes};

/// Why there is no bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// Nothing was settled in these days.
    #[error("nothing that is kept here was settled in these days")]
    Empty,
    /// A receipt does not hold.
    #[error("the receipt of the {period} does not hold: {source}")]
    Receipt {
        /// Period.
        period: PeriodAt,
        /// Why.
        source: ReceiptError,
    },
    /// A correction is not of what was settled.
    #[error("the correction that is kept of the {period} is not of the substitute that was settled")]
    Correction {
        /// Period.
        period: PeriodAt,
    },
    /// A receipt does not continue from the one before.
    #[error("between the {after} and the {period} receipts are missing: gridveil member recover fetches them")]
    Gap {
        /// Period before.
        after: PeriodAt,
        /// Period after.
        period: PeriodAt,
    },
}

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Energy from the supplier.
    Supplier,
    /// The network, for energy from the supplier.
    Network,
    /// Energy from neighbours, at the price of the interval.
    Bought,
    /// The network, for energy from neighbours.
    LocalNetwork,
    /// Energy sold to neighbours, at the price of the interval.
    Sold,
    /// Energy fed in to the supplier.
    FeedIn,
}

impl What {
    /// For a person.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Supplier => "energy from the supplier",
            Self::Network => "network fee",
            Self::Bought => "bought from neighbours",
            Self::LocalNetwork => "local network fee",
            Self::Sold => "sold to neighbours",
            Self::FeedIn => "fed in to the supplier",
        }
    }
}

/// Energy at one rate.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What is paid for.
    pub what: What,
    /// Nano per Wh.
    pub rate_nano: i128,
    /// Energy, Wh.
    pub energy_wh: Wh,
    /// Paid, nano; negative if earned.
    pub amount_nano: Nano,
}

/// What else moved the account.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Movement {
    /// First interval of the period with which it was settled.
    pub first_interval: Interval,
    /// The operation; `None` for the correction of an earlier period by a late packet.
    pub kind: Option<Kind>,
    /// First interval of the period that was corrected, if it is a correction.
    pub corrected: Option<Interval>,
    /// What balance less debt changes by, nano.
    pub change_nano: Nano,
}

/// A period's receipt and its tariff, both verified.
#[derive(Clone, Copy)]
pub struct Settled<'a> {
    /// Its receipt.
    pub receipt: &'a Receipt,
    /// Its tariff.
    pub tariff: &'a Tariff,
}

/// From when to when a receipt's period is, unix seconds.
fn reaches(receipt: &Receipt, interval_length_s: u16) -> Range<u64> {
    let begins = receipt.first_interval.start(interval_length_s);
    begins..begins + receipt.lines.len() as u64 * u64::from(interval_length_s)
}

/// Has the receipt's period a part of these days?
#[must_use]
pub fn touches(receipt: &Receipt, span_s: &Range<u64>, interval_length_s: u16) -> bool {
    let own = reaches(receipt, interval_length_s);
    own.start < span_s.end && own.end > span_s.start
}

/// The bill of some days.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Unix seconds, half open.
    pub span_s: Range<u64>,
    /// Intervals of these days that are settled.
    pub intervals: u64,
    /// Intervals of these days that are not settled, or whose receipt is not kept here.
    pub missing_intervals: u64,
    /// Intervals of these days before the account was opened, or after it was closed.
    pub without_account_intervals: u64,
    /// Settled intervals that a late packet may still correct.
    pub substituted_intervals: u64,
    /// Settled intervals that a late packet has corrected; energy and items are the late packet's.
    pub corrected_intervals: u64,
    /// Settled intervals that stay as they were substituted.
    pub estimated_intervals: u64,
    /// Energy, Wh.
    pub energy: Registers,
    /// By what and rate. Nothing of no energy.
    pub items: Vec<Item>,
    /// Sum of the items, nano.
    pub total_nano: Nano,
    /// Where the periods begin that have these days, and where they end; unix seconds.
    pub account_s: Range<u64>,
    /// Balance less debt at their beginning, nano.
    pub opening_nano: Nano,
    /// Bills of these periods as they were settled, nano. Another sum than [`Self::total_nano`] where a period reaches
    /// beyond the days, or was corrected: what the correction changed is a movement of the period that booked it.
    pub billed_nano: Nano,
    /// Operations and corrections of these periods, in order.
    pub movements: Vec<Movement>,
    /// Balance less debt at their end, nano.
    pub closing_nano: Nano,
    /// Taken from the supplier by interval: unix seconds, Wh.
    #[serde(skip)]
    pub supplied: Vec<(u64, Wh)>,
}

impl std::fmt::Debug for Bill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bill").field("span_s", &self.span_s).finish_non_exhaustive()
    }
}

impl Bill {
    /// Are all of these days settled, and can nothing of them change any more?
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.missing_intervals == 0 && self.substituted_intervals == 0
    }

    /// The bill of `span_s` from receipts, oldest first, that continue from one another. `history`: what these and
    /// later receipts say of their substitutes.
    ///
    /// # Errors
    /// [`BillError`].
    pub fn of(
        periods: &[Settled<'_>],
        span_s: Range<u64>,
        interval_length_s: u16,
        history: &History<'_>,
    ) -> Result<Self, BillError> {
        let reaches = |receipt: &Receipt| reaches(receipt, interval_length_s);
        let at = |receipt: &Receipt| PeriodAt::new(receipt.first_interval, interval_length_s);
        let overlaps = |settled: &&Settled<'_>| touches(settled.receipt, &span_s, interval_length_s);
        let periods: Vec<Settled<'_>> = periods.iter().filter(overlaps).copied().collect();
        let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Err(BillError::Empty) };
        let all = (span_s.end - span_s.start) / u64::from(interval_length_s.max(1));
        let mut bill = Self {
            intervals: 0,
            missing_intervals: 0,
            without_account_intervals: history.without_account(&span_s, interval_length_s),
            substituted_intervals: 0,
            corrected_intervals: 0,
            estimated_intervals: 0,
            energy: Registers::default(),
            items: Vec::new(),
            total_nano: Nano::ZERO,
            account_s: reaches(first.receipt).start..reaches(last.receipt).end,
            opening_nano: first.receipt.before.value(),
            billed_nano: Nano::ZERO,
            movements: Vec::new(),
            closing_nano: last.receipt.after.value(),
            supplied: Vec::new(),
            span_s,
        };
        let mut items: BTreeMap<(What, i128), (Wh, Nano)> = BTreeMap::new();
        let mut before: Option<&Receipt> = None;
        for Settled { receipt, tariff } in periods {
            if let Some(before) = before
                && before.after != receipt.before
                // An empty slot's salts change, and are no member's.
                && (before.after.meter.is_some() || receipt.before.meter.is_some())
            {
                return Err(BillError::Gap { after: at(before), period: at(receipt) });
            }
            before = Some(receipt);
            bill.period(receipt, tariff, interval_length_s, history, &mut items)?;
        }
        bill.missing_intervals = all.saturating_sub(bill.intervals + bill.without_account_intervals);
        let item = |((what, rate_nano), (energy_wh, amount_nano))| Item { what, rate_nano, energy_wh, amount_nano };
        bill.items = items.into_iter().map(item).filter(|item| item.energy_wh != Wh::ZERO).collect();
        Ok(bill)
    }

    fn period(
        &mut self,
        receipt: &Receipt,
        tariff: &Tariff,
        interval_length_s: u16,
        history: &History<'_>,
        items: &mut BTreeMap<(What, i128), (Wh, Nano)>,
    ) -> Result<(), BillError> {
        let first_interval = receipt.first_interval;
        let period = PeriodAt::new(first_interval, interval_length_s);
        let whole =
            receipt.verify(None, tariff, receipt.root).map_err(|source| BillError::Receipt { period, source })?;
        self.billed_nano -= whole.delta_nano();
        let (operations, correction) = changes(receipt);
        let moved = operations.iter().map(|line| (Some(line.kind), None, line.change_nano));
        let moved = moved.chain(correction.map(|line| (None, Some(line.first_interval), line.change_nano)));
        self.movements.extend(moved.map(|(kind, corrected, change_nano)| Movement {
            first_interval,
            kind,
            corrected,
            change_nano,
        }));
        let (scale, class) = (receipt.before.terms.scale, usize::from(receipt.before.terms.class));
        let correction = history.correction(first_interval).filter(|_| receipt.substituted);
        let corrects = |correction: &Correction| {
            let late = &correction.late.packet;
            let whole = late.readings.len() == receipt.lines.len() && correction.tariff == *tariff;
            whole && late.context.first_interval == first_interval && correction.opens(&receipt.settled)
        };
        if correction.is_some_and(|correction| !corrects(correction)) {
            return Err(BillError::Correction { period });
        }
        // Scale and class are those of then: other terms would have made the substitute final.
        let readings = correction.map_or(&receipt.readings, |correction| &correction.late.packet.readings);
        let mut measured = 0;
        let counter = match (receipt.substituted, correction) {
            (false, _) => &mut measured,
            (true, Some(_)) => &mut self.corrected_intervals,
            (true, None) if history.is_final(first_interval) => &mut self.estimated_intervals,
            (true, None) => &mut self.substituted_intervals,
        };
        let intervals = first_interval.onwards().zip(&receipt.lines).zip(readings).zip(&tariff.intervals);
        for (((interval, line), reading), prices) in intervals {
            let start = interval.start(interval_length_s);
            if !self.span_s.contains(&start) {
                continue;
            }
            let energy = Registers {
                import: Wh::of_units(reading.import, scale),
                export: Wh::of_units(reading.export, scale),
                bought: line.bought_wh,
                sold: line.sold_wh,
            };
            let prices = prices.classes.get(class).copied().unwrap_or_default();
            let BillLine { trade, supply, fees } = bill_line(&energy, &prices, line.tick);
            self.total_nano += supply + fees - trade;
            self.energy = self.energy.plus(&energy);
            self.intervals += 1;
            *counter += 1;
            let (supplied, fed_in) = (Wh(energy.import.0 - energy.bought.0), Wh(energy.export.0 - energy.sold.0));
            self.supplied.push((start, supplied));
            let price = line.tick.nano_per_wh();
            for (what, rate, wh, paid) in [
                (What::Supplier, i128::from(prices.energy), supplied, 1),
                (What::Network, i128::from(prices.network), supplied, 1),
                (What::Bought, price, energy.bought, 1),
                (What::LocalNetwork, i128::from(prices.local_fee), energy.bought, 1),
                (What::Sold, price, energy.sold, -1),
                (What::FeedIn, i128::from(prices.feed_in), fed_in, -1),
            ] {
                let (sum, amount) = items.entry((what, rate)).or_default();
                *sum += wh;
                *amount += Nano(paid * rate * i128::from(wh));
            }
        }
        Ok(())
    }

    /// The items of one kind: lowest and highest rate, energy, amount.
    #[must_use]
    pub fn sums(&self) -> Vec<(What, Range<i128>, Wh, Nano)> {
        let mut sums: Vec<(What, Range<i128>, Wh, Nano)> = Vec::new();
        for item in &self.items {
            match sums.last_mut().filter(|(what, ..)| *what == item.what) {
                Some((_, rates, energy, amount)) => {
                    rates.end = item.rate_nano;
                    *energy += item.energy_wh;
                    *amount += item.amount_nano;
                }
                None => sums.push((item.what, item.rate_nano..item.rate_nano, item.energy_wh, item.amount_nano)),
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests;
