//! A queue that is a directory, between a sequencer and prover processes.
//!
//! ```text
//! jobs/ID.ATTEMPT.BATCH                   waiting
//! claimed/ID.ATTEMPT.WORKER.LEASE.BATCH   being proved; its modification time is the worker's heartbeat
//! workers/NAME                            a prover that serves, the same; its lease is in it (ms)
//! results/ID                              proved
//! poisoned/ID, errors/ID                  set aside, and why
//! tmp/                                    files being written
//! ```
//! Every step is one rename within one file system, so a process killed at any point leaves a job in exactly one place
//! (or its result as well, in which case the job is dropped by whoever meets it next). A claim whose heartbeat is older
//! than its lease is put back with the next attempt number; after the last attempt it is set aside. Heartbeats are
//! compared by the clock of the file system alone. Jobs are named by
//! their contents, so a job delivered twice has one result.
//!
//! Every file is sealed with XChaCha20-Poly1305 under a shared key: `"GVSPOOL1" | nonce (24) | ciphertext`, its kind
//! and id authenticated. Readings, salts and balances are in the jobs: nobody without the key reads them, and nobody
//! without it can put a job or a result in.

mod key;
mod old;
mod presence;

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use gridveil_keystore::{
    NoRandomness, SealError,
    durable::{self, Access},
};
use zeroize::{Zeroize, Zeroizing};

pub use key::SpoolKey;
use presence::touch;

use crate::{
    job::{JobEncoding, JobId, ProofJob, ProofResult},
    store::StoreError,
    worker::LEASE,
};

const MAGIC: &[u8; 8] = b"GVSPOOL1";

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
    /// Nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No key can be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
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
        Self { lease: LEASE, attempts: 3 }
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
    worker: String,
    file: PathBuf,
}

impl Claim {
    /// Tells everybody that this worker is alive. `false` if the claim is gone: another worker has taken the job over.
    #[must_use]
    pub fn beat(&self) -> bool {
        touch(&self.file).is_ok()
    }

    /// Who has it.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }
}

/// A file of `jobs` or `claimed`, by its name.
struct Named {
    id: JobId,
    attempt: u32,
    /// Zero where a release before this one has named it.
    batch: u64,
    path: PathBuf,
}

impl Named {
    fn read(path: PathBuf) -> Option<Self> {
        let parts: Vec<&str> = path.file_name()?.to_str()?.split('.').collect();
        let (id, attempt) = (JobId::parse(parts.first()?)?, parts.get(1)?.parse().ok()?);
        let batch = match parts.as_slice() {
            [_, _, batch] | [_, _, _, _, batch] => batch.parse().unwrap_or(0),
            _ => 0,
        };
        Some(Self { id, attempt, batch, path })
    }
}

const PLACES: [&str; 7] = ["jobs", "claimed", "workers", "results", "poisoned", "errors", "tmp"];

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
        let sealed = self.key.seal(MAGIC, &context(place, id), contents)?;
        durable::replace_through(&self.root.join("tmp"), &file, Access::Mask, |out| out.write_all(&sealed))
            .map_err(io_at(&file))
    }

    fn get(&self, sealed_for: &str, file: &Path, id: JobId) -> Result<Option<Zeroizing<Vec<u8>>>, SpoolError> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_at(file)(error)),
        };
        self.key
            .open_sealed(MAGIC, &context(sealed_for, id), &bytes)
            .map(Some)
            .map_err(|_| SpoolError::Sealed { name: id.to_string() })
    }

    /// Files of `jobs` or `claimed`.
    fn list(&self, place: &str) -> Result<Vec<Named>, SpoolError> {
        let dir = self.root.join(place);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io_at(&dir))? {
            found.extend(Named::read(entry.map_err(io_at(&dir))?.path()));
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
            self.put("jobs", &format!("{id}.1.{}", job.batch), id, &json)?;
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
            if self.list(place)?.iter().any(|file| file.id == id) {
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

    /// Is there a result?
    #[must_use]
    pub fn is_done(&self, id: JobId) -> bool {
        self.at("results", id).exists()
    }

    /// Forgets a job and its result, error or place in the queue.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn forget(&self, id: JobId) -> Result<(), SpoolError> {
        let queued = ["jobs", "claimed"].into_iter().map(|place| self.list(place)).collect::<Result<Vec<_>, _>>()?;
        let queued = queued.into_iter().flatten().filter(|file| file.id == id).map(|file| file.path);
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
        // The oldest batch first, also if it comes back from a worker that went silent: batches settle in order.
        waiting.sort_by_key(|file| (file.batch, file.id));
        for Named { id, attempt, batch, path } in waiting {
            // The heartbeat starts before the claim does: a rename keeps the time, and an old one would look like a
            // dead worker's.
            let lease = self.config.lease.as_millis();
            let claimed = self.at("claimed", format_args!("{id}.{attempt}.{worker}.{lease}.{batch}"));
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
                Some(job) => return Ok(Some(Claim { id, attempt, job, worker: worker.to_owned(), file: claimed })),
                None => self.set_aside(id, &claimed, "not the job its name says")?,
            }
        }
        Ok(None)
    }

    /// Hands in a result. The first one counts, and one that nobody asks for any more is dropped.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn finish(&self, claim: &Claim, result: &ProofResult) -> Result<(), SpoolError> {
        let forgotten = || !claim.file.exists() && self.state(claim.id).is_ok_and(|at| at == SpoolState::Unknown);
        if self.is_done(claim.id) || forgotten() {
            tracing::info!(job = %claim.id, "another worker was faster");
            return Ok(remove(&claim.file)?);
        }
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
        self.put_back(claim.id, claim.attempt.saturating_add(1), claim.job.batch, &claim.file)
    }

    /// Puts a job back untouched: a stopped worker's attempt does not count.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn release(&self, claim: &Claim) -> Result<(), SpoolError> {
        self.put_back(claim.id, claim.attempt, claim.job.batch, &claim.file)
    }

    fn put_back(&self, id: JobId, attempt: u32, batch: u64, file: &Path) -> Result<(), SpoolError> {
        let waiting = self.at("jobs", format_args!("{id}.{attempt}.{batch}"));
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
mod tests;
