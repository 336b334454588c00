//! What the demonstration settles: a month of 17 real homes in one community, and on which day something else happens.
//!
//! The first week by auction, the rest at the community price: the meter data manager changes the mechanism (HEADER.4).

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
    genesis::{self, Limits, Plan},
    homes::{Days, Home, Homes, INTERVAL_LENGTH},
    packets::HomeDay,
    simulate::{CAPS_WH, SHAPE},
    time_of_use::{Split, TimeOfUse},
};

/// First local day.
pub const FIRST_DAY: Date = jiff::civil::date(2017, 5, 1);
/// Settled days, if not fewer are asked for.
pub const DAYS: usize = 31;
/// Fewest days in which everything happens.
pub const FEWEST_DAYS: usize = 8;
/// Prepaid by each home, nano: 100 currency units.
pub const BALANCE: u64 = 100_000_000_000;
/// Supplier's pool, nano: 500 currency units.
pub const SUPPLIER_ACCOUNT: u64 = 500_000_000_000;
/// Tariff set of the communities on L1.
pub const TARIFF_SET: u32 = 1;
/// The community of the homes.
pub const COMMUNITY: u32 = 0;
/// Another community, of one member without a meter reading.
pub const NEIGHBOUR: u32 = 1;
/// Number of the neighbour's only home.
pub const NEIGHBOUR_HOME: u16 = 101;

/// What happens beside settling, by home and day (from 0).
pub mod events {
    /// A home whose meter is silent, and the days, one after the other.
    pub const SILENT: (u16, [usize; 2]) = (9, [1, 2]);
    /// The late packets of [`SILENT`] arrive: one is booked on this day, the other one on the next.
    pub const LATE_DAY: usize = 3;
    /// A home that is paid out some of its balance.
    pub const WITHDRAWS: (u16, usize) = (1, 3);
    /// A public retirement of a day's certificates: the home, the day on which it retires them, the day they are of.
    pub const RETIRES: (u16, usize, usize) = (2, 3, 0);
    /// The same, sealed.
    pub const RETIRES_SEALED: (u16, usize, usize) = (3, 3, 0);
    /// Transfers certificates to the neighbour, who retires them when they are in the state.
    pub const TRANSFERS: (u16, usize, usize) = (5, 3, 0);
    /// The neighbour has them by this day.
    pub const NEIGHBOUR_RETIRES: usize = 5;
    /// Asks L1 for its money, and is served.
    pub const FORCES: (u16, usize) = (4, 4);
    /// The mechanism changes after this day.
    pub const SWITCH_DAY: usize = 6;
    /// Asks L1 for its money when nobody serves any more.
    pub const FORCES_AT_THE_END: u16 = 6;
    /// Has a deposit on L1 that nobody takes in.
    pub const DEPOSITS_AT_THE_END: u16 = 8;
}

/// One settled period.
#[derive(Clone, Debug)]
pub struct Day {
    /// Number, from 0.
    pub number: usize,
    /// Local day.
    pub date: Date,
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
    /// Sum over hours of the smaller of total import and total export of metered homes: the most local trade can be,
    /// Wh.
    #[must_use]
    pub fn matchable_wh(&self) -> Wh {
        let trading = || self.homes.iter().filter(|day| !day.substituted);
        let hour = |t: usize| {
            let readings = trading().filter_map(|day| day.readings.get(t));
            let (import, export) = readings
                .fold((Wh::ZERO, Wh::ZERO), |(i, e), r| (i + Wh::of_units(r.import, 1), e + Wh::of_units(r.export, 1)));
            import.min(export)
        };
        (0..self.tariff.intervals.len()).map(hour).sum()
    }

    /// What a home's own meter has signed; `None` where the meter data manager substituted.
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
    /// The homes' community, with its accounts as they are when all deposits are in.
    pub plan: Plan,
    /// What the periods before the first day start with: `m` intervals earlier.
    pub beginning: Interval,
    /// Tariff of that period.
    pub beginning_tariff: Tariff,
    /// Days in the order of settlement.
    pub days: Vec<Day>,
}

impl Scenario {
    /// The demonstration over `days` days, from the content of a file of readings.
    ///
    /// # Errors
    /// Data, tariff, too few hours or days.
    pub fn parse(readings: &[u8], time_of_use: &TimeOfUse, days: usize) -> anyhow::Result<Self> {
        anyhow::ensure!((FEWEST_DAYS..=DAYS).contains(&days), "{days} days; the story takes {FEWEST_DAYS} to {DAYS}");
        let until = FIRST_DAY.checked_add(i64::try_from(days)?.days())?;
        let homes = Homes::parse(readings, &time_of_use.zone, Days::Within(FIRST_DAY, until), None)?;
        Self::of(&homes, time_of_use, days)
    }

    /// The demonstration, from readings.
    ///
    /// # Errors
    /// As [`Scenario::parse`].
    pub fn of(homes: &Homes, time_of_use: &TimeOfUse, days: usize) -> anyhow::Result<Self> {
        let shape = Shape::by_name(SHAPE).context("the shape of homes is missing")?;
        let m = shape.intervals;
        anyhow::ensure!(homes.intervals() == days * m, "{} hours instead of {}", homes.intervals(), days * m);
        let names: Vec<u16> = homes.homes.iter().map(|home| home.number).collect();
        let day_start = |day: usize| homes.first_interval + u32::try_from(day * m).unwrap_or(u32::MAX);
        let plan = Plan {
            index: COMMUNITY,
            shape,
            mechanism: Mechanism::Auction,
            interval_length: INTERVAL_LENGTH,
            first_interval: day_start(0),
            active_until: Interval::MAX,
            homes: names,
            balance: BALANCE,
            supplier_account: SUPPLIER_ACCOUNT,
            caps_wh: CAPS_WH,
            mdm: genesis::mdm_key().public(),
        };
        let beginning = day_start(0) - u32::try_from(m)?;
        let day = |number: usize| {
            let hours = |readings: &Vec<Reading>, day: usize| {
                readings.iter().skip(day * m).take(m).copied().collect::<Vec<_>>()
            };
            let settled = |Home { number: home, readings, .. }: &Home| {
                let (silent, [first, _]) = events::SILENT;
                if *home == silent && events::SILENT.1.contains(&number) {
                    // The usual estimate: the last day that the same home's meter spoke of.
                    HomeDay::substitute(&hours(readings, first - 1), CAPS_WH)
                } else {
                    HomeDay::metered(hours(readings, number))
                }
            };
            anyhow::Ok(Day {
                number,
                date: FIRST_DAY.checked_add(i64::try_from(number)?.days())?,
                first_interval: day_start(number),
                tariff: time_of_use.tariff(&Split::default(), day_start(number), INTERVAL_LENGTH, m)?,
                measured: homes.homes.iter().map(|home| hours(&home.readings, number)).collect(),
                homes: homes.homes.iter().map(settled).collect(),
            })
        };
        let beginning_tariff = time_of_use.tariff(&Split::default(), beginning, INTERVAL_LENGTH, m)?;
        let days = (0..days).map(day).collect::<Result<_, _>>()?;
        Ok(Self { currency: time_of_use.currency.clone(), plan, beginning, beginning_tariff, days })
    }

    /// The clearing rule of a day.
    #[must_use]
    pub const fn mechanism(day: usize) -> Mechanism {
        if day <= events::SWITCH_DAY { Mechanism::Auction } else { Mechanism::CommunityPrice }
    }

    /// The order limits that a home's packet of `day` names: those of the next day.
    #[must_use]
    pub const fn limits(home: u16, day: usize) -> Limits {
        Limits::of(home, Self::mechanism(day + 1))
    }

    /// Slot of a home.
    ///
    /// # Errors
    /// A home that is not there.
    pub fn slot(&self, home: u16) -> anyhow::Result<usize> {
        self.plan.homes.iter().position(|h| *h == home).with_context(|| format!("no home {home}"))
    }

    /// Steps a progress bar counts: start; for each day meters, settlement, statements; what follows the last day;
    /// audit.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let homes: usize = self.days.iter().map(|day| 2 * day.homes.len() + 2).sum();
        homes as u64 + 2
    }
}
