//! Another circuit version, and open periods that begin anew under it: what was taken for them is signed for a version
//! that L1 has stopped, and no batch could carry it (`docs/adr/0019-a-council-for-what-l1-can-prove.md`).

use std::sync::Arc;

use super::{
    abandoned::reopen,
    log_state::{CommunityState, Entry, LogState, OrderError, Packets, key},
    record::{Refused, Upgrade},
};
use crate::problem;

impl LogState {
    /// Adds a circuit version. Gives the entries of the index that go, and the refusals of what waited.
    pub(super) fn upgraded(&mut self, upgrade: &Upgrade) -> Result<Vec<Entry>, OrderError> {
        if upgrade.anew.iter().any(|community| !self.communities.contains_key(community)) {
            return Err(OrderError("of an unknown community"));
        }
        let out_of_order = |_| OrderError("a circuit version that does not follow the last one");
        self.versions.add(upgrade.next).map_err(out_of_order)?;
        let mut entries = Vec::new();
        for community in &upgrade.anew {
            if let Some(state) = self.communities.get_mut(community) {
                entries.extend(begin_anew(*community, Arc::make_mut(state)));
            }
        }
        Ok(entries)
    }
}

/// The open period as it was before its first packet. Who signed what waited is told to sign again.
fn begin_anew(community: u32, state: &mut CommunityState) -> Vec<Entry> {
    let mut gone = reopen(community, state);
    let open = (state.next_interval, std::mem::take(&mut state.packets));
    let later = std::mem::take(&mut state.ahead);
    for (first_interval, packets) in [open].into_iter().chain(later) {
        gone.extend(keys(community, first_interval, &packets));
    }
    let operations = state.pending.operations.iter().map(|one| (one.id, problem::OPERATION_VERSION));
    let late = state.pending.late.iter().map(|one| (one.id, problem::CORRECTION_VERSION));
    let refused = operations.chain(late).map(|(id, code)| Refused { id, code: code.name.to_owned() });
    let refused: Vec<Refused> = refused.collect();
    let mut entries: Vec<Entry> = gone.into_iter().map(|key| (key, None)).collect();
    entries.extend(state.pending.refuse(&refused));
    entries
}

/// What the index has of packets.
fn keys(community: u32, first_interval: gridveil_protocol::units::Interval, packets: &Packets) -> Vec<Vec<u8>> {
    packets.keys().map(|(slot, substituted)| key::packet(community, first_interval, *slot, *substituted)).collect()
}
