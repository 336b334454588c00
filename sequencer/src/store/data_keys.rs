//! Data keys: one for every slot and one for every community, wrapped by the master key (`docs/spec/log.md`, Data
//! keys).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use gridveil_keystore::{NoRandomness, SealError, SealingKey, SecretFileError, durable, secret_file};
use gridveil_protocol::units::Interval;
use zeroize::Zeroizing;

mod file;

use file::{ENTRY_BYTES, Loaded, WRAPPED_BYTES};

/// `part` of a community's own key.
pub const COMMUNITY_PART: u16 = u16::MAX;

/// Keys that cannot be read, made or used. No variant carries a key or a path.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The operating system refused.
    #[error("keys: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Not 32 bytes, or readable by others.
    #[error("keys: master key file {0}")]
    Master(&'static str),
    /// No master key, and something that is sealed under one.
    #[error(
        "keys: the master key file is gone, and a log or keys are there that only it opens: put it back from its backup. \
         No other is made"
    )]
    MasterGone,
    /// A key file is damaged, of another community, or wrapped by another master key.
    #[error("keys: key file of community {community} {why}")]
    KeyFile {
        /// Community.
        community: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// A key file where keys are to be made.
    #[error(
        "keys: a key file of community {community} is there, and not of this log, master key and shape; keys are \
         never replaced: put back what belongs together (docs/how-to/restore.md), or move the file away if no log needs it"
    )]
    InTheWay {
        /// Community.
        community: u32,
    },
    /// No key for this part.
    #[error("keys: no key for part {part} of community {community}: it was never made, or the key file is an old copy")]
    NoKey {
        /// Community.
        community: u32,
        /// Slot, or [`COMMUNITY_PART`].
        part: u16,
    },
    /// The key of this part was erased with its account.
    #[error("keys: the key of part {part} of community {community} was erased with its account")]
    Erased {
        /// Community.
        community: u32,
        /// Slot.
        part: u16,
    },
    /// A sealed part does not open.
    #[error("keys: part {part} of community {community} does not open under its key")]
    Sealed {
        /// Community.
        community: u32,
        /// Slot, or [`COMMUNITY_PART`].
        part: u16,
    },
    /// The operating system gives no randomness.
    #[error("keys: no randomness from the operating system")]
    Random(#[from] NoRandomness),
}

fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> DataKeyError {
    move |source| DataKeyError::Io { what, source }
}

/// What a sealed part belongs to: its key and its associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Record kind.
    pub kind: u16,
    /// Community.
    pub community: u32,
    /// Slot, or [`COMMUNITY_PART`].
    pub part: u16,
    /// First interval of the period, 0 in a genesis.
    pub first_interval: Interval,
}

/// A sealed part.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Community.
    pub community: u32,
    /// Slot, or [`COMMUNITY_PART`].
    pub part: u16,
    /// Generation of the key.
    pub generation: u32,
    /// Nonce.
    pub nonce: [u8; 24],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.ciphertext.len())
    }
}

/// A key: community, slot or [`COMMUNITY_PART`], generation.
pub type KeyName = (u32, u16, u32);

#[derive(Default)]
struct Keys {
    open: BTreeMap<KeyName, Loaded>,
    erased: BTreeSet<KeyName>,
    /// Of each key file: where the next key is written.
    ends: BTreeMap<u32, u64>,
}

/// The open key store.
pub struct DataKeys {
    directory: PathBuf,
    master: SealingKey,
    log_id: [u8; 16],
    // A community may join while others read.
    keys: RwLock<Keys>,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeys")
    }
}

/// Makes a master key file of mode 0600. Refuses to overwrite.
///
/// # Errors
/// [`DataKeyError`].
pub fn create_master_key(path: &Path) -> Result<(), DataKeyError> {
    let key = SealingKey::generate()?;
    secret_file::create(path, key.as_bytes()).map_err(io_error("creation of the master key file"))
}

/// Makes the master key file of a data directory where there is none, and nothing yet that would need the one that is gone.
///
/// # Errors
/// [`DataKeyError::MasterGone`], [`DataKeyError::Io`].
pub fn ensure_master_key(data: &Path, path: &Path) -> Result<(), DataKeyError> {
    if path.exists() {
        return Ok(());
    }
    let log = super::log::is_there(&super::log::path_in(data)).unwrap_or(true);
    if log || count_files(&data.join("keys"))? > 0 {
        return Err(DataKeyError::MasterGone);
    }
    create_master_key(path)
}

/// Key files in a directory of keys; none if there is no such directory.
///
/// # Errors
/// [`DataKeyError::Io`].
pub fn count_files(directory: &Path) -> Result<usize, DataKeyError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io_error("read of the key directory")(error)),
    };
    let mut count = 0;
    for entry in entries {
        let path = entry.map_err(io_error("read of the key directory"))?.path();
        count += usize::from(path.extension().is_some_and(|extension| extension == "keys"));
    }
    Ok(count)
}

/// The master key of a file.
///
/// # Errors
/// [`DataKeyError`].
pub fn read_master_key(path: &Path) -> Result<SealingKey, DataKeyError> {
    const NOT_A_KEY: DataKeyError = DataKeyError::Master("does not hold 32 bytes");
    let bytes = secret_file::read(path).map_err(|error| match error {
        SecretFileError::Io(source) => DataKeyError::Io { what: "read of the master key file", source },
        SecretFileError::ReadableByOthers => DataKeyError::Master("is readable by others; its mode must be 0600"),
        SecretFileError::TooLong => NOT_A_KEY,
    })?;
    key_from(&bytes).ok_or(NOT_A_KEY)
}

fn key_from(bytes: &[u8]) -> Option<SealingKey> {
    bytes.try_into().ok().map(SealingKey::new)
}

impl DataKeys {
    /// Opens the key store of a log.
    ///
    /// # Errors
    /// [`DataKeyError`].
    pub fn open(directory: &Path, master_key_file: &Path, log_id: [u8; 16]) -> Result<Self, DataKeyError> {
        std::fs::create_dir_all(directory).map_err(io_error("creation of the key directory"))?;
        let master = read_master_key(master_key_file)?;
        Ok(Self { directory: directory.to_path_buf(), master, log_id, keys: RwLock::default() })
    }

    fn path(&self, community: u32) -> PathBuf {
        self.directory.join(format!("{community}.keys"))
    }

    /// Makes the keys of a new community, durably, before anything is sealed under them. Keys are never replaced: those
    /// that were made for a record which never reached the log are taken as they are.
    ///
    /// # Errors
    /// [`DataKeyError`], also for a key file that is there and not of this log.
    pub fn create(&self, community: u32, slots: usize) -> Result<(), DataKeyError> {
        if self.path(community).exists() {
            if self.holds(community) {
                return Err(DataKeyError::KeyFile { community, why: "is in use" });
            }
            let loaded = self.load(community, slots, &BTreeSet::new());
            let in_the_way = matches!(loaded, Err(DataKeyError::KeyFile { .. }));
            return if in_the_way { Err(DataKeyError::InTheWay { community }) } else { loaded };
        }
        let mut keys = self.write();
        let (mut made, mut bytes) = (Vec::with_capacity(slots + 1), file::start(community, slots)?);
        for index in 0..=slots {
            let name = (community, file::part_of(index, slots), 0);
            let (key, entry) = self.fresh(name)?;
            made.push((name, Loaded { at: bytes.len() as u64, key }));
            bytes.extend(entry);
        }
        durable::create_new(&self.path(community), &bytes).map_err(io_error("creation of a key file"))?;
        keys.ends.insert(community, bytes.len() as u64);
        keys.open.extend(made);
        Ok(())
    }

    fn fresh(&self, name: KeyName) -> Result<(SealingKey, Vec<u8>), DataKeyError> {
        let (community, _, generation) = name;
        let key = SealingKey::generate()?;
        let entry = self.master.seal(&generation.to_be_bytes(), &file::wrap_label(&self.log_id, name), key.as_bytes());
        let entry = entry.map_err(|error| match error {
            SealError::Randomness(error) => error.into(),
            SealError::TooLong | SealError::NotOpened => DataKeyError::KeyFile { community, why: "cannot be wrapped" },
        })?;
        Ok((key, entry))
    }

    /// Makes the next key of a slot, durably: what is sealed for its next account is not under the key of the last one.
    /// Gives its generation. Nothing that is in the file is written again.
    ///
    /// # Errors
    /// [`DataKeyError`].
    pub fn renew(&self, community: u32, slot: u16) -> Result<u32, DataKeyError> {
        let mut keys = self.write();
        let range = (community, slot, 0)..=(community, slot, u32::MAX);
        let newest =
            keys.open.range(range.clone()).map(|(name, _)| name.2).chain(keys.erased.range(range).map(|n| n.2));
        let no_key = DataKeyError::NoKey { community, part: slot };
        let generation = newest.max().and_then(|newest| newest.checked_add(1)).ok_or(no_key)?;
        let at = keys.ends.get(&community).copied().ok_or(DataKeyError::NoKey { community, part: slot })?;
        let name = (community, slot, generation);
        let (key, entry) = self.fresh(name)?;
        let bytes = [&slot.to_be_bytes()[..], &entry].concat();
        let end = at + bytes.len() as u64;
        let file = OpenOptions::new().write(true).open(self.path(community)).map_err(io_error("open of a key file"))?;
        // What a crash left of a key that nothing was sealed under.
        file.set_len(at)
            .and_then(|()| file.write_all_at(&bytes, at))
            .and_then(|()| file.sync_all())
            .map_err(io_error("write of a key"))?;
        keys.open.insert(name, Loaded { at: at + 2, key });
        keys.ends.insert(community, end);
        Ok(generation)
    }

    /// Overwrites a key in its file, durably. Everything that was sealed under it is unreadable from then on. Asked again
    /// it does nothing.
    ///
    /// # Errors
    /// [`DataKeyError`]: no such key, or it could not be overwritten.
    pub fn erase(&self, name: KeyName) -> Result<(), DataKeyError> {
        let (community, part, _) = name;
        let mut keys = self.write();
        if keys.erased.contains(&name) {
            return Ok(());
        }
        let at = keys.open.get(&name).map(|loaded| loaded.at).ok_or(DataKeyError::NoKey { community, part })?;
        self.overwrite(community, &[at])?;
        keys.open.remove(&name);
        keys.erased.insert(name);
        Ok(())
    }

    fn overwrite(&self, community: u32, entries: &[u64]) -> Result<(), DataKeyError> {
        if entries.is_empty() {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(self.path(community)).map_err(io_error("open of a key file"))?;
        for at in entries {
            let wrapped = at + (ENTRY_BYTES - WRAPPED_BYTES) as u64;
            file.write_all_at(&[0; WRAPPED_BYTES], wrapped).map_err(io_error("overwriting of a key"))?;
        }
        file.sync_all().map_err(io_error("overwriting of a key"))
    }

    fn holds(&self, community: u32) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).open.contains_key(&(community, COMMUNITY_PART, 0))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Identity of the log.
    pub(super) const fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// The master key, for what is of no community.
    pub(super) const fn master(&self) -> &SealingKey {
        &self.master
    }

    /// Is this key there, or was it erased?
    #[must_use]
    pub fn knows(&self, name: KeyName) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.open.contains_key(&name) || keys.erased.contains(&name)
    }

    /// Was this key erased?
    #[must_use]
    pub fn is_erased(&self, name: KeyName) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).erased.contains(&name)
    }

    /// Loads the keys of a community, but for those that were `erased`: where a backup brought one back, it is
    /// overwritten again.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`].
    pub fn load(&self, community: u32, slots: usize, erased: &BTreeSet<KeyName>) -> Result<(), DataKeyError> {
        let bytes = std::fs::read(self.path(community)).map_err(io_error("read of a key file"))?;
        let mode = std::fs::metadata(self.path(community)).map_err(io_error("read of a key file"))?.mode();
        if mode & 0o077 != 0 {
            let why =
                "is readable by others: chmod 600 it, and take another master key if somebody could have read both";
            return Err(DataKeyError::KeyFile { community, why });
        }
        let found = file::read(&bytes, community, slots, |name, wrapped| self.unwrap(erased, name, wrapped))?;
        self.overwrite(community, &found.back)?;
        let mut keys = self.write();
        keys.ends.insert(community, found.end);
        keys.erased.extend(found.erased);
        keys.open.extend(found.open);
        Ok(())
    }

    /// The key of an entry; `None` where it does not open. One that was erased is not opened.
    fn unwrap(&self, erased: &BTreeSet<KeyName>, name: KeyName, wrapped: &[u8]) -> Option<file::Entry> {
        if wrapped.iter().all(|byte| *byte == 0) {
            return Some(file::Entry::Erased);
        }
        if erased.contains(&name) {
            return Some(file::Entry::Back);
        }
        let opened = self.master.open(&[], &file::wrap_label(&self.log_id, name), wrapped).ok()?;
        key_from(&opened).map(file::Entry::Key)
    }

    /// The key file of a community in another directory, if it is of this log and opens.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`]; [`DataKeyError::Io`].
    pub fn check(&self, directory: &Path, community: u32, slots: usize) -> Result<Vec<u8>, DataKeyError> {
        let path = directory.join(format!("{community}.keys"));
        if !path.exists() {
            let why = "is neither in the data directory nor in the backup";
            return Err(DataKeyError::KeyFile { community, why });
        }
        let bytes = std::fs::read(path).map_err(io_error("read of a key file of the backup"))?;
        let none = BTreeSet::new();
        file::read(&bytes, community, slots, |name, wrapped| self.unwrap(&none, name, wrapped)).map(|_| bytes)
    }

    /// Writes the key file of a community that has none.
    ///
    /// # Errors
    /// [`DataKeyError::Io`], also if it has one.
    pub fn put_back(&self, community: u32, bytes: &[u8]) -> Result<(), DataKeyError> {
        durable::create_new(&self.path(community), bytes).map_err(io_error("write of a key file"))
    }

    fn associated(&self, label: &Label, generation: u32) -> Vec<u8> {
        [
            &b"gridveil log part v1"[..],
            &self.log_id,
            &label.kind.to_be_bytes(),
            &label.community.to_be_bytes(),
            &label.part.to_be_bytes(),
            &generation.to_be_bytes(),
            &label.first_interval.0.to_be_bytes(),
        ]
        .concat()
    }

    /// Seals a part under the key of a generation.
    ///
    /// # Errors
    /// [`DataKeyError::NoKey`], [`DataKeyError::Erased`], [`DataKeyError::Random`].
    pub fn seal(&self, label: &Label, generation: u32, plain: &[u8]) -> Result<Sealed, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = keys.of((community, part, generation))?;
        let context = self.associated(label, generation);
        let (nonce, ciphertext) = loaded.key.seal_apart(&context, plain).map_err(|error| match error {
            SealError::Randomness(error) => error.into(),
            SealError::TooLong | SealError::NotOpened => DataKeyError::Sealed { community, part },
        })?;
        Ok(Sealed { community, part, generation, nonce, ciphertext })
    }

    /// Opens a part.
    ///
    /// # Errors
    /// [`DataKeyError::Erased`] where the key was erased, [`DataKeyError::Sealed`] where it does not open.
    pub fn open_part(&self, label: &Label, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = keys.of((community, part, sealed.generation))?;
        let context = self.associated(label, sealed.generation);
        let opened = loaded.key.open_apart(&context, &sealed.nonce, &sealed.ciphertext);
        opened.map_err(|_| DataKeyError::Sealed { community, part })
    }
}

impl Keys {
    fn of(&self, name: KeyName) -> Result<&Loaded, DataKeyError> {
        let (community, part, _) = name;
        match self.open.get(&name) {
            Some(loaded) => Ok(loaded),
            None if self.erased.contains(&name) => Err(DataKeyError::Erased { community, part }),
            None => Err(DataKeyError::NoKey { community, part }),
        }
    }
}

#[cfg(test)]
mod tests;
