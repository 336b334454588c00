//! What follows from the log, as it was at some record, so that opening reads only the records after it
//! (`docs/spec/log.md`, Snapshots). Never the truth: one that is damaged, or not of this log, is passed over, and without
//! any the log is read from its beginning.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gridveil_keystore::{
    SealingKey,
    durable::{self, Access},
};
use gridveil_protocol::field::Fr;

use super::{
    bodies::{derived, filled},
    log::{FILE_HEADER_BYTES, Identity, Tip},
    log_state::LogState,
    record::Element,
};

/// First bytes of a file.
const MAGIC: [u8; 8] = *b"GVSNAP01";
/// Goes up whenever what follows from the log, or how it is written, is another: an older one is passed over.
const VERSION: u32 = 1;
/// Magic, version, zero, identity, height, end, chain value.
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8 + 8 + 32;
const CHECK_BYTES: usize = 32;
/// Two lengths.
const LENGTHS: usize = 16;
/// Bytes of the largest: that of 20 million packets of open periods.
const MOST_BYTES: u64 = 4 << 30;
/// Fewest bytes of the sealed part.
const LEAST: usize = 64 << 10;
/// So many are kept: where one did not reach the disk, the one before it did.
const KEPT: usize = 2;

/// State of a community in the tree, by the record that its openings are in.
pub(super) type Nodes = BTreeMap<u32, (u64, Fr)>;

/// A snapshot that opening began at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// After which record.
    pub tip: Tip,
    /// Digest of what it says.
    pub(super) digest: blake3::Hash,
}

/// A snapshot that was read.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// After which record.
    pub tip: Tip,
    /// Structure of the log.
    pub log_state: LogState,
    /// Nodes of the communities that are in the state tree.
    pub nodes: Nodes,
    /// Of the structure as it was written.
    pub digest: blake3::Hash,
}

/// Where the snapshots of a log are.
pub struct Snapshots {
    directory: PathBuf,
    key: SealingKey,
    identity: Identity,
    writing: Mutex<()>,
    distrusted: AtomicBool,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshots")
    }
}

/// Where they are in a data directory.
#[must_use]
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

/// Removes every one: the log is read from its beginning then.
///
/// # Errors
/// Those of the file system.
pub fn remove_all(directory: &Path) -> io::Result<()> {
    let path = path_in(directory);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| durable::sync_parent(&path)),
    }
}

/// Digest of what follows from the log, as [`Saved::digest`].
pub(super) fn digest(log_state: &LogState) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    serde_json::to_writer(&mut hasher, log_state)?;
    Ok(hasher.finalize())
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

impl Snapshots {
    /// Those of a log in `directory`.
    pub(super) fn of(directory: &Path, master: &SealingKey, identity: Identity) -> Self {
        let key = derived("gridveil log snapshot v1", master, &identity.id);
        let (writing, distrusted) = (Mutex::default(), AtomicBool::new(false));
        Self { directory: path_in(directory), key, identity, writing, distrusted }
    }

    /// Identity of their log.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    fn header(&self, tip: &Tip) -> Vec<u8> {
        [
            &MAGIC[..],
            &VERSION.to_be_bytes(),
            &[0; 4],
            &self.identity.id,
            &tip.height.to_be_bytes(),
            &tip.end.to_be_bytes(),
            &tip.chain,
        ]
        .concat()
    }

    fn path(&self, height: u64) -> PathBuf {
        self.directory.join(format!("{height:020}"))
    }

    /// Heights of the files there, newest first.
    fn heights(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let height = |name: std::ffi::OsString| name.to_str().filter(|name| name.len() == 20)?.parse().ok();
        let mut heights: Vec<u64> = entries.filter_map(|entry| height(entry.file_name())).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights
    }

    /// After which records those are that are whole and of this log, newest first.
    pub(super) fn tips(&self) -> Vec<Tip> {
        let tip = |height| match self.whole(height) {
            Ok((tip, _)) => Some(tip),
            Err(why) => {
                tracing::warn!(height, why, "a snapshot is passed over");
                None
            }
        };
        self.heights().into_iter().filter_map(tip).collect()
    }

    /// Reads one and opens it.
    pub(super) fn read(&self, tip: &Tip) -> Option<Saved> {
        let saved = self.whole(tip.height).and_then(|(tip, bytes)| self.open(tip, &bytes));
        saved.inspect_err(|why| tracing::warn!(height = tip.height, why, "a snapshot is passed over")).ok()
    }

    /// A file that reached the disk as it was written.
    fn whole(&self, height: u64) -> Result<(Tip, Vec<u8>), &'static str> {
        let bytes = durable::read_bounded(&self.path(height), MOST_BYTES).map_err(|_| "it cannot be read")?;
        let (content, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or("it is not whole")?;
        if blake3::hash(content) != *check {
            return Err("it is not whole");
        }
        let header = content.get(..HEADER_BYTES).ok_or("it is not whole")?;
        let (named, place) = header.split_at_checked(32).ok_or("it is not whole")?;
        let (named_height, rest) = place.split_first_chunk::<8>().ok_or("it is not whole")?;
        let (end, chain) = rest.split_first_chunk::<8>().ok_or("it is not whole")?;
        let chain = chain.try_into().map_err(|_| "it is not whole")?;
        let tip = Tip { height: u64::from_be_bytes(*named_height), end: u64::from_be_bytes(*end), chain };
        if self.header(&tip).get(..32) != Some(named) {
            return Err("it is of another log, or of another release");
        }
        if tip.height != height || tip.end < FILE_HEADER_BYTES {
            return Err("it is not what its name says");
        }
        Ok((tip, bytes))
    }

    fn open(&self, tip: Tip, bytes: &[u8]) -> Result<Saved, &'static str> {
        let (header, sealed) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is not whole")?;
        let sealed = sealed.get(..sealed.len().saturating_sub(CHECK_BYTES)).ok_or("it is not whole")?;
        let plain = self.key.open(&[], header, sealed).map_err(|_| "it was sealed under another master key")?;
        let structure = LENGTHS.checked_add(length(&plain, 0)?).ok_or(FORM)?;
        let end = structure.checked_add(length(&plain, 8)?).ok_or(FORM)?;
        let (structure, nodes) = (plain.get(LENGTHS..structure).ok_or(FORM)?, plain.get(structure..end).ok_or(FORM)?);
        let nodes: Vec<(u32, u64, Element)> = serde_json::from_slice(nodes).map_err(|_| FORM)?;
        let nodes = nodes.into_iter().map(|(community, offset, node)| (community, (offset, node.0))).collect();
        let log_state = serde_json::from_slice(structure).map_err(|_| FORM)?;
        Ok(Saved { tip, log_state, nodes, digest: blake3::hash(structure) })
    }

    /// Writes one, durably, and removes those before the last. Nothing is written where one of this height is, or where
    /// something was found wrong with what is in memory. `true` if one was written.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self, tip: &Tip, log_state: &LogState, nodes: &Nodes) -> io::Result<bool> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.path(tip.height).exists() && self.whole(tip.height).is_ok_and(|(there, _)| there == *tip);
        if there || self.distrusted.load(Ordering::SeqCst) {
            return Ok(false);
        }
        durable::private_directory(&self.directory)?;
        let header = self.header(tip);
        let sealed = {
            let plain = plain(log_state, nodes)?;
            self.key.seal(&[], &header, &plain).map_err(io::Error::other)?
        };
        let mut check = blake3::Hasher::new();
        check.update(&header).update(&sealed);
        durable::replace_with(&self.path(tip.height), Access::Owner, |file| {
            file.write_all(&header)?;
            file.write_all(&sealed)?;
            file.write_all(check.finalize().as_bytes())
        })?;
        for height in self.heights().into_iter().skip(KEPT) {
            fs::remove_file(self.path(height))?;
        }
        Ok(true)
    }

    /// What was found to be wrong is not written again, and the next start reads all of the log.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn distrust(&self) -> io::Result<()> {
        self.distrusted.store(true, Ordering::SeqCst);
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.heights().into_iter().try_for_each(|height| fs::remove_file(self.path(height)))
    }

    /// Removes what a crash left of writing one. The caller has the log's lock.
    pub(super) fn tidy(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.ends_with(".tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

const FORM: &str = "it has another form than this release writes";

fn length(plain: &[u8], at: usize) -> Result<usize, &'static str> {
    let length = plain.get(at..at + 8).and_then(number).and_then(|length| usize::try_from(length).ok());
    length.ok_or(FORM)
}

/// Two lengths, the structure, the nodes, zeros.
fn plain(log_state: &LogState, nodes: &Nodes) -> io::Result<Vec<u8>> {
    let mut plain = vec![0; LENGTHS];
    serde_json::to_writer(&mut plain, log_state)?;
    let structure = (plain.len() - LENGTHS) as u64;
    let nodes: Vec<_> = nodes.iter().map(|(community, (offset, node))| (community, offset, Element(*node))).collect();
    serde_json::to_writer(&mut plain, &nodes)?;
    let of_nodes = (plain.len() - LENGTHS) as u64 - structure;
    let lengths = [structure.to_be_bytes(), of_nodes.to_be_bytes()].concat();
    plain.iter_mut().zip(lengths).for_each(|(place, byte)| *place = byte);
    plain.resize(filled(plain.len(), LEAST), 0);
    Ok(plain)
}
