//! Clearing of one interval (SETTLE.4 to SETTLE.6).
//!
//! *Auction*: the price is the lowest clearing tick, which exists and is unique: `D>(p) <= S<=(p)`, and `p = 0` or
//! `D>=(p) > S<(p)`. *Community price*: the price is the tariff's reference; everybody whose limit allows it is
//! marginal. The side that is longer at the price is rationed pro rata in slot order, in whole Wh, by running sums (ADR
//! 0002).

use serde::{Deserialize, Serialize};

use crate::{
    params::RATIO_BITS,
    units::{Ticks, Wh},
};

/// How a community's price is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Mechanism {
    /// Uniform-price auction.
    Auction = 0,
    /// Published price; the EU "dynamic allocation key" where everybody is eligible.
    CommunityPrice = 1,
}

/// What one side of one slot offers: energy and a limit; `None` does not trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Energy, Wh.
    pub wh: Wh,
    /// Buyer: at most this price; seller: at least this price.
    pub limit: Option<Ticks>,
}

/// Rules of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Mechanism of the community.
    pub mechanism: Mechanism,
    /// Effective buy limit is `min(limit, cap)`.
    pub cap: Ticks,
    /// Effective sell limit is `max(limit, floor)`.
    pub floor: Ticks,
    /// Price of the community-price mechanism.
    pub reference: Ticks,
}

/// Which side is rationed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rationed {
    /// Demand is at least supply at the price.
    Demand,
    /// Supply exceeds demand at the price.
    Supply,
}

/// Why an interval cannot be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// A side's eligible energy is 2^32 Wh or more.
    #[error("orders of one interval add up to 2^32 Wh or more")]
    TooMuchEnergy,
}

/// Result of one interval.
#[derive(Clone, PartialEq, Eq)]
pub struct Clearing {
    /// The clearing tick, also when nothing trades.
    pub tick: Ticks,
    /// Which side is rationed.
    pub rationed: Rationed,
    /// Demand strictly better than, and at, the price; Wh.
    pub demand: [Wh; 2],
    /// Supply strictly better than, and at, the price; Wh.
    pub supply: [Wh; 2],
    /// V, Wh.
    pub volume: Wh,
    /// R: volume left for the marginal orders of the rationed side, Wh.
    pub remaining: Wh,
    /// W: their weight, Wh.
    pub weight: Wh,
    /// `ceil(R * 2^32 / W)`, 0 if W = 0.
    pub ratio: u64,
    /// Locally bought by slot, Wh.
    pub bought: Vec<Wh>,
    /// Locally sold by slot, Wh.
    pub sold: Vec<Wh>,
}

impl std::fmt::Debug for Clearing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clearing").field("slots", &self.bought.len()).finish_non_exhaustive()
    }
}

impl Clearing {
    /// Published price: 0 where nothing trades.
    #[must_use]
    pub const fn price(&self) -> Ticks {
        if self.volume.0 == 0 { Ticks::ZERO } else { self.tick }
    }
}

/// Standing of one order at a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Strict,
    Marginal,
    Out,
}

fn standing(rules: &Rules, better: std::cmp::Ordering) -> Standing {
    match (better, rules.mechanism) {
        (std::cmp::Ordering::Less, _) => Standing::Out,
        (std::cmp::Ordering::Greater, Mechanism::Auction) => Standing::Strict,
        _ => Standing::Marginal,
    }
}

fn buyer(rules: &Rules, order: &Order, price: Ticks) -> Standing {
    order.limit.map_or(Standing::Out, |limit| standing(rules, limit.min(rules.cap).cmp(&price)))
}

fn seller(rules: &Rules, order: &Order, price: Ticks) -> Standing {
    order.limit.map_or(Standing::Out, |limit| standing(rules, price.cmp(&limit.max(rules.floor))))
}

/// `[strict, marginal]` energy of a side, Wh; orders are below 2^32 each, so u64 does not overflow for any real count.
fn totals(orders: &[Order], of: impl Fn(&Order) -> Standing) -> [Wh; 2] {
    orders.iter().fold([Wh::ZERO; 2], |[strict, marginal], order| match of(order) {
        Standing::Strict => [strict + order.wh, marginal],
        Standing::Marginal => [strict, marginal + order.wh],
        Standing::Out => [strict, marginal],
    })
}

/// Lowest tick with `D>(p) <= S<=(p)`: the excess never grows with p, so halving finds it.
fn lowest_clearing_tick(rules: &Rules, demand: &[Order], supply: &[Order]) -> Ticks {
    let clears = |price: Ticks| {
        let [above, _] = totals(demand, |o| buyer(rules, o, price));
        let [below, at] = totals(supply, |o| seller(rules, o, price));
        above <= below + at
    };
    let (mut low, mut high) = (Ticks::ZERO.0, Ticks::MAX.0);
    while low < high {
        let middle = low + (high - low) / 2;
        if clears(Ticks(middle)) { high = middle } else { low = middle + 1 }
    }
    Ticks(low)
}

/// Clears one interval; `demand[i]` and `supply[i]` belong to slot i.
///
/// # Errors
/// [`MarketError::TooMuchEnergy`] if a side's energy reaches 2^32 Wh.
pub fn clear(rules: &Rules, demand: &[Order], supply: &[Order]) -> Result<Clearing, MarketError> {
    for side in [demand, supply] {
        if side.iter().map(|o| u128::from(o.wh)).sum::<u128>() >> RATIO_BITS != 0 {
            return Err(MarketError::TooMuchEnergy);
        }
    }
    let tick = match rules.mechanism {
        Mechanism::Auction => lowest_clearing_tick(rules, demand, supply),
        Mechanism::CommunityPrice => rules.reference,
    };
    Ok(clear_at(rules, demand, supply, tick))
}

/// Allocates at a given tick. [`clear`] is the rule; tests use this one to build clearings that break it.
#[must_use]
pub fn clear_at(rules: &Rules, demand: &[Order], supply: &[Order], tick: Ticks) -> Clearing {
    let d = totals(demand, |o| buyer(rules, o, tick));
    let s = totals(supply, |o| seller(rules, o, tick));
    let (all_demand, all_supply) = (d[0] + d[1], s[0] + s[1]);
    let rationed = if all_demand >= all_supply { Rationed::Demand } else { Rationed::Supply };
    let volume = all_demand.min(all_supply);
    let [strict, weight] = if rationed == Rationed::Demand { d } else { s };
    let remaining = volume.saturating_sub(strict);
    let ratio = ratio(remaining, weight);
    let share = |orders: &[Order], of: &dyn Fn(&Order) -> Standing, ration: bool| {
        let mut running = Wh::ZERO;
        orders
            .iter()
            .map(|order| match of(order) {
                Standing::Strict => order.wh,
                Standing::Out => Wh::ZERO,
                Standing::Marginal if !ration => order.wh,
                Standing::Marginal => {
                    let before = cumulative(running, ratio);
                    running += order.wh;
                    cumulative(running, ratio) - before
                }
            })
            .collect()
    };
    let bought = share(demand, &|o| buyer(rules, o, tick), rationed == Rationed::Demand);
    let sold = share(supply, &|o| seller(rules, o, tick), rationed == Rationed::Supply);
    Clearing { tick, rationed, demand: d, supply: s, volume, remaining, weight, ratio, bought, sold }
}

/// `ceil(R * 2^32 / W)`.
fn ratio(remaining: Wh, weight: Wh) -> u64 {
    if weight == Wh::ZERO {
        return 0;
    }
    u64::try_from((u128::from(remaining) << RATIO_BITS).div_ceil(u128::from(weight))).unwrap_or(u64::MAX)
}

/// `floor(C * ratio / 2^32)`: what the first orders of total weight C receive.
#[must_use]
pub fn cumulative(weight: Wh, ratio: u64) -> Wh {
    u64::try_from((u128::from(weight) * u128::from(ratio)) >> RATIO_BITS).map_or(Wh::MAX, Wh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auction() -> Rules {
        Rules { mechanism: Mechanism::Auction, cap: Ticks::MAX, floor: Ticks::ZERO, reference: Ticks::ZERO }
    }

    fn orders(list: &[(u64, u16)]) -> Vec<Order> {
        list.iter().map(|&(wh, limit)| Order { wh: Wh(wh), limit: Some(Ticks(limit)) }).collect()
    }

    #[test]
    fn three_cases_by_hand() {
        // One seller of 10 at 5, one buyer of 4 at 9: the seller is marginal at 5.
        let c = clear(&auction(), &orders(&[(4, 9)]), &orders(&[(10, 5)])).unwrap();
        assert_eq!(
            (c.price(), c.volume, c.bought.clone(), c.sold.clone()),
            (Ticks(5), Wh(4), vec![Wh(4)], vec![Wh(4)])
        );
        // Scarce supply: the price is the lowest at which demand above it fits, so the marginal buyer sets it.
        let c = clear(&auction(), &orders(&[(4, 9), (4, 7)]), &orders(&[(6, 5)])).unwrap();
        assert_eq!((c.price(), c.volume, c.bought.clone()), (Ticks(7), Wh(6), vec![Wh(4), Wh(2)]));
        // Nobody sells: no trade, published price 0.
        let c = clear(&auction(), &orders(&[(4, 9)]), &orders(&[(0, 0)])).unwrap();
        assert_eq!((c.price(), c.volume), (Ticks::ZERO, Wh::ZERO));
    }

    #[test]
    fn too_much_energy_is_refused() {
        let big = orders(&[(1 << 31, 9), (1 << 31, 9)]);
        assert_eq!(clear(&auction(), &big, &orders(&[(0, 0), (0, 0)])), Err(MarketError::TooMuchEnergy));
    }

    proptest! {
        #[test]
        fn fair_and_conserving(
            book in prop::collection::vec((0u64..3000, prop::option::of(0u16..40), 0u64..3000, prop::option::of(0u16..40)), 1..40),
            cap in 0u16..50, floor in 0u16..30, reference in 0u16..40, community in any::<bool>(),
        ) {
            let mechanism = if community { Mechanism::CommunityPrice } else { Mechanism::Auction };
            let [cap, floor, reference] = [cap, floor, reference].map(Ticks);
            let rules = Rules { mechanism, cap, floor, reference };
            let demand: Vec<_> = book.iter().map(|b| Order { wh: Wh(b.0), limit: b.1.map(Ticks) }).collect();
            let supply: Vec<_> = book.iter().map(|b| Order { wh: Wh(b.2), limit: b.3.map(Ticks) }).collect();
            let c = clear(&rules, &demand, &supply).unwrap();
            // SETTLE.4
            prop_assert_eq!(c.bought.iter().sum::<Wh>(), c.volume);
            prop_assert_eq!(c.sold.iter().sum::<Wh>(), c.volume);
            let d = |p: Ticks| totals(&demand, |o| buyer(&rules, o, p));
            let s = |p: Ticks| totals(&supply, |o| seller(&rules, o, p));
            if !community {
                // SETTLE.6: clears, and no lower tick does.
                prop_assert!(d(c.tick)[0] <= s(c.tick).iter().sum());
                for p in (0..c.tick.0).map(Ticks) {
                    prop_assert!(d(p)[0] > s(p).iter().sum());
                }
            }
            for i in 0..book.len() {
                // SETTLE.3, SETTLE.5
                prop_assert!(c.bought[i] <= demand[i].wh && c.sold[i] <= supply[i].wh);
                if c.bought[i] > Wh::ZERO { prop_assert!(demand[i].limit.unwrap().min(cap) >= c.tick); }
                if c.sold[i] > Wh::ZERO { prop_assert!(supply[i].limit.unwrap().max(floor) <= c.tick); }
                // strictly better orders in full
                if buyer(&rules, &demand[i], c.tick) == Standing::Strict { prop_assert_eq!(c.bought[i], demand[i].wh); }
                // rationing within one Wh of proportional
                if c.rationed == Rationed::Demand && buyer(&rules, &demand[i], c.tick) == Standing::Marginal && c.weight > Wh::ZERO {
                    let exact = u128::from(demand[i].wh) * u128::from(c.remaining);
                    let got = u128::from(c.bought[i]) * u128::from(c.weight);
                    prop_assert!(got.abs_diff(exact) < u128::from(c.weight));
                }
            }
        }
    }
}
