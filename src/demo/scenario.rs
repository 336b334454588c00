//! What the demonstration settles.
//!
//! Version 1 has no header operations, so a community keeps its mechanism. The homes therefore move: community 0 settles the first two
//! days by auction and its accounts end with them; community 1 begins with the third day and settles it at the community price. One meter
//! is active in one slot at a time, by the accounts' own windows (SETTLE.2).

use std::path::Path;

use anyhow::Context as _;
use gridveil_protocol::{
    market::Mechanism,
    packet::Reading,
    params::Shape,
    tariff::Tariff,
    units::{Interval, Wh},
};
use jiff::{ToSpan, civil::Date};

use crate::{
    genesis::{self, Plan},
    homes::{Homes, INTERVAL_LENGTH},
    packets::HomeDay,
    simulate::{CAPS_WH, SHAPE},
    tou::{Split, TimeOfUse},
};

/// First local day.
pub const FIRST_DAY: Date = jiff::civil::date(2017, 5, 5);
/// Settled days.
pub const DAYS: usize = 3;
/// The home whose meter is silent, and the day (from 0).
pub const SILENT: (u16, usize) = (9, 1);
/// Prepaid by each home in each community, nano: 100 currency units.
const BALANCE: u64 = 100_000_000_000;
/// Supplier's pool in each community, nano: 500 currency units.
const FLOAT: u64 = 500_000_000_000;
/// Tariff set of both communities on L1.
pub const TARIFF_SET: u32 = 1;

/// One settled period.
#[derive(Clone, Debug)]
pub struct Day {
    /// Local day.
    pub date: Date,
    /// Community that settles it.
    pub community: u32,
    /// Its first interval.
    pub first_interval: Interval,
    /// Tariff of the period.
    pub tariff: Tariff,
    /// What each home's meter has measured, in the order of [`Plan::homes`].
    pub measured: Vec<Vec<Reading>>,
    /// What is settled: measured, or substituted.
    pub homes: Vec<HomeDay>,
}

impl Day {
    /// Sum over hours of the smaller of total import and total export of metered homes: the most local trade can be, Wh.
    #[must_use]
    pub fn matchable_wh(&self) -> Wh {
        let trading = || self.homes.iter().filter(|day| !day.substituted);
        let hour = |t: usize| {
            let readings = trading().filter_map(|day| day.readings.get(t));
            let (import, export) = readings.fold((0, 0), |(i, e), r| (i + Wh::from(r.import), e + Wh::from(r.export)));
            import.min(export)
        };
        (0..self.tariff.intervals.len()).map(hour).sum()
    }

    /// What a home's own meter has signed; `None` where the manager substituted.
    #[must_use]
    pub fn own(&self, slot: usize) -> Option<&[Reading]> {
        self.homes.get(slot).filter(|day| !day.substituted).map(|day| day.readings.as_slice())
    }
}

/// Communities and days.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Currency of the tariff.
    pub currency: String,
    /// Communities, by index.
    pub communities: Vec<Plan>,
    /// Days in the order of settlement.
    pub days: Vec<Day>,
}

impl Scenario {
    /// The demonstration, from a file of readings.
    ///
    /// # Errors
    /// Data, tariff, or too few hours.
    pub fn read(path: &Path, tou: &TimeOfUse) -> anyhow::Result<Self> {
        let until = FIRST_DAY.checked_add(i64::try_from(DAYS)?.days())?;
        Self::of(&Homes::read(path, &tou.zone, FIRST_DAY, until)?, tou)
    }

    /// The demonstration, from readings.
    ///
    /// # Errors
    /// As [`Scenario::read`].
    pub fn of(homes: &Homes, tou: &TimeOfUse) -> anyhow::Result<Self> {
        let shape = Shape::by_name(SHAPE).context("the shape of homes is missing")?;
        let m = shape.intervals;
        anyhow::ensure!(homes.hours() == DAYS * m, "{} hours instead of {}", homes.hours(), DAYS * m);
        let names: Vec<u16> = homes.series.iter().map(|(home, _)| *home).collect();
        let day_start = |day: usize| homes.first_interval + u32::try_from(day * m).unwrap_or(u32::MAX);
        let plan = |index: u32, mechanism, first_day: usize, end: usize| Plan {
            index,
            shape,
            mechanism,
            interval_length: INTERVAL_LENGTH,
            first_interval: day_start(first_day),
            active_until: day_start(end),
            homes: names.clone(),
            balance: BALANCE,
            float: FLOAT,
            caps_wh: CAPS_WH,
            manager: genesis::manager_key().public(),
        };
        let communities = vec![plan(0, Mechanism::Auction, 0, DAYS - 1), plan(1, Mechanism::CommunityPrice, DAYS - 1, DAYS)];
        let day = |number: usize| {
            let hours = |readings: &Vec<Reading>, day: usize| readings.iter().skip(day * m).take(m).copied().collect::<Vec<_>>();
            let settled = |(home, readings): &(u16, Vec<Reading>)| {
                if (*home, number) == SILENT {
                    // The usual estimate: the same home's day before.
                    HomeDay::substitute(&hours(readings, number - 1), CAPS_WH)
                } else {
                    HomeDay::metered(hours(readings, number))
                }
            };
            anyhow::Ok(Day {
                date: FIRST_DAY.checked_add(i64::try_from(number)?.days())?,
                community: u32::from(number == DAYS - 1),
                first_interval: day_start(number),
                tariff: tou.tariff(&Split::default(), day_start(number), INTERVAL_LENGTH, m)?,
                measured: homes.series.iter().map(|(_, readings)| hours(readings, number)).collect(),
                homes: homes.series.iter().map(settled).collect(),
            })
        };
        let days = (0..DAYS).map(day).collect::<Result<_, _>>()?;
        Ok(Self { currency: tou.currency.clone(), communities, days })
    }

    /// The community that settles a day.
    ///
    /// # Errors
    /// A day of no community.
    pub fn plan(&self, day: &Day) -> anyhow::Result<&Plan> {
        self.communities.iter().find(|plan| plan.index == day.community).context("a day of no community")
    }

    /// Steps a progress bar counts: start; for each day meters, settlement, statements; audit.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let homes: usize = self.days.iter().map(|day| 2 * day.homes.len() + 2).sum();
        homes as u64 + 2
    }
}
