//! A key file byte by byte (`docs/spec/log.md`, Data keys): the first keys of all slots, then those that were made later.
//! Nothing in it is moved or written twice, so that an overwritten key is nowhere else in the file system.

use std::collections::BTreeSet;

use gridveil_keystore::{SealingKey, sealed};

use super::{COMMUNITY_PART, DataKeyError, KeyName};

const MAGIC: [u8; 8] = *b"GVKEYS01";
const KEY_BYTES: usize = 32;
/// Nonce, wrapped key.
pub(super) const WRAPPED_BYTES: usize = sealed::NONCE_BYTES + KEY_BYTES + sealed::TAG_BYTES;
/// Generation, nonce, wrapped key.
pub(super) const ENTRY_BYTES: usize = 4 + WRAPPED_BYTES;
/// Part, and an entry.
const LATER_BYTES: usize = 2 + ENTRY_BYTES;

/// A key, and where its entry is.
pub(super) struct Loaded {
    /// Of the entry, from the start of the file.
    pub at: u64,
    pub key: SealingKey,
}

/// What an entry is.
pub(super) enum Entry {
    Key(SealingKey),
    /// Overwritten.
    Erased,
    /// It was erased, and a backup has brought it back.
    Back,
}

/// What is in a key file.
#[derive(Default)]
pub(super) struct Found {
    pub open: Vec<(KeyName, Loaded)>,
    pub erased: BTreeSet<KeyName>,
    /// Where entries are that are to be overwritten again.
    pub back: Vec<u64>,
    /// Where the next entry goes: what is after it was never used.
    pub end: u64,
}

pub(super) fn wrap_label(log_id: &[u8; 16], (community, part, generation): KeyName) -> Vec<u8> {
    [&b"gridveil data key v1"[..], log_id, &community.to_be_bytes(), &part.to_be_bytes(), &generation.to_be_bytes()]
        .concat()
}

pub(super) fn part_of(index: usize, slots: usize) -> u16 {
    if index == slots { COMMUNITY_PART } else { u16::try_from(index).unwrap_or(COMMUNITY_PART) }
}

/// The first bytes of a community's key file.
pub(super) fn start(community: u32, slots: usize) -> Result<Vec<u8>, DataKeyError> {
    let count = u32::try_from(slots + 1).map_err(|_| DataKeyError::KeyFile { community, why: "has too many slots" })?;
    Ok([&MAGIC[..], &community.to_be_bytes(), &count.to_be_bytes()].concat())
}

/// Reads a key file. `open` gives the key of an entry, or `None` if it does not open.
pub(super) fn read(
    bytes: &[u8],
    community: u32,
    slots: usize,
    open: impl Fn(KeyName, &[u8]) -> Option<Entry>,
) -> Result<Found, DataKeyError> {
    let wrong = |why| DataKeyError::KeyFile { community, why };
    let start = start(community, slots)?;
    let rest = bytes.strip_prefix(start.as_slice()).ok_or_else(|| wrong("is damaged, or of another community"))?;
    let first = ENTRY_BYTES * (slots + 1);
    let (first, later) = rest.split_at_checked(first).ok_or_else(|| wrong("is damaged, or of another community"))?;
    let mut found = Found { end: start.len() as u64, ..Found::default() };
    for (index, entry) in first.chunks(ENTRY_BYTES).enumerate() {
        if !found.add(community, part_of(index, slots), entry, &open) {
            return Err(wrong("is damaged, of another log, or wrapped by another master key"));
        }
    }
    for (index, later_entry) in later.chunks(LATER_BYTES).enumerate() {
        let last = (index + 1) * LATER_BYTES >= later.len();
        let whole = later_entry.split_first_chunk().filter(|(_, entry)| entry.len() == ENTRY_BYTES);
        let part = whole.map_or(0, |(part, _)| u16::from_be_bytes(*part));
        // The file grew, and the key never reached the disk: nothing was sealed under it.
        let torn = later_entry.iter().all(|byte| *byte == 0);
        found.end += 2;
        if torn || !whole.is_some_and(|(_, entry)| found.add(community, part, entry, &open)) {
            found.end -= 2;
            if last {
                break;
            }
            return Err(wrong("is damaged where keys were made later"));
        }
    }
    Ok(found)
}

impl Found {
    /// Adds an entry at the end; `false` if it does not open.
    fn add(&mut self, community: u32, part: u16, entry: &[u8], open: impl Fn(KeyName, &[u8]) -> Option<Entry>) -> bool {
        let Some((generation, wrapped)) = entry.split_first_chunk() else { return false };
        let (name, at) = ((community, part, u32::from_be_bytes(*generation)), self.end);
        match open(name, wrapped) {
            Some(Entry::Key(key)) => self.open.push((name, Loaded { at, key })),
            Some(Entry::Erased) => drop(self.erased.insert(name)),
            Some(Entry::Back) => {
                self.back.push(at);
                self.erased.insert(name);
            }
            None => return false,
        }
        self.end += ENTRY_BYTES as u64;
        true
    }
}
