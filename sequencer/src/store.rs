//! The durable store: log (truth), data keys, index (where things are).

pub mod abandoned;
pub mod accounts;
mod anew;
pub mod bodies;
pub mod check;
pub mod data_keys;
pub mod erasures;
mod error;
mod evidence;
mod form;
pub mod held;
pub mod index;
mod kept;
pub mod log;
pub mod log_state;
mod modes;
mod opening;
pub mod pending;
pub mod pending_substitutes;
pub mod progress;
pub mod reader;
pub mod record;
pub mod restoring;
pub mod selected;
pub mod snapshots;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use gridveil_protocol::{
    community::Community,
    field::Fr,
    init,
    params::{STATE_DEPTH, Shape},
    tree::SparseTree,
    units::Interval,
};
use zeroize::Zeroizing;

pub use error::StoreError;

use self::{
    data_keys::{COMMUNITY_PART, DataKeys, Label},
    index::Index,
    log::{Log, LogError, Tip},
    log_state::{Entry, LogState, OrderError},
    reader::StoreReader,
    record::{CommunityAdded, Event, Genesis, OwnState, RecordError, encode_body},
};

/// What a deployment starts from, given by the operator once.
#[derive(Clone, Debug)]
pub struct GenesisState {
    /// Chain.
    pub chain_id: u64,
    /// Contract.
    pub contract: [u8; 20],
    /// Circuit version.
    pub circuit_version: u64,
    /// Communities served.
    pub communities: Vec<Community>,
    /// Leaves of the state tree of communities not served here.
    pub other_leaves: Vec<(u64, Fr)>,
    /// Which of the communities begin with their first batch: all empty, and not in the state tree until then
    /// (STATE.INIT).
    pub begins: Vec<u32>,
}

impl GenesisState {
    /// Domain of the deployment. [`Self::public`] has it too, and computes the root of all communities.
    #[must_use]
    pub fn domain(&self) -> Fr {
        gridveil_protocol::instance::domain(self.chain_id, &self.contract, self.circuit_version)
    }

    /// The public record of the deployment; its communities have records of their own.
    #[must_use]
    pub fn public(&self) -> Genesis {
        let mut tree = SparseTree::new(STATE_DEPTH);
        let begins: BTreeSet<u32> = self.begins.iter().copied().collect();
        let there = self.communities.iter().filter(|community| !begins.contains(&community.index));
        let nodes = there.map(|community| (u64::from(community.index), community.node()));
        tree.set_all(self.other_leaves.iter().copied().chain(nodes));
        Genesis {
            chain_id: self.chain_id,
            contract: self.contract,
            circuit_version: self.circuit_version,
            domain: self.domain(),
            leaves: self.other_leaves.iter().map(|(i, leaf)| (*i, record::Element(*leaf))).collect(),
            communities: u32::try_from(self.communities.len()).unwrap_or(u32::MAX),
            root: tree.root(),
        }
    }
}

/// Something to be sealed: its label and its plain bytes, wiped on drop.
pub type Part = (Label, Zeroizing<Vec<u8>>);

/// A record to be written: its public part, and what is to be sealed.
#[derive(Debug)]
pub struct Draft {
    /// Public part.
    pub event: Event,
    /// Sealed parts in plain.
    pub parts: Vec<Part>,
}

impl Draft {
    /// A record without sealed parts.
    #[must_use]
    pub const fn public(event: Event) -> Self {
        Self { event, parts: Vec::new() }
    }
}

/// What a sealed part is filled up to: who has the master key, and not the key of the account, learns no digits of it.
const PART_BYTES: usize = 1280;

/// JSON of something to be sealed, filled up with blanks.
///
/// # Errors
/// [`RecordError`], practically never.
pub fn plain<T: serde::Serialize>(record_kind: u16, value: &T) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let mut json = serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(|_| RecordError { kind: record_kind, why: "cannot be written" })?;
    let bytes = json.len().next_multiple_of(PART_BYTES);
    // Of its final size from the start: growing would leave a copy behind.
    let mut filled = Zeroizing::new(Vec::with_capacity(bytes));
    filled.append(&mut json);
    filled.resize(bytes, b' ');
    Ok(filled)
}

/// Sealed parts of a community's state.
///
/// # Errors
/// [`RecordError`], practically never.
pub fn state_parts(
    record_kind: u16,
    first_interval: Interval,
    community: &Community,
    certificates: Vec<record::Element>,
) -> Result<Vec<Part>, RecordError> {
    let label = |part| Label { kind: record_kind, community: community.index, part, first_interval };
    let own = OwnState { header: community.header.clone(), certificates };
    let mut parts = vec![(label(COMMUNITY_PART), plain(record_kind, &own)?)];
    for (slot, account) in (0u16..).zip(&community.accounts) {
        parts.push((label(slot), plain(record_kind, account)?));
    }
    Ok(parts)
}

/// The writer's side of the store. There is one.
#[derive(Debug)]
pub struct Store {
    log: Log,
    index: Index,
    reader: Arc<StoreReader>,
    staged: Vec<(u16, Vec<u8>)>,
    staged_entries: Vec<Entry>,
    staged_bytes: u64,
}

/// An opened store and what was read from it.
#[derive(Debug)]
pub struct Opened {
    /// The writer's side.
    pub store: Store,
    /// Structure of the log.
    pub log_state: LogState,
    /// Openings of every community.
    pub communities: BTreeMap<u32, Community>,
    /// State tree.
    pub tree: SparseTree,
    /// Was the index rebuilt?
    pub index_rebuilt: bool,
    /// Keys of accounts that are to be erased: that was interrupted, or a backup has brought them back.
    pub unfinished: BTreeSet<data_keys::KeyName>,
    /// The snapshot from which the log was read; what is before it was not.
    pub basis: Option<snapshots::Basis>,
}

/// A community in the file given, and not in the log.
const NOT_SERVED: &str =
    "a community given is not in the log; start without it, and add it: gridveil operator community serve";

/// Of a genesis, written with one sync.
const GROUP_BYTES: u64 = 64 << 20;

impl Store {
    /// Opens the store in `directory`, writing `genesis` where there is none yet.
    ///
    /// # Errors
    /// [`StoreError`]. A genesis other than the stored one is refused; communities that joined later may be missing in it.
    pub fn open(
        directory: &Path,
        master_key_file: &Path,
        genesis: Option<&GenesisState>,
    ) -> Result<Opened, StoreError> {
        let mut at_openings = false;
        match Self::open_once(directory, master_key_file, genesis, &mut at_openings) {
            // From a snapshot, the index of the records before it was not compared: one that is damaged there, or a
            // snapshot that is wrong, must not be the end of it.
            Err(error) if at_openings => {
                tracing::warn!(%error, "the openings do not follow from the last snapshot; all of the log is read");
                snapshots::remove_all(directory).map_err(StoreError::Directory)?;
                Self::open_once(directory, master_key_file, genesis, &mut at_openings)
            }
            opened => opened,
        }
    }

    /// The same, from a snapshot if there is one. `at_openings` is set where that has led to the openings.
    fn open_once(
        directory: &Path,
        master_key_file: &Path,
        genesis: Option<&GenesisState>,
        at_openings: &mut bool,
    ) -> Result<Opened, StoreError> {
        let opening::Read { log, bodies, index, snapshots, log_state, basis, index_rebuilt } =
            opening::read(directory, &data_keys::read_master_key(master_key_file)?)?;
        let mut log_state = log_state;
        let data_keys = DataKeys::open(&directory.join("keys"), master_key_file, log.id())?;
        let unfinished = erasures::unfinished(&erasures::path_in(directory), &data_keys, &log_state)?;
        opening::load_keys(&data_keys, &log_state)?;
        let reader = Arc::new(StoreReader::new(log.reader()?, bodies, data_keys, index.clone(), snapshots));
        let mut store = Self { log, index, reader, staged: Vec::new(), staged_entries: Vec::new(), staged_bytes: 0 };
        match genesis {
            Some(genesis) => store.begin(&mut log_state, genesis)?,
            None if log_state.genesis.is_none() => {
                return Err(StoreError::Inconsistent("the log is empty and no genesis was given"));
            }
            None if !log_state.is_whole() => {
                return Err(StoreError::Inconsistent("the first start was interrupted: give the same genesis again"));
            }
            None => {}
        }
        *at_openings = basis.is_some();
        let nodes = basis.as_ref().map(|basis| &basis.nodes);
        let (communities, tree) = opening::load_state(&store.reader, &log_state, nodes)?;
        let basis = basis.map(|basis| basis.of);
        Ok(Opened { store, log_state, communities, tree, index_rebuilt, unfinished, basis })
    }

    /// Writes what of a genesis is not in the log yet: all of it at the first start, the rest of it after one that was
    /// interrupted.
    fn begin(&mut self, log_state: &mut LogState, genesis: &GenesisState) -> Result<(), StoreError> {
        let public = genesis.public();
        match &log_state.genesis {
            None => {
                self.stage(log_state, Draft::public(Event::Genesis(public)))?;
            }
            // The file of communities may have grown by those that joined.
            Some(stored) if Genesis { communities: stored.communities, ..public } != *stored => {
                return Err(StoreError::Inconsistent("the genesis given is not the one in the log"));
            }
            Some(_) => {}
        }
        let begins: BTreeSet<u32> = genesis.begins.iter().copied().collect();
        for community in &genesis.communities {
            let begins = begins.contains(&community.index);
            match log_state.communities.get(&community.index) {
                Some(there) if record_of(community, begins)? == there.added => {}
                Some(_) => return Err(StoreError::Inconsistent("a community given is not as it is in the log")),
                None if log_state.is_whole() => return Err(StoreError::Inconsistent(NOT_SERVED)),
                None => {
                    self.stage(log_state, added(community, begins)?)?;
                    if self.staged_bytes >= GROUP_BYTES {
                        self.commit(log_state)?;
                    }
                }
            }
        }
        self.commit(log_state)
    }

    /// The readers' side.
    #[must_use]
    pub fn reader(&self) -> Arc<StoreReader> {
        Arc::clone(&self.reader)
    }

    /// Number of durable records.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.log.tip().height
    }

    /// Where the log ends.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        self.log.tip()
    }

    /// Seals a draft, adds it to the log state and to the records of the next [`Store::commit`]; gives the offset it will
    /// have.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changed then.
    pub fn stage(&mut self, log_state: &mut LogState, draft: Draft) -> Result<u64, StoreError> {
        let public = draft.event.encode()?;
        if let Event::Community(added) = &draft.event {
            let shape = Shape::by_name(&added.shape).ok_or(OrderError("a community of an unknown shape"))?;
            self.reader.data_keys().create(added.index, shape.members)?;
        }
        let sealed = draft
            .parts
            .iter()
            .map(|(label, plain)| {
                self.reader.data_keys().seal(label, generation(log_state, &draft.event, label), plain)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let body = self.reader.bodies().seal(draft.event.kind(), encode_body(&public, &sealed))?;
        if body.len() > log::MAX_BODY_BYTES as usize {
            return Err(LogError::BodyLength { got: body.len() }.into());
        }
        let offset = self.log.tip().end + self.staged_bytes;
        let entries = log_state.add(&draft.event, offset)?;
        self.staged_bytes += log::RECORD_HEADER_BYTES + body.len() as u64 + log::CHAIN_BYTES;
        self.staged.push((draft.event.kind(), body));
        self.staged_entries.extend(entries);
        Ok(offset)
    }

    /// Makes everything staged durable with one sync.
    ///
    /// # Errors
    /// [`StoreError::Log`]: the store must be opened again.
    pub fn commit(&mut self, log_state: &LogState) -> Result<(), StoreError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.log.append(&std::mem::take(&mut self.staged))?;
        self.staged_bytes = 0;
        let entries = std::mem::take(&mut self.staged_entries);
        if self.index.add(entries, &self.log.tip(), &log_state.root).is_err() {
            tracing::error!("the index could not be written; it is rebuilt at the next start");
        }
        Ok(())
    }

    /// Flushes the index.
    pub fn close(self) {
        let _ = self.index.flush();
    }
}

/// Generation of the key that a part is sealed under.
fn generation(log_state: &LogState, event: &Event, label: &Label) -> u32 {
    let Some(state) = log_state.communities.get(&label.community) else { return 0 };
    if let Event::Applied(applied) = event
        && let Some(ended) = applied.ended.iter().find(|ended| ended.slot == label.part)
    {
        return ended.generation;
    }
    if let Event::Kept(kept) = event {
        return state.switches.generation_in(label.part, kept.batch);
    }
    state.switches.generation(label.part)
}

/// The public part of the record of a community that is served from now on.
///
/// # Errors
/// [`StoreError::Inconsistent`]: it has not its shape, or begins and is not empty.
fn record_of(community: &Community, begins: bool) -> Result<CommunityAdded, StoreError> {
    if community.accounts.len() != community.shape.members
        || usize::from(community.header.intervals) != community.shape.intervals
    {
        return Err(StoreError::Inconsistent("a community does not have its shape"));
    }
    if begins && init::check(community).is_err() {
        return Err(StoreError::Inconsistent("a community that begins is not empty"));
    }
    Ok(CommunityAdded {
        index: community.index,
        shape: community.shape.name.to_owned(),
        next_interval: community.header.next_interval,
        begins,
    })
}

/// The record of a community that is served from now on.
///
/// # Errors
/// [`StoreError::Inconsistent`]: it has not its shape, or begins and is not empty.
pub fn added(community: &Community, begins: bool) -> Result<Draft, StoreError> {
    let event = Event::Community(record_of(community, begins)?);
    let appended =
        (0..community.header.certificate_count).map(|i| record::Element(community.certificates.leaf(i))).collect();
    Ok(Draft { event, parts: state_parts(record::kind::COMMUNITY, Interval::ZERO, community, appended)? })
}

#[cfg(test)]
mod tests;
