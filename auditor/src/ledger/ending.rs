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

    pub(super) fn hasten(&mut self, shape: u32) {
        self.hastened = true;
        let proven = self.unsound.iter().any(|(_, of)| *of == shape);
        self.require(proven, "COUNCIL.4", || {
            format!("a verifier of shape {shape} is hastened, and none of the shape was proven unsound")
        });
    }

    pub(super) fn closed(&mut self, community: u32, last_batch: u64) {
        self.closed_after.insert(community, last_batch);
        let before = self.stages.insert(community, Stage::Closed);
        // In an emergency a member's exit closes it at once, and who waits there has the bond back. When it is over, the
        // contract alone says.
        let shape = self.settled.communities.get(&community).map(|params| params.shape);
        let unsound = self.hastened || self.unsound.iter().any(|(_, of)| Some(*of) == shape);
        let emergency = unsound && before != Some(Stage::Closed);
        let ended = emergency || before == Some(Stage::Ending);
        let waits = !emergency && self.forced.get(&community).is_some_and(|queue| !queue.is_empty());
        let last = last_batch == self.batches;
        self.require(ended && !waits && last, "CLOSE.3", || {
            format!("community {community} is closed before its requests ended or are served, or after another batch than the last")
        });
    }
}
