//! Who waits, and since when.

use std::collections::{BTreeMap, VecDeque};

use gridveil_protocol::params::FORCED_QUEUE;

/// Pairs of notes that a batch takes in (NOTES.1).
const PAIRS_PER_BATCH: u64 = 8;

/// A request to be paid out.
struct Asked {
    /// Unix seconds.
    time_s: u64,
    /// It waited when the last upgrade was announced.
    before: bool,
}

/// The notes of a statement.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// Unix seconds.
    spent_s: u64,
    /// Batches that the pairs before it fill.
    ahead: u64,
}

impl Pair {
    /// L1C.8: a deadline for its own batch, and one for each before it.
    pub(super) const fn due(&self, deadline_s: u64) -> u64 {
        self.spent_s.saturating_add(deadline_s.saturating_mul(self.ahead.saturating_add(1)))
    }
}

/// Forced queues by community, and the queue of notes.
#[derive(Default)]
pub(super) struct Queues {
    forced: BTreeMap<u32, VecDeque<Asked>>,
    /// When a full queue last had a place again, unix seconds.
    place_s: Option<u64>,
    pairs: VecDeque<Pair>,
    /// Number of the first pair.
    first: u64,
    /// Its first note is in the state.
    half: bool,
}

impl Queues {
    pub(super) fn ask(&mut self, community: u32, time_s: u64) {
        self.forced.entry(community).or_default().push_back(Asked { time_s, before: false });
    }

    /// Served, or its bond given back. Was the queue full?
    pub(super) fn answer(&mut self, community: u32) -> bool {
        let queue = self.forced.entry(community).or_default();
        let full = queue.len() == FORCED_QUEUE;
        queue.pop_front();
        full
    }

    /// A full queue has a place again.
    pub(super) const fn has_place(&mut self, time_s: u64) {
        self.place_s = Some(time_s);
    }

    /// When the request was made that is served next, unix seconds.
    pub(super) fn head(&self, community: u32) -> Option<u64> {
        self.forced.get(&community)?.front().map(|asked| asked.time_s)
    }

    /// All who wait now are served before the first use; so many do.
    pub(super) fn announce(&mut self) -> u64 {
        let mut waiting = 0;
        for asked in self.forced.values_mut().flatten() {
            asked.before = true;
            waiting += 1;
        }
        waiting
    }

    /// Who waited when the last upgrade was announced, and still does.
    pub(super) fn before(&self) -> usize {
        self.forced.values().flatten().filter(|asked| asked.before).count()
    }

    pub(super) fn any_full(&self) -> bool {
        self.forced.values().any(|queue| queue.len() == FORCED_QUEUE)
    }

    pub(super) const fn place_s(&self) -> Option<u64> {
        self.place_s
    }

    pub(super) fn spend(&mut self, spent_s: u64) {
        let ahead = (self.pairs.len() as u64 / PAIRS_PER_BATCH).min(u64::from(u16::MAX));
        self.pairs.push_back(Pair { spent_s, ahead });
    }

    /// A batch has taken in the next note.
    pub(super) fn append(&mut self) {
        if self.half {
            self.drop_pair();
        } else {
            self.half = true;
        }
    }

    pub(super) fn drop_pair(&mut self) {
        self.half = false;
        if self.pairs.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// The pair of this number, if it waits.
    pub(super) fn pair(&self, number: u64) -> Option<Pair> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.pairs.get(at).copied()
    }
}
