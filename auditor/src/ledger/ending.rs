//! The end of a community: announced, then no more requests, then closed, in this order and with nobody waiting.

use gridveil_verifier_contract::Stage;

use super::Ledger;

impl Ledger<'_> {
    pub(super) fn stage(&self, community: u32) -> Stage {
        self.stages.get(&community).copied().unwrap_or_default()
    }

    pub(super) fn closing(&mut self, community: u32) {
        let known = self.settled.communities.contains_key(&community);
        let open = self.stages.insert(community, Stage::Closing).is_none();
        self.require(known && open, "CLOSE.1", || {
            format!("the end of community {community} is announced again, or of none")
        });
    }

    pub(super) fn ending(&mut self, community: u32) {
        let announced = self.stages.insert(community, Stage::Ending) == Some(Stage::Closing);
        self.require(announced, "CLOSE.2", || format!("community {community} ends, which was not announced"));
    }

    pub(super) fn closed(&mut self, community: u32, last_batch: u64) {
        self.closed_after.insert(community, last_batch);
        let ended = self.stages.insert(community, Stage::Closed) == Some(Stage::Ending);
        let waits = self.forced.get(&community).is_some_and(|queue| !queue.is_empty());
        let last = last_batch == self.batches;
        self.require(ended && !waits && last, "CLOSE.3", || {
            format!("community {community} is closed before its requests ended or are served, or after another batch than the last")
        });
    }
}
