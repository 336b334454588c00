//! The market of each interval: its orders, its rules, and the one place that clears it (SETTLE.4 to SETTLE.6).

use std::convert::Infallible;

use super::{SettlementError, SettlementInput};
use crate::{
    market::{self, Clearing, Order, Rules},
    tariff::ClassPrices,
    units::{Ticks, Wh},
};

/// Clears every interval by the rules: m clearings, in order.
///
/// # Errors
/// [`SettlementError::TooMuchEnergy`], for the first interval whose orders are too large.
pub fn clear_all(input: &SettlementInput) -> Result<Vec<Clearing>, SettlementError> {
    clear_or(input, |interval, _| Err(SettlementError::TooMuchEnergy { interval }))
}

/// [`clear_all`] that refuses nothing: an interval whose orders are too large is cleared at tick 0.
pub(super) fn clear_any(input: &SettlementInput) -> Vec<Clearing> {
    let cleared: Result<_, Infallible> =
        clear_or(input, |_, book| Ok(market::clear_at(&book.rules, &book.demand, &book.supply, Ticks::ZERO)));
    let Ok(clearings) = cleared;
    clearings
}

struct OrderBook {
    rules: Rules,
    demand: Vec<Order>,
    supply: Vec<Order>,
}

/// Clears every interval once. `otherwise` answers for an interval whose orders are too large to clear.
fn clear_or<E>(
    input: &SettlementInput,
    otherwise: impl Fn(usize, &OrderBook) -> Result<Clearing, E>,
) -> Result<Vec<Clearing>, E> {
    (0..input.community.shape.intervals)
        .map(|interval| {
            let (demand, supply) = orders(input, interval);
            let book = OrderBook { rules: rules(input, interval).0, demand, supply };
            market::clear(&book.rules, &book.demand, &book.supply).or_else(|_| otherwise(interval, &book))
        })
        .collect()
}

/// Orders of one interval, by slot: SETTLE.5 (limits of the old leaf; debtors and substituted packets do not trade).
#[must_use]
pub fn orders(input: &SettlementInput, interval: usize) -> (Vec<Order>, Vec<Order>) {
    let slots = input.community.accounts.iter().zip(&input.packets);
    slots
        .map(|(account, signed)| {
            let reading = signed.packet.readings.get(interval).copied().unwrap_or_default();
            let scale = account.terms.scale;
            let trades = !signed.packet.substituted;
            let buy = (trades && account.debt == 0).then_some(account.terms.buy_limit);
            let sell = trades.then_some(account.terms.sell_limit);
            (
                Order { wh: Wh::of_units(reading.import, scale), limit: buy },
                Order { wh: Wh::of_units(reading.export, scale), limit: sell },
            )
        })
        .unzip()
}

/// The market's rules of one interval, and the prices of each class. All prices are zero after the tariff's end.
pub(super) fn rules(input: &SettlementInput, interval: usize) -> (Rules, [ClassPrices; 2]) {
    let mechanism = input.community.header.mechanism;
    input.tariff.intervals.get(interval).map_or(
        (
            Rules { mechanism, cap: Ticks::ZERO, floor: Ticks::ZERO, reference: Ticks::ZERO },
            [ClassPrices::default(); 2],
        ),
        |t| (Rules { mechanism, cap: t.cap, floor: t.floor, reference: t.reference }, t.classes),
    )
}
