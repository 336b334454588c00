//! When a block was made.

use std::collections::BTreeMap;

use gridveil_verifier_contract::{AuditorL1, L1Error};

/// Asks for the time of each block once.
pub(crate) struct Clock<'a> {
    l1: &'a dyn AuditorL1,
    times: BTreeMap<u64, u64>,
}

impl<'a> Clock<'a> {
    pub(crate) fn new(l1: &'a dyn AuditorL1) -> Self {
        Self { l1, times: BTreeMap::new() }
    }

    /// Unix seconds of a block.
    pub(crate) async fn at(&mut self, block: u64) -> Result<u64, L1Error> {
        if let Some(time_s) = self.times.get(&block) {
            return Ok(*time_s);
        }
        let time_s = self.l1.block(Some(block)).await?.time_s;
        self.times.insert(block, time_s);
        Ok(time_s)
    }
}
