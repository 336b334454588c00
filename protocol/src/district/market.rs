//! Clearing of one interval of one community (SETTLE.4 to SETTLE.6 of version 3).
//!
//! A share is the order times a ratio, in 2^-16 Wh: exactly linear. No slot order, no rounding from slot to slot. Whoever
//! knows price and ratios of an interval computes its own share, and two accounts of one household together get what one
//! account with both orders gets.
//!
//! *Auction*: the price is the lowest clearing tick. *Community price* (a dynamic key): the price is the tariff's reference,
//! and everybody whose limit allows it has the same ratio. *Static key*: the price is the reference, and a buyer's share of
//! the community's production is its key; what it does not use is fed in.

use serde::{Deserialize, Serialize};

use crate::{
    market::{Order, Rationed},
    units::{FINE_BITS, FineWh, Ticks, Wh},
};

/// All of an order, as a ratio.
pub const WHOLE: u32 = 1 << FINE_BITS;
/// Bits of what a side of one interval offers, Wh: 864 slots of at most 6,553,500 Wh.
pub const SIDE_BITS: u32 = 33;

/// How a community's price and shares are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Mechanism {
    /// Uniform-price auction.
    Auction = 0,
    /// Published price, pro rata; the EU "dynamic allocation key" where everybody is eligible.
    CommunityPrice = 1,
    /// Published price; each buyer has a fixed share of what is produced, the "static allocation key".
    StaticKey = 2,
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
    /// Price of every mechanism but the auction.
    pub reference: Ticks,
}

/// What one slot brings to an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it takes from the network. The limit is `None` for a debtor and a substituted slot.
    pub demand: Order,
    /// What it feeds in. The limit is `None` for a substituted slot.
    pub supply: Order,
    /// `k_i`: its share of the community's production, 2^-16; used by the static key only. All keys of a community add up
    /// to at most [`WHOLE`] (its header keeps the sum).
    pub key: u32,
}

/// Why an interval cannot be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// A side's energy is 2^33 Wh or more.
    #[error("SETTLE.4: orders of one interval add up to 2^33 Wh or more")]
    TooMuchEnergy,
    /// The keys of a community are more than the whole.
    #[error("SETTLE.6: the allocation keys add up to {sum} of {WHOLE}")]
    Keys {
        /// Their sum, 2^-16.
        sum: u64,
    },
}

/// Where an order's own limit stands to the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A buyer would pay more, a seller would take less.
    Better,
    /// The limit is the price.
    At,
    /// It does not trade.
    Out,
}

/// Result of one interval: everything that a slot needs to know its own share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// The price, also when nothing trades.
    pub tick: Ticks,
    /// Which side is cut; with a static key always supply.
    pub rationed: Rationed,
    /// Demand with a limit better than the price, and at it, Wh.
    pub demand: [Wh; 2],
    /// Supply with a limit better than the price, and at it, Wh.
    pub supply: [Wh; 2],
    /// W: the orders that are cut, Wh.
    pub weight: Wh,
    /// R in 2^-16 Wh: what is left for them.
    pub remaining: FineWh,
    /// `floor(R / W)` in 2^-16, 0 if W = 0.
    pub ratio: u32,
    /// `R - ratio W`, below W: nobody's share. The supplier is its counterparty.
    pub crumb: FineWh,
    /// Ratio of a buyer whose limit is better than the price, and at it. Not used by the static key.
    pub buyers: [u32; 2],
    /// Ratio of a seller whose limit is better than the price, and at it.
    pub sellers: [u32; 2],
    /// Static key: energy of the sellers that take part, Wh; else 0.
    pub pool: Wh,
}

impl std::fmt::Debug for Clearing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clearing").finish_non_exhaustive()
    }
}

/// A buyer's standing at a price by its own limit.
#[must_use]
pub fn buyer(order: &Order, price: Ticks) -> Standing {
    standing(order, |limit| limit.cmp(&price))
}

/// A seller's standing at a price by its own limit.
#[must_use]
pub fn seller(order: &Order, price: Ticks) -> Standing {
    standing(order, |limit| price.cmp(&limit))
}

fn standing(order: &Order, better: impl Fn(Ticks) -> std::cmp::Ordering) -> Standing {
    match order.limit.map(better) {
        Some(std::cmp::Ordering::Greater) => Standing::Better,
        Some(std::cmp::Ordering::Equal) => Standing::At,
        Some(std::cmp::Ordering::Less) | None => Standing::Out,
    }
}

/// `[better, at]` energy of a side, Wh.
fn totals<'a>(orders: impl Iterator<Item = &'a Order>, of: impl Fn(&Order) -> Standing) -> [Wh; 2] {
    orders.fold([Wh::ZERO; 2], |[better, at], order| match of(order) {
        Standing::Better => [better + order.wh, at],
        Standing::At => [better, at + order.wh],
        Standing::Out => [better, at],
    })
}

/// Of a side's `[better, at]` energy: what is served in full, and what is cut if the side is longer. `bound` is the
/// community's own limit's standing at the price: orders are never better than it.
fn strict_and_marginal(mechanism: Mechanism, bound: std::cmp::Ordering, [better, at]: [Wh; 2]) -> [Wh; 2] {
    match (bound, mechanism) {
        (std::cmp::Ordering::Less, _) => [Wh::ZERO; 2],
        (std::cmp::Ordering::Greater, Mechanism::Auction) => [better, at],
        _ => [Wh::ZERO, better + at],
    }
}

/// Ratios of `[better, at]` orders of a side whose marginal orders have `marginal`.
fn ratios(mechanism: Mechanism, bound: std::cmp::Ordering, marginal: u32) -> [u32; 2] {
    match (bound, mechanism) {
        (std::cmp::Ordering::Less, _) => [0; 2],
        (std::cmp::Ordering::Greater, Mechanism::Auction) => [WHOLE, marginal],
        _ => [marginal; 2],
    }
}

/// Lowest tick with `D>(p) <= S<=(p)`: the excess never grows with p, so halving finds it.
fn lowest_clearing_tick(rules: &Rules, offers: &[Offer]) -> Ticks {
    let clears = |price: Ticks| {
        let demand = totals(offers.iter().map(|o| &o.demand), |order| buyer(order, price));
        let supply = totals(offers.iter().map(|o| &o.supply), |order| seller(order, price));
        let [above, _] = strict_and_marginal(Mechanism::Auction, rules.cap.cmp(&price), demand);
        let [below, at] = strict_and_marginal(Mechanism::Auction, price.cmp(&rules.floor), supply);
        above <= below + at
    };
    let (mut low, mut high) = (Ticks::ZERO.0, Ticks::MAX.0);
    while low < high {
        let middle = low.midpoint(high);
        if clears(Ticks(middle)) { high = middle } else { low = middle + 1 }
    }
    Ticks(low)
}

/// Clears one interval; `offers[i]` belongs to slot i.
///
/// # Errors
/// [`MarketError`].
pub fn clear(rules: &Rules, offers: &[Offer]) -> Result<Clearing, MarketError> {
    for side in [|o: &Offer| o.demand.wh, |o: &Offer| o.supply.wh] {
        if offers.iter().map(|offer| u128::from(side(offer))).sum::<u128>() >> SIDE_BITS != 0 {
            return Err(MarketError::TooMuchEnergy);
        }
    }
    let sum = offers.iter().map(|offer| u64::from(offer.key)).sum();
    if sum > u64::from(WHOLE) {
        return Err(MarketError::Keys { sum });
    }
    let tick = match rules.mechanism {
        Mechanism::Auction => lowest_clearing_tick(rules, offers),
        Mechanism::CommunityPrice | Mechanism::StaticKey => rules.reference,
    };
    Ok(clear_at(rules, offers, tick))
}

/// Shares at a given tick. [`clear`] is the rule; tests use this one to build clearings that break it.
#[must_use]
pub fn clear_at(rules: &Rules, offers: &[Offer], tick: Ticks) -> Clearing {
    let demand = totals(offers.iter().map(|o| &o.demand), |order| buyer(order, tick));
    let supply = totals(offers.iter().map(|o| &o.supply), |order| seller(order, tick));
    let (cap, floor) = (rules.cap.cmp(&tick), tick.cmp(&rules.floor));
    let d = strict_and_marginal(rules.mechanism, cap, demand);
    let s = strict_and_marginal(rules.mechanism, floor, supply);
    let (all_demand, all_supply) = (d[0] + d[1], s[0] + s[1]);
    let pool = if rules.mechanism == Mechanism::StaticKey { all_supply } else { Wh::ZERO };
    let takes = |offer: &&Offer| cap.is_ge() && buyer(&offer.demand, tick) != Standing::Out;
    let (rationed, weight, remaining) = match rules.mechanism {
        Mechanism::StaticKey => {
            let allocated = offers.iter().filter(takes).map(|offer| allocation(offer, pool)).sum();
            (Rationed::Supply, all_supply, allocated)
        }
        Mechanism::Auction | Mechanism::CommunityPrice if all_demand >= all_supply => {
            (Rationed::Demand, d[1], FineWh::of(all_supply.saturating_sub(d[0])))
        }
        Mechanism::Auction | Mechanism::CommunityPrice => {
            (Rationed::Supply, s[1], FineWh::of(all_demand.saturating_sub(s[0])))
        }
    };
    let ratio = remaining.0.checked_div(weight.0).map_or(0, |ratio| u32::try_from(ratio).unwrap_or(u32::MAX));
    let crumb = remaining.checked_sub(FineWh::share(weight, ratio)).unwrap_or_default();
    let of = |side: Rationed| if rationed == side { ratio } else { WHOLE };
    Clearing {
        tick,
        rationed,
        demand,
        supply,
        weight,
        remaining,
        ratio,
        crumb,
        buyers: ratios(rules.mechanism, cap, of(Rationed::Demand)),
        sellers: ratios(rules.mechanism, floor, of(Rationed::Supply)),
        pool,
    }
}

/// A buyer's part of a static key's pool: its key's share, at most what it takes.
fn allocation(offer: &Offer, pool: Wh) -> FineWh {
    FineWh::share(pool, offer.key).min(FineWh::of(offer.demand.wh))
}

impl Clearing {
    /// What a slot buys and sells locally.
    #[must_use]
    pub fn shares(&self, mechanism: Mechanism, offer: &Offer) -> [FineWh; 2] {
        let of = |standing: Standing, [better, at]: [u32; 2]| match standing {
            Standing::Better => better,
            Standing::At => at,
            Standing::Out => 0,
        };
        let buys = of(buyer(&offer.demand, self.tick), self.buyers);
        let bought = match mechanism {
            Mechanism::StaticKey if buys != 0 => allocation(offer, self.pool),
            Mechanism::Auction | Mechanism::CommunityPrice | Mechanism::StaticKey => {
                FineWh::share(offer.demand.wh, buys)
            }
        };
        let sells = of(seller(&offer.supply, self.tick), self.sellers);
        [bought, FineWh::share(offer.supply.wh, sells)]
    }
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod tests;
