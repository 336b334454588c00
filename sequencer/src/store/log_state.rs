//! The structure of the log: what exists, in which step, and where. It is computed record by record from their public
//! parts. Opening a log and writing to it use the same code, so a restart sees what the writer saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gridveil_protocol::{
    field::{Fr, hex_fr},
    params::{STATE_DEPTH, Shape},
    units::Interval,
    version::{CircuitVersion, Versions},
};

use serde::{Deserialize, Serialize};

use super::{
    accounts::Switches,
    data_keys::KeyName,
    form,
    pending::{Carried, Pending},
    record::{Applied, Closed, CommunityAdded, Effects, Event, Genesis, Selected, Settled, kind},
};

/// A record that does not follow from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log: record out of order: {0}")]
pub struct OrderError(pub &'static str);

/// What is at a key of the index from a record on; nothing if `None`.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// An entry that is there.
pub(super) fn put(key: Vec<u8>, value: impl AsRef<[u8]>) -> Entry {
    (key, Some(value.as_ref().to_vec()))
}

/// Keys of the index (`docs/spec/log.md`, Index).
pub mod key {
    use gridveil_protocol::{
        field::{Fr, to_bytes},
        units::Interval,
    };

    /// Offset and identity of an accepted packet.
    #[must_use]
    pub fn packet(community: u32, first_interval: Interval, slot: u16, substituted: bool) -> Vec<u8> {
        [
            &b"p"[..],
            &community.to_be_bytes(),
            &first_interval.0.to_be_bytes(),
            &slot.to_be_bytes(),
            &[u8::from(substituted)],
        ]
        .concat()
    }

    /// Something of a community and period: `t`ariff, `c`losed, c`h`osen, hea`d`er operation, batch o`f`.
    #[must_use]
    pub fn period(letter: u8, community: u32, first_interval: Interval) -> Vec<u8> {
        [&[letter][..], &community.to_be_bytes(), &first_interval.0.to_be_bytes()].concat()
    }

    /// Something of a batch: `a`pplied, pro`v`en, `s`ettled, `k`ept receipts.
    #[must_use]
    pub fn batch(letter: u8, batch: u64) -> Vec<u8> {
        [&[letter][..], &batch.to_be_bytes()].concat()
    }

    /// Something of an operation or late packet with the record at `offset`: `o`ffset, done in `b`atch, `r`efused.
    #[must_use]
    pub fn identity(letter: u8, id: &[u8; 32], offset: u64) -> Vec<u8> {
        [&[letter][..], id, &offset.to_be_bytes()].concat()
    }

    /// The record with which a community was added.
    #[must_use]
    pub fn community(community: u32) -> Vec<u8> {
        [&b"g"[..], &community.to_be_bytes()].concat()
    }

    /// A queued note and where it was appended.
    #[must_use]
    pub fn note(note: &Fr, batch: u64, position: u8) -> Vec<u8> {
        [&b"n"[..], &to_bytes(note), &batch.to_be_bytes(), &[position]].concat()
    }
}

/// A packet of the open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketEntry {
    /// Identity.
    pub id: [u8; 32],
    /// Where it is.
    pub offset: u64,
}

/// A settled period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledPeriod {
    /// Period.
    pub first_interval: Interval,
    /// Root after.
    #[serde(with = "hex_fr")]
    pub root: Fr,
    /// Where on L1.
    pub record: Settled,
    /// Wall time of the proof, ms; zero if it was not recorded.
    pub prove_ms: u64,
}

/// Step of a batch that is not settled yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchEntry {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// Root before.
    #[serde(with = "hex_fr")]
    pub old_root: Fr,
    /// Root after.
    #[serde(with = "hex_fr")]
    pub new_root: Fr,
    /// Wall time of the proof, ms, once proven.
    pub prove_ms: Option<u64>,
    /// What L1 does once it has the batch.
    pub effects: Effects,
    /// What its community goes back to if it is abandoned.
    #[serde(with = "form::shared")]
    pub before: Arc<Before>,
}

/// Packets of a period, by slot and substituted.
pub type Packets = BTreeMap<(u16, bool), PacketEntry>;

/// A community before a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub(super) next_interval: Interval,
    pub(super) state_at: (u16, u64),
    pub(super) begun: bool,
    pub(super) last_batch: Option<u64>,
    pub(super) last_period: Option<Interval>,
    #[serde(with = "form::packets")]
    pub(super) packets: Packets,
    /// What waited and is in the batch.
    pub(super) carried: Carried,
    /// The batch has a header operation.
    pub(super) header: bool,
}

/// One community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityState {
    /// What it was added with.
    pub added: CommunityAdded,
    /// Shape.
    #[serde(with = "form::shape")]
    pub shape: Shape,
    /// First interval of the open period.
    pub next_interval: Interval,
    /// Record that holds the current openings.
    pub state_at: (u16, u64),
    /// Appended to the certificates tree since it was added.
    #[serde(with = "hex_fr::seq")]
    pub appended: Vec<Fr>,
    /// Is the community in the state tree? If not, its first batch puts it there.
    pub begun: bool,
    /// Last batch.
    pub last_batch: Option<u64>,
    /// Period of the last batch.
    pub last_period: Option<Interval>,
    /// Offset and commitment of the published tariffs.
    #[serde(with = "form::tariffs")]
    pub tariffs: BTreeMap<Interval, (u64, Fr)>,
    /// Packets of the open period.
    #[serde(with = "form::packets")]
    pub packets: Packets,
    /// Packets of later periods, which were open before batches were abandoned.
    #[serde(with = "form::ahead")]
    pub ahead: BTreeMap<Interval, Packets>,
    /// Set while the open period is closed and not applied.
    pub closed: Option<Closed>,
    /// Set while a selection for the closed period is recorded and not applied.
    pub selected: Option<Selected>,
    /// What is pending.
    pub pending: Pending,
    /// Settled periods, oldest first.
    pub settled: Vec<SettledPeriod>,
    /// Under which keys the slots' records are.
    pub switches: Switches,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// The genesis.
    pub genesis: Option<Genesis>,
    /// Communities. A copy of all shares those that change in neither.
    #[serde(with = "form::communities")]
    pub communities: BTreeMap<u32, Arc<CommunityState>>,
    /// Applied and not settled.
    pub batches: BTreeMap<u64, BatchEntry>,
    /// Number of the last batch.
    pub last_batch: u64,
    /// State root after the last applied batch.
    #[serde(with = "hex_fr")]
    pub root: Fr,
    /// Circuit versions of the periods, as far as it is decided.
    #[serde(with = "form::versions")]
    pub versions: Versions,
    /// Batches whose receipts were kept.
    pub kept: BTreeSet<u64>,
    /// Keys of accounts that were erased.
    pub erased: BTreeSet<KeyName>,
    /// Entries of the index.
    pub entries: u64,
}

impl CommunityState {
    /// First interval of the period after the open one.
    #[must_use]
    pub fn after_open(&self) -> Interval {
        self.next_interval.saturating_add(u32::try_from(self.shape.intervals).unwrap_or(u32::MAX))
    }

    /// The last period that is closed, settled or not.
    #[must_use]
    pub fn last_closed(&self) -> Option<Interval> {
        if self.closed.is_some() { Some(self.next_interval) } else { self.last_period }
    }

    /// The tariff in force for the period that starts at `first_interval`: the latest one published at or before it.
    #[must_use]
    pub fn tariff_for(&self, first_interval: Interval) -> Option<(Interval, u64, Fr)> {
        self.tariffs
            .range(..=first_interval)
            .next_back()
            .map(|(from, (offset, commitment))| (*from, *offset, *commitment))
    }
}

impl LogState {
    /// Adds a record and gives its index entries.
    ///
    /// # Errors
    /// [`OrderError`]; the log state is unchanged then.
    pub fn add(&mut self, event: &Event, offset: u64) -> Result<Vec<Entry>, OrderError> {
        let entries = match event {
            Event::Genesis(genesis) => self.genesis(genesis)?,
            Event::Community(added) => self.added(added, offset)?,
            Event::Packet(p) => {
                let log_state = self.open_period(p.community, p.first_interval)?;
                let place = (p.slot, p.substituted);
                if usize::from(p.slot) >= log_state.shape.members || log_state.packets.contains_key(&place) {
                    return Err(OrderError("a second packet of a slot"));
                }
                log_state.packets.insert(place, PacketEntry { id: p.packet_id, offset });
                let value = [&offset.to_be_bytes()[..], &p.packet_id].concat();
                vec![put(key::packet(p.community, p.first_interval, p.slot, p.substituted), value)]
            }
            Event::Tariff(t) => {
                let log_state = self.community(t.community)?;
                // It takes the place of another one only while no period was closed with that.
                if log_state.last_closed().is_some_and(|last| t.first_interval <= last) {
                    return Err(OrderError("a tariff of a period that is closed"));
                }
                if log_state.tariffs.insert(t.first_interval, (offset, t.commitment)).is_some() {
                    self.entries -= 1;
                }
                vec![put(key::period(b't', t.community, t.first_interval), offset.to_be_bytes())]
            }
            Event::Closed(closed) => {
                let log_state = self.open_period(closed.community, closed.first_interval)?;
                log_state.closed = Some(closed.clone());
                vec![put(key::period(b'c', closed.community, closed.first_interval), offset.to_be_bytes())]
            }
            Event::Operation(o) => {
                let log_state = self.community(o.community)?;
                if usize::from(o.slot) >= log_state.shape.members {
                    return Err(OrderError("of an unknown slot"));
                }
                log_state.pending.add_operation(o, offset)?
            }
            Event::Late(late) => {
                let log_state = self.community(late.community)?;
                if usize::from(late.slot) >= log_state.shape.members || late.first_interval >= log_state.next_interval {
                    return Err(OrderError("a late packet of no period before"));
                }
                log_state.pending.add_late(late, offset)?
            }
            Event::Header(header) => self.community(header.community)?.pending.add_header(header, offset)?,
            Event::Selected(selected) => {
                let log_state = self.community(selected.community)?;
                if log_state.selected.is_some()
                    || log_state.closed.as_ref().is_none_or(|c| c.first_interval != selected.first_interval)
                {
                    return Err(OrderError("a selection for a period that is not closed"));
                }
                let entries = log_state.pending.select(selected, offset)?;
                log_state.selected = Some(selected.clone());
                entries
            }
            Event::Applied(applied) => self.applied(applied, offset)?,
            Event::Abandoned(abandoned) => self.abandoned(abandoned.batch)?,
            Event::Upgrade(upgrade) => self.upgraded(upgrade)?,
            Event::Kept(kept) => self.kept(kept, offset)?,
            Event::Erased(erased) => self.erased(erased)?,
            Event::Proven(proven) => {
                let batch = self.batches.get_mut(&proven.batch).filter(|b| b.prove_ms.is_none());
                batch.ok_or(OrderError("a proof of no batch that waits for one"))?.prove_ms = Some(proven.prove_ms);
                vec![put(key::batch(b'v', proven.batch), offset.to_be_bytes())]
            }
            Event::Settled(settled) => {
                let first = self.batches.first_key_value().map(|(batch, _)| *batch);
                if first != Some(settled.batch) {
                    return Err(OrderError("a settlement of another batch than the next"));
                }
                let Some(batch) = self.batches.remove(&settled.batch) else {
                    return Err(OrderError("a settlement of no batch"));
                };
                let prove_ms = batch.prove_ms.unwrap_or(0);
                let period = SettledPeriod {
                    first_interval: batch.first_interval,
                    root: batch.new_root,
                    record: settled.clone(),
                    prove_ms,
                };
                self.community(batch.community)?.settled.push(period);
                vec![put(key::batch(b's', settled.batch), offset.to_be_bytes())]
            }
        };
        for (_, value) in &entries {
            if value.is_some() {
                self.entries += 1;
            } else {
                self.entries -= 1;
            }
        }
        Ok(entries)
    }

    fn community(&mut self, community: u32) -> Result<&mut CommunityState, OrderError> {
        self.communities.get_mut(&community).map(Arc::make_mut).ok_or(OrderError("of an unknown community"))
    }

    fn open_period(&mut self, community: u32, first_interval: Interval) -> Result<&mut CommunityState, OrderError> {
        let log_state = self.community(community)?;
        if log_state.next_interval != first_interval || log_state.closed.is_some() {
            return Err(OrderError("of a period that is not open"));
        }
        Ok(log_state)
    }

    fn genesis(&mut self, genesis: &Genesis) -> Result<Vec<Entry>, OrderError> {
        if self.genesis.is_some() {
            return Err(OrderError("a second genesis"));
        }
        self.root = genesis.root;
        self.versions = Versions::new(CircuitVersion::new(genesis.circuit_version));
        self.genesis = Some(genesis.clone());
        Ok(Vec::new())
    }

    /// Every community of the genesis is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let of_genesis = self.genesis.as_ref().map_or(0, |genesis| genesis.communities);
        self.communities.len() >= usize::try_from(of_genesis).unwrap_or(usize::MAX)
    }

    fn added(&mut self, added: &CommunityAdded, offset: u64) -> Result<Vec<Entry>, OrderError> {
        let genesis = self.genesis.as_ref().ok_or(OrderError("a community before the genesis"))?;
        let shape = Shape::by_name(&added.shape).ok_or(OrderError("a community of an unknown shape"))?;
        if u64::from(added.index) >= 4u64.pow(u32::try_from(STATE_DEPTH).unwrap_or(0)) {
            return Err(OrderError("a community beyond the state tree"));
        }
        let taken = genesis.leaves.iter().any(|(index, _)| *index == u64::from(added.index));
        if taken || self.communities.contains_key(&added.index) {
            return Err(OrderError("a community that is there"));
        }
        // What its leaf would be is in no state root.
        if self.is_whole() && !added.begins {
            return Err(OrderError("a community that joins and is not empty"));
        }
        let state = CommunityState {
            added: added.clone(),
            shape,
            next_interval: added.next_interval,
            state_at: (kind::COMMUNITY, offset),
            appended: Vec::new(),
            begun: !added.begins,
            last_batch: None,
            last_period: None,
            tariffs: BTreeMap::new(),
            packets: BTreeMap::new(),
            ahead: BTreeMap::new(),
            closed: None,
            selected: None,
            pending: Pending::default(),
            settled: Vec::new(),
            switches: Switches::default(),
        };
        self.communities.insert(added.index, Arc::new(state));
        Ok(vec![put(key::community(added.index), offset.to_be_bytes())])
    }

    fn applied(&mut self, applied: &Applied, offset: u64) -> Result<Vec<Entry>, OrderError> {
        if applied.batch != self.last_batch + 1 || applied.old_root != self.root {
            return Err(OrderError("a batch that does not follow the last one"));
        }
        let log_state = self.community(applied.community)?;
        if applied.refused.iter().any(|refused| log_state.pending.offset(&refused.id).is_none()) {
            return Err(OrderError("a refusal of what does not wait"));
        }
        let follows = log_state.last_batch == applied.previous && applied.next_interval >= log_state.after_open();
        let selected = log_state.selected.take_if(|c| follows && c.first_interval == applied.first_interval);
        let selected = selected.ok_or(OrderError("a batch of a period for which nothing is selected"))?;
        log_state.switches.switch(applied)?;
        let (mut entries, carried) = log_state.pending.done(&selected, applied.batch);
        entries.extend(log_state.pending.refuse(&applied.refused));
        let before = Before {
            next_interval: log_state.next_interval,
            state_at: log_state.state_at,
            begun: log_state.begun,
            last_batch: log_state.last_batch,
            last_period: log_state.last_period,
            packets: std::mem::take(&mut log_state.packets),
            carried,
            header: selected.header,
        };
        log_state.closed = None;
        log_state.packets = log_state.ahead.remove(&applied.next_interval).unwrap_or_default();
        log_state.next_interval = applied.next_interval;
        log_state.state_at = (kind::APPLIED, offset);
        log_state.appended.push(applied.appended);
        log_state.begun = true;
        log_state.last_batch = Some(applied.batch);
        log_state.last_period = Some(applied.first_interval);
        self.last_batch = applied.batch;
        self.root = applied.new_root;
        let batch = BatchEntry {
            community: applied.community,
            first_interval: applied.first_interval,
            old_root: applied.old_root,
            new_root: applied.new_root,
            prove_ms: None,
            effects: selected.effects,
            before: Arc::new(before),
        };
        self.batches.insert(applied.batch, batch);
        entries.push(put(key::batch(b'a', applied.batch), offset.to_be_bytes()));
        entries.push(put(key::period(b'f', applied.community, applied.first_interval), applied.batch.to_be_bytes()));
        Ok(entries)
    }
}
