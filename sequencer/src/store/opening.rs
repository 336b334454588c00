//! Opening a store: the newest snapshot that is the log's, the records after it, the index, the keys, the openings.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gridveil_keystore::SealingKey;
use gridveil_protocol::{community::Community, params::STATE_DEPTH, tree::SparseTree};

use super::{
    StoreError,
    bodies::{self, Bodies},
    data_keys::{DataKeyError, DataKeys},
    evidence::{Evidence, check_there},
    index::Index,
    log::{self, Found, Log, LogError, Record, Tip},
    log_state::{Entry, LogState},
    modes,
    reader::StoreReader,
    record::{Event, decode_body},
    snapshots::{Basis, Nodes, Saved, Snapshots},
};

/// With so many entries missing, the index is rebuilt in any case.
const MOST_MISSING: usize = 4096;

/// What was read.
pub(super) struct Read {
    pub log: Log,
    pub bodies: Bodies,
    pub index: Index,
    pub snapshots: Snapshots,
    pub log_state: LogState,
    pub basis: Option<BasisRead>,
    pub index_rebuilt: bool,
}

/// The snapshot that reading began at, and the nodes in it.
pub(super) struct BasisRead {
    pub of: Basis,
    pub nodes: Nodes,
}

/// Key of the index.
pub(super) fn index_key(master: &SealingKey, id: &[u8; 16]) -> SealingKey {
    bodies::derived("gridveil log index v1", master, id)
}

/// Adds a record and gives its index entries.
pub(super) fn add(log_state: &mut LogState, bodies: &Bodies, record: Record) -> Result<Vec<Entry>, StoreError> {
    let body = bodies.open(record.kind, record.body)?;
    let (public, _) = decode_body(record.kind, &body)?;
    Ok(log_state.add(&Event::decode(record.kind, public)?, record.offset)?)
}

/// The newest snapshot that the log has at its place, and that the index, which has seen so many records, is not behind.
fn newest(found: &Found, snapshots: &Snapshots, tips: &[Tip], indexed: Option<u64>) -> Result<Option<Saved>, LogError> {
    for tip in tips.iter().filter(|tip| indexed.is_some_and(|indexed| indexed >= tip.height)) {
        if found.has(tip)?
            && let Some(saved) = snapshots.read(tip)
        {
            return Ok(Some(saved));
        }
    }
    Ok(None)
}

/// Entries of the index that it does not have. A later record may have replaced them.
#[derive(Default)]
pub(super) struct Missing(BTreeSet<Vec<u8>>);

impl Missing {
    pub(super) fn compare(&mut self, index: &Index, entries: Vec<Entry>) {
        for entry in entries {
            if index.holds(&entry) {
                self.0.remove(&entry.0);
            } else if self.0.len() < MOST_MISSING {
                self.0.insert(entry.0);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a log, and brings its index up to it.
pub(super) fn read(directory: &Path, master: &SealingKey) -> Result<Read, StoreError> {
    modes::close(directory).map_err(StoreError::Directory)?;
    let path = log::path_in(directory);
    check_there(directory, &path)?;
    // sled locks its directory: the log's lock comes first, so that a second process is told about the log.
    let found = Found::at(&path, None)?;
    let identity = found.identity();
    let (bodies, snapshots) = (Bodies::of(master, &identity), Snapshots::of(directory, master, identity));
    snapshots.tidy();
    let tips = snapshots.tips();
    let mut index = Index::open(&directory.join("index"), index_key(master, &identity.id))?;
    let indexed = index.seen();
    let seen = tips.iter().map(|tip| (tip.height, tip.chain)).chain(indexed).collect();
    let evidence = Evidence { seen };
    let saved = newest(&found, &snapshots, &tips, indexed.map(|(height, _)| height))?;
    let (from, mut log_state, basis) = match saved {
        Some(Saved { tip, log_state, nodes, digest }) => {
            (tip, log_state, Some(BasisRead { of: Basis { tip, digest }, nodes }))
        }
        None => (identity.start(), LogState::default(), None),
    };
    evidence.compare(from.height, &from.chain)?;
    let base = basis.is_some().then(|| log_state.clone());
    let mut missing = Missing::default();
    let log = found.read::<StoreError>(from, |record| {
        evidence.compare(record.height + 1, &record.chain)?;
        missing.compare(&index, add(&mut log_state, &bodies, record)?);
        Ok(())
    })?;
    let tip = log.tip();
    evidence.check(tip.height)?;
    let good = missing.is_empty() && index.is_at(&tip, &log_state.root);
    let mut index_rebuilt = false;
    match base {
        _ if tip.height == 0 => index.clear()?,
        // What the index has of the records up to the snapshot is there: it had seen them.
        Some(base) if !good => {
            tracing::info!(height = tip.height, "the index is brought up to the log");
            fill(&log, from, base, &bodies, &index)?;
        }
        None if !good || !index.has_entries(log_state.entries) => {
            tracing::warn!(height = tip.height, "the index differs from the log; rebuilding it");
            // Old pages may have what was erased, or what an earlier release wrote in clear.
            index = index.anew(&directory.join("index"))?;
            fill(&log, from, LogState::default(), &bodies, &index)?;
            index_rebuilt = true;
        }
        Some(_) | None => {}
    }
    tracing::debug!(from = from.height, height = tip.height, "the log was read");
    Ok(Read { log, bodies, index, snapshots, log_state, basis, index_rebuilt })
}

/// The structure of a log alone.
pub(super) fn structure(directory: &Path, master: &SealingKey) -> Result<(Log, LogState), StoreError> {
    let found = Found::at(&log::path_in(directory), None)?;
    let identity = found.identity();
    let (bodies, snapshots) = (Bodies::of(master, &identity), Snapshots::of(directory, master, identity));
    let saved = newest(&found, &snapshots, &snapshots.tips(), Some(u64::MAX))?;
    let (from, mut log_state) =
        saved.map_or_else(|| (identity.start(), LogState::default()), |saved| (saved.tip, saved.log_state));
    let log = found.read::<StoreError>(from, |record| add(&mut log_state, &bodies, record).map(drop))?;
    Ok((log, log_state))
}

/// Puts into the index what the records from a place on say. If it is interrupted, the index says how far it has come.
fn fill(log: &Log, from: Tip, mut log_state: LogState, bodies: &Bodies, index: &Index) -> Result<(), StoreError> {
    log.scan_from::<StoreError>(from, |record| {
        let at = record.after();
        let entries = add(&mut log_state, bodies, record)?;
        index.add(entries, &at, &log_state.root)?;
        Ok(())
    })?;
    // Also where no record was read, and nothing was wrong but this.
    index.add(Vec::new(), &log.tip(), &log_state.root)?;
    index.flush();
    Ok(())
}

/// Loads every key that is not erased, and sees that those are there that are in use.
pub(super) fn load_keys(keys: &DataKeys, log_state: &LogState) -> Result<(), DataKeyError> {
    for (community, entry) in &log_state.communities {
        keys.load(*community, entry.shape.members, &log_state.erased)?;
        let old = |(slot, generation): (u16, u32)| !keys.knows((*community, slot, generation));
        if entry.switches.current().any(old) {
            let why = "is an old copy: it lacks keys that were made later. Put the newest one back";
            return Err(DataKeyError::KeyFile { community: *community, why });
        }
    }
    Ok(())
}

/// Openings and state tree. From a snapshot, the node of a community that had no batch since is the one in it, and that of
/// another what its last batch's record says: no members are hashed. That the openings lead there is checked in the
/// background.
pub(super) fn load_state(
    reader: &StoreReader,
    log_state: &LogState,
    nodes: Option<&Nodes>,
) -> Result<(BTreeMap<u32, Community>, SparseTree), StoreError> {
    let genesis = log_state.genesis.as_ref().ok_or(StoreError::Inconsistent("no genesis"))?;
    let mut leaves: Vec<_> = genesis.leaves.iter().map(|(index, leaf)| (*index, leaf.0)).collect();
    let mut communities = BTreeMap::new();
    for (index, entry) in &log_state.communities {
        let community = reader.community(*index, entry)?;
        if entry.begun {
            let node = match nodes {
                None => community.node(),
                Some(nodes) => match nodes.get(index).filter(|(offset, _)| *offset == entry.state_at.1) {
                    Some((_, node)) => *node,
                    None => reader.recorded_node(&community, entry.state_at)?,
                },
            };
            leaves.push((u64::from(*index), node));
        }
        communities.insert(*index, community);
    }
    let mut tree = SparseTree::new(STATE_DEPTH);
    tree.set_all(leaves);
    if tree.root() != log_state.root {
        return Err(StoreError::Inconsistent("the openings in the log do not lead to its last state root"));
    }
    Ok((communities, tree))
}
