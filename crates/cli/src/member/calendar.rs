//! When an interval is, by the length that its community has on L1.

use std::collections::BTreeMap;

use anyhow::Context as _;
use gridveil_meter_client::{calendar::Periods, cli::LocalArgs};
use gridveil_protocol::units::Interval;

use crate::common::chain::Chain;

/// Asks for each community once.
pub(super) struct Calendar<'a> {
    chain: &'a Chain,
    local: &'a LocalArgs,
    lengths_s: BTreeMap<u32, u16>,
}

impl<'a> Calendar<'a> {
    pub(super) const fn new(chain: &'a Chain, local: &'a LocalArgs) -> Self {
        Self { chain, local, lengths_s: BTreeMap::new() }
    }

    /// Seconds of an interval.
    fn length_s(&mut self, community: u32) -> anyhow::Result<u16> {
        if let Some(length_s) = self.lengths_s.get(&community) {
            return Ok(*length_s);
        }
        let params = self.chain.wait(self.chain.client().community(community))?;
        let length_s = params.with_context(|| format!("L1 does not know community {community}"))?.interval_length_s;
        self.lengths_s.insert(community, length_s);
        Ok(length_s)
    }

    /// When a period of a community is.
    pub(super) fn span(&mut self, community: u32, first: Interval, intervals: u16) -> anyhow::Result<String> {
        Ok(self.periods(community, intervals)?.span(first))
    }

    /// When an interval of a community begins.
    pub(super) fn begins(&mut self, community: u32, interval: Interval) -> anyhow::Result<String> {
        Ok(self.periods(community, 1)?.begins(interval))
    }

    fn periods(&mut self, community: u32, intervals: u16) -> anyhow::Result<Periods> {
        Ok(Periods::new(None, intervals, self.length_s(community)?, self.local.zone.clone()))
    }
}
