//! The council, and how long an emergency lasts.

use std::collections::BTreeMap;

use gridveil_verifier_contract::Address;

/// What a proof of unsoundness begins, by shape.
pub(super) struct Emergencies {
    /// Seconds.
    forced_deadline_s: u64,
    council: Address,
    appointed: Option<(Address, u64)>,
    /// Until when it lasts, unless another verifier is used before.
    ends: BTreeMap<u32, u64>,
    /// Until when no request freezes.
    held: BTreeMap<u32, u64>,
    /// Members of all communities may leave until a hastened verifier is active.
    leave_until: u64,
}

impl Emergencies {
    pub(super) fn new(forced_deadline_s: u64) -> Self {
        Self {
            forced_deadline_s,
            council: Address::default(),
            appointed: None,
            ends: BTreeMap::new(),
            held: BTreeMap::new(),
            leave_until: 0,
        }
    }

    fn council_at(&self, time_s: u64) -> Address {
        self.appointed.filter(|(_, from)| time_s >= *from).map_or(self.council, |(council, _)| council)
    }

    /// The constructor's council is there at once.
    pub(super) fn appoint(&mut self, council: Address, from: u64, time_s: u64, constructed: bool) {
        if constructed {
            self.council = council;
        } else {
            (self.council, self.appointed) = (self.council_at(time_s), Some((council, from)));
        }
    }

    /// COUNCIL.2: an emergency of two deadlines begins, and holds the freeze up where there is a council.
    pub(super) fn proven(&mut self, shape: u32, time_s: u64) {
        let end = time_s.saturating_add(self.forced_deadline_s.saturating_mul(2));
        self.ends.insert(shape, end);
        self.held.insert(shape, if self.council_at(time_s) == Address::default() { 0 } else { end });
    }

    /// Another verifier of the shape is used.
    pub(super) fn over(&mut self, shape: u32) {
        self.ends.remove(&shape);
    }

    pub(super) fn leave_until(&mut self, time_s: u64) {
        self.leave_until = time_s;
    }

    pub(super) fn lasts(&self, shape: u32, time_s: u64) -> bool {
        self.ends.get(&shape).is_some_and(|end| time_s <= *end)
    }

    /// There is a council, and what it hastens is active before the emergency is over.
    pub(super) fn may_hasten(&self, shape: u32, time_s: u64) -> bool {
        let council = self.council_at(time_s) != Address::default();
        council && self.lasts(shape, time_s.saturating_add(self.forced_deadline_s))
    }

    pub(super) fn may_leave(&self, shape: u32, time_s: u64) -> bool {
        self.lasts(shape, time_s) || time_s < self.leave_until
    }

    pub(super) fn held_until(&self, shape: u32) -> u64 {
        self.held.get(&shape).copied().unwrap_or_default()
    }
}
