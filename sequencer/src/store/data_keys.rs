//! Data keys: one for every slot and one for every community, wrapped by the master key (`docs/spec/log.md`, Data
//! keys).

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::Zeroizing;

use super::log::sync_directory;

/// `part` of a community's own key.
pub const COMMUNITY_PART: u16 = u16::MAX;
const MAGIC: [u8; 8] = *b"GVKEYS01";
const ENTRY_BYTES: usize = 4 + 24 + 48;

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
    /// A key file is damaged, of another community, or wrapped by another master key.
    #[error("keys: key file of community {community} {why}")]
    KeyFile {
        /// Community.
        community: u32,
        /// What is wrong.
        why: &'static str,
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
    Random,
}

fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> DataKeyError {
    move |source| DataKeyError::Io { what, source }
}

/// Fresh bytes of the operating system.
///
/// # Errors
/// [`DataKeyError::Random`].
pub fn random<const N: usize>() -> Result<[u8; N], DataKeyError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|_| DataKeyError::Random)?;
    Ok(out)
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
    pub first_interval: u32,
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
    key: Zeroizing<[u8; 32]>,
}

/// The open key store.
pub struct DataKeys {
    directory: PathBuf,
    master: XChaCha20Poly1305,
    log_id: [u8; 16],
    keys: BTreeMap<(u32, u16), DataKey>,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKeys({} keys)", self.keys.len())
    }
}

/// Makes a master key file of mode 0600. Refuses to overwrite.
///
/// # Errors
/// [`DataKeyError`].
pub fn create_master_key(path: &Path) -> Result<(), DataKeyError> {
    let key = Zeroizing::new(random::<32>()?);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("creation of the master key file"))?;
    file.write_all(key.as_slice()).and_then(|()| file.sync_all()).map_err(io_error("write of the master key file"))?;
    sync_directory(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        .map_err(|_| DataKeyError::Master("cannot be made durable"))
}

fn read_master_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, DataKeyError> {
    let file = std::fs::File::open(path).map_err(io_error("open of the master key file"))?;
    let metadata = file.metadata().map_err(io_error("master key file"))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(DataKeyError::Master("is readable by others; its mode must be 0600"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    file.take(64).read_to_end(&mut bytes).map_err(io_error("read of the master key file"))?;
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| DataKeyError::Master("does not hold 32 bytes"))?;
    Ok(Zeroizing::new(key))
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
        let key = read_master_key(master_key_file)?;
        let master = XChaCha20Poly1305::new(key.as_slice().into());
        Ok(Self { directory: directory.to_path_buf(), master, log_id, keys: BTreeMap::new() })
    }

    fn path(&self, community: u32) -> PathBuf {
        self.directory.join(format!("{community}.keys"))
    }

    fn part_of(index: usize, slots: usize) -> u16 {
        if index == slots { COMMUNITY_PART } else { u16::try_from(index).unwrap_or(COMMUNITY_PART) }
    }

    /// Makes the keys of a new community, durably, before anything is sealed under them. Replaces keys of a genesis
    /// that never reached the log.
    ///
    /// # Errors
    /// [`DataKeyError`].
    pub fn create(&mut self, community: u32, slots: usize) -> Result<(), DataKeyError> {
        let count = u32::try_from(slots + 1)
            .map_err(|_| DataKeyError::KeyFile { community, why: "would have too many slots" })?;
        let mut bytes = [&MAGIC[..], &community.to_be_bytes(), &count.to_be_bytes()].concat();
        for index in 0..=slots {
            let part = Self::part_of(index, slots);
            let key = Zeroizing::new(random::<32>()?);
            let nonce = random::<24>()?;
            let aad = wrap_label(&self.log_id, community, part, 0);
            let wrapped = self.master.encrypt(XNonce::from_slice(&nonce), Payload { msg: key.as_slice(), aad: &aad });
            bytes.extend(0u32.to_be_bytes());
            bytes.extend(nonce);
            bytes.extend(wrapped.map_err(|_| DataKeyError::KeyFile { community, why: "cannot be wrapped" })?);
            self.keys.insert((community, part), DataKey { generation: 0, key });
        }
        let (path, next) = (self.path(community), self.directory.join(format!("{community}.keys.next")));
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .map_err(io_error("creation of a key file"))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io_error("write of a key file"))?;
        std::fs::rename(&next, &path).map_err(io_error("rename of a key file"))?;
        sync_directory(&self.directory).map_err(|_| DataKeyError::KeyFile { community, why: "cannot be made durable" })
    }

    /// Loads the keys of a community.
    ///
    /// # Errors
    /// [`DataKeyError::KeyFile`].
    pub fn load(&mut self, community: u32, slots: usize) -> Result<(), DataKeyError> {
        let wrong = |why| DataKeyError::KeyFile { community, why };
        let bytes = std::fs::read(self.path(community)).map_err(io_error("read of a key file"))?;
        let count = u32::try_from(slots + 1).map_err(|_| wrong("has too many slots"))?;
        let start = [&MAGIC[..], &community.to_be_bytes(), &count.to_be_bytes()].concat();
        if !bytes.starts_with(&start) || bytes.len() != start.len() + ENTRY_BYTES * (slots + 1) {
            return Err(wrong("is damaged, or of another community"));
        }
        for (index, entry) in bytes[start.len()..].chunks(ENTRY_BYTES).enumerate() {
            let part = Self::part_of(index, slots);
            let mut generation = [0; 4];
            generation.copy_from_slice(&entry[..4]);
            let generation = u32::from_be_bytes(generation);
            if generation > 0 && entry[4..].iter().all(|b| *b == 0) {
                continue;
            }
            let aad = wrap_label(&self.log_id, community, part, generation);
            let opened =
                self.master.decrypt(XNonce::from_slice(&entry[4..28]), Payload { msg: &entry[28..], aad: &aad });
            let opened = Zeroizing::new(
                opened.map_err(|_| wrong("is damaged, of another log, or wrapped by another master key"))?,
            );
            let key: [u8; 32] = opened.as_slice().try_into().map_err(|_| wrong("is damaged"))?;
            self.keys.insert((community, part), DataKey { generation, key: Zeroizing::new(key) });
        }
        Ok(())
    }

    fn associated(&self, label: &Label, generation: u32) -> Vec<u8> {
        [
            &b"gridveil log part v1"[..],
            &self.log_id,
            &label.kind.to_be_bytes(),
            &label.community.to_be_bytes(),
            &label.part.to_be_bytes(),
            &generation.to_be_bytes(),
            &label.first_interval.to_be_bytes(),
        ]
        .concat()
    }

    /// Seals a part.
    ///
    /// # Errors
    /// [`DataKeyError::NoKey`], [`DataKeyError::Random`].
    pub fn seal(&self, label: &Label, plain: &[u8]) -> Result<Sealed, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let data_key = self.keys.get(&(community, part)).ok_or(DataKeyError::NoKey { community, part })?;
        let nonce = random::<24>()?;
        let aad = self.associated(label, data_key.generation);
        let cipher = XChaCha20Poly1305::new(data_key.key.as_slice().into());
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: &aad });
        let ciphertext = sealed.map_err(|_| DataKeyError::Sealed { community, part })?;
        Ok(Sealed { community, part, generation: data_key.generation, nonce, ciphertext })
    }

    /// Opens a part.
    ///
    /// # Errors
    /// [`DataKeyError::NoKey`] where the key was erased, [`DataKeyError::Sealed`] where it does not open.
    pub fn open_part(&self, label: &Label, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
        let (community, part) = (label.community, label.part);
        let data_key = self.keys.get(&(community, part)).filter(|k| k.generation == sealed.generation);
        let data_key = data_key.ok_or(DataKeyError::NoKey { community, part })?;
        let aad = self.associated(label, sealed.generation);
        let cipher = XChaCha20Poly1305::new(data_key.key.as_slice().into());
        let opened = cipher.decrypt(XNonce::from_slice(&sealed.nonce), Payload { msg: &sealed.ciphertext, aad: &aad });
        opened.map(Zeroizing::new).map_err(|_| DataKeyError::Sealed { community, part })
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
        let mut data_keys = DataKeys::open(&keys, &master, [1; 16]).unwrap();
        data_keys.create(5, 4).unwrap();
        let label = Label { kind: 2, community: 5, part: 3, first_interval: 7 };
        let sealed = data_keys.seal(&label, b"a reading").unwrap();
        assert!(!sealed.ciphertext.windows(5).any(|w| w == b"a rea"));
        let mut again = DataKeys::open(&keys, &master, [1; 16]).unwrap();
        again.load(5, 4).unwrap();
        assert_eq!(again.open_part(&label, &sealed).unwrap().as_slice(), b"a reading");
        for other in [
            Label { kind: 3, ..label },
            Label { part: 2, ..label },
            Label { first_interval: 8, ..label },
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
