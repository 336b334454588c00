//! What must come of a fleet's days, computed from what the meters measured and from who was late: by arithmetic of this file,
//! which shares nothing with the protocol's but the tariff.

mod market;

use gridveil_protocol::{
    market::Mechanism,
    packet::Reading,
    params::NANO_PER_TICK,
    tariff::{ClassPrices, IntervalTariff},
};

use self::market::{Order, clear};
use super::{
    script::Sending,
    town::{Place, Town, prepaid},
};
use crate::genesis::Limits;

/// A wrong expectation, for tests of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Miscount {
    /// A packet of the first day is counted twice.
    Twice,
    /// A packet of the first day is not counted.
    Lost,
    /// A late packet is not booked.
    Correction,
}

/// An account, by this file's sums: Wh and nano.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Balance, less debt.
    pub value: i128,
    pub import: i128,
    pub export: i128,
    pub bought: i128,
    pub sold: i128,
}

impl Account {
    const fn debt(&self) -> i128 {
        if self.value < 0 { -self.value } else { 0 }
    }
}

/// A community after its days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Community {
    /// By slot.
    pub accounts: Vec<Account>,
    /// Nano.
    pub supplier: i128,
    /// Nano.
    pub fees: i128,
}

impl Community {
    /// All its money, nano.
    pub(super) fn funds(&self) -> i128 {
        self.supplier + self.fees + self.accounts.iter().map(|account| account.value.max(0)).sum::<i128>()
    }
}

/// Late packets that a day's settlement books, by day: the slot, and the day that the packet is of. When is the operator's
/// choice; how much is not.
pub(super) type Booked = Vec<Vec<(usize, usize)>>;

/// A community before its first day.
pub(super) fn beginning(town: &Town, community: usize) -> Community {
    let plan = town.plans.get(community);
    let homes = plan.map(|plan| plan.homes.as_slice()).unwrap_or_default();
    let account = |home: &u16| Account { value: prepaid(*home).into(), ..Account::default() };
    let supplier = plan.map_or(0, |plan| plan.supplier_account).into();
    Community { accounts: homes.iter().map(account).collect(), supplier, fees: 0 }
}

/// A community after all days.
pub(super) fn community(town: &Town, index: usize, booked: &Booked, miscount: Option<Miscount>) -> Community {
    let mut after = beginning(town, index);
    let mut skip = index == 0 && miscount == Some(Miscount::Correction);
    for day in 0..town.days {
        settle(town, index, day, &mut after, miscount.filter(|_| day == 0 && index == 0));
        for (slot, of_day) in booked.get(day).into_iter().flatten() {
            if skip {
                skip = false;
                continue;
            }
            correct(town, Place { community: index, slot: *slot }, *of_day, &mut after);
        }
    }
    after
}

/// The packet that counts on a day, and whether it is the meter's.
fn counts(town: &Town, place: Place, day: usize) -> (Vec<Reading>, bool) {
    match town.today(place, day).sending {
        Sending::InTime => (town.measured(place, day).to_vec(), true),
        Sending::Late | Sending::Never => (town.estimate(place, day), false),
    }
}

fn settle(town: &Town, index: usize, day: usize, after: &mut Community, miscount: Option<Miscount>) {
    let debts = |community: &Community| community.accounts.iter().map(Account::debt).sum::<i128>();
    let debt_before = debts(after);
    let packets: Vec<(Vec<Reading>, bool)> =
        (0..after.accounts.len()).map(|slot| counts(town, Place { community: index, slot }, day)).collect();
    let odd = miscount.and_then(|_| packets.iter().position(|(_, metered)| *metered));
    let in_debt: Vec<bool> = after.accounts.iter().map(|account| account.value < 0).collect();
    let intervals = town.tariffs.get(day).map(|tariff| tariff.intervals.as_slice()).unwrap_or_default();
    for (at, tariff) in intervals.iter().enumerate() {
        let orders: Vec<Order> = (0..packets.len())
            .map(|slot| order(town, Place { community: index, slot }, &packets, at, tariff, &in_debt))
            .collect();
        let (tick, trades) = clear(&orders);
        let prices = tariff.classes.first().copied().unwrap_or_default();
        for (slot, ((order, [bought, sold]), account)) in orders.iter().zip(trades).zip(&mut after.accounts).enumerate()
        {
            let times = match miscount.filter(|_| odd == Some(slot)) {
                Some(Miscount::Twice) => 2,
                Some(Miscount::Lost) => 0,
                Some(Miscount::Correction) | None => 1,
            };
            for _ in 0..times {
                let energy = [order.import, order.export, bought, sold].map(i128::from);
                let [supply, fees] = book(account, energy, &prices, i128::from(tick) * i128::from(NANO_PER_TICK));
                after.supplier += supply;
                after.fees += fees;
            }
        }
    }
    after.supplier -= debts(after) - debt_before;
}

fn order(
    town: &Town,
    place: Place,
    packets: &[(Vec<Reading>, bool)],
    at: usize,
    tariff: &IntervalTariff,
    in_debt: &[bool],
) -> Order {
    let limits = Limits::of(town.number(place), Mechanism::Auction);
    let Some((readings, metered)) = packets.get(place.slot) else { return Order::default() };
    let reading = readings.get(at).copied().unwrap_or_default();
    let owes = in_debt.get(place.slot).copied().unwrap_or_default();
    Order {
        import: reading.import.into(),
        export: reading.export.into(),
        buy: (*metered && !owes).then(|| limits.buy.0.min(tariff.cap.0)),
        sell: metered.then(|| limits.sell.0.max(tariff.floor.0)),
    }
}

/// Books one interval; gives what the supplier and the fee account get.
fn book(account: &mut Account, energy: [i128; 4], prices: &ClassPrices, local: i128) -> [i128; 2] {
    let [import, export, bought, sold] = energy;
    let price = |price: i32| i128::from(price);
    let (from_supplier, to_supplier) = (import - bought, export - sold);
    let supply = from_supplier * price(prices.energy) - to_supplier * price(prices.feed_in);
    let fees = from_supplier * price(prices.network) + bought * price(prices.local_fee);
    account.value += (sold - bought) * local - supply - fees;
    account.import += import;
    account.export += export;
    account.bought += bought;
    account.sold += sold;
    [supply, fees]
}

/// The meter's own day in the substitute's place: nothing of it trades.
fn correct(town: &Town, place: Place, day: usize, after: &mut Community) {
    let Some(account) = after.accounts.get_mut(place.slot) else { return };
    let debt_before = account.debt();
    let (late, substitute) = (town.measured(place, day).to_vec(), town.estimate(place, day));
    let intervals = town.tariffs.get(day).map(|tariff| tariff.intervals.as_slice()).unwrap_or_default();
    for ((late, substitute), tariff) in late.iter().zip(&substitute).zip(intervals) {
        let more = |late: u16, substitute: u16| i128::from(late) - i128::from(substitute);
        let energy = [more(late.import, substitute.import), more(late.export, substitute.export), 0, 0];
        let prices = tariff.classes.first().copied().unwrap_or_default();
        let [supply, fees] = book(account, energy, &prices, 0);
        after.supplier += supply;
        after.fees += fees;
    }
    after.supplier -= account.debt() - debt_before;
}

#[cfg(test)]
mod tests;
