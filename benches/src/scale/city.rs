//! A simulated city: homes made from the measured days of `data/zne17-2017-05-05.csv`, one community at a time.
//!
//! A home is one of the 17 homes on one of the three days, its load and generation scaled, its clock shifted by up to
//! an hour, every quarter-hour perturbed, and a standby load added. All of it follows from the city's seed and the
//! home's number, so a run can be repeated; no two homes are the same. What the source has by the hour is spread evenly
//! over its quarter-hours before it is perturbed.

use anyhow::{Context as _, ensure};
use gridveil_protocol::{
    account::{Account, LeafSalts, Registers, Terms},
    community::Community,
    field::Fr,
    fixture::{Stream, mdm_key},
    header::{Header, Totals},
    market::Mechanism,
    packet::{Context, Packet, PacketSalts, Reading},
    params::{CERTIFICATES_DEPTH, NANO_PER_TICK, STATE_DEPTH, Shape},
    poseidon::{DomainTag, sponge},
    schnorr::SecretKey,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    tree::SparseTree,
    units::{Interval, Ticks},
};
use rayon::prelude::*;

/// The measured days, compiled in: a report never depends on the directory it is made in.
const DAYS: &str = include_str!("../../../data/zne17-2017-05-05.csv");
const HOURS: usize = 24;
/// Quarter-hours of a day.
pub const QUARTERS: usize = 96;
const QUARTER_S: u16 = 900;
/// Seconds of a day.
pub const DAY_S: u32 = 86_400;
/// Local midnight at the start of the first measured day, 2017-05-05T07:00Z, Unix seconds.
const MIDNIGHT_S: u32 = 1_493_967_600;
/// Prepaid by each home, nano: 1,000 currency units.
const BALANCE: u64 = 1_000_000_000_000;
/// Supplier's pool of a community, nano: 100,000 currency units.
const SUPPLIER_ACCOUNT: u64 = 100_000_000_000_000;
const SOLAR: u8 = 1;

/// Load and generation of one home on one day, Wh by the hour.
type Day = [[u32; 2]; HOURS];

/// The measured days, one entry a home and day.
#[derive(Debug)]
pub struct Profiles(Vec<Day>);

impl Profiles {
    /// Reads the compiled-in file.
    ///
    /// # Errors
    /// A file that is not three whole days of 17 homes.
    pub fn measured() -> anyhow::Result<Self> {
        let mut readings = Vec::new();
        for line in DAYS.lines().skip(1) {
            let mut columns = line.split(',').skip(3).map(str::parse::<u32>);
            let mut wh = || columns.next().context("a column is missing")?.context("not a number of Wh");
            readings.push([wh()?, wh()?]);
        }
        // Rows are by home, then by hour, and every home has whole days.
        let (days, rest) = readings.as_chunks::<HOURS>();
        ensure!(days.len() == 17 * 3 && rest.is_empty(), "expected three days of 17 homes");
        Ok(Self(days.to_vec()))
    }
}

/// A city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct City {
    /// Homes.
    pub homes: u32,
    /// Shape of its communities.
    pub shape: Shape,
    /// Everything random follows from it.
    pub seed: u32,
}

/// A home before its first period: its key and what its meter says.
#[derive(Debug)]
pub struct Home {
    /// The meter's key.
    pub key: SecretKey,
    /// Slot of its community.
    pub slot: u16,
    /// One reading an interval.
    pub readings: Vec<Reading>,
    /// Limits of the next period.
    pub limits: [Ticks; 2],
    /// Fresh salts.
    pub salts: PacketSalts,
}

impl Home {
    /// The unsigned packet.
    #[must_use]
    pub fn packet(&self, context: Context) -> Packet {
        let [buy_limit, sell_limit] = self.limits;
        let (readings, salts) = (self.readings.clone(), self.salts);
        Packet {
            context,
            slot: self.slot,
            readings,
            buy_limit,
            sell_limit,
            substituted: false,
            scale: 1,
            salts,
            previous_substitute: Fr::from(0u64),
        }
    }
}

impl City {
    /// Communities, the last one perhaps not full.
    #[must_use]
    pub fn communities(&self) -> u32 {
        self.homes.div_ceil(self.slots())
    }

    fn slots(&self) -> u32 {
        u32::try_from(self.shape.members).unwrap_or(u32::MAX)
    }

    /// Seconds of an interval: the shortest the protocol has for which a period is not longer than a day.
    #[must_use]
    pub fn interval_length(&self) -> u16 {
        match self.shape.intervals {
            96 => QUARTER_S,
            48 => 2 * QUARTER_S,
            _ => 4 * QUARTER_S,
        }
    }

    /// Settlements of one community a day.
    #[must_use]
    pub fn periods_per_day(&self) -> f64 {
        f64::from(DAY_S) / (f64::from(self.interval_length()) * self.shape.intervals as f64)
    }

    /// Communities the state tree has room for.
    #[must_use]
    pub fn capacity() -> u64 {
        SparseTree::new(STATE_DEPTH).capacity()
    }

    /// Homes of a community, by number.
    #[must_use]
    pub fn numbers(&self, community: u32) -> std::ops::Range<u32> {
        let first = community.saturating_mul(self.slots()).min(self.homes);
        first..first.saturating_add(self.slots()).min(self.homes)
    }

    pub(crate) fn first_interval(&self) -> Interval {
        Interval(MIDNIGHT_S / u32::from(self.interval_length()))
    }

    /// The homes of a community, on all threads.
    #[must_use]
    pub fn members(&self, profiles: &Profiles, community: u32) -> Vec<Home> {
        let numbers: Vec<u32> = self.numbers(community).collect();
        let make =
            |(slot, number): (usize, &u32)| self.home(profiles, *number, u16::try_from(slot).unwrap_or(u16::MAX));
        numbers.par_iter().enumerate().map(make).collect()
    }

    fn home(&self, profiles: &Profiles, number: u32, slot: u16) -> Home {
        let mut stream = Stream::new(u64::from(self.seed) << 32 | u64::from(number));
        let key = SecretKey::from_seed(&stream.bytes());
        let salts = PacketSalts::from_random(&stream.bytes());
        let quarters = quarters(profiles, &mut stream);
        let readings = self.readings(&quarters);
        // Buyers 0.09 to 0.19 and sellers 0.06 to 0.15 per kWh, so that some energy finds no match.
        let limit = |base: u64, step: u64, steps: u32| {
            u16::try_from(base + step * u64::from(number % steps)).map_or(Ticks::ZERO, Ticks)
        };
        Home { key, slot, readings, limits: [limit(900, 200, 6), limit(600, 150, 7)], salts }
    }

    /// Net readings of the period from quarter-hours of load and generation, Wh.
    fn readings(&self, quarters: &[[u32; 2]; QUARTERS]) -> Vec<Reading> {
        let net = |chunk: &[[u32; 2]]| {
            let [load, pv] = chunk.iter().fold([0, 0], |[load, pv], q| [load + q[0], pv + q[1]]);
            let wh = |wh: u32| u16::try_from(wh).unwrap_or(u16::MAX);
            Reading { import: wh(load.saturating_sub(pv)), export: wh(pv.saturating_sub(load)) }
        };
        quarters.chunks(usize::from(self.interval_length() / QUARTER_S)).take(self.shape.intervals).map(net).collect()
    }

    /// A community before its first period.
    ///
    /// # Errors
    /// A shape of more intervals than a header counts.
    pub fn community(&self, index: u32, homes: &[Home]) -> anyhow::Result<Community> {
        let shape = self.shape;
        let mut stream = Stream::new(u64::from(self.seed) << 32 | u64::from(u32::MAX - index));
        let mut pair = || [stream.element(), stream.element()];
        let mut salts: Vec<LeafSalts> =
            (0..shape.members).map(|_| LeafSalts { exit: pair(), private: pair() }).collect();
        let header_salts = pair();
        let used: Vec<Account> = homes
            .par_iter()
            .zip(salts.par_drain(..homes.len()))
            .map(|(home, salts)| self.account(home, salts))
            .collect();
        let accounts = used.into_iter().chain(salts.into_iter().map(Account::empty)).collect();
        let header = Header {
            mechanism: Mechanism::Auction,
            interval_length: self.interval_length(),
            intervals: u16::try_from(shape.intervals)?,
            mdm: mdm_key().public(),
            next_interval: self.first_interval(),
            supplier_account: SUPPLIER_ACCOUNT,
            fee_account: 0,
            reserve: 0,
            nonce: 0,
            totals: Totals::default(),
            certificate_count: 0,
            salts: header_salts,
        };
        Ok(Community { index, shape, header, accounts, certificates: SparseTree::new(CERTIFICATES_DEPTH) })
    }

    fn account(&self, home: &Home, salts: LeafSalts) -> Account {
        let meter = home.key.public();
        let (x, y) = meter.xy();
        Account {
            // An owner's key plays no part in a settlement: its commitment stands in.
            owner: sponge(DomainTag::Request, &[x, y]),
            meter: Some(meter),
            balance: BALANCE,
            payout: [0x22; 20],
            debt: 0,
            nonce: 0,
            terms: Terms {
                active_from: self.first_interval(),
                active_until: Interval::MAX,
                buy_limit: home.limits[0],
                sell_limit: home.limits[1],
                cap_import: u16::MAX,
                cap_export: u16::MAX,
                technology: SOLAR,
                scale: 1,
                class: u8::from(home.slot % 2 == 1),
            },
            registers: Registers::default(),
            pending_substitute: 0u64.into(),
            salts,
        }
    }

    /// Tariff of the period: the retail prices of `data/tou-two-season.json` on that day (0.50 from 16 to 21 h, else
    /// 0.21 per kWh), 40 % of them network fee, 40 % of that for the local network, 0.06 for energy fed in.
    #[must_use]
    pub fn tariff(&self) -> Tariff {
        let per_hour = 3600 / usize::from(self.interval_length());
        let entry = |interval: usize| {
            let retail: i32 = if (16..21).contains(&(interval / per_hour % HOURS)) { 500_000 } else { 210_000 };
            let network = retail / 1000 * 400;
            let (local_fee, feed_in) = (network / 1000 * 400, 60_000);
            let ticks = |nano: i32| u16::try_from(i64::from(nano) / NANO_PER_TICK).map_or(Ticks::MAX, Ticks);
            let (cap, floor) = (ticks(retail - local_fee), ticks(feed_in));
            let prices = ClassPrices { energy: retail - network, network, feed_in, local_fee };
            IntervalTariff { classes: [prices; 2], cap, floor, reference: floor.midpoint(cap) }
        };
        Tariff { intervals: (0..self.shape.intervals).map(entry).collect() }
    }
}

/// Load and generation of one home, Wh by the quarter-hour.
fn quarters(profiles: &Profiles, stream: &mut Stream) -> [[u32; 2]; QUARTERS] {
    let mut number = |base: u64, spread: u64| base + stream.below(spread);
    let choice = usize::try_from(number(0, profiles.0.len() as u64)).unwrap_or(0);
    let day = profiles.0.get(choice).copied().unwrap_or([[0; 2]; HOURS]);
    let (load_permille, pv_permille) = (number(500, 1001), number(600, 901));
    // Four quarter-hours early to four late.
    let shift = usize::try_from(number(0, 9)).unwrap_or(0) + QUARTERS - 4;
    let standby = number(5, 20);
    std::array::from_fn(|quarter| {
        let [load, pv] = day.get((quarter + shift) % QUARTERS / 4).copied().unwrap_or_default().map(u64::from);
        let load = load * load_permille * number(800, 401) / 4_000_000 + standby + number(0, 16);
        let pv = pv * pv_permille * number(900, 201) / 4_000_000;
        [load, pv].map(|wh| u32::try_from(wh).unwrap_or(u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn city(shape: &str, homes: u32) -> City {
        City { homes, shape: Shape::by_name(shape).unwrap(), seed: 1 }
    }

    #[test]
    fn no_two_homes_are_the_same_and_each_is_made_again_alike() {
        let (profiles, city) = (Profiles::measured().unwrap(), city("district-128x96", 2000));
        let days = |c: City| -> Vec<Vec<(u16, u16)>> {
            let homes = (0..c.communities()).flat_map(|i| c.members(&profiles, i));
            homes.map(|home| home.readings.iter().map(|r| (r.import, r.export)).collect()).collect()
        };
        let first = days(city);
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 2000);
        assert_eq!(days(city), first);
        assert_ne!(days(City { seed: 2, ..city }), first, "another seed, another city");
        // Homes of the size they are made from: 17 homes of about 20 kWh a day.
        let import: u64 = first.iter().flatten().map(|r| u64::from(r.0)).sum();
        assert!((5_000..40_000).contains(&(import / 2000)), "{} Wh a home", import / 2000);
        assert!(first.iter().flatten().any(|r| r.1 > 0) && first.iter().flatten().all(|r| r.0 == 0 || r.1 == 0));
    }

    #[test]
    fn the_last_community_holds_the_rest() {
        let city = city("home-32x24", 70);
        assert_eq!(
            (city.communities(), city.numbers(0), city.numbers(2), city.numbers(3).len()),
            (3, 0..32, 64..70, 0)
        );
        let homes = city.members(&Profiles::measured().unwrap(), 2);
        let community = city.community(2, &homes).unwrap();
        assert_eq!((homes.len(), community.accounts.len()), (6, 32));
        assert_eq!(community.accounts.iter().filter(|a| a.meter.is_some()).count(), 6);
        assert_eq!((homes[0].readings.len(), city.tariff().intervals.len()), (24, 24));
    }

    #[test]
    fn a_period_is_at_most_a_day() {
        for (shape, periods) in [("tiny-4x2", 12.0), ("home-32x24", 1.0), ("district-128x96", 1.0)] {
            assert!((city(shape, 1).periods_per_day() - periods).abs() < 1e-12, "{shape}");
        }
    }
}
