//! The homes of a fleet: communities, what every meter measures, tariffs, and what happens.

use anyhow::{Context as _, ensure};
use gridveil_protocol::{
    community::Community, market::Mechanism, packet::Reading, params::Shape, tariff::Tariff, units::Interval,
};
use jiff::ToSpan;

use super::script::{self, Dice, Kills, Today};
use crate::{
    data,
    demo::scenario::{BALANCE, FIRST_DAY},
    genesis::{self, Plan},
    homes::{Days, Homes, INTERVAL_LENGTH},
    simulate::{CAPS_WH, SHAPE},
    time_of_use::{Split, TimeOfUse},
};

/// Supplier's pool of a community, nano: 5,000 currency units.
const SUPPLIER_ACCOUNT: u64 = 5_000_000_000_000;
/// Every eighth home has prepaid one currency unit: some of them come into debt.
const LOW_BALANCE: u64 = 1_000_000_000;
const LOW_EVERY: u16 = 8;
/// A home's readings are a measured home's, times 0.5 to 1.5.
const PERMILLE: (usize, usize) = (500, 1_001);

/// Where a home is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Community index.
    pub community: usize,
    /// Slot.
    pub slot: usize,
}

/// Everything about the homes that is known beforehand.
pub(super) struct Town {
    pub shape: Shape,
    pub days: usize,
    pub seed: u64,
    /// Communities, with their homes.
    pub plans: Vec<Plan>,
    /// By day.
    pub tariffs: Vec<Tariff>,
    /// When the sequencer is killed, by day.
    pub kills: Vec<Kills>,
    first_interval: Interval,
    /// By community, slot and day.
    script: Vec<Vec<Vec<Today>>>,
    /// By community and slot: one reading an interval, of all days.
    measured: Vec<Vec<Vec<Reading>>>,
}

impl Town {
    pub(super) fn new(homes: usize, days: usize, seed: u64, time_of_use: &TimeOfUse) -> anyhow::Result<Self> {
        let shape = Shape::by_name(SHAPE).context("the shape of homes is missing")?;
        let until = FIRST_DAY.checked_add(i64::try_from(days)?.days())?;
        let month = Homes::parse(data::MONTH, &time_of_use.zone, Days::Within(FIRST_DAY, until), None)?;
        ensure!(month.intervals() == days * shape.intervals, "{} hours in {days} days", month.intervals());
        let first_interval = month.first_interval;
        let day_start = |day: usize| anyhow::Ok(first_interval + u32::try_from(day * shape.intervals)?);
        let tariff = |day| {
            anyhow::Ok(time_of_use.tariff(&Split::default(), day_start(day)?, INTERVAL_LENGTH, shape.intervals)?)
        };
        let communities = homes.div_ceil(shape.members);
        let mut dice = Dice::new("fleet", seed);
        let (mut plans, mut script, mut measured) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 1u16;
        for community in 0..communities {
            // As even as can be: no community is nearly empty.
            let size = homes / communities + usize::from(community < homes % communities);
            let numbers: Vec<u16> = (next..).take(size).collect();
            next = next.saturating_add(u16::try_from(size)?);
            let readings = numbers.iter().map(|number| scaled(&month, *number, &mut dice)).collect::<Option<_>>();
            measured.push(readings.context("there is no measured home")?);
            script.push(script::community(size, days, &mut dice));
            plans.push(Plan {
                index: u32::try_from(community)?,
                shape,
                mechanism: Mechanism::Auction,
                interval_length: INTERVAL_LENGTH,
                first_interval,
                active_until: Interval::MAX,
                homes: numbers,
                balance: BALANCE,
                supplier_account: SUPPLIER_ACCOUNT,
                caps_wh: CAPS_WH,
                mdm: genesis::mdm_key().public(),
            });
        }
        Ok(Self {
            shape,
            days,
            seed,
            plans,
            tariffs: (0..days).map(tariff).collect::<anyhow::Result<_>>()?,
            kills: script::kills(days, homes, communities, &mut dice),
            first_interval,
            script,
            measured,
        })
    }

    /// The communities as they begin: every account is there, with what it has prepaid.
    pub(super) fn communities(&self) -> anyhow::Result<Vec<Community>> {
        let one = |plan: &Plan| {
            let mut community = plan.community()?;
            for (account, home) in community.accounts.iter_mut().zip(&plan.homes) {
                account.balance = prepaid(*home);
            }
            anyhow::Ok(community)
        };
        self.plans.iter().map(one).collect()
    }

    /// All homes, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let of = |(community, plan): (usize, &Plan)| {
            (0..plan.homes.len()).map(move |slot| Place { community, slot }).collect::<Vec<_>>()
        };
        self.plans.iter().enumerate().flat_map(of)
    }

    /// Number of a home: of its keys and limits.
    pub(super) fn number(&self, place: Place) -> u16 {
        self.plans.get(place.community).and_then(|plan| plan.homes.get(place.slot)).copied().unwrap_or(0)
    }

    /// First interval of a day.
    pub(super) fn first_interval(&self, day: usize) -> Interval {
        self.first_interval.saturating_add(u32::try_from(day * self.shape.intervals).unwrap_or(u32::MAX))
    }

    /// The day of a period.
    pub(super) fn day_of(&self, first_interval: Interval) -> Option<usize> {
        (0..self.days).find(|day| self.first_interval(*day) == first_interval)
    }

    pub(super) fn today(&self, place: Place, day: usize) -> Today {
        let of = self.script.get(place.community).and_then(|homes| homes.get(place.slot));
        of.and_then(|days| days.get(day)).copied().unwrap_or_default()
    }

    /// What a meter has measured on a day.
    pub(super) fn measured(&self, place: Place, day: usize) -> &[Reading] {
        let of = self.measured.get(place.community).and_then(|homes| homes.get(place.slot));
        let m = self.shape.intervals;
        of.and_then(|all| all.get(day * m..(day + 1) * m)).unwrap_or_default()
    }

    /// The meter data manager's estimate: the same home's day before, or the day after where there is none, within its caps.
    pub(super) fn estimate(&self, place: Place, day: usize) -> Vec<Reading> {
        let like = self.measured(place, day.checked_sub(1).unwrap_or(day + 1));
        let [import, export] = CAPS_WH;
        like.iter().map(|r| Reading { import: r.import.min(import), export: r.export.min(export) }).collect()
    }

    /// Steps that progress counts: every home on every day and at the end, every settlement.
    pub(super) fn steps(&self) -> u64 {
        let homes = self.places().count();
        (homes * (self.days + 1) + self.plans.len() * self.days) as u64
    }
}

/// What a home has prepaid, nano.
pub(super) const fn prepaid(home: u16) -> u64 {
    if home.is_multiple_of(LOW_EVERY) { LOW_BALANCE } else { BALANCE }
}

fn scaled(month: &Homes, number: u16, dice: &mut Dice) -> Option<Vec<Reading>> {
    let like = month.homes.get(usize::from(number) % month.homes.len().max(1))?;
    let (least, span) = PERMILLE;
    let permille = least + dice.below(span);
    let times = |units: u16| u16::try_from(usize::from(units) * permille / 1000).unwrap_or(u16::MAX);
    Some(like.readings.iter().map(|r| Reading { import: times(r.import), export: times(r.export) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_spread_evenly_and_follow_from_the_seed() {
        let time_of_use = TimeOfUse::parse(data::TARIFF).unwrap();
        let town = Town::new(70, 3, 5, &time_of_use).unwrap();
        assert_eq!(town.plans.iter().map(|plan| plan.homes.len()).collect::<Vec<_>>(), [24, 23, 23]);
        assert_eq!(town.places().map(|place| town.number(place)).collect::<Vec<_>>(), (1..=70).collect::<Vec<_>>());
        let place = Place { community: 1, slot: 3 };
        assert_eq!((town.measured(place, 2).len(), town.measured(place, 3).len()), (24, 0));
        let same = Town::new(70, 3, 5, &time_of_use).unwrap();
        let other = Town::new(70, 3, 6, &time_of_use).unwrap();
        assert!(town.measured == same.measured && town.script == same.script && town.kills == same.kills);
        assert!(town.measured != other.measured && town.script != other.script);
    }
}
