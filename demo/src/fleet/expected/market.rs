//! One interval's market, looked for price by price (docs/spec/settlement.md, SETTLE.4 to SETTLE.6): slow, and nothing of
//! the protocol's.

/// A home's interval. Energy in Wh; limits in ticks, within the tariff's bounds. Without a limit it does not trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub import: u64,
    pub export: u64,
    pub buy: Option<u16>,
    pub sell: Option<u16>,
}

/// The lowest price at which what is wanted above it is on offer, and what each home buys and sells at it.
pub(super) fn clear(orders: &[Order]) -> (u16, Vec<[u64; 2]>) {
    let mut prices: Vec<u16> = orders.iter().flat_map(|order| [order.buy, order.sell]).flatten().chain([0]).collect();
    prices.sort_unstable();
    let wanted_above = |price: u16| {
        orders
            .iter()
            .filter(|order| order.buy.is_some_and(|limit| limit > price))
            .map(|order| order.import)
            .sum::<u64>()
    };
    let offered = |price: u16| {
        orders.iter().filter(|order| order.sell.is_some_and(|limit| limit <= price)).map(|o| o.export).sum::<u64>()
    };
    let price = prices.into_iter().find(|price| wanted_above(*price) <= offered(*price)).unwrap_or(u16::MAX);
    // Better than the price, and just at it.
    let sides = |better: &dyn Fn(&Order) -> Option<bool>, energy: fn(&Order) -> u64| {
        orders.iter().map(|order| (energy(order), better(order))).collect::<Vec<_>>()
    };
    let demand = sides(&|order| order.buy.filter(|limit| *limit >= price).map(|limit| limit > price), |o| o.import);
    let supply = sides(&|order| order.sell.filter(|limit| *limit <= price).map(|limit| limit < price), |o| o.export);
    let all = |side: &[(u64, Option<bool>)]| side.iter().filter(|(_, in_it)| in_it.is_some()).map(|(wh, _)| wh).sum();
    let (wanted, on_offer): (u64, u64) = (all(&demand), all(&supply));
    let volume = wanted.min(on_offer);
    let (bought, sold) = if wanted >= on_offer {
        (rationed(&demand, volume), whole(&supply))
    } else {
        (whole(&demand), rationed(&supply, volume))
    };
    (price, bought.into_iter().zip(sold).map(|(bought, sold)| [bought, sold]).collect())
}

/// The shorter side gets all it wants.
fn whole(side: &[(u64, Option<bool>)]) -> Vec<u64> {
    side.iter().map(|(wh, in_it)| if in_it.is_some() { *wh } else { 0 }).collect()
}

/// The longer side: the better orders first, and those at the price share what is left, in slot order, in whole Wh.
fn rationed(side: &[(u64, Option<bool>)], volume: u64) -> Vec<u64> {
    let sum =
        |better: bool| side.iter().filter(|(_, in_it)| *in_it == Some(better)).map(|(wh, _)| u128::from(*wh)).sum();
    let (first, rest): (u128, u128) = (sum(true), sum(false));
    let left = u128::from(volume).saturating_sub(first);
    let ratio = if rest == 0 { 0 } else { (left << 32).div_ceil(rest) };
    let share = |running: u128| (running * ratio) >> 32;
    let mut running = 0u128;
    side.iter()
        .map(|(wh, in_it)| match in_it {
            None => 0,
            Some(true) => *wh,
            Some(false) => {
                let before = share(running);
                running += u128::from(*wh);
                u64::try_from(share(running) - before).unwrap_or(u64::MAX)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::script::Dice;
    use gridveil_protocol::{
        market::{self, Mechanism, Rules, clear as by_the_protocol},
        units::{Ticks, Wh},
    };

    fn buyer(import: u64, limit: u16) -> Order {
        Order { import, buy: Some(limit), ..Order::default() }
    }

    fn seller(export: u64, limit: u16) -> Order {
        Order { export, sell: Some(limit), ..Order::default() }
    }

    #[test]
    fn cases_by_hand() {
        assert_eq!(clear(&[buyer(4, 9), seller(10, 5)]), (5, vec![[4, 0], [0, 4]]));
        assert_eq!(clear(&[buyer(4, 9), buyer(4, 7), seller(6, 5)]), (7, vec![[4, 0], [2, 0], [0, 6]]));
        assert_eq!(clear(&[buyer(4, 9), Order { import: 3, export: 3, ..Order::default() }]).1, [[0, 0]; 2]);
    }

    /// Two programs, one rule.
    #[test]
    fn it_says_what_the_protocol_says() {
        let mut dice = Dice::new("market", 1);
        for _ in 0..500 {
            let limit = |dice: &mut Dice| (dice.below(5) > 0).then(|| dice.below(12) as u16);
            let orders: Vec<Order> = (0..1 + dice.below(12))
                .map(|_| {
                    let [buy, sell] = [limit(&mut dice), limit(&mut dice)];
                    Order { import: dice.below(900) as u64, export: dice.below(900) as u64, buy, sell }
                })
                .collect();
            let side = |wh: fn(&Order) -> u64, limit: fn(&Order) -> Option<u16>| {
                let order = |o: &Order| market::Order { wh: Wh(wh(o)), limit: limit(o).map(Ticks) };
                orders.iter().map(order).collect::<Vec<_>>()
            };
            let rules =
                Rules { mechanism: Mechanism::Auction, cap: Ticks::MAX, floor: Ticks::ZERO, reference: Ticks::ZERO };
            let theirs =
                by_the_protocol(&rules, &side(|o| o.import, |o| o.buy), &side(|o| o.export, |o| o.sell)).unwrap();
            let (price, trades) = clear(&orders);
            let trades_of = |of: usize| trades.iter().map(|trade| Wh(trade[of])).collect::<Vec<_>>();
            assert_eq!((Ticks(price), trades_of(0), trades_of(1)), (theirs.tick, theirs.bought, theirs.sold));
        }
    }
}
