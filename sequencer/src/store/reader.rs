//! Reading back: packets, states, tariffs, proofs, and the input of any settlement, from the log.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use gridveil_protocol::{
    account::Account,
    codec,
    community::{Community, node},
    field::Fr,
    header::Header,
    opening::GenesisPlace,
    operation_slots::Operations,
    packet::{SignedPacket, empty_slot},
    params::{CERTIFICATES_DEPTH, Shape},
    settlement::{self, SettlementInput, Transition},
    tariff::Tariff,
    tree::{Children, SparseTree},
    units::Interval,
};
use zeroize::Zeroizing;

use super::{
    StoreError,
    bodies::Bodies,
    data_keys::{COMMUNITY_PART, DataKeys, Label, Sealed},
    index::Index,
    log::{LogReader, Tip},
    log_state::{CommunityState, LogState, key},
    record::{Applied, Closed, ClosedSecrets, Event, OwnState, decode_body, kind},
    snapshots::Snapshots,
};

/// Recomputed transitions kept.
const CACHED: usize = 4;

/// The readers' side of the store.
#[derive(Debug)]
pub struct StoreReader {
    log: LogReader,
    bodies: Bodies,
    data_keys: DataKeys,
    pub(super) index: Index,
    pub(super) snapshots: Snapshots,
    cache: Mutex<VecDeque<(u64, Arc<Transition>)>>,
}

impl StoreReader {
    /// A reader.
    #[must_use]
    pub const fn new(log: LogReader, bodies: Bodies, data_keys: DataKeys, index: Index, snapshots: Snapshots) -> Self {
        Self { log, bodies, data_keys, index, snapshots, cache: Mutex::new(VecDeque::new()) }
    }

    /// Writes a snapshot of what follows from the log up to a place, durably. `false` if there is one, or if something was
    /// found wrong with what is in memory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_snapshot(&self, tip: &Tip, log_state: &LogState, tree: &SparseTree) -> std::io::Result<bool> {
        // The index has seen what a snapshot says: it is never behind one.
        if !self.index.flush() {
            return Err(std::io::Error::other("the index could not be written"));
        }
        let begun = log_state.communities.iter().filter(|(_, state)| state.begun);
        let node = |(community, state): (&u32, &Arc<CommunityState>)| {
            (*community, (state.state_at.1, tree.leaf(u64::from(*community))))
        };
        self.snapshots.write(tip, log_state, &begun.map(node).collect())
    }

    /// See [`Snapshots::distrust`].
    ///
    /// # Errors
    /// Those of the file system.
    pub fn distrust_snapshots(&self) -> std::io::Result<()> {
        self.snapshots.distrust()
    }

    /// The log.
    pub(super) const fn log(&self) -> &LogReader {
        &self.log
    }

    /// How bodies are sealed.
    pub(super) const fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// The open keys.
    #[must_use]
    pub const fn data_keys(&self) -> &DataKeys {
        &self.data_keys
    }

    pub(super) fn read(&self, offset: u64, record_kind: u16) -> Result<(Event, Vec<Sealed>), StoreError> {
        let body = self.bodies.open(record_kind, self.log.read(offset, record_kind)?)?;
        let (public, sealed) = decode_body(record_kind, &body)?;
        Ok((Event::decode(record_kind, public)?, sealed))
    }

    pub(super) fn open(&self, label: &Label, sealed: &[Sealed]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let part = sealed.iter().find(|s| s.community == label.community && s.part == label.part);
        let part = part.ok_or(StoreError::Inconsistent("a record lacks a sealed part"))?;
        Ok(self.data_keys.open_part(label, part)?)
    }

    pub(super) fn open_json<T: serde::de::DeserializeOwned>(
        &self,
        label: &Label,
        sealed: &[Sealed],
    ) -> Result<T, StoreError> {
        let plain = self.open(label, sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|_| StoreError::Inconsistent("a sealed part is not what its record says"))
    }

    pub(super) fn offset(&self, index_key: &[u8]) -> Result<u64, StoreError> {
        self.index.number(index_key)?.ok_or(StoreError::Inconsistent("an index entry is missing"))
    }

    /// Where the record of an index key is.
    ///
    /// # Errors
    /// [`StoreError`], also if there is none.
    pub fn offset_of(&self, index_key: &[u8]) -> Result<u64, StoreError> {
        self.offset(index_key)
    }

    /// Openings of a community, as of its last batch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn community(&self, index: u32, log_state: &CommunityState) -> Result<Community, StoreError> {
        let (mut community, genesis_count) = self.state_at(index, log_state.shape, log_state.state_at)?;
        community.certificates.set_all((genesis_count..).zip(log_state.appended.iter().copied()));
        Ok(community)
    }

    /// The state in the record that added the community or in an applied one, with the certificates that it was added
    /// with only, and how many those are.
    fn state_at(
        &self,
        community: u32,
        shape: Shape,
        (record_kind, offset): (u16, u64),
    ) -> Result<(Community, u64), StoreError> {
        let (event, sealed) = self.read(offset, record_kind)?;
        let first_interval = if let Event::Applied(applied) = &event { applied.first_interval } else { Interval::ZERO };
        let label = |part| Label { kind: record_kind, community, part, first_interval };
        let own: OwnState = self.open_json(&label(COMMUNITY_PART), &sealed)?;
        let slots = u16::try_from(shape.members).map_err(|_| StoreError::Inconsistent("a shape is too large"))?;
        let accounts = (0..slots).map(|slot| self.open_json(&label(slot), &sealed)).collect::<Result<Vec<_>, _>>()?;
        let appended =
            if record_kind == kind::COMMUNITY { own.certificates } else { self.first_certificates(community)? };
        let mut certificates = SparseTree::new(CERTIFICATES_DEPTH);
        certificates.set_all((0..).zip(appended.iter().map(|root| root.0)));
        Ok((Community { index: community, shape, header: own.header, accounts, certificates }, appended.len() as u64))
    }

    /// Node of a community, as the record says that holds its openings.
    pub(super) fn recorded_node(
        &self,
        community: &Community,
        (record_kind, offset): (u16, u64),
    ) -> Result<Fr, StoreError> {
        let Event::Applied(applied) = self.read(offset, record_kind)?.0 else { return Ok(community.node()) };
        Ok(node(applied.header_leaf, applied.members_root, community.certificates.root()))
    }

    /// Certificates that a community had when it was added.
    fn first_certificates(&self, community: u32) -> Result<Vec<super::record::Element>, StoreError> {
        let (_, sealed) = self.read(self.offset(&key::community(community))?, kind::COMMUNITY)?;
        let own: OwnState = self.open_json(
            &Label { kind: kind::COMMUNITY, community, part: COMMUNITY_PART, first_interval: Interval::ZERO },
            &sealed,
        )?;
        Ok(own.certificates)
    }

    /// Identity of an accepted packet, of any period.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn packet_id(
        &self,
        community: u32,
        first_interval: Interval,
        slot: u16,
        substituted: bool,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.index.packet_id(&key::packet(community, first_interval, slot, substituted))?)
    }

    /// An accepted packet, of any period.
    ///
    /// # Errors
    /// [`StoreError`], also if there is none.
    pub fn packet(
        &self,
        community: u32,
        first_interval: Interval,
        slot: u16,
        substituted: bool,
    ) -> Result<SignedPacket, StoreError> {
        let offset = self.offset(&key::packet(community, first_interval, slot, substituted))?;
        let (_, sealed) = self.read(offset, kind::PACKET)?;
        let plain = self.open(&Label { kind: kind::PACKET, community, part: slot, first_interval }, &sealed)?;
        codec::decode_packet(&plain).map_err(|_| StoreError::Inconsistent("a stored packet does not decode"))
    }

    /// A published tariff.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tariff(&self, offset: u64) -> Result<Tariff, StoreError> {
        let Event::Tariff(published) = self.read(offset, kind::TARIFF)?.0 else {
            return Err(StoreError::Inconsistent("not a tariff"));
        };
        Ok(published.tariff)
    }

    /// Batch of a period, if it was applied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn batch_of(&self, community: u32, first_interval: Interval) -> Result<Option<u64>, StoreError> {
        Ok(self.index.number(&key::period(b'f', community, first_interval))?)
    }

    /// The applied record of a batch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn applied(&self, batch: u64) -> Result<Applied, StoreError> {
        let Event::Applied(applied) = self.read(self.offset(&key::batch(b'a', batch))?, kind::APPLIED)?.0 else {
            return Err(StoreError::Inconsistent("not a batch"));
        };
        Ok(applied)
    }

    /// The proof of a batch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn proof(&self, batch: u64) -> Result<Vec<u8>, StoreError> {
        let Event::Proven(proven) = self.read(self.offset(&key::batch(b'v', batch))?, kind::PROVEN)?.0 else {
            return Err(StoreError::Inconsistent("not a proof"));
        };
        hex::decode(&proven.proof).map_err(|_| StoreError::Inconsistent("a stored proof is not hex"))
    }

    /// The closing of a period.
    pub(super) fn closed(&self, community: u32, first_interval: Interval) -> Result<(Closed, Vec<Sealed>), StoreError> {
        match self.read(self.offset(&key::period(b'c', community, first_interval))?, kind::CLOSED)? {
            (Event::Closed(closed), sealed) => Ok((closed, sealed)),
            _ => Err(StoreError::Inconsistent("not a closing")),
        }
    }

    /// The tariff that was in force for a closed period.
    pub(super) fn tariff_of(&self, community: u32, closed: &Closed) -> Result<Tariff, StoreError> {
        self.tariff(self.offset(&key::period(b't', community, closed.tariff_from))?)
    }

    /// The input of a closed period's settlement as far as its closing fixes it: without operations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settling(
        &self,
        domain: Fr,
        community: Community,
        state_path: Vec<Children>,
    ) -> Result<SettlementInput, StoreError> {
        let (index, first_interval) = (community.index, community.header.next_interval);
        let (closed, sealed) = self.closed(index, first_interval)?;
        let label = Label { kind: kind::CLOSED, community: index, part: COMMUNITY_PART, first_interval };
        let secrets: ClosedSecrets = self.open_json(&label, &sealed)?;
        let tariff = self.tariff_of(index, &closed)?;
        let (header_salts, operations) = (secrets.header_salts, Operations::default());
        let mut input =
            SettlementInput { domain, community, state_path, packets: Vec::new(), tariff, header_salts, operations };
        let context = input.context();
        let packets = closed.used.iter().map(|u| self.packet(index, first_interval, u.slot, u.substituted));
        let mut packets = packets.collect::<Result<Vec<_>, _>>()?;
        for (slot, salts) in secrets.empty {
            packets.push(
                empty_slot(context, slot, salts)
                    .map_err(|_| StoreError::Inconsistent("an empty slot cannot be signed"))?,
            );
        }
        packets.sort_by_key(|p| p.packet.slot);
        input.packets = packets;
        Ok(input)
    }

    /// The input of a settlement with a recorded selection. It is exactly what was recorded, so that a retry is
    /// byte-identical.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn input(
        &self,
        domain: Fr,
        community: Community,
        state_path: Vec<Children>,
    ) -> Result<SettlementInput, StoreError> {
        let operations = self.selected_operations(community.index, community.header.next_interval)?;
        Ok(SettlementInput { operations, ..self.settling(domain, community, state_path)? })
    }

    /// Settlement of an applied batch, recomputed. `current` is the community after its last batch (for its
    /// certificates).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn transition(&self, domain: Fr, batch: u64, current: &Community) -> Result<Arc<Transition>, StoreError> {
        let cached = |cache: &VecDeque<(u64, Arc<Transition>)>| {
            cache.iter().find(|(b, _)| *b == batch).map(|(_, t)| Arc::clone(t))
        };
        if let Some(hit) = cached(&self.cache.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(hit);
        }
        let applied = self.applied(batch)?;
        let before = self.before(&applied, current)?;
        let input = self.input(domain, before, applied.path())?;
        let transition = Arc::new(settlement::compute(input));
        if transition.instance.new_root != applied.new_root {
            return Err(StoreError::Inconsistent("a batch recomputed does not lead to its recorded root"));
        }
        self.keep(batch, &transition);
        Ok(transition)
    }

    /// Remembers a transition just computed.
    pub fn keep(&self, batch: u64, transition: &Arc<Transition>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.push_front((batch, Arc::clone(transition)));
        cache.truncate(CACHED);
    }

    /// Forgets every transition: something in one is to be erased.
    pub fn forget(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Where a community's state before a batch is, by the batch before.
    fn state_of(&self, community: u32, previous: Option<u64>) -> Result<(u16, u64), StoreError> {
        Ok(match previous {
            Some(batch) => (kind::APPLIED, self.offset(&key::batch(b'a', batch))?),
            None => (kind::COMMUNITY, self.offset(&key::community(community))?),
        })
    }

    /// A community before a batch.
    fn before(&self, applied: &Applied, current: &Community) -> Result<Community, StoreError> {
        let (mut community, from) =
            self.state_at(applied.community, current.shape, self.state_of(applied.community, applied.previous)?)?;
        let Header { certificate_count, .. } = community.header;
        let later = (from..certificate_count).map(|position| (position, current.certificates.leaf(position)));
        community.certificates.set_all(later);
        Ok(community)
    }

    /// The header before a batch.
    pub(super) fn header_before(&self, applied: &Applied) -> Result<Header, StoreError> {
        let (record_kind, offset) = self.state_of(applied.community, applied.previous)?;
        let (event, sealed) = self.read(offset, record_kind)?;
        let first_interval = if let Event::Applied(a) = &event { a.first_interval } else { Interval::ZERO };
        let label = Label { kind: record_kind, community: applied.community, part: COMMUNITY_PART, first_interval };
        Ok(self.open_json::<OwnState>(&label, &sealed)?.header)
    }

    /// One account before and after a batch; `None` for one that was erased.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_around(&self, batch: u64, slot: u16) -> Result<[Option<Account>; 2], StoreError> {
        let applied = self.applied(batch)?;
        let account = |(record_kind, offset): (u16, u64)| {
            let (event, sealed) = self.read(offset, record_kind)?;
            let first_interval = if let Event::Applied(a) = &event { a.first_interval } else { Interval::ZERO };
            let label = Label { kind: record_kind, community: applied.community, part: slot, first_interval };
            match self.open_json::<Account>(&label, &sealed) {
                Err(error) if error.is_erased() => Ok(None),
                opened => opened.map(Some),
            }
        };
        Ok([
            account(self.state_of(applied.community, applied.previous)?)?,
            account(self.state_of(applied.community, Some(batch))?)?,
        ])
    }

    /// What opens a period's totals to an auditor: the headers around its batch and, where no batch before has
    /// published the first, its way to the state root. `began` says whether the community began with this batch;
    /// `current` is the community after its last batch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn period_opening(&self, batch: u64, began: bool, current: &Community) -> Result<OpenedHeaders, StoreError> {
        let applied = self.applied(batch)?;
        let (record_kind, offset) = self.state_of(applied.community, Some(batch))?;
        let (_, sealed) = self.read(offset, record_kind)?;
        let label = Label {
            kind: record_kind,
            community: applied.community,
            part: COMMUNITY_PART,
            first_interval: applied.first_interval,
        };
        let after = self.open_json::<OwnState>(&label, &sealed)?.header;
        if applied.previous.is_some() {
            return Ok(OpenedHeaders { before: Some(self.header_before(&applied)?), after, genesis: None });
        }
        if began {
            return Ok(OpenedHeaders { before: None, after, genesis: None });
        }
        // The members of that time may not be readable any more.
        if let Some(kept) = self.kept_of(batch)? {
            let (members_root, certificates_root) = (kept.members_root, kept.certificates_root);
            let place = GenesisPlace { members_root, certificates_root, state_path: applied.path() };
            return Ok(OpenedHeaders { before: Some(self.header_before(&applied)?), after, genesis: Some(place) });
        }
        let before = self.before(&applied, current)?;
        let place = GenesisPlace {
            members_root: before.members_root(),
            certificates_root: before.certificates.root(),
            state_path: applied.path(),
        };
        Ok(OpenedHeaders { before: Some(before.header), after, genesis: Some(place) })
    }
}

/// The parts of an opening that the log has.
#[derive(Clone, Debug)]
pub struct OpenedHeaders {
    /// Before the batch.
    pub before: Option<Header>,
    /// After it.
    pub after: Header,
    /// Where the first one is, if no batch has published its leaf.
    pub genesis: Option<GenesisPlace>,
}
