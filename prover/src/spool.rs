//! A queue that is a directory, between a sequencer and prover processes.
//!
//! ```text
//! jobs/ID.ATTEMPT            waiting
//! claimed/ID.ATTEMPT.WORKER  being proved; its modification time is the worker's heartbeat
//! results/ID                 proved
//! poisoned/ID, errors/ID     set aside, and why
//! tmp/                       files being written
//! ```
//! Every step is one rename within one file system, so a process killed at any point leaves a job in exactly one place
//! (or its result as well, in which case the job is dropped by whoever meets it next). A claim whose heartbeat is older
//! than the lease is put back with the next attempt number; after the last attempt it is set aside. Jobs are named by
//! their contents, so a job delivered twice has one result.
//!
//! Every file is sealed with XChaCha20-Poly1305 under a shared key: `"GVSPOOL1" | nonce (24) | ciphertext`, its kind
//! and id authenticated. Readings, salts and balances are in the jobs: nobody without the key reads them, and nobody
//! without it can put a job or a result in.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::{RngCore, rngs::OsRng};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    job::{JobEncoding, JobId, ProofJob, ProofResult},
    store::{StoreError, sync_parent, temporary, write_atomic},
};

const MAGIC: &[u8; 8] = b"GVSPOOL1";
const NONCE_BYTES: usize = 24;
const KEY_ID_BYTES: usize = 8;

/// What a sealed file is bound to.
fn context(place: &str, id: JobId) -> String {
    format!("gridveil spool 1 {place} {id}")
}

/// Why the spool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key file.
    #[error("{path}: expected 64 hex digits, readable by its owner only (chmod 600)")]
    Key {
        /// File.
        path: PathBuf,
    },
    /// Not sealed with this key, for this place, or damaged.
    #[error("{name}: not sealed with this key, or damaged")]
    Sealed {
        /// File name.
        name: String,
    },
    /// Sealed properly, but not what its name says.
    #[error("{name}: not the job or result its name says")]
    Contents {
        /// File name.
        name: String,
    },
    /// The job.
    #[error(transparent)]
    Job(#[from] JobEncoding),
    /// The result could not be written as JSON.
    #[error("a result could not be encoded")]
    Encoding,
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let error = StoreError::io(path);
    move |source| error(source).into()
}

/// The key both sides share.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SpoolKey([u8; 32]);

impl fmt::Debug for SpoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpoolKey(hidden)")
    }
}

impl SpoolKey {
    /// A key from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a key file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// [`SpoolError::Key`] if it is not 64 hex digits or others can read it; [`SpoolError::Store`].
    pub fn open_or_create(path: &Path) -> Result<Self, SpoolError> {
        match Self::create(path) {
            Err(SpoolError::Store(StoreError::Io { source, .. })) if source.kind() == io::ErrorKind::AlreadyExists => {
                Self::open(path)
            }
            created => created,
        }
    }

    fn create(path: &Path) -> Result<Self, SpoolError> {
        let mut key = Self([0; 32]);
        OsRng.fill_bytes(&mut key.0);
        let mut digits = hex::encode(key.0);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            io::Write::write_all(&mut file, digits.as_bytes())?;
            file.sync_all()?;
            sync_parent(path)
        });
        digits.zeroize();
        written.map_err(io_at(path))?;
        Ok(key)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).map_err(io_at(path))?);
            if mode & 0o077 != 0 {
                return Err(SpoolError::Key { path: path.to_path_buf() });
            }
        }
        let mut digits = fs::read(path).map_err(io_at(path))?;
        let mut key = Self([0; 32]);
        let decoded = hex::decode_to_slice(digits.trim_ascii(), &mut key.0);
        digits.zeroize();
        decoded.map_err(|_| SpoolError::Key { path: path.to_path_buf() })?;
        Ok(key)
    }

    /// Seals `contents` for the place and id that `context` names: `magic | nonce (24) | ciphertext`.
    pub(crate) fn seal(&self, magic: &[u8; 8], context: &str, contents: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload { msg: contents, aad: context.as_bytes() };
        // Only fails above 256 GiB.
        let sealed =
            XChaCha20Poly1305::new((&self.0).into()).encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        [magic.as_slice(), &nonce, &sealed].concat()
    }

    /// What [`Self::seal`] sealed with this key for this context; `None` for anything else.
    pub(crate) fn unseal(&self, magic: &[u8; 8], context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.strip_prefix(magic)?.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        XChaCha20Poly1305::new((&self.0).into()).decrypt(XNonce::from_slice(nonce), payload).ok()
    }

    /// Tells keys apart without telling anything about them.
    pub(crate) fn id(&self) -> [u8; KEY_ID_BYTES] {
        let digest = blake3::derive_key("gridveil queue key id 1", &self.0);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        id
    }
}

/// Timing of claims.
#[derive(Clone, Copy, Debug)]
pub struct SpoolConfig {
    /// A claim without a heartbeat for this long is another worker's.
    pub lease: Duration,
    /// Attempts before a job is set aside.
    pub attempts: u32,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), attempts: 3 }
    }
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolState {
    /// Not in this spool.
    Unknown,
    /// Waiting for a worker.
    Waiting,
    /// Claimed by a worker.
    Claimed,
    /// Proved.
    Done,
    /// Set aside, and why.
    Poisoned(String),
}

/// A spool directory and its key: both ends use it.
#[derive(Clone, Debug)]
pub struct Spool {
    root: PathBuf,
    key: SpoolKey,
    config: SpoolConfig,
}

/// A claimed job.
#[derive(Debug)]
pub struct Claim {
    /// Its id.
    pub id: JobId,
    /// Attempt, from 1.
    pub attempt: u32,
    /// The job.
    pub job: ProofJob,
    file: PathBuf,
}

impl Claim {
    /// Tells everybody that this worker is alive. `false` if the claim is gone: another worker has taken the job over.
    #[must_use]
    pub fn beat(&self) -> bool {
        touch(&self.file).is_ok()
    }
}

fn touch(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().append(true).open(path)?.set_modified(SystemTime::now())
}

const PLACES: [&str; 6] = ["jobs", "claimed", "results", "poisoned", "errors", "tmp"];

impl Spool {
    /// Opens a spool, making its directories.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn open(root: &Path, key: SpoolKey, config: SpoolConfig) -> Result<Self, SpoolError> {
        for place in PLACES {
            let dir = root.join(place);
            fs::create_dir_all(&dir).map_err(io_at(&dir))?;
        }
        sweep(&root.join("tmp"));
        Ok(Self { root: root.to_path_buf(), key, config })
    }

    /// Timing of claims.
    #[must_use]
    pub const fn config(&self) -> SpoolConfig {
        self.config
    }

    fn at(&self, place: &str, name: impl fmt::Display) -> PathBuf {
        self.root.join(place).join(name.to_string())
    }

    /// Sealed files appear whole under their name, or not at all.
    fn put(&self, place: &str, name: &str, id: JobId, contents: &[u8]) -> Result<(), SpoolError> {
        let file = self.at(place, name);
        let temporary = temporary(&self.at("tmp", name));
        write_atomic(&temporary, &self.key.seal(MAGIC, &context(place, id), contents))?;
        fs::rename(&temporary, &file).and_then(|()| sync_parent(&file)).map_err(io_at(&file))
    }

    fn get(&self, sealed_for: &str, file: &Path, id: JobId) -> Result<Option<Vec<u8>>, SpoolError> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_at(file)(error)),
        };
        self.key
            .unseal(MAGIC, &context(sealed_for, id), &bytes)
            .map(Some)
            .ok_or_else(|| SpoolError::Sealed { name: id.to_string() })
    }

    /// Files of a place whose names are an id, an attempt and, in `claimed`, a worker.
    fn list(&self, place: &str) -> Result<Vec<(JobId, u32, PathBuf)>, SpoolError> {
        let dir = self.root.join(place);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io_at(&dir))? {
            let entry = entry.map_err(io_at(&dir))?;
            let name = entry.file_name();
            let mut parts = name.to_str().unwrap_or_default().splitn(3, '.');
            let id = parts.next().and_then(JobId::parse);
            let attempt = parts.next().and_then(|attempt| attempt.parse().ok());
            if let (Some(id), Some(attempt)) = (id, attempt) {
                found.push((id, attempt, entry.path()));
            }
        }
        Ok(found)
    }

    /// Puts a job in. One that is known already, whatever its state, is not put in twice.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn submit(&self, job: &ProofJob) -> Result<JobId, SpoolError> {
        let mut json = job.to_json()?;
        let id = job.id()?;
        if self.state(id)? == SpoolState::Unknown {
            self.put("jobs", &format!("{id}.1"), id, &json)?;
        }
        json.zeroize();
        Ok(id)
    }

    /// State of a job.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn state(&self, id: JobId) -> Result<SpoolState, SpoolError> {
        if self.at("results", id).exists() {
            return Ok(SpoolState::Done);
        }
        // Waiting is looked for before claimed and again after: a job moves between the two.
        for place in ["jobs", "claimed", "jobs"] {
            if self.list(place)?.iter().any(|(other, ..)| *other == id) {
                return Ok(if place == "jobs" { SpoolState::Waiting } else { SpoolState::Claimed });
            }
        }
        if self.at("results", id).exists() {
            return Ok(SpoolState::Done);
        }
        let error = self.get("errors", &self.at("errors", id), id)?;
        Ok(error.map_or(SpoolState::Unknown, |text| SpoolState::Poisoned(String::from_utf8_lossy(&text).into_owned())))
    }

    /// The result of a job, if there is one. Whoever takes it checks the proof all the same.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn result(&self, id: JobId) -> Result<Option<ProofResult>, SpoolError> {
        let Some(json) = self.get("results", &self.at("results", id), id)? else { return Ok(None) };
        let result = serde_json::from_slice::<ProofResult>(&json).ok().filter(|result| result.job == id);
        result.map(Some).ok_or_else(|| SpoolError::Contents { name: id.to_string() })
    }

    /// Forgets a job and its result, error or place in the queue.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn forget(&self, id: JobId) -> Result<(), SpoolError> {
        let queued = ["jobs", "claimed"].into_iter().map(|place| self.list(place)).collect::<Result<Vec<_>, _>>()?;
        let queued = queued.into_iter().flatten().filter(|(other, ..)| *other == id).map(|(_, _, path)| path);
        for path in queued.chain(["poisoned", "errors", "results"].map(|place| self.at(place, id))) {
            remove(&path)?;
        }
        Ok(())
    }

    /// Claims a waiting job for `worker` (letters, digits and dashes).
    ///
    /// # Errors
    /// [`SpoolError::Store`]. A job that cannot be read is set aside, not an error.
    pub fn claim(&self, worker: &str) -> Result<Option<Claim>, SpoolError> {
        let mut waiting = self.list("jobs")?;
        waiting.sort_by_key(|(id, _, path)| (fs::metadata(path).and_then(|m| m.modified()).ok(), *id));
        for (id, attempt, path) in waiting {
            // The heartbeat starts before the claim does: a rename keeps the time, and an old one would look like a
            // dead worker's.
            let claimed = self.at("claimed", format!("{id}.{attempt}.{worker}"));
            if touch(&path).and_then(|()| fs::rename(&path, &claimed)).is_err() {
                continue;
            }
            if self.at("results", id).exists() {
                remove(&claimed)?;
                continue;
            }
            let contents = match self.get("jobs", &claimed, id) {
                Ok(Some(contents)) => contents,
                Ok(None) => continue,
                Err(SpoolError::Sealed { .. }) => {
                    self.set_aside(id, &claimed, "not sealed with this key, or damaged")?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let job = ProofJob::from_json(&contents).ok().filter(|job| job.id().is_ok_and(|named| named == id));
            match job {
                Some(job) => return Ok(Some(Claim { id, attempt, job, file: claimed })),
                None => self.set_aside(id, &claimed, "not the job its name says")?,
            }
        }
        Ok(None)
    }

    /// Hands in a result.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn finish(&self, claim: &Claim, result: &ProofResult) -> Result<(), SpoolError> {
        let json = serde_json::to_vec(result).map_err(|_| SpoolError::Encoding)?;
        self.put("results", &claim.id.to_string(), claim.id, &json)?;
        Ok(remove(&claim.file)?)
    }

    /// Hands a job back: for another attempt, or set aside if it was the last or another would fail the same way.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn fail(&self, claim: &Claim, error: &str, permanent: bool) -> Result<(), SpoolError> {
        if permanent || claim.attempt >= self.config.attempts {
            return self.set_aside(claim.id, &claim.file, error);
        }
        self.put_back(claim.id, claim.attempt.saturating_add(1), &claim.file)
    }

    /// Puts a job back untouched: a stopped worker's attempt does not count.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn release(&self, claim: &Claim) -> Result<(), SpoolError> {
        self.put_back(claim.id, claim.attempt, &claim.file)
    }

    fn put_back(&self, id: JobId, attempt: u32, file: &Path) -> Result<(), SpoolError> {
        let waiting = self.at("jobs", format!("{id}.{attempt}"));
        match fs::rename(file, &waiting) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(&waiting)(error)),
            _ => Ok(()),
        }
    }

    fn set_aside(&self, id: JobId, file: &Path, error: &str) -> Result<(), SpoolError> {
        tracing::error!(job = %id, error, "job set aside");
        self.put("errors", &id.to_string(), id, error.as_bytes())?;
        let aside = self.at("poisoned", id);
        match fs::rename(file, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(&aside)(error)),
            _ => Ok(()),
        }
    }

    /// Puts claims back whose worker has not been heard of for a lease. How many.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn redeliver(&self, worker: &str) -> Result<usize, SpoolError> {
        let mut count = 0;
        for (id, attempt, file) in self.list("claimed")? {
            let Ok(beat) = fs::metadata(&file).and_then(|metadata| metadata.modified()) else { continue };
            if SystemTime::now().duration_since(beat).unwrap_or_default() <= self.config.lease {
                continue;
            }
            if self.at("results", id).exists() {
                remove(&file)?;
                continue;
            }
            tracing::warn!(job = %id, attempt, worker, "a worker has gone silent: its job is delivered again");
            if attempt >= self.config.attempts {
                self.set_aside(id, &file, "every worker that took it has gone silent (killed, or out of memory?)")?;
            } else {
                self.put_back(id, attempt.saturating_add(1), &file)?;
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Removes what killed writers left. Nobody writes one file for an hour.
fn sweep(tmp: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        if written.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() > OLD) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job::fixture::job, pool::tests::answer};

    fn spool(root: &Path, lease: Duration) -> Spool {
        Spool::open(root, SpoolKey::new([3; 32]), SpoolConfig { lease, attempts: 2 }).unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_job_goes_in_and_its_result_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), LONG);
        let id = spool.submit(&job(1)).unwrap();
        assert_eq!(spool.submit(&job(1)).unwrap(), id);
        assert_eq!(spool.state(id).unwrap(), SpoolState::Waiting);
        let claim = spool.claim("a").unwrap().unwrap();
        assert_eq!((claim.id, claim.attempt, &claim.job), (id, 1, &job(1)));
        assert_eq!(spool.state(id).unwrap(), SpoolState::Claimed);
        assert!(spool.claim("b").unwrap().is_none(), "one claim a job");
        assert!(claim.beat());
        assert_eq!(spool.redeliver("b").unwrap(), 0);
        spool.finish(&claim, &answer(&claim.job)).unwrap();
        assert_eq!(spool.state(id).unwrap(), SpoolState::Done);
        assert_eq!(spool.result(id).unwrap(), Some(answer(&job(1))));
        assert_eq!(spool.submit(&job(1)).unwrap(), id);
        assert!(spool.claim("b").unwrap().is_none(), "proved once");
        spool.forget(id).unwrap();
        assert_eq!(spool.state(id).unwrap(), SpoolState::Unknown);
    }

    #[test]
    fn a_silent_workers_job_is_delivered_again_and_then_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), Duration::ZERO);
        let id = spool.submit(&job(1)).unwrap();
        for attempt in [1, 2] {
            let claim = spool.claim("dead").unwrap().unwrap();
            assert_eq!(claim.attempt, attempt);
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(spool.redeliver("b").unwrap(), 1);
            assert!(!claim.beat(), "the dead worker's claim is gone");
        }
        assert!(matches!(spool.state(id).unwrap(), SpoolState::Poisoned(error) if error.contains("silent")));
        // A worker that was only slow hands in all the same.
        spool.forget(id).unwrap();
        spool.submit(&job(1)).unwrap();
        let slow = spool.claim("slow").unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        spool.redeliver("b").unwrap();
        spool.finish(&slow, &answer(&slow.job)).unwrap();
        assert_eq!(spool.state(id).unwrap(), SpoolState::Done);
        assert!(
            spool.claim("b").unwrap().is_none() && spool.list("jobs").unwrap().is_empty(),
            "the second delivery is dropped"
        );
    }

    #[test]
    fn failures_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), LONG);
        let id = spool.submit(&job(1)).unwrap();
        spool.fail(&spool.claim("a").unwrap().unwrap(), "first", false).unwrap();
        assert_eq!(spool.state(id).unwrap(), SpoolState::Waiting);
        spool.fail(&spool.claim("a").unwrap().unwrap(), "second", false).unwrap();
        assert_eq!(spool.state(id).unwrap(), SpoolState::Poisoned("second".into()));
        let other = spool.submit(&job(2)).unwrap();
        spool.fail(&spool.claim("a").unwrap().unwrap(), "refused", true).unwrap();
        assert_eq!(spool.state(other).unwrap(), SpoolState::Poisoned("refused".into()));
    }

    #[test]
    fn nothing_is_readable_or_exchangeable_without_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), LONG);
        let ids = [1, 2].map(|batch| spool.submit(&job(batch)).unwrap());
        let [a, b] = ids.map(|id| spool.at("jobs", format!("{id}.1")));
        let sealed = fs::read(&a).unwrap();
        assert!(!sealed.windows(8).any(|window| window == b"readings" || window == b"\"batch\":"));
        // Another key, a flipped byte, another job's file under this name: set aside, and the queue goes on.
        fs::write(&a, fs::read(&b).unwrap()).unwrap();
        let claim = spool.claim("w").unwrap().unwrap();
        assert_eq!(claim.id, ids[1]);
        assert!(spool.claim("w").unwrap().is_none());
        assert!(matches!(spool.state(ids[0]).unwrap(), SpoolState::Poisoned(_)));
        spool.finish(&claim, &answer(&claim.job)).unwrap();
        let result = spool.at("results", ids[1]);
        let mut bytes = fs::read(&result).unwrap();
        for position in [0, 9, 40, bytes.len() - 1] {
            bytes[position] ^= 1;
            fs::write(&result, &bytes).unwrap();
            assert!(matches!(spool.result(ids[1]), Err(SpoolError::Sealed { .. })), "byte {position}");
            bytes[position] ^= 1;
        }
        let thief = Spool::open(dir.path(), SpoolKey::new([4; 32]), SpoolConfig::default()).unwrap();
        fs::write(&result, &bytes).unwrap();
        assert!(matches!(thief.result(ids[1]), Err(SpoolError::Sealed { .. })));
        assert!(spool.result(ids[1]).unwrap().is_some());
    }

    #[test]
    fn files_half_written_or_foreign_are_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), LONG);
        for name in ["README", "x.1", "0123.1.w", ".hidden"] {
            fs::write(spool.at("jobs", name), b"?").unwrap();
            fs::write(spool.at("claimed", name), b"?").unwrap();
        }
        fs::write(spool.at("tmp", "half"), b"GVSPOOL1").unwrap();
        assert!(spool.claim("w").unwrap().is_none());
        assert_eq!(spool.redeliver("w").unwrap(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = SpoolKey::open_or_create(&path).unwrap();
        assert_eq!(SpoolKey::open_or_create(&path).unwrap().0, key.0);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SpoolKey::open(&path), Err(SpoolError::Key { .. })));
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(SpoolKey::open_or_create(&path), Err(SpoolError::Key { .. })));
        assert!(!format!("{key:?}").contains(&hex::encode(key.0)));
    }
}
