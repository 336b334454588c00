//! The check of all of a log: every record, its chain and its body, in order; what follows from them, beside the snapshot
//! that opening began at; every entry of the index. A running sequencer makes it in the background, and
//! `gridveil operator log check` while none runs.

use std::{collections::BTreeSet, path::Path, thread, time::Duration};

use super::{
    StoreError,
    bodies::Bodies,
    data_keys::{self, DataKeys},
    index::Index,
    log::{self, Found, LogReader, Record, Tip},
    log_state::LogState,
    opening::{self, Missing, add},
    reader::StoreReader,
    snapshots::{self, Basis, Snapshots},
};

/// What a check found wrong.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// It was told to stop.
    #[error("the check was stopped")]
    Stopped,
    /// The log.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The snapshot.
    #[error(
        "log: the snapshot of {height} records is not what these records lead to: stop the sequencer, and start it again. \
         It reads all of the log then"
    )]
    Snapshot {
        /// After which record.
        height: u64,
    },
    /// The openings of a community.
    #[error(
        "log: the openings of community {community} do not lead to the state root: stop the sequencer, and start it again. It \
         reads all of the log then"
    )]
    Openings {
        /// Community.
        community: u32,
    },
    /// The index.
    #[error("log: the index is not what the log says; the next start makes it anew")]
    Index,
}

impl From<log::LogError> for Finding {
    fn from(error: log::LogError) -> Self {
        Self::Log(error.into())
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records.
    pub records: u64,
    /// Bytes of the log.
    pub bytes: u64,
}

/// Rounds in which the index, which changes meanwhile, may come to what was read.
const ROUNDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

struct Check<'a> {
    bodies: &'a Bodies,
    index: Option<&'a Index>,
    basis: Option<Basis>,
    log_state: LogState,
    missing: Missing,
}

impl Check<'_> {
    fn add(&mut self, record: Record) -> Result<(), Finding> {
        let height = record.height + 1;
        let entries = add(&mut self.log_state, self.bodies, record)?;
        if let Some(index) = self.index {
            self.missing.compare(index, entries);
        }
        match self.basis {
            Some(basis) if basis.tip.height == height => {
                let found = snapshots::digest(&self.log_state).map_err(StoreError::Directory)?;
                if found == basis.digest { Ok(()) } else { Err(Finding::Snapshot { height }) }
            }
            _ => Ok(()),
        }
    }
}

impl StoreReader {
    /// Checks all of the log of a running sequencer, and its index. `end` says where the log ends now; `pace` is told the
    /// bytes of every record, and stops the check with `false`.
    ///
    /// # Errors
    /// [`Finding`].
    pub fn check(
        &self,
        basis: Option<Basis>,
        end: impl Fn() -> Tip,
        mut pace: impl FnMut(u64) -> bool,
    ) -> Result<Checked, Finding> {
        let (bodies, index) = (self.bodies(), Some(&self.index));
        let mut check = Check { bodies, index, basis, log_state: LogState::default(), missing: Missing::default() };
        let start = self.snapshots.identity().start();
        let mut at = start;
        for _ in 0..ROUNDS {
            let to = end();
            scan(self.log(), at, &to, &mut check, &mut pace)?;
            at = to;
            // A later record may have replaced an entry.
            let quiet = || self.index.seen().is_some_and(|(seen, _)| seen == at.height);
            let counted = quiet() && self.index.has_entries(check.log_state.entries);
            if check.missing.is_empty() && (counted || !quiet()) {
                return Ok(Checked { records: at.height, bytes: at.end });
            }
            thread::sleep(PAUSE);
        }
        Err(Finding::Index)
    }
}

fn scan(
    log: &LogReader,
    from: Tip,
    to: &Tip,
    check: &mut Check<'_>,
    pace: &mut impl FnMut(u64) -> bool,
) -> Result<(), Finding> {
    log.scan::<Finding>(from, to, |record| {
        if !pace(record.body.len() as u64) {
            return Err(Finding::Stopped);
        }
        check.add(record)
    })
}

/// What a check found of a log that no sequencer has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// All that is whole.
    pub checked: Checked,
    /// Bytes of a last record that was not written to its end: the next start cuts it off.
    pub torn: u64,
    /// Communities, with their keys.
    pub communities: usize,
    /// Communities whose openings were opened, and lead to the state root: all of them, if the index is as the log says.
    pub opened: Option<usize>,
    /// Is the index as the log says? `None` if there is none. A start makes one that is not anew.
    pub index: Option<bool>,
    /// Snapshots that are what the log leads to.
    pub snapshots: usize,
    /// Those that are not: a start passes them over, or they are of other records than the log has.
    pub other_snapshots: usize,
}

/// Checks a log, its keys and the openings in it, and changes nothing.
///
/// # Errors
/// [`StoreError`]: what a start would refuse, a sequencer that runs.
pub fn check(directory: &Path, master_key_file: &Path) -> Result<Report, StoreError> {
    let path = log::path_in(directory);
    if !log::is_there(&path)? {
        let key_files = data_keys::count_files(&directory.join("keys"))?;
        return Err(StoreError::LogGone { key_files, index: false });
    }
    let master = data_keys::read_master_key(master_key_file)?;
    let found = Found::at(&path, None)?;
    let identity = found.identity();
    let bodies = Bodies::of(&master, &identity);
    let snapshots = Snapshots::of(directory, &master, identity);
    let places = snapshots.tips();
    let index = Index::peek(&directory.join("index"), opening::index_key(&master, &identity.id));
    let (mut log_state, mut missing, mut good) = (LogState::default(), Missing::default(), 0);
    let tip = found.scan::<StoreError>(identity.start(), |record| {
        let (height, chain) = (record.height + 1, record.chain);
        let entries = add(&mut log_state, &bodies, record)?;
        if let Some(index) = &index {
            missing.compare(index, entries);
        }
        if places.iter().any(|tip| tip.height == height && tip.chain == chain) {
            let digest = snapshots::digest(&log_state).map_err(StoreError::Directory)?;
            let saved = places.iter().find(|tip| tip.height == height).and_then(|tip| snapshots.read(tip));
            good += usize::from(saved.is_some_and(|saved| saved.digest == digest));
        }
        Ok(())
    })?;
    let keys = DataKeys::open(&directory.join("keys"), master_key_file, identity.id)?;
    for (community, state) in &log_state.communities {
        keys.load(*community, state.shape.members, &BTreeSet::new())?;
    }
    let right = index.as_ref().is_some_and(|index| {
        missing.is_empty() && index.is_at(&tip, &log_state.root) && index.has_entries(log_state.entries)
    });
    let there = index.is_some();
    let opened = match index.filter(|_| right) {
        Some(index) => {
            let reader = StoreReader::new(found.reader()?, bodies, keys, index, snapshots);
            Some(opening::load_state(&reader, &log_state, None)?.0.len())
        }
        None => None,
    };
    Ok(Report {
        checked: Checked { records: tip.height, bytes: tip.end },
        torn: found.bytes() - tip.end,
        communities: log_state.communities.len(),
        opened,
        index: there.then_some(right),
        snapshots: good,
        other_snapshots: places.len() - good,
    })
}
