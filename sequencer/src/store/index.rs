//! The sled index: where things are in the log. Never the truth; compared with the log on opening and rebuilt on any
//! difference.

use std::{fs, io, io::Read as _, path::Path};

use super::{log::Tip, log_state::Entry};
use gridveil_keystore::SealingKey;
use gridveil_protocol::field::{Fr, to_bytes};

const TIP: &[u8] = b"m";

/// A key, or the rest of one, and what is there.
pub type Held = (Vec<u8>, Vec<u8>);

/// Letter and identity of an entry.
const IDENTITY_BYTES: usize = 33;
/// Of the hash that stands for them.
const HIDDEN_BYTES: usize = 16;
const LOCK_TRIES: u32 = 250;
/// Bytes of pages in memory.
const CACHE: u64 = 16 << 20;

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("lock"))
}

/// Overwrites every file of a directory with zeros, before it is removed. A file system that writes in place keeps nothing
/// of them then; one that copies on write, or a disk that moves its blocks, may.
pub(super) fn overwrite_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            overwrite_all(&path)?;
        } else {
            overwrite(&path)?;
        }
    }
    Ok(())
}

/// The same with one file.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    let bytes = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    file.sync_all()
}

/// An open index.
#[derive(Clone, Debug)]
pub struct Index {
    db: sled::Db,
    key: SealingKey,
}

fn tip_value(tip: &Tip, root: &Fr) -> Vec<u8> {
    [&tip.height.to_be_bytes()[..], &tip.chain, &to_bytes(root)].concat()
}

impl Index {
    /// Opens the index; one that does not open is removed and made anew.
    ///
    /// # Errors
    /// Those of sled, where not even an empty one can be made.
    pub fn open(directory: &Path, key: SealingKey) -> Result<Self, sled::Error> {
        let open = || sled::Config::new().path(directory).cache_capacity(CACHE).flush_every_ms(Some(1000)).open();
        let mut opened = open();
        // The log's lock is ours, so a lock on the index is that of threads of this process that are about to end.
        for _ in 0..LOCK_TRIES {
            if !opened.as_ref().is_err_and(is_lock) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            opened = open();
        }
        let db = match opened {
            Ok(db) => db,
            Err(error) if is_lock(&error) => return Err(error),
            Err(_) => {
                tracing::warn!("the index does not open; it is made anew");
                fs::remove_dir_all(directory)?;
                open()?
            }
        };
        Ok(Self { db, key })
    }

    /// An empty one in its place. The files of this one are overwritten first: a page that is no longer used stays in them.
    ///
    /// # Errors
    /// Those of sled.
    pub fn anew(self, directory: &Path) -> Result<Self, sled::Error> {
        let Self { db, key } = self;
        drop(db);
        overwrite_all(directory)?;
        fs::remove_dir_all(directory)?;
        Self::open(directory, key)
    }

    /// A key of the index as it is on disk: a thief finds neither slots nor periods. What orders the entries of one
    /// identity stays at its end.
    fn hidden(&self, key: &[u8]) -> Vec<u8> {
        let named = match key.first() {
            Some(b'o' | b'b' | b'r' | b'n') => key.split_at_checked(IDENTITY_BYTES).unwrap_or((key, &[])),
            _ => (key, &[][..]),
        };
        let hash = blake3::keyed_hash(self.key.as_bytes(), named.0);
        [&hash.as_bytes()[..HIDDEN_BYTES], named.1].concat()
    }

    /// Is this at its key?
    #[must_use]
    pub fn holds(&self, (key, value): &Entry) -> bool {
        self.db.get(self.hidden(key)).is_ok_and(|held| held.as_deref() == value.as_deref())
    }

    /// Does the index stand at this tip?
    #[must_use]
    pub fn is_at(&self, tip: &Tip, root: &Fr) -> bool {
        self.db.get(TIP).ok().flatten().is_some_and(|v| v == tip_value(tip, root).as_slice())
    }

    /// Has it this many entries? All of it is read.
    #[must_use]
    pub fn has_entries(&self, entries: u64) -> bool {
        self.db.len() as u64 == entries + 1
    }

    /// An index that is there, as it is; `None` if it does not open.
    #[must_use]
    pub fn peek(directory: &Path, key: SealingKey) -> Option<Self> {
        let there = directory.join("conf").exists();
        let db = there.then(|| sled::Config::new().path(directory).cache_capacity(CACHE).open().ok()).flatten();
        db.map(|db| Self { db, key })
    }

    /// Where the log ended when the index was last written: number of records, and chain value after them.
    #[must_use]
    pub fn seen(&self) -> Option<(u64, [u8; 32])> {
        let tip = self.db.get(TIP).ok().flatten()?;
        let (height, rest) = tip.split_first_chunk::<8>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        (rest.len() == 32).then_some((u64::from_be_bytes(*height), *chain))
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Those of sled.
    pub fn clear(&self) -> Result<(), sled::Error> {
        self.db.clear()
    }

    /// Adds entries and moves the tip, atomically.
    ///
    /// # Errors
    /// Those of sled.
    pub fn add(&self, entries: Vec<Entry>, tip: &Tip, root: &Fr) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in entries {
            let key = self.hidden(&key);
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(TIP, tip_value(tip, root));
        self.db.apply_batch(batch)
    }

    /// The 8 bytes at the start of an entry, as a number.
    ///
    /// # Errors
    /// Those of sled.
    pub fn number(&self, key: &[u8]) -> Result<Option<u64>, sled::Error> {
        let value = self.db.get(self.hidden(key))?;
        Ok(value.and_then(|v| v.first_chunk::<8>().copied()).map(u64::from_be_bytes))
    }

    /// Identity of an accepted packet.
    ///
    /// # Errors
    /// Those of sled.
    pub fn packet_id(&self, key: &[u8]) -> Result<Option<[u8; 32]>, sled::Error> {
        let value = self.db.get(self.hidden(key))?;
        Ok(value.and_then(|v| v.get(8..).and_then(|id| id.try_into().ok())))
    }

    /// The last entry whose key begins so: the rest of its key, and its value.
    ///
    /// # Errors
    /// Those of sled.
    pub fn last(&self, prefix: &[u8]) -> Result<Option<Held>, sled::Error> {
        let prefix = self.hidden(prefix);
        let found = self.db.scan_prefix(&prefix).next_back().transpose()?;
        Ok(found.map(|(key, value)| (key.get(prefix.len()..).unwrap_or_default().to_vec(), value.to_vec())))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Those of sled.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, sled::Error> {
        Ok(self.db.get(self.hidden(key))?.map(|v| v.to_vec()))
    }

    /// Writes what sled still holds back. `false` if it could not.
    pub fn flush(&self) -> bool {
        self.db.flush().is_ok()
    }
}
