//! Data keys: one for every slot and one for every community, wrapped by the master key (`docs/spec/log.md`, Data
//! keys).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use gridveil_keystore::{NoRandomness, SealError, SealingKey, SecretFileError, durable, sealed, secret_file};
use gridveil_protocol::units::Interval;
use zeroize::Zeroizing;

/// `part` of a community's own key.
pub const COMMUNITY_PART: u16 = u16::MAX;
const MAGIC: [u8; 8] = *b"GVKEYS01";
/// Generation, nonce, wrapped key.
const ENTRY_BYTES: usize = 4 + sealed::NONCE_BYTES + KEY_BYTES + sealed::TAG_BYTES;
const KEY_BYTES: usize = 32;

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
    /// No key for this part, or it was erased.
    #[error("keys: no key for part {part} of community {community}; erased, or never made")]
    NoKey {
        /// Community.
        community: u32,
        /// Slot, or [`COMMUNITY_PART`].
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

struct DataKey {
    generation: u32,
    key: SealingKey,
}

/// The open key store.
pub struct DataKeys {
    directory: PathBuf,
    master: SealingKey,
    log_id: [u8; 16],
    // A community may join while others read.
    keys: RwLock<BTreeMap<(u32, u16), DataKey>>,
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

fn read_master_key(path: &Path) -> Result<SealingKey, DataKeyError> {
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

fn wrap_label(log_id: &[u8; 16], community: u32, part: u16, generation: u32) -> Vec<u8> {
    [&b"gridveil data key v1"[..], log_id, &community.to_be_bytes(), &part.to_be_bytes(), &generation.to_be_bytes()]
        .concat()
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

    fn part_of(index: usize, slots: usize) -> u16 {
        if index == slots { COMMUNITY_PART } else { u16::try_from(index).unwrap_or(COMMUNITY_PART) }
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
            return self.load(community, slots).map_err(|error| match error {
                DataKeyError::KeyFile { .. } => DataKeyError::InTheWay { community },
                error => error,
            });
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut made = Vec::with_capacity(slots + 1);
        let count = u32::try_from(slots + 1)
            .map_err(|_| DataKeyError::KeyFile { community, why: "would have too many slots" })?;
        let mut bytes = [&MAGIC[..], &community.to_be_bytes(), &count.to_be_bytes()].concat();
        for index in 0..=slots {
            let part = Self::part_of(index, slots);
            let key = SealingKey::generate()?;
            let label = wrap_label(&self.log_id, community, part, 0);
            let entry = self.master.seal(&0u32.to_be_bytes(), &label, key.as_bytes());
            bytes.extend(entry.map_err(|error| match error {
                SealError::Randomness(error) => error.into(),
                SealError::TooLong | SealError::NotOpened => {
                    DataKeyError::KeyFile { community, why: "cannot be wrapped" }
                }
            })?);
            made.push(((community, part), DataKey { generation: 0, key }));
        }
        durable::create_new(&self.path(community), &bytes).map_err(io_error("creation of a key file"))?;
        keys.extend(made);
        Ok(())
    }

    fn holds(&self, community: u32) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).contains_key(&(community, COMMUNITY_PART))
    }

    /// Loads the keys of a community.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`].
    pub fn load(&self, community: u32, slots: usize) -> Result<(), DataKeyError> {
        let bytes = std::fs::read(self.path(community)).map_err(io_error("read of a key file"))?;
        let opened = self.unwrap(&bytes, community, slots)?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).extend(opened);
        Ok(())
    }

    /// The key file of a community in another directory, if it is of this log and opens.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`]; [`DataKeyError::Io`].
    pub fn check(&self, directory: &Path, community: u32, slots: usize) -> Result<Vec<u8>, DataKeyError> {
        let path = directory.join(format!("{community}.keys"));
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                DataKeyError::KeyFile { community, why: "is neither in the data directory nor in the backup" }
            }
            _ => io_error("read of a key file of the backup")(error),
        })?;
        self.unwrap(&bytes, community, slots).map(|_| bytes)
    }

    /// Writes the key file of a community that has none.
    ///
    /// # Errors
    /// [`DataKeyError::Io`], also if it has one.
    pub fn put_back(&self, community: u32, bytes: &[u8]) -> Result<(), DataKeyError> {
        durable::create_new(&self.path(community), bytes).map_err(io_error("write of a key file"))
    }

    fn unwrap(&self, bytes: &[u8], community: u32, slots: usize) -> Result<Vec<((u32, u16), DataKey)>, DataKeyError> {
        let wrong = |why| DataKeyError::KeyFile { community, why };
        let mut keys = Vec::with_capacity(slots + 1);
        let count = u32::try_from(slots + 1).map_err(|_| wrong("has too many slots"))?;
        let start = [&MAGIC[..], &community.to_be_bytes(), &count.to_be_bytes()].concat();
        if !bytes.starts_with(&start) || bytes.len() != start.len() + ENTRY_BYTES * (slots + 1) {
            return Err(wrong("is damaged, or of another community"));
        }
        for (index, entry) in bytes[start.len()..].chunks(ENTRY_BYTES).enumerate() {
            let part = Self::part_of(index, slots);
            let (head, wrapped) = entry.split_first_chunk().ok_or_else(|| wrong("is damaged"))?;
            let generation = u32::from_be_bytes(*head);
            if generation > 0 && wrapped.iter().all(|b| *b == 0) {
                continue;
            }
            let label = wrap_label(&self.log_id, community, part, generation);
            let opened = self
                .master
                .open(&[], &label, wrapped)
                .map_err(|_| wrong("is damaged, of another log, or wrapped by another master key"))?;
            let key = key_from(&opened).ok_or_else(|| wrong("is damaged"))?;
            keys.push(((community, part), DataKey { generation, key }));
        }
        Ok(keys)
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

    /// Seals a part.
    ///
    /// # Errors
    /// [`DataKeyError::NoKey`], [`DataKeyError::Random`].
    pub fn seal(&self, label: &Label, plain: &[u8]) -> Result<Sealed, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let data_key = keys.get(&(community, part)).ok_or(DataKeyError::NoKey { community, part })?;
        let context = self.associated(label, data_key.generation);
        let (nonce, ciphertext) = data_key.key.seal_apart(&context, plain).map_err(|error| match error {
            SealError::Randomness(error) => error.into(),
            SealError::TooLong | SealError::NotOpened => DataKeyError::Sealed { community, part },
        })?;
        Ok(Sealed { community, part, generation: data_key.generation, nonce, ciphertext })
    }

    /// Opens a part.
    ///
    /// # Errors
    /// [`DataKeyError::NoKey`] where the key was erased, [`DataKeyError::Sealed`] where it does not open.
    pub fn open_part(&self, label: &Label, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let data_key = keys.get(&(community, part)).filter(|k| k.generation == sealed.generation);
        let data_key = data_key.ok_or(DataKeyError::NoKey { community, part })?;
        let context = self.associated(label, sealed.generation);
        let opened = data_key.key.open_apart(&context, &sealed.nonce, &sealed.ciphertext);
        opened.map_err(|_| DataKeyError::Sealed { community, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_open_only_under_their_own_key_label_and_master() {
        let dir = tempfile::tempdir().unwrap();
        let master = dir.path().join("master");
        create_master_key(&master).unwrap();
        assert!(create_master_key(&master).is_err());
        let keys = dir.path().join("keys");
        let data_keys = DataKeys::open(&keys, &master, [1; 16]).unwrap();
        data_keys.create(5, 4).unwrap();
        assert!(matches!(data_keys.create(5, 4), Err(DataKeyError::KeyFile { why: "is in use", .. })));
        let label = Label { kind: 2, community: 5, part: 3, first_interval: Interval(7) };
        let sealed = data_keys.seal(&label, b"a reading").unwrap();
        assert!(!sealed.ciphertext.windows(5).any(|w| w == b"a rea"));
        let again = DataKeys::open(&keys, &master, [1; 16]).unwrap();
        again.load(5, 4).unwrap();
        assert_eq!(again.open_part(&label, &sealed).unwrap().as_slice(), b"a reading");
        for other in [
            Label { kind: 3, ..label },
            Label { part: 2, ..label },
            Label { first_interval: Interval(8), ..label },
            Label { part: COMMUNITY_PART, ..label },
        ] {
            assert!(matches!(again.open_part(&other, &sealed), Err(DataKeyError::Sealed { .. })));
        }
        assert!(matches!(again.open_part(&Label { community: 6, ..label }, &sealed), Err(DataKeyError::NoKey { .. })));
        assert!(DataKeys::open(&keys, &master, [2; 16]).unwrap().load(5, 4).is_err());
        let other_master = dir.path().join("other");
        create_master_key(&other_master).unwrap();
        assert!(matches!(
            DataKeys::open(&keys, &other_master, [1; 16]).unwrap().load(5, 4),
            Err(DataKeyError::KeyFile { .. })
        ));
    }

    #[test]
    fn a_master_key_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let master = dir.path().join("master");
        create_master_key(&master).unwrap();
        std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(DataKeys::open(dir.path(), &master, [0; 16]), Err(DataKeyError::Master(_))));
    }
}
