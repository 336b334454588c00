//! The periods that L1 has settled, to be opened one by one or all.

use gridveil_protocol::units::Interval;
use gridveil_verifier_contract::Word;

use super::Published;
use crate::certificates::{RetiredPeriod, info};

/// A settled period of a community, and what everybody knows of its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Community.
    pub community: u32,
    /// First interval.
    pub first_interval: Interval,
    /// Its batch.
    pub batch: u64,
    /// Unix seconds of its start.
    pub begins_s: u64,
    /// Unix seconds of its end.
    pub ends_s: u64,
    /// Its public retirements.
    pub retired: RetiredPeriod,
}

impl Period {
    /// Is this the origin that a retirement or holding discloses?
    #[must_use]
    pub fn has_disclosed(&self, disclosed: &Word) -> bool {
        info(disclosed).is_ok_and(|info| (info.community, info.first_interval) == (self.community, self.first_interval))
    }
}

impl Published {
    /// Every settled period of a registered community, in the order of the batches.
    #[must_use]
    pub fn periods(&self) -> Vec<Period> {
        let of = |batch: &gridveil_verifier_contract::SettledBatch| {
            let (community, first_interval) = (batch.call.community, Interval(batch.call.first_interval));
            let params = self.communities.get(&community)?;
            let begins_s = first_interval.start(params.interval_length_s);
            let public = self.certificates.public.iter();
            let retired = public.into_iter().find(|r| (r.community, r.first_interval) == (community, first_interval));
            Some(Period {
                community,
                first_interval,
                batch: batch.batch,
                begins_s,
                ends_s: begins_s + u64::from(params.m) * u64::from(params.interval_length_s),
                retired: retired.copied().unwrap_or_default(),
            })
        };
        self.batches.iter().filter_map(of).collect()
    }
}
