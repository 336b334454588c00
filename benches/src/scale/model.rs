//! The arithmetic of the extrapolation. Pure: figures in, figures out (`docs/scale.md` has the formulas in words).

/// Seconds of a day.
pub const DAY_S: f64 = 86_400.0;
/// Days of a year.
pub const DAYS: f64 = 365.0;
/// Assumed: seconds between L1 blocks.
pub const L1_BLOCK_S: f64 = 12.0;
/// Assumed: gas of one L1 block.
pub const L1_BLOCK_GAS: f64 = 60_000_000.0;

/// Cost of one community and period, and the prices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Homes of a full community.
    pub homes: f64,
    /// Settlements a day.
    pub periods_per_day: f64,
    /// Sequencer, s of wall clock.
    pub sequencer_s: f64,
    /// Prover, s of wall clock.
    pub prove_s: f64,
    /// Gas of the settling transaction, if it was measured.
    pub gas: Option<f64>,
    /// Log, bytes.
    pub log_bytes: f64,
}

/// Assumed prices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Euro of one ether.
    pub eth_eur: f64,
    /// Euro of one proving machine and hour.
    pub machine_hour_eur: f64,
}

/// A city of some size, by day and by year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// Proofs, and settling transactions, a day.
    pub proofs_per_day: f64,
    /// Machine hours of proving a day.
    pub proving_hours: f64,
    /// Proving machines that finish a day's proofs in a day, at least one.
    pub machines: f64,
    /// Hours of one sequencer a day.
    pub sequencer_hours: f64,
    /// Gas a day.
    pub gas_per_day: Option<f64>,
    /// Part of all L1 gas of a day.
    pub l1_share: Option<f64>,
    /// Log, bytes a year.
    pub log_bytes_per_year: f64,
    /// Proving, euro by home and year.
    pub machine_eur: f64,
}

impl Unit {
    /// A city of `homes`.
    #[must_use]
    pub fn project(&self, homes: f64, prices: &Prices) -> Projection {
        let proofs_per_day = (homes / self.homes).ceil() * self.periods_per_day;
        let proving_hours = proofs_per_day * self.prove_s / 3600.0;
        let gas_per_day = self.gas.map(|gas| gas * proofs_per_day);
        Projection {
            proofs_per_day,
            proving_hours,
            machines: (proving_hours / 24.0).ceil().max(1.0),
            sequencer_hours: proofs_per_day * self.sequencer_s / 3600.0,
            gas_per_day,
            l1_share: gas_per_day.map(|gas| gas / (L1_BLOCK_GAS * DAY_S / L1_BLOCK_S)),
            log_bytes_per_year: self.log_bytes * proofs_per_day * DAYS,
            machine_eur: proving_hours * DAYS * prices.machine_hour_eur / homes,
        }
    }

    /// Euro by home and year for L1 gas at `gwei`.
    #[must_use]
    pub fn gas_eur(&self, homes: f64, gwei: f64, prices: &Prices) -> Option<f64> {
        Some(self.project(homes, prices).gas_per_day? * DAYS * gwei * 1e-9 * prices.eth_eur / homes)
    }

    /// Proving machines that one sequencer keeps busy.
    #[must_use]
    pub fn machines_fed(&self) -> f64 {
        (self.prove_s / self.sequencer_s).floor()
    }

    /// Homes at which one sequencer has no second of a day left.
    #[must_use]
    pub fn sequencer_limit(&self) -> f64 {
        (DAY_S / (self.sequencer_s * self.periods_per_day)).floor() * self.homes
    }

    /// Homes at which settling one batch a block, in order, takes the whole day.
    #[must_use]
    pub fn settling_limit(&self) -> f64 {
        (DAY_S / L1_BLOCK_S / self.periods_per_day).floor() * self.homes
    }

    /// Homes at which all L1 gas is used.
    #[must_use]
    pub fn gas_limit(&self) -> Option<f64> {
        Some((L1_BLOCK_GAS * DAY_S / L1_BLOCK_S / (self.gas? * self.periods_per_day)).floor() * self.homes)
    }

    /// Homes of a state tree with room for `communities`.
    #[must_use]
    pub fn tree_limit(&self, communities: f64) -> f64 {
        communities * self.homes
    }

    /// Deployments a city of `homes` needs, where a state tree has room for `communities`.
    #[must_use]
    pub fn deployments(&self, homes: f64, communities: f64) -> f64 {
        let limits = [self.sequencer_limit(), self.settling_limit(), self.tree_limit(communities)];
        (homes / limits.into_iter().fold(f64::INFINITY, f64::min)).ceil()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Unit = Unit {
        homes: 100.0,
        periods_per_day: 1.0,
        sequencer_s: 0.5,
        prove_s: 20.0,
        gas: Some(800_000.0),
        log_bytes: 1_000_000.0,
    };
    const PRICES: Prices = Prices { eth_eur: 2500.0, machine_hour_eur: 0.1 };

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn a_city_by_hand() {
        // 1,000,000 homes are 10,000 communities: 10,000 proofs of 20 s are 55.6 hours, so three machines.
        let p = UNIT.project(1e6, &PRICES);
        assert!(
            close(p.proofs_per_day, 10_000.0) && close(p.proving_hours, 200_000.0 / 3600.0) && close(p.machines, 3.0)
        );
        assert!(close(p.sequencer_hours, 5000.0 / 3600.0));
        // 8e9 gas a day of 7,200 blocks of 60e6.
        assert!(close(p.gas_per_day.unwrap(), 8e9) && close(p.l1_share.unwrap(), 8e9 / 432e9));
        assert!(close(p.log_bytes_per_year, 3.65e12));
        assert!(close(p.machine_eur, 200_000.0 / 3600.0 * 365.0 * 0.1 / 1e6));
        // 8,000 gas a home and day at 1 gwei and 2,500 euro: 0.02 euro a day.
        assert!(close(UNIT.gas_eur(1e6, 1.0, &PRICES).unwrap(), 7.3));
        assert!(close(UNIT.gas_eur(1e6, 0.01, &PRICES).unwrap(), 0.073));
    }

    #[test]
    fn a_city_that_does_not_fill_its_last_community_pays_for_it() {
        assert!(close(UNIT.project(101.0, &PRICES).proofs_per_day, 2.0));
        assert!(close(UNIT.project(1.0, &PRICES).machines, 1.0));
        let hourly = Unit { periods_per_day: 12.0, ..UNIT };
        assert!(close(hourly.project(101.0, &PRICES).proofs_per_day, 24.0));
    }

    #[test]
    fn limits_by_hand() {
        assert!(close(UNIT.machines_fed(), 40.0));
        assert!(close(UNIT.sequencer_limit(), 17_280_000.0));
        assert!(close(UNIT.settling_limit(), 720_000.0));
        assert!(close(UNIT.gas_limit().unwrap(), 540_000.0 * 100.0));
        assert!(close(UNIT.tree_limit(65_536.0), 6_553_600.0));
    }

    #[test]
    fn the_smallest_limit_says_how_many_deployments() {
        // Settling in order: 720,000 homes.
        assert!(close(UNIT.deployments(1e6, 65_536.0), 2.0));
        assert!(close(UNIT.deployments(1e6, 100.0), 100.0));
        assert!(close(UNIT.deployments(5.0, 100.0), 1.0));
    }

    #[test]
    fn without_gas_there_is_no_price_of_gas() {
        let unmeasured = Unit { gas: None, ..UNIT };
        let p = unmeasured.project(1e6, &PRICES);
        assert_eq!(
            (p.gas_per_day, p.l1_share, unmeasured.gas_eur(1e6, 1.0, &PRICES), unmeasured.gas_limit()),
            (None, None, None, None)
        );
    }
}
